//! SQL as tokens, just enough to cut statements apart, to colour them and to complete them.
//!
//! Every byte of a text belongs to exactly one token, and no text is an error: what a person is still typing
//! has to be read too. Quoting follows SQLite's tokenizer (sqlite.org/lang_expr.html, tokenize.c).

use std::ops::Range;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Space,
    /// `-- …` to the end of the line, or `/* … */`.
    Comment,
    /// A keyword or a name.
    Word,
    /// A name in double quotes, backticks or brackets; in double quotes it may be a string too.
    QuotedName,
    /// A string in single quotes, or a blob.
    Text,
    Number,
    /// `:name`, `@name`, `$name` or `?1`.
    Parameter,
    Symbol,
}

/// A token and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) place: Range<usize>,
    /// Whether a quote or a comment lacks its end.
    pub(crate) open: bool,
}

/// The tokens of a text.
pub(crate) fn tokens(text: &str) -> impl Iterator<Item = Token> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
        let (kind, length, open) = first(rest);
        let place = at..at + length;
        at += length;
        Some(Token { kind, place, open })
    })
}

fn first(rest: &str) -> (Kind, usize, bool) {
    let whole = |kind, length| (kind, length, false);
    let mut chars = rest.chars();
    let (one, two) = (chars.next().unwrap_or_default(), chars.next());
    match one {
        c if c.is_whitespace() => whole(Kind::Space, run(rest, char::is_whitespace)),
        '-' if two == Some('-') => whole(Kind::Comment, rest.find('\n').unwrap_or(rest.len())),
        '/' if two == Some('*') => match rest[2..].find("*/") {
            Some(end) => whole(Kind::Comment, end + 4),
            None => (Kind::Comment, rest.len(), true),
        },
        '\'' => quoted(Kind::Text, rest, 0, '\''),
        'x' | 'X' if two == Some('\'') => quoted(Kind::Text, rest, 1, '\''),
        '"' | '`' => quoted(Kind::QuotedName, rest, 0, one),
        '[' => match rest.find(']') {
            Some(end) => whole(Kind::QuotedName, end + 1),
            None => (Kind::QuotedName, rest.len(), true),
        },
        '0'..='9' => whole(Kind::Number, number(rest)),
        '.' if two.is_some_and(|c| c.is_ascii_digit()) => whole(Kind::Number, number(rest)),
        ':' | '@' | '$' if two.is_some_and(is_name) => whole(Kind::Parameter, 1 + run(&rest[1..], is_name)),
        '?' => whole(Kind::Parameter, 1 + run(&rest[1..], |c| c.is_ascii_digit())),
        c if is_name(c) => whole(Kind::Word, run(rest, is_name)),
        c => whole(Kind::Symbol, c.len_utf8()),
    }
}

/// Whether a character can be part of a name.
pub(crate) fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii() && !c.is_whitespace()
}

fn run(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

/// Digits, a fraction and an exponent with its sign; `0x1F` too.
fn number(text: &str) -> usize {
    let mut before = ' ';
    let belongs = |c: char| {
        let hex = text.starts_with("0x") || text.starts_with("0X");
        let signed = matches!(c, '+' | '-') && matches!(before, 'e' | 'E') && !hex;
        before = c;
        c.is_ascii_alphanumeric() || c == '.' || c == '_' || signed
    };
    let mut belongs = belongs;
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

/// A quoted run, in which the quote doubled stands for itself.
fn quoted(kind: Kind, text: &str, start: usize, quote: char) -> (Kind, usize, bool) {
    let mut at = start + 1;
    while let Some(found) = text[at..].find(quote) {
        at += found + 1;
        if !text[at..].starts_with(quote) {
            return (kind, at, false);
        }
        at += 1;
    }
    (kind, text.len(), true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(Kind, &str)> {
        tokens(text).filter(|t| t.kind != Kind::Space).map(|t| (t.kind, &text[t.place])).collect()
    }

    #[test]
    fn each_kind_is_told_apart() {
        use Kind::*;
        let found =
            kinds("SELECT p.\"a\"\"b\", 'it''s', x'00', 1.5e-3, .5, 0x1F, :pid [q] -- c\n/* d */ ?1;");
        let expected = [
            (Word, "SELECT"),
            (Word, "p"),
            (Symbol, "."),
            (QuotedName, "\"a\"\"b\""),
            (Symbol, ","),
            (Text, "'it''s'"),
            (Symbol, ","),
            (Text, "x'00'"),
            (Symbol, ","),
            (Number, "1.5e-3"),
            (Symbol, ","),
            (Number, ".5"),
            (Symbol, ","),
            (Number, "0x1F"),
            (Symbol, ","),
            (Parameter, ":pid"),
            (QuotedName, "[q]"),
            (Comment, "-- c"),
            (Comment, "/* d */"),
            (Parameter, "?1"),
            (Symbol, ";"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn every_byte_belongs_to_one_token_whatever_the_text() {
        let hostile =
            ["'", "''", "'''", "\"", "`", "[", "/*", "/*/", "--", "é'é", "1e", "x'", ":", "?", "\u{202e}"];
        for a in hostile {
            for b in hostile {
                let text = format!("{a}{b} {a}");
                let mut end = 0;
                for token in tokens(&text) {
                    assert_eq!(token.place.start, end, "{text:?}");
                    assert!(token.place.end > end, "{text:?}");
                    end = token.place.end;
                }
                assert_eq!(end, text.len(), "{text:?}");
            }
        }
    }

    #[test]
    fn what_lacks_its_end_is_open() {
        for text in ["'a", "'a''", "\"a", "[a", "/* a", "x'"] {
            assert!(tokens(text).last().unwrap().open, "{text}");
        }
        for text in ["'a'", "''", "-- a", "/**/", "[]"] {
            assert!(!tokens(text).last().unwrap().open, "{text}");
        }
    }
}
