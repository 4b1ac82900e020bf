//! The bridge over tables made for the purpose: what is read how often, and that no answer depends on it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    missing_docs,
    reason = "the whole file is tests"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use collector::{
    AnyTable, Row, Rows, Table, elsewhere_text, int, key, pattern, repeated, required, text, unique,
};
use model::{Extent, Query, ScanError, Value};
use vtables::{Engine, ErrorKind, Here, Limit, Limits, Options, Route};

/// How often each thing was read.
#[derive(Clone, Default)]
struct Counts(Arc<[AtomicU64; 4]>);

impl Counts {
    fn add(&self, what: usize) {
        self.0[what].fetch_add(1, Ordering::Relaxed);
    }

    fn take(&self, what: usize) -> u64 {
        self.0[what].swap(0, Ordering::Relaxed)
    }
}

const SCANS: usize = 0;
const ROWS: usize = 1;
const NAMES: usize = 2;

struct Person {
    id: i64,
    counts: Counts,
}
impl Row for Person {}

impl Person {
    fn name(&self) -> Value<'_> {
        self.counts.add(NAMES);
        format!("p{}", self.id % 100).into()
    }
}

const PEOPLE: i64 = 1000;

fn people(counts: &Counts, query: &Query) -> Result<Rows<Person>, ScanError> {
    counts.add(SCANS);
    let ids = query.ints("id").unwrap_or_else(|| (0..PEOPLE).collect());
    let counts = counts.clone();
    Ok(Box::new(ids.into_iter().filter(|id| (0..PEOPLE).contains(id)).map(move |id| {
        counts.add(ROWS);
        Ok(Person { id, counts: counts.clone() })
    })))
}

static PERSON: Table<Person, Counts> = Table {
    name: "person",
    about: "Cheap to read whole.",
    identity: unique(&["id"]),
    extent: Extent::Whole { rows: 1000 },
    columns: &[
        key(int("id", "", |p: &Person| p.id.into())),
        text("name", "", |p| p.name()),
        int("parent", "", |p| (p.id / 10).into()),
        elsewhere_text("hidden"),
    ],
    scan: people,
    examples: &[],
};

static PERSON_BY_KEY: Table<Person, Counts> = Table {
    name: "person_by_key",
    about: "Read key by key.",
    identity: unique(&["id"]),
    extent: Extent::PerKey { keys: 1000, rows: 1 },
    columns: &[key(int("id", "", |p: &Person| p.id.into())), text("name", "", |p| p.name())],
    scan: people,
    examples: &[],
};

struct Line {
    path: String,
    text: &'static str,
}
impl Row for Line {}

static LINES: Table<Line, Counts> = Table {
    name: "lines",
    about: "Rows that repeat; the path is a pattern.",
    identity: repeated(&["path", "text"]),
    extent: Extent::PerKey { keys: 10, rows: 3 },
    columns: &[pattern(text("path", "", |l: &Line| (&l.path).into())), text("text", "", |l| l.text.into())],
    scan: |counts, query| {
        counts.add(SCANS);
        let given = query
            .texts("path")
            .map(|p| p.into_iter().map(|p| String::from_utf8(p.to_vec()).unwrap()).collect());
        let paths: Vec<String> =
            given.unwrap_or_else(|| ["/a/1", "/a/2", "/b/1"].map(str::to_owned).to_vec());
        let known = paths.into_iter().filter(|p| ["/a/1", "/a/2", "/b/1"].contains(&p.as_str()));
        Ok(Box::new(
            known
                .flat_map(|path| ["same", "same", "other"].map(|text| Ok(Line { path: path.clone(), text }))),
        ))
    },
    examples: &[],
};

static NEEDY: Table<Line, Counts> = Table {
    name: "needy",
    about: "Wants a path.",
    identity: unique(&["path", "directory"]),
    extent: Extent::PerKey { keys: 10, rows: 1 },
    columns: &[
        required(text("path", "", |l: &Line| (&l.path).into())),
        required(text("directory", "", |_| Value::Null)),
    ],
    scan: |_, query| {
        let paths = query.texts("path").unwrap_or_default();
        let paths: Vec<String> = paths.into_iter().map(|p| String::from_utf8(p.to_vec()).unwrap()).collect();
        Ok(Box::new(paths.into_iter().map(|path| Ok(Line { path, text: "" }))))
    },
    examples: &[],
};

static NEEDY_PATTERN: Table<Line, Counts> = Table {
    name: "needy_pattern",
    about: "Wants a path or a pattern of paths, and knows its own from the bytes alone.",
    identity: unique(&["path"]),
    extent: Extent::PerKey { keys: 10, rows: 1 },
    columns: &[required(pattern(text("path", "", |l: &Line| (&l.path).into())))],
    scan: |_, query| {
        let text = |v: &Value<'_>| v.as_text().is_some_and(|text| text.contains(&0));
        let ended = query.constraints.iter().flat_map(|c| &c.values).any(text);
        let paths = ["/a/1", "/a/2", "/b/1"].iter().filter(move |_| !ended);
        Ok(Box::new(paths.map(|path| Ok(Line { path: (*path).to_owned(), text: "" }))))
    },
    examples: &[],
};

static NEEDY_NUMBER: Table<Person, Counts> = Table {
    name: "needy_number",
    about: "Wants a number.",
    identity: unique(&["number"]),
    extent: Extent::PerKey { keys: 10, rows: 1 },
    columns: &[required(int("number", "", |p: &Person| p.id.into()))],
    scan: |counts, query| {
        let (numbers, counts) = (query.ints("number").unwrap_or_default(), counts.clone());
        Ok(Box::new(numbers.into_iter().map(move |id| Ok(Person { id, counts: counts.clone() }))))
    },
    examples: &[],
};

static FAULTY: Table<Line, Counts> = Table {
    name: "faulty",
    about: "Panics.",
    identity: unique(&["path"]),
    extent: Extent::Whole { rows: 1 },
    columns: &[
        key(text("path", "", |l: &Line| (&l.path).into())),
        text("text", "", |_| panic!("the getter\x1b[31m broke")),
    ],
    scan: |_, query| {
        assert!(query.texts("path").is_none(), "the scan broke");
        Ok(Box::new(std::iter::once(Ok(Line { path: "/x".into(), text: "" }))))
    },
    examples: &[],
};

static ENDLESS: Table<Person, Counts> = Table {
    name: "endless",
    about: "Never ends, and ignores nobody who asks it to.",
    identity: unique(&["id"]),
    extent: Extent::Whole { rows: 1000 },
    columns: &[int("id", "", |p: &Person| p.id.into())],
    scan: |counts, query| {
        let (run, counts) = (query.run.clone(), counts.clone());
        Ok(Box::new((0..).map(move |id| {
            run.check()?;
            Ok(Person { id, counts: counts.clone() })
        })))
    },
    examples: &[],
};

fn engine() -> (Engine, Counts) {
    let counts = Counts::default();
    let tables: [&'static dyn AnyTable<Counts>; 8] =
        [&PERSON, &PERSON_BY_KEY, &LINES, &NEEDY, &NEEDY_NUMBER, &NEEDY_PATTERN, &FAULTY, &ENDLESS];
    let route: Arc<dyn Route> = Arc::new(Here::new(tables, counts.clone()));
    (Engine::new(vec![route], Limits::default()).unwrap(), counts)
}

fn ints(engine: &mut Engine, sql: &str) -> Vec<i64> {
    let answer = engine.query(sql, &Options::default()).unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    answer.rows.iter().map(|row| row[0].as_int().unwrap()).collect()
}

#[test]
fn a_key_list_is_one_scan_of_those_keys() {
    let (mut engine, counts) = engine();
    let sql = "SELECT id FROM person WHERE id IN (5, 7, 5, 900, -3, NULL, 5000)";
    assert_eq!(ints(&mut engine, sql), [5, 7, 900]);
    assert_eq!((counts.take(SCANS), counts.take(ROWS)), (1, 3));
}

#[test]
fn a_limit_reads_no_more_rows_than_it_gives() {
    let (mut engine, counts) = engine();
    assert_eq!(ints(&mut engine, "SELECT id FROM person LIMIT 3"), [0, 1, 2]);
    assert!(counts.take(ROWS) <= 4);
}

#[test]
fn a_column_that_is_not_asked_for_is_not_read() {
    let (mut engine, counts) = engine();
    ints(&mut engine, "SELECT count(*) FROM person WHERE id % 2");
    assert_eq!(counts.take(NAMES), 0);
    ints(&mut engine, "SELECT id FROM person WHERE id < 10 AND name = 'p3'");
    assert_eq!(counts.take(NAMES), 10);
}

#[test]
fn a_comparison_that_needs_a_conversion_still_matches() {
    let (mut engine, _) = engine();
    for sql in [
        "SELECT id FROM person WHERE id = '42'",
        "SELECT id FROM person WHERE id = 42.0",
        "SELECT id FROM person WHERE id IN ('42', NULL)",
        "SELECT id FROM person WHERE id IN (42.0, 'x')",
        "SELECT id FROM person WHERE name = 'P42' COLLATE NOCASE AND id < 100",
        "SELECT a.id FROM person a JOIN person b ON a.id = CAST(b.id AS TEXT) WHERE b.id = 42",
        "SELECT a.id FROM person a, (SELECT '42' AS t) b WHERE a.id = b.t",
        "SELECT a.id FROM person a, (SELECT 42.0 AS t) b WHERE a.id = b.t",
    ] {
        assert_eq!(ints(&mut engine, sql), [42], "{sql}");
    }
    assert!(ints(&mut engine, "SELECT id FROM person WHERE id = NULL").is_empty());
    assert!(ints(&mut engine, "SELECT id FROM person WHERE id = 'x' OR name = 7").is_empty());
}

#[test]
fn one_statement_reads_a_table_once() {
    let (mut engine, counts) = engine();
    let sql =
        "SELECT count(*) FROM person c JOIN person p ON p.id = c.parent JOIN person g ON g.id = p.parent";
    assert_eq!(ints(&mut engine, sql), [PEOPLE]);
    assert_eq!((counts.take(SCANS), counts.take(ROWS)), (1, PEOPLE as u64));
    let sql = "SELECT count(*) FROM person a JOIN person b ON a.name = b.name WHERE a.id < 100";
    assert_eq!(ints(&mut engine, sql), [PEOPLE]);
    assert_eq!(counts.take(SCANS), 1);
}

#[test]
fn the_inner_side_of_a_join_is_kept_by_key() {
    let (mut engine, counts) = engine();
    let sql = "SELECT count(*) FROM person p JOIN person_by_key k ON k.id = p.parent";
    assert_eq!(ints(&mut engine, sql), [PEOPLE]);
    // Once for the outer side, and once for each of the 100 parents.
    assert_eq!(counts.take(SCANS), 101);
}

#[test]
fn an_or_of_scans_loses_and_doubles_no_row() {
    let (mut engine, _) = engine();
    let mut count =
        |filter: &str| ints(&mut engine, &format!("SELECT count(*) FROM lines WHERE {filter}"))[0];
    assert_eq!(count("path LIKE '/a/%' OR path LIKE '/b/%'"), 9);
    assert_eq!(count("path = '/a/1' OR path LIKE '/a/%'"), 6);
    assert_eq!(count("path = '/a/1' OR text = 'same'"), 7);
    assert_eq!(count("path = '/b/1' OR path = '/a/2' OR text = 'other'"), 7);
    assert_eq!(count("path IN ('/a/1', '/b/1') OR path LIKE '%/2'"), 9);
}

#[test]
fn values_of_each_kind_come_back_as_they_are() {
    let (mut engine, _) = engine();
    let sql = "SELECT -9223372036854775808, 0.5, 'naïve', '', x'', x'00ff', NULL, 'a' || char(0) || 'b', -0.0, \
        9e999, CAST(x'ff' AS TEXT), zeroblob(3), substr('abc', 2), printf('%s', 12)";
    let text = |bytes: &[u8]| Value::Text(bytes.to_vec().into());
    let blob = |bytes: &[u8]| Value::Blob(bytes.to_vec().into());
    let wanted = vec![
        Value::Int(i64::MIN),
        Value::Real(0.5),
        text("naïve".as_bytes()),
        text(b""),
        blob(b""),
        blob(&[0, 255]),
        Value::Null,
        text(b"a\0b"),
        Value::Real(-0.0),
        Value::Real(f64::INFINITY),
        text(&[255]),
        blob(&[0; 3]),
        text(b"bc"),
        text(b"12"),
    ];
    // The second time from the statement that was kept.
    for _ in 0..2 {
        assert_eq!(engine.query(sql, &Options::default()).unwrap().rows, std::slice::from_ref(&wanted));
    }
    let repeated = format!(
        "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 500) {sql} FROM n"
    );
    let rows = engine.query(&repeated, &Options::default()).unwrap().rows;
    assert!(rows.len() == 500 && rows.iter().all(|row| *row == wanted));
}

#[test]
fn values_are_those_of_the_statement_and_not_of_one_that_runs_within_it() {
    let (mut engine, _) = engine();
    // A pragma's table steps a statement of its own, which gives six columns too.
    let nested = "SELECT 'mine', c.name, t.name, c.cid, 0.5, 42 FROM daemoneye_tables t \
        CROSS JOIN pragma_table_info(t.name) c WHERE t.name IN ('needy_number', 'person')";
    let row = |column: &'static str, table: &'static str, place: i64| {
        vec!["mine".into(), column.into(), table.into(), place.into(), Value::Real(0.5), 42.into()]
    };
    let wanted: [Vec<Value<'static>>; 2] = [row("id", "person", 0), row("name", "person", 1)];
    for _ in 0..2 {
        let rows = engine.query(nested, &Options::default()).unwrap().rows;
        let of_person = rows.into_iter().filter(|row| row[2] == "person".into());
        assert_eq!(of_person.take(2).collect::<Vec<_>>(), wanted);
    }
}

#[test]
fn a_missing_required_column_is_named() {
    let (mut engine, _) = engine();
    let error = engine.query("SELECT * FROM needy", &Options::default()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::RequiredColumn);
    assert!(error.message.contains("`needy` needs path or directory"), "{error}");
    let sql = "SELECT count(*) FROM needy n JOIN lines l ON l.path = n.path";
    assert_eq!(ints(&mut engine, sql), [9]);
    let sql = "SELECT count(*) FROM lines l JOIN needy n USING (path)";
    assert_eq!(ints(&mut engine, sql), [9]);
}

#[test]
fn a_required_column_is_given_by_a_value_of_another_type_too() {
    let (mut engine, _) = engine();
    for (filter, found) in [
        ("path = 42", 1),
        ("path IN (42, 'x', NULL, x'00')", 2),
        ("path = 4.5", 1),
        ("path = x'2f'", 0),
        ("number = '42'", 1),
        ("number = 42.0", 1),
        ("number IN ('42', ' 7 ', 'x', 4.5, x'00')", 2),
        ("number = 'x'", 0),
        ("number = ' 42 ' || char(0) || '7'", 1),
    ] {
        let table = if filter.starts_with("path") { "needy" } else { "needy_number" };
        let sql = format!("SELECT count(*) FROM {table} WHERE {filter}");
        assert_eq!(ints(&mut engine, &sql), [found], "{filter}");
    }
    for (filter, found) in [
        ("path LIKE CAST('/A/%' AS BLOB)", 2),
        ("path GLOB CAST('/a/*' AS BLOB)", 2),
        ("path GLOB CAST('/A/*' AS BLOB)", 0),
        ("path LIKE '/_/1' || char(0) || 'x'", 2),
        ("path LIKE 1", 0),
    ] {
        let sql = format!("SELECT count(*) FROM needy_pattern WHERE {filter}");
        assert_eq!(ints(&mut engine, &sql), [found], "{filter}");
    }
    let sql = "SELECT count(*) FROM (SELECT '42' AS n UNION ALL SELECT 'x') g JOIN needy_number t ON t.number = g.n";
    assert_eq!(ints(&mut engine, sql), [1]);
}

#[test]
fn a_panic_in_a_table_ends_one_statement() {
    let (mut engine, _) = engine();
    for sql in ["SELECT text FROM faulty", "SELECT 1 FROM faulty WHERE path = 'x'"] {
        let error = engine.query(sql, &Options::default()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Internal, "{sql}: {error}");
        assert!(error.message.contains("`faulty` failed"), "{error}");
    }
    assert_eq!(ints(&mut engine, "SELECT 1 FROM faulty"), [1]);
}

fn refused_with(sql: &str, limits: Limits) -> ErrorKind {
    let (mut engine, _) = engine();
    let options = Options { limits: Some(limits), ..Options::default() };
    let kind = engine.query(sql, &options).expect_err(sql).kind;
    assert_eq!(ints(&mut engine, "SELECT 1"), [1], "the session goes on");
    kind
}

#[test]
fn each_limit_ends_its_statement_by_name() {
    let short = Limits { timeout: Some(Duration::from_millis(50)), ..Limits::default() };
    let deadline = ErrorKind::Limit(Limit::Deadline);
    assert_eq!(
        refused_with("SELECT count(*) FROM person a, person b, person c, person d, person e", short),
        deadline
    );
    assert_eq!(refused_with("SELECT count(*) FROM endless", short), deadline);
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    assert_eq!(refused_with(sql, short), deadline);
    let few = Limits { rows_max: 10, ..Limits::default() };
    assert_eq!(refused_with("SELECT id FROM person", few), ErrorKind::Limit(Limit::Rows));
    let little = Limits { memory_bytes_max: 1000, ..Limits::default() };
    let sql = "SELECT count(*) FROM person a JOIN person b ON a.name = b.name";
    assert_eq!(refused_with(sql, little), ErrorKind::Limit(Limit::Memory));
    let sql = "SELECT length(replace(hex(zeroblob(1000000)), '0', 'xxxxxxxxxxxxxxxxxxxx'))";
    assert_eq!(refused_with(sql, Limits::default()), ErrorKind::Limit(Limit::Length));
}

#[test]
fn a_statement_is_cancelled_from_another_thread() {
    let (mut engine, _) = engine();
    let canceller = engine.canceller();
    let canceller = std::thread::spawn(move || {
        while !canceller.cancel() {
            std::thread::yield_now();
        }
        Instant::now()
    });
    let error = engine.query("SELECT count(*) FROM endless", &Options::default()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Cancelled);
    assert!(canceller.join().unwrap().elapsed() < Duration::from_secs(5));
}

#[test]
fn the_report_tells_what_was_pushed_read_and_kept() {
    let (mut engine, _) = engine();
    let report =
        engine.query("SELECT name FROM person WHERE id IN (3, 4)", &Options::default()).unwrap().report;
    let table = &report.tables[0];
    assert_eq!((table.table.as_str(), table.route, table.rows_were), ("person", "here", "streamed"));
    assert_eq!(table.pushed, ["id IN (…)"]);
    assert_eq!((table.scans, table.collections, table.rows_produced, table.rows_kept), (1, 1, 2, Some(2)));
    assert_eq!(table.columns, ["id", "name"]);
}

#[test]
fn parameters_are_bound_by_name_and_all_of_them() {
    let (mut engine, _) = engine();
    let params = |names: &[&str]| Options {
        params: names.iter().map(|n| ((*n).to_owned(), Value::Int(3))).collect(),
        ..Options::default()
    };
    let sql = "SELECT id FROM person WHERE id = :id";
    assert_eq!(engine.query(sql, &params(&["id"])).unwrap().rows[0][0], Value::Int(3));
    assert_eq!(engine.query(sql, &params(&[])).unwrap_err().kind, ErrorKind::Parameter);
    assert_eq!(engine.query(sql, &params(&["id", "x"])).unwrap_err().kind, ErrorKind::Parameter);
}

#[test]
fn an_error_is_at_its_place_behind_leading_blanks() {
    let error = |sql: &str| engine().0.validate(sql).unwrap_err().place.map(|place| sql[place].to_owned());
    assert_eq!(error("SELECT nmae FROM person"), Some("nmae".to_owned()));
    assert_eq!(error("\n \n  SELECT nmae FROM person"), Some("nmae".to_owned()));
}
