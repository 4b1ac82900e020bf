//! Regular expressions: `regex_match`, `regex_split` and the operator REGEXP.
//!
//! The syntax is that of the `regex` crate, without look-around and back references, and a match takes time
//! linear in the text. Matching works on bytes, as osquery's does: `.` is any byte but a line feed, `\w` and
//! `\d` are ASCII, so a byte that is not UTF-8 hides nothing. A pattern that needs characters beyond ASCII as
//! such (`[é]`, `\p{Greek}`) is matched in Unicode, and `(?u)` asks for it.

use std::sync::{Arc, Mutex, PoisonError};

use model::Value;
use regex::bytes::Regex;

use super::call::{Call, Error, Result, quoted};

/// Compiled patterns that a connection keeps, the latest used first.
const PATTERNS_MAX: usize = 16;

/// The compiled patterns of a connection.
#[derive(Default)]
pub(super) struct Patterns(Mutex<Vec<(Vec<u8>, Arc<Regex>)>>);

impl Patterns {
    /// The regular expression of an argument of the call.
    fn of(call: &Call<'_>, argument: usize) -> std::result::Result<Arc<Regex>, Error> {
        let pattern = call.bytes(argument);
        call.shared.patterns.get(&pattern).map_err(|reason| {
            let pattern = quoted(&pattern);
            Error::Argument(format!("{}: the pattern {pattern} cannot be used: {reason}", call.name))
        })
    }

    fn get(&self, pattern: &[u8]) -> std::result::Result<Arc<Regex>, String> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.iter().position(|(known, _)| known == pattern) {
            Some(place) => kept[..=place].rotate_right(1),
            None => {
                // The same that a collector filters by.
                let regex = collector::regex(pattern)?;
                kept.truncate(PATTERNS_MAX - 1);
                kept.insert(0, (pattern.to_vec(), Arc::new(regex)));
            }
        }
        Ok(Arc::clone(&kept[0].1))
    }
}

fn text(bytes: &[u8]) -> Value<'static> {
    bytes.to_vec().into()
}

/// `regex_match(text, pattern, group)`
pub(super) fn regex_match(call: &Call<'_>) -> Result {
    let regex = Patterns::of(call, 1)?;
    let (bytes, group) = (call.bytes(0), call.place(2));
    let Some(group) = group.filter(|group| *group < regex.captures_len()) else { return Ok(Value::Null) };
    if group == 0 {
        return Ok(regex.find(&bytes).map(|whole| text(whole.as_bytes())).into());
    }
    // A group that took no part in the match is empty, as in osquery.
    let of = |groups: regex::bytes::Captures<'_>| text(groups.get(group).map_or(b"", |g| g.as_bytes()));
    Ok(regex.captures(&bytes).map(of).into())
}

/// `regex_split(text, pattern, index)`
pub(super) fn regex_split(call: &Call<'_>) -> Result {
    if call.bytes(1).is_empty() {
        return Err(Error::Argument("regex_split: the pattern is empty".into()));
    }
    let regex = Patterns::of(call, 1)?;
    let (bytes, index) = (call.bytes(0), call.place(2));
    let Some(index) = index else { return Ok(Value::Null) };
    let mut pieces = regex.split(&bytes).skip(index);
    Ok(match pieces.next() {
        // As in osquery, nothing behind the last match is no piece.
        Some(b"") if index > 0 && pieces.next().is_none() => Value::Null,
        piece => piece.map(text).into(),
    })
}

/// `regexp(pattern, text)`, which `text REGEXP pattern` calls.
pub(super) fn regexp(call: &Call<'_>) -> Result {
    let regex = Patterns::of(call, 0)?;
    Ok(regex.is_match(&call.bytes(1)).into())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, connection, shown};
    use super::*;

    #[test]
    fn groups_are_given_as_osquery_gives_them() {
        check(&[
            ("regex_match('hello world', '(l)(o).*', 0)", "'lo world'"),
            ("regex_match('hello world', '(l)(o).*', 1)", "'l'"),
            ("regex_match('hello world', '(l)(o).*', 2)", "'o'"),
            ("regex_match('hello world', '(l)(o).*', '2')", "'o'"),
            ("regex_match('hello world', '(l)(o).*', 3)", "NULL"),
            ("regex_match('hello world', '(l)(o).*', -1)", "NULL"),
            ("regex_match('hello world', '(l)(o).*', 'x')", "NULL"),
            ("regex_match('hello world', 'no match', 0)", "NULL"),
            (r"regex_match('hello world', '(\w+) .*(or|ld)', 2)", "'ld'"),
            ("regex_match('/filesystem/path/download.extension.zip', '.+/([^./]+)', 1)", "'download'"),
            ("regex_match('hello world', '', 0)", "''"),
            ("regex_match('foo/bar', '|', 0)", "''"),
            ("regex_match('ac', 'a(b)?c', 1)", "''"),
            ("regex_match(4711, 7, 0)", "'7'"),
            ("regex_match(1.5, '[.](.)', 1)", "'5'"),
            ("regex_match(x'61ff62', 'a(.)b', 1)", r"'\xff'"),
            ("regex_match('a' || char(0) || 'b', '.b', 0)", r"'\x00b'"),
        ]);
    }

    #[test]
    fn pieces_are_split_as_osquery_splits_them() {
        check(&[
            ("regex_split('/foo/bar', '/', 0)", "''"),
            ("regex_split('/foo/bar', '/', 1)", "'foo'"),
            ("regex_split('/foo/bar', '/', 2)", "'bar'"),
            ("regex_split('/foo/bar', '/', 3)", "NULL"),
            ("regex_split('foo;;bar', ';;', 1)", "'bar'"),
            ("regex_split('foo;bar//qux', '(;|/)+', 2)", "'qux'"),
            (
                "regex_split('/filesystem/path/download.extension.zip', '(.*/)|(.extension.zip)', 1)",
                "'download'",
            ),
            ("regex_split('foo/bar', '|', 0)", "''"),
            ("regex_split('foo/bar', '|', 1)", "'f'"),
            ("regex_split('foo/', '/', 1)", "NULL"),
            ("regex_split('foo//', '/', 1)", "''"),
            ("regex_split('', 'x', 0)", "''"),
            ("regex_split('foo', 'x', 0)", "'foo'"),
            ("regex_split('foo', 'x', -1)", "NULL"),
            ("regex_split('foo', '', 0)", "error: regex_split: the pattern is empty"),
        ]);
    }

    #[test]
    fn the_operator_searches_in_bytes() {
        check(&[
            ("'sshd' REGEXP '^s+h'", "1"),
            ("'sshd' REGEXP 'H'", "0"),
            ("'sshd' REGEXP '(?i)H'", "1"),
            ("'sshd' NOT REGEXP 'x'", "1"),
            ("NULL REGEXP 'x'", "NULL"),
            ("42 REGEXP '^4'", "1"),
            (r"'٣' REGEXP '\d'", "0"),
            (r"'٣' REGEXP '(?u)\d'", "1"),
            ("'café' REGEXP 'caf[éè]$'", "1"),
            (r"'ωmega' REGEXP '^\p{Greek}m'", "1"),
        ]);
    }

    #[test]
    fn a_pattern_that_cannot_be_used_is_named_with_the_reason() {
        check(&[
            (
                "regex_match('foo', '(/', 0)",
                "error: regex_match: the pattern '(/' cannot be used: unclosed group",
            ),
            (
                "'foo' REGEXP '+'",
                "error: regexp: the pattern '+' cannot be used: repetition operator missing expression",
            ),
            (r"'foo' REGEXP '(?=x)'", "error: regexp: the pattern '(?=x)' cannot be used: look-around…"),
            (r"'foo' REGEXP '(a)\1'", r"error: regexp: the pattern '(a)\\1' cannot be used: backreferences…"),
            (
                "'foo' REGEXP '(a{1000}){1000}'",
                "error: regexp: the pattern '(a{1000}){1000}' cannot be used: compiled, it takes more…",
            ),
            (
                "regex_split('foo', printf('%.100000c', '('), 0)",
                &format!("error: regex_split: the pattern '{}…' cannot be used: …", "(".repeat(80)),
            ),
            ("'foo' REGEXP x'ff'", "error: regexp: the pattern '\u{fffd}' cannot be used: it is not UTF-8"),
        ]);
    }

    #[test]
    fn patterns_of_a_column_do_not_pile_up() {
        let (conn, _) = connection();
        let sql = "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) \
                   SELECT sum('x' || i REGEXP '^x' || i || '$') FROM n";
        assert_eq!(shown(&conn, sql), "200");
        assert_eq!(shown(&conn, &sql.replace("i || '$'", "(i % 16) || '$'")), "15");
    }

    #[test]
    fn a_pattern_used_again_comes_first_and_the_oldest_goes() {
        let patterns = Patterns::default();
        let get = |pattern: &str| patterns.get(pattern.as_bytes()).unwrap();
        get("first");
        for n in 0..PATTERNS_MAX * 2 {
            get(&n.to_string());
            get("first");
        }
        let kept = patterns.0.lock().unwrap();
        assert_eq!((kept.len(), kept[0].0.as_slice()), (PATTERNS_MAX, &b"first"[..]));
    }
}
