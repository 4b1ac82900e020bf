//! Why the store cannot do what it is asked.

use std::path::{Path, PathBuf};

/// Why the store cannot do what it is asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another program writes to this file.
    #[error("{} is in use by another agent: stop that one, or give this one a state directory of its own", .0.display())]
    InUse(PathBuf),
    /// A reader found a file that was not closed in order; only a writer may repair it.
    #[error("{} was not closed in order: start the agent, which repairs it, and ask again", .0.display())]
    NeedsRepair(PathBuf),
    /// The bytes are not what was written.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A later version of the program wrote it.
    #[error("{} was written by a later version (form {found}, this one knows {known}): start that version again", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The form of the file.
        found: u32,
        /// The latest form that this program knows.
        known: u32,
    },
    /// The disk has no room. What was acknowledged is kept; nothing of this change is.
    #[error("no space is left for {}: free some, the agent goes on by itself", .0.display())]
    Full(PathBuf),
    /// Reading or writing failed.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// What is asked for makes no sense in the state things are in; nothing was changed.
    #[error("{0}")]
    Refused(String),
}

impl StoreError {
    /// An error of redb in words of ours; `path` is the database's file.
    pub(crate) fn of(path: &Path, error: impl Into<redb::Error>) -> StoreError {
        let path = path.to_owned();
        match error.into() {
            redb::Error::DatabaseAlreadyOpen => StoreError::InUse(path),
            redb::Error::RepairAborted => StoreError::NeedsRepair(path),
            redb::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                StoreError::Damaged { path, what: error.to_string() }
            }
            redb::Error::Io(error) => StoreError::io(&path, error),
            error @ (redb::Error::PreviousIo | redb::Error::DatabaseClosed) => {
                StoreError::Io { path, error: std::io::Error::other(error.to_string()) }
            }
            error => StoreError::Damaged { path, what: error.to_string() },
        }
    }

    pub(crate) fn io(path: &Path, error: std::io::Error) -> StoreError {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                StoreError::Full(path.to_owned())
            }
            _ => StoreError::Io { path: path.to_owned(), error },
        }
    }
}
