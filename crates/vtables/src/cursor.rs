//! A cursor: how a scan starts, moves on and ends, and what it tells of itself.

use std::borrow::Cow;
use std::cell::Cell;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use collector::Scan;
use model::{ColumnMask, Kind, Op, TableSchema, Value};
use rusqlite::types::ValueRef;
use rusqlite::vtab::{Filters, sqlite3_vtab_cursor};
use rusqlite::{Error, Result};

use crate::arguments::{constraints, rows_wanted};
use crate::bridge::{Aux, TableVtab};
use crate::failure::{panicked, required, scan_error};
use crate::kept::{Found, Index, Kept, Key};
use crate::plan::{Arg, By, Plan};
use crate::scope::{Scope, Started, Use, Wanted, add, inner, lock, timed};
use crate::{ErrorKind, SqlError};

/// A scan of a table, as SQLite holds it: where its rows come from, and what of them was used.
///
/// The base stands first, as the bridge promises SQLite.
#[repr(C)]
pub(crate) struct Cursor<'vtab> {
    pub(crate) base: sqlite3_vtab_cursor,
    pub(crate) aux: Aux,
    scope: Option<Arc<Scope>>,
    encoded: String,
    plan: Plan,
    pub(crate) source: Source,
    lookup: Option<Lookup>,
    identity: Vec<usize>,
    /// Rows so far of each identity, where identities repeat and rows stream.
    ordinals: Option<std::collections::HashMap<Vec<Key>, u32>>,
    tested: ColumnMask,
    pub(crate) timing: bool,
    pub(crate) seen: Seen,
    vtab: PhantomData<&'vtab TableVtab>,
}

/// Where its rows come from.
pub(crate) enum Source {
    Empty,
    Stream {
        scan: Box<dyn Scan>,
        ordinal: u32,
    },
    Kept {
        rows: Arc<Kept>,
        found: Found,
        at: usize,
    },
    /// The kept row `at` and those after it with the same hash.
    Chain {
        lookup: Lookup,
        at: Option<u32>,
    },
}

impl Source {
    /// The kept row that a cursor stands on.
    pub(crate) fn kept(&self) -> Option<(&Kept, usize)> {
        match self {
            Source::Empty | Source::Stream { .. } => None,
            Source::Kept { rows, found: Found::All, at } => (*at < rows.rows.len()).then_some((rows, *at)),
            Source::Kept { rows, found: Found::Rows(list), at } => {
                list.get(*at).map(|row| (&**rows, *row as usize))
            }
            Source::Chain { lookup, at } => at.map(|row| (&*lookup.rows, row as usize)),
        }
    }
}

/// An index of a whole kept table, and the argument that it is asked with.
#[derive(Clone)]
pub(crate) struct Lookup {
    rows: Arc<Kept>,
    index: Arc<Index>,
    /// Place among the arguments.
    place: usize,
    kind: Kind,
}

/// What one cursor saw, until it is added to the scope's counts.
#[derive(Default)]
pub(crate) struct Seen {
    scans: u64,
    collections: u64,
    /// Rows that the table gave.
    collected: u64,
    /// Columns whose values were sent.
    sent: ColumnMask,
    produced: u64,
    kept: u64,
    read: ColumnMask,
    pub(crate) time: Cell<Duration>,
    how: &'static str,
    /// Columns of the current row that were read.
    pub(crate) row: Cell<ColumnMask>,
    /// The number of the current row was asked for.
    numbered: Cell<bool>,
    /// The scope's steps when the current row was reached.
    steps: i64,
    pub(crate) standing: bool,
}

impl Cursor<'_> {
    /// One that stands on no row yet.
    pub(crate) fn new(aux: Aux) -> Self {
        Cursor {
            base: sqlite3_vtab_cursor::default(),
            aux,
            scope: None,
            encoded: String::new(),
            plan: Plan { used: 0, rows: 0, args: Vec::new(), limits: 0 },
            source: Source::Empty,
            lookup: None,
            identity: Vec::new(),
            ordinals: None,
            tested: ColumnMask::NONE,
            timing: false,
            seen: Seen::default(),
            vtab: PhantomData,
        }
    }

    /// The number of the row that it stands on.
    pub(crate) fn number(&self) -> Result<i64> {
        self.seen.numbered.set(true);
        let Some(scope) = &self.scope else { return Ok(0) };
        if !scope.numbered && scope.tables[self.aux.table].route.projects() {
            let what = format!("{}: rows were collected without their numbers", self.aux.schema().name);
            return Err(self.fail(SqlError::new(ErrorKind::Internal, what)));
        }
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let (identity, ordinal) = match (&self.source, self.source.kept()) {
                (Source::Stream { scan, ordinal }, _) => {
                    (self.identity_of(|c| Key::of(&scan.value(c))), *ordinal)
                }
                (_, Some((rows, row))) => {
                    let ordinal =
                        if scope.unique(self.aux.table) { 0 } else { rows.ordinal(row, &self.identity) };
                    (self.identity_of(|c| Key::of(&rows.rows.value(row, c))), ordinal)
                }
                (_, None) => return Ok(0),
            };
            scope.number(self.aux.table, identity, ordinal)
        }));
        match caught {
            Ok(number) => number.map_err(|error| self.fail(scan_error(self.aux.schema(), error))),
            Err(panic) => Err(self.fail(panicked(self.aux.schema(), &*panic))),
        }
    }

    /// What to tell SQLite of a table that panicked.
    #[cold]
    #[inline(never)]
    pub(crate) fn fault(&self, panic: &(dyn std::any::Any + Send)) -> String {
        self.fail(panicked(self.aux.schema(), panic)).to_string()
    }

    /// Runs what may call a table's code; a panic becomes an error of this statement.
    pub(crate) fn caught(
        &mut self,
        call: impl FnOnce(&mut Self) -> std::result::Result<(), SqlError>,
    ) -> Result<()> {
        let caught = catch_unwind(AssertUnwindSafe(|| call(self)));
        let done = caught.unwrap_or_else(|panic| Err(panicked(self.aux.schema(), &*panic)));
        done.map_err(|error| {
            self.source = Source::Empty;
            self.leave_row();
            self.fail(error)
        })
    }

    /// Keeps the whole error for the engine, and gives SQLite its text.
    fn fail(&self, error: SqlError) -> Error {
        let text = error.message.clone();
        if let Some(scope) = &self.scope {
            lock(&scope.failure).get_or_insert(error);
        }
        Error::ModuleError(text)
    }

    pub(crate) fn start(&mut self, encoded: &str, args: &Filters<'_>) -> std::result::Result<(), SqlError> {
        self.leave_row();
        if self.look_up(encoded, args) {
            return Ok(());
        }
        self.source = Source::Empty;
        self.lookup = None;
        let schema = self.aux.schema().clone();
        let internal = |what: &str| SqlError::new(ErrorKind::Internal, format!("{}: {what}", schema.name));
        let scope = lock(&self.aux.shared.scope).clone();
        let scope = scope.ok_or_else(|| internal("a scan started outside a statement"))?;
        if self.scope.as_ref().is_none_or(|s| !Arc::ptr_eq(s, &scope)) {
            self.report();
            self.scope = Some(scope.clone());
            self.timing = scope.timed;
            self.encoded.clear();
        }
        if self.encoded != encoded || encoded.is_empty() {
            self.report();
            self.plan = Plan::decode(encoded).ok_or_else(|| internal("a plan could not be read"))?;
            encoded.clone_into(&mut self.encoded);
            self.identity = schema.identity.columns.iter().filter_map(|c| schema.column(c)).collect();
            let tested = |mask: ColumnMask, (i, column): (usize, &model::ColumnSchema)| {
                let compared = scope.tested.iter().any(|t| t.eq_ignore_ascii_case(&column.name));
                if compared { mask.with(i) } else { mask }
            };
            self.tested = schema.columns.iter().enumerate().fold(ColumnMask::NONE, tested);
        }
        self.seen.scans += 1;
        add(&scope.steps, 1);

        let Some(asked) = constraints(&self.plan, &schema, args)? else {
            return Ok(()); // Compared with NULL or with an empty list: no row can match.
        };
        let (constraints, marks): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
        let gives = |arg: &Arg| arg.by == By::Table && schema.columns[arg.column].required;
        if schema.required().next().is_some() && !marks.iter().any(gives) {
            return Err(required(&schema));
        }
        let wanted = Wanted {
            constraints,
            args: marks,
            used: ColumnMask::from_bits(self.plan.used),
            rows: rows_wanted(&self.plan, args),
        };
        let inner = inner(&scope);
        let started = timed(scope.timed, &self.seen.time, || scope.start(self.aux.table, wanted, inner));
        match started.map_err(|error| scan_error(&schema, error))? {
            Started::Stream { scan, sent } => {
                self.seen.collections += 1;
                self.seen.sent = self.seen.sent.or(sent);
                self.seen.how = "streamed";
                let projects = scope.tables[self.aux.table].route.projects();
                let told_apart = scope.numbered || !projects;
                self.ordinals = (told_apart && !scope.unique(self.aux.table)).then(Default::default);
                self.source = Source::Stream { scan, ordinal: 0 };
                self.advance()
            }
            Started::Kept { rows, found, collected } => {
                if let Some(collected) = collected {
                    self.seen.collections += 1;
                    self.seen.collected += collected.rows;
                    self.seen.sent = self.seen.sent.or(collected.sent);
                }
                self.seen.how = if matches!(found, Found::All) { "kept" } else { "indexed" };
                self.lookup = self.remember(&scope, &schema, &rows);
                self.source = Source::Kept { rows, found, at: 0 };
                self.settle();
                Ok(())
            }
        }
    }

    /// What the next start can go by, when this one went by an index of the whole table.
    fn remember(&self, scope: &Scope, schema: &TableSchema, rows: &Arc<Kept>) -> Option<Lookup> {
        let by = |(place, arg): (usize, &Arg)| {
            if arg.op != Op::Eq || arg.list {
                return None;
            }
            let (rows, index) = (rows.clone(), rows.index(arg.column)?);
            Some(Lookup { rows, index, place, kind: schema.columns[arg.column].kind })
        };
        if !scope.holds_whole(self.aux.table, rows) {
            return None;
        }
        self.plan.args.iter().enumerate().find_map(by)
    }

    /// Starts by the index that the last start of the same plan went by; false when it cannot.
    fn look_up(&mut self, encoded: &str, args: &Filters<'_>) -> bool {
        let (Some(lookup), Some(scope)) = (&self.lookup, &self.scope) else { return false };
        let current = lock(&self.aux.shared.scope).as_ref().is_some_and(|s| Arc::ptr_eq(s, scope));
        if !current || self.encoded != encoded || args.len() <= lookup.place {
            return false;
        }
        let at = match ValueRef::from(&args[lookup.place]) {
            ValueRef::Null => None,
            ValueRef::Integer(n) if lookup.kind == Kind::Int => lookup.index.first(&Value::Int(n)),
            ValueRef::Text(text) if lookup.kind == Kind::Text => {
                lookup.index.first(&Value::Text(Cow::Borrowed(text)))
            }
            _ => return false,
        };
        self.seen.scans += 1;
        add(&scope.steps, 1);
        let lookup = match std::mem::replace(&mut self.source, Source::Empty) {
            Source::Chain { lookup, .. } => lookup,
            _ => lookup.clone(),
        };
        self.source = Source::Chain { lookup, at };
        self.settle();
        true
    }

    pub(crate) fn advance(&mut self) -> std::result::Result<(), SqlError> {
        self.leave_row();
        let timing = self.timing;
        match &mut self.source {
            Source::Empty => {}
            Source::Stream { scan, ordinal } => {
                let advanced = timed(timing, &self.seen.time, || scan.advance());
                match advanced {
                    Ok(true) => {
                        if let Some(ordinals) = &mut self.ordinals {
                            let key = self.identity.iter().map(|c| Key::of(&scan.value(*c))).collect();
                            let count = ordinals.entry(key).or_default();
                            *ordinal = *count;
                            *count += 1;
                        }
                        self.stand();
                    }
                    // Drops the scan at once: what it holds open must not outlive its last row.
                    Ok(false) => self.source = Source::Empty,
                    Err(error) => return Err(scan_error(self.aux.schema(), error)),
                }
            }
            Source::Kept { at, .. } => {
                *at += 1;
                self.settle();
            }
            Source::Chain { lookup, at } => {
                *at = at.and_then(|row| lookup.index.after(row));
                self.settle();
            }
        }
        Ok(())
    }

    /// Stands on the current kept row, or at the end.
    fn settle(&mut self) {
        if self.source.kept().is_some() {
            self.stand();
        }
    }

    fn stand(&mut self) {
        self.seen.produced += 1;
        self.seen.collected += u64::from(matches!(self.source, Source::Stream { .. }));
        self.seen.standing = true;
        if let Some(scope) = &self.scope {
            self.seen.steps = scope.steps.load(Ordering::Relaxed);
            add(&scope.standing, 1);
        }
    }

    fn leave_row(&mut self) {
        if !std::mem::take(&mut self.seen.standing) {
            return;
        }
        // A row was kept if it was used for more than the comparisons that can reject it.
        let read = self.seen.row.take();
        self.seen.read = self.seen.read.or(read);
        let used = self.seen.numbered.take() || read.bits() & !self.tested.bits() != 0;
        if let Some(scope) = &self.scope {
            add(&scope.standing, -1);
            let stepped = scope.steps.load(Ordering::Relaxed) != self.seen.steps;
            self.seen.kept += u64::from(stepped || used);
        }
    }

    fn identity_of(&self, key: impl Fn(usize) -> Key) -> Vec<Key> {
        self.identity.iter().map(|c| key(*c)).collect()
    }

    /// Adds what this cursor saw to the counts of its statement.
    fn report(&mut self) {
        self.leave_row();
        let seen = std::mem::take(&mut self.seen);
        let Some(scope) = self.scope.as_ref().filter(|_| seen.scans > 0) else { return };
        // Only compared columns were read and nothing followed: SQLite's choice left no trace.
        let untraceable = seen.kept == 0 && seen.produced > 0 && self.plan.used & !self.tested.bits() == 0;
        scope.count(Use {
            table: self.aux.table,
            plan: self.plan.clone(),
            how: seen.how,
            scans: seen.scans,
            collections: seen.collections,
            collected: seen.collected,
            sent: scope.tables[self.aux.table].route.projects().then_some(seen.sent),
            produced: seen.produced,
            kept: (!untraceable).then_some(seen.kept),
            read: seen.read,
            time: seen.time.get(),
        });
    }
}

impl Drop for Cursor<'_> {
    fn drop(&mut self) {
        self.report();
    }
}
