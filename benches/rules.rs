//! Prepare and validate of 1,000 rules' SQL, next to the bare parse and the bare prepare of the same text.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench or a test ends in a panic when its machine is not as it needs"
)]

mod support;

use std::hint::black_box;
use std::sync::Arc;

use collector::{AnyTable, Host};
use sqlparser::dialect::SQLiteDialect;
use sqlparser::parser::Parser;
use vtables::{Engine, Here, Limits, Route};

fn engine() -> Engine {
    let tables = host::TABLES.iter().map(|t| *t as &'static dyn AnyTable<Host>);
    let route: Arc<dyn Route> = Arc::new(Here::new(tables, Host::live()));
    Engine::new(vec![route], Limits::default()).unwrap()
}

/// Rules that differ in their constants, as generated packs do.
fn rules() -> Vec<String> {
    let rule = |n: usize| {
        match n % 3 {
        0 => format!("SELECT pid, name, path FROM processes WHERE path LIKE '/opt/app{n}/%' AND uid = {n}"),
        1 => format!(
            "SELECT p.pid, p.name, l.port FROM listening_ports l JOIN processes p USING (pid)
             WHERE l.port = {n} AND p.path NOT IN ('/usr/sbin/sshd', '/usr/bin/app{n}')"
        ),
        _ => format!(
            "WITH odd AS (SELECT pid, parent, cmdline FROM processes WHERE regex_match(cmdline, 'x{n}=(\\d+)', 1) > {n})
             SELECT o.pid, p.name FROM odd o JOIN processes p ON p.pid = o.parent ORDER BY o.pid"
        ),
    }
    };
    (0..1000).map(rule).collect()
}

fn main() {
    let rules = rules();
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    connection
        .execute_batch(
            "CREATE TABLE processes (pid INTEGER, name TEXT, path TEXT, uid INTEGER, parent INTEGER, cmdline TEXT);
             CREATE TABLE listening_ports (pid INTEGER, port INTEGER)",
        )
        .unwrap();
    let utf8 = rusqlite::functions::FunctionFlags::SQLITE_UTF8;
    connection.create_scalar_function("regex_match", 3, utf8, |_| Ok(rusqlite::types::Null)).unwrap();
    let mut engine = engine();
    support::compare(
        "1,000 rules",
        10,
        &mut [
            ("sqlparser and a bare prepare over plain tables", &mut || {
                for sql in &rules {
                    black_box(Parser::parse_sql(&SQLiteDialect {}, sql).unwrap());
                    black_box(connection.prepare(sql).unwrap().column_count());
                }
            }),
            ("validate: guard, authorizer, prepare over the virtual tables", &mut || {
                for sql in &rules {
                    black_box(engine.validate(sql).unwrap().columns.len());
                }
            }),
        ],
    );
}
