//! The reading side: short transactions, a page each.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use redb::{Database, ReadOnlyDatabase, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable};

use super::packing::{self, Counters};
use super::records::*;
use super::{Activity, Datum, Fact, Facts, HISTORY_FILE, PAGE_ROWS_MAX};
use crate::{StoreError, database};

/// Reads the history: a cheap handle, of which each call is a transaction of its own.
#[derive(Clone)]
pub struct HistoryReader {
    path: PathBuf,
    source: Source,
}

#[derive(Clone)]
enum Source {
    Shared(Arc<RwLock<Database>>),
    Alone(Arc<ReadOnlyDatabase>),
}

/// One process from its first to its last sight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// Its identity among all processes that ever ran.
    pub start_key: Vec<u8>,
    /// Its number.
    pub pid: i64,
    /// The facts as last known.
    pub facts: Facts,
    /// Time of the first run that saw it, in ms since 1970.
    pub first_seen_ms: i64,
    /// Time of the last run that is known to have seen it, in ms since 1970.
    pub last_seen_ms: i64,
    /// Whether a whole run missed it.
    pub ended: bool,
    /// Runs in which facts of it changed.
    pub changes: u64,
    /// The counters as last known.
    pub activity: Activity,
}

/// Which lives are wanted; all that is given must hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LivesWanted {
    /// Of this pid.
    pub pid: Option<i64>,
    /// First seen at this time or later, in ms since 1970.
    pub from_ms: Option<i64>,
    /// First seen at this time or before, in ms since 1970.
    pub to_ms: Option<i64>,
}

/// Where a page of lives ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LivesCursor(i64, u64);

/// Where a page of changes ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangesCursor(u64, u64);

/// One fact of one life that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Whose.
    pub start_key: Vec<u8>,
    /// Its pid.
    pub pid: i64,
    /// Time of the run that saw the change, in ms since 1970.
    pub time_ms: i64,
    /// Which fact.
    pub fact: Fact,
    /// What it was.
    pub old: Option<Datum>,
    /// What it became.
    pub new: Option<Datum>,
}

/// One collection run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CollectionRun {
    /// Its number, from 1, without gaps.
    pub run: u64,
    /// When, in ms since 1970.
    pub time_ms: i64,
    /// How long it took, in ms.
    pub elapsed_ms: u64,
    /// Whether it saw all processes.
    pub complete: bool,
    /// Processes that it knows to have missed.
    pub lost: u64,
    /// Processes that it listed.
    pub processes: u64,
    /// Lives that began.
    pub began: u64,
    /// Lives of which a fact changed.
    pub changed: u64,
    /// Lives that ended.
    pub ended: u64,
}

/// The processes of a past instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// The run that saw them.
    pub run: u64,
    /// Its time, in ms since 1970.
    pub time_ms: i64,
    /// In the order in which they were first seen.
    pub processes: Vec<PastProcess>,
}

/// A process as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastProcess {
    /// Its identity.
    pub start_key: Vec<u8>,
    /// Its number.
    pub pid: i64,
    /// What it was then.
    pub facts: Facts,
    /// What it had done by then.
    pub activity: Activity,
}

impl HistoryReader {
    /// Opens the history of a state directory while no agent runs.
    pub fn open(dir: &Path) -> Result<HistoryReader, StoreError> {
        let path = dir.join(HISTORY_FILE);
        let source = Source::Alone(Arc::new(database::read_only(&path)?));
        let reader = HistoryReader { path, source };
        reader.with(|tables| match tables.meta(FORM_KEY)? {
            Some(FORM) => Ok(()),
            found => {
                let found = found.and_then(|n| u32::try_from(n).ok()).unwrap_or(u32::MAX);
                Err(StoreError::Newer { path: reader.path.clone(), found, known: FORM as u32 })
            }
        })?;
        Ok(reader)
    }

    pub(super) fn shared(path: PathBuf, database: Arc<RwLock<Database>>) -> HistoryReader {
        HistoryReader { path, source: Source::Shared(database) }
    }

    pub(super) fn with<T>(
        &self,
        read: impl FnOnce(&Tables<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match &self.source {
            Source::Shared(database) => {
                // Held to the end: compaction waits for readers, and finds none open.
                let database = database.read().unwrap_or_else(PoisonError::into_inner);
                let txn = database.begin_read().of(&self.path)?;
                read(&Tables::open(&txn, &self.path)?)
            }
            Source::Alone(database) => {
                let txn = database.begin_read().of(&self.path)?;
                read(&Tables::open(&txn, &self.path)?)
            }
        }
    }

    /// The life of a process; `None` when it is not known, or not any more.
    pub fn life(&self, start_key: &[u8]) -> Result<Option<Life>, StoreError> {
        self.with(|tables| {
            let id = tables.by_start_key.get(start_key).of(&self.path)?.map(|id| id.value());
            let Some(id) = id else { return Ok(None) };
            tables.life(id, &mut None).map(Some)
        })
    }

    /// A page of lives, at most [`PAGE_ROWS_MAX`], in the order of first sight (of one pid: in which they
    /// were noted), and where to go on; no cursor after the last page.
    pub fn lives(
        &self,
        wanted: &LivesWanted,
        after: Option<LivesCursor>,
    ) -> Result<(Vec<Life>, Option<LivesCursor>), StoreError> {
        self.with(|tables| {
            let from = wanted.from_ms.unwrap_or(i64::MIN);
            let to = wanted.to_ms.unwrap_or(i64::MAX);
            if from > to {
                return Ok((Vec::new(), None));
            }
            let (index, low, high) = match wanted.pid {
                Some(pid) => (&tables.by_pid, (pid, 0), (pid, u64::MAX)),
                None => (&tables.by_first, (from, 0), (to, u64::MAX)),
            };
            let low = after.map_or(low, |LivesCursor(first, id)| (first, id.saturating_add(1)));
            let (mut lives, mut counters, mut last) = (Vec::new(), None, None);
            for (n, entry) in index.range(low..=high).of(&self.path)?.enumerate() {
                if n == PAGE_ROWS_MAX {
                    return Ok((lives, last));
                }
                let (first, id) = entry.of(&self.path)?.0.value();
                last = Some(LivesCursor(first, id));
                let life = tables.life(id, &mut counters)?;
                if (from..=to).contains(&life.first_seen_ms) {
                    lives.push(life);
                }
            }
            Ok((lives, None))
        })
    }

    /// The processes that were there at an instant (ms since 1970), by the latest run of that time or before;
    /// `None` when no such run is known. Where the clock was set back, the run with the later time counts.
    pub fn at(&self, instant_ms: i64) -> Result<Option<Past>, StoreError> {
        self.with(|tables| {
            let Some(entry) = tables.by_time.range(..=(instant_ms, u64::MAX)).of(&self.path)?.next_back()
            else {
                return Ok(None);
            };
            let (time_ms, run) = entry.of(&self.path)?.0.value();
            let Some(counters) = tables.counters_after(run)? else { return Ok(None) };
            let process = |(id, activity): (u64, Activity)| {
                let life = tables.begun(id)?;
                let facts = tables.facts(id, &life, run)?;
                Ok(PastProcess { start_key: life.start_key, pid: life.pid, facts, activity })
            };
            let processes = counters.into_iter().map(process).collect::<Result<_, StoreError>>()?;
            Ok(Some(Past { run, time_ms, processes }))
        })
    }

    /// A page of changes by life and time, of one process or of all, and where to go on.
    pub fn changes(
        &self,
        start_key: Option<&[u8]>,
        after: Option<ChangesCursor>,
    ) -> Result<(Vec<Changed>, Option<ChangesCursor>), StoreError> {
        self.with(|tables| {
            let (mut low, mut high) = ((0, 0), (u64::MAX, u64::MAX));
            if let Some(key) = start_key {
                let Some(id) = tables.by_start_key.get(key).of(&self.path)? else {
                    return Ok((Vec::new(), None));
                };
                (low, high) = ((id.value(), 0), (id.value(), u64::MAX));
            }
            if let Some(ChangesCursor(id, run)) = after {
                low = (id, run.saturating_add(1));
            }
            let mut changes = Vec::new();
            for entry in tables.changes.range(low..=high).of(&self.path)? {
                let (key, record) = entry.of(&self.path)?;
                let (id, run) = key.value();
                let life = tables.begun(id)?;
                let change: ChangeV1 = read(&self.path, record.value())?;
                for (number, old, new) in change.facts {
                    let Some(fact) = Fact::ALL.get(usize::from(number)) else { continue };
                    let (start_key, pid, time_ms) = (life.start_key.clone(), life.pid, change.time_ms);
                    changes.push(Changed { start_key, pid, time_ms, fact: *fact, old, new });
                }
                if changes.len() + Fact::ALL.len() > PAGE_ROWS_MAX {
                    return Ok((changes, Some(ChangesCursor(id, run))));
                }
            }
            Ok((changes, None))
        })
    }

    /// A page of collection runs after the run `after` (0 for the first page), by number.
    pub fn runs(&self, after: u64) -> Result<Vec<CollectionRun>, StoreError> {
        self.with(|tables| {
            let mut runs = Vec::new();
            for entry in tables.runs.range(after.saturating_add(1)..).of(&self.path)?.take(PAGE_ROWS_MAX) {
                let (run, record) = entry.of(&self.path)?;
                let RunV1 { time_ms, elapsed_ms, complete, lost, processes, began, changed, ended } =
                    read(&self.path, record.value())?;
                let run = run.value();
                runs.push(CollectionRun {
                    run,
                    time_ms,
                    elapsed_ms,
                    complete,
                    lost,
                    processes,
                    began,
                    changed,
                    ended,
                });
            }
            Ok(runs)
        })
    }
}

/// The tables of one reading transaction.
pub(super) struct Tables<'a> {
    pub(super) path: &'a Path,
    pub(super) meta: ReadOnlyTable<&'static str, u64>,
    pub(super) lives: ReadOnlyTable<u64, &'static [u8]>,
    pub(super) by_start_key: ReadOnlyTable<&'static [u8], u64>,
    pub(super) by_pid: ReadOnlyTable<(i64, u64), ()>,
    pub(super) by_first: ReadOnlyTable<(i64, u64), ()>,
    pub(super) ends: ReadOnlyTable<u64, &'static [u8]>,
    pub(super) changes: ReadOnlyTable<(u64, u64), &'static [u8]>,
    pub(super) runs: ReadOnlyTable<u64, &'static [u8]>,
    pub(super) by_time: ReadOnlyTable<(i64, u64), ()>,
    pub(super) blocks: ReadOnlyTable<u64, &'static [u8]>,
    pub(super) keyframes: ReadOnlyTable<u64, &'static [u8]>,
}

impl<'a> Tables<'a> {
    pub(super) fn open(txn: &ReadTransaction, path: &'a Path) -> Result<Tables<'a>, StoreError> {
        Ok(Tables {
            path,
            meta: txn.open_table(META).of(path)?,
            lives: txn.open_table(LIVES).of(path)?,
            by_start_key: txn.open_table(BY_START_KEY).of(path)?,
            by_pid: txn.open_table(BY_PID).of(path)?,
            by_first: txn.open_table(BY_FIRST).of(path)?,
            ends: txn.open_table(ENDS).of(path)?,
            changes: txn.open_table(CHANGES).of(path)?,
            runs: txn.open_table(RUNS).of(path)?,
            by_time: txn.open_table(BY_TIME).of(path)?,
            blocks: txn.open_table(BLOCKS).of(path)?,
            keyframes: txn.open_table(KEYFRAMES).of(path)?,
        })
    }

    pub(super) fn meta(&self, key: &str) -> Result<Option<u64>, StoreError> {
        Ok(self.meta.get(key).of(self.path)?.map(|value| value.value()))
    }

    pub(super) fn whole(&self) -> Result<Option<(u64, i64)>, StoreError> {
        Ok(self.meta(WHOLE_RUN)?.zip(self.meta(WHOLE_MS)?.map(|ms| ms as i64)))
    }

    pub(super) fn begun(&self, id: u64) -> Result<LifeV1, StoreError> {
        begun(self.path, &self.lives, id)
    }

    pub(super) fn facts(&self, id: u64, life: &LifeV1, run: u64) -> Result<Facts, StoreError> {
        facts(self.path, &self.changes, id, life, run)
    }

    /// The counters after a run, or after the last one before it; `None` when no keyframe goes before.
    pub(super) fn counters_after(&self, run: u64) -> Result<Option<Counters>, StoreError> {
        let Some(entry) = self.keyframes.range(..=run).of(self.path)?.next_back() else { return Ok(None) };
        let (from, frame) = entry.of(self.path)?;
        let frame: KeyframeV1 = read(self.path, frame.value())?;
        let mut counters = Counters::new();
        self.apply(&mut counters, &frame.counters)?;
        let from = from.value();
        if from < run {
            for entry in self.blocks.range(from + 1..=run).of(self.path)? {
                let block: BlockV1 = read(self.path, entry.of(self.path)?.1.value())?;
                let ended = packing::numbers(&block.ended);
                for id in ended.ok_or_else(|| damaged(self.path, "the ends of a run cannot be read"))? {
                    counters.remove(&id);
                }
                self.apply(&mut counters, &block.entries)?;
            }
        }
        Ok(Some(counters))
    }

    fn apply(&self, counters: &mut Counters, bytes: &[u8]) -> Result<(), StoreError> {
        packing::apply(counters, bytes)
            .ok_or_else(|| damaged(self.path, "the counters of a run cannot be read"))
    }

    /// A life; `counters` keeps those of the living for the next call of the transaction.
    fn life(&self, id: u64, counters: &mut Option<Counters>) -> Result<Life, StoreError> {
        let begun = self.begun(id)?;
        let facts = self.facts(id, &begun, u64::MAX)?;
        let changes = self.changes.range((id, 0)..=(id, u64::MAX)).of(self.path)?.count() as u64;
        let end = self.ends.get(id).of(self.path)?;
        let (last_seen_ms, ended, activity) = match end {
            Some(end) => {
                let end: EndV1 = read(self.path, end.value())?;
                let mut last = Counters::new();
                self.apply(&mut last, &end.counters)?;
                (end.last_ms, true, last.remove(&id).unwrap_or_default())
            }
            None => {
                let living = match counters {
                    Some(living) => living,
                    None => counters.insert(self.counters_after(u64::MAX)?.unwrap_or_default()),
                };
                let last = self.whole()?.filter(|whole| whole.0 >= begun.run);
                let last_ms = last.map_or(begun.time_ms, |whole| whole.1);
                (last_ms, false, living.get(&id).copied().unwrap_or_default())
            }
        };
        let LifeV1 { start_key, pid, time_ms: first_seen_ms, .. } = begun;
        Ok(Life { start_key, pid, facts, first_seen_ms, last_seen_ms, ended, changes, activity })
    }
}

/// How a life began.
pub(super) fn begun(
    path: &Path,
    lives: &impl ReadableTable<u64, &'static [u8]>,
    id: u64,
) -> Result<LifeV1, StoreError> {
    let life = lives.get(id).of(path)?;
    let life = life.ok_or_else(|| damaged(path, format!("life {id} is missing")))?;
    read(path, life.value())
}

/// The facts about a life after a run.
pub(super) fn facts(
    path: &Path,
    changes: &impl ReadableTable<(u64, u64), &'static [u8]>,
    id: u64,
    life: &LifeV1,
    run: u64,
) -> Result<Facts, StoreError> {
    let mut facts = life.facts();
    for change in changes.range((id, 0)..=(id, run)).of(path)? {
        read::<ChangeV1>(path, change.of(path)?.1.value())?.apply(&mut facts);
    }
    Ok(facts)
}
