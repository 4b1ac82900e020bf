//! What outlives the agent: alerts, deliveries, rules and process history in `state.redb`, and the audit ledger
//! in `audit.redb`.
//!
//! One program writes (the agent), any number may read meanwhile. Every record carries the version of its
//! form; `codec` is the one place that knows how records become bytes.

#![allow(dead_code, reason = "the rooms that use the seam follow")]
mod audit;
mod codec;
mod database;
mod error;
mod pending;

pub use audit::{
    Checkpoint, Entry, Finding, FindingKind, Hash, Head, Ledger, LedgerId, LedgerReader, Malformed, NoteKey,
    Proof, ROWS_PER_READ_MAX, Trust, Verdict, Witness, consistency_holds, inclusion_holds, leaf_hash, verify,
    verify_proof,
};
pub use error::StoreError;
pub use pending::PendingEntry;
