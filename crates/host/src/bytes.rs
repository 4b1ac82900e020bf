//! Text of the machine as bytes, since neither a path nor a comment need be UTF-8: its lines, words and numbers.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::str::FromStr;

/// A path of any bytes.
pub(crate) fn path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// The parts of a text between newlines. After a newline at its end comes an empty one.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|b| *b == b'\n')
}

/// As [`lines`], without blanks (and carriage returns) at their ends.
pub(crate) fn trimmed_lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    lines(text).map(<[u8]>::trim_ascii)
}

/// The parts of a text between blanks.
pub(crate) fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

/// The first word of a text, and the rest without blanks around it.
pub(crate) fn first_word(text: &[u8]) -> (&[u8], &[u8]) {
    let text = text.trim_ascii_start();
    let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
    (&text[..end], text[end..].trim_ascii())
}

/// What is before and after the first `separator`.
pub(crate) fn split_once(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|b| *b == separator)?;
    Some((&text[..at], &text[at + 1..]))
}

/// A number in decimal digits alone; `parse` of the standard library would take a sign.
pub(crate) fn decimal<N: FromStr>(digits: &[u8]) -> Option<N> {
    let all_digits = digits.iter().all(u8::is_ascii_digit);
    all_digits.then(|| std::str::from_utf8(digits).ok()?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carriage_returns_are_not_part_of_a_trimmed_line() {
        assert_eq!(trimmed_lines(b" a b\r\n\r\nc").collect::<Vec<_>>(), [&b"a b"[..], b"", b"c"]);
        assert_eq!(lines(b"a\r\n").collect::<Vec<_>>(), [&b"a\r"[..], b""]);
    }

    #[test]
    fn words_lie_between_blanks() {
        assert_eq!(words(b" a\t\xff  b\r").collect::<Vec<_>>(), [&b"a"[..], b"\xff", b"b"]);
        assert_eq!(words(b" \t").count(), 0);
    }

    #[test]
    fn a_first_word_may_be_all_there_is() {
        assert_eq!(first_word(b" root\tALL = x "), (&b"root"[..], &b"ALL = x"[..]));
        assert_eq!(first_word(b"root"), (&b"root"[..], &b""[..]));
        assert_eq!(first_word(b" \t"), (&b""[..], &b""[..]));
    }

    #[test]
    fn a_text_is_split_at_the_first_separator() {
        assert_eq!(split_once(b"a=b=c", b'='), Some((&b"a"[..], &b"b=c"[..])));
        assert_eq!(split_once(b"abc", b'='), None);
    }

    #[test]
    fn only_digits_are_a_number() {
        assert_eq!((decimal(b"42"), decimal::<u8>(b"256")), (Some(42), None));
        for other in [&b"-1"[..], b"+1", b"1a", b"self", b"", b"\xff", b"99999999999999999999"] {
            assert_eq!(decimal::<i64>(other), None, "{other:?}");
        }
    }
}
