//! Writes that wait for the next sync, so that neighbouring pages go to the file together.
//!
//! redb writes page by page, and a commit has hundreds of them side by side. Nothing that it needs of a storage
//! changes: what was written is read, and is on the disk once a sync came back. An error of a page's write shows at
//! that sync at the latest, which fails the commit as the write would have. The header, which redb also writes with
//! no sync to follow, waits for nothing.

use std::collections::BTreeMap;
use std::io;
use std::ops::{Bound, Range};
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::{BackendError, StorageBackend};

/// Bytes of the smallest write that waits: pages of redb have this or more, its header less.
const PAGE_MIN: usize = 4096;

/// Bytes that wait at most.
const WAITING_MAX: usize = 2 << 20;

/// Bytes of memory that are kept for the next writes.
const KEPT_MAX: usize = 1 << 20;

/// Bytes that are written at once at most, unless one write has more.
const TOGETHER_MAX: usize = 64 << 10;

/// A storage under which writes are gathered.
#[derive(Debug)]
pub(crate) struct Gathering<B> {
    storage: B,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Writes that overlap in no byte, by where they begin: places in `bytes`.
    writes: BTreeMap<u64, Range<usize>>,
    bytes: Vec<u8>,
}

impl Waiting {
    fn overlaps(&self, offset: u64, length: usize) -> bool {
        let before = self.writes.range(..offset.saturating_add(length as u64)).next_back();
        before.is_some_and(|(at, place)| at + place.len() as u64 > offset)
    }
}

type Locked<T> = Result<T, BackendError>;

impl<B: StorageBackend> Gathering<B> {
    pub(crate) fn over(storage: B) -> Gathering<B> {
        Gathering { storage, waiting: Mutex::default() }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what waits. After an error nothing waits: redb takes no more of this storage then.
    fn write_out(&self, mut waiting: MutexGuard<'_, Waiting>) -> io::Result<()> {
        let writes = std::mem::take(&mut waiting.writes);
        let written = self.write_in_order(writes, &waiting.bytes);
        waiting.bytes.clear();
        waiting.bytes.shrink_to(KEPT_MAX);
        written
    }

    /// Writes neighbours at once.
    fn write_in_order(&self, writes: BTreeMap<u64, Range<usize>>, bytes: &[u8]) -> io::Result<()> {
        let (mut at, mut together) = (0, Vec::with_capacity(TOGETHER_MAX));
        for (offset, place) in writes {
            let follows =
                offset == at + together.len() as u64 && together.len() + place.len() <= TOGETHER_MAX;
            if !follows && !together.is_empty() {
                self.storage.write(at, &together)?;
                together.clear();
            }
            if together.is_empty() {
                at = offset;
            }
            together.extend_from_slice(&bytes[place]);
        }
        if together.is_empty() { Ok(()) } else { self.storage.write(at, &together) }
    }
}

impl<B: StorageBackend> StorageBackend for Gathering<B> {
    fn len(&self) -> io::Result<u64> {
        self.storage.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let waiting = self.waiting();
        if waiting.overlaps(offset, out.len()) {
            self.write_out(waiting)?;
        } else {
            drop(waiting);
        }
        self.storage.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.write_out(self.waiting())?;
        self.storage.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.write_out(self.waiting())?;
        self.storage.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut waiting = self.waiting();
        if data.len() < PAGE_MIN {
            self.write_out(waiting)?;
            return self.storage.write(offset, data);
        }
        if waiting.overlaps(offset, data.len()) || waiting.bytes.len() + data.len() > WAITING_MAX {
            self.write_out(waiting)?;
            waiting = self.waiting();
        }
        let from = waiting.bytes.len();
        waiting.bytes.extend_from_slice(data);
        let place = from..waiting.bytes.len();
        waiting.writes.insert(offset, place);
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        let written = self.write_out(self.waiting());
        self.storage.close()?;
        written
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<bool> {
        self.storage.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<bool> {
        self.storage.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<()> {
        self.storage.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<()> {
        self.storage.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<()> {
        // Whoever takes the lock next is to find what was written under it.
        self.write_out(self.waiting())?;
        self.storage.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<bool> {
        self.storage.query_lock_range(start, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faulty::Disk;

    #[test]
    fn what_was_written_is_read_and_survives_a_sync() {
        let disk = Disk::default();
        let gathering = Gathering::over(disk.clone());
        const LENGTH: usize = 64 * PAGE_MIN;
        gathering.set_len(LENGTH as u64).unwrap();
        let mut truth = vec![0u8; LENGTH];
        let mut next = 1u64;
        let mut random = |below: u64| {
            next = next.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (next >> 33) % below
        };
        for round in 0..4_000u64 {
            let length = [PAGE_MIN, PAGE_MIN, 2 * PAGE_MIN, PAGE_MIN + 5, 320][random(5) as usize];
            let at = random(64) * PAGE_MIN as u64;
            let place = at as usize..(at as usize + length).min(LENGTH);
            match random(10) {
                0 => {
                    gathering.sync_data().unwrap();
                    // What was synced is there when the power comes back.
                    disk.power_cycle(false);
                }
                1..=3 => {
                    let mut out = vec![0; place.len()];
                    gathering.read(at, &mut out).unwrap();
                    assert_eq!(out, truth[place], "round {round}");
                }
                _ => {
                    truth[place.clone()].fill(round as u8);
                    gathering.write(at, &truth[place]).unwrap();
                }
            }
        }
        gathering.close().unwrap();
        let mut all = vec![0; LENGTH];
        disk.read(0, &mut all).unwrap();
        assert_eq!(all, truth);
    }

    #[test]
    fn neighbours_are_written_at_once_and_an_error_shows_at_the_sync() {
        let disk = Disk::default();
        let gathering = Gathering::over(disk.clone());
        gathering.set_len(1 << 20).unwrap();
        let before = disk.operations();
        for page in [3u64, 1, 2, 0, 9] {
            gathering.write(page * 4096, &[page as u8; 4096]).unwrap();
        }
        gathering.sync_data().unwrap();
        assert_eq!(disk.operations() - before, 3, "two writes and a sync");
        disk.fail_at(1, crate::faulty::Failure::Error);
        gathering.write(0, &[7; 4096]).unwrap();
        gathering.sync_data().unwrap_err();
    }
}
