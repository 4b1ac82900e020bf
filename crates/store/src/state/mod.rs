//! `state.redb`: alerts, what people did about them, what is to be delivered, and how rules fare.
//!
//! One change is one transaction: an alert, its entries of the outbox, its rule's watermark and the audit record
//! that is still to reach the ledger are all there afterwards, or none is.

mod act;
mod audit;
#[cfg(test)]
mod batch_tests;
mod bundle;
mod check;
mod deliver;
mod find;
mod lookup;
mod migrate;
mod open;
mod raise;
mod read;
mod record;
mod retain;
mod rules;
mod schema;
mod spans;
#[cfg(test)]
mod tests;
mod windows;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

pub use deliver::{Delivery, DeliveryStatus, Due};
pub use find::{Match, Outcome, RuleRef, RunRecord};
pub use read::{AlertFilter, HistoryEntry, Rule as RuleRow, RuleRun, StateReader};
pub use retain::{Retained, StateLimits};
pub use rules::{RuleCard, RuleSwitch};

use crate::file::{Reading, Writing};

/// The name of the file within the state directory.
pub const STATE_FILE: &str = "state.redb";

/// The state file, open for writing.
pub struct State {
    file: Arc<Writing>,
    epoch: Mutex<[u8; 16]>,
    deferred: Mutex<Vec<find::Deferred>>,
}

/// What was found where the state is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing: it was made.
    New,
    /// The state of before.
    Existing,
    /// A file that cannot be used. It was renamed, and an empty one made.
    SetAside {
        /// Where the damaged file is now.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// A state that was opened.
pub struct Opened {
    /// The state.
    pub state: State,
    /// What was there before.
    pub found: Found,
}

impl State {
    /// A handle for reading, which stays good as long as the state is open.
    pub fn reader(&self) -> StateReader {
        StateReader::over(Reading::Shared(self.file.clone()))
    }

    /// The life of the state file: another one whenever it was made anew or fell behind the ledger.
    pub fn epoch(&self) -> [u8; 16] {
        *self.epoch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
