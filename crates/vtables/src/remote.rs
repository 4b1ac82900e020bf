//! The route `collector`: tables that other programs scan.

use std::sync::Arc;

use collector::Scan;
use ipc::Collectors;
use model::{ColumnSchema, Op, Ops, Query, Run, ScanError, TableSchema};

use crate::Route;

/// The route `collector`: every table that one of these collectors serves.
///
/// A collector tests each row exactly, so all comparisons go there, and only the columns that are used come back.
pub struct Remote(Collectors);

impl Remote {
    /// The tables of collectors that were asked what they serve ([`Collectors::refresh`]).
    pub fn new(collectors: Collectors) -> Remote {
        Remote(collectors)
    }

    /// A schema without the marks of comparisons that would stay here, since the collector does not filter by them.
    fn reduced(&self, schema: Arc<TableSchema>) -> Arc<TableSchema> {
        let of = [(Op::Eq, Ops::EQ), (Op::Like, Ops::LIKE), (Op::Lt, Ops::RANGE)];
        let sent = of.iter().filter(|(op, _)| self.0.filters(&schema, *op));
        let sent = sent.fold(Ops::NONE, |all, (_, ops)| all.and(*ops));
        if schema.columns.iter().all(|c| sent.has(c.push)) {
            return schema;
        }
        let reduced = |column: &ColumnSchema| ColumnSchema {
            push: of
                .iter()
                .map(|(_, ops)| *ops)
                .filter(|ops| sent.has(*ops) && column.push.has(*ops))
                .fold(Ops::NONE, Ops::and),
            ..column.clone()
        };
        let columns = schema.columns.iter().map(reduced).collect();
        Arc::new(TableSchema { columns, ..TableSchema::clone(&schema) })
    }
}

impl Route for Remote {
    fn name(&self) -> &'static str {
        "collector"
    }

    fn tables(&self) -> Vec<Arc<TableSchema>> {
        self.0.tables().into_iter().map(|schema| self.reduced(schema)).collect()
    }

    fn open(&self, table: &str, query: &Query) -> Result<Box<dyn Scan>, ScanError> {
        Ok(Box::new(self.0.scan(table, query)?))
    }

    fn filters(&self, table: &TableSchema, op: Op) -> bool {
        self.0.filters(table, op)
    }

    fn projects(&self) -> bool {
        true
    }

    fn version(&self) -> u64 {
        self.0.generation()
    }

    fn refresh(&self, run: &Run) {
        // One that does not answer keeps its tables: asking them then says what is wrong with it.
        self.0.refresh(run);
    }
}
