//! Audit records on their way to the ledger, and what the state knows of the ledger.

use std::collections::HashSet;
use std::sync::PoisonError;

use model::AlertId;
use redb::{ReadableTable, Table};

use super::find::AGENT;
use super::record::{AlertV1, PendingV1, RaisedV1, WitnessV1};
use super::rules::audit;
use super::schema::{self, get, put};
use super::{State, StateReader, bundle};
use crate::codec::{self, Record};
use crate::file::{Fault, Inner};
use crate::{PendingEntry, StoreError, Witness};

/// What waits for the ledger from a number on: one audit record, or those of alerts that were raised together.
pub(super) enum Waiting {
    Told(PendingV1),
    Raised(RaisedV1),
}

impl Waiting {
    pub(super) fn of(bytes: &[u8]) -> Inner<Waiting> {
        Ok(if codec::schema(bytes)? == RaisedV1::SCHEMA {
            Waiting::Raised(codec::decode(bytes)?)
        } else {
            Waiting::Told(codec::decode(bytes)?)
        })
    }

    /// How many records it is.
    fn count(&self) -> u64 {
        match self {
            Waiting::Told(_) => 1,
            Waiting::Raised(raised) => raised.count,
        }
    }

    /// One of its records, from 0.
    fn record(&self, place: u64, alerts: &impl ReadableTable<u64, &'static [u8]>) -> Inner<PendingV1> {
        match self {
            Waiting::Told(record) => Ok(record.clone()),
            Waiting::Raised(raised) => {
                let record = bundle::find(alerts, raised.alert + place, raised_record)?;
                record.ok_or(Fault::Record(codec::Undecodable::NoRecord))
            }
        }
    }

    fn put(&self, table: &mut Table<'_, u64, &'static [u8]>, n: u64) -> Inner<()> {
        match self {
            Waiting::Told(record) => put(table, n, record),
            Waiting::Raised(raised) => put(table, n, raised),
        }
    }
}

/// The audit record of an alert that was raised, from the alert's bytes: they stay what they are as long as it is kept.
fn raised_record(bytes: &[u8]) -> Inner<PendingV1> {
    let alert: AlertV1 = codec::decode(bytes)?;
    let mut payload = String::from("{\"rule\":");
    model::json::push_string(&alert.rule, &mut payload);
    payload.push_str(",\"version\":");
    model::json::push_string(&alert.rule_version, &mut payload);
    payload.push_str(",\"severity\":");
    model::json::push_string(alert.severity().name(), &mut payload);
    payload.push_str(",\"title\":");
    model::json::push_string(&alert.title, &mut payload);
    payload.push_str(&format!(",\"record_blake3\":\"{}\"}}", blake3::hash(bytes).to_hex()));
    Ok(PendingV1 {
        time_ms: alert.head.first_ms,
        actor: AGENT.into(),
        action: "alert.raised".into(),
        subject: AlertId(alert.head.id).to_string(),
        payload: payload.into_bytes(),
    })
}

/// Lets go of what waits below a number.
fn from(table: &mut Table<'_, u64, &'static [u8]>, first: u64) -> Inner<()> {
    let cut = table.range(..first)?.next_back().transpose()?;
    let cut = cut.map(|(n, bytes)| Ok::<_, Fault>((n.value(), Waiting::of(bytes.value())?))).transpose()?;
    if let Some((n, Waiting::Raised(RaisedV1 { alert, count }))) = cut
        && n + count > first
    {
        let gone = first - n;
        put(table, first, &RaisedV1 { alert: alert + gone, count: count - gone })?;
    }
    table.retain_in(..first, |_, _| false)?;
    Ok(())
}

/// Writes out the audit records that are told from alerts, where one of these alerts is about to go.
pub(super) fn write_out(txn: &redb::WriteTransaction, going: &HashSet<u64>) -> Inner<()> {
    let (mut table, alerts) = (txn.open_table(schema::PENDING)?, txn.open_table(schema::ALERTS)?);
    let mut told: Vec<(u64, PendingV1)> = Vec::new();
    for row in table.iter()? {
        let (key, bytes) = row?;
        let waiting = Waiting::of(bytes.value())?;
        if let Waiting::Raised(RaisedV1 { alert, count }) = &waiting
            && (*alert..*alert + *count).any(|n| going.contains(&n))
        {
            for place in 0..*count {
                told.push((key.value() + place, waiting.record(place, &alerts)?));
            }
        }
    }
    told.iter().try_for_each(|(n, record)| put(&mut table, n, record))
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
        let epoch = self.epoch();
        self.file.read(|txn| {
            let (table, alerts) = (txn.open_table(schema::PENDING)?, txn.open_table(schema::ALERTS)?);
            let mut entries = Vec::new();
            for row in table.iter()? {
                let (key, bytes) = row?;
                let waiting = Waiting::of(bytes.value())?;
                for place in 0..waiting.count() {
                    if entries.len() == max {
                        return Ok(entries);
                    }
                    let record = waiting.record(place, &alerts)?;
                    entries.push(PendingEntry {
                        epoch,
                        n: key.value() + place,
                        time_ms: record.time_ms,
                        actor: record.actor,
                        action: record.action,
                        subject: record.subject,
                        payload: record.payload,
                    });
                }
            }
            Ok(entries)
        })
    }

    /// Forgets the audit records up to a number, which the ledger has taken, and notes the ledger's head.
    pub fn drained(&self, through: u64, head: Witness) -> Result<(), StoreError> {
        self.file.write(|txn| {
            from(&mut txn.open_table(schema::PENDING)?, through.saturating_add(1))?;
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
            from(&mut pending, known.saturating_add(1))?;
            let mut kept: Vec<Waiting> = Vec::new();
            while let Some((_, bytes)) = pending.pop_first()? {
                kept.push(Waiting::of(bytes.value())?);
            }
            let mut last = 0;
            for waiting in &kept {
                waiting.put(&mut pending, last + 1)?;
                last += waiting.count();
            }
            txn.open_table(schema::COUNTERS)?.insert("pending", last)?;
            Ok(())
        })?;
        *self.epoch.lock().unwrap_or_else(PoisonError::into_inner) = epoch;
        Ok(())
    }
}
