//! What the audit ledger has yet to take in.

/// An audit record that was written with the change it tells of, and waits for the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingEntry {
    /// The life of the state file that it comes from.
    pub epoch: [u8; 16],
    /// Its number within the epoch, from 1, without gaps.
    pub n: u64,
    /// When, in ms since 1970.
    pub time_ms: i64,
    /// Who did it.
    pub actor: String,
    /// What was done, such as `alert.ack`.
    pub action: String,
    /// To what.
    pub subject: String,
    /// What more is to be known, as bytes.
    pub payload: Vec<u8>,
}
