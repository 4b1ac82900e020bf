//! Results as text: one file per format.

mod csv;
mod grid;
pub(crate) mod json;
mod line;
mod markdown;
mod table;

use std::io::{self, Write};

use clap::ValueEnum;
use model::Value;
use vtables::{OutputColumn, Sink};

use crate::clean;

/// How a result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns in a frame, for people
    #[value(alias = "box", alias = "column", alias = "pretty")]
    Table,
    /// One array of typed objects; NULL is null
    Json,
    /// One typed object per line
    #[value(alias = "jsonl")]
    Ndjson,
    /// Comma-separated values (RFC 4180) with a heading
    Csv,
    /// One value per line, for wide rows
    Line,
    /// A Markdown table
    #[value(alias = "md")]
    Markdown,
}

/// What a renderer knows about where its text goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// Colours may be used.
    pub(crate) colours: bool,
    /// A terminal reads the text, so it must be harmless in every format.
    pub(crate) terminal: bool,
    /// Columns of the screen, when it has an end.
    pub(crate) width: Option<usize>,
    /// Formats with a heading print it.
    pub(crate) headers: bool,
}

impl Look {
    /// For a file or another program.
    pub(crate) const PLAIN: Look = Look { colours: false, terminal: false, width: None, headers: true };
}

/// Writes rows in one format. An empty result has columns and an end.
pub(crate) trait Render {
    /// The columns, once, before all else.
    fn columns(&mut self, columns: &[OutputColumn], out: &mut dyn Write) -> io::Result<()>;
    /// A row.
    fn row(&mut self, values: &[Value<'_>], out: &mut dyn Write) -> io::Result<()>;
    /// What comes after the last row.
    fn end(&mut self, out: &mut dyn Write) -> io::Result<()>;
    /// The rows of a statement that failed, as far as they are not printed yet.
    fn abandon(&mut self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

impl Format {
    /// The format's name, as `--format` and `.mode` take it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Format::Table => "table",
            Format::Json => "json",
            Format::Ndjson => "ndjson",
            Format::Csv => "csv",
            Format::Line => "line",
            Format::Markdown => "markdown",
        }
    }

    fn renderer(self, look: Look) -> Box<dyn Render> {
        match self {
            Format::Table => Box::new(table::Table::new(look)),
            Format::Json => Box::new(json::Json::array()),
            Format::Ndjson => Box::new(json::Json::lines()),
            Format::Csv => Box::new(csv::Csv::new(look)),
            Format::Line => Box::new(line::Lines::new(look)),
            Format::Markdown => Box::new(markdown::Markdown::new()),
        }
    }
}

/// A sink that prints.
pub(crate) struct Printer<'o> {
    render: Box<dyn Render>,
    out: &'o mut dyn Write,
}

impl<'o> Printer<'o> {
    /// A printer for one result.
    pub(crate) fn new(format: Format, look: Look, out: &'o mut dyn Write) -> Printer<'o> {
        Printer { render: format.renderer(look), out }
    }

    /// Ends the result.
    pub(crate) fn end(mut self) -> io::Result<()> {
        self.render.end(self.out)?;
        self.out.flush()
    }

    /// Prints what a failed statement gave. An array of JSON stays open, so that no parser takes a part of a
    /// result for the whole.
    pub(crate) fn abandon(mut self) -> io::Result<()> {
        self.render.abandon(self.out)?;
        self.out.flush()
    }
}

impl Sink for Printer<'_> {
    fn columns(&mut self, columns: &[OutputColumn]) -> io::Result<()> {
        self.render.columns(columns, self.out)
    }

    fn row(&mut self, values: &[Value<'_>]) -> io::Result<()> {
        self.render.row(values, self.out)
    }
}

/// Appends a value as harmless text: NULL as `NULL`, a blob as SQL writes it.
fn push_text(value: &Value<'_>, out: &mut String) {
    use std::fmt::Write;
    // Writing to a String cannot fail.
    let _ = match value {
        Value::Null => write!(out, "NULL"),
        Value::Int(n) => write!(out, "{n}"),
        Value::Real(x) => write!(out, "{}", Real(*x)),
        Value::Text(bytes) => {
            clean::push(bytes, out);
            Ok(())
        }
        Value::Blob(bytes) => write!(out, "{}", Blob(bytes)),
    };
}

/// A real as SQLite writes it where that is exact: with a point or an exponent, and `Inf`.
struct Real(f64);

impl std::fmt::Display for Real {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            x if x.is_nan() => write!(f, "NULL"),
            x if x.is_infinite() => write!(f, "{}Inf", if x < 0.0 { "-" } else { "" }),
            x => write!(f, "{x:?}"),
        }
    }
}

/// A blob as a literal of SQL.
struct Blob<'a>(&'a [u8]);

impl std::fmt::Display for Blob<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "X'")?;
        for byte in self.0 {
            write!(f, "{byte:02X}")?;
        }
        write!(f, "'")
    }
}

#[cfg(test)]
mod testing {
    use super::*;

    /// Columns with two equal names and rows with every kind of value, hostile ones too.
    pub(super) fn hostile(format: Format, look: Look) -> String {
        let row_of = |n: i64, x: f64, text: &[u8]| {
            vec![Value::Int(n), Value::Real(x), Value::Text(text.to_vec().into()), Value::Null]
        };
        let mut rows = vec![
            row_of(1, 1.0, b"plain"),
            row_of(i64::MIN, f64::NEG_INFINITY, b"esc \x1b[31m, \"q\"\n| \x7f"),
            row_of(i64::MAX, 0.1, b"caf\xe9"),
            row_of(0, 1e300, "日本 \u{202e}".as_bytes()),
        ];
        rows.push(vec![
            Value::Int(7),
            Value::Null,
            Value::Text(b"".into()),
            Value::Blob((&b"\x00\xff"[..]).into()),
        ]);
        render(format, look, &["n", "x", "n", "v\x1b|"], &rows)
    }

    /// A result as text; bytes that are not UTF-8 are replaced.
    pub(super) fn render(format: Format, look: Look, names: &[&str], rows: &[Vec<Value<'static>>]) -> String {
        let mut out = Vec::new();
        let mut printer = Printer::new(format, look, &mut out);
        let column = |name: &&str| OutputColumn { name: (*name).to_owned(), declared: None };
        printer.columns(&names.iter().map(column).collect::<Vec<_>>()).unwrap();
        for row in rows {
            printer.row(row).unwrap();
        }
        printer.end().unwrap();
        String::from_utf8_lossy(&out).into_owned()
    }
}
