//! The tables of the state file, and how a record is found in one and put into it.

use redb::{Key, ReadableTable, Table, TableDefinition};

use crate::codec::{self, Record};
use crate::file::Inner;

type Bytes = &'static [u8];
type Id = &'static [u8; 16];
type Digest = &'static [u8; 32];

pub(super) const META: TableDefinition<'_, &str, Bytes> = TableDefinition::new("meta");
pub(super) const COUNTERS: TableDefinition<'_, &str, u64> = TableDefinition::new("counters");
pub(super) const ALERTS: TableDefinition<'_, Id, Bytes> = TableDefinition::new("alerts");
pub(super) const TALLIES: TableDefinition<'_, Id, Bytes> = TableDefinition::new("tallies");
/// The newest alert of each dedup key.
pub(super) const WINDOWS: TableDefinition<'_, Digest, Bytes> = TableDefinition::new("windows");
/// The same by when they close.
pub(super) const WINDOW_ENDS: TableDefinition<'_, (i64, Digest), ()> = TableDefinition::new("window_ends");
pub(super) const BY_TIME: TableDefinition<'_, (i64, Id), ()> = TableDefinition::new("alerts_by_time");
pub(super) const BY_RULE: TableDefinition<'_, (&str, i64, Id), ()> = TableDefinition::new("alerts_by_rule");
pub(super) const BY_STATE: TableDefinition<'_, (u8, i64, Id), ()> = TableDefinition::new("alerts_by_state");
pub(super) const BY_START_KEY: TableDefinition<'_, (Bytes, Id), ()> =
    TableDefinition::new("alerts_by_start_key");
pub(super) const HISTORY: TableDefinition<'_, (Id, u64), Bytes> = TableDefinition::new("alert_history");
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
    txn.open_table(WINDOWS)?;
    txn.open_table(WINDOW_ENDS)?;
    txn.open_table(BY_TIME)?;
    txn.open_table(BY_RULE)?;
    txn.open_table(BY_STATE)?;
    txn.open_table(BY_START_KEY)?;
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
    let n = counters.get(name)?.map_or(0, |n| n.value()) + 1;
    counters.insert(name, n)?;
    Ok(n)
}
