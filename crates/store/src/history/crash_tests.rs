//! The disk fails at each of its writes in turn: what opens afterwards is a prefix of the runs.

use std::io::Error;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use redb::{BackendError, StorageBackend};

use super::*;
use crate::database;

/// A disk in memory that stops working after so many operations, in the middle of one.
#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<Content>>);

#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    /// What a sync made safe.
    synced: Vec<u8>,
    operations: u64,
    fails_at: Option<u64>,
}

impl Disk {
    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap()
    }

    fn step(&self) -> Result<MutexGuard<'_, Content>, Error> {
        let mut content = self.content();
        content.operations += 1;
        match content.fails_at {
            Some(n) if content.operations >= n => Err(Error::other("the disk failed")),
            _ => Ok(content),
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, Error> {
        Ok(self.content().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let content = self.content();
        let from = offset as usize;
        match content.bytes.get(from..from + out.len()) {
            Some(bytes) => out.copy_from_slice(bytes),
            None => return Err(Error::other("past the end")),
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), Error> {
        self.step()?.bytes.resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), Error> {
        let mut content = self.step()?;
        content.synced = content.bytes.clone();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), Error> {
        let from = offset as usize;
        match self.step() {
            Ok(mut content) => content.bytes[from..from + data.len()].copy_from_slice(data),
            Err(error) => {
                let half = data.len() / 2;
                self.content().bytes[from..from + half].copy_from_slice(&data[..half]);
                return Err(error);
            }
        }
        Ok(())
    }

    // Nobody else opens it: each lock is free.
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
}

fn listed(run: u64) -> Vec<Observed> {
    let process = |n: u64| {
        let mut process =
            Observed { start_key: n.to_be_bytes().to_vec(), pid: n as i64, ..Observed::default() };
        process.facts.set(Fact::Uid, Some(Datum::Int((run / 2) as i64)));
        process.activity.set(Meter::UserTime, Some((run * n) as i64));
        process
    };
    (run..run + 4).map(process).collect()
}

fn open(disk: &Disk) -> Result<History, crate::StoreError> {
    let path = PathBuf::from("history.redb");
    History::over(database::over(disk.clone(), &path)?, path)
}

fn noted(history: &mut History, from: u64) -> u64 {
    let runs = (from..6).take_while(|run| history.observe(*run as i64 * 1_000, &listed(*run)).is_ok());
    from + runs.count() as u64
}

#[test]
fn whatever_write_fails_a_prefix_of_the_runs_is_kept() {
    let whole = Disk::default();
    assert_eq!(noted(&mut open(&whole).unwrap(), 0), 6);
    let operations = whole.content().operations;
    assert!(operations > 12);
    for fails_at in 1..=operations {
        let disk = Disk::default();
        disk.content().fails_at = Some(fails_at);
        let acknowledged = open(&disk).map_or(0, |mut history| noted(&mut history, 0));
        // Either what was written got to the disk, torn where it failed, or only what was synced.
        for lost in [false, true] {
            let after = Disk::default();
            let content = disk.content();
            after.content().bytes = if lost { content.synced.clone() } else { content.bytes.clone() };
            drop(content);
            // A file that was never made whole is no file yet: the agent sets it aside.
            let Ok(mut history) = open(&after) else {
                assert_eq!(acknowledged, 0, "operation {fails_at}");
                continue;
            };
            let kept = history.reader().runs(0).unwrap().len() as u64;
            assert!((acknowledged..=acknowledged + 1).contains(&kept), "operation {fails_at}: {kept}");
            assert_eq!(noted(&mut history, kept), 6);
            for run in 0..6 {
                let past = history.reader().at(run as i64 * 1_000).unwrap().unwrap();
                let told: Vec<_> = past.processes.into_iter().map(|p| (p.facts, p.activity)).collect();
                let expected: Vec<_> = listed(run).into_iter().map(|p| (p.facts, p.activity)).collect();
                assert_eq!(told, expected, "operation {fails_at}");
            }
        }
    }
}
