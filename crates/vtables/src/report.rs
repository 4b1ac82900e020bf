//! What a statement did: its rows, its notes, and for each table how it was scanned.

use std::time::Duration;

use model::{ColumnMask, Note, Op};
use serde::{Serialize, Serializer};

use crate::Warning;
use crate::plan::Arg;
use crate::scope::{Scope, Use, lock};

/// What one run of a statement did.
#[derive(Clone, Debug)]
pub struct Report {
    /// Rows that it gave.
    pub rows: u64,
    /// From its text to its last row.
    pub elapsed: Duration,
    /// What could not be read.
    pub notes: Vec<Note>,
    /// What is allowed and probably not meant.
    pub warnings: Vec<Warning>,
    /// Bytes that the bridge held at its end.
    pub memory_bytes: u64,
    /// How each table was scanned, in the order in which the scans ended.
    pub tables: Vec<TableReport>,
}

/// How one table of a statement was scanned.
#[derive(Clone, Debug, Serialize)]
pub struct TableReport {
    /// The table.
    pub table: String,
    /// Where its rows came from: `here`, `collector`, `past`, `sample`.
    pub route: &'static str,
    /// `streamed` from the table, or from rows that the statement `kept`, or by an index over them (`indexed`).
    pub rows_were: &'static str,
    /// Comparisons that the table itself, or a collector that filters, narrowed by.
    pub pushed: Vec<String>,
    /// Comparisons that an index over kept rows could answer.
    pub looked_up: Vec<String>,
    /// How often SQLite started a scan.
    pub scans: u64,
    /// How often the table was really read.
    pub collections: u64,
    /// Rows that the table gave, or what the collector sent of them.
    pub rows_collected: u64,
    /// Columns that a collector sent; none of a table that is scanned in this process.
    pub columns_sent: Option<Vec<String>>,
    /// Rows that the scans gave to SQLite.
    pub rows_produced: u64,
    /// Rows of these that passed SQLite's own test; unknown where its reading leaves no trace.
    pub rows_kept: Option<u64>,
    /// Columns that were read.
    pub columns: Vec<String>,
    /// Time within the table's code, where it was measured, in microseconds.
    #[serde(rename = "time_us", serialize_with = "microseconds")]
    pub time: Duration,
}

fn microseconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}

pub(crate) fn table_reports(scope: &Scope) -> Vec<TableReport> {
    lock(&scope.uses).iter().map(|used| table_report(scope, used)).collect()
}

fn table_report(scope: &Scope, used: &Use) -> TableReport {
    let table = &scope.tables[used.table];
    let columns = &table.schema.columns;
    let comparison = |arg: &Arg| {
        let op = match arg.op {
            Op::Eq if arg.list => "IN (…)",
            Op::Eq => "=",
            Op::Like => "LIKE",
            Op::Glob => "GLOB",
            Op::Lt => "<",
            Op::Le => "<=",
            Op::Gt => ">",
            Op::Ge => ">=",
            Op::Regexp => "REGEXP",
        };
        format!("{} {op}", columns[arg.column].name)
    };
    let of = |pushed: bool| used.plan.args.iter().filter(|a| a.pushed() == pushed).map(comparison).collect();
    let names = |mask: ColumnMask| {
        let of_mask = columns.iter().enumerate().filter(|(i, _)| mask.has(*i));
        of_mask.map(|(_, c)| c.name.to_string()).collect::<Vec<_>>()
    };
    TableReport {
        table: table.schema.name.to_string(),
        route: table.route.name(),
        rows_were: used.how,
        pushed: of(true),
        looked_up: of(false),
        scans: used.scans,
        collections: used.collections,
        rows_collected: used.collected,
        columns_sent: used.sent.map(names),
        rows_produced: used.produced,
        rows_kept: used.kept,
        columns: names(used.read),
        time: used.time,
    }
}
