//! Process history: what ran here, from when to when, and what changed about it meanwhile.
//!
//! It has a file of its own, `history.redb`: its writes are many and must never
//! stand in the way of a transaction that alerts wait for.
//!
//! A run is one durable commit. redb refuses commits that are not durable on a file that other programs may
//! read, and one sync per run is less than the run itself costs.
//!
//! What is stored, all of it by the number of the collection run, because a clock may stand or jump back:
//! a life per `start_key` with the facts of its first run, a change per run in which facts of it differ, an end,
//! and per run one block of what the counters did. A keyframe every [`KEYFRAME_RUNS`] runs holds all counters,
//! so that any instant is reached by one keyframe and fewer blocks than that.
//!
//! *Invariant:* blocks after the oldest keyframe are all there, so their end is the set of living processes.

#[cfg(test)]
mod crash_tests;
mod observed;
mod packing;
mod reader;
mod records;
mod retain;
#[cfg(test)]
mod tests;
mod writer;

pub use observed::{Activity, Datum, Fact, Facts, Meter, Observed};
pub use reader::{
    Changed, ChangesCursor, CollectionRun, HistoryReader, Life, LivesCursor, LivesWanted, Past, PastProcess,
};
pub use retain::{Limits, Retained, Stats};
pub use writer::{CollectionFacts, History, Observation};

/// Name of the file within the state directory.
pub const HISTORY_FILE: &str = "history.redb";
/// Runs from one keyframe to the next.
pub const KEYFRAME_RUNS: u64 = 60;
/// Rows that one read transaction gives at most.
pub const PAGE_ROWS_MAX: usize = 1000;
