//! The audit ledger: what the agent did, in a form that shows when somebody changes it later.
//!
//! `docs/ledger-format.md` gives the byte layout, so that a program of somebody else can verify a ledger.
//! **Invariant:** nothing here changes or deletes an entry.

mod beside;
mod checkpoint;
mod entry;
mod key;
mod layout;
mod ledger;
mod merkle;
mod proof;
mod reader;
mod verify;

pub use checkpoint::{Checkpoint, NoteKey};
pub use entry::{Entry, Hash, LedgerId, Malformed};
pub use layout::FILE_NAME as LEDGER_FILE;
pub use ledger::Ledger;
pub use merkle::{Frontier, consistency_holds, inclusion_holds, leaf_hash};
pub use proof::{Proof, verify_proof};
pub use reader::{LedgerReader, ROWS_PER_READ_MAX};
pub use verify::{Finding, FindingKind, Trust, Verdict, Witness, verify};

/// Where a ledger stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Which ledger.
    pub ledger: LedgerId,
    /// How many entries it has.
    pub size: u64,
    /// Hash of the last entry; of an empty ledger what its first entry will name as previous.
    pub hash: Hash,
    /// Root of the Merkle tree.
    pub root: Hash,
}

#[cfg(test)]
mod tests;
