//! A table is a value: its name, its columns with a getter each, and one function that scans.

use std::borrow::Cow;
use std::sync::Arc;

use model::{ColumnSchema, Extent, Identity, Kind, Ops, Query, ScanError, TableSchema, Value};

/// The rows of one scan, read as they are asked for.
pub type Rows<R> = Box<dyn Iterator<Item = Result<R, ScanError>> + Send>;

/// What a table scans into.
///
/// A row may hold handles and read the machine only when a getter first needs a value; getters memoise.
pub trait Row: Send + Sync + 'static {
    /// Bytes that the row holds outside its own struct, for the statement's memory budget.
    fn heap_bytes(&self) -> usize {
        0
    }
}

/// One column: its facts, and how it is read from a row.
pub struct Column<R> {
    name: &'static str,
    kind: Kind,
    doc: &'static str,
    hidden: bool,
    required: bool,
    push: Ops,
    get: fn(&R) -> Value<'_>,
}

const fn column<R>(kind: Kind, name: &'static str, doc: &'static str, get: fn(&R) -> Value<'_>) -> Column<R> {
    Column { name, kind, doc, hidden: false, required: false, push: Ops::NONE, get }
}

/// A column of integers.
pub const fn int<R>(name: &'static str, doc: &'static str, get: fn(&R) -> Value<'_>) -> Column<R> {
    column(Kind::Int, name, doc, get)
}

/// A column of text, which carries the machine's bytes.
pub const fn text<R>(name: &'static str, doc: &'static str, get: fn(&R) -> Value<'_>) -> Column<R> {
    column(Kind::Text, name, doc, get)
}

/// A column of floating-point numbers.
pub const fn real<R>(name: &'static str, doc: &'static str, get: fn(&R) -> Value<'_>) -> Column<R> {
    column(Kind::Real, name, doc, get)
}

/// A column of bytes.
pub const fn blob<R>(name: &'static str, doc: &'static str, get: fn(&R) -> Value<'_>) -> Column<R> {
    column(Kind::Blob, name, doc, get)
}

const fn nothing<R>(_: &R) -> Value<'_> {
    Value::Null
}

/// A hidden integer column that osquery fills on another platform: always NULL here.
pub const fn elsewhere_int<R>(name: &'static str) -> Column<R> {
    hidden(int(name, "Filled on other platforms; NULL here.", nothing))
}

/// A hidden text column that osquery fills on another platform: always NULL here.
pub const fn elsewhere_text<R>(name: &'static str) -> Column<R> {
    hidden(text(name, "Filled on other platforms; NULL here.", nothing))
}

/// The hidden column in which osquery takes the process whose namespaces a table is to look into: always 0 here.
pub const fn pid_with_namespace<R>() -> Column<R> {
    hidden(int("pid_with_namespace", "Always 0: the namespaces of the collector.", |_| Value::Int(0)))
}

/// The hidden column in which osquery names the mount namespace of a row from a container: always NULL here.
pub const fn mount_namespace_id<R>() -> Column<R> {
    hidden(text("mount_namespace_id", "Always NULL: the mount namespace of the collector.", nothing))
}

/// Left out of `SELECT *`.
pub const fn hidden<R>(mut column: Column<R>) -> Column<R> {
    column.hidden = true;
    column
}

/// A lookup key: `=` and `IN` narrow the scan.
pub const fn key<R>(mut column: Column<R>) -> Column<R> {
    column.push = column.push.and(Ops::EQ);
    column
}

/// A key whose `LIKE` (and `GLOB`) narrows the scan too.
pub const fn pattern<R>(mut column: Column<R>) -> Column<R> {
    column.push = column.push.and(Ops::EQ).and(Ops::LIKE);
    column
}

/// A key of which ranges narrow the scan too.
pub const fn ranged<R>(mut column: Column<R>) -> Column<R> {
    column.push = column.push.and(Ops::EQ).and(Ops::RANGE);
    column
}

/// A key that WHERE must give, unless it gives another required column of the table.
pub const fn required<R>(column: Column<R>) -> Column<R> {
    let mut column = key(column);
    column.required = true;
    column
}

/// What tells rows apart: column names, and whether they always do.
#[derive(Clone, Copy, Debug)]
pub struct IdentityColumns {
    columns: &'static [&'static str],
    unique: bool,
}

/// No two rows of a scan agree in all of these columns.
pub const fn unique(columns: &'static [&'static str]) -> IdentityColumns {
    IdentityColumns { columns, unique: true }
}

/// Rows may agree in all of these columns; then their order tells them apart.
pub const fn repeated(columns: &'static [&'static str]) -> IdentityColumns {
    IdentityColumns { columns, unique: false }
}

/// A table over a source `S`: the machine, or what a store holds.
pub struct Table<R: 'static, S: 'static> {
    /// Its name in SQL.
    pub name: &'static str,
    /// What it holds, in one sentence.
    pub about: &'static str,
    /// What tells rows apart; every key, pattern and ranged column is among them.
    pub identity: IdentityColumns,
    /// How much it holds.
    pub extent: Extent,
    /// In the order of `SELECT *`.
    pub columns: &'static [Column<R>],
    /// Starts a scan. The query is advice: more rows than asked for are harmless, fewer are wrong.
    pub scan: fn(&S, &Query) -> Result<Rows<R>, ScanError>,
    /// Queries that show its use; tests run them.
    pub examples: &'static [&'static str],
}

/// A table without its row type: all that the bridge, the wire and the docs see.
pub trait AnyTable<S>: Sync {
    /// Its name in SQL.
    fn name(&self) -> &'static str;
    /// Its schema.
    fn schema(&self) -> TableSchema;
    /// Starts a scan.
    fn open(&'static self, source: &S, query: &Query) -> Result<Box<dyn Scan>, ScanError>;
}

/// A running scan: a row at a time, and the values of the current one.
pub trait Scan: Send {
    /// Steps to the next row; false when there is none.
    fn advance(&mut self) -> Result<bool, ScanError>;
    /// A value of the current row. NULL when there is no row or no such column.
    fn value(&self, column: usize) -> Value<'_>;
    /// Reads all rows that are left and keeps them, counting their bytes against the run's memory.
    fn keep(self: Box<Self>, query: &Query) -> Result<Arc<dyn Snapshot>, ScanError>;
}

/// The rows of a scan, kept.
pub trait Snapshot: Send + Sync {
    /// How many there are.
    fn len(&self) -> usize;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// A value of a row. NULL when there is no such row or column.
    fn value(&self, row: usize, column: usize) -> Value<'_>;
    /// Bytes that the snapshot was counted as holding.
    fn bytes(&self) -> usize;
}

impl<R: Row, S> AnyTable<S> for Table<R, S> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn schema(&self) -> TableSchema {
        let column = |c: &Column<R>| ColumnSchema {
            name: Cow::Borrowed(c.name),
            kind: c.kind,
            doc: Cow::Borrowed(c.doc),
            hidden: c.hidden,
            required: c.required,
            push: c.push,
        };
        TableSchema {
            name: Cow::Borrowed(self.name),
            about: Cow::Borrowed(self.about),
            columns: self.columns.iter().map(column).collect(),
            identity: Identity {
                columns: self.identity.columns.iter().map(|c| Cow::Borrowed(*c)).collect(),
                unique: self.identity.unique,
            },
            extent: self.extent,
            examples: self.examples.iter().map(|e| Cow::Borrowed(*e)).collect(),
        }
    }

    fn open(&'static self, source: &S, query: &Query) -> Result<Box<dyn Scan>, ScanError> {
        let rows = (self.scan)(source, query)?;
        Ok(Box::new(Scanning { columns: self.columns, rows, current: None }))
    }
}

struct Scanning<R: 'static> {
    columns: &'static [Column<R>],
    rows: Rows<R>,
    current: Option<R>,
}

impl<R: Row> Scan for Scanning<R> {
    fn advance(&mut self) -> Result<bool, ScanError> {
        self.current = self.rows.next().transpose()?;
        Ok(self.current.is_some())
    }

    fn value(&self, column: usize) -> Value<'_> {
        match (&self.current, self.columns.get(column)) {
            (Some(row), Some(column)) => (column.get)(row),
            _ => Value::Null,
        }
    }

    fn keep(self: Box<Self>, query: &Query) -> Result<Arc<dyn Snapshot>, ScanError> {
        // Far below the cost of collecting one row, far more often than anybody can notice.
        const POLL_EVERY: usize = 64;
        let mut kept = Kept { columns: self.columns, rows: Vec::new(), bytes: 0 };
        for (n, row) in self.rows.enumerate() {
            let row = row?;
            if n % POLL_EVERY == 0 {
                query.run.check()?;
            }
            let bytes = size_of::<R>() + row.heap_bytes();
            query.run.hold(bytes)?;
            kept.bytes += bytes;
            kept.rows.push(row);
        }
        Ok(Arc::new(kept))
    }
}

struct Kept<R: 'static> {
    columns: &'static [Column<R>],
    rows: Vec<R>,
    bytes: usize,
}

impl<R: Row> Snapshot for Kept<R> {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn value(&self, row: usize, column: usize) -> Value<'_> {
        match (self.rows.get(row), self.columns.get(column)) {
            (Some(row), Some(column)) => (column.get)(row),
            _ => Value::Null,
        }
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Run;

    struct Number(i64);
    impl Row for Number {}

    static NUMBERS: Table<Number, i64> = Table {
        name: "numbers",
        about: "The numbers below the source.",
        identity: unique(&["n"]),
        extent: Extent::Whole { rows: 3 },
        columns: &[key(int("n", "The number.", |r| r.0.into())), elsewhere_text("nothing")],
        scan: |below, _| Ok(Box::new((0..*below).map(|n| Ok(Number(n))))),
        examples: &["SELECT n FROM numbers"],
    };

    #[test]
    fn a_kept_scan_has_the_rows_of_a_streamed_one() {
        let query = Query::all(Arc::new(AnyTable::<i64>::schema(&NUMBERS)), Run::unlimited());
        let mut scan = NUMBERS.open(&3, &query).unwrap();
        let mut streamed = Vec::new();
        while scan.advance().unwrap() {
            streamed.push(scan.value(0).as_int());
        }
        let kept = NUMBERS.open(&3, &query).unwrap().keep(&query).unwrap();
        let kept: Vec<_> = (0..kept.len()).map(|row| kept.value(row, 0).as_int()).collect();
        assert_eq!(streamed, kept);
        assert_eq!(kept, [Some(0), Some(1), Some(2)]);
    }

    #[test]
    fn keeping_more_than_the_budget_is_refused() {
        let run = Run::new(None, 100, std::time::UNIX_EPOCH);
        let query = Query::all(Arc::new(AnyTable::<i64>::schema(&NUMBERS)), run);
        let refused = NUMBERS.open(&1000, &query).unwrap().keep(&query).err();
        assert_eq!(refused, Some(ScanError::Stopped(model::Stop::Memory(100))));
    }
}
