//! Data made harmless for a terminal.
//!
//! What a machine holds is written by whoever uses it: a process names itself, a file name is any bytes. Sent
//! raw, a control sequence repaints the screen or sets the clipboard, and an invisible or direction-changing
//! character makes one name look like another. Here each such character becomes visible text.

use std::borrow::Cow;
use std::fmt::Write;
use std::ops::Range;

/// Whether a character steers a terminal, changes the direction of text, or cannot be seen.
pub const fn is_hostile(c: char) -> bool {
    matches!(c,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        // Soft hyphen, Arabic letter mark, Hangul fillers, Mongolian vowel separator.
        | '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{3164}' | '\u{ffa0}'
        // Zero width, directional marks, line and paragraph separators, embeddings, overrides, isolates.
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        // Byte order mark, interlinear annotation, tags.
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Appends bytes as text, with what is hostile or not UTF-8 as `\n`, `\x1b`, `\u{202e}`, `\xff`.
pub fn push(bytes: &[u8], out: &mut String) {
    for chunk in bytes.utf8_chunks() {
        push_str(chunk.valid(), out);
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
}

fn push_str(text: &str, out: &mut String) {
    let mut plain = 0;
    for (at, c) in text.char_indices().filter(|(_, c)| is_hostile(*c)) {
        out.push_str(&text[plain..at]);
        plain = at + c.len_utf8();
        let _ = match c {
            '\n' => write!(out, "\\n"),
            '\r' => write!(out, "\\r"),
            '\t' => write!(out, "\\t"),
            '\0'..='\u{7f}' => write!(out, "\\x{:02x}", c as u32),
            _ => write!(out, "\\u{{{:x}}}", c as u32),
        };
    }
    out.push_str(&text[plain..]);
}

/// A text on one line, harmless.
pub fn line(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hostile) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    push_str(text, &mut out);
    Cow::Owned(out)
}

/// A text with its line breaks, otherwise harmless; a tab becomes a space.
pub fn lines(text: &str) -> String {
    source(text, None).0
}

/// SQL text with its line breaks, otherwise harmless, and where a place in it has moved to.
pub fn source(text: &str, place: Option<Range<usize>>) -> (String, Option<Range<usize>>) {
    let mut out = String::with_capacity(text.len());
    let mut moved = place.as_ref().map(|_| (None, None));
    for (at, c) in text.char_indices().chain([(text.len(), '\0')]) {
        if let (Some(place), Some((start, end))) = (&place, &mut moved) {
            if start.is_none() && at >= place.start {
                *start = Some(out.len());
            }
            if end.is_none() && at >= place.end {
                *end = Some(out.len());
            }
        }
        match c {
            _ if at == text.len() => {}
            '\n' => out.push('\n'),
            '\t' => out.push(' '),
            c => push_str(c.encode_utf8(&mut [0; 4]), &mut out),
        }
    }
    let length = out.len();
    let moved = moved.map(|(start, end)| start.unwrap_or(length)..end.unwrap_or(length));
    (out, moved)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(bytes: &[u8]) -> String {
        let mut out = String::new();
        push(bytes, &mut out);
        out
    }

    #[test]
    fn control_sequences_and_invisible_characters_become_visible() {
        assert_eq!(cleaned(b"a\x1b]0;owned\x07b\n\t\r\0"), r"a\x1b]0;owned\x07b\n\t\r\x00");
        assert_eq!(
            cleaned("\u{9b}31m \u{202e}txt.exe\u{2066}".as_bytes()),
            r"\u{9b}31m \u{202e}txt.exe\u{2066}"
        );
        assert_eq!(cleaned("pay\u{200b}pal\u{feff}\u{e0041}".as_bytes()), r"pay\u{200b}pal\u{feff}\u{e0041}");
    }

    #[test]
    fn bytes_that_are_not_utf8_are_all_shown() {
        assert_eq!(cleaned(b"caf\xe9\xff ok \xf0\x9f"), r"caf\xe9\xff ok \xf0\x9f");
    }

    #[test]
    fn ordinary_text_of_any_script_stays() {
        for text in ["naïve 日本語 🦀", "C:\\dir\\n", ""] {
            assert_eq!(cleaned(text.as_bytes()), text);
            assert_eq!(line(text), text);
        }
    }

    #[test]
    fn a_place_moves_with_the_text_before_it() {
        let sql = "SELECT '\x1b',\n\tnmae";
        let at = sql.find("nmae").unwrap();
        let (clean, moved) = source(sql, Some(at..at + 4));
        assert_eq!(clean, "SELECT '\\x1b',\n nmae");
        assert_eq!(&clean[moved.unwrap()], "nmae");
        let (clean, moved) = source("é\x01", Some(0..3));
        assert_eq!(&clean[moved.unwrap()], "é\\x01");
        assert_eq!(source("ab", Some(9..12)).1, Some(2..2));
    }
}
