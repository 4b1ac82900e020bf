//! Configuration files of lines: read with a bound, and split.

use std::io::{self, Read};
use std::path::Path;

use collector::{Host, reason, vanished};
use model::Run;

/// The largest configuration file that is read, in bytes.
const TEXT_FILE_MAX: u64 = 16 << 20;

/// A configuration file's whole content. Anything but a regular file is refused, since some of them lie in
/// directories that ordinary users write to.
pub(crate) fn read(host: &Host, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    host.contents(path)?.take(TEXT_FILE_MAX + 1).read_to_end(&mut content)?;
    if content.len() as u64 > TEXT_FILE_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 16 MiB"));
    }
    Ok(content)
}

/// As [`read`], but empty when the file does not exist, and empty with a note when it cannot be read.
pub(crate) fn read_or_note(host: &Host, run: &Run, table: &'static str, path: impl AsRef<Path>) -> Vec<u8> {
    read(host, path).unwrap_or_else(|error| {
        note(run, table, &error);
        Vec::new()
    })
}

/// The paths of the regular files in a directory, sorted, links followed: none when it does not exist, none with a
/// note when it cannot be read.
pub(crate) fn files_or_note(
    host: &Host,
    run: &Run,
    table: &'static str,
    directory: &Path,
) -> Vec<std::path::PathBuf> {
    let entries = host.list_sorted(directory).unwrap_or_else(|error| {
        note(run, table, &error);
        Vec::new()
    });
    let paths = entries.into_iter().map(|entry| directory.join(entry.name));
    let is_file = |path: &std::path::PathBuf| match host.stat(path) {
        Ok(metadata) => metadata.is_file(),
        Err(error) => {
            note(run, table, &error);
            false
        }
    };
    paths.filter(is_file).collect()
}

/// Notes that rows are missing, unless the thing is merely not there (a home of `/dev/null` has nothing in it).
pub(crate) fn note(run: &Run, table: &'static str, error: &io::Error) {
    if !vanished(error) && error.kind() != io::ErrorKind::NotADirectory {
        run.note(table, "", reason(error));
    }
}

/// The lines of a file, without blanks (and carriage returns) at their ends.
pub(crate) fn lines(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    content.split(|b| *b == b'\n').map(<[u8]>::trim_ascii)
}

/// The first word of a text and the rest after the blanks that follow it.
pub(crate) fn first_word(text: &[u8]) -> (&[u8], &[u8]) {
    let text = text.trim_ascii_start();
    let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
    (&text[..end], text[end..].trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_read() {
        assert_eq!(read(&Host::live(), "/dev/zero").unwrap_err().to_string(), "a character device");
        assert_eq!(read(&Host::live(), "/tmp").unwrap_err().to_string(), "a directory");
    }

    #[test]
    fn a_missing_file_is_silent_and_an_unreadable_one_is_noted() {
        let run = Run::unlimited();
        assert_eq!(read_or_note(&Host::live(), &run, "t", "/no/such/file"), b"");
        assert_eq!(run.notes(), []);
        assert_eq!(read_or_note(&Host::live(), &run, "t", "/"), b"");
        assert_eq!(run.notes()[0].reason, "a directory");
    }

    #[test]
    fn carriage_returns_are_not_part_of_a_line() {
        assert_eq!(lines(b" a b\r\n\r\nc").collect::<Vec<_>>(), [&b"a b"[..], b"", b"c"]);
    }

    #[test]
    fn a_first_word_may_be_all_there_is() {
        assert_eq!(first_word(b" root\tALL = x "), (&b"root"[..], &b"ALL = x"[..]));
        assert_eq!(first_word(b"root"), (&b"root"[..], &b""[..]));
        assert_eq!(first_word(b" \t"), (&b""[..], &b""[..]));
    }
}
