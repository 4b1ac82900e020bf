//! Whether every record of a file can be read.
//!
//! redb's checksums tell of pages that are not as they were written. What was written wrong, or by a program that may
//! write what it likes, is found here: at the start, when the file can still be set aside.

use redb::{Database, Key, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition};

use super::audit::Waiting;
use super::record::{
    AlertV1, CardV1, DeliveryV1, HistoryV1, OutboxV1, RuleV1, RunV1, TallyV1, WindowV1, WitnessV1,
};
use super::{bundle, lookup, schema, spans};
use crate::codec::{self, Record};
use crate::file::{Fault, Inner};

/// Reads every record.
pub(super) fn records(database: &Database) -> Inner<()> {
    let txn = database.begin_read()?;
    alerts(&txn)?;
    all::<_, TallyV1>(&txn, schema::TALLIES)?;
    all::<_, WindowV1>(&txn, schema::WINDOWS)?;
    all::<_, HistoryV1>(&txn, schema::HISTORY)?;
    all::<_, OutboxV1>(&txn, schema::OUTBOX)?;
    all::<_, OutboxV1>(&txn, schema::DEAD)?;
    all::<_, DeliveryV1>(&txn, schema::DELIVERIES)?;
    all::<_, RunV1>(&txn, schema::RUNS)?;
    all::<_, CardV1>(&txn, schema::CARDS)?;
    all::<_, RuleV1>(&txn, schema::RULES)?;
    each(&txn, schema::PENDING, |bytes| Waiting::of(bytes).map(drop))?;
    each(&txn, schema::LOOKUP, lookup::check)?;
    schema::get::<_, WitnessV1>(&txn.open_table(schema::META)?, "witness").map(drop)
}

/// Reads every alert, and looks whether each is in the lists.
fn alerts(txn: &ReadTransaction) -> Inner<()> {
    let mut numbers = Vec::new();
    bundle::each(&txn.open_table(schema::ALERTS)?, |n, record| {
        numbers.push(n);
        Ok(codec::decode::<AlertV1>(record).map(drop)?)
    })?;
    let agree = spans::agree(&txn.open_table(schema::SPANS)?, &numbers)?;
    agree
        .then_some(())
        .ok_or(Fault::Damaged("the lists of alerts are not those of the alerts that are there"))
}

fn all<K: Key + 'static, R: Record>(
    txn: &ReadTransaction,
    table: TableDefinition<'_, K, &'static [u8]>,
) -> Inner<()> {
    each(txn, table, |bytes| Ok(codec::decode::<R>(bytes).map(drop)?))
}

fn each<K: Key + 'static>(
    txn: &ReadTransaction,
    table: TableDefinition<'_, K, &'static [u8]>,
    look: impl Fn(&[u8]) -> Inner<()>,
) -> Inner<()> {
    for row in txn.open_table(table)?.iter()? {
        look(row?.1.value())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::tests::{found, open, rule, run};
    use super::*;
    use crate::state::{Found, State};

    type Damage = fn(&redb::WriteTransaction) -> Inner<()>;

    fn spoil<'k, K: Key + 'static>(
        txn: &redb::WriteTransaction,
        table: TableDefinition<'_, K, &'static [u8]>,
        key: impl std::borrow::Borrow<K::SelfType<'k>>,
    ) -> Inner<()> {
        txn.open_table(table)?.insert(key, b"no record of any kind".as_slice())?;
        Ok(())
    }

    fn list(txn: &redb::WriteTransaction, key: spans::Key, rest: spans::Rest) -> Inner<()> {
        txn.open_table(schema::SPANS)?.insert(key, rest)?;
        Ok(())
    }

    #[test]
    fn a_record_that_cannot_be_read_sets_the_file_aside() {
        let damages: [Damage; 15] = [
            |txn| spoil(txn, schema::ALERTS, 1),
            |txn| spoil(txn, schema::TALLIES, 1),
            |txn| spoil(txn, schema::WINDOWS, 1),
            |txn| spoil(txn, schema::HISTORY, (1, 2)),
            |txn| spoil(txn, schema::OUTBOX, ("file", 1)),
            |txn| spoil(txn, schema::DEAD, ("file", 1)),
            |txn| spoil(txn, schema::DELIVERIES, 1),
            |txn| spoil(txn, schema::RUNS, ("r", 1)),
            |txn| spoil(txn, schema::CARDS, "r"),
            |txn| spoil(txn, schema::RULES, "r"),
            |txn| spoil(txn, schema::PENDING, 1),
            |txn| spoil(txn, schema::LOOKUP, 1),
            |txn| list(txn, (0, "", 1), (2, 0, i64::MAX)),
            |txn| list(txn, (0, "", 9), (u64::MAX, 0, 0)),
            |txn| list(txn, (2, "closed", 1), (1, 1000, 1000)),
        ];
        for (place, damage) in damages.iter().enumerate() {
            let directory = tempfile::tempdir().unwrap();
            {
                let state = open(directory.path());
                let matches = [0, 1, 2].map(|key| found(key, 1000));
                let sinks = BTreeSet::from(["file".to_owned()]);
                state.record(&rule("r", "SELECT 1"), &run(1000), &matches, &sinks).unwrap();
            }
            assert_eq!(State::open(directory.path()).unwrap().found, Found::Existing);
            open(directory.path()).file.write(damage).unwrap();
            let opened = State::open(directory.path()).unwrap();
            assert!(
                matches!(&opened.found, Found::SetAside { path, .. } if path.exists()),
                "{place}: {:?}",
                opened.found
            );
        }
    }
}
