use std::io::{self, BufRead, BufReader};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use collector::{
    AnyTable, Case, Host, Row, Table, blob, conformance, int, key, real, repeated, text, unique,
};
use ipc::{Bind, Server, SocketListener};
use model::{Extent, Kind, Op, Value};
use serde_json::json;
use vtables::{Engine, ErrorKind, Here, Limit, Limits, Options, OutputColumn, Report, Sink, SqlError};

use crate::catalog::given;
use crate::harness::cli;
use crate::machine::{Machine, assert_same, line};
use crate::outside::Running;
use crate::photograph;
use crate::served::{Place, Tables, collectors, route, serve};

struct Number(i64);
impl Row for Number {}

const NUMBERS: i64 = 5000;

static NUMBER: Table<Number, i64> = Table {
    name: "number",
    about: "Numbers below the source.",
    identity: unique(&["n"]),
    extent: Extent::Whole { rows: 5000 },
    columns: &[
        key(int("n", "The number.", |r: &Number| r.0.into())),
        text("name", "Its name.", |r| format!("number {}", r.0).into()),
        real("half", "Half of it.", |r| (r.0 as f64 / 2.0).into()),
        int("tens", "How many tens it has.", |r| (r.0 / 10).into()),
    ],
    scan: |below, query| {
        query.run.note("number", "name", "it is a secret");
        Ok(Box::new((0..*below).map(|n| Ok(Number(n)))))
    },
    examples: &["SELECT n FROM number WHERE n < 3"],
};

/// Another table of the same name, as a newer collector has it.
static NEWER: Table<Number, i64> = Table {
    name: "number",
    about: "Numbers below the source.",
    identity: unique(&["n"]),
    extent: Extent::Whole { rows: 5000 },
    columns: &[
        text("word", "New, and in front.", |_: &Number| "new".into()),
        key(int("n", "The number.", |r| r.0.into())),
    ],
    scan: |below, _| Ok(Box::new((0..*below).map(|n| Ok(Number(n))))),
    examples: &[],
};

static EXTRA: Table<Number, i64> = Table { name: "extra", ..NUMBER_LIKE };
const NUMBER_LIKE: Table<Number, i64> = Table {
    name: "",
    about: "A table that nobody else has.",
    identity: unique(&["n"]),
    extent: Extent::Whole { rows: 10 },
    columns: &[key(int("n", "The number.", |r: &Number| r.0.into()))],
    scan: |_, _| Ok(Box::new((0..10).map(|n| Ok(Number(n))))),
    examples: &[],
};

static BROKEN: Table<Number, i64> = Table {
    name: "broken",
    scan: |_, query| match query.ints("n") {
        Some(_) => panic!("a table that panics"),
        None => Ok(Box::new((0..3).map(|n| Ok(Number(n))))),
    },
    ..NUMBER_LIKE
};

/// A row every ms, until it is stopped.
static ENDLESS: Table<Number, i64> = Table {
    name: "endless",
    scan: |_, query| {
        let run = query.run.clone();
        Ok(Box::new((0..).map(move |n| {
            thread::sleep(Duration::from_millis(1));
            run.check()?;
            Ok(Number(n))
        })))
    },
    ..NUMBER_LIKE
};

/// Rows that agree in their identity and differ elsewhere.
static TWINS: Table<Number, i64> = Table {
    name: "twins",
    about: "Two rows of each name.",
    identity: repeated(&["name"]),
    extent: Extent::PerKey { keys: 10, rows: 2 },
    columns: &[
        key(text("name", "Half of the number.", |r: &Number| (r.0 / 2).to_string().into())),
        int("odd", "Which of the two.", |r| (r.0 % 2).into()),
    ],
    scan: |_, _| Ok(Box::new((0..20).map(|n| Ok(Number(n))))),
    examples: &[],
};

fn tables(name: &'static str, tables: &[&'static dyn AnyTable<i64>]) -> Tables<i64> {
    Tables { name, tables: tables.to_vec(), source: NUMBERS }
}

static ALL: [&dyn AnyTable<i64>; 5] = [&NUMBER, &EXTRA, &BROKEN, &ENDLESS, &TWINS];

/// A collector, its place, and an engine that asks it.
fn engine() -> (Engine, Server, Place) {
    let place = Place::new();
    let server = place.serve(tables("lab", &ALL));
    (Engine::new(vec![route(&collectors(&[&place]))], Limits::default()).unwrap(), server, place)
}

fn rows(engine: &mut Engine, sql: &str) -> Result<(Vec<String>, Report), SqlError> {
    let answer = engine.query(sql, &Options::default())?;
    Ok((answer.rows.iter().map(|row| line(row)).collect(), answer.report))
}

fn kind(engine: &mut Engine, sql: &str) -> ErrorKind {
    rows(engine, sql).expect_err(sql).kind
}

/// Asserts that it took less time than a person notices, or than the promise says.
#[track_caller]
fn within<T>(most: Duration, run: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let value = run();
    assert!(began.elapsed() < most, "{:?}", began.elapsed());
    value
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(20), "waited in vain until {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn every_table_example_and_rule_gives_the_same_rows_as_in_this_process() {
    let sleeper = Running::sleeper();
    let pids = [i64::from(std::process::id()), sleeper.pid(), 1];
    let photograph = photograph::machine(&pids);
    let host = photograph::host(&photograph);
    let (mut here, mut served) = (Machine::of(host.clone()), Machine::served(host));
    let mut queries = Vec::new();
    // These tell the time, or of the engine itself.
    let moves = |name: &str| name.starts_with("daemoneye_") || ["time", "uptime"].contains(&name);
    for schema in here.schemas().into_iter().filter(|schema| !moves(&schema.name)) {
        let names: Vec<_> = schema.columns.iter().map(|c| format!("\"{}\"", c.name)).collect();
        queries.push(format!("SELECT {} FROM {} {}", names.join(", "), schema.name, given(&schema.name)));
        queries.extend(schema.examples.iter().map(ToString::to_string));
    }
    queries.extend([
        "SELECT p.pid, c.pid FROM processes p JOIN processes c ON c.parent = p.pid".to_owned(),
        "SELECT p.name, f.fd, f.path FROM processes p JOIN process_open_files f USING (pid) WHERE f.path LIKE '/%'".to_owned(),
        "SELECT p.pid FROM processes p LEFT JOIN users u ON u.uid = p.uid AND u.username GLOB 'r*'".to_owned(),
        "SELECT a.pid, b.pid FROM processes a FULL JOIN processes b ON b.parent = a.pid AND a.pid > 1".to_owned(),
    ]);
    for sql in queries {
        assert_same(&served.lines(&sql), &here.lines(&sql), &sql);
    }
    // Rules name the columns that they need, so preparing them on the served tables is half of the proof.
    let shipped = detection::Pack::shipped(served.engine(), &detection::RuleLimits::default());
    assert!(shipped.faults.is_empty() && !shipped.rules.is_empty(), "{:?}", shipped.faults);
    for rule in &shipped.rules {
        assert_same(&served.lines(&rule.sql), &here.lines(&rule.sql), &rule.sql);
    }
}

struct One(Case);
impl Row for One {}

fn kind_of(value: &Value<'_>) -> Kind {
    match value {
        Value::Int(_) => Kind::Int,
        Value::Real(_) => Kind::Real,
        Value::Null | Value::Text(_) => Kind::Text,
        Value::Blob(_) => Kind::Blob,
    }
}

fn borrowed(value: &Value<'static>, kind: Kind) -> Value<'static> {
    if kind_of(value) == kind { value.clone() } else { Value::Null }
}

static CASES: Table<One, usize> = Table {
    name: "cases",
    about: "One case of the conformance vector.",
    identity: unique(&["i"]),
    extent: Extent::Whole { rows: 1 },
    columns: &[
        int("i", "", |c: &One| borrowed(&c.0.value, Kind::Int)),
        real("r", "", |c| borrowed(&c.0.value, Kind::Real)),
        text("t", "", |c| borrowed(&c.0.value, Kind::Text)),
        blob("b", "", |c| borrowed(&c.0.value, Kind::Blob)),
    ],
    scan: |_, query| {
        // The clock of the statement says which case it is.
        let place = usize::try_from(query.run.now_unix()).unwrap();
        Ok(Box::new(conformance().into_iter().nth(place).into_iter().map(|case| Ok(One(case)))))
    },
    examples: &[],
};

#[test]
fn every_case_of_the_conformance_vector_holds_through_sql_and_is_decided_there() {
    let place = Place::new();
    let _server = place.serve(Tables { name: "lab", tables: vec![&CASES], source: 0 });
    let mut engine = Engine::new(vec![route(&collectors(&[&place]))], Limits::default()).unwrap();
    for (n, case) in conformance().into_iter().enumerate() {
        // NULL is in every column, also in that of the operand's type.
        let typed = if case.value.is_null() { &case.operands[0] } else { &case.value };
        let column = match kind_of(typed) {
            Kind::Int => "i",
            Kind::Real => "r",
            Kind::Text => "t",
            Kind::Blob => "b",
        };
        let names: Vec<_> = (0..case.operands.len()).map(|n| format!(":v{n}")).collect();
        let operation = match case.op {
            Op::Eq => format!("IN ({})", names.join(", ")),
            Op::Like => "LIKE :v0".into(),
            Op::Glob => "GLOB :v0".into(),
            Op::Regexp => "REGEXP :v0".into(),
            Op::Lt => "< :v0".into(),
            Op::Le => "<= :v0".into(),
            Op::Gt => "> :v0".into(),
            Op::Ge => ">= :v0".into(),
        };
        let params = case.operands.iter().enumerate().map(|(n, value)| (format!("v{n}"), value.clone()));
        let now = std::time::UNIX_EPOCH + Duration::from_secs(n as u64);
        let options = Options { params: params.collect(), now: Some(now), ..Options::default() };
        let answer =
            engine.query(&format!("SELECT 1 FROM cases WHERE {column} {operation}"), &options).unwrap();
        assert_eq!(answer.rows.len(), usize::from(case.kept), "{case:?}");
        // What SQLite would refuse did not even travel.
        let sent: u64 = answer.report.tables.iter().map(|t| t.rows_collected).sum();
        assert_eq!(sent, u64::from(case.kept), "{case:?}");
    }
}

#[test]
fn only_the_rows_and_columns_that_are_asked_for_travel() {
    let (mut engine, server, _place) = engine();
    let mut sent = 0;
    for (filter, pushed, columns, rows_sent) in [
        ("n = 7", vec!["n ="], vec!["n"], 1),
        ("n IN (1, 2, 3)", vec!["n IN (…)"], vec!["n"], 3),
        ("name LIKE 'NUMBER 499_'", vec!["name LIKE"], vec!["n", "name"], 10),
        // SQLite adds the range that the start of a pattern allows.
        ("name GLOB 'number 1??'", vec!["name >=", "name <", "name GLOB"], vec!["n", "name"], 100),
        ("name REGEXP '^number 12$'", vec!["name REGEXP"], vec!["n", "name"], 1),
        ("name = 'number 3'", vec!["name ="], vec!["n", "name"], 1),
        ("half > 2498", vec!["half >"], vec!["n", "half"], 3),
        ("tens >= 499.5", vec!["tens >="], vec!["n", "tens"], 0),
        (
            "tens BETWEEN 3 AND 4 AND half < 20",
            vec!["half <", "tens >=", "tens <="],
            vec!["n", "half", "tens"],
            10,
        ),
        // What SQLite would convert, or compares by other rules, is tested here.
        ("tens = '3'", vec!["tens ="], vec!["n", "tens"], NUMBERS as u64),
        ("name = 'NUMBER 3' COLLATE NOCASE", vec![], vec!["n", "name"], NUMBERS as u64),
        ("name LIKE 'number!_3' ESCAPE '!'", vec![], vec!["n", "name"], NUMBERS as u64),
    ] {
        let (_, report) = rows(&mut engine, &format!("SELECT n FROM number WHERE {filter}")).unwrap();
        let table = &report.tables[0];
        assert_eq!(table.route, "collector");
        assert_eq!(table.pushed, pushed, "{filter}");
        assert_eq!(table.columns_sent.as_deref().unwrap(), columns, "{filter}");
        assert_eq!(table.rows_collected, rows_sent, "{filter}");
        sent += rows_sent;
        wait_until("the scan is over", || server.counts().scans_now == 0);
        assert_eq!(server.counts().rows_sent, sent, "{filter}");
        assert_eq!(report.notes[0].reason, "it is a secret");
    }
}

#[test]
fn a_limit_is_what_the_collector_sends_first() {
    let (mut engine, server, _place) = engine();
    let before = |server: &Server| {
        wait_until("the scan is over", || server.counts().scans_now == 0);
        server.counts().rows_sent
    };
    for (sql, given, sent_most) in [
        ("SELECT n FROM number LIMIT 3", 3, 3),
        ("SELECT n FROM number WHERE tens > 100 LIMIT 3 OFFSET 4", 3, 7),
        ("SELECT n FROM number WHERE name LIKE '%7' LIMIT 2", 2, 2),
        // A row may still be refused here, or all are needed: then the limit is no measure.
        ("SELECT n FROM number WHERE n % 2 = 1 LIMIT 3", 3, NUMBERS as u64),
        ("SELECT n FROM number ORDER BY tens DESC LIMIT 3", 3, NUMBERS as u64),
        ("SELECT n FROM number LIMIT -1", NUMBERS as usize, NUMBERS as u64),
    ] {
        let earlier = before(&server);
        assert_eq!(rows(&mut engine, sql).unwrap().0.len(), given, "{sql}");
        let sent = before(&server) - earlier;
        assert!(sent <= sent_most, "{sql}: {sent}");
    }
}

#[test]
fn a_join_reads_the_inner_table_once_and_only_what_it_needs() {
    let (mut engine, server, _place) = engine();
    let sql = "SELECT count(*) FROM number a JOIN number b ON b.n = a.tens JOIN number c ON c.tens = b.n";
    let (counted, report) = rows(&mut engine, sql).unwrap();
    assert_eq!(counted, ["5000"].map(|_| (NUMBERS * 10).to_string()));
    assert_eq!(report.tables.iter().map(|t| t.collections).sum::<u64>(), 1, "{report:?}");
    let columns =
        |report: &Report| report.tables.iter().filter_map(|t| t.columns_sent.clone()).max_by_key(Vec::len);
    assert_eq!(columns(&report).unwrap(), ["n", "tens"]);
    let before = server.counts().rows_sent;
    let sql = "SELECT count(*) FROM extra e CROSS JOIN number b ON b.tens = e.n WHERE b.name LIKE '%7'";
    let (counted, _) = rows(&mut engine, sql).unwrap();
    assert_eq!(counted, ["10"]);
    wait_until("the scans are over", || server.counts().scans_now == 0);
    // Ten of the one, and of the other those that the constant lets pass.
    assert_eq!(server.counts().rows_sent - before, 10 + 500);
}

#[test]
fn rows_with_one_identity_are_told_apart_however_they_are_filtered() {
    let (mut engine, _server, _place) = engine();
    for (filter, found) in [
        ("odd = 0 OR odd = 1", "20"),
        ("odd = 0 OR name = '3'", "11"),
        ("odd > 0 OR name LIKE '3'", "11"),
        ("(odd = 1 AND name < '5') OR (odd = 0 AND name > '2')", "12"),
    ] {
        assert_eq!(
            rows(&mut engine, &format!("SELECT count(*) FROM twins WHERE {filter}")).unwrap().0,
            [found],
            "{filter}"
        );
    }
    let sql = "SELECT count(DISTINCT rowid) FROM twins";
    assert_eq!(rows(&mut engine, sql).unwrap().0, ["20"]);
    let sql = "SELECT count(*) FROM extra e RIGHT JOIN twins t ON e.n = t.odd AND t.name = '3'";
    assert_eq!(rows(&mut engine, sql).unwrap().0, ["20"]);
}

#[test]
fn a_table_that_panics_there_ends_one_statement_here() {
    let (mut engine, _server, _place) = engine();
    let error = rows(&mut engine, "SELECT * FROM broken WHERE n = 1").unwrap_err();
    assert_eq!(error.kind, ErrorKind::Table);
    assert!(error.message.starts_with("broken: "), "{error}");
    assert_eq!(rows(&mut engine, "SELECT count(*) FROM broken").unwrap().0, ["3"]);
}

#[test]
fn of_two_collectors_of_one_table_one_may_die() {
    let (first, second) = (Place::new(), Place::new());
    let mut one = first.serve(tables("one", &[&NUMBER]));
    let mut other = second.serve(tables("other", &[&NUMBER, &EXTRA]));
    let here: Arc<dyn vtables::Route> = Arc::new(Here::new([&TWINS as &dyn AnyTable<i64>], 0));
    let mut engine =
        Engine::new(vec![route(&collectors(&[&first, &second])), here], Limits::default()).unwrap();
    let sql = "SELECT count(*) FROM number";
    for _ in 0..4 {
        assert_eq!(rows(&mut engine, sql).unwrap().0, ["5000"]);
    }
    one.stop(Duration::from_secs(5));
    for _ in 0..4 {
        assert_eq!(rows(&mut engine, sql).unwrap().0, ["5000"]);
    }
    other.stop(Duration::from_secs(5));
    for (sql, table) in [(sql, "number: "), ("SELECT * FROM extra", "extra: the collector other ")] {
        let error = within(Duration::from_secs(1), || rows(&mut engine, sql)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unreachable);
        assert!(error.message.starts_with(table) && error.place.is_some(), "{error}");
    }
    assert_eq!(rows(&mut engine, "SELECT count(*) FROM twins").unwrap().0, ["20"]);
}

/// Stops a collector at the first row, and knows when that was done.
struct Stopping<'s>(&'s mut Server, Option<Instant>);

impl Sink for Stopping<'_> {
    fn columns(&mut self, _: &[OutputColumn]) -> io::Result<()> {
        Ok(())
    }

    fn row(&mut self, _: &[Value<'_>]) -> io::Result<()> {
        if self.1.is_none() {
            self.0.stop(Duration::from_secs(5));
            self.1 = Some(Instant::now());
        }
        Ok(())
    }
}

#[test]
fn a_collector_that_is_lost_among_the_rows_is_an_error() {
    let (mut engine, mut server, _place) = engine();
    let sql = "SELECT n FROM endless";
    let mut stopping = Stopping(&mut server, None);
    let error = engine.run(sql, &Options::default(), &mut stopping).unwrap_err();
    let took = stopping.1.unwrap().elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(error.message.contains("endless") && error.message.contains("lab"), "{error}");
}

#[test]
fn silence_trips_the_deadline_and_the_cancellation_then_the_breaker() {
    let (mut engine, _server, place) = engine();
    let sql = "SELECT count(*) FROM number";
    place.freeze(true);
    let limits = Limits { timeout: Some(Duration::from_millis(300)), ..Limits::default() };
    let options = Options { limits: Some(limits), ..Options::default() };
    let late = within(Duration::from_millis(500), || engine.query(sql, &options));
    assert_eq!(late.unwrap_err().kind, ErrorKind::Limit(Limit::Deadline));

    let canceller = engine.canceller();
    let cancelled = thread::spawn(move || {
        while !canceller.cancel() {
            thread::yield_now();
        }
        Instant::now()
    });
    // Too large for what fits into a socket, so that it is stopped while it is being sent.
    let list: Vec<_> = (0..20_000).map(|n| format!("'a longer name of the number {n}'")).collect();
    let large = format!("SELECT count(*) FROM number WHERE name IN ({})", list.join(", "));
    assert_eq!(kind(&mut engine, &large), ErrorKind::Cancelled);
    let since = cancelled.join().unwrap().elapsed();
    assert!(since < Duration::from_millis(200), "{since:?}");

    for _ in 0..3 {
        let silent = within(Duration::from_secs(2), || kind(&mut engine, sql));
        assert_eq!(silent, ErrorKind::Unreachable);
    }
    let error = within(Duration::from_millis(200), || rows(&mut engine, sql)).unwrap_err();
    assert!(error.message.contains("tried again in"), "{error}");

    place.freeze(false);
    let began = Instant::now();
    while rows(&mut engine, sql).is_err() {
        assert!(began.elapsed() < Duration::from_secs(20));
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_collector_that_comes_back_with_other_tables_is_followed() {
    let place = Place::new();
    let mut server = place.serve(tables("lab", &[&NUMBER]));
    let here: Arc<dyn vtables::Route> = Arc::new(Here::new([&NUMBER as &dyn AnyTable<i64>], 5));
    let mut engine = Engine::new(vec![route(&collectors(&[&place])), here], Limits::default()).unwrap();
    let all = "SELECT * FROM number WHERE n = 3";
    assert_eq!(rows(&mut engine, all).unwrap().0, ["3|number 3|1.5|0"]);
    assert_eq!(kind(&mut engine, "SELECT n FROM extra"), ErrorKind::UnknownTable);

    let mut restart = |tables: Tables<i64>| {
        server.stop(Duration::from_secs(5));
        server = place.serve(tables);
    };
    restart(tables("lab", &[&NUMBER]));
    assert_eq!(rows(&mut engine, all).unwrap().0, ["3|number 3|1.5|0"]);
    // Other columns of a table that is known, before anything else was asked.
    restart(tables("lab", &[&NEWER]));
    assert_eq!(rows(&mut engine, all).unwrap().0, ["new|3"]);
    // A new column by its name, and a new table.
    restart(tables("lab", &[&NUMBER]));
    assert_eq!(rows(&mut engine, "SELECT half FROM number WHERE n = 3").unwrap().0, ["1.5"]);
    restart(tables("lab", &[&NUMBER, &EXTRA]));
    assert_eq!(rows(&mut engine, "SELECT count(*) FROM extra").unwrap().0, ["10"]);
    let routes = "SELECT name, route FROM daemoneye_tables WHERE name IN ('extra', 'number') ORDER BY 1";
    assert_eq!(rows(&mut engine, routes).unwrap().0, ["extra|collector", "number|collector"]);
    // A table that it serves no longer is scanned here, if it can be.
    restart(tables("lab", &[&EXTRA]));
    assert_eq!(rows(&mut engine, routes).unwrap().0, ["extra|collector", "number|here"]);
    assert_eq!(rows(&mut engine, "SELECT count(*) FROM number").unwrap().0, ["5"]);
}

/// A collector at a socket of its own.
struct AtSocket {
    server: Server,
    path: String,
    _directory: tempfile::TempDir,
}

impl AtSocket {
    fn start<S: Send + Sync + 'static>(tables: Tables<S>) -> AtSocket {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lab.sock");
        let listener = SocketListener::bind(&Bind { path: path.clone(), mode: 0o600, group: None }).unwrap();
        let server = serve(Arc::new(listener), tables);
        AtSocket { server, path: path.to_str().unwrap().to_owned(), _directory: directory }
    }
}

#[test]
fn the_cli_asks_the_collector_that_it_is_connected_to() {
    let lab = AtSocket::start(tables("lab", &ALL));
    let connect = ["--connect", lab.path.as_str()];
    let text = |arguments: &[&str]| cli(connect.iter().chain(arguments)).output().text();
    let csv = text(&["query", "--format", "csv", "SELECT n FROM number WHERE tens = 3 AND n % 2"]);
    assert_eq!(csv, "n\n31\n33\n35\n37\n39\n");
    assert_eq!(
        text(&["query", "--format", "csv", "SELECT count(*) AS n FROM users WHERE uid = 0"]),
        "n\n1\n"
    );
    let listed = text(&["tables"]);
    let line = |table: &str| listed.lines().find(|l| l.starts_with(table)).unwrap().to_owned();
    assert!(line("number").contains("  collector  ") && line("users").contains("  here  "), "{listed}");
    assert!(text(&["schema", "extra"]).contains("CREATE TABLE extra"));
    assert!(text(&["validate", "SELECT half FROM number"]).contains("half DOUBLE"));
    let sql = "SELECT name FROM number WHERE n = 42";
    let report: serde_json::Value =
        serde_json::from_str(&text(&["explain", "--format", "json", sql])).unwrap();
    let table = &report["tables"][0];
    assert_eq!((&table["route"], &table["pushed"]), (&json!("collector"), &json!(["n ="])));
    assert_eq!((&table["rows_collected"], &table["columns_sent"]), (&json!(1), &json!(["n", "name"])));
    let human = text(&["explain", sql]);
    assert!(
        human.contains("1 row sent by the collector") && human.contains("sent         n, name"),
        "{human}"
    );

    let here = cli(["--here", "query", "SELECT n FROM number"]).output();
    assert_eq!(here.code(), 2, "{here:?}");
    assert_eq!(cli(["--here", "--connect", "x", "query", "SELECT 1"]).output().code(), 2);
}

#[test]
fn the_cli_ends_with_3_when_nobody_is_there_or_the_collector_is_lost() {
    let nobody = cli(["query", "--connect", "/nowhere/at.sock", "SELECT 1"]).output();
    assert_eq!(nobody.code(), 3, "{nobody:?}");
    assert!(nobody.stderr.contains("/nowhere/at.sock cannot be reached"), "{nobody:?}");

    let mut lab = AtSocket::start(tables("lab", &ALL));
    let endless = ["query", "--format", "ndjson", "SELECT n FROM endless"];
    let mut child = cli(["--connect", lab.path.as_str()].iter().chain(&endless)).start();
    let mut rows = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(rows.next().unwrap().unwrap(), "{\"n\":0}");
    let lost = Instant::now();
    lab.server.stop(Duration::from_secs(5));
    assert!(rows.all(|row| row.is_ok()));
    let output = child.wait_with_output().unwrap();
    assert!(lost.elapsed() < Duration::from_secs(1), "{:?}", lost.elapsed());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("endless: the collector lab cannot be reached"), "{said}");
}

#[test]
fn a_shell_goes_on_when_its_collector_was_started_again() {
    use std::io::Write;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lab.sock");
    let start = |tables| {
        let listener = SocketListener::bind(&Bind { path: path.clone(), mode: 0o600, group: None }).unwrap();
        serve(Arc::new(listener), tables)
    };
    let mut server = start(tables("lab", &[&NUMBER]));
    let mut child = cli(["--connect", path.to_str().unwrap()]).start();
    let mut stdin = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut ask = |sql: &str| {
        writeln!(stdin, "{sql};").unwrap();
        answers.next().unwrap().unwrap()
    };
    assert_eq!(ask(".mode ndjson\nSELECT count(*) AS n FROM number"), "{\"n\":5000}");
    server.stop(Duration::from_secs(5));
    drop(server);
    let _server = start(tables("lab", &[&NUMBER, &EXTRA]));
    assert_eq!(ask("SELECT count(*) AS n FROM number"), "{\"n\":5000}");
    assert_eq!(ask("SELECT count(*) AS n FROM extra"), "{\"n\":10}");
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn clients_look_where_procmond_listens() {
    assert!(ipc::default_socket().is_none_or(|own| ipc::default_sockets().contains(&own)));
}

#[test]
fn a_live_machine_is_the_same_through_a_collector() {
    let mut here = Machine::live();
    let mut there = Machine::served(Host::live());
    let sleeper = Running::sleeper();
    let pid = sleeper.pid();
    for sql in [
        format!("SELECT pid, name, path, cmdline, uid, start_key FROM processes WHERE pid = {pid}"),
        format!(
            "SELECT p.name, h.sha256 FROM processes p JOIN hash h ON h.path = p.path WHERE p.pid = {pid}"
        ),
        format!("SELECT * FROM process_envs WHERE pid = {pid} AND key GLOB 'P*'"),
        "SELECT path, size FROM file WHERE path LIKE '/etc/%' AND size > 1000.5 OR path = '/etc/passwd'"
            .to_owned(),
        "SELECT username, gid FROM users WHERE username LIKE 'r%' OR uid < 3".to_owned(),
    ] {
        assert_same(&there.lines(&sql), &here.lines(&sql), &sql);
    }
    let report = there.answer("SELECT name FROM processes WHERE name LIKE 'sleep%'").report;
    assert_eq!(report.tables[0].columns_sent.as_deref().unwrap(), ["name"]);
    assert_eq!(report.tables[0].rows_collected, report.rows);
}
