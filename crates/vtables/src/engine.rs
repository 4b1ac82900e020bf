//! The engine: one SQLite connection that holds no data, on which each statement is checked, run and measured.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use model::{Run, TableSchema, Value};
use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit as SqliteLimit;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, Statement};

use crate::bridge::{self, Planning, Results, Shared};
use crate::estimate::{self, Estimate};
use crate::failure;
use crate::functions::{self, Clock};
use crate::guard::{self, Checked};
use crate::limits::{self, Limits};
use crate::report::{Report, table_reports};
use crate::scope::{Scope, add, lock};
use crate::tables::Info;
use crate::{Catalog, ErrorKind, Limit, Route, SqlError, Warning};

/// A column of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputColumn {
    /// Its name as the statement gives it; names may repeat.
    pub name: String,
    /// Its declared type, where it is a table's column: `INTEGER`, `TEXT`, `DOUBLE` or `BLOB`.
    pub declared: Option<String>,
}

/// Takes the rows of a statement as they come.
pub trait Sink {
    /// The columns, once, before any row.
    fn columns(&mut self, columns: &[OutputColumn]) -> io::Result<()>;
    /// A row.
    fn row(&mut self, values: &[Value<'_>]) -> io::Result<()>;
}

/// How one statement is run.
#[derive(Clone, Default)]
pub struct Options {
    /// Values of `:name`, `@name` and `$name` parameters, by their names without the sign.
    pub params: Vec<(String, Value<'static>)>,
    /// The statement's clock; the time of its start unless given.
    pub now: Option<SystemTime>,
    /// Its limits; the engine's unless given.
    pub limits: Option<Limits>,
    /// Where its rows come from; the engine's routes unless given.
    pub route: Option<Arc<dyn Route>>,
    /// Read the clock around each call of a table, for a report with times.
    pub timed: bool,
}

/// A statement that passed every check, without being run.
#[derive(Clone, Debug)]
pub struct Validated {
    /// The columns that it gives.
    pub columns: Vec<OutputColumn>,
    /// The tables that it reads.
    pub tables: Vec<String>,
    /// Names of its parameters.
    pub params: Vec<String>,
    /// Where the first query of each level of nesting begins, as bytes of the text: one for a query without subqueries.
    pub levels: Vec<Range<usize>>,
    /// What is allowed and probably not meant.
    pub warnings: Vec<Warning>,
}

/// All rows of a statement.
#[derive(Debug)]
pub struct Answer {
    /// The columns.
    pub columns: Vec<OutputColumn>,
    /// The rows.
    pub rows: Vec<Vec<Value<'static>>>,
    /// What the statement did.
    pub report: Report,
}

/// Stops the statement that an engine is running, from any thread.
#[derive(Clone)]
pub struct Canceller(Arc<Mutex<Option<Run>>>);

impl Canceller {
    /// Asks the running statement to end. Answers whether there was one.
    pub fn cancel(&self) -> bool {
        lock(&self.0).as_ref().map(Run::cancel).is_some()
    }
}

/// One SQLite connection with the tables of its routes. It runs one statement at a time.
pub struct Engine {
    routes: Vec<Arc<dyn Route>>,
    /// What the routes' versions were when their tables were declared.
    versions: Vec<u64>,
    declared: Declared,
    functions: Vec<&'static str>,
    limits: Limits,
    running: Arc<Mutex<Option<Run>>>,
}

/// A connection with the tables that the routes had at one time.
struct Declared {
    connection: Connection,
    shared: Arc<Shared>,
    catalog: Arc<Catalog>,
    clock: Clock,
    checked: HashMap<String, Known>,
}

/// What is known of a statement that was checked before.
#[derive(Clone)]
struct Known {
    checked: Arc<Checked>,
    /// For each table the columns that its scans may read, as SQLite planned them.
    columns: Option<Vec<(usize, u64)>>,
}

impl Engine {
    /// An engine over the tables of the routes; of two routes with the same table the first serves it.
    pub fn new(routes: Vec<Arc<dyn Route>>, limits: Limits) -> Result<Engine, SqlError> {
        let versions = routes.iter().map(|route| route.version()).collect();
        let declared = Declared::new(&routes)?;
        let functions = functions::FUNCTIONS.iter().map(|f| f.name).collect();
        Ok(Engine { routes, versions, declared, functions, limits, running: Arc::default() })
    }

    /// The tables that statements can name.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.declared.catalog
    }

    /// The name of the route that serves a table.
    pub fn route(&self, table: &str) -> Option<&'static str> {
        let serves = |(schema, _): &&(Arc<TableSchema>, _)| schema.name.eq_ignore_ascii_case(table);
        self.declared.shared.tables.iter().find(serves).map(|(_, route)| route.name())
    }

    /// The limits of statements that bring none of their own.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// A handle that stops the running statement.
    pub fn canceller(&self) -> Canceller {
        Canceller(self.running.clone())
    }

    /// Asks each route whether its tables are still the same. Whether something changed.
    ///
    /// A statement needs no such question before it: it notices by itself what became of its tables.
    pub fn refresh(&mut self) -> Result<bool, SqlError> {
        let run = Run::new(Some(limits::REFRESH_TIME_MAX), u64::MAX, SystemTime::now());
        *lock(&self.running) = Some(run.clone());
        self.routes.iter().for_each(|route| route.refresh(&run));
        *lock(&self.running) = None;
        self.follow()
    }

    /// Declares the tables anew, if a route has others than before. Whether it does.
    fn follow(&mut self) -> Result<bool, SqlError> {
        let versions: Vec<u64> = self.routes.iter().map(|route| route.version()).collect();
        if versions == self.versions {
            return Ok(false);
        }
        self.declared = Declared::new(&self.routes)?;
        self.versions = versions;
        Ok(true)
    }

    /// Checks a statement without running it.
    pub fn validate(&mut self, sql: &str) -> Result<Validated, SqlError> {
        let checked = self.check(sql)?.checked;
        let statement = prepare(&self.declared.connection, sql, &checked, &self.declared.catalog)?;
        Ok(Validated {
            columns: output_columns(&statement),
            tables: checked.tables.iter().map(|t| t.name.clone()).collect(),
            params: checked.params.clone(),
            levels: checked.levels.clone(),
            warnings: checked.warnings.clone(),
        })
    }

    /// What a statement is expected to take, without running it.
    pub fn estimate(&mut self, sql: &str) -> Result<Estimate, SqlError> {
        let checked = self.check(sql)?.checked;
        estimate::estimate(&self.declared.connection, sql).map_err(|error| {
            with_place(prepare_error(error, sql, &checked, &self.declared.catalog), sql, &checked)
        })
    }

    /// Steps that the estimate of a statement surely does not exceed, where its tables tell. Quicker by far than
    /// [`Engine::estimate`], and most statements need no better answer.
    pub fn steps_at_most(&mut self, sql: &str) -> Result<Option<f64>, SqlError> {
        let checked = self.check(sql)?.checked;
        Ok(estimate::most(sql, &checked, &self.declared.catalog))
    }

    /// Runs a statement and keeps its rows.
    pub fn query(&mut self, sql: &str, options: &Options) -> Result<Answer, SqlError> {
        let mut rows = Collected::default();
        let report = self.run(sql, options, &mut rows)?;
        Ok(Answer { columns: rows.columns, rows: rows.rows, report })
    }

    /// Runs a statement and hands its rows to a sink as they come.
    pub fn run(&mut self, sql: &str, options: &Options, sink: &mut dyn Sink) -> Result<Report, SqlError> {
        let mut sink = Handed { sink, begun: false };
        let failed = match self.run_once(sql, options, &mut sink) {
            Err(error) if !sink.begun => error,
            done => return done,
        };
        // A collector that was started again may serve other tables, which is noticed when it is asked.
        let changed = match failed.kind {
            ErrorKind::UnknownColumn => self.refresh()?,
            _ => self.follow()?,
        };
        if changed { self.run_once(sql, options, &mut sink) } else { Err(failed) }
    }

    fn run_once(&mut self, sql: &str, options: &Options, sink: &mut Handed<'_>) -> Result<Report, SqlError> {
        let started = Instant::now();
        let mut known = self.check(sql)?;
        // What is asked about the tables themselves should be true now.
        if options.route.is_none() && known.checked.tables.iter().any(|t| crate::tables::is_own(&t.name)) {
            self.refresh()?;
            known = self.check(sql)?;
        }
        let checked = known.checked.clone();
        let limits = options.limits.unwrap_or(self.limits);
        let now = options.now.unwrap_or_else(SystemTime::now);
        let run = Run::new(limits.timeout, limits.memory_bytes_max, now);
        let scope = Arc::new(self.declared.scope(&checked, options, run.clone()));
        self.declared.clock.set(now);
        *lock(&self.declared.shared.scope) = Some(scope.clone());
        *lock(&self.running) = Some(run.clone());

        let done = self.declared.step(sql, options, known, &scope, limits, sink);

        *lock(&self.running) = None;
        *lock(&self.declared.shared.scope) = None;
        let rows = done.map_err(|error| with_place(error, sql, &checked))?;
        Ok(Report {
            rows,
            elapsed: started.elapsed(),
            notes: run.notes(),
            warnings: checked.warnings.clone(),
            memory_bytes: run.held(),
            tables: table_reports(&scope),
        })
    }

    fn check(&mut self, sql: &str) -> Result<Known, SqlError> {
        self.follow()?;
        let checked = self.declared.check(sql, &self.functions);
        match &checked {
            // There may be such a table by now.
            Err(error) if error.kind == ErrorKind::UnknownTable && self.refresh()? => {
                self.declared.check(sql, &self.functions)
            }
            _ => checked,
        }
    }
}

/// A sink, and whether it was given anything.
struct Handed<'s> {
    sink: &'s mut dyn Sink,
    begun: bool,
}

impl Declared {
    fn new(routes: &[Arc<dyn Route>]) -> Result<Declared, SqlError> {
        let fault = |error: rusqlite::Error| {
            SqlError::new(ErrorKind::Internal, format!("SQLite could not be set up: {error}"))
        };
        let tables = assemble(routes);
        let catalog = Arc::new(tables.iter().map(|(schema, _)| schema.clone()).collect());
        let shared = Arc::new(Shared { tables, scope: Mutex::default(), planning: Mutex::default() });
        let clock = Clock::new(SystemTime::now());
        let connection = connect(&shared, &clock).map_err(fault)?;
        Ok(Declared { connection, shared, catalog, clock, checked: HashMap::new() })
    }

    fn check(&mut self, sql: &str, functions: &[&str]) -> Result<Known, SqlError> {
        if !self.checked.contains_key(sql) {
            let checked = guard::check(sql, &self.catalog, functions, &guard::GuardLimits::default())?;
            if self.checked.len() >= limits::STATEMENTS_KEPT {
                self.checked.clear();
            }
            self.checked.insert(sql.to_owned(), Known { checked: Arc::new(checked), columns: None });
        }
        let known = &self.checked[sql];
        *lock(&self.shared.planning) = Planning { numbered: known.checked.numbered, columns: Vec::new() };
        Ok(known.clone())
    }

    fn scope(&self, checked: &Checked, options: &Options, run: Run) -> Scope {
        let table = |(schema, route): &(Arc<TableSchema>, Arc<dyn Route>)| {
            let route = options.route.as_ref().unwrap_or(route).clone();
            let used = checked.tables.iter().find(|t| t.name == schema.name);
            (schema.clone(), route, used.map_or(0, |t| t.references))
        };
        let tables = self.shared.tables.iter().map(table);
        Scope::new(run, tables, checked.tested.clone(), checked.numbered, options.timed)
    }

    fn step(
        &mut self,
        sql: &str,
        options: &Options,
        known: Known,
        scope: &Arc<Scope>,
        limits: Limits,
        sink: &mut Handed<'_>,
    ) -> Result<u64, SqlError> {
        let mut statement = prepare(&self.connection, sql, &known.checked, &self.catalog)?;
        // One that SQLite had prepared before was planned then.
        let planned = std::mem::take(&mut lock(&self.shared.planning).columns);
        let columns = if planned.is_empty() { known.columns } else { Some(planned) };
        if let Some(columns) = columns {
            let kept = self.checked.get_mut(sql).filter(|kept| kept.columns.is_none());
            if let Some(kept) = kept {
                kept.columns = Some(columns.clone());
            }
            let _ = scope.columns.set(columns);
        }
        bind(&mut statement, &options.params)?;
        let columns = output_columns(&statement);
        let output = |error: io::Error| SqlError::new(ErrorKind::Output(error.kind()), error.to_string());
        let mut given = 0;
        let mut rows = Results::new(&self.connection, &mut statement)
            .map_err(|error| SqlError::new(ErrorKind::Internal, error.to_string()))?;
        let mut buffer = Vec::with_capacity(columns.len());
        loop {
            let row = match rows.next() {
                Ok(row) => row,
                Err(error) => return Err(run_error(error, scope)),
            };
            // A getter that was stopped has no way to say so but NULL, so the run is asked once more.
            if row.is_none() {
                scope.run.check().map_err(failure::stopped)?;
            }
            // Only now, so that a statement whose tables changed meanwhile can begin again unseen.
            if !std::mem::replace(&mut sink.begun, true) {
                sink.sink.columns(&columns).map_err(output)?;
            }
            let Some(row) = row else { return Ok(given) };
            if given >= limits.rows_max {
                let message = format!("the query gave more than {} rows", limits.rows_max);
                return Err(SqlError::new(ErrorKind::Limit(Limit::Rows), message)
                    .help("narrow it with WHERE, add a LIMIT, or allow more rows"));
            }
            given += 1;
            add(&scope.steps, 1);
            let mut values: Vec<Value<'_>> = std::mem::take(&mut buffer);
            row.read(&mut values).map_err(|error| run_error(error, scope))?;
            sink.sink.row(&values).map_err(output)?;
            buffer = recycled(values);
        }
    }
}

#[derive(Default)]
struct Collected {
    columns: Vec<OutputColumn>,
    rows: Vec<Vec<Value<'static>>>,
}

impl Sink for Collected {
    fn columns(&mut self, columns: &[OutputColumn]) -> io::Result<()> {
        self.columns = columns.to_vec();
        Ok(())
    }

    fn row(&mut self, values: &[Value<'_>]) -> io::Result<()> {
        self.rows.push(values.iter().map(Value::to_static).collect());
        Ok(())
    }
}

/// The same allocation without values, free for those of another lifetime.
pub(crate) fn recycled<'b>(mut values: Vec<Value<'_>>) -> Vec<Value<'b>> {
    values.clear();
    values.into_iter().map(|_| Value::Null).collect()
}

/// The tables of all routes and of the engine itself, each with the route that serves it, by name.
fn assemble(routes: &[Arc<dyn Route>]) -> Vec<(Arc<TableSchema>, Arc<dyn Route>)> {
    let known: Arc<Mutex<Info>> = Arc::default();
    let own: Arc<dyn Route> = crate::tables::route(known.clone());
    let mut tables: BTreeMap<String, (Arc<TableSchema>, Arc<dyn Route>)> = BTreeMap::new();
    // The engine's own tables are nobody else's, and the first of two routes counts.
    for route in std::iter::once(&own).chain(routes) {
        for schema in route.tables() {
            tables.entry(schema.name.to_ascii_lowercase()).or_insert_with(|| (schema, route.clone()));
        }
    }
    let tables: Vec<_> = tables.into_values().collect();
    lock(&known).tables = tables.iter().map(|(schema, route)| (schema.clone(), route.name())).collect();
    tables
}

fn connect(shared: &Arc<Shared>, clock: &Clock) -> rusqlite::Result<Connection> {
    let mut connection = Connection::open_in_memory()?;
    bridge::register(&connection, shared)?;
    // Sorters and temporary tables spill to files: in memory a sort cannot be interrupted and has no bound.
    connection.execute_batch(
        "PRAGMA temp_store = FILE; PRAGMA cache_size = -2000; PRAGMA query_only = ON; PRAGMA case_sensitive_like = OFF;",
    )?;
    for (config, on) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE, false),
        // Public queries write strings in double quotes.
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, true),
    ] {
        connection.set_db_config(config, on)?;
    }
    for (limit, most) in [
        (SqliteLimit::SQLITE_LIMIT_LENGTH, limits::VALUE_BYTES_MAX),
        (SqliteLimit::SQLITE_LIMIT_SQL_LENGTH, limits::SQL_BYTES_MAX),
        (SqliteLimit::SQLITE_LIMIT_COLUMN, limits::COLUMNS_MAX),
        (SqliteLimit::SQLITE_LIMIT_EXPR_DEPTH, limits::EXPRESSION_DEPTH_MAX),
        (SqliteLimit::SQLITE_LIMIT_COMPOUND_SELECT, limits::COMPOUND_TERMS_MAX),
        (SqliteLimit::SQLITE_LIMIT_FUNCTION_ARG, limits::ARGUMENTS_MAX),
        (SqliteLimit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, limits::PATTERN_BYTES_MAX),
        (SqliteLimit::SQLITE_LIMIT_VARIABLE_NUMBER, limits::PARAMETERS_MAX),
        (SqliteLimit::SQLITE_LIMIT_ATTACHED, 0),
        (SqliteLimit::SQLITE_LIMIT_TRIGGER_DEPTH, 1),
        (SqliteLimit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        connection.set_limit(limit, most)?;
    }
    // After the limits, which the functions take over for what they do on the side.
    functions::register(&connection, clock)?;
    let current = shared.clone();
    let must_stop = move || lock(&current.scope).as_ref().is_some_and(|s| s.run.check().is_err());
    connection.progress_handler(limits::PROGRESS_EVERY, Some(must_stop))?;
    connection.authorizer(Some(authorize))?;
    let kept = NonZeroUsize::new(limits::STATEMENTS_KEPT).map_or(0, NonZeroUsize::get);
    connection.set_prepared_statement_cache_capacity(kept);
    Ok(connection)
}

/// The second layer of the guard: SQLite itself may do nothing but read, select, call and recurse.
fn authorize(context: AuthContext<'_>) -> Authorization {
    let allowed = match context.action {
        AuthAction::Select | AuthAction::Recursive => true,
        AuthAction::Read { table_name, .. } => {
            // The catalogue of an empty database tells nothing, and nothing should depend on it.
            !table_name.to_ascii_lowercase().starts_with("sqlite_")
        }
        AuthAction::Function { function_name } => functions::find(function_name).is_some(),
        AuthAction::Pragma { pragma_name, .. } => {
            matches!(pragma_name.to_ascii_lowercase().as_str(), "table_info" | "table_xinfo")
        }
        // Declares the table-valued pragma; what it reads is asked again above.
        AuthAction::CreateVtable { module_name, .. } => {
            matches!(module_name, "pragma_table_info" | "pragma_table_xinfo")
        }
        _ => false,
    };
    if allowed { Authorization::Allow } else { Authorization::Deny }
}

fn prepare<'c>(
    connection: &'c Connection,
    sql: &str,
    checked: &Checked,
    catalog: &Catalog,
) -> Result<rusqlite::CachedStatement<'c>, SqlError> {
    let statement = connection
        .prepare_cached(sql)
        .map_err(|error| with_place(prepare_error(error, sql, checked, catalog), sql, checked))?;
    if !statement.readonly() {
        let message = "a statement that writes is not allowed";
        return Err(SqlError::new(ErrorKind::Refused, message).help("write a SELECT"));
    }
    Ok(statement)
}

fn output_columns(statement: &Statement<'_>) -> Vec<OutputColumn> {
    let column = |c: &rusqlite::Column<'_>| OutputColumn {
        name: c.name().to_owned(),
        declared: c.decl_type().map(str::to_owned),
    };
    statement.columns().map(|c| column(&c)).collect()
}

fn bind(statement: &mut Statement<'_>, params: &[(String, Value<'static>)]) -> Result<(), SqlError> {
    let mut wanted = Vec::new();
    for place in 1..=statement.parameter_count() {
        let name = statement.parameter_name(place).unwrap_or("?").to_owned();
        let bare = name.trim_start_matches([':', '@', '$', '?']).to_owned();
        let given = params.iter().find(|(n, _)| n.trim_start_matches([':', '@', '$']) == bare);
        let Some((_, value)) = given else {
            return Err(SqlError::new(ErrorKind::Parameter, format!("the parameter {name} has no value"))
                .help(if bare.is_empty() {
                    "use a named parameter, such as :pid, and give it with --param pid=…".to_owned()
                } else {
                    format!("give it with --param {bare}=…")
                }));
        };
        let output = match value {
            Value::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Value::Int(n) => ToSqlOutput::Borrowed(ValueRef::Integer(*n)),
            Value::Real(x) => ToSqlOutput::Borrowed(ValueRef::Real(*x)),
            Value::Text(bytes) => ToSqlOutput::Borrowed(ValueRef::Text(bytes)),
            Value::Blob(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        };
        let bound = statement.raw_bind_parameter(place, output);
        bound.map_err(|error| SqlError::new(ErrorKind::Parameter, format!("{name}: {error}")))?;
        wanted.push(bare);
    }
    match params.iter().find(|(n, _)| !wanted.iter().any(|w| w == n.trim_start_matches([':', '@', '$']))) {
        None => Ok(()),
        Some((name, _)) => {
            Err(SqlError::new(ErrorKind::Parameter, format!("the statement has no parameter :{name}"))
                .help("remove it, or use it in the SQL"))
        }
    }
}

fn prepare_error(error: rusqlite::Error, sql: &str, checked: &Checked, catalog: &Catalog) -> SqlError {
    let (message, offset, code) = match error {
        rusqlite::Error::SqlInputError { msg, offset, error, .. } => {
            (msg, usize::try_from(offset).ok(), error.code)
        }
        rusqlite::Error::SqliteFailure(failure, message) => {
            (message.unwrap_or_else(|| failure.to_string()), None, failure.code)
        }
        other => return SqlError::new(ErrorKind::Internal, other.to_string()),
    };
    // The cache of prepared statements hands the text to SQLite without the blanks in front of it.
    let blanks = sql.len() - sql.trim_start().len();
    let place = offset.map(|offset| guard::place_of_word(sql, blanks + offset));
    let after = |prefix: &str| message.strip_prefix(prefix).map(|rest| rest.trim_start_matches(": "));
    let mut found = if let Some(column) = after("no such column") {
        let name = column.rsplit('.').next().unwrap_or(column);
        let tables: Vec<&str> = checked.tables.iter().map(|t| t.name.as_str()).collect();
        let error = SqlError::new(ErrorKind::UnknownColumn, format!("there is no column `{column}`"));
        match catalog.nearest_column(tables.iter().copied(), name) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None if tables.is_empty() => error,
            None => error.help(format!("`.schema {}` shows the columns", tables.join(" "))),
        }
    } else if let Some(column) = after("ambiguous column name") {
        SqlError::new(ErrorKind::UnknownColumn, format!("more than one table has a column `{column}`"))
            .help(format!("say which, as in `t.{column}`"))
    } else if let Some(table) = after("no such table") {
        SqlError::new(ErrorKind::UnknownTable, format!("there is no table `{table}`"))
    } else if let Some(function) = after("no such function") {
        SqlError::new(ErrorKind::UnknownFunction, format!("there is no function `{function}`"))
    } else if message.starts_with("not authorized") || message.contains("prohibited") {
        SqlError::new(ErrorKind::Refused, message.clone())
            .help("a query may read tables and call the listed functions")
    } else if code == ErrorCode::TooBig || message.starts_with("too many") || message.contains("too large") {
        SqlError::new(ErrorKind::Limit(Limit::Complexity), message.clone()).help("write a smaller statement")
    } else if message.starts_with("wrong number of arguments") {
        let name = message.rsplit(' ').next().unwrap_or_default().trim_end_matches("()");
        let error = SqlError::new(ErrorKind::UnknownFunction, message.clone());
        match functions::find(name) {
            Some(f) => error.help(format!("it is {}({})", f.name, f.arguments)),
            None => error,
        }
    } else {
        SqlError::new(ErrorKind::Syntax, message.clone())
    };
    found.place = place;
    found
}

fn run_error(error: rusqlite::Error, scope: &Scope) -> SqlError {
    if let Some(failure) = lock(&scope.failure).take() {
        return failure;
    }
    if let Err(stop) = scope.run.check() {
        return failure::stopped(stop);
    }
    let (code, message) = match &error {
        rusqlite::Error::SqliteFailure(failure, message) => {
            (failure.code, message.clone().unwrap_or_else(|| failure.to_string()))
        }
        other => (ErrorCode::Unknown, other.to_string()),
    };
    match code {
        ErrorCode::TooBig => {
            let most = limits::VALUE_BYTES_MAX;
            SqlError::new(ErrorKind::Limit(Limit::Length), format!("a value grew past {most} bytes"))
                .help("take a part of it with substr(), or aggregate less")
        }
        ErrorCode::OutOfMemory => SqlError::new(ErrorKind::Limit(Limit::Memory), "SQLite ran out of memory"),
        ErrorCode::DiskFull => {
            SqlError::new(ErrorKind::Limit(Limit::Memory), "the disk is full, where sorts keep their files")
                .help("free some space, point TMPDIR elsewhere, or sort fewer rows")
        }
        _ => SqlError::new(ErrorKind::Value, message),
    }
}

/// A place for errors that SQLite gives none: the first mention of the table or column that they name.
fn with_place(mut error: SqlError, sql: &str, checked: &Checked) -> SqlError {
    if error.place.is_none()
        && matches!(error.kind, ErrorKind::RequiredColumn | ErrorKind::Table | ErrorKind::Unreachable)
    {
        let named = checked
            .tables
            .iter()
            .find(|t| error.message.contains(&format!("`{}`", t.name)) || error.message.starts_with(&t.name));
        error.place = named.and_then(|t| guard::first_mention(sql, &t.name));
    }
    error
}

/// Time as people read it: `1.2 ms`.
pub fn human_duration(elapsed: Duration) -> String {
    match elapsed.as_secs_f64() {
        s if s < 1e-3 => format!("{:.0} µs", s * 1e6),
        s if s < 1.0 => format!("{:.1} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}
