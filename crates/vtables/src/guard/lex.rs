//! SQLite's own tokens: <https://www.sqlite.org/draft/tokenreq.html>, and `sqlite3GetToken` where that is silent.
//!
//! The guard and SQLite must cut a text into the same tokens, or a comment for one is a statement for the
//! other. sqlparser's tokenizer nests comments, knows `--` rules, escapes and string prefixes of other
//! systems, so the guard cuts the text itself.

use std::borrow::Cow;
use std::ops::Range;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A bare word: a name or a keyword.
    Word,
    /// A name in `"…"`, `` `…` `` or `[…]`; the quote that opens it.
    Quoted(char),
    /// `'…'`.
    Text,
    /// `x'…'`.
    Blob,
    /// An integer (decimal or hexadecimal) or a real number.
    Number,
    /// `?`, `?1`, `:name`, `@name` or `$name`.
    Parameter,
    /// An operator or punctuation, in its usual spelling (`==` is `=`, `<>` is `!=`).
    Sign(&'static str),
    /// No token of SQLite's.
    Bad(Fault),
}

/// Why a piece of the text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Unclosed(char),
    UnclosedComment,
    Character,
    Number,
    Blob,
    Parameter,
}

/// A token and its bytes in the text.
#[derive(Clone, Debug)]
pub(super) struct Lexeme {
    pub(super) kind: Kind,
    pub(super) at: Range<usize>,
}

impl Lexeme {
    /// Its text as written.
    pub(super) fn text<'s>(&self, sql: &'s str) -> &'s str {
        sql.get(self.at.clone()).unwrap_or_default()
    }

    /// What it names or says: without quotes, doubled ones undone.
    pub(super) fn value<'s>(&self, sql: &'s str) -> Cow<'s, str> {
        let text = self.text(sql);
        let quote = match self.kind {
            Kind::Quoted(quote) => quote,
            Kind::Text => '\'',
            _ => return text.into(),
        };
        let inner = text.get(1..text.len().saturating_sub(1)).unwrap_or_default();
        if quote != '[' && inner.contains(quote) {
            inner.replace(&format!("{quote}{quote}"), &quote.to_string()).into()
        } else {
            inner.into()
        }
    }
}

/// All tokens of a text, without space and comments.
pub(super) fn lex(sql: &str) -> Vec<Lexeme> {
    let bytes = sql.as_bytes();
    let mut lexemes = Vec::new();
    let mut start = 0;
    while start < bytes.len() {
        let (kind, len) = token(&bytes[start..]);
        let end = (start + len).min(bytes.len());
        if let Some(kind) = kind {
            lexemes.push(Lexeme { kind, at: start..end });
        }
        start = end;
    }
    lexemes
}

const fn is_word_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

const fn is_word_part(byte: u8) -> bool {
    is_word_start(byte) || byte.is_ascii_digit() || byte == b'$'
}

fn run(bytes: &[u8], of: fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|b| of(**b)).count()
}

/// The token that `bytes` begin with, `None` for space and comments, and its length, which is at least 1.
fn token(bytes: &[u8]) -> (Option<Kind>, usize) {
    let second = bytes.get(1).copied();
    let sign = |sign, len| (Some(Kind::Sign(sign)), len);
    let bad = |fault, len| (Some(Kind::Bad(fault)), len);
    match (bytes[0], second) {
        (b' ' | b'\t' | b'\n' | b'\x0c' | b'\r', _) => (None, 1),
        // A byte order mark is space to SQLite, wherever it stands.
        (0xef, _) if bytes.starts_with(b"\xef\xbb\xbf") => (None, 3),
        (b'-', Some(b'-')) => (None, run(bytes, |b| b != b'\n')),
        (b'-', Some(b'>')) if bytes.get(2) == Some(&b'>') => sign("->>", 3),
        (b'-', Some(b'>')) => sign("->", 2),
        (b'-', _) => sign("-", 1),
        (b'/', Some(b'*')) => match bytes[2..].windows(2).position(|pair| pair == b"*/") {
            Some(at) => (None, at + 4),
            // SQLite takes a comment without end; what it swallows was hardly meant as a comment.
            None => bad(Fault::UnclosedComment, bytes.len()),
        },
        (b'/', _) => sign("/", 1),
        (b'(', _) => sign("(", 1),
        (b')', _) => sign(")", 1),
        (b',', _) => sign(",", 1),
        (b';', _) => sign(";", 1),
        (b'+', _) => sign("+", 1),
        (b'*', _) => sign("*", 1),
        (b'%', _) => sign("%", 1),
        (b'&', _) => sign("&", 1),
        (b'~', _) => sign("~", 1),
        (b'|', Some(b'|')) => sign("||", 2),
        (b'|', _) => sign("|", 1),
        (b'=', Some(b'=')) => sign("=", 2),
        (b'=', _) => sign("=", 1),
        (b'!', Some(b'=')) | (b'<', Some(b'>')) => sign("!=", 2),
        (b'<', Some(b'=')) => sign("<=", 2),
        (b'<', Some(b'<')) => sign("<<", 2),
        (b'<', _) => sign("<", 1),
        (b'>', Some(b'=')) => sign(">=", 2),
        (b'>', Some(b'>')) => sign(">>", 2),
        (b'>', _) => sign(">", 1),
        (b'.', Some(b'0'..=b'9')) | (b'0'..=b'9', _) => number(bytes),
        (b'.', _) => sign(".", 1),
        (b'?', _) => (Some(Kind::Parameter), 1 + run(&bytes[1..], |b| b.is_ascii_digit())),
        (b':' | b'@' | b'$', _) => {
            let len = 1 + run(&bytes[1..], is_word_part);
            // `$name(…)` and `$a::b` are Tcl's variables, which nobody here can give a value.
            match bytes.get(len) {
                Some(b'(') => bad(Fault::Parameter, len),
                Some(b':') if bytes.get(len + 1) == Some(&b':') => bad(Fault::Parameter, len),
                _ if len == 1 => bad(Fault::Parameter, 1 + usize::from(second == Some(b':'))),
                _ => (Some(Kind::Parameter), len),
            }
        }
        (b'\'', _) => match quoted(bytes) {
            Some(len) => (Some(Kind::Text), len),
            None => bad(Fault::Unclosed('\''), bytes.len()),
        },
        (quote @ (b'"' | b'`'), _) => match quoted(bytes) {
            Some(len) => (Some(Kind::Quoted(char::from(quote))), len),
            None => bad(Fault::Unclosed(char::from(quote)), bytes.len()),
        },
        (b'[', _) => match bytes.iter().position(|b| *b == b']') {
            Some(at) => (Some(Kind::Quoted('[')), at + 1),
            None => bad(Fault::Unclosed('['), bytes.len()),
        },
        (b'x' | b'X', Some(b'\'')) => {
            let digits = run(&bytes[2..], |b| b.is_ascii_hexdigit());
            let closed = bytes.get(2 + digits) == Some(&b'\'');
            if closed && digits % 2 == 0 {
                (Some(Kind::Blob), digits + 3)
            } else {
                bad(Fault::Blob, 2 + digits + usize::from(closed))
            }
        }
        (first, _) if is_word_start(first) => (Some(Kind::Word), run(bytes, is_word_part)),
        _ => bad(Fault::Character, 1),
    }
}

/// The length of a quoted token; a doubled quote stands for itself.
fn quoted(bytes: &[u8]) -> Option<usize> {
    let quote = bytes[0];
    let mut at = 1;
    loop {
        at += bytes.get(at..)?.iter().position(|b| *b == quote)? + 1;
        if bytes.get(at) != Some(&quote) {
            return Some(at);
        }
        at += 1;
    }
}

fn number(bytes: &[u8]) -> (Option<Kind>, usize) {
    let digits =
        |from: usize| run(bytes.get(from..).unwrap_or_default(), |b| b.is_ascii_digit() || b == b'_');
    let mut len;
    if matches!(bytes, [b'0', b'x' | b'X', digit, ..] if digit.is_ascii_hexdigit()) {
        len = 2 + run(&bytes[2..], |b| b.is_ascii_hexdigit() || b == b'_');
    } else {
        len = digits(0);
        if bytes.get(len) == Some(&b'.') {
            len += 1 + digits(len + 1);
        }
        if matches!(bytes.get(len), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(len + 1), Some(b'+' | b'-')));
            if matches!(bytes.get(len + 1 + sign), Some(b'0'..=b'9')) {
                len += 1 + sign + digits(len + 1 + sign);
            }
        }
    }
    match run(bytes.get(len..).unwrap_or_default(), is_word_part) {
        0 => (Some(Kind::Number), len),
        rest => (Some(Kind::Bad(Fault::Number)), len + rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(sql: &str) -> Vec<(Kind, &str)> {
        lex(sql).iter().map(|l| (l.kind, l.text(sql))).collect()
    }

    #[test]
    fn every_token_of_sqlite_is_cut_as_sqlite_cuts_it() {
        use Kind::{Blob, Number, Parameter, Quoted, Sign, Text, Word};
        let cases: &[(&str, &[(Kind, &str)])] = &[
            ("a1$_ é", &[(Word, "a1$_"), (Word, "é")]),
            ("'it''s' ''", &[(Text, "'it''s'"), (Text, "''")]),
            (
                r#""a""b" `c` [d"]"#,
                &[(Quoted('"'), r#""a""b""#), (Quoted('`'), "`c`"), (Quoted('['), "[d\"]")],
            ),
            ("x'0aFF' x", &[(Blob, "x'0aFF'"), (Word, "x")]),
            (
                "1 .5 1. 1.5e-3 0xFF 1_000",
                &[
                    (Number, "1"),
                    (Number, ".5"),
                    (Number, "1."),
                    (Number, "1.5e-3"),
                    (Number, "0xFF"),
                    (Number, "1_000"),
                ],
            ),
            (
                "? ?12 :a @b $c",
                &[
                    (Parameter, "?"),
                    (Parameter, "?12"),
                    (Parameter, ":a"),
                    (Parameter, "@b"),
                    (Parameter, "$c"),
                ],
            ),
            (
                "a->>'b'->c-1",
                &[
                    (Word, "a"),
                    (Sign("->>"), "->>"),
                    (Text, "'b'"),
                    (Sign("->"), "->"),
                    (Word, "c"),
                    (Sign("-"), "-"),
                    (Number, "1"),
                ],
            ),
            (
                "== <> != <= >= << >> || |",
                &[
                    (Sign("="), "=="),
                    (Sign("!="), "<>"),
                    (Sign("!="), "!="),
                    (Sign("<="), "<="),
                    (Sign(">="), ">="),
                    (Sign("<<"), "<<"),
                    (Sign(">>"), ">>"),
                    (Sign("||"), "||"),
                    (Sign("|"), "|"),
                ],
            ),
        ];
        for (sql, expected) in cases {
            assert_eq!(kinds(sql), *expected, "{sql}");
        }
    }

    #[test]
    fn comments_neither_nest_nor_need_a_space() {
        assert_eq!(
            kinds("a--b\nc/*/* x */d/**/e --"),
            [(Kind::Word, "a"), (Kind::Word, "c"), (Kind::Word, "d"), (Kind::Word, "e")]
        );
        assert_eq!(kinds("a /*/"), [(Kind::Word, "a"), (Kind::Bad(Fault::UnclosedComment), "/*/")]);
    }

    #[test]
    fn what_is_no_token_is_marked() {
        for (sql, fault) in [
            ("'a", Fault::Unclosed('\'')),
            ("\"a", Fault::Unclosed('"')),
            ("[a", Fault::Unclosed('[')),
            ("1abc", Fault::Number),
            ("1e", Fault::Number),
            ("x'abc'", Fault::Blob),
            ("::text", Fault::Parameter),
            ("$f(x)", Fault::Parameter),
            ("!", Fault::Character),
            ("{", Fault::Character),
            ("#1", Fault::Character),
            ("\0", Fault::Character),
        ] {
            assert_eq!(lex(sql)[0].kind, Kind::Bad(fault), "{sql}");
        }
    }

    #[test]
    fn a_value_is_without_its_quotes() {
        let sql = r#"'it''s' "a""b" [c''] d"#;
        let values: Vec<_> = lex(sql).iter().map(|l| l.value(sql).into_owned()).collect();
        assert_eq!(values, ["it's", "a\"b", "c''", "d"]);
    }
}
