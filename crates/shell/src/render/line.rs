//! `line`: one value per line, as sqlite3 prints it, with a blank line between rows.

use std::io::{self, Write};

use model::Value;
use vtables::OutputColumn;

use super::{Look, Render, push_text};
use crate::{clean, paint};

pub(super) struct Lines {
    look: Look,
    names: Vec<String>,
    rows: u64,
    buffer: String,
}

impl Lines {
    pub(super) fn new(look: Look) -> Lines {
        Lines { look, names: Vec::new(), rows: 0, buffer: String::new() }
    }
}

impl Render for Lines {
    fn columns(&mut self, columns: &[OutputColumn], _: &mut dyn Write) -> io::Result<()> {
        let names: Vec<_> = columns.iter().map(|c| clean::line(&c.name)).collect();
        let widest = names.iter().map(|name| clean::width(name)).max().unwrap_or(0);
        let padded = |name: &str| {
            let name = format!("{}{name}", " ".repeat(widest - clean::width(name)));
            if self.look.colours { paint::styled(paint::HEADING, &name) } else { name }
        };
        self.names = names.iter().map(|name| padded(name)).collect();
        Ok(())
    }

    fn row(&mut self, values: &[Value<'_>], out: &mut dyn Write) -> io::Result<()> {
        self.buffer.clear();
        if self.rows > 0 {
            self.buffer.push('\n');
        }
        self.rows += 1;
        for (name, value) in self.names.iter().zip(values) {
            self.buffer.push_str(name);
            self.buffer.push_str(" = ");
            match value {
                Value::Null if self.look.colours => {
                    self.buffer.push_str(&paint::styled(paint::FAINT, "NULL"))
                }
                value => push_text(value, &mut self.buffer),
            }
            self.buffer.push('\n');
        }
        out.write_all(self.buffer.as_bytes())
    }

    fn end(&mut self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::hostile;
    use super::super::{Format, Look};

    #[test]
    fn names_stand_right_aligned_and_values_are_harmless() {
        insta::assert_snapshot!(hostile(Format::Line, Look::PLAIN), @r#"
             n = 1
             x = 1.0
             n = plain
        v\x1b| = NULL

             n = -9223372036854775808
             x = -Inf
             n = esc \x1b[31m, "q"\n| \x7f
        v\x1b| = NULL

             n = 9223372036854775807
             x = 0.1
             n = caf\xe9
        v\x1b| = NULL

             n = 0
             x = 1e300
             n = 日本 \u{202e}
        v\x1b| = NULL

             n = 7
             x = NULL
             n = 
        v\x1b| = X'00FF'
        "#);
    }
}
