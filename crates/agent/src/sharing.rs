//! One look at the machine for all rules that run at about the same time.
//!
//! Rules mostly read the same few tables. A scan that no key narrows is kept for a moment, with every column that any
//! rule asked for so far, and serves each rule that comes meanwhile; SQLite tests each row anyway. So a rule sees the
//! machine as it was at most [`AGE_MAX`] ago, which is far less than lies between two of its runs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use collector::{Scan, Snapshot};
use model::{ColumnMask, Note, Op, Ops, Query, Run, ScanError, TableSchema, Value};
use vtables::Route;

/// How old a scan may be that serves another rule.
pub(crate) const AGE_MAX: Duration = Duration::from_secs(3);
/// Bytes of a scan that is kept. One that is larger serves nobody else.
const BYTES_MAX: u64 = 16 << 20;
/// How long a scan may take that serves others too.
const SCAN_TIME_MAX: Duration = Duration::from_secs(30);

/// A route whose scans are shared.
pub(crate) struct Sharing {
    inner: Arc<dyn Route>,
    tables: Mutex<HashMap<String, Arc<Mutex<Table>>>>,
}

#[derive(Default)]
struct Table {
    /// Every column that was asked for so far.
    wanted: ColumnMask,
    kept: Option<Kept>,
    /// It was too large once, and is left alone.
    too_large: bool,
}

#[derive(Clone)]
struct Kept {
    since: Instant,
    version: u64,
    columns: ColumnMask,
    rows: Arc<dyn Snapshot>,
    /// The run of the scan, which has its notes.
    run: Run,
}

impl Sharing {
    pub(crate) fn new(inner: Arc<dyn Route>) -> Sharing {
        Sharing { inner, tables: Mutex::default() }
    }

    fn table(&self, name: &str) -> Arc<Mutex<Table>> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables.entry(name.to_owned()).or_default().clone()
    }

    /// Lets go of what is too old to serve anybody.
    pub(crate) fn forget(&self) {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        for table in tables.values() {
            // Who holds it scans just now.
            if let Ok(mut table) = table.try_lock() {
                table.kept = table.kept.take().filter(|kept| kept.since.elapsed() <= AGE_MAX);
            }
        }
    }

    /// The rows that serve a query, kept or read now; `None` when it is to be asked by itself.
    fn shared(&self, name: &str, query: &Query) -> Option<Kept> {
        let narrows = |column: usize| query.schema.columns.get(column).is_none_or(|c| c.push != Ops::NONE);
        let required = query.schema.columns.iter().any(|column| column.required);
        if required || query.constraints.iter().any(|constraint| narrows(constraint.column)) {
            return None;
        }
        let table = self.table(name);
        let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
        table.wanted = table.wanted.or(query.used);
        if table.too_large {
            return None;
        }
        let version = self.inner.version();
        let serves = |kept: &Kept| {
            kept.version == version && kept.columns.covers(query.used) && kept.since.elapsed() <= AGE_MAX
        };
        if let Some(kept) = table.kept.as_ref().filter(|kept| serves(kept)) {
            return Some(kept.clone());
        }
        let run = Run::new(Some(SCAN_TIME_MAX), BYTES_MAX, query.run.now());
        let all = Query {
            schema: query.schema.clone(),
            used: table.wanted,
            constraints: Vec::new(),
            rows_wanted: None,
            every_row: false,
            run: run.clone(),
        };
        let since = Instant::now();
        match self.inner.open(name, &all).and_then(|scan| scan.keep(&all)) {
            Ok(rows) => {
                let kept = Kept { since, version, columns: table.wanted, rows, run };
                table.kept = Some(kept.clone());
                Some(kept)
            }
            Err(error) => {
                table.too_large = matches!(error, ScanError::Stopped(model::Stop::Memory(_)));
                table.kept = None;
                // Asked by itself it tells what is wrong.
                None
            }
        }
    }
}

impl Route for Sharing {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn tables(&self) -> Vec<Arc<TableSchema>> {
        self.inner.tables()
    }

    fn open(&self, table: &str, query: &Query) -> Result<Box<dyn Scan>, ScanError> {
        match self.shared(table, query) {
            Some(kept) => Ok(Box::new(Shared { kept, next: 0, query: query.clone() })),
            None => self.inner.open(table, query),
        }
    }

    fn keeps_identity(&self) -> bool {
        self.inner.keeps_identity()
    }

    fn filters(&self, table: &TableSchema, op: Op) -> bool {
        self.inner.filters(table, op)
    }

    fn projects(&self) -> bool {
        self.inner.projects()
    }

    fn version(&self) -> u64 {
        self.inner.version()
    }

    fn refresh(&self, run: &Run) {
        self.inner.refresh(run);
    }
}

/// A scan of rows that others read, too.
struct Shared {
    kept: Kept,
    /// Place of the row after the current one.
    next: usize,
    query: Query,
}

impl Shared {
    /// Tells this statement what the scan could not see of the columns that it reads.
    fn tell(&self) {
        let concerns = |note: &&Note| {
            note.column.is_empty()
                || self.query.schema.column(&note.column).is_none_or(|column| self.query.used.has(column))
        };
        for note in self.kept.run.notes().into_iter().filter(|note| concerns(&note)) {
            self.query.run.note_many(note.table, note.column, note.reason, note.count);
        }
    }
}

impl Scan for Shared {
    fn advance(&mut self) -> Result<bool, ScanError> {
        /// Far below the cost of anything that a person would notice.
        const POLL_EVERY: usize = 64;
        if self.next.is_multiple_of(POLL_EVERY) {
            self.query.run.check()?;
        }
        if self.next < self.kept.rows.len() {
            self.next += 1;
            return Ok(true);
        }
        self.tell();
        Ok(false)
    }

    fn value(&self, column: usize) -> Value<'_> {
        match self.next.checked_sub(1) {
            Some(row) => self.kept.rows.value(row, column),
            None => Value::Null,
        }
    }

    fn keep(self: Box<Self>, query: &Query) -> Result<Arc<dyn Snapshot>, ScanError> {
        query.run.check()?;
        query.run.hold(self.kept.rows.bytes())?;
        self.tell();
        Ok(self.kept.rows.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use collector::{AnyTable, Row, int, key, unique};
    use std::sync::atomic::{AtomicU64, Ordering};
    use vtables::{Engine, Here, Limits, Options};

    struct Number(i64);
    impl Row for Number {}

    struct Source(AtomicU64);

    static NUMBERS: collector::Table<Number, Arc<Source>> = collector::Table {
        name: "numbers",
        about: "The numbers below 100.",
        identity: unique(&["n"]),
        extent: model::Extent::Whole { rows: 100 },
        columns: &[
            key(int("n", "The number.", |r| r.0.into())),
            int("twice", "Twice the number.", |r| (2 * r.0).into()),
        ],
        scan: |source, query| {
            source.0.fetch_add(1, Ordering::Relaxed);
            query.run.note("numbers", "twice", "hidden");
            query.run.note("numbers", "n", "hidden");
            Ok(Box::new((0..100).map(|n| Ok(Number(n)))))
        },
        examples: &["SELECT n FROM numbers"],
    };

    fn engine() -> (Engine, Arc<Source>, Arc<Sharing>) {
        let source = Arc::new(Source(AtomicU64::new(0)));
        let tables: [&'static dyn AnyTable<Arc<Source>>; 1] = [&NUMBERS];
        let sharing = Arc::new(Sharing::new(Arc::new(Here::new(tables, source.clone()))));
        (Engine::new(vec![sharing.clone()], Limits::default()).unwrap(), source, sharing)
    }

    #[test]
    fn many_statements_share_one_scan_and_answer_as_by_themselves() {
        let (mut engine, source, sharing) = engine();
        let mut ask = |sql: &str| engine.query(sql, &Options::default()).unwrap();
        let first = "SELECT n, twice FROM numbers WHERE twice > 150";
        assert_eq!(ask(first).rows.len(), 24);
        for _ in 0..10 {
            assert_eq!(ask("SELECT n FROM numbers WHERE n % 2").rows.len(), 50);
            assert_eq!(ask("SELECT a.n FROM numbers a JOIN numbers b ON a.n = b.twice").rows.len(), 50);
            assert_eq!(ask("SELECT count(*) FROM numbers").rows[0][0], Value::Int(100));
        }
        let after = source.0.load(Ordering::Relaxed);
        assert!(after <= 12, "{after}: only a lookup by key is a scan of its own");
        sharing.forget();
        ask(first);
        assert_eq!(source.0.load(Ordering::Relaxed), after, "what is young stays");
    }

    #[test]
    fn what_could_not_be_seen_is_told_to_each_statement_that_reads_it() {
        let (mut engine, _, _) = engine();
        let mut notes = |sql: &str| engine.query(sql, &Options::default()).unwrap().report.notes.len();
        assert_eq!(notes("SELECT n, twice FROM numbers WHERE twice > 0"), 2);
        assert_eq!(notes("SELECT n, twice FROM numbers WHERE twice > 0"), 2);
        assert_eq!(notes("SELECT sum(n) FROM numbers"), 1);
    }

    #[test]
    fn a_lookup_by_key_is_asked_by_itself() {
        let (mut engine, source, _) = engine();
        for n in 0..3 {
            let sql = format!("SELECT n FROM numbers WHERE n = {n}");
            assert_eq!(engine.query(&sql, &Options::default()).unwrap().rows.len(), 1);
        }
        assert_eq!(source.0.load(Ordering::Relaxed), 3);
    }
}
