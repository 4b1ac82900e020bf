//! What the store holds, as tables of SQL: declared once, for the agent and for whoever reads the files alone.

mod collection_runs;
mod process_changes;
mod process_history;

use collector::AnyTable;
use model::{Op, Query, ScanError};

use crate::StoreError;
use crate::history::HistoryReader;

/// The tables of the history file, by name.
pub static HISTORY_TABLES: &[&(dyn AnyTable<HistoryReader> + Sync)] =
    &[&collection_runs::TABLE, &process_changes::TABLE, &process_history::TABLE];

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
