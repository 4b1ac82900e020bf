//! `table`: columns in a frame. On a terminal the frame keeps within the screen.
//!
//! Ten thousand rows are kept to learn the widths; then what is kept is printed, and a wider row later on gets a
//! new rule above it.

use std::io::{self, Write};

use model::Value;
use vtables::OutputColumn;

use super::grid::{Cell, Grid, fitted, wrapped};
use super::{Look, Render};
use crate::{clean, paint};

pub(super) struct Table {
    look: Look,
    headings: Vec<String>,
    grid: Grid,
    /// The widths of what was printed last.
    printed: Option<Vec<usize>>,
}

impl Table {
    pub(super) fn new(look: Look) -> Table {
        Table { look, headings: Vec::new(), grid: Grid::new(&[]), printed: None }
    }

    fn print(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let widths = match self.look.width {
            Some(screen) => fitted(self.grid.widths(), 3 * self.headings.len() + 1, screen),
            None => self.grid.widths().to_vec(),
        };
        let mut text = String::new();
        match &self.printed {
            None => {
                self.rule(&widths, ["┌", "┬", "┐"], &mut text);
                if self.look.headers {
                    let headings: Vec<_> = self.headings.iter().map(|name| (&**name, Cell::Text)).collect();
                    self.push_row(&headings, &widths, true, &mut text);
                    self.rule(&widths, ["├", "┼", "┤"], &mut text);
                }
            }
            Some(before) if *before != widths => self.rule(&widths, ["├", "┼", "┤"], &mut text),
            Some(_) => {}
        }
        for row in self.grid.rows() {
            self.push_row(&row, &widths, false, &mut text);
            if text.len() >= 1 << 16 {
                out.write_all(text.as_bytes())?;
                text.clear();
            }
        }
        out.write_all(text.as_bytes())?;
        self.grid.clear();
        self.printed = Some(widths);
        Ok(())
    }

    fn rule(&self, widths: &[usize], [left, between, right]: [&str; 3], out: &mut String) {
        let dashes: Vec<String> = widths.iter().map(|width| "─".repeat(width + 2)).collect();
        let line = format!("{left}{}{right}", dashes.join(between));
        self.push(paint::FAINT, &line, out);
        out.push('\n');
    }

    fn push_row(&self, cells: &[(&str, Cell)], widths: &[usize], heading: bool, out: &mut String) {
        let lines: Vec<Vec<&str>> =
            cells.iter().zip(widths).map(|((text, _), width)| wrapped(text, *width)).collect();
        for line in 0..lines.iter().map(Vec::len).max().unwrap_or(1) {
            self.push(paint::FAINT, "│", out);
            for (((_, cell), width), texts) in cells.iter().zip(widths).zip(&lines) {
                let text = texts.get(line).copied().unwrap_or_default();
                let gap = width.saturating_sub(clean::width(text));
                let left = if *cell == Cell::Number { gap } else { 0 };
                out.extend(std::iter::repeat_n(' ', left + 1));
                match cell {
                    _ if heading => self.push(paint::HEADING, text, out),
                    Cell::Null => self.push(paint::FAINT, text, out),
                    Cell::Number | Cell::Text => out.push_str(text),
                }
                out.extend(std::iter::repeat_n(' ', gap - left + 1));
                self.push(paint::FAINT, "│", out);
            }
            out.push('\n');
        }
    }

    fn push(&self, style: anstyle::Style, text: &str, out: &mut String) {
        match self.look.colours && !text.is_empty() {
            true => out.push_str(&paint::styled(style, text)),
            false => out.push_str(text),
        }
    }
}

impl Render for Table {
    fn columns(&mut self, columns: &[OutputColumn], _: &mut dyn Write) -> io::Result<()> {
        self.headings = columns.iter().map(|c| clean::line(&c.name).into_owned()).collect();
        self.grid = Grid::new(&self.headings);
        Ok(())
    }

    fn row(&mut self, values: &[Value<'_>], out: &mut dyn Write) -> io::Result<()> {
        self.grid.push(values, |_, _| {});
        if self.grid.is_full() { self.print(out) } else { Ok(()) }
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.print(out)?;
        let mut text = String::new();
        let widths = self.printed.take().unwrap_or_default();
        self.rule(&widths, ["└", "┴", "┘"], &mut text);
        out.write_all(text.as_bytes())
    }

    fn abandon(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.grid.is_empty() && self.printed.is_none() { Ok(()) } else { self.end(out) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::testing::{hostile, render};
    use unicode_width::UnicodeWidthStr;

    use super::*;

    #[test]
    fn numbers_stand_at_the_right_and_hostile_text_is_shown() {
        insta::assert_snapshot!(hostile(Format::Table, Look::PLAIN), @r#"
        ┌──────────────────────┬───────┬───────────────────────────┬─────────┐
        │ n                    │ x     │ n                         │ v\x1b|  │
        ├──────────────────────┼───────┼───────────────────────────┼─────────┤
        │                    1 │   1.0 │ plain                     │ NULL    │
        │ -9223372036854775808 │  -Inf │ esc \x1b[31m, "q"\n| \x7f │ NULL    │
        │  9223372036854775807 │   0.1 │ caf\xe9                   │ NULL    │
        │                    0 │ 1e300 │ 日本 \u{202e}             │ NULL    │
        │                    7 │ NULL  │                           │ X'00FF' │
        └──────────────────────┴───────┴───────────────────────────┴─────────┘
        "#);
    }

    #[test]
    fn an_empty_result_shows_its_columns() {
        insta::assert_snapshot!(render(Format::Table, Look::PLAIN, &["pid", "name"], &[]), @r#"
        ┌─────┬──────┐
        │ pid │ name │
        ├─────┼──────┤
        └─────┴──────┘
        "#);
    }

    #[test]
    fn a_narrow_screen_wraps_the_widest_column() {
        let look = Look { width: Some(40), ..Look::PLAIN };
        let row = vec![
            Value::Int(1),
            Value::from("/usr/lib/systemd/systemd --switched-root --system").into_owned(),
        ];
        let text = render(Format::Table, look, &["pid", "cmdline"], &[row]);
        insta::assert_snapshot!(text, @r#"
        ┌─────┬────────────────────────────────┐
        │ pid │ cmdline                        │
        ├─────┼────────────────────────────────┤
        │   1 │ /usr/lib/systemd/systemd       │
        │     │ --switched-root --system       │
        └─────┴────────────────────────────────┘
        "#);
        assert!(text.lines().all(|line| line.width() <= 40));
    }

    #[test]
    fn a_wider_row_after_the_first_print_gets_a_rule() {
        let mut rows = vec![vec![Value::Int(1)]; 10_000];
        rows.push(vec![Value::Int(1_000_000)]);
        let text = render(Format::Table, Look::PLAIN, &["n"], &rows);
        assert!(
            text.ends_with("│ 1 │\n├─────────┤\n│ 1000000 │\n└─────────┘\n"),
            "{}",
            &text[text.len() - 200..]
        );
    }
}
