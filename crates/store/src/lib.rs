//! What outlives the agent: alerts, deliveries, rules and process history in `state.redb`, and the audit ledger
//! in `audit.redb`.
//!
//! One program writes (the agent), any number may read meanwhile. Every record carries the version of its
//! form; `codec` is the one place that knows how records become bytes.

mod audit;
mod codec;
mod crash;
mod database;
mod error;
#[cfg(test)]
mod faulty;
mod file;
mod fill;
mod gathering;
pub mod history;
mod lock;
mod pending;
mod random;
mod state;
mod stats;
mod tables;

pub use audit::{
    Checkpoint, Entry, Finding, FindingKind, Frontier, Hash, Head, LEDGER_FILE, Ledger, LedgerId,
    LedgerReader, Malformed, NoteKey, Proof, ROWS_PER_READ_MAX, Trust, Verdict, Witness, consistency_holds,
    inclusion_holds, leaf_hash, verify, verify_proof,
};
pub use crash::crash_point;
pub use error::StoreError;
pub use lock::StateLock;
pub use pending::PendingEntry;
pub use state::{
    AlertFilter, Delivery, DeliveryStatus, Due, Found, HistoryEntry, Match, Opened, Outcome, Retained,
    RuleCard, RuleRef, RuleRow, RuleRun, RuleSwitch, RunRecord, STATE_FILE, State, StateLimits, StateReader,
};
pub use stats::TableStats;
pub use tables::{HISTORY_TABLES, LEDGER_TABLES, STATE_TABLES};
