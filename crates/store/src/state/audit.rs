//! Audit records on their way to the ledger, and what the state knows of the ledger.

use redb::ReadableTable;

use super::record::{PendingV1, WitnessV1};
use super::rules::audit;
use super::schema::{self, get};
use super::{State, StateReader};
use crate::codec;
use crate::file::Inner;
use crate::{PendingEntry, StoreError};

/// The ledger's head as the state last saw it: a second place that knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Witness {
    /// The ledger's id.
    pub ledger: [u8; 16],
    /// How many entries it had.
    pub size: u64,
    /// The hash of the last of them.
    pub hash: [u8; 32],
}

impl StateReader {
    /// The ledger's head as it was when audit records last reached it.
    pub fn witness(&self) -> Result<Option<Witness>, StoreError> {
        self.reading.read(|txn| {
            let witness: Option<WitnessV1> = get(&txn.open_table(schema::META)?, "witness")?;
            Ok(witness.map(|w| Witness { ledger: w.ledger, size: w.size, hash: w.hash }))
        })
    }
}

impl State {
    /// An audit record of something that changes nothing else.
    pub fn audit(
        &self,
        actor: &str,
        action: &str,
        subject: &str,
        payload: &str,
        time_ms: i64,
    ) -> Result<(), StoreError> {
        self.file.write(|txn| audit(txn, actor, action, subject, payload, time_ms))
    }

    /// The number of the last audit record that was written in this epoch; 0 for none.
    pub fn last_pending(&self) -> Result<u64, StoreError> {
        self.file.read(|txn| Ok(txn.open_table(schema::COUNTERS)?.get("pending")?.map_or(0, |n| n.value())))
    }

    /// The audit records that the ledger has yet to take, from the oldest on.
    pub fn pending_audit(&self, max: usize) -> Result<Vec<PendingEntry>, StoreError> {
        self.file.read(|txn| {
            let table = txn.open_table(schema::PENDING)?;
            let entry = |row: Result<_, redb::StorageError>| -> Inner<PendingEntry> {
                let (n, bytes): (redb::AccessGuard<'_, u64>, redb::AccessGuard<'_, &[u8]>) = row?;
                let record: PendingV1 = codec::decode(bytes.value())?;
                Ok(PendingEntry {
                    epoch: self.epoch,
                    n: n.value(),
                    time_ms: record.time_ms,
                    actor: record.actor,
                    action: record.action,
                    subject: record.subject,
                    payload: record.payload,
                })
            };
            table.iter()?.take(max).map(entry).collect()
        })
    }

    /// Forgets the audit records up to a number, which the ledger has taken, and notes the ledger's head.
    pub fn drained(&self, through: u64, head: Witness) -> Result<(), StoreError> {
        self.file.write(|txn| {
            txn.open_table(schema::PENDING)?.retain(|n, _| n > through)?;
            let record = WitnessV1 { ledger: head.ledger, size: head.size, hash: head.hash };
            txn.open_table(schema::META)?.insert("witness", codec::encode(&record).as_slice())?;
            Ok(())
        })
    }

    /// Begins another epoch, for the ledger knows more of this one than the state does: an older copy of the
    /// file came back. What still waits is known to the ledger and goes.
    pub fn begin_epoch(&mut self) -> Result<(), StoreError> {
        let epoch = crate::random::bytes::<16>();
        self.file.write(|txn| {
            txn.open_table(schema::META)?.insert("epoch", epoch.as_slice())?;
            txn.open_table(schema::PENDING)?.retain(|_, _| false)?;
            txn.open_table(schema::COUNTERS)?.insert("pending", 0)?;
            Ok(())
        })?;
        self.epoch = epoch;
        Ok(())
    }
}
