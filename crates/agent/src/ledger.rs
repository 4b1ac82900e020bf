//! Audit records on their way from the state into the ledger, and what is done when the two disagree.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use store::{Head, Ledger, State, StoreError, Witness, crash_point};

use crate::clock;
use crate::health::Health;
use crate::keeper::Keeper;

/// Records that go into the ledger at once.
const BATCH: usize = 500;
/// How long to look for news at most.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Between two tries of a ledger that cannot be written.
const AGAIN: Duration = Duration::from_secs(5);
/// Between two checkpoints of a ledger that grows.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(3600);

const ACTOR: &str = "agent";

/// The ledger, which is opened anew after a disk that failed.
pub(crate) struct Book {
    directory: PathBuf,
    open: Option<Ledger>,
    again: Instant,
    signed: (Instant, u64),
    health: Health,
}

impl Book {
    /// Opens the ledger, and records what does not fit between it and the state. A ledger that cannot be opened
    /// stops nothing: records wait in the state, and it is tried again.
    pub(crate) fn open(directory: &Path, state: &State, is_new: bool, health: Health) -> Book {
        let now = Instant::now();
        let mut book =
            Book { directory: directory.to_owned(), open: None, again: now, signed: (now, 0), health };
        if let Err(error) = book
            .ledger()
            .map(|ledger| (ledger.head(), ledger.last_drained(state.epoch())))
            .and_then(|(head, drained)| reconcile(state, &head, drained?, is_new, directory))
        {
            book.failed(&error);
        }
        book
    }

    fn ledger(&mut self) -> Result<&mut Ledger, StoreError> {
        match self.open {
            Some(ref mut ledger) => Ok(ledger),
            None => Ok(self.open.insert(Ledger::open(&self.directory)?)),
        }
    }

    fn failed(&mut self, error: &StoreError) {
        // After a write that failed the file takes no more until it is opened anew.
        self.open = None;
        self.again = Instant::now() + AGAIN;
        self.health.set("ledger", false, format!("{error}; records wait in the state"));
    }

    /// Takes in what waits. Whether all of it is in the ledger now.
    pub(crate) fn drain(&mut self, state: &State) -> bool {
        if self.open.is_none() && Instant::now() < self.again {
            return false;
        }
        match self.take(state) {
            Ok(head) => {
                self.health.set("ledger", true, format!("{} entries", head.size));
                let (when, size) = self.signed;
                if head.size > size && when.elapsed() >= CHECKPOINT_EVERY {
                    // What is wrong was told.
                    let _ = self.checkpoint(state);
                }
                true
            }
            Err(error) => {
                self.failed(&error);
                false
            }
        }
    }

    fn take(&mut self, state: &State) -> Result<Head, StoreError> {
        let ledger = self.ledger()?;
        loop {
            let waits = state.pending_audit(BATCH)?;
            let Some(last) = waits.last() else { return Ok(ledger.head()) };
            let head = ledger.append(&waits)?;
            crash_point("ledger.drained");
            state.drained(last.n, Witness { ledger: head.ledger, size: head.size, hash: head.hash })?;
        }
    }

    /// Signs where the ledger stands, and gives the text of the checkpoint.
    pub(crate) fn checkpoint(&mut self, state: &State) -> Result<String, String> {
        let sign = |book: &mut Book| -> Result<String, StoreError> {
            let head = book.take(state)?;
            let text = book.ledger()?.checkpoint(clock::now_ms())?;
            book.signed = (Instant::now(), head.size);
            Ok(text)
        };
        sign(self).map_err(|error| {
            self.failed(&error);
            error.to_string()
        })
    }
}

/// Records where the state and the ledger tell of different pasts, and begins another epoch then: nothing that
/// waits is lost, nothing that the ledger knows comes again.
fn reconcile(
    state: &State,
    head: &Head,
    drained: Option<u64>,
    is_new: bool,
    directory: &Path,
) -> Result<(), StoreError> {
    let (now, last) = (clock::now_ms(), state.last_pending()?);
    let say = |action: &str, what: &str| {
        tracing::error!(action, what, "the state and the ledger do not fit together");
        state.audit(ACTOR, action, &directory.display().to_string(), what, now)
    };
    if is_new && head.size > 0 {
        return say("state.recreated", &format!("the state is new; the ledger has {} entries", head.size));
    }
    if let Some(drained) = drained
        && drained > last
    {
        state.begin_epoch(drained)?;
        let what = format!(
            "the ledger has {drained} records of this state, which knows of {last}: an older copy came back"
        );
        return say("state.rolled_back", &what);
    }
    let Some(witness) = state.reader().witness()? else { return Ok(()) };
    if witness.ledger == head.ledger && witness.size <= head.size {
        return Ok(());
    }
    state.begin_epoch(drained.unwrap_or(0))?;
    if witness.ledger == head.ledger {
        let what =
            format!("the ledger had {} entries and has {}: an older copy came back", witness.size, head.size);
        say("ledger.rolled_back", &what)
    } else {
        let what = format!(
            "the ledger of {} entries is gone; another one with {} is in its place",
            witness.size, head.size
        );
        say("ledger.replaced", &what)
    }
}

/// Drains until the agent ends, and then once more.
pub(crate) fn keep(book: &std::sync::Mutex<Book>, keeper: &Arc<Keeper>, ends: &AtomicBool) {
    let mut seen = 0;
    loop {
        let ending = ends.load(Ordering::Acquire);
        let drained = book.lock().unwrap_or_else(std::sync::PoisonError::into_inner).drain(&keeper.state);
        if ending {
            if !drained {
                tracing::warn!("audit records wait in the state for the next start");
            }
            return;
        }
        seen = keeper.news.wait(seen, LOOK_EVERY);
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test copies files of its own")]
mod tests {
    use super::*;
    use store::{LEDGER_FILE, LedgerReader, STATE_FILE};

    struct Both {
        directory: tempfile::TempDir,
    }

    impl Both {
        fn path(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }

        /// Opens, records once, and closes, as an agent does.
        fn session(&self, subject: &str) {
            let opened = State::open(self.directory.path()).unwrap();
            let is_new = opened.found != store::Found::Existing;
            let mut book = Book::open(self.directory.path(), &opened.state, is_new, Health::default());
            opened.state.audit("a", "did", subject, "", 1).unwrap();
            assert!(book.drain(&opened.state), "{subject}");
        }

        fn told(&self) -> Vec<String> {
            let reader = LedgerReader::open(self.directory.path()).unwrap();
            assert_eq!(reader.verify(&store::Trust::default()).unwrap().findings, []);
            let entries = reader.entries(1..=1000).unwrap();
            entries.into_iter().map(|e| if e.action == "did" { e.subject } else { e.action }).collect()
        }
    }

    #[test]
    fn an_older_state_or_none_beside_a_newer_ledger_is_recorded_and_nothing_comes_twice() {
        let both = Both { directory: tempfile::tempdir().unwrap() };
        both.session("1");
        std::fs::copy(both.path(STATE_FILE), both.path("old")).unwrap();
        both.session("2");
        std::fs::rename(both.path("old"), both.path(STATE_FILE)).unwrap();
        both.session("3");
        assert_eq!(both.told(), ["1", "2", "state.rolled_back", "3"]);
        std::fs::remove_file(both.path(STATE_FILE)).unwrap();
        both.session("4");
        both.session("5");
        assert_eq!(both.told(), ["1", "2", "state.rolled_back", "3", "state.recreated", "4", "5"]);
    }

    #[test]
    fn an_older_ledger_or_another_one_is_recorded_and_what_waits_stays() {
        let both = Both { directory: tempfile::tempdir().unwrap() };
        both.session("1");
        std::fs::copy(both.path(LEDGER_FILE), both.path("old")).unwrap();
        both.session("2");
        std::fs::rename(both.path("old"), both.path(LEDGER_FILE)).unwrap();
        both.session("3");
        assert_eq!(both.told(), ["1", "ledger.rolled_back", "3"]);
        std::fs::remove_file(both.path(LEDGER_FILE)).unwrap();
        both.session("4");
        assert_eq!(both.told(), ["ledger.replaced", "4"]);
    }
}
