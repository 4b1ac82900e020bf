//! `json` and `ndjson`: typed values, one row per line.
//!
//! Integers are numbers with all their digits, NULL and reals that JSON lacks are null, text that is not UTF-8
//! and blobs are `{"base64": "…"}`. Of several columns with one name the second is `name:1`, the third `name:2`.

use std::collections::HashSet;
use std::io::{self, Write};

use model::Value;
use model::json::{push_string, push_value};
use vtables::OutputColumn;

use super::Render;

pub(super) struct Json {
    array: bool,
    rows: u64,
    /// Each column's `"name":`, escaped, with what stands before it.
    keys: Vec<String>,
    buffer: String,
}

impl Json {
    pub(super) fn array() -> Json {
        Json { array: true, rows: 0, keys: Vec::new(), buffer: String::new() }
    }

    pub(super) fn lines() -> Json {
        Json { array: false, ..Json::array() }
    }
}

impl Render for Json {
    fn columns(&mut self, columns: &[OutputColumn], _: &mut dyn Write) -> io::Result<()> {
        let key = |(place, name): (usize, String)| {
            let mut key = String::from(if place == 0 { "{" } else { "," });
            push_string(&name, &mut key);
            key.push(':');
            key
        };
        self.keys = distinct(columns).into_iter().enumerate().map(key).collect();
        Ok(())
    }

    fn row(&mut self, values: &[Value<'_>], out: &mut dyn Write) -> io::Result<()> {
        self.buffer.clear();
        match (self.array, self.rows) {
            (true, 0) => self.buffer.push_str("[\n"),
            (true, _) => self.buffer.push_str(",\n"),
            (false, _) => {}
        }
        self.rows += 1;
        for (key, value) in self.keys.iter().zip(values) {
            self.buffer.push_str(key);
            push_value(value, &mut self.buffer);
        }
        self.buffer.push_str(if self.array { "}" } else { "}\n" });
        out.write_all(self.buffer.as_bytes())
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        match (self.array, self.rows) {
            (true, 0) => out.write_all(b"[]\n"),
            (true, _) => out.write_all(b"\n]\n"),
            (false, _) => Ok(()),
        }
    }

    fn abandon(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.array && self.rows > 0 { out.write_all(b"\n") } else { Ok(()) }
    }
}

/// The columns' names, made distinct.
fn distinct(columns: &[OutputColumn]) -> Vec<String> {
    let mut taken: HashSet<String> = columns.iter().map(|c| c.name.clone()).collect();
    let mut seen: HashSet<&str> = HashSet::new();
    let name = |column: &'_ OutputColumn, taken: &mut HashSet<String>| {
        let free = (1..).map(|n| format!("{}:{n}", column.name)).find(|name| !taken.contains(name));
        let free = free.unwrap_or_default();
        taken.insert(free.clone());
        free
    };
    columns.iter().map(|c| if seen.insert(&c.name) { c.name.clone() } else { name(c, &mut taken) }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{hostile, render};
    use super::super::{Format, Look};
    use super::*;

    #[test]
    fn values_keep_their_types_and_names_stay_distinct() {
        insta::assert_snapshot!(hostile(Format::Ndjson, Look::PLAIN), @r#"
        {"n":1,"x":1.0,"n:1":"plain","v\u001b|":null}
        {"n":-9223372036854775808,"x":null,"n:1":"esc \u001b[31m, \"q\"\n| \u007f","v\u001b|":null}
        {"n":9223372036854775807,"x":0.1,"n:1":{"base64":"Y2Fm6Q=="},"v\u001b|":null}
        {"n":0,"x":1e300,"n:1":"日本 \u202e","v\u001b|":null}
        {"n":7,"x":null,"n:1":"","v\u001b|":{"base64":"AP8="}}
        "#);
    }

    #[test]
    fn an_array_is_json_whatever_it_holds() {
        let text = hostile(Format::Json, Look::PLAIN);
        let rows: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        assert_eq!(rows[1]["n"], serde_json::json!(i64::MIN));
        assert_eq!(rows[1]["n:1"], "esc \x1b[31m, \"q\"\n| \x7f");
        assert_eq!(rows[3]["n:1"], "日本 \u{202e}");
        assert_eq!(render(Format::Json, Look::PLAIN, &["a"], &[]), "[]\n");
        assert_eq!(render(Format::Ndjson, Look::PLAIN, &["a"], &[]), "");
    }

    #[test]
    fn a_made_name_never_meets_a_given_one() {
        let names = ["a", "a", "a:1", "a", "a:1"];
        let column = |name: &&str| OutputColumn { name: (*name).to_owned(), declared: None };
        let names = distinct(&names.iter().map(column).collect::<Vec<_>>());
        assert_eq!(names, ["a", "a:2", "a:1", "a:3", "a:1:1"]);
    }
}
