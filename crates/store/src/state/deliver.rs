//! The outbox: what each sink has yet to take, what it took, and what it never will.

use model::{Alert, AlertId};
use redb::ReadableTable;

use super::record::{DeliveryV1, OutboxV1};
use super::schema::{self, get, next, put};
use super::{State, StateReader, read};
use crate::StoreError;
use crate::codec;

/// Receipts that are kept.
const RECEIPTS_KEPT: u64 = 10_000;

/// An alert that a sink is to be given now.
#[derive(Clone, Debug)]
pub struct Due {
    /// Its place in the sink's queue.
    pub seq: u64,
    /// How often it was tried.
    pub attempts: u32,
    /// The alert as it is now.
    pub alert: Alert,
}

/// How far a delivery has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryStatus {
    /// It waits for its next try.
    Pending,
    /// The sink has it.
    Delivered,
    /// It was given up, and can be sent again.
    Dead,
}

impl DeliveryStatus {
    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            DeliveryStatus::Pending => "pending",
            DeliveryStatus::Delivered => "delivered",
            DeliveryStatus::Dead => "dead",
        }
    }
}

/// One alert at one sink.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The sink's name.
    pub sink: String,
    /// The alert.
    pub alert: AlertId,
    /// How far it has come.
    pub status: DeliveryStatus,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next, or was delivered or given up, in ms since 1970.
    pub time_ms: i64,
    /// Why the last try failed; empty if none did.
    pub error: String,
}

impl StateReader {
    /// What a sink is to be given at a time, oldest first.
    pub fn due(&self, sink: &str, now_ms: i64, max: usize) -> Result<Vec<Due>, StoreError> {
        self.reading.read(|txn| {
            let (outbox, alerts) = (txn.open_table(schema::OUTBOX)?, read::Alerts::over(txn)?);
            let mut due = Vec::new();
            for row in outbox.range((sink, 0)..=(sink, u64::MAX))? {
                let (key, bytes) = row?;
                let entry: OutboxV1 = codec::decode(bytes.value())?;
                if entry.due_ms > now_ms {
                    continue;
                }
                if let Some(alert) = alerts.get(AlertId(entry.alert))? {
                    due.push(Due { seq: key.value().1, attempts: entry.attempts, alert });
                }
                if due.len() == max {
                    break;
                }
            }
            Ok(due)
        })
    }

    /// When a sink's queue has something next, in ms since 1970.
    pub fn next_due(&self, sink: &str) -> Result<Option<i64>, StoreError> {
        self.reading.read(|txn| {
            let mut first = None;
            for row in txn.open_table(schema::OUTBOX)?.range((sink, 0)..=(sink, u64::MAX))? {
                let entry: OutboxV1 = codec::decode(row?.1.value())?;
                first = Some(first.map_or(entry.due_ms, |first: i64| first.min(entry.due_ms)));
            }
            Ok(first)
        })
    }

    /// Deliveries: those that wait, those that were given up, then the last receipts.
    pub fn deliveries(&self) -> Result<Vec<Delivery>, StoreError> {
        self.reading.read(|txn| {
            let mut all = Vec::new();
            let queues = [(schema::OUTBOX, DeliveryStatus::Pending), (schema::DEAD, DeliveryStatus::Dead)];
            for (table, status) in queues {
                for row in txn.open_table(table)?.iter()? {
                    let (key, bytes) = row?;
                    let entry: OutboxV1 = codec::decode(bytes.value())?;
                    all.push(Delivery {
                        sink: key.value().0.to_owned(),
                        alert: AlertId(entry.alert),
                        status,
                        attempts: entry.attempts,
                        time_ms: entry.due_ms,
                        error: entry.error,
                    });
                }
            }
            for row in txn.open_table(schema::DELIVERIES)?.iter()?.rev() {
                let receipt: DeliveryV1 = codec::decode(row?.1.value())?;
                all.push(Delivery {
                    sink: receipt.sink,
                    alert: AlertId(receipt.alert),
                    status: DeliveryStatus::Delivered,
                    attempts: receipt.attempts,
                    time_ms: receipt.time_ms,
                    error: receipt.detail,
                });
            }
            Ok(all)
        })
    }
}

impl State {
    /// Notes that a sink has these entries of its queue.
    pub fn delivered(&self, sink: &str, seqs: &[u64], time_ms: i64) -> Result<(), StoreError> {
        self.file.write(|txn| {
            let mut outbox = txn.open_table(schema::OUTBOX)?;
            let mut receipts = txn.open_table(schema::DELIVERIES)?;
            let mut counters = txn.open_table(schema::COUNTERS)?;
            for seq in seqs {
                let entry: Option<OutboxV1> = get(&outbox, (sink, *seq))?;
                let Some(entry) = entry else { continue };
                outbox.remove((sink, *seq))?;
                let receipt = DeliveryV1 {
                    sink: sink.to_owned(),
                    alert: entry.alert,
                    time_ms,
                    attempts: entry.attempts + 1,
                    outcome: DeliveryStatus::Delivered.name().into(),
                    detail: String::new(),
                };
                let n = next(&mut counters, "delivery")?;
                put(&mut receipts, n, &receipt)?;
                if let Some(old) = n.checked_sub(RECEIPTS_KEPT) {
                    receipts.remove(old)?;
                }
            }
            Ok(())
        })
    }

    /// Notes that a sink did not take an entry: it is tried again at a time, or given up if there is none.
    pub fn delivery_failed(
        &self,
        sink: &str,
        seq: u64,
        error: &str,
        again_ms: Option<i64>,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        self.file.write(|txn| {
            let mut outbox = txn.open_table(schema::OUTBOX)?;
            let entry: Option<OutboxV1> = get(&outbox, (sink, seq))?;
            let Some(entry) = entry else { return Ok(()) };
            let attempts = entry.attempts + 1;
            let due_ms = again_ms.unwrap_or(now_ms);
            let entry = OutboxV1 { attempts, due_ms, error: error.to_owned(), ..entry };
            match again_ms {
                Some(_) => put(&mut outbox, (sink, seq), &entry),
                None => {
                    outbox.remove((sink, seq))?;
                    put(&mut txn.open_table(schema::DEAD)?, (sink, seq), &entry)
                }
            }
        })
    }

    /// Queues again what sinks were given up on, of one sink or of all. Says how many there were.
    pub fn resend_dead(&self, sink: Option<&str>, now_ms: i64) -> Result<u64, StoreError> {
        self.file.write(|txn| {
            let (mut dead, mut outbox) = (txn.open_table(schema::DEAD)?, txn.open_table(schema::OUTBOX)?);
            let mut moved = Vec::new();
            for row in dead.iter()? {
                let (key, bytes) = row?;
                let (name, seq) = key.value();
                if sink.is_none_or(|sink| sink == name) {
                    moved.push((name.to_owned(), seq, codec::decode::<OutboxV1>(bytes.value())?));
                }
            }
            for (name, seq, entry) in &moved {
                dead.remove((name.as_str(), *seq))?;
                let entry = OutboxV1 { attempts: 0, due_ms: now_ms, ..entry.clone() };
                put(&mut outbox, (name.as_str(), *seq), &entry)?;
            }
            Ok(moved.len() as u64)
        })
    }
}
