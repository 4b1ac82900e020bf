//! 1,000 rule files through the loader, next to what cannot be saved of it: the bare YAML parse, SQL parse and prepare
//! of the same text, and its tests. Then validate alone, next to a bare parse and prepare.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench or a test ends in a panic when its machine is not as it needs"
)]

mod support;

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use collector::{AnyTable, Host};
use detection::{Pack, RuleLimits};
use model::Value;
use sqlparser::dialect::SQLiteDialect;
use sqlparser::parser::Parser;
use vtables::{Engine, Here, Limits, Options, Route, Sample};

const RULES: usize = 1000;
const ROUNDS: usize = 15;

fn engine() -> Engine {
    let tables = host::TABLES.iter().map(|t| *t as &'static dyn AnyTable<Host>);
    let route: Arc<dyn Route> = Arc::new(Here::new(tables, Host::live()));
    Engine::new(vec![route], Limits::default()).unwrap()
}

/// Literal rows of a test: the table, and the columns of each of its rows.
type Given = Vec<(&'static str, Vec<Vec<(&'static str, Value<'static>)>>)>;

struct Written {
    sql: String,
    /// What is given to each of its tests, and how many rows are expected.
    tests: Vec<(Given, usize)>,
}

/// Rules that differ in their constants, as generated packs do.
fn rules() -> Vec<Written> {
    let path = |n: usize, name: &str| Value::from(format!("/opt/app{n}/{name}"));
    let process = |pid: i64, path: Value<'static>, uid: usize, cmdline: &'static str| {
        vec![
            ("pid", pid.into()),
            ("parent", 41.into()),
            ("name", "worker".into()),
            ("path", path),
            ("uid", (uid as i64).into()),
            ("cmdline", cmdline.into()),
        ]
    };
    let rule = |n: usize| {
        match n % 3 {
        0 => Written {
            sql: format!(
                "SELECT pid, name, path FROM processes WHERE path LIKE '/opt/app{n}/%' AND uid = {n}"
            ),
            tests: vec![
                (vec![("processes", vec![process(42, path(n, "x"), n, "x"), process(43, path(n, "y"), n + 1, "y")])], 1),
                (vec![("processes", vec![process(42, path(n + 1, "x"), n, "x")])], 0),
            ],
        },
        1 => Written {
            sql: format!(
                "SELECT p.pid, p.name, l.port FROM listening_ports l JOIN processes p USING (pid)
                 WHERE l.port = {n} AND p.path NOT IN ('/usr/sbin/sshd', '/usr/bin/app{n}')"
            ),
            tests: [("x", 1), ("/usr/bin/other", 0)]
                .map(|(at, rows)| {
                    let port = if rows == 1 { n } else { n + 1 };
                    let ports = vec![vec![("pid", 42.into()), ("port", (port as i64).into())]];
                    (vec![("processes", vec![process(42, path(n, at), 0, "x")]), ("listening_ports", ports)], rows)
                })
                .into(),
        },
        _ => Written {
            sql: format!(
                "WITH odd AS (SELECT pid, parent, cmdline FROM processes WHERE instr(cmdline, 'x{n}=') > 0 OR uid = {n})
                 SELECT o.pid, p.name FROM odd o JOIN processes p ON p.pid = o.parent ORDER BY o.pid"
            ),
            tests: [(n, 1), (n + 1, 0)]
                .map(|(uid, rows)| {
                    let given = vec![process(41, path(n, "p"), 0, "init"), process(42, path(n, "c"), uid, "y")];
                    (vec![("processes", given)], rows)
                })
                .into(),
        },
    }
    };
    (0..RULES).map(rule).collect()
}

fn literal(value: &Value<'_>) -> String {
    match value {
        Value::Int(n) => n.to_string(),
        other => format!("\"{}\"", String::from_utf8_lossy(other.as_text().unwrap())),
    }
}

/// The file of a rule.
fn file(n: usize, rule: &Written) -> String {
    let mut text = format!(
        "id: rule-{n}\ntitle: Something of number {n} is seen\ndescription: |\n  Why this matters, in a sentence or two that a person reads at night.\n\
         severity: medium\ntags: [attack.defense_evasion, attack.t1070.004]\ninterval: 60s\nsql: |\n"
    );
    rule.sql.lines().for_each(|line| writeln!(text, "  {}", line.trim()).unwrap());
    text.push_str(
        "dedup: { keys: [pid], window: 24h }\nfalse_positives: [A service that was upgraded]\ntests:\n",
    );
    for (at, (given, rows)) in rule.tests.iter().enumerate() {
        writeln!(text, "  - name: test {at}\n    given:").unwrap();
        for (table, rows) in given {
            writeln!(text, "      {table}:").unwrap();
            for row in rows {
                let pairs: Vec<String> =
                    row.iter().map(|(name, v)| format!("{name}: {}", literal(v))).collect();
                writeln!(text, "        - {{ {} }}", pairs.join(", ")).unwrap();
            }
        }
        writeln!(text, "    expect: [{}]", vec!["{ pid: 42 }"; *rows].join(", ")).unwrap();
    }
    text
}

/// The parts of loading a rule, each by itself.
#[derive(Clone, Copy, Default)]
struct Parts {
    yaml: Duration,
    parse: Duration,
    prepare: Duration,
    tests: Duration,
}

impl Parts {
    fn sum(&self) -> Duration {
        self.yaml + self.parse + self.prepare + self.tests
    }
}

fn parts(
    files: &[PathBuf],
    rules: &[Written],
    connection: &rusqlite::Connection,
    engine: &mut Engine,
) -> Parts {
    let mut parts = Parts::default();
    let mut add = |part: fn(&mut Parts) -> &mut Duration, work: &mut dyn FnMut()| {
        let before = support::cpu_time();
        work();
        *part(&mut parts) += support::cpu_time() - before;
    };
    for (file, rule) in files.iter().zip(rules) {
        add(|p| &mut p.yaml, &mut || {
            let text = std::fs::read_to_string(file).unwrap();
            black_box(serde_saphyr::from_str::<serde_json::Value>(&text).unwrap());
        });
        add(|p| &mut p.parse, &mut || {
            black_box(Parser::parse_sql(&SQLiteDialect {}, &rule.sql).unwrap());
        });
        add(|p| &mut p.prepare, &mut || {
            black_box(connection.prepare(&rule.sql).unwrap().column_count());
        });
        // The tests run a statement that is already prepared.
        engine.validate(&rule.sql).unwrap();
        add(|p| &mut p.tests, &mut || {
            for (given, rows) in &rule.tests {
                let mut sample = Sample::new(engine.catalog().clone());
                for (table, row) in
                    given.iter().flat_map(|(table, rows)| rows.iter().map(move |row| (table, row)))
                {
                    let row = row.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
                    sample.add(table, row).unwrap();
                }
                let options = Options { route: Some(Arc::new(sample)), ..Options::default() };
                assert_eq!(engine.query(&rule.sql, &options).unwrap().rows.len(), *rows);
            }
        });
    }
    parts
}

fn main() {
    let rules = rules();
    let directory = tempfile::tempdir().unwrap();
    let files: Vec<PathBuf> = (0..RULES).map(|n| directory.path().join(format!("rule-{n}.yaml"))).collect();
    for ((n, rule), path) in rules.iter().enumerate().zip(&files) {
        std::fs::write(path, file(n, rule)).unwrap();
    }
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    connection
        .execute_batch(
            "CREATE TABLE processes (pid INTEGER, name TEXT, path TEXT, uid INTEGER, parent INTEGER, cmdline TEXT);
             CREATE TABLE listening_ports (pid INTEGER, port INTEGER)",
        )
        .unwrap();

    let mut rounds: Vec<(Duration, Parts)> = Vec::new();
    for round in 0..=ROUNDS {
        let bare = parts(&files, &rules, &connection, &mut engine());
        let mut engine = engine();
        let before = support::cpu_time();
        let pack = Pack::load(directory.path(), &mut engine, &RuleLimits::default()).unwrap();
        let ours = support::cpu_time() - before;
        assert_eq!((pack.rules.len(), pack.faults.len()), (RULES, 0), "{:?}", pack.faults.first());
        // The first round warms caches and is not counted.
        if round > 0 {
            rounds.push((ours, bare));
        }
    }
    rounds.sort_by(|a, b| {
        (a.0.as_secs_f64() / a.1.sum().as_secs_f64())
            .total_cmp(&(b.0.as_secs_f64() / b.1.sum().as_secs_f64()))
    });
    let (ours, bare) = rounds[rounds.len() / 2];
    println!("\n{RULES} rule files, {} tests: CPU time, the median of {ROUNDS} rounds", RULES * 2);
    println!(
        "  {:?} YAML, {:?} SQL parse, {:?} prepare, {:?} tests",
        bare.yaml, bare.parse, bare.prepare, bare.tests
    );
    println!(
        "  {:?} in sum; {ours:?} through the loader; ratio {:.2} (goal: at most 1.3)",
        bare.sum(),
        ours.as_secs_f64() / bare.sum().as_secs_f64()
    );

    let (mut engine, mut estimating) = (engine(), engine());
    support::compare(
        "the SQL of 1,000 rules",
        10,
        &mut [
            ("sqlparser and a bare prepare over plain tables", &mut || {
                for rule in &rules {
                    black_box(Parser::parse_sql(&SQLiteDialect {}, &rule.sql).unwrap());
                    black_box(connection.prepare(&rule.sql).unwrap().column_count());
                }
            }),
            ("validate: guard, authorizer, prepare over the virtual tables", &mut || {
                for rule in &rules {
                    black_box(engine.validate(&rule.sql).unwrap().columns.len());
                }
            }),
            ("estimate of the rows that each goes through", &mut || {
                for rule in &rules {
                    black_box(estimating.estimate(&rule.sql).unwrap().steps);
                }
            }),
        ],
    );
}
