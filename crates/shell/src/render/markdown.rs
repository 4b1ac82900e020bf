//! `markdown`: a table as GitHub reads it.

use std::io::{self, Write};

use model::Value;
use vtables::OutputColumn;

use super::Render;
use super::grid::{Cell, Grid};
use crate::clean;

pub(super) struct Markdown {
    headings: Vec<String>,
    grid: Grid,
    started: bool,
}

impl Markdown {
    pub(super) fn new() -> Markdown {
        Markdown { headings: Vec::new(), grid: Grid::new(&[]), started: false }
    }

    fn print(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let widths: Vec<usize> = self.grid.widths().iter().map(|width| (*width).max(3)).collect();
        if !self.started {
            self.started = true;
            let headings: Vec<_> = self.headings.iter().map(|name| (&**name, Cell::Text)).collect();
            out.write_all(line(&headings, &widths).as_bytes())?;
            let dashes: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            writeln!(out, "| {} |", dashes.join(" | "))?;
        }
        for row in self.grid.rows() {
            out.write_all(line(&row, &widths).as_bytes())?;
        }
        self.grid.clear();
        Ok(())
    }
}

fn line(cells: &[(&str, Cell)], widths: &[usize]) -> String {
    let mut out = String::from("|");
    for ((text, _), width) in cells.iter().zip(widths) {
        out.push(' ');
        out.push_str(text);
        out.extend(std::iter::repeat_n(' ', width.saturating_sub(clean::width(text))));
        out.push_str(" |");
    }
    out.push('\n');
    out
}

/// A bar would end the cell.
fn escape_bars(text: &mut String, start: usize) {
    if text[start..].contains('|') {
        let escaped = text[start..].replace('|', "\\|");
        text.truncate(start);
        text.push_str(&escaped);
    }
}

impl Render for Markdown {
    fn columns(&mut self, columns: &[OutputColumn], _: &mut dyn Write) -> io::Result<()> {
        let heading = |column: &OutputColumn| {
            let mut name = clean::line(&column.name).into_owned();
            escape_bars(&mut name, 0);
            name
        };
        self.headings = columns.iter().map(heading).collect();
        self.grid = Grid::new(&self.headings);
        Ok(())
    }

    fn row(&mut self, values: &[Value<'_>], out: &mut dyn Write) -> io::Result<()> {
        self.grid.push(values, escape_bars);
        if self.grid.is_full() { self.print(out) } else { Ok(()) }
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.print(out)
    }

    fn abandon(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.grid.is_empty() { Ok(()) } else { self.print(out) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::hostile;
    use super::super::{Format, Look};

    #[test]
    fn bars_and_line_breaks_do_not_end_a_cell() {
        insta::assert_snapshot!(hostile(Format::Markdown, Look::PLAIN), @r#"
        | n                    | x     | n                          | v\x1b\| |
        | -------------------- | ----- | -------------------------- | ------- |
        | 1                    | 1.0   | plain                      | NULL    |
        | -9223372036854775808 | -Inf  | esc \x1b[31m, "q"\n\| \x7f | NULL    |
        | 9223372036854775807  | 0.1   | caf\xe9                    | NULL    |
        | 0                    | 1e300 | 日本 \u{202e}              | NULL    |
        | 7                    | NULL  |                            | X'00FF' |
        "#);
    }
}
