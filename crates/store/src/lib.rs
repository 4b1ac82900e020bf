//! What outlives the agent: alerts, deliveries, rules and process history in `state.redb`, and the audit ledger
//! in `audit.redb`.
//!
//! One program writes (the agent), any number may read meanwhile. Every record carries the version of its
//! form; `codec` is the one place that knows how records become bytes.

#![allow(dead_code, reason = "the rooms that use the seam follow")]
mod codec;
mod database;
mod error;
pub mod history;
mod pending;
mod tables;

pub use error::StoreError;
pub use pending::PendingEntry;
pub use tables::HISTORY_TABLES;
