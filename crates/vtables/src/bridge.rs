//! The bridge: a table as a virtual table of SQLite. The only unsafe code of the project.
//!
//! Two promises make the `unsafe impl`s sound: each struct is `#[repr(C)]` with SQLite's base struct first,
//! and nothing unwinds into SQLite (every callback that runs a table's code is caught).
//!
//! Values, of which there are many times more than of anything else, go to SQLite and come from it without rusqlite's
//! wrappers ([`hand_over`], [`Results`]): those cost a tenth and a quarter of a scan.
//!
//! `omit` is never set: SQLite tests each row again, so what a scan does with a constraint is advice.

use std::borrow::Cow;
use std::cell::Cell;
use std::ffi::{CStr, CString, c_int};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use collector::Scan;
use model::{ColumnMask, Constraint, Kind, Op, ScanError, TableSchema, Value};
use rusqlite::fallible_streaming_iterator::FallibleStreamingIterator;
use rusqlite::ffi;
use rusqlite::types::ValueRef;
use rusqlite::vtab::{
    Context, Filters, IndexConstraintOp, IndexInfo, Module, VTab, VTabConfig, VTabConnection, VTabCursor,
    sqlite3_vtab, sqlite3_vtab_cursor,
};
use rusqlite::{Connection, Error, Result};

use crate::kept::{Found, Index, Kept, Key};
use crate::plan::{Arg, By, Offer, Plan, choose};
use crate::scope::{Scope, Started, Use, Wanted, add, inner, lock, timed};
use crate::{ErrorKind, Limit, Route, SqlError};

/// What the cursors of a connection share: its tables, and the run of the current statement.
pub(crate) struct Shared {
    pub tables: Vec<(Arc<TableSchema>, Arc<dyn Route>)>,
    pub scope: Mutex<Option<Arc<Scope>>>,
    pub planning: Mutex<Planning>,
}

/// The statement that SQLite prepares now.
#[derive(Default)]
pub(crate) struct Planning {
    /// Row numbers may be asked for.
    pub numbered: bool,
    /// For each table that it plans to scan, the columns that any of the scans may read.
    pub columns: Vec<(usize, u64)>,
}

impl Planning {
    fn reads(&mut self, table: usize, used: u64) {
        match self.columns.iter_mut().find(|(known, _)| *known == table) {
            Some((_, columns)) => *columns |= used,
            None => self.columns.push((table, used)),
        }
    }
}

/// Makes every table of `shared` known to the connection.
pub(crate) fn register(connection: &Connection, shared: &Arc<Shared>) -> Result<()> {
    let module: &'static Module<'static, TableVtab> = const { &module() };
    for (table, (schema, _)) in shared.tables.iter().enumerate() {
        connection.create_module(&*schema.name, module, Some(Aux { shared: shared.clone(), table }))?;
    }
    Ok(())
}

/// The module as rusqlite makes it, but for how values are handed over.
#[allow(unsafe_code, reason = "rusqlite has no other way to replace a callback of its module")]
const fn module() -> Module<'static, TableVtab> {
    use std::mem::transmute;
    // SAFETY: `Module` is `#[repr(transparent)]` over `sqlite3_module`, and the callback is for the same cursor type.
    unsafe {
        let mut module: ffi::sqlite3_module = transmute(Module::<TableVtab>::eponymous_only_module());
        module.xColumn = Some(hand_over);
        transmute::<ffi::sqlite3_module, Module<'static, TableVtab>>(module)
    }
}

/// A value of the row on which a cursor stands (vtab.html#the_xcolumn_method). What is rarely needed is left to
/// functions of its own: this one is called for every value, and saves no register for them.
#[allow(unsafe_code, reason = "a callback of SQLite")]
unsafe extern "C" fn hand_over(
    cursor: *mut sqlite3_vtab_cursor,
    context: *mut ffi::sqlite3_context,
    column: c_int,
) -> c_int {
    // SAFETY: SQLite calls this with a cursor that `TableVtab::open` made, of which the base stands first, and nobody
    // else uses it meanwhile.
    let cursor = unsafe { &*cursor.cast::<Cursor<'_>>() };
    let column = column as usize;
    cursor.seen.row.set(cursor.seen.row.get().with(column));
    let given = match cursor.timing {
        // SAFETY: the context lives as long as this call.
        false => catch_unwind(AssertUnwindSafe(|| unsafe { cursor.give(context, column) })),
        // SAFETY: as above.
        true => unsafe { cursor.give_timed(context, column) },
    };
    match given {
        Ok(()) => ffi::SQLITE_OK,
        Err(panic) => {
            let message = cursor.fault(&*panic);
            let length = c_int::try_from(message.len()).unwrap_or(c_int::MAX);
            // SAFETY: as above, and SQLite copies the text.
            unsafe { ffi::sqlite3_result_error(context, message.as_ptr().cast(), length) };
            ffi::SQLITE_ERROR
        }
    }
}

/// # Safety
/// The context is one that SQLite gave and still waits for.
#[inline(always)]
#[allow(unsafe_code, reason = "what a callback of SQLite calls")]
unsafe fn set_result(context: *mut ffi::sqlite3_context, value: &Value<'_>) {
    let copied = ffi::SQLITE_TRANSIENT();
    // SAFETY: the context is the caller's promise. A length stands with each pointer, and SQLite copies what is there;
    // an empty slice has an address that is not null, which makes it an empty text and not NULL.
    unsafe {
        match value {
            // So it is before anything was given.
            Value::Null => {}
            Value::Int(n) => ffi::sqlite3_result_int64(context, *n),
            Value::Real(x) => ffi::sqlite3_result_double(context, *x),
            Value::Text(bytes) => {
                let (text, length) = (bytes.as_ptr().cast(), bytes.len() as u64);
                ffi::sqlite3_result_text64(context, text, length, copied, ffi::SQLITE_UTF8 as _);
            }
            Value::Blob(bytes) => {
                let (blob, length) = (bytes.as_ptr().cast(), bytes.len() as u64);
                ffi::sqlite3_result_blob64(context, blob, length, copied);
            }
        }
    }
}

/// The rows of a statement that was bound.
///
/// rusqlite reads a value by two or three calls, each of which looks it up by its column anew; here it is looked up
/// once and then asked, which takes a quarter off a scan. Its statement has no public pointer, so [`running`] finds it.
pub(crate) struct Results<'s> {
    connection: &'s Connection,
    rows: rusqlite::Rows<'s>,
    columns: usize,
    /// Known from the first row on.
    statement: Option<NonNull<ffi::sqlite3_stmt>>,
}

impl<'s> Results<'s> {
    /// The rows that `statement`, of this connection, is about to give. It has to be the only one until its first.
    pub(crate) fn new(
        connection: &'s Connection,
        statement: &'s mut rusqlite::Statement<'_>,
    ) -> Result<Results<'s>> {
        if running(connection).is_some() {
            return Err(Error::ModuleError("another statement is running on this connection".into()));
        }
        let columns = statement.column_count();
        Ok(Results { connection, rows: statement.raw_query(), columns, statement: None })
    }

    /// The next row, if there is one.
    pub(crate) fn next(&mut self) -> Result<Option<Record<'_>>> {
        if self.rows.next()?.is_none() {
            return Ok(None);
        }
        let found = self.statement.or_else(|| running(self.connection));
        let lost = || Error::ModuleError("the statement that gave a row is not to be found".into());
        let statement = found.ok_or_else(lost)?;
        self.statement = Some(statement);
        Ok(Some(Record { statement, columns: self.columns as c_int, results: PhantomData }))
    }
}

/// The statement that a connection runs, if any.
///
/// Others may be running within it: the table of a pragma steps one of its own. Those were prepared after it began,
/// and SQLite lists the youngest first, so it is the last that is busy.
#[allow(unsafe_code, reason = "rusqlite tells no statement's address")]
fn running(connection: &Connection) -> Option<NonNull<ffi::sqlite3_stmt>> {
    // SAFETY: the connection is open, and nothing here prepares or ends a statement of it.
    unsafe {
        let database = connection.handle();
        let next =
            |s: &NonNull<ffi::sqlite3_stmt>| NonNull::new(ffi::sqlite3_next_stmt(database, s.as_ptr()));
        let first = NonNull::new(ffi::sqlite3_next_stmt(database, std::ptr::null_mut()));
        std::iter::successors(first, next).filter(|s| ffi::sqlite3_stmt_busy(s.as_ptr()) != 0).last()
    }
}

/// The row that a statement stands on.
pub(crate) struct Record<'r> {
    statement: NonNull<ffi::sqlite3_stmt>,
    columns: c_int,
    results: PhantomData<&'r mut ()>,
}

impl<'r> Record<'r> {
    /// Appends its values. They are SQLite's own, until the next row is asked for.
    // By itself, so that the compiler does not weigh it with the loop over rows; and by an iterator that cannot fail,
    // whose values are written where they stay: made elsewhere and moved, they cost half as much again.
    #[inline(never)]
    pub(crate) fn read(self, values: &mut Vec<Value<'r>>) -> Result<()> {
        let mut without_memory = false;
        values.extend((0..self.columns).map(|column| self.value(column, &mut without_memory)));
        match without_memory {
            false => Ok(()),
            true => Err(Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_NOMEM), None)),
        }
    }

    #[inline(always)]
    #[allow(unsafe_code, reason = "see `Results`")]
    fn value(&self, column: c_int, without_memory: &mut bool) -> Value<'r> {
        // SAFETY: the statement stands on a row as long as `Results` is borrowed, and all its columns are read in this
        // thread, which alone has the connection: what sqlite3_column_value gives asks for no more than that. SQLite
        // gives the length of what it gave the start of, which does not change while the row stands.
        unsafe {
            let value = ffi::sqlite3_column_value(self.statement.as_ptr(), column);
            let mut bytes = |start: *const u8| {
                let length = usize::try_from(ffi::sqlite3_value_bytes(value)).unwrap_or_default();
                if start.is_null() {
                    // So is an empty blob.
                    *without_memory |= length > 0;
                    return Cow::Borrowed(&[][..]);
                }
                Cow::Borrowed(std::slice::from_raw_parts(start, length))
            };
            match ffi::sqlite3_value_type(value) {
                ffi::SQLITE_INTEGER => Value::Int(ffi::sqlite3_value_int64(value)),
                ffi::SQLITE_FLOAT => Value::Real(ffi::sqlite3_value_double(value)),
                // Asked for before its length, which changes when it has to be made UTF-8.
                ffi::SQLITE_TEXT => Value::Text(bytes(ffi::sqlite3_value_text(value))),
                ffi::SQLITE_BLOB => Value::Blob(bytes(ffi::sqlite3_value_blob(value).cast())),
                _ => Value::Null,
            }
        }
    }
}

#[derive(Clone)]
struct Aux {
    shared: Arc<Shared>,
    table: usize,
}

impl Aux {
    fn schema(&self) -> &Arc<TableSchema> {
        &self.shared.tables[self.table].0
    }
}

#[repr(C)]
struct TableVtab {
    base: sqlite3_vtab,
    aux: Aux,
}

// SAFETY: `#[repr(C)]` with the base struct first, as the trait asks.
#[allow(unsafe_code, reason = "a virtual table is declared to SQLite by an unsafe trait")]
unsafe impl<'vtab> VTab<'vtab> for TableVtab {
    type Aux = Aux;
    type Cursor = Cursor<'vtab>;

    fn connect(
        db: &mut VTabConnection,
        aux: Option<&Aux>,
        _module: &[u8],
        _database: &[u8],
        _table: &[u8],
        _args: &[&[u8]],
    ) -> Result<(Cow<'static, CStr>, Self)> {
        let aux =
            aux.ok_or_else(|| Error::ModuleError("a table was registered without its schema".into()))?;
        // A table reads the machine: it may stand in a query, never in a view or a trigger.
        db.config(VTabConfig::DirectOnly)?;
        let declaration = CString::new(declaration(aux.schema()))?;
        Ok((Cow::Owned(declaration), TableVtab { base: sqlite3_vtab::default(), aux: aux.clone() }))
    }

    fn best_index(&self, info: &mut IndexInfo) -> Result<bool> {
        let offers = self.aux.offers(info)?;
        let used = info.col_used();
        lock(&self.aux.shared.planning).reads(self.aux.table, used);
        let (mut plan, places, cost) = choose(self.aux.schema(), &offers.list, used);
        for (offer, place) in places.iter().enumerate() {
            let Some(place) = place else { continue };
            let constraint = offers.numbers[offer];
            info.constraint_usage(constraint).set_argv_index(*place as c_int);
            if offers.list[offer].list {
                info.set_in_constraint(constraint, true)?;
            }
        }
        // Where a row may still be refused, or rows are sorted, the number of those wanted is not known.
        if offers.complete && places.iter().all(Option::is_some) && plan.args.iter().all(Arg::pushed) {
            for constraint in offers.limits {
                plan.limits += 1;
                let place = (plan.args.len() + plan.limits) as c_int;
                info.constraint_usage(constraint).set_argv_index(place);
            }
        }
        info.set_idx_str(&plan.encode());
        info.set_estimated_cost(cost.cost);
        info.set_estimated_rows(cost.rows);
        Ok(true)
    }

    fn open(&'vtab mut self) -> Result<Cursor<'vtab>> {
        Ok(Cursor {
            base: sqlite3_vtab_cursor::default(),
            aux: self.aux.clone(),
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
        })
    }
}

fn declaration(schema: &TableSchema) -> String {
    let column = |c: &model::ColumnSchema| {
        let hidden = if c.hidden { " HIDDEN" } else { "" };
        format!("\"{}\" {}{hidden}", c.name.replace('"', "\"\""), c.kind.sql())
    };
    format!("CREATE TABLE x({})", schema.columns.iter().map(column).collect::<Vec<_>>().join(", "))
}

struct Offers {
    list: Vec<Offer>,
    /// SQLite's number of each.
    numbers: Vec<usize>,
    /// SQLite's numbers of LIMIT and OFFSET; none where rows are sorted.
    limits: Vec<usize>,
    /// No comparison was left out of the list.
    complete: bool,
}

impl Aux {
    fn offers(&self, info: &IndexInfo) -> Result<Offers> {
        let (schema, route) = &self.shared.tables[self.table];
        let unique = schema.identity.unique && route.keeps_identity();
        let numbered = lock(&self.shared.planning).numbered;
        // Rows with one identity are told apart by their order, so all of them must pass a filter, or none.
        let may_filter = |column: usize| {
            let named = |name: &Cow<'_, str>| schema.column(name) == Some(column);
            !numbered || unique || schema.identity.columns.iter().any(named)
        };
        let sorted = info.num_of_order_by() > 0;
        let mut offers = Offers { list: Vec::new(), numbers: Vec::new(), limits: Vec::new(), complete: true };
        for (number, constraint) in info.constraints().enumerate() {
            use IndexConstraintOp as Sql;
            let op = match constraint.operator() {
                Sql::SQLITE_INDEX_CONSTRAINT_EQ => Op::Eq,
                Sql::SQLITE_INDEX_CONSTRAINT_LIKE => Op::Like,
                Sql::SQLITE_INDEX_CONSTRAINT_GLOB => Op::Glob,
                Sql::SQLITE_INDEX_CONSTRAINT_REGEXP => Op::Regexp,
                Sql::SQLITE_INDEX_CONSTRAINT_LT => Op::Lt,
                Sql::SQLITE_INDEX_CONSTRAINT_LE => Op::Le,
                Sql::SQLITE_INDEX_CONSTRAINT_GT => Op::Gt,
                Sql::SQLITE_INDEX_CONSTRAINT_GE => Op::Ge,
                Sql::SQLITE_INDEX_CONSTRAINT_LIMIT | Sql::SQLITE_INDEX_CONSTRAINT_OFFSET => {
                    if !sorted && constraint.is_usable() {
                        offers.limits.push(number);
                    }
                    continue;
                }
                _ => {
                    offers.complete = false;
                    continue;
                }
            };
            // A negative column is the row number, which no table can look up.
            let Ok(column) = usize::try_from(constraint.column()) else {
                offers.complete = false;
                continue;
            };
            let usable = constraint.is_usable();
            let pattern = matches!(op, Op::Like | Op::Glob | Op::Regexp);
            offers.list.push(Offer {
                column,
                op,
                usable,
                binary: pattern || info.collation(number)? == "BINARY",
                list: op == Op::Eq && usable && info.is_in_constraint(number)?,
                constant: usable && info.rhs_value(number)?.is_some(),
                by_route: route.filters(schema, op) && may_filter(column),
            });
            offers.numbers.push(number);
        }
        Ok(offers)
    }
}

#[repr(C)]
struct Cursor<'vtab> {
    base: sqlite3_vtab_cursor,
    aux: Aux,
    scope: Option<Arc<Scope>>,
    encoded: String,
    plan: Plan,
    source: Source,
    lookup: Option<Lookup>,
    identity: Vec<usize>,
    /// Rows so far of each identity, where identities repeat and rows stream.
    ordinals: Option<std::collections::HashMap<Vec<Key>, u32>>,
    tested: ColumnMask,
    timing: bool,
    seen: Seen,
    vtab: PhantomData<&'vtab TableVtab>,
}

enum Source {
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
    fn kept(&self) -> Option<(&Kept, usize)> {
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
struct Lookup {
    rows: Arc<Kept>,
    index: Arc<Index>,
    /// Place among the arguments.
    place: usize,
    kind: Kind,
}

/// What one cursor saw, until it is added to the scope's counts.
#[derive(Default)]
struct Seen {
    scans: u64,
    collections: u64,
    /// Rows that the table gave.
    collected: u64,
    /// Columns whose values were sent.
    sent: ColumnMask,
    produced: u64,
    kept: u64,
    read: ColumnMask,
    time: Cell<Duration>,
    how: &'static str,
    /// Columns of the current row that were read.
    row: Cell<ColumnMask>,
    /// The number of the current row was asked for.
    numbered: Cell<bool>,
    /// The scope's steps when the current row was reached.
    steps: i64,
    standing: bool,
}

// SAFETY: `#[repr(C)]` with the base struct first, as the trait asks.
#[allow(unsafe_code, reason = "a cursor is declared to SQLite by an unsafe trait")]
unsafe impl VTabCursor for Cursor<'_> {
    fn filter(&mut self, _number: c_int, plan: Option<&str>, args: &Filters<'_>) -> Result<()> {
        self.caught(|cursor| cursor.start(plan.unwrap_or_default(), args))
    }

    fn next(&mut self) -> Result<()> {
        self.caught(Cursor::advance)
    }

    fn eof(&self) -> bool {
        !self.seen.standing
    }

    fn column(&self, _: &mut Context, _: c_int) -> Result<()> {
        Err(Error::ModuleError("values are handed over by `hand_over`".into()))
    }

    fn rowid(&self) -> Result<i64> {
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
}

impl Cursor<'_> {
    /// Gives a value of the current row to SQLite.
    ///
    /// # Safety
    /// The context is one that SQLite gave and still waits for.
    #[inline(always)]
    #[allow(unsafe_code, reason = "what a callback of SQLite calls")]
    unsafe fn give(&self, context: *mut ffi::sqlite3_context, column: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            match &self.source {
                Source::Stream { scan, .. } => set_result(context, &scan.value(column)),
                kept => {
                    if let Some((rows, row)) = kept.kept() {
                        set_result(context, &rows.rows.value(row, column));
                    }
                }
            }
        }
    }

    /// The same by the clock, which is read only for a report: two readings cost more than most columns.
    ///
    /// # Safety
    /// As for `give`.
    #[cold]
    #[inline(never)]
    #[allow(unsafe_code, reason = "what a callback of SQLite calls")]
    unsafe fn give_timed(
        &self,
        context: *mut ffi::sqlite3_context,
        column: usize,
    ) -> std::thread::Result<()> {
        catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: the caller's promise.
            timed(true, &self.seen.time, || unsafe { self.give(context, column) });
        }))
    }

    /// What to tell SQLite of a table that panicked.
    #[cold]
    #[inline(never)]
    fn fault(&self, panic: &(dyn std::any::Any + Send)) -> String {
        self.fail(panicked(self.aux.schema(), panic)).to_string()
    }

    /// Runs what may call a table's code; a panic becomes an error of this statement.
    fn caught(&mut self, call: impl FnOnce(&mut Self) -> std::result::Result<(), SqlError>) -> Result<()> {
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

    fn start(&mut self, encoded: &str, args: &Filters<'_>) -> std::result::Result<(), SqlError> {
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

        let Some((constraints, marks)) = self.constraints(&schema, args)? else {
            return Ok(()); // Compared with NULL or with an empty list: no row can match.
        };
        let gives = |arg: &Arg| arg.by == By::Table && schema.columns[arg.column].required;
        if schema.required().next().is_some() && !marks.iter().any(gives) {
            return Err(required(&schema));
        }
        let wanted = Wanted {
            constraints,
            args: marks,
            used: ColumnMask::from_bits(self.plan.used),
            rows: self.rows_wanted(args),
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

    /// Rows after which the statement has enough, as its LIMIT and OFFSET say.
    fn rows_wanted(&self, args: &Filters<'_>) -> Option<u64> {
        let first = self.plan.args.len();
        let limits = first..(first + self.plan.limits).min(args.len());
        let number = |n: usize| match ValueRef::from(&args[n]) {
            // A negative LIMIT is none, a negative OFFSET is 0; without a LIMIT there is no OFFSET either.
            ValueRef::Integer(rows) => u64::try_from(rows).ok(),
            _ => None,
        };
        let sum = limits.clone().map(number).try_fold(0_u64, |sum, rows| sum.checked_add(rows?));
        sum.filter(|_| !limits.is_empty())
    }

    /// The arguments as constraints, with who makes use of each; `None` when no row can
    /// match. A comparison that SQLite would convert for is left out.
    #[allow(clippy::type_complexity, reason = "two lists that belong together, read once")]
    fn constraints(
        &self,
        schema: &TableSchema,
        args: &Filters<'_>,
    ) -> std::result::Result<Option<(Vec<Constraint>, Vec<Arg>)>, SqlError> {
        let bridge = |error: Error| SqlError::new(ErrorKind::Internal, error.to_string());
        let (mut constraints, mut marks) = (Vec::new(), Vec::new());
        for (n, arg) in self.plan.args.iter().enumerate().take(args.len()) {
            let kind = match arg.op {
                Op::Like | Op::Glob | Op::Regexp => Kind::Text,
                _ => schema.columns[arg.column].kind,
            };
            let mut values = Vec::new();
            let mut convertible = true;
            // Without a required column there is no scan at all, so its values are converted here.
            let required = schema.columns[arg.column].required;
            let range = matches!(arg.op, Op::Lt | Op::Le | Op::Gt | Op::Ge) && arg.by == By::Route;
            let as_pattern = matches!(arg.op, Op::Like | Op::Glob);
            let mut take =
                |value: ValueRef<'_>| match exact(kind, if as_pattern { pattern(value) } else { value }) {
                    Exact::Value(value) => values.push(value),
                    // A filter compares numbers of both classes as SQLite does; an index or a table need not.
                    Exact::Converted if range && is_number(kind, value) => values.push(match value {
                        ValueRef::Real(x) => x.into(),
                        value => Value::Int(value.as_i64().unwrap_or_default()),
                    }),
                    Exact::Null => {}
                    Exact::Converted if required => values.extend(converted(kind, value)),
                    Exact::Converted => convertible = false,
                };
            if arg.list {
                let mut list = args.in_values(n).map_err(bridge)?;
                while let Some(value) = list.next().map_err(bridge)? {
                    take(ValueRef::from(value));
                }
            } else {
                take(ValueRef::from(&args[n]));
            }
            if !convertible {
                continue;
            }
            if values.is_empty() {
                return Ok(None);
            }
            constraints.push(Constraint { column: arg.column, op: arg.op, values });
            marks.push(*arg);
        }
        Ok(Some((constraints, marks)))
    }

    fn advance(&mut self) -> std::result::Result<(), SqlError> {
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

enum Exact {
    Value(Value<'static>),
    Null,
    /// SQLite would convert it before comparing, so a table cannot narrow by it.
    Converted,
}

fn exact(kind: Kind, value: ValueRef<'_>) -> Exact {
    match (kind, value) {
        (_, ValueRef::Null) => Exact::Null,
        (Kind::Int, ValueRef::Integer(n)) => Exact::Value(n.into()),
        (Kind::Real, ValueRef::Real(x)) => Exact::Value(x.into()),
        (Kind::Text, ValueRef::Text(bytes)) => Exact::Value(bytes.to_vec().into()),
        (Kind::Blob, ValueRef::Blob(bytes)) => Exact::Value(Value::Blob(Cow::Owned(bytes.to_vec()))),
        _ => Exact::Converted,
    }
}

/// A value as LIKE and GLOB take it: the bytes of text or a blob, up to the first NUL.
fn pattern(value: ValueRef<'_>) -> ValueRef<'_> {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => ValueRef::Text(until_nul(bytes)),
        number => number,
    }
}

/// Where SQLite stops reading a pattern, and text as a number.
fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn is_number(kind: Kind, value: ValueRef<'_>) -> bool {
    matches!((kind, value), (Kind::Int | Kind::Real, ValueRef::Integer(_) | ValueRef::Real(_)))
}

/// A value as the column's affinity turns it before it is compared; none when it then equals no value of the
/// column (datatype3.html#type_conversions_prior_to_comparison).
fn converted(kind: Kind, value: ValueRef<'_>) -> Option<Value<'static>> {
    let digits = |bytes| std::str::from_utf8(until_nul(bytes)).map(str::trim_ascii).ok();
    let number = |bytes| digits(bytes)?.parse::<f64>().ok();
    let whole = |x: f64| (x as i64 as f64 == x).then_some(Value::Int(x as i64));
    match (kind, value) {
        (Kind::Int, ValueRef::Real(x)) => whole(x),
        (Kind::Int, ValueRef::Text(bytes)) => {
            let exact = digits(bytes)?.parse::<i64>();
            exact.map_or_else(|_| whole(number(bytes)?), |n| Some(Value::Int(n)))
        }
        (Kind::Real, ValueRef::Integer(n)) => Some(Value::Real(n as f64)),
        (Kind::Real, ValueRef::Text(bytes)) => number(bytes).map(Value::Real),
        (Kind::Text, ValueRef::Integer(n)) => Some(n.to_string().into()),
        (Kind::Text, ValueRef::Real(x)) => Some(format!("{x:?}").into()),
        _ => None,
    }
}

fn required(schema: &TableSchema) -> SqlError {
    let columns: Vec<&str> = schema.required().collect();
    let name = &schema.name;
    let message = format!("the table `{name}` needs {} in WHERE", columns.join(" or "));
    let column = columns.first().copied().unwrap_or_default();
    SqlError::new(ErrorKind::RequiredColumn, message).help(format!(
        "say which: WHERE {name}.{column} = '…', or join {name} on {column}; in an OR, say it in each part, \
             and without COLLATE or an empty IN ()"
    ))
}

/// A scan's error as a statement's.
pub(crate) fn scan_error(schema: &TableSchema, error: ScanError) -> SqlError {
    match error {
        ScanError::Stopped(stop) => stopped(stop),
        failed @ ScanError::Failed(_) => {
            SqlError::new(ErrorKind::Table, format!("{}: {failed}", schema.name))
        }
        // It names the collector.
        away @ ScanError::Unreachable { .. } => {
            SqlError::new(ErrorKind::Unreachable, format!("{}: {away}", schema.name))
                .help("start it again; what is scanned in this process still answers")
        }
    }
}

/// Why a run stopped, as a statement's error.
pub(crate) fn stopped(stop: model::Stop) -> SqlError {
    use model::Stop;
    let (kind, help) = match stop {
        Stop::Cancelled => return SqlError::new(ErrorKind::Cancelled, stop.to_string()),
        Stop::Deadline(_) => {
            (ErrorKind::Limit(Limit::Deadline), "narrow it with WHERE, or give it more time")
        }
        Stop::Memory(_) => {
            (ErrorKind::Limit(Limit::Memory), "narrow it with WHERE so that fewer rows are kept for a join")
        }
    };
    SqlError::new(kind, stop.to_string()).help(help)
}

fn panicked(schema: &TableSchema, panic: &(dyn std::any::Any + Send)) -> SqlError {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    SqlError::new(ErrorKind::Internal, format!("the table `{}` failed: {text}", schema.name))
        .help("this is a fault of DaemonEye; the session goes on, and other tables still answer")
}
