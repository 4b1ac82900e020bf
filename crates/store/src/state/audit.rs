//! Audit records on their way to the ledger, and what the state knows of the ledger.

use std::sync::PoisonError;

use redb::ReadableTable;

use super::record::{PendingV1, WitnessV1};
use super::rules::audit;
use super::schema::{self, get};
use super::{State, StateReader};
use crate::codec;
use crate::file::Inner;
use crate::{PendingEntry, StoreError, Witness};

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
        let epoch = self.epoch();
        self.file.read(|txn| {
            let table = txn.open_table(schema::PENDING)?;
            let entry = |row: Result<_, redb::StorageError>| -> Inner<PendingEntry> {
                let (n, bytes): (redb::AccessGuard<'_, u64>, redb::AccessGuard<'_, &[u8]>) = row?;
                let record: PendingV1 = codec::decode(bytes.value())?;
                Ok(PendingEntry {
                    epoch,
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

    /// Begins another epoch, because the ledger and the state disagree about this one: an older copy of one of them
    /// came back. Of what waits, the ledger knows the records up to `known`; the others wait on, with new numbers.
    pub fn begin_epoch(&self, known: u64) -> Result<(), StoreError> {
        let epoch = crate::random::bytes::<16>();
        self.file.write(|txn| {
            txn.open_table(schema::META)?.insert("epoch", epoch.as_slice())?;
            let mut pending = txn.open_table(schema::PENDING)?;
            let mut kept: Vec<Vec<u8>> = Vec::new();
            for row in pending.range(known.saturating_add(1)..)? {
                kept.push(row?.1.value().to_vec());
            }
            pending.retain(|_, _| false)?;
            for (n, record) in (1..).zip(&kept) {
                pending.insert(n, record.as_slice())?;
            }
            txn.open_table(schema::COUNTERS)?.insert("pending", kept.len() as u64)?;
            Ok(())
        })?;
        *self.epoch.lock().unwrap_or_else(PoisonError::into_inner) = epoch;
        Ok(())
    }
}
