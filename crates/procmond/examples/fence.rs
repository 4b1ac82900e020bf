//! Stands in front of, in or behind the fence and reads every table: what the tests of the fence compare.
//!
//!     fence outside|filtered|confined tables     a line for each table: its rows, and the values of each column
//!     fence SOCKET tables                        the same as a client of the procmond that serves there
//!     fence filtered hold                        waits until it is killed
#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "it is run by tests, and its output is what they compare"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use collector::{AnyTable, Host, Scan};
use ipc::{Client, Timing};
use model::{Constraint, Op, Query, Run, Value};
use procmond::{Account, Filter, Plan, PrivilegeError, READ_ONLY};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, place, what, ..] = &arguments[..] else { panic!("usage: fence PLACE WHAT") };
    let filter = Filter::for_tables(host::TABLES.iter().map(|table| table.name()));
    let mut client = None;
    match place.as_str() {
        "outside" => {}
        // Still root, with every capability: what fails now, the filter alone refuses.
        "filtered" => filter.install().unwrap(),
        "confined" => {
            let account =
                rustix::process::geteuid().is_root().then(|| Account::usual(&Host::live()).unwrap());
            let plan = Plan { capabilities: READ_ONLY, account, filter };
            plan.prepare(|| Ok::<_, PrivilegeError>(())).unwrap().confine().unwrap();
        }
        socket => client = Some(Client::connect(Path::new(socket), Timing::default()).unwrap()),
    }
    match what.as_str() {
        "hold" => {
            println!("ready");
            loop {
                std::thread::sleep(Duration::from_secs(1));
            }
        }
        _ => host::TABLES.iter().for_each(|table| println!("{}", line(*table, client.as_ref()))),
    }
}

/// A table's name, what it could not see, its rows, and how many values of each column are not NULL.
fn line(table: &'static dyn AnyTable<Host>, client: Option<&Client>) -> String {
    let schema = Arc::new(table.schema());
    let run = Run::unlimited();
    let mut query = Query::all(schema.clone(), run.clone());
    query.constraints = given(table.name())
        .into_iter()
        .map(|(column, op, values)| Constraint { column: schema.column(column).unwrap(), op, values })
        .collect();
    let mut values = vec![0u64; schema.columns.len()];
    let mut rows = 0;
    let opened = match client {
        None => table.open(&Host::live(), &query),
        Some(client) => client.scan(table.name(), &query).map(|scan| -> Box<dyn Scan> { Box::new(scan) }),
    };
    let end = match opened {
        Ok(mut scan) => loop {
            match scan.advance() {
                Ok(true) => rows += 1,
                Ok(false) => break "whole".to_owned(),
                Err(error) => break error.to_string(),
            }
            for (column, seen) in values.iter_mut().enumerate() {
                *seen += u64::from(!matches!(scan.value(column), Value::Null));
            }
        },
        Err(error) => error.to_string(),
    };
    let columns: Vec<String> =
        schema.columns.iter().zip(values).map(|(column, seen)| format!("{}={seen}", column.name)).collect();
    let notes: Vec<String> =
        run.notes().iter().map(|note| format!("{}:{}:{}", note.column, note.reason, note.count)).collect();
    format!("{}\t{end}\t{rows}\t{}\t{}", table.name(), notes.join(","), columns.join(" "))
}

/// What a table with required columns is asked for.
fn given(table: &str) -> Vec<(&'static str, Op, Vec<Value<'static>>)> {
    let text = |text: &str| Value::from(text.to_owned());
    let parent = rustix::process::getppid().map_or(1, |pid| i64::from(pid.as_raw_pid()));
    match table {
        "file" | "hash" => vec![("path", Op::Like, vec![text("/etc/%%")])],
        "extended_attributes" => vec![("path", Op::Like, vec![text("/usr/bin/%")])],
        "file_lines" => vec![("path", Op::Eq, vec![text("/etc/passwd"), text("/etc/shadow")])],
        "process_ancestors" => vec![("pid", Op::Eq, vec![Value::Int(1), Value::Int(parent)])],
        _ => Vec::new(),
    }
}
