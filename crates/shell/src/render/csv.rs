//! `csv`: RFC 4180 with line feeds, as sqlite3 and osqueryi end their lines.
//!
//! NULL is nothing, an empty text is `""`. A file gets every byte as it is; a terminal gets text that is harmless.

use std::io::{self, Write};

use model::Value;
use vtables::OutputColumn;

use super::{Blob, Look, Real, Render};
use crate::clean;

pub(super) struct Csv {
    look: Look,
    buffer: Vec<u8>,
}

impl Csv {
    pub(super) fn new(look: Look) -> Csv {
        Csv { look, buffer: Vec::new() }
    }

    fn push_text(&mut self, bytes: &[u8]) {
        let mut harmless = String::new();
        let bytes = if self.look.terminal {
            clean::push(bytes, &mut harmless);
            harmless.as_bytes()
        } else {
            bytes
        };
        let quoted = bytes.is_empty() || bytes.iter().any(|b| matches!(b, b',' | b'"' | b'\n' | b'\r'));
        if !quoted {
            self.buffer.extend_from_slice(bytes);
            return;
        }
        self.buffer.push(b'"');
        for byte in bytes {
            if *byte == b'"' {
                self.buffer.push(b'"');
            }
            self.buffer.push(*byte);
        }
        self.buffer.push(b'"');
    }

    fn push_comma(&mut self, column: usize) {
        if column > 0 {
            self.buffer.push(b',');
        }
    }

    fn write_line(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.buffer.push(b'\n');
        out.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

impl Render for Csv {
    fn columns(&mut self, columns: &[OutputColumn], out: &mut dyn Write) -> io::Result<()> {
        if !self.look.headers {
            return Ok(());
        }
        for (place, column) in columns.iter().enumerate() {
            self.push_comma(place);
            self.push_text(column.name.as_bytes());
        }
        self.write_line(out)
    }

    fn row(&mut self, values: &[Value<'_>], out: &mut dyn Write) -> io::Result<()> {
        for (place, value) in values.iter().enumerate() {
            self.push_comma(place);
            match value {
                Value::Null => {}
                Value::Int(n) => write!(self.buffer, "{n}")?,
                Value::Real(x) => write!(self.buffer, "{}", Real(*x))?,
                Value::Text(bytes) => self.push_text(bytes),
                Value::Blob(bytes) => write!(self.buffer, "{}", Blob(bytes))?,
            }
        }
        self.write_line(out)
    }

    fn end(&mut self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{hostile, render};
    use super::super::{Format, Look};
    use super::*;

    #[test]
    fn a_terminal_gets_harmless_text() {
        let look = Look { terminal: true, ..Look::PLAIN };
        insta::assert_snapshot!(hostile(Format::Csv, look), @r#"
        n,x,n,v\x1b|
        1,1.0,plain,
        -9223372036854775808,-Inf,"esc \x1b[31m, ""q""\n| \x7f",
        9223372036854775807,0.1,caf\xe9,
        0,1e300,日本 \u{202e},
        7,,"",X'00FF'
        "#);
    }

    #[test]
    fn a_file_gets_every_byte_as_it_is() {
        let mut csv = Csv::new(Look::PLAIN);
        let mut out = Vec::new();
        let row = [Value::Text((&b"\xff\x1b,"[..]).into()), Value::Text((&b"a\"b\r\nc"[..]).into())];
        csv.row(&row, &mut out).unwrap();
        assert_eq!(out, b"\"\xff\x1b,\",\"a\"\"b\r\nc\"\n");
    }

    #[test]
    fn a_heading_can_be_left_out() {
        let look = Look { headers: false, ..Look::PLAIN };
        assert_eq!(render(Format::Csv, look, &["a"], &[vec![Value::Int(1)]]), "1\n");
    }
}
