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
use std::ffi::{CStr, CString, c_int};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex};

use model::{TableSchema, Value};
use rusqlite::ffi;
use rusqlite::vtab::{
    Context, Filters, IndexInfo, Module, VTab, VTabConfig, VTabConnection, VTabCursor, sqlite3_vtab,
    sqlite3_vtab_cursor,
};
use rusqlite::{Connection, Error, Result};

use crate::Route;
use crate::cursor::{Cursor, Source};
use crate::plan::{Arg, choose};
use crate::scope::{Scope, lock, timed};

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

/// A table of a connection.
#[derive(Clone)]
pub(crate) struct Aux {
    pub(crate) shared: Arc<Shared>,
    /// Its place among those of the connection.
    pub(crate) table: usize,
}

impl Aux {
    pub(crate) fn schema(&self) -> &Arc<TableSchema> {
        &self.shared.tables[self.table].0
    }
}

/// A table, as SQLite holds it.
#[repr(C)]
pub(crate) struct TableVtab {
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
        Ok(Cursor::new(self.aux.clone()))
    }
}

fn declaration(schema: &TableSchema) -> String {
    let column = |c: &model::ColumnSchema| {
        let hidden = if c.hidden { " HIDDEN" } else { "" };
        format!("\"{}\" {}{hidden}", c.name.replace('"', "\"\""), c.kind.sql())
    };
    format!("CREATE TABLE x({})", schema.columns.iter().map(column).collect::<Vec<_>>().join(", "))
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
        self.number()
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
}
