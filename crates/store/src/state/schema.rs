//! The tables of the state file, and how a record is found in one and put into it.

use redb::{Key, ReadableTable, Table, TableDefinition};

use super::spans;
use crate::codec::{self, Record};
use crate::file::Inner;

type Bytes = &'static [u8];

pub(super) const META: TableDefinition<'_, &str, Bytes> = TableDefinition::new("meta");
pub(super) const COUNTERS: TableDefinition<'_, &str, u64> = TableDefinition::new("counters");
/// Alerts by their numbers, in bundles: see [`super::bundle`]. What is written at once stands together in every table
/// that is in the order of these: a random key, such as an alert's id, would touch as many pages as there are alerts.
pub(super) const ALERTS: TableDefinition<'_, u64, Bytes> = TableDefinition::new("alerts");
/// What became of alerts; of one that is as it was raised there is none.
pub(super) const TALLIES: TableDefinition<'_, u64, Bytes> = TableDefinition::new("tallies");
/// Alerts by hashes: see [`super::lookup`].
pub(super) const LOOKUP: TableDefinition<'_, u64, Bytes> = TableDefinition::new("alerts_by_hash");
/// The windows of alerts that went before they did.
pub(super) const WINDOWS: TableDefinition<'_, u64, Bytes> = TableDefinition::new("windows");
/// The same by when they close.
pub(super) const WINDOW_ENDS: TableDefinition<'_, (i64, u64), ()> = TableDefinition::new("window_ends");
/// Alerts by time, rule and state.
pub(super) const SPANS: TableDefinition<'_, spans::Key, spans::Rest> = TableDefinition::new("alert_spans");
/// What was done about alerts since they were raised, by the alert's number and its own, which is from 2 on.
pub(super) const HISTORY: TableDefinition<'_, (u64, u64), Bytes> = TableDefinition::new("alert_history");
pub(super) const PENDING: TableDefinition<'_, u64, Bytes> = TableDefinition::new("pending_audit");
pub(super) const OUTBOX: TableDefinition<'_, (&str, u64), Bytes> = TableDefinition::new("outbox");
pub(super) const DEAD: TableDefinition<'_, (&str, u64), Bytes> = TableDefinition::new("dead_letters");
pub(super) const DELIVERIES: TableDefinition<'_, u64, Bytes> = TableDefinition::new("deliveries");
/// The last runs of each rule; a run's place is its number within a ring.
pub(super) const RUNS: TableDefinition<'_, (&str, u64), Bytes> = TableDefinition::new("rule_runs");
pub(super) const CARDS: TableDefinition<'_, &str, Bytes> = TableDefinition::new("rule_cards");
pub(super) const RULES: TableDefinition<'_, &str, Bytes> = TableDefinition::new("rules");

/// Makes every table that is not there, so that readers need not tell an absent one from an empty one.
pub(super) fn create(txn: &redb::WriteTransaction) -> Inner<()> {
    txn.open_table(META)?;
    txn.open_table(COUNTERS)?;
    txn.open_table(ALERTS)?;
    txn.open_table(TALLIES)?;
    txn.open_table(LOOKUP)?;
    txn.open_table(WINDOWS)?;
    txn.open_table(WINDOW_ENDS)?;
    txn.open_table(SPANS)?;
    txn.open_table(HISTORY)?;
    txn.open_table(PENDING)?;
    txn.open_table(OUTBOX)?;
    txn.open_table(DEAD)?;
    txn.open_table(DELIVERIES)?;
    txn.open_table(RUNS)?;
    txn.open_table(CARDS)?;
    txn.open_table(RULES)?;
    Ok(())
}

/// The record of a key, where there is one.
pub(super) fn get<'k, K: Key + 'static, R: Record>(
    table: &impl ReadableTable<K, Bytes>,
    key: impl std::borrow::Borrow<K::SelfType<'k>>,
) -> Inner<Option<R>> {
    Ok(table.get(key)?.map(|bytes| codec::decode(bytes.value())).transpose()?)
}

/// Puts the record of a key in place of what was there.
pub(super) fn put<'k, K: Key + 'static, R: Record>(
    table: &mut Table<'_, K, Bytes>,
    key: impl std::borrow::Borrow<K::SelfType<'k>>,
    record: &R,
) -> Inner<()> {
    table.insert(key, codec::encode(record).as_slice())?;
    Ok(())
}

/// The next number of a counter; the first is 1.
pub(super) fn next(counters: &mut Table<'_, &'static str, u64>, name: &str) -> Inner<u64> {
    next_of(counters, name, 1)
}

/// The first of the next `count` numbers of a counter.
pub(super) fn next_of(counters: &mut Table<'_, &'static str, u64>, name: &str, count: u64) -> Inner<u64> {
    let last = counters.get(name)?.map_or(0, |n| n.value());
    counters.insert(name, last + count)?;
    Ok(last + 1)
}
