//! What the file holds.

use std::path::Path;

use bincode::{Decode, Encode};
use redb::TableDefinition;

use super::{Datum, Fact, Facts};
use crate::StoreError;
use crate::codec::{self, Record};

/// The form of the file: its tables and what their keys mean.
pub(super) const FORM: u64 = 1;

/// Facts about the file itself.
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// Life → [`LifeV1`].
pub(super) const LIVES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("lives");
/// Start key → life.
pub(super) const BY_START_KEY: TableDefinition<'_, &[u8], u64> = TableDefinition::new("lives_by_start_key");
/// (pid, life).
pub(super) const BY_PID: TableDefinition<'_, (i64, u64), ()> = TableDefinition::new("lives_by_pid");
/// (first seen in ms, life).
pub(super) const BY_FIRST: TableDefinition<'_, (i64, u64), ()> = TableDefinition::new("lives_by_first_seen");
/// Life → [`EndV1`], once it ended.
pub(super) const ENDS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("ends");
/// (life, run) → [`ChangeV1`].
pub(super) const CHANGES: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("changes");
/// Run → [`RunV1`].
pub(super) const RUNS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("runs");
/// (time in ms, run).
pub(super) const BY_TIME: TableDefinition<'_, (i64, u64), ()> = TableDefinition::new("runs_by_time");
/// Run → [`BlockV1`].
pub(super) const BLOCKS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("blocks");
/// Run → [`KeyframeV1`].
pub(super) const KEYFRAMES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("keyframes");

/// The next life's number.
pub(super) const NEXT_LIFE: &str = "next_life";
/// The next run's number.
pub(super) const NEXT_RUN: &str = "next_run";
/// The last run that saw all processes, and its time (ms, as the bits of an i64).
pub(super) const WHOLE_RUN: &str = "whole_run";
pub(super) const WHOLE_MS: &str = "whole_ms";
pub(super) const FORM_KEY: &str = "form";

/// The beginning of a life.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(super) struct LifeV1 {
    pub(super) start_key: Vec<u8>,
    pub(super) pid: i64,
    pub(super) run: u64,
    pub(super) time_ms: i64,
    /// Numbers of facts, with what they were.
    pub(super) facts: Vec<(u8, Datum)>,
}

/// The end of a life.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(super) struct EndV1 {
    pub(super) last_ms: i64,
    /// The run that missed it.
    pub(super) run: u64,
    /// Its last counters, as a block of one entry.
    pub(super) counters: Vec<u8>,
}

/// One fact that changed: its number, what it was, what it is.
pub(super) type FactChange = (u8, Option<Datum>, Option<Datum>);

/// Facts of a life that changed in a run.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(super) struct ChangeV1 {
    pub(super) time_ms: i64,
    pub(super) facts: Vec<FactChange>,
}

/// A collection run.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(super) struct RunV1 {
    pub(super) time_ms: i64,
    pub(super) elapsed_ms: u64,
    pub(super) complete: bool,
    pub(super) lost: u64,
    pub(super) processes: u64,
    pub(super) began: u64,
    pub(super) changed: u64,
    pub(super) ended: u64,
}

/// What a run did to the counters.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(super) struct BlockV1 {
    /// Lives that ended, which go first.
    pub(super) ended: Vec<u8>,
    pub(super) entries: Vec<u8>,
}

/// All counters after a run.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(super) struct KeyframeV1 {
    pub(super) counters: Vec<u8>,
}

impl Record for LifeV1 {
    const SCHEMA: u16 = 1;
}
impl Record for EndV1 {
    const SCHEMA: u16 = 1;
}
impl Record for ChangeV1 {
    const SCHEMA: u16 = 1;
}
impl Record for RunV1 {
    const SCHEMA: u16 = 1;
}
impl Record for BlockV1 {
    const SCHEMA: u16 = 1;
}
impl Record for KeyframeV1 {
    const SCHEMA: u16 = 1;
}

impl LifeV1 {
    /// The facts of the first run.
    pub(super) fn facts(&self) -> Facts {
        let mut facts = Facts::default();
        for (number, datum) in &self.facts {
            note(&mut facts, *number, Some(datum.clone()));
        }
        facts
    }
}

impl ChangeV1 {
    /// Brings facts forward.
    pub(super) fn apply(self, facts: &mut Facts) {
        for (number, _, new) in self.facts {
            note(facts, number, new);
        }
    }
}

/// What a later version knows more of is left out.
fn note(facts: &mut Facts, number: u8, datum: Option<Datum>) {
    if let Some(fact) = Fact::ALL.get(usize::from(number)) {
        facts.set(*fact, datum);
    }
}

/// The facts that are known, as they are stored.
pub(super) fn known(facts: &Facts) -> Vec<(u8, Datum)> {
    Fact::ALL.into_iter().filter_map(|fact| Some((fact as u8, facts.get(fact)?.clone()))).collect()
}

/// What differs between two sets of facts.
pub(super) fn differences(old: &Facts, new: &Facts) -> Vec<FactChange> {
    let differ = |fact: &Fact| old.get(*fact) != new.get(*fact);
    let change = |fact: Fact| (fact as u8, old.get(fact).cloned(), new.get(fact).cloned());
    Fact::ALL.into_iter().filter(differ).map(change).collect()
}

/// An error of redb, or bytes that are no record, in words of the store.
pub(super) trait Of<T> {
    fn of(self, path: &Path) -> Result<T, StoreError>;
}

impl<T, E: Into<redb::Error>> Of<T> for Result<T, E> {
    fn of(self, path: &Path) -> Result<T, StoreError> {
        self.map_err(|error| StoreError::of(path, error))
    }
}

/// A record, or the news that the file is damaged.
pub(super) fn read<R: Record>(path: &Path, bytes: &[u8]) -> Result<R, StoreError> {
    codec::decode(bytes).map_err(|error| damaged(path, error))
}

pub(super) fn damaged(path: &Path, what: impl ToString) -> StoreError {
    StoreError::Damaged { path: path.to_owned(), what: what.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change here is a new schema: the released form stays readable.
    #[test]
    fn released_records_keep_their_bytes() {
        fn golden<R: Record + PartialEq + std::fmt::Debug>(record: R, bytes: &str) {
            let hex: String = codec::encode(&record).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, bytes);
            assert_eq!(codec::decode::<R>(&codec::encode(&record)), Ok(record));
        }
        let facts = vec![(1, Datum::Text(b"sh".to_vec())), (5, Datum::Int(-1))];
        golden(
            LifeV1 { start_key: b"k".to_vec(), pid: 7, run: 3, time_ms: 1_000, facts },
            "de010100016b0e03fbd007020101027368050001",
        );
        golden(EndV1 { last_ms: 2, run: 4, counters: vec![9] }, "de01010004040109");
        golden(
            ChangeV1 { time_ms: 2, facts: vec![(7, None, Some(Datum::Int(1)))] },
            "de01010004010700010002",
        );
        let (processes, began, changed, ended) = (3, 4, 5, 6);
        golden(
            RunV1 { time_ms: -1, elapsed_ms: 1, complete: true, lost: 2, processes, began, changed, ended },
            "de0101000101010203040506",
        );
        golden(BlockV1 { ended: vec![1], entries: vec![2, 3] }, "de0101000101020203");
        golden(KeyframeV1 { counters: vec![8] }, "de0101000108");
    }
}
