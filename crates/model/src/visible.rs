//! Bytes of the machine, made safe to look at.

use std::fmt::Write;

/// Text in which nothing can act on a terminal, hide, or reorder what stands around it.
///
/// Control characters, characters that change the direction of text or take no room, and bytes that are not
/// UTF-8 are written as `\n`, `\t`, `\r`, `\x1b`, `\u{202e}`. A backslash stays as it is: this form is to be
/// looked at, and the bytes are in the JSON output.
pub fn visible(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => shown.push_str("\\n"),
                '\r' => shown.push_str("\\r"),
                '\t' => shown.push_str("\\t"),
                c if c.is_ascii_control() => _ = write!(shown, "\\x{:02x}", u32::from(c)),
                c if c.is_control() || misleads(c) => _ = write!(shown, "\\u{{{:x}}}", u32::from(c)),
                c => shown.push(c),
            }
        }
        for byte in chunk.invalid() {
            _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

/// Format characters (Unicode category Cf), separators of lines, and letters that show as nothing.
const fn misleads(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_act_on_is_written_out() {
        assert_eq!(visible(b"a\x1b[2Jb\0\x7f"), "a\\x1b[2Jb\\x00\\x7f");
        assert_eq!(visible(b"one\ntwo\tthree\r"), "one\\ntwo\\tthree\\r");
        assert_eq!(visible("\u{9b}31m \u{202e}txt\u{200b}".as_bytes()), "\\u{9b}31m \\u{202e}txt\\u{200b}");
    }

    #[test]
    fn bytes_that_are_not_utf8_are_kept_apart() {
        assert_eq!(visible(b"/tmp/\xff\xc3x"), "/tmp/\\xff\\xc3x");
    }

    #[test]
    fn ordinary_text_stays_as_it_is() {
        let text = r"C:\x grep '\.' Grüße 日本 é 🦀";
        assert_eq!(visible(text.as_bytes()), text);
    }
}
