//! What the bridge costs: per row and column next to an in-memory SQLite table, an index next to a scan, and
//! ancestor joins next to one scan.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a bench fails loudly and prints what it measured"
)]

mod support;

use std::hint::black_box;
use std::sync::Arc;

use collector::{AnyTable, Row, Table, int, key, text, unique};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use model::{Extent, Value};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use vtables::{Engine, Here, Limits, Options, Route, Sink, testing};

const ROWS: usize = 10_000;

/// A row that is ready: 12 columns, 4 of them text, as in what a hunter first asks of processes.
struct Prepared {
    numbers: [i64; 8],
    texts: [String; 4],
}

impl Prepared {
    fn new(n: usize) -> Prepared {
        let n = n as i64;
        Prepared {
            numbers: [n, n / 2, n % 7, n * 31, n, -n, n + 1, 0],
            texts: [0, 1, 2, 3].map(|c| format!("text {c} of row {n}")),
        }
    }
}

/// The rows are built beforehand, so that only the way from a row to SQLite is measured.
struct Ready(&'static Prepared);
impl Row for Ready {}

static PREPARED: Table<Ready, &'static [Prepared]> = Table {
    name: "prepared",
    about: "Rows that are ready.",
    identity: unique(&["n0"]),
    extent: Extent::Whole { rows: ROWS as u32 },
    columns: &[
        key(int("n0", "", |r| r.0.numbers[0].into())),
        int("n1", "", |r| r.0.numbers[1].into()),
        int("n2", "", |r| r.0.numbers[2].into()),
        int("n3", "", |r| r.0.numbers[3].into()),
        int("n4", "", |r| r.0.numbers[4].into()),
        int("n5", "", |r| r.0.numbers[5].into()),
        int("n6", "", |r| r.0.numbers[6].into()),
        int("n7", "", |r| r.0.numbers[7].into()),
        text("t0", "", |r| (&r.0.texts[0]).into()),
        text("t1", "", |r| (&r.0.texts[1]).into()),
        text("t2", "", |r| (&r.0.texts[2]).into()),
        text("t3", "", |r| (&r.0.texts[3]).into()),
    ],
    scan: |rows, query| {
        let rows: &'static [Prepared] = rows;
        match query.ints("n0") {
            Some(keys) => Ok(Box::new(
                keys.into_iter()
                    .filter_map(move |k| rows.get(usize::try_from(k).ok()?))
                    .map(|r| Ok(Ready(r))),
            )),
            None => Ok(Box::new(rows.iter().map(|r| Ok(Ready(r))))),
        }
    },
    examples: &[],
};

const TWELVE: &str = "SELECT n0, n1, n2, n3, n4, n5, n6, n7, t0, t1, t2, t3 FROM prepared";

fn engine() -> Engine {
    let rows: &'static [Prepared] = Vec::leak((0..ROWS).map(Prepared::new).collect());
    let tables: [&'static dyn AnyTable<&'static [Prepared]>; 1] = [&PREPARED];
    let route: Arc<dyn Route> = Arc::new(Here::new(tables, rows));
    Engine::new(vec![route], Limits::default()).unwrap()
}

fn run(engine: &mut Engine, sql: &str) {
    engine.run(sql, &Options::default(), &mut support::Discard).unwrap();
}

/// The same rows in a table of SQLite's own.
fn in_memory() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection
        .execute_batch(
            "CREATE TABLE prepared (n0 INTEGER, n1 INTEGER, n2 INTEGER, n3 INTEGER, n4 INTEGER, n5 INTEGER,
                n6 INTEGER, n7 INTEGER, t0 TEXT, t1 TEXT, t2 TEXT, t3 TEXT);
            BEGIN",
        )
        .unwrap();
    let mut insert = connection.prepare("INSERT INTO prepared VALUES (?,?,?,?,?,?,?,?,?,?,?,?)").unwrap();
    for n in 0..ROWS {
        let row = Prepared::new(n);
        let (i, t) = (&row.numbers, &row.texts);
        insert
            .execute(rusqlite::params![
                i[0], i[1], i[2], i[3], i[4], i[5], i[6], i[7], t[0], t[1], t[2], t[3]
            ])
            .unwrap();
    }
    drop(insert);
    connection.execute_batch("COMMIT").unwrap();
    connection
}

/// Reads them into the same values and the same sink as the engine does, so that only the table differs.
fn run_in_memory(connection: &Connection, sql: &str) {
    testing::run(connection, sql, black_box(&mut support::Discard)).unwrap();
}

/// Reads them as a program would that has rusqlite alone.
fn run_by_rusqlite(connection: &Connection, sql: &str) {
    let mut statement = connection.prepare_cached(sql).unwrap();
    let columns = statement.column_count();
    let mut rows = statement.raw_query();
    let mut discard = support::Discard;
    let sink: &mut dyn Sink = black_box(&mut discard);
    let mut buffer = Vec::with_capacity(columns);
    while let Some(row) = rows.next().unwrap() {
        let mut values: Vec<Value<'_>> = buffer;
        values.extend((0..columns).map(|column| match row.get_ref(column).unwrap() {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(n) => Value::Int(n),
            ValueRef::Real(x) => Value::Real(x),
            ValueRef::Text(bytes) => Value::Text(bytes.into()),
            ValueRef::Blob(bytes) => Value::Blob(bytes.into()),
        }));
        sink.row(&values).unwrap();
        values.clear();
        buffer = values.into_iter().map(|_| Value::Null).collect();
    }
}

/// Reads them into rows of their own, as [`Engine::query`] does.
fn query_in_memory(connection: &Connection, sql: &str) -> Vec<Vec<Value<'static>>> {
    let mut statement = connection.prepare_cached(sql).unwrap();
    let columns = statement.column_count();
    let mut rows = statement.raw_query();
    let mut kept = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let value = |column| match row.get_ref(column).unwrap() {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(n) => Value::Int(n),
            ValueRef::Real(x) => Value::Real(x),
            ValueRef::Text(bytes) => Value::Text(bytes.to_vec().into()),
            ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec().into()),
        };
        kept.push((0..columns).map(value).collect());
    }
    kept
}

fn per_row_and_column(c: &mut Criterion<support::CpuTime>) {
    let (mut engine, connection) = (engine(), in_memory());
    let mut group = c.benchmark_group("scan of 10,000 prepared rows");
    group.throughput(Throughput::Elements(ROWS as u64));
    for (columns, sql) in [
        (0, "SELECT count(*) FROM prepared"),
        (1, "SELECT n0 FROM prepared"),
        (2, "SELECT t0 FROM prepared"),
        (12, TWELVE),
    ] {
        let id = match columns {
            0 => "count(*)",
            1 => "one integer",
            2 => "one text",
            _ => "twelve columns",
        };
        group.bench_function(BenchmarkId::new("bridge", id), |b| b.iter(|| run(&mut engine, sql)));
        group.bench_function(BenchmarkId::new("in-memory table", id), |b| {
            b.iter(|| run_in_memory(&connection, sql))
        });
    }
    group.finish();
}

fn ratios(_: &mut Criterion<support::CpuTime>) {
    if std::env::args().any(|arg| arg == "--profile-time") {
        return;
    }
    let (mut a, mut b, mut c, connection) = (engine(), engine(), engine(), in_memory());
    support::compare(
        "12 columns of 10,000 prepared rows",
        100,
        &mut [
            ("in-memory SQLite table", &mut || run_in_memory(&connection, TWELVE)),
            ("bridge", &mut || run(&mut a, TWELVE)),
            ("in-memory table, by rusqlite", &mut || run_by_rusqlite(&connection, TWELVE)),
        ],
    );
    support::compare(
        "the same, each row kept",
        50,
        &mut [
            ("in-memory SQLite table", &mut || assert_eq!(query_in_memory(&connection, TWELVE).len(), ROWS)),
            ("bridge", &mut || {
                assert_eq!(a.query(TWELVE, &Options::default()).unwrap().rows.len(), ROWS);
            }),
        ],
    );
    let join =
        "SELECT count(*) FROM prepared c JOIN prepared p ON p.n0 = c.n1 JOIN prepared g ON g.n0 = p.n1";
    support::compare(
        "ancestor joins over 10,000 prepared rows",
        50,
        &mut [
            ("one scan", &mut || run(&mut a, "SELECT sum(n0), sum(n1) FROM prepared")),
            ("parent", &mut || run(&mut b, "SELECT count(*) FROM prepared c JOIN prepared p ON p.n0 = c.n1")),
            ("parent and grandparent", &mut || run(&mut c, join)),
        ],
    );
    // 1,000 look-ups against 1,000 scans, on a column that is no key.
    let lookups = "WITH RECURSIVE k(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM k WHERE n < 999)
        SELECT count(*) FROM k CROSS JOIN prepared p ON p.t3 = 'text 3 of row ' || k.n";
    let scans = "WITH RECURSIVE k(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM k WHERE n < 999)
        SELECT count(*) FROM k CROSS JOIN prepared p ON +p.t3 = 'text 3 of row ' || k.n";
    support::compare(
        "1,000 equalities on a column that is no key",
        3,
        &mut [
            ("index over kept rows", &mut || run(&mut a, lookups)),
            ("a scan each", &mut || run(&mut b, scans)),
        ],
    );
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(support::CpuTime::default());
    targets = per_row_and_column, ratios
}
criterion_main!(benches);
