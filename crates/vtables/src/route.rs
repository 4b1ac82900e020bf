//! Where a table's rows come from.

use std::sync::Arc;

use collector::{AnyTable, Scan};
use model::{Op, Query, Run, ScanError, TableSchema};

/// A place that rows come from. One SQL text runs on each of them.
pub trait Route: Send + Sync {
    /// Its name in reports: `here`, `collector`, `past` or `sample`.
    fn name(&self) -> &'static str;
    /// The tables that it serves.
    fn tables(&self) -> Vec<Arc<TableSchema>>;
    /// Starts a scan of one of its tables.
    fn open(&self, table: &str, query: &Query) -> Result<Box<dyn Scan>, ScanError>;
    /// Whether its rows keep the promise of the schema's identity. Literal rows may leave its columns out.
    fn keeps_identity(&self) -> bool {
        true
    }
    /// Whether it tests each row of a table by this operation before the row comes here, as exactly as SQLite and
    /// on whatever column. Otherwise only what the table itself can use is worth telling it.
    fn filters(&self, _table: &TableSchema, _op: Op) -> bool {
        false
    }
    /// Whether only the columns of [`Query::used`] come here, and all others are NULL.
    fn projects(&self) -> bool {
        false
    }
    /// Another number whenever [`Route::tables`] would give something else than before.
    fn version(&self) -> u64 {
        0
    }
    /// Looks whether the tables are still the same; `run` ends the wait for an answer.
    fn refresh(&self, _run: &Run) {}
}

/// The route `here`: tables that this process scans itself.
pub struct Here<S: 'static> {
    tables: Vec<&'static dyn AnyTable<S>>,
    source: S,
}

impl<S: Send + Sync> Here<S> {
    /// Tables over one source.
    pub fn new(tables: impl IntoIterator<Item = &'static dyn AnyTable<S>>, source: S) -> Here<S> {
        Here { tables: tables.into_iter().collect(), source }
    }
}

impl<S: Send + Sync> Route for Here<S> {
    fn name(&self) -> &'static str {
        "here"
    }

    fn tables(&self) -> Vec<Arc<TableSchema>> {
        self.tables.iter().map(|t| Arc::new(t.schema())).collect()
    }

    fn open(&self, table: &str, query: &Query) -> Result<Box<dyn Scan>, ScanError> {
        match self.tables.iter().find(|t| t.name() == table) {
            Some(table) => table.open(&self.source, query),
            None => Err(ScanError::Failed(format!("the route `here` has no table {table}"))),
        }
    }
}
