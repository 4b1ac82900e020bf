//! A scan as it is asked for.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::{ColumnMask, Constraint, Op, Query, Run, TableSchema};

use crate::limits::{CONSTRAINT_VALUES_MAX, CONSTRAINTS_MAX, CREDIT, CREDIT_MAX};
use crate::proto::{self, Layout};
use crate::values::{Column, Writer};

const OPS: [(Op, proto::Op); 8] = [
    (Op::Eq, proto::Op::Eq),
    (Op::Like, proto::Op::Like),
    (Op::Glob, proto::Op::Glob),
    (Op::Lt, proto::Op::Lt),
    (Op::Le, proto::Op::Le),
    (Op::Gt, proto::Op::Gt),
    (Op::Ge, proto::Op::Ge),
    (Op::Regexp, proto::Op::Regexp),
];

/// Bytes of a request that are no values of constraints.
const ENVELOPE_BYTES: usize = 16 << 10;
/// Bytes of a value at most besides its text: a number, an end, a class.
const VALUE_BYTES: usize = 13;
/// The client ends its statement itself, in its own words; the collector's deadline is for a client that is gone.
const GRACE: Duration = Duration::from_millis(100);

/// Every operation, as messages name it.
pub(crate) fn ops() -> Vec<i32> {
    OPS.iter().map(|(_, op)| (*op).into()).collect()
}

/// An operation, as messages name it.
pub(crate) fn op(op: Op) -> i32 {
    OPS.iter().find(|(known, _)| *known == op).map_or(0, |(_, named)| (*named).into())
}

/// A query as a message. Constraints with an operation outside `filters` stay here: the statement tests them.
///
/// So do those that do not fit into a request of `bytes_max`.
pub(crate) fn scan(table: &str, query: &Query, filters: &[i32], bytes_max: usize) -> proto::Scan {
    let mut values_left = CONSTRAINT_VALUES_MAX;
    let mut bytes_left = bytes_max.saturating_sub(ENVELOPE_BYTES);
    let mut constraints = Vec::new();
    for constraint in &query.constraints {
        let Some((_, op)) = OPS.iter().find(|(op, _)| *op == constraint.op) else { continue };
        let count = constraint.values.len();
        let bytes = constraint.values.iter().map(|v| VALUE_BYTES + v.heap_bytes()).sum::<usize>();
        let fits = count <= values_left && bytes <= bytes_left && constraints.len() < CONSTRAINTS_MAX;
        let has_null = constraint.values.iter().any(model::Value::is_null);
        if !filters.contains(&i32::from(*op)) || !fits || has_null {
            continue;
        }
        values_left -= count;
        bytes_left -= bytes;
        let mut writer = Writer::default();
        constraint.values.iter().for_each(|v| writer.push(v));
        constraints.push(proto::Constraint {
            column: constraint.column as u32,
            op: (*op).into(),
            count: count as u32,
            values: Some(writer.finish()),
        });
    }
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    proto::Scan {
        table: table.to_owned(),
        used: query.used.bits(),
        constraints,
        rows_wanted: query.rows_wanted,
        time_left_ms: query.run.time_left().map(|left| ms(left + GRACE)),
        memory_bytes_max: query.run.memory_max().saturating_sub(query.run.held()),
        now_ns: since_epoch(query.run.now()),
        // Who wants few rows takes the first batch, and asks for more only if that was not enough.
        credit: if query.rows_wanted.is_some() { 1 } else { CREDIT },
    }
}

/// What a collector grants a scan at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grant {
    /// How long it may run.
    pub(crate) time_max: Duration,
    /// Bytes that it may hold.
    pub(crate) memory_bytes_max: u64,
}

/// A scan that was asked for.
pub(crate) struct Asked {
    /// Columns to send; those of the constraints may be read too.
    pub(crate) wanted: ColumnMask,
    /// For the table.
    pub(crate) query: Query,
    /// Batches that may be sent.
    pub(crate) credit: u32,
}

/// The query of a message, for a table of which `schema` tells. The error says what is wrong with it.
pub(crate) fn query(scan: proto::Scan, schema: &Arc<TableSchema>, grant: Grant) -> Result<Asked, String> {
    let asked = scan.time_left_ms.map_or(grant.time_max, Duration::from_millis);
    let memory = scan.memory_bytes_max.min(grant.memory_bytes_max);
    let run = Run::new(Some(asked.min(grant.time_max)), memory, at(scan.now_ns));
    let wanted = ColumnMask::from_bits(scan.used);
    let mut used = wanted;
    let mut values_left = CONSTRAINT_VALUES_MAX;
    let mut constraints = Vec::with_capacity(scan.constraints.len());
    for constraint in scan.constraints {
        let column = constraint.column as usize;
        if column >= schema.columns.len() {
            return Err(format!("{} has no column number {column}", schema.name));
        }
        // Of a newer client: it tests the rows itself.
        let Some((op, _)) = OPS.iter().find(|(_, op)| i32::from(*op) == constraint.op) else { continue };
        let count = constraint.count as usize;
        values_left = values_left.checked_sub(count).ok_or("a scan with too many values")?;
        let values = constraint.values.unwrap_or_default();
        if count > 0 && values.layout == i32::from(Layout::Null) {
            return Err("a comparison with NULL".into());
        }
        let values = Column::new(values, count)?;
        let values = (0..count).map(|n| values.get(n).into_owned()).collect();
        used = used.with(column);
        constraints.push(Constraint { column, op: *op, values });
    }
    // Without a comparison every row is sent, with all that is used.
    let every_row = constraints.is_empty();
    let query =
        Query { schema: schema.clone(), used, constraints, rows_wanted: scan.rows_wanted, every_row, run };
    Ok(Asked { wanted, query, credit: scan.credit.min(CREDIT_MAX) })
}

fn since_epoch(time: SystemTime) -> i64 {
    let ns = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    time.duration_since(UNIX_EPOCH).map_or_else(|before| -ns(before.duration()), ns)
}

fn at(ns: i64) -> SystemTime {
    let time = Duration::from_nanos(ns.unsigned_abs());
    let at = if ns < 0 { UNIX_EPOCH.checked_sub(time) } else { UNIX_EPOCH.checked_add(time) };
    at.unwrap_or(UNIX_EPOCH)
}
