//! What could not be read: which errors are worth a note, and their words.

use std::io;

use model::Run;

/// Whether an error only says that the thing is not there (any more), which makes a skipped row and not a note.
///
/// A path through something that is no directory (a home of `/dev/null`) leads to nothing either.
pub fn vanished(error: &io::Error) -> bool {
    const ESRCH: i32 = rustix::io::Errno::SRCH.raw_os_error();
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        || error.raw_os_error() == Some(ESRCH)
}

/// An error in a few words, for a note: `permission denied`.
pub fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::NotFound => "not found".into(),
        _ if error.raw_os_error().is_none() => error.to_string(),
        kind => kind.to_string(),
    }
}

/// Notes why a value of `table.column` (or a row, when `column` is empty) could not be read, unless it is only
/// not there.
pub fn note(run: &Run, table: &'static str, column: &'static str, error: &io::Error) {
    if !vanished(error) {
        run.note(table, column, reason(error));
    }
}

/// What was read, or `None` with a [`note`].
pub fn or_note<T>(read: io::Result<T>, run: &Run, table: &'static str, column: &'static str) -> Option<T> {
    read.inspect_err(|error| note(run, table, column, error)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_thing_makes_no_note_and_an_unreadable_one_does() {
        let run = Run::unlimited();
        for missing in [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory] {
            assert_eq!(or_note(Err::<(), _>(missing.into()), &run, "t", "c"), None);
        }
        assert_eq!(run.notes(), []);
        assert_eq!(or_note(Err::<(), _>(io::ErrorKind::PermissionDenied.into()), &run, "t", "c"), None);
        assert_eq!(run.notes()[0].reason, "permission denied");
    }
}
