//! How shells write their histories: one reader for the forms that [`Format`] describes.

use std::io::Read;

use model::ScanError;

use crate::bytes;
use crate::lines::{LINE_BYTES_MAX, Lines};

/// How a history is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Format {
    /// A command a line. bash (HISTTIMEFORMAT) writes `#SECONDS` before it, tcsh `#+SECONDS`; ksh ends
    /// commands with a NUL too.
    Plain,
    /// `: SECONDS:DURATION;COMMAND` (EXTENDED_HISTORY) or the command alone. A newline within it follows a
    /// backslash, and bytes that are special to zsh are 0x83 and the byte with bit 5 flipped (Src/utils.c,
    /// unmetafy).
    Zsh,
    /// `- cmd: COMMAND`, then `  when: SECONDS` and more; `\n` and `\\` are escapes.
    Fish,
}

/// One command of a history.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Command {
    /// Seconds since 1970.
    pub(crate) time: Option<i64>,
    pub(crate) text: Vec<u8>,
}

/// The commands of a history, one at a time.
pub(crate) struct Reader<R> {
    lines: Lines<R>,
    format: Format,
    pushed_back: Option<Vec<u8>>,
}

impl<R: Read> Reader<R> {
    pub(crate) fn new(lines: Lines<R>, format: Format) -> Reader<R> {
        Reader { lines, format, pushed_back: None }
    }

    /// The next command; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Command>, ScanError> {
        match self.format {
            Format::Plain => self.plain(),
            Format::Zsh => self.zsh(),
            Format::Fish => self.fish(),
        }
    }

    fn line(&mut self) -> Result<Option<Vec<u8>>, ScanError> {
        match self.pushed_back.take() {
            Some(line) => Ok(Some(line)),
            None => Ok(self.lines.read()?.map(|line| line.bytes)),
        }
    }

    fn plain(&mut self) -> Result<Option<Command>, ScanError> {
        let mut time = None;
        while let Some(line) = self.line()? {
            let text = ksh_text(&line);
            match stamp(text) {
                Some(seconds) => time = Some(seconds),
                None if text.is_empty() => {}
                None => return Ok(Some(Command { time, text: text.to_vec() })),
            }
        }
        Ok(None)
    }

    fn zsh(&mut self) -> Result<Option<Command>, ScanError> {
        while let Some(mut line) = self.line()? {
            while continues(&line) && line.len() < LINE_BYTES_MAX {
                let Some(more) = self.line()? else { break };
                line.pop();
                line.push(b'\n');
                line.extend(more);
            }
            let (time, text) = match extended(&line) {
                Some((seconds, text)) => (Some(seconds), unmetafied(text)),
                None => (None, unmetafied(&line)),
            };
            if !text.is_empty() {
                return Ok(Some(Command { time, text }));
            }
        }
        Ok(None)
    }

    fn fish(&mut self) -> Result<Option<Command>, ScanError> {
        let mut command = None::<Command>;
        while let Some(line) = self.line()? {
            if let Some(text) = line.strip_prefix(b"- cmd: ") {
                if command.is_some() {
                    self.pushed_back = Some(line);
                    return Ok(command);
                }
                command = Some(Command { time: None, text: unescaped(text) });
            } else if let (Some(command), Some(when)) = (&mut command, line.strip_prefix(b"  when: ")) {
                command.time = bytes::decimal(when);
            }
        }
        Ok(command)
    }
}

/// The time in a line that bash or tcsh writes before a command.
fn stamp(line: &[u8]) -> Option<i64> {
    let digits = line.strip_prefix(b"#")?;
    bytes::decimal(digits.strip_prefix(b"+").unwrap_or(digits))
}

/// A line of ksh without the NULs and the two bytes that a file begins with (sh_history(5) of ksh93).
fn ksh_text(line: &[u8]) -> &[u8] {
    let line = line.strip_prefix(b"\x81\x01").unwrap_or(line);
    let start = line.iter().position(|b| *b != 0).unwrap_or(line.len());
    let end = line.iter().rposition(|b| *b != 0).map_or(start, |last| last + 1);
    &line[start..end]
}

/// Whether a newline that follows the line belongs to the command: it ends in an odd number of backslashes.
fn continues(line: &[u8]) -> bool {
    line.iter().rev().take_while(|b| **b == b'\\').count() % 2 == 1
}

fn extended(line: &[u8]) -> Option<(i64, &[u8])> {
    let (times, text) = bytes::split_once(line.strip_prefix(b":")?, b';')?;
    let (began, took) = bytes::split_once(times, b':')?;
    let _seconds: i64 = bytes::decimal(took)?;
    Some((bytes::decimal(began.trim_ascii())?, text))
}

fn unmetafied(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match (byte, bytes.as_slice().first()) {
            (0x83, Some(meta)) => {
                plain.push(meta ^ 0x20);
                bytes.next();
            }
            _ => plain.push(*byte),
        }
    }
    plain
}

fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match (byte, bytes.as_slice().first()) {
            (b'\\', Some(escaped @ (b'n' | b'\\'))) => {
                plain.push(if *escaped == b'n' { b'\n' } else { b'\\' });
                bytes.next();
            }
            _ => plain.push(*byte),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Run;

    fn commands(content: &[u8], format: Format) -> Vec<(Option<i64>, String)> {
        let mut reader =
            Reader::new(Lines::new(content, &Run::unlimited(), "t", u64::MAX, LINE_BYTES_MAX), format);
        let text = |c: Command| (c.time, String::from_utf8(c.text).unwrap());
        std::iter::from_fn(|| reader.next().unwrap()).map(text).collect()
    }

    fn command(time: impl Into<Option<i64>>, text: &str) -> (Option<i64>, String) {
        (time.into(), text.into())
    }

    #[test]
    fn bash_and_tcsh_note_the_time_on_the_line_before() {
        let expected = [command(None, "ls"), command(1700000000, "id"), command(None, "# a comment")];
        assert_eq!(commands(b"ls\n\n#1700000000\nid\n# a comment\n", Format::Plain), expected);
        assert_eq!(commands(b"#+1700000000\nid\n#+17", Format::Plain), [command(1700000000, "id")]);
    }

    #[test]
    fn ksh_ends_commands_with_a_nul() {
        let expected = [command(None, "ls"), command(None, "id")];
        assert_eq!(commands(b"\x81\x01ls\n\0id\n\0\0", Format::Plain), expected);
    }

    #[test]
    fn zsh_commands_may_have_times_newlines_and_meta_bytes() {
        let content = b": 1700000000:12;for x\\\ndo y\nplain; x\n: not:one;z\necho \x83\xa3\n";
        let mut reader = Reader::new(Lines::new(&content[..], &Run::unlimited(), "t", 999, 999), Format::Zsh);
        let mut next = || reader.next().unwrap().map(|c| (c.time, c.text));
        assert_eq!(next(), Some((Some(1700000000), b"for x\ndo y".to_vec())));
        assert_eq!(next(), Some((None, b"plain; x".to_vec())));
        assert_eq!(next(), Some((None, b": not:one;z".to_vec())));
        assert_eq!(next(), Some((None, b"echo \x83".to_vec())));
        assert_eq!(next(), None);
    }

    #[test]
    fn fish_writes_a_small_yaml() {
        let content = b"- cmd: echo a\\nb \\\\n\n  when: 1700000000\n  paths:\n    - /x\n- cmd: id\n";
        let expected = [command(1700000000, "echo a\nb \\n"), command(None, "id")];
        assert_eq!(commands(content, Format::Fish), expected);
    }
}
