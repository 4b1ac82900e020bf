//! What outlives the agent: alerts, deliveries, rules and process history in `state.redb`, and the audit ledger
//! in `audit.redb`.
//!
//! One program writes (the agent), any number may read meanwhile. Every record carries the version of its
//! form; `codec` is the one place that knows how records become bytes.

mod codec;
mod crash;
mod database;
mod error;
#[cfg(test)]
mod faulty;
mod file;
pub mod history;
mod lock;
mod pending;
mod random;
mod state;
mod stats;
mod tables;

pub use crash::crash_point;
pub use error::StoreError;
pub use lock::StateLock;
pub use pending::PendingEntry;
pub use state::{
    AlertFilter, Delivery, DeliveryStatus, Due, Found, HistoryEntry, Match, Opened, Outcome, Raised,
    Retained, RuleCard, RuleRef, RuleRow, RuleRun, RuleSwitch, RunRecord, STATE_FILE, State, StateLimits,
    StateReader, Witness,
};
pub use stats::TableStats;
pub use tables::{HISTORY_TABLES, STATE_TABLES};
