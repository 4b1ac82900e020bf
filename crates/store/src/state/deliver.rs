//! The outbox: what each sink has yet to take, what it took, and what it never will.

use model::{Alert, AlertId};
use redb::{ReadableTable, Table};

use super::record::{DeliveryV1, OutboxV1};
use super::schema::{self, next, put};
use super::{State, StateReader, bundle, read};
use crate::StoreError;
use crate::codec;
use crate::file::Inner;

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

impl OutboxV1 {
    /// New alerts, from this number on, each due since it was raised.
    pub(super) fn of(alert: u64, mut times: impl Iterator<Item = i64>) -> OutboxV1 {
        let due_ms = times.next().unwrap_or_default();
        let later_ms = times.map(|time| time.wrapping_sub(due_ms)).collect();
        OutboxV1 { alert, attempts: 0, due_ms, later_ms, error: String::new() }
    }

    /// The place of each of its alerts, from 0, with the time when it is due.
    pub(super) fn times(&self) -> impl Iterator<Item = (u64, i64)> {
        let later = self.later_ms.iter().map(|later| self.due_ms.wrapping_add(*later));
        (0..).zip(std::iter::once(self.due_ms).chain(later))
    }

    fn part(&self, places: std::ops::Range<u64>) -> Option<OutboxV1> {
        let times = self.times().filter(|(place, _)| places.contains(place)).map(|(_, time)| time);
        let error = self.error.clone();
        let part = OutboxV1::of(self.alert + places.start, times);
        (!places.is_empty()).then_some(OutboxV1 { attempts: self.attempts, error, ..part })
    }
}

/// Takes one place out of a sink's queue.
fn take(
    outbox: &mut Table<'_, (&'static str, u64), &'static [u8]>,
    sink: &str,
    seq: u64,
) -> Inner<Option<OutboxV1>> {
    let held = outbox.range((sink, 0)..=(sink, seq))?.next_back().transpose()?;
    let held = held
        .map(|(key, bytes)| codec::decode(bytes.value()).map(|entry| (key.value().1, entry)))
        .transpose()?;
    let Some((first, entry)): Option<(u64, OutboxV1)> = held else { return Ok(None) };
    let (place, count) = (seq - first, 1 + entry.later_ms.len() as u64);
    let Some(taken) = entry.part(place..count.min(place + 1)) else { return Ok(None) };
    outbox.remove((sink, first))?;
    if let Some(before) = entry.part(0..place) {
        put(outbox, (sink, first), &before)?;
    }
    if let Some(after) = entry.part(place + 1..count) {
        put(outbox, (sink, seq + 1), &after)?;
    }
    Ok(Some(taken))
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
                for (place, due_ms) in entry.times() {
                    if due.len() == max {
                        return Ok(due);
                    }
                    if due_ms <= now_ms
                        && let Some(alert) = alerts.get(entry.alert + place)?
                    {
                        due.push(Due { seq: key.value().1 + place, attempts: entry.attempts, alert });
                    }
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
                first = entry.times().map(|(_, due_ms)| due_ms).chain(first).min();
            }
            Ok(first)
        })
    }

    /// Deliveries: those that wait, those that were given up, then the last receipts.
    pub fn deliveries(&self) -> Result<Vec<Delivery>, StoreError> {
        self.reading.read(|txn| {
            let (mut all, alerts) = (Vec::new(), read::Alerts::over(txn)?);
            let queues = [(schema::OUTBOX, DeliveryStatus::Pending), (schema::DEAD, DeliveryStatus::Dead)];
            for (table, status) in queues {
                for row in txn.open_table(table)?.iter()? {
                    let (key, bytes) = row?;
                    let entry: OutboxV1 = codec::decode(bytes.value())?;
                    for (place, time_ms) in entry.times() {
                        let Some(alert) = alerts.id(entry.alert + place)? else { continue };
                        all.push(Delivery {
                            sink: key.value().0.to_owned(),
                            alert,
                            status,
                            attempts: entry.attempts,
                            time_ms,
                            error: entry.error.clone(),
                        });
                    }
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
            let alerts = txn.open_table(schema::ALERTS)?;
            let mut counters = txn.open_table(schema::COUNTERS)?;
            for seq in seqs {
                let Some(entry) = take(&mut outbox, sink, *seq)? else { continue };
                let Some(head) = bundle::head(&alerts, entry.alert)? else { continue };
                let receipt = DeliveryV1 {
                    sink: sink.to_owned(),
                    alert: head.id,
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
            let Some(entry) = take(&mut outbox, sink, seq)? else { return Ok(()) };
            let attempts = entry.attempts + 1;
            let due_ms = again_ms.unwrap_or(now_ms);
            let entry = OutboxV1 { attempts, due_ms, error: error.to_owned(), ..entry };
            match again_ms {
                Some(_) => put(&mut outbox, (sink, seq), &entry),
                None => put(&mut txn.open_table(schema::DEAD)?, (sink, seq), &entry),
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
