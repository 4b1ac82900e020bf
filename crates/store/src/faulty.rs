//! A disk for tests that fails, tears writes and loses its power.

use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};

use redb::{BackendError, StorageBackend};

/// What becomes of the operation that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nothing of it happens.
    Error,
    /// Half of a write happens.
    Torn,
}

#[derive(Debug, Default)]
struct Inner {
    /// What programs see.
    now: Vec<u8>,
    /// What survives a loss of power: the state of the last sync.
    synced: Vec<u8>,
    /// Writes and changes of length since then, in order.
    since: Vec<Change>,
    operations: u64,
    fails_at: Option<(u64, Failure)>,
    broken: bool,
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Change::Length(length) => bytes.resize(*length, 0),
            Change::Write(at, data) => {
                if bytes.len() < at + data.len() {
                    bytes.resize(at + data.len(), 0);
                }
                bytes[*at..at + data.len()].copy_from_slice(data);
            }
        }
    }
}

/// Clones are handles on the same disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Arc<Mutex<Inner>>);

impl Disk {
    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes, changes of length and syncs so far.
    pub(crate) fn operations(&self) -> u64 {
        self.with(|disk| disk.operations)
    }

    /// The n-th operation from now on fails, and all after it; reading goes on.
    pub(crate) fn fail_at(&self, n: u64, failure: Failure) {
        self.with(|disk| disk.fails_at = Some((disk.operations + n, failure)));
    }

    /// Power was lost and came back: of what was not synced, every other change reached the disk if `some`,
    /// and none otherwise. The disk works again.
    pub(crate) fn power_cycle(&self, some: bool) {
        self.with(|disk| {
            let mut bytes = disk.synced.clone();
            for (n, change) in disk.since.iter().enumerate() {
                if some && n % 2 == 0 {
                    change.apply(&mut bytes);
                }
            }
            (disk.synced, disk.now) = (bytes.clone(), bytes);
            disk.since.clear();
            (disk.fails_at, disk.broken) = (None, false);
        });
    }

    /// The disk works again, and nothing was lost: there was no space, and now there is.
    pub(crate) fn mend(&self) {
        self.with(|disk| (disk.fails_at, disk.broken) = (None, false));
    }

    fn change(&self, change: Change) -> Result<(), std::io::Error> {
        self.with(|disk| {
            disk.operations += 1;
            let fails = disk.fails_at.filter(|(at, _)| disk.operations >= *at);
            if disk.broken || fails.is_some() {
                if let (Some((_, Failure::Torn)), false, Change::Write(at, data)) =
                    (fails, disk.broken, &change)
                {
                    let half = Change::Write(*at, data[..data.len() / 2].to_vec());
                    half.apply(&mut disk.now);
                    disk.since.push(half);
                }
                disk.broken = true;
                return Err(error());
            }
            change.apply(&mut disk.now);
            disk.since.push(change);
            Ok(())
        })
    }
}

fn error() -> std::io::Error {
    std::io::Error::from(std::io::ErrorKind::StorageFull)
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, std::io::Error> {
        Ok(self.with(|disk| disk.now.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), std::io::Error> {
        self.with(|disk| {
            let at = offset as usize;
            let from = disk.now.get(at..at + out.len()).ok_or_else(error)?;
            out.copy_from_slice(from);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> Result<(), std::io::Error> {
        self.change(Change::Length(len as usize))
    }

    fn sync_data(&self) -> Result<(), std::io::Error> {
        self.with(|disk| {
            disk.operations += 1;
            if disk.broken || disk.fails_at.is_some_and(|(at, _)| disk.operations >= at) {
                disk.broken = true;
                return Err(error());
            }
            disk.synced = disk.now.clone();
            disk.since.clear();
            Ok(())
        })
    }

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn try_lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn query_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(false)
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
        self.change(Change::Write(offset as usize, data.to_vec()))
    }
}
