//! Configuration files, read with a bound.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use collector::{Contents, Host, or_note};
use model::Run;

use crate::homes::{self, Home};

/// The largest configuration file that is read, in bytes.
const TEXT_FILE_MAX: u64 = 16 << 20;

/// A configuration file's whole content. Anything but a regular file is refused, since some of them lie in
/// directories that ordinary users write to.
pub(crate) fn read(host: &Host, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    whole(host.contents(path)?)
}

/// As [`read`], for the user of a home; of nobody's home for everybody.
pub(crate) fn read_for(host: &Host, home: Option<&Home>, path: &Path) -> io::Result<Vec<u8>> {
    match home {
        Some(home) => whole(homes::open(host, home, path)?),
        None => read(host, path),
    }
}

fn whole(contents: Contents) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    contents.take(TEXT_FILE_MAX + 1).read_to_end(&mut content)?;
    if content.len() as u64 > TEXT_FILE_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 16 MiB"));
    }
    Ok(content)
}

/// As [`read`], but empty when the file does not exist, and empty with a note when it cannot be read.
pub(crate) fn read_or_note(host: &Host, run: &Run, table: &'static str, path: impl AsRef<Path>) -> Vec<u8> {
    or_note(read(host, path), run, table, "").unwrap_or_default()
}

/// The paths of the regular files in a directory, sorted, links followed: none when it does not exist, none with a
/// note when it cannot be read.
pub(crate) fn files_or_note(host: &Host, run: &Run, table: &'static str, directory: &Path) -> Vec<PathBuf> {
    let is_file = |path: &PathBuf| or_note(host.stat(path), run, table, "").is_some_and(|m| m.is_file());
    paths_or_note(host, run, table, directory).into_iter().filter(is_file).collect()
}

/// The paths of all names in a directory, sorted: none when it does not exist, none with a note when it cannot be
/// read.
pub(crate) fn paths_or_note(host: &Host, run: &Run, table: &'static str, directory: &Path) -> Vec<PathBuf> {
    let entries = or_note(host.list_sorted(directory), run, table, "").unwrap_or_default();
    entries.into_iter().map(|entry| directory.join(entry.name)).collect()
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
}
