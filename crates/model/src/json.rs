//! Values as JSON, written the same way wherever they leave the program.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::{Value, clean};

/// A value of JSON: integers with all their digits, NULL and reals that JSON lacks as null, text that is not UTF-8
/// and blobs as `{"base64": "…"}`.
pub fn push_value(value: &Value<'_>, out: &mut String) {
    use std::fmt::Write;
    // Writing to a String cannot fail.
    let _ = match value {
        Value::Int(n) => write!(out, "{n}"),
        Value::Real(x) if x.is_finite() => write!(out, "{x:?}"),
        Value::Null | Value::Real(_) => write!(out, "null"),
        Value::Blob(bytes) => push_base64(bytes, out),
        Value::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => {
                push_string(text, out);
                Ok(())
            }
            Err(_) => push_base64(bytes, out),
        },
    };
}

fn push_base64(bytes: &[u8], out: &mut String) -> std::fmt::Result {
    out.push_str("{\"base64\":\"");
    STANDARD.encode_string(bytes, out);
    out.push_str("\"}");
    Ok(())
}

/// A string of JSON. What is hostile to a terminal is escaped too: the same string to a parser.
pub fn push_string(text: &str, out: &mut String) {
    use std::fmt::Write;
    out.push('"');
    let mut plain = 0;
    let special = |c: char| c == '"' || c == '\\' || clean::is_hostile(c);
    for (at, c) in text.char_indices().filter(|(_, c)| special(*c)) {
        out.push_str(&text[plain..at]);
        plain = at + c.len_utf8();
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a String cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

/// An object of a row's names and values.
pub fn push_row<'v>(row: impl IntoIterator<Item = (&'v str, &'v Value<'v>)>, out: &mut String) {
    out.push('{');
    for (n, (name, value)) in row.into_iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        push_string(name, out);
        out.push(':');
        push_value(value, out);
    }
    out.push('}');
}
