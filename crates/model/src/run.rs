//! One run of a statement: how it is stopped, and what it could not see.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Kinds of note that one run keeps; what comes after is counted under `NOTES_MORE`.
const NOTES_MAX: usize = 1000;
const NOTES_MORE: &str = "more notes were dropped";

/// Why a run was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Somebody asked for it (Ctrl-C, a client that went away).
    Cancelled,
    /// It took longer than it was given.
    Deadline(Duration),
    /// It held more memory than it was given, in bytes.
    Memory(u64),
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Stop::Cancelled => write!(f, "the query was cancelled"),
            Stop::Deadline(limit) => write!(f, "the query ran past its deadline of {limit:?}"),
            Stop::Memory(limit) => write!(f, "the query needed more than its {limit} bytes of memory"),
        }
    }
}

/// Something that a scan could not see: a NULL that stands for "not readable" has one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// The table.
    pub table: String,
    /// The column, or empty for whole rows.
    pub column: String,
    /// Why, in a few words: `permission denied`.
    pub reason: String,
    /// How many values or rows.
    pub count: u64,
}

#[derive(Debug)]
struct Inner {
    cancelled: AtomicBool,
    started: Instant,
    timeout: Option<Duration>,
    memory_used: AtomicU64,
    memory_max: u64,
    now: SystemTime,
    notes: Mutex<BTreeMap<NoteKey, u64>>,
}

/// Table, column, reason. Tables of this program are named by constants, those of a collector are not.
type NoteKey = (Cow<'static, str>, Cow<'static, str>, String);

/// One run of a statement. Clones are handles on the same run.
///
/// Everything that works for longer than a few milliseconds polls [`Run::check`].
#[derive(Clone, Debug)]
pub struct Run(Arc<Inner>);

impl Run {
    /// A run that starts now. `now` is what the statement's clock shows throughout.
    pub fn new(timeout: Option<Duration>, memory_max: u64, now: SystemTime) -> Run {
        Run(Arc::new(Inner {
            cancelled: AtomicBool::new(false),
            started: Instant::now(),
            timeout,
            memory_used: AtomicU64::new(0),
            memory_max,
            now,
            notes: Mutex::new(BTreeMap::new()),
        }))
    }

    /// A run without limits, for tests and benches.
    pub fn unlimited() -> Run {
        Run::new(None, u64::MAX, SystemTime::now())
    }

    /// Asks the run to stop. Safe from any thread.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
    }

    /// An error once the run has to stop. Costs about as much as reading a clock.
    pub fn check(&self) -> Result<(), Stop> {
        if self.0.cancelled.load(Ordering::Relaxed) {
            return Err(Stop::Cancelled);
        }
        match self.0.timeout {
            Some(limit) if self.0.started.elapsed() >= limit => Err(Stop::Deadline(limit)),
            _ if self.0.memory_used.load(Ordering::Relaxed) > self.0.memory_max => {
                Err(Stop::Memory(self.0.memory_max))
            }
            _ => Ok(()),
        }
    }

    /// Counts bytes that the run now holds; an error once that is too many.
    pub fn hold(&self, bytes: usize) -> Result<(), Stop> {
        let before = self.0.memory_used.fetch_add(bytes as u64, Ordering::Relaxed);
        if before.saturating_add(bytes as u64) > self.0.memory_max {
            return Err(Stop::Memory(self.0.memory_max));
        }
        Ok(())
    }

    /// Counts bytes that the run gave back.
    pub fn release(&self, bytes: usize) {
        self.0.memory_used.fetch_sub(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes that the run holds now.
    pub fn held(&self) -> u64 {
        self.0.memory_used.load(Ordering::Relaxed)
    }

    /// What is left until the deadline, if there is one.
    pub fn time_left(&self) -> Option<Duration> {
        self.0.timeout.map(|limit| limit.saturating_sub(self.0.started.elapsed()))
    }

    /// Bytes that the run may hold.
    pub fn memory_max(&self) -> u64 {
        self.0.memory_max
    }

    /// The statement's clock: one instant for all its rows.
    pub fn now(&self) -> SystemTime {
        self.0.now
    }

    /// The statement's clock in seconds since 1970.
    pub fn now_unix(&self) -> i64 {
        match self.0.now.duration_since(UNIX_EPOCH) {
            Ok(since) => since.as_secs() as i64,
            Err(before) => -(before.duration().as_secs() as i64),
        }
    }

    /// Notes that a value of `table.column` (or a row, when `column` is empty) could not be read.
    pub fn note(
        &self,
        table: impl Into<Cow<'static, str>>,
        column: impl Into<Cow<'static, str>>,
        reason: impl Into<String>,
    ) {
        self.note_many(table, column, reason, 1);
    }

    /// [`Run::note`] for `count` values or rows at once.
    pub fn note_many(
        &self,
        table: impl Into<Cow<'static, str>>,
        column: impl Into<Cow<'static, str>>,
        reason: impl Into<String>,
        count: u64,
    ) {
        let mut notes = self.0.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let full = notes.len() >= NOTES_MAX;
        let key = (table.into(), column.into(), reason.into());
        match notes.get_mut(&key) {
            Some(known) => *known += count,
            None if full => *notes.entry((key.0, "".into(), NOTES_MORE.into())).or_default() += count,
            None => *notes.entry(key).or_default() += count,
        }
    }

    /// What was noted so far.
    pub fn notes(&self) -> Vec<Note> {
        let notes = self.0.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let note = |((table, column, reason), count): (&NoteKey, &u64)| Note {
            table: table.to_string(),
            column: column.to_string(),
            reason: reason.clone(),
            count: *count,
        };
        notes.iter().map(note).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancelled_run_says_so_before_anything_else() {
        let run = Run::new(Some(Duration::ZERO), 0, UNIX_EPOCH);
        assert_eq!(run.check(), Err(Stop::Deadline(Duration::ZERO)));
        run.cancel();
        assert_eq!(run.check(), Err(Stop::Cancelled));
    }

    #[test]
    fn memory_is_refused_past_the_limit_and_can_be_given_back() {
        let run = Run::new(None, 100, UNIX_EPOCH);
        assert_eq!(run.hold(100), Ok(()));
        assert_eq!(run.hold(1), Err(Stop::Memory(100)));
        run.release(51);
        assert_eq!(run.check(), Ok(()));
    }

    #[test]
    fn equal_notes_are_counted_and_their_number_is_bounded() {
        let run = Run::unlimited();
        run.note("t", "c", "permission denied");
        run.note("t", "c", "permission denied");
        assert_eq!(run.notes()[0].count, 2);
        for n in 0..2 * NOTES_MAX {
            run.note("t", "c", n.to_string());
        }
        assert!(run.notes().len() <= NOTES_MAX + 1);
    }
}
