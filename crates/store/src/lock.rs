//! One agent per state directory.
#![allow(
    clippy::disallowed_methods,
    reason = "the state's own files are no part of the machine that is watched"
)]

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::StoreError;

/// Held as long as a process writes below a state directory. The kernel lets go of it however the process ends.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

impl StateLock {
    /// Takes the lock of a directory.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another process has it.
    pub fn take(directory: &Path) -> Result<StateLock, StoreError> {
        let path = directory.join("agent.lock");
        let file = File::options().create(true).append(true).open(&path);
        let file = file.map_err(|error| StoreError::io(&path, error))?;
        match file.try_lock() {
            Ok(()) => Ok(StateLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse(directory.to_owned())),
            Err(TryLockError::Error(error)) => Err(StoreError::io(&path, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_writer_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let held = StateLock::take(directory.path()).unwrap();
        let refused = StateLock::take(directory.path()).unwrap_err();
        assert!(refused.to_string().contains("another agent"), "{refused}");
        drop(held);
        assert!(StateLock::take(directory.path()).is_ok());
    }
}
