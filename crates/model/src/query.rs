//! What a scan is asked for.

use std::sync::Arc;

use crate::{Run, TableSchema, Value};

/// A comparison that a scan may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Equal to one of the values.
    Eq,
    /// `LIKE` the pattern: `%` and `_`, ASCII case ignored.
    Like,
    /// `GLOB` the pattern: `*`, `?` and `[…]`, case kept.
    Glob,
    /// Less than.
    Lt,
    /// At most.
    Le,
    /// Greater than.
    Gt,
    /// At least.
    Ge,
    /// `REGEXP` the pattern.
    Regexp,
}

/// One comparison of a column with constants.
///
/// Values already have the storage class of the column; a comparison that would need a conversion never
/// reaches a table.
#[derive(Clone, Debug)]
pub struct Constraint {
    /// Place of the column in the schema.
    pub column: usize,
    /// How it is compared.
    pub op: Op,
    /// With what: one value, or several for an `IN` list (an empty list matches nothing).
    pub values: Vec<Value<'static>>,
}

/// The columns of a table that a statement may read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ColumnMask(u64);

impl ColumnMask {
    /// Every column.
    pub const ALL: ColumnMask = ColumnMask(u64::MAX);
    /// No column: `count(*)` of the whole table.
    pub const NONE: ColumnMask = ColumnMask(0);

    /// From SQLite's `colUsed`, whose last bit stands for column 63 and all after it.
    pub const fn from_bits(bits: u64) -> ColumnMask {
        ColumnMask(bits)
    }

    /// The bits, as SQLite numbers them.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether column number `column` may be read.
    pub const fn has(self, column: usize) -> bool {
        let bit = if column < 63 { column } else { 63 };
        self.0 & (1 << bit) != 0
    }

    /// The columns of both masks.
    pub const fn or(self, other: ColumnMask) -> ColumnMask {
        ColumnMask(self.0 | other.0)
    }

    /// Whether every column of `other` is in this mask.
    pub const fn covers(self, other: ColumnMask) -> bool {
        self.0 & other.0 == other.0
    }

    /// This mask with one more column.
    pub const fn with(self, column: usize) -> ColumnMask {
        ColumnMask(self.0 | 1 << if column < 63 { column } else { 63 })
    }
}

/// One scan of one table: what will be read, what may be left out, and the statement that it is part of.
///
/// Everything here is advice. SQLite tests each row again, so a scan may return more rows than were asked
/// for, never fewer.
#[derive(Clone, Debug)]
pub struct Query {
    /// The table's schema.
    pub schema: Arc<TableSchema>,
    /// The columns that may be read.
    pub used: ColumnMask,
    /// All of them hold for every wanted row.
    pub constraints: Vec<Constraint>,
    /// Rows after which the statement probably has enough (its LIMIT); it may ask for more.
    pub rows_wanted: Option<u64>,
    /// No row is rejected by what is read of it, so that what is used is used of every row.
    pub every_row: bool,
    /// The run of the statement: its cancellation, deadline, notes and clock.
    pub run: Run,
}

impl Query {
    /// A query for every row and column.
    pub fn all(schema: Arc<TableSchema>, run: Run) -> Query {
        let constraints = Vec::new();
        Query { schema, used: ColumnMask::ALL, constraints, rows_wanted: None, every_row: true, run }
    }

    /// Whether any of the named columns may be read.
    pub fn uses(&self, columns: &[&str]) -> bool {
        columns.iter().any(|name| self.schema.column(name).is_some_and(|i| self.used.has(i)))
    }

    /// The constraints on a column with an operation.
    pub fn on(&self, column: &str, op: Op) -> impl Iterator<Item = &Constraint> {
        let column = self.schema.column(column);
        self.constraints.iter().filter(move |c| Some(c.column) == column && c.op == op)
    }

    /// The integers that a column must equal one of; `None` when it is free.
    pub fn ints(&self, column: &str) -> Option<Vec<i64>> {
        let values = &self.on(column, Op::Eq).next()?.values;
        let mut ints: Vec<i64> = values.iter().filter_map(Value::as_int).collect();
        ints.sort_unstable();
        ints.dedup();
        Some(ints)
    }

    /// The texts that a column must equal one of, in the order given and without repeats; `None` when it is
    /// free.
    pub fn texts(&self, column: &str) -> Option<Vec<&[u8]>> {
        let values = &self.on(column, Op::Eq).next()?.values;
        let mut texts: Vec<&[u8]> = Vec::with_capacity(values.len());
        let mut seen = std::collections::HashSet::new();
        texts.extend(values.iter().filter_map(Value::as_text).filter(|t| seen.insert(*t)));
        Some(texts)
    }

    /// The `LIKE` patterns on a column, all of which hold.
    pub fn likes(&self, column: &str) -> Vec<&[u8]> {
        self.on(column, Op::Like).flat_map(|c| c.values.iter().filter_map(Value::as_text)).collect()
    }
}
