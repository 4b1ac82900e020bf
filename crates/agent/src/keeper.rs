//! What rules found, on its way into the state, also past a disk that is full for a while.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use model::AlertId;
use store::{Match, RuleRef, RunRecord, State, StoreError};

use crate::health::Health;

/// Runs that wait in memory while the disk takes none. Past it the oldest go, and are counted.
const BACKLOG_MAX: usize = 1000;

struct Waiting {
    rule: RuleRef,
    run: RunRecord,
    matches: Vec<Match>,
}

/// Wakes who waits for news of the state: sinks and the ledger.
#[derive(Default)]
pub(crate) struct News {
    number: Mutex<u64>,
    changed: Condvar,
}

impl News {
    /// There is news.
    pub(crate) fn tell(&self) {
        *self.number.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.changed.notify_all();
    }

    /// Waits for news later than `seen`, at most so long. Gives what to pass the next time.
    pub(crate) fn wait(&self, seen: u64, most: Duration) -> u64 {
        let number = self.number.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(number, most, |number| *number == seen);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// The state, for those who write to it.
pub(crate) struct Keeper {
    pub(crate) state: Arc<State>,
    pub(crate) news: News,
    sinks: BTreeSet<String>,
    backlog: Mutex<VecDeque<Waiting>>,
    lost: AtomicU64,
    health: Health,
    damaged: AtomicBool,
}

impl Keeper {
    pub(crate) fn new(state: Arc<State>, sinks: BTreeSet<String>, health: Health) -> Keeper {
        health.set("state", true, "");
        Keeper {
            state,
            news: News::default(),
            sinks,
            backlog: Mutex::default(),
            lost: AtomicU64::new(0),
            health,
            damaged: AtomicBool::new(false),
        }
    }

    /// Takes in a run. What the disk does not take now is taken later, in order. Gives the new alerts of all that was
    /// taken.
    pub(crate) fn take(&self, rule: RuleRef, run: RunRecord, matches: Vec<Match>) -> Vec<AlertId> {
        let mut backlog = self.backlog.lock().unwrap_or_else(PoisonError::into_inner);
        // A run without findings is worth no place among those that have some.
        if backlog.is_empty() || !matches.is_empty() {
            backlog.push_back(Waiting { rule, run, matches });
        }
        let mut raised = Vec::new();
        while let Some(first) = backlog.front() {
            match self.state.record(&first.rule, &first.run, &first.matches, &self.sinks) {
                Ok(new) => {
                    raised.extend(new);
                    backlog.pop_front();
                }
                Err(error) => {
                    while backlog.len() > BACKLOG_MAX {
                        backlog.pop_front();
                        self.lost.fetch_add(1, Ordering::Relaxed);
                    }
                    self.failed(&error, backlog.len());
                    return raised;
                }
            }
        }
        drop(backlog);
        self.works();
        if !raised.is_empty() {
            self.news.tell();
        }
        raised
    }

    /// Has on the disk what waits in memory.
    pub(crate) fn flush(&self) {
        let waiting = self.backlog.lock().unwrap_or_else(PoisonError::into_inner).len();
        match self.state.flush() {
            Ok(()) if waiting == 0 => self.works(),
            Ok(()) => {}
            Err(error) => self.failed(&error, waiting),
        }
    }

    /// Notes the outcome of another write.
    pub(crate) fn note<T>(&self, done: Result<T, StoreError>) -> Option<T> {
        match done {
            Ok(done) => Some(done),
            Err(error) => {
                self.failed(&error, 0);
                None
            }
        }
    }

    /// Whether the file turned out to be damaged: only a new start can set it aside.
    pub(crate) fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Acquire)
    }

    fn works(&self) {
        let lost = self.lost.load(Ordering::Relaxed);
        self.health.set(
            "state",
            true,
            if lost > 0 { format!("{lost} runs were lost") } else { String::new() },
        );
    }

    fn failed(&self, error: &StoreError, waiting: usize) {
        if matches!(error, StoreError::Damaged { .. }) {
            self.damaged.store(true, Ordering::Release);
        }
        let lost = self.lost.load(Ordering::Relaxed);
        let waits = if waiting > 0 { format!("; {waiting} runs wait in memory") } else { String::new() };
        let gone = if lost > 0 { format!("; {lost} were lost") } else { String::new() };
        self.health.set("state", false, format!("{error}{waits}{gone}"));
    }
}
