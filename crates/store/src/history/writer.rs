//! The writing side: one collection run after another.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use redb::{Database, ReadableDatabase, ReadableTable, WriteTransaction};

use super::packing::{Counters, pack, pack_numbers};
use super::reader::{self, Tables};
use super::records::*;
use super::{Activity, Facts, HISTORY_FILE, HistoryReader, KEYFRAME_RUNS, Observed};
use crate::{StoreError, codec, crash_point, database};

/// The writer of the history; there is one.
pub struct History {
    pub(super) path: PathBuf,
    pub(super) database: Arc<RwLock<Database>>,
    /// What the last run left; `None` once a write failed, until it is read again.
    state: Option<State>,
}

/// What is known of the living.
struct State {
    next_life: u64,
    next_run: u64,
    /// Number and time of the last run that saw all.
    whole: Option<(u64, i64)>,
    ids: HashMap<Vec<u8>, u64>,
    living: BTreeMap<u64, Living>,
    counters: Counters,
}

struct Living {
    start_key: Vec<u8>,
    facts: Facts,
    /// Run and time in which it was first seen, or seen again.
    since: (u64, i64),
}

/// How a collection run went, besides what it saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CollectionFacts {
    /// When, in ms since 1970.
    pub time_ms: i64,
    /// How long it took, in ms.
    pub elapsed_ms: u64,
    /// Whether it saw all processes; if not, those that it did not list may live on.
    pub complete: bool,
    /// Processes that it knows to have missed.
    pub lost: u64,
}

/// What a collection run brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// Number of the run, from 1.
    pub run: u64,
    /// Processes that were listed.
    pub processes: u64,
    /// Lives that began, or were seen again.
    pub began: u64,
    /// Lives of which a fact changed.
    pub changed: u64,
    /// Lives that ended.
    pub ended: u64,
}

impl History {
    /// Opens the history in a state directory, and makes it if it is not there.
    ///
    /// [`StoreError::Damaged`] for a file that is not as it was written: set it aside and open again.
    pub fn open(dir: &Path) -> Result<History, StoreError> {
        let path = dir.join(HISTORY_FILE);
        History::over(database::create(&path)?, path)
    }

    pub(super) fn over(database: Database, path: PathBuf) -> Result<History, StoreError> {
        let txn = database.begin_write().of(&path)?;
        prepare(&txn, &path)?;
        txn.commit().of(&path)?;
        let state = Some(State::load(&database, &path)?);
        let database = Arc::new(RwLock::new(database));
        Ok(History { path, database, state })
    }

    /// A handle that reads what is noted.
    pub fn reader(&self) -> HistoryReader {
        HistoryReader::shared(self.path.clone(), Arc::clone(&self.database))
    }

    /// Notes a run that saw all processes; how long it took is not known.
    pub fn observe(&mut self, time_ms: i64, processes: &[Observed]) -> Result<Observation, StoreError> {
        self.observe_run(CollectionFacts { time_ms, elapsed_ms: 0, complete: true, lost: 0 }, processes)
    }

    /// Notes a run. A process that is listed twice counts once. On an error nothing of the run is kept.
    pub fn observe_run(
        &mut self,
        run: CollectionFacts,
        processes: &[Observed],
    ) -> Result<Observation, StoreError> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let mut state = match self.state.take() {
            Some(state) => state,
            None => State::load(&database, &self.path)?,
        };
        let txn = database.begin_write().of(&self.path)?;
        let observation = state.observe(&txn, &self.path, run, processes)?;
        crash_point("history.commit.before");
        txn.commit().of(&self.path)?;
        crash_point("history.commit.after");
        self.state = Some(state);
        Ok(observation)
    }
}

/// Makes all tables, and brings a file of an earlier form forward.
fn prepare(txn: &WriteTransaction, path: &Path) -> Result<(), StoreError> {
    let mut meta = txn.open_table(META).of(path)?;
    let form = meta.get(FORM_KEY).of(path)?.map(|form| form.value());
    match form {
        Some(FORM) => {}
        None => {
            meta.insert(FORM_KEY, FORM).of(path)?;
        }
        Some(found) => {
            let narrow = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
            let path = path.to_owned();
            return Err(StoreError::Newer { path, found: narrow(found), known: narrow(FORM) });
        }
    }
    txn.open_table(LIVES).of(path)?;
    txn.open_table(BY_START_KEY).of(path)?;
    txn.open_table(BY_PID).of(path)?;
    txn.open_table(BY_FIRST).of(path)?;
    txn.open_table(ENDS).of(path)?;
    txn.open_table(CHANGES).of(path)?;
    txn.open_table(RUNS).of(path)?;
    txn.open_table(BY_TIME).of(path)?;
    txn.open_table(BLOCKS).of(path)?;
    txn.open_table(KEYFRAMES).of(path)?;
    Ok(())
}

impl State {
    fn load(database: &Database, path: &Path) -> Result<State, StoreError> {
        let txn = database.begin_read().of(path)?;
        let tables = Tables::open(&txn, path)?;
        let counters = tables.counters_after(u64::MAX)?.unwrap_or_default();
        let whole = tables.whole()?;
        let (mut ids, mut living) = (HashMap::new(), BTreeMap::new());
        for id in counters.keys() {
            let life = tables.begun(*id)?;
            let facts = tables.facts(*id, &life, u64::MAX)?;
            ids.insert(life.start_key.clone(), *id);
            let since = (life.run, life.time_ms);
            living.insert(*id, Living { start_key: life.start_key, facts, since });
        }
        let next_life = tables.meta(NEXT_LIFE)?.unwrap_or(1);
        let next_run = tables.meta(NEXT_RUN)?.unwrap_or(1);
        Ok(State { next_life, next_run, whole, ids, living, counters })
    }

    fn observe(
        &mut self,
        txn: &WriteTransaction,
        path: &Path,
        facts: CollectionFacts,
        processes: &[Observed],
    ) -> Result<Observation, StoreError> {
        let (run, time_ms) = (self.next_run, facts.time_ms);
        self.next_run += 1;
        let mut observation = Observation { run, ..Observation::default() };
        let mut seen = BTreeSet::new();
        // What each life's counters are told against.
        let mut bases: BTreeMap<u64, Option<Activity>> = BTreeMap::new();
        let mut changes = txn.open_table(CHANGES).of(path)?;
        for process in processes {
            let (id, is_new) = match self.ids.get(&process.start_key) {
                Some(id) => (*id, false),
                None => (self.begin(txn, path, &changes, (run, time_ms), process)?, true),
            };
            if !seen.insert(id) {
                continue;
            }
            observation.began += u64::from(is_new);
            let Some(living) = self.living.get_mut(&id) else { continue };
            let now = process.facts.clone().over(&living.facts);
            let differences = differences(&living.facts, &now);
            if !differences.is_empty() {
                let change = codec::encode(&ChangeV1 { time_ms, facts: differences });
                changes.insert((id, run), change.as_slice()).of(path)?;
                living.facts = now;
                observation.changed += 1;
            }
            let before = self.counters.insert(id, process.activity);
            if is_new || before != Some(process.activity) {
                bases.insert(id, before.filter(|_| !is_new));
            }
        }
        observation.processes = seen.len() as u64;
        let ended = if facts.complete { self.end(txn, path, run, &seen)? } else { Vec::new() };
        observation.ended = ended.len() as u64;
        if facts.complete {
            self.whole = Some((run, time_ms));
        }

        let entries =
            bases.iter().filter_map(|(id, base)| Some((*id, self.counters.get(id)?, base.as_ref())));
        let block = BlockV1 { ended: pack_numbers(ended.into_iter()), entries: pack(entries) };
        txn.open_table(BLOCKS).of(path)?.insert(run, codec::encode(&block).as_slice()).of(path)?;
        let record = RunV1 {
            time_ms,
            elapsed_ms: facts.elapsed_ms,
            complete: facts.complete,
            lost: facts.lost,
            processes: observation.processes,
            began: observation.began,
            changed: observation.changed,
            ended: observation.ended,
        };
        txn.open_table(RUNS).of(path)?.insert(run, codec::encode(&record).as_slice()).of(path)?;
        txn.open_table(BY_TIME).of(path)?.insert((time_ms, run), ()).of(path)?;
        if (run - 1).is_multiple_of(KEYFRAME_RUNS) {
            let counters = pack(self.counters.iter().map(|(id, now)| (*id, now, None)));
            let frame = codec::encode(&KeyframeV1 { counters });
            txn.open_table(KEYFRAMES).of(path)?.insert(run, frame.as_slice()).of(path)?;
        }
        let mut meta = txn.open_table(META).of(path)?;
        meta.insert(NEXT_LIFE, self.next_life).of(path)?;
        meta.insert(NEXT_RUN, self.next_run).of(path)?;
        if let Some((run, ms)) = self.whole {
            meta.insert(WHOLE_RUN, run).of(path)?;
            meta.insert(WHOLE_MS, ms as u64).of(path)?;
        }
        Ok(observation)
    }

    /// A life that begins, or one that was taken for ended and is seen again.
    fn begin(
        &mut self,
        txn: &WriteTransaction,
        path: &Path,
        changes: &impl ReadableTable<(u64, u64), &'static [u8]>,
        since: (u64, i64),
        process: &Observed,
    ) -> Result<u64, StoreError> {
        let mut by_start_key = txn.open_table(BY_START_KEY).of(path)?;
        let before = by_start_key.get(process.start_key.as_slice()).of(path)?.map(|id| id.value());
        let mut lives = txn.open_table(LIVES).of(path)?;
        let (id, facts) = match before {
            Some(id) => {
                txn.open_table(ENDS).of(path)?.remove(id).of(path)?;
                let life = reader::begun(path, &lives, id)?;
                (id, reader::facts(path, changes, id, &life, u64::MAX)?)
            }
            None => {
                let id = self.next_life;
                self.next_life += 1;
                let (start_key, (run, time_ms)) = (process.start_key.clone(), since);
                let facts = known(&process.facts);
                let life = LifeV1 { start_key, pid: process.pid, run, time_ms, facts };
                lives.insert(id, codec::encode(&life).as_slice()).of(path)?;
                by_start_key.insert(process.start_key.as_slice(), id).of(path)?;
                txn.open_table(BY_PID).of(path)?.insert((process.pid, id), ()).of(path)?;
                txn.open_table(BY_FIRST).of(path)?.insert((time_ms, id), ()).of(path)?;
                (id, process.facts.clone())
            }
        };
        self.ids.insert(process.start_key.clone(), id);
        self.living.insert(id, Living { start_key: process.start_key.clone(), facts, since });
        Ok(id)
    }

    /// Ends the lives that a whole run did not see.
    fn end(
        &mut self,
        txn: &WriteTransaction,
        path: &Path,
        run: u64,
        seen: &BTreeSet<u64>,
    ) -> Result<Vec<u64>, StoreError> {
        let missing: Vec<u64> = self.living.keys().filter(|id| !seen.contains(id)).copied().collect();
        let mut ends = txn.open_table(ENDS).of(path)?;
        for id in &missing {
            let (living, counters) = (self.living.remove(id), self.counters.remove(id).unwrap_or_default());
            let Some(living) = living else { continue };
            self.ids.remove(&living.start_key);
            let last_ms = self.whole.filter(|whole| whole.0 >= living.since.0).unwrap_or(living.since).1;
            let counters = pack([(*id, &counters, None)].into_iter());
            ends.insert(*id, codec::encode(&EndV1 { last_ms, run, counters }).as_slice()).of(path)?;
        }
        Ok(missing)
    }
}
