//! What the store holds, as tables of SQL: declared once, for the agent and for whoever reads the files alone.

mod alert_history;
mod alerts;
mod audit_log;
mod collection_runs;
mod deliveries;
mod process_changes;
mod process_history;
mod rule_runs;
mod rules;
mod store_stats;

use collector::AnyTable;
use model::{Op, Query, ScanError};

use crate::history::HistoryReader;
use crate::{LedgerReader, StateReader, StoreError};

/// The tables of the ledger's file.
pub static LEDGER_TABLES: &[&(dyn AnyTable<LedgerReader> + Sync)] = &[&audit_log::TABLE];

/// The tables of the history file, by name.
pub static HISTORY_TABLES: &[&(dyn AnyTable<HistoryReader> + Sync)] =
    &[&collection_runs::TABLE, &process_changes::TABLE, &process_history::TABLE];

/// The tables of the state file, by name.
pub static STATE_TABLES: &[&(dyn AnyTable<StateReader> + Sync)] = &[
    &alert_history::TABLE,
    &alerts::TABLE,
    &deliveries::TABLE,
    &rule_runs::TABLE,
    &rules::TABLE,
    &store_stats::TABLE,
];

fn failed(error: StoreError) -> ScanError {
    ScanError::Failed(error.to_string())
}

/// Seconds since 1970, as osquery has them.
fn seconds(ms: i64) -> i64 {
    ms.div_euclid(1000)
}

/// The ms that a query's comparisons of a column of seconds leave, from and to.
fn range_ms(query: &Query, column: &str) -> (Option<i64>, Option<i64>) {
    let bounds = |op: Op, by: i64| {
        let values = query.on(column, op).flat_map(|c| &c.values);
        values.filter_map(|value| value.as_int()).map(move |n| n.saturating_add(by)).collect::<Vec<_>>()
    };
    let equal = bounds(Op::Eq, 0);
    let from =
        bounds(Op::Ge, 0).into_iter().chain(bounds(Op::Gt, 1)).chain(equal.iter().min().copied()).max();
    let to = bounds(Op::Le, 0).into_iter().chain(bounds(Op::Lt, -1)).chain(equal.iter().max().copied()).min();
    (from.map(|s| s.saturating_mul(1000)), to.map(|s| s.saturating_mul(1000).saturating_add(999)))
}

/// Rows of pages, each read when the one before is used up: what a reading transaction holds is short.
struct Pages<T, F> {
    page: std::vec::IntoIter<T>,
    next: Option<F>,
}

/// A page, and what reads the next one.
type Page<T, F> = Result<(Vec<T>, Option<F>), StoreError>;

impl<T, F: FnMut() -> Page<T, ()>> Iterator for Pages<T, F> {
    type Item = Result<T, ScanError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.page.next() {
                return Some(Ok(row));
            }
            match self.next.as_mut()?() {
                Ok((page, more)) => {
                    self.page = page.into_iter();
                    if more.is_none() {
                        self.next = None;
                    }
                }
                Err(error) => {
                    self.next = None;
                    return Some(Err(failed(error)));
                }
            }
        }
    }
}

/// All rows of a reader that goes on from a cursor.
fn pages<T, C: Copy>(
    mut read: impl FnMut(Option<C>) -> Result<(Vec<T>, Option<C>), StoreError>,
) -> impl Iterator<Item = Result<T, ScanError>> {
    let mut after = None;
    let next = move || {
        let (page, cursor) = read(after)?;
        after = cursor;
        Ok((page, cursor.map(|_| ())))
    };
    Pages { page: Vec::new().into_iter(), next: Some(next) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{Constraint, Run, Value};

    use super::*;
    use crate::history::{Datum, Fact, History, Observed};

    fn rows(table: &str, reader: &HistoryReader, constraints: &[(&str, Op, Value<'static>)]) -> Vec<String> {
        let table = *HISTORY_TABLES.iter().find(|t| t.name() == table).unwrap();
        let mut query = Query::all(Arc::new(table.schema()), Run::unlimited());
        for (column, op, value) in constraints {
            let column = query.schema.column(column).unwrap();
            query.constraints.push(Constraint { column, op: *op, values: vec![value.clone()] });
        }
        let mut scan = table.open(reader, &query).unwrap();
        let mut rows = Vec::new();
        while scan.advance().unwrap() {
            let shown = |n| match scan.value(n) {
                Value::Text(text) => String::from_utf8_lossy(&text).into_owned(),
                Value::Int(n) => n.to_string(),
                _ => String::new(),
            };
            rows.push((0..query.schema.columns.len()).map(shown).collect::<Vec<_>>().join("|"));
        }
        rows
    }

    #[test]
    fn keys_and_ranges_narrow_to_what_a_full_scan_has() {
        let dir = tempfile::tempdir().unwrap();
        let mut history = History::open(dir.path()).unwrap();
        let mut process = Observed { start_key: b"a".to_vec(), pid: 7, ..Observed::default() };
        process.facts.set(Fact::Euid, Some(Datum::Int(1000)));
        let other = |n: i64| Observed { start_key: vec![b'b', n as u8], pid: n, ..Observed::default() };
        history.observe(1_000, &[process.clone()]).unwrap();
        process.facts.set(Fact::Euid, Some(Datum::Int(0)));
        let many: Vec<Observed> = (0..1500)
            .map(other)
            .map(|mut o| {
                o.start_key = format!("b{}", o.pid).into();
                o
            })
            .collect();
        history.observe(2_500, &[&[process][..], &many].concat()).unwrap();
        history.observe(4_000, &many).unwrap();

        let reader = history.reader();
        assert_eq!(rows("collection_runs", &reader, &[]).len(), 3);
        let change = "a|7|2|euid|1000|0".to_owned();
        let keyed = rows("process_changes", &reader, &[("start_key", Op::Eq, "a".into())]);
        assert_eq!(keyed, [change]);
        assert_eq!(rows("process_changes", &reader, &[]), keyed);
        assert_eq!(rows("process_changes", &reader, &[("start_key", Op::Eq, "b1".into())]).len(), 0);
        let all = rows("process_history", &reader, &[]);
        assert_eq!(all.len(), 1501);
        assert_eq!(all[0], "a|7||||||||0||||||||1|2|1|1|||");
        assert_eq!(rows("process_history", &reader, &[("start_key", Op::Eq, "a".into())]), [all[0].clone()]);
        assert_eq!(rows("process_history", &reader, &[("pid", Op::Eq, 7.into())]).len(), 2);
        let ranged = |op, n: i64| rows("process_history", &reader, &[("first_seen", op, n.into())]).len();
        assert_eq!(
            [ranged(Op::Lt, 2), ranged(Op::Le, 2), ranged(Op::Gt, 1), ranged(Op::Ge, 3)],
            [1, 1501, 1500, 0]
        );
        assert_eq!([ranged(Op::Eq, 1), ranged(Op::Eq, 2), ranged(Op::Ge, i64::MAX)], [1, 1500, 0]);
    }
}
