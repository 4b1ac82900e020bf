//! A client of a collector, as small as one can be: what tests run as another user.
//!
//!     ask SOCKET                             the tables that this user is offered
//!     ask SOCKET TABLE [COLUMN=VALUE]…       its rows, a line each, with tabs between the values
#![allow(
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "it is run by tests, and its output is what they compare"
)]

use std::path::Path;
use std::time::{Duration, SystemTime};

use collector::Scan;
use ipc::{Client, Timing};
use model::{Constraint, Kind, Op, Query, Run, Value};

const TIME_MAX: Duration = Duration::from_secs(30);
const BYTES_MAX: u64 = 256 << 20;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let client = Client::connect(Path::new(&arguments[0]), Timing::default());
    let client = client.unwrap_or_else(|error| {
        eprintln!("{error}");
        std::process::exit(3)
    });
    let Some(table) = arguments.get(1) else {
        client.tables().iter().for_each(|table| println!("{}", table.name));
        return;
    };
    let schema = client.hello().table(table).unwrap_or_else(|| panic!("no table {table}")).clone();
    let mut query = Query::all(schema.clone(), Run::new(Some(TIME_MAX), BYTES_MAX, SystemTime::now()));
    for condition in &arguments[2..] {
        let (column, value) = condition.split_once('=').unwrap();
        let column = schema.column(column).unwrap();
        let value = match schema.columns[column].kind {
            Kind::Int => Value::Int(value.parse().unwrap()),
            _ => Value::from(value.to_owned()),
        };
        query.constraints.push(Constraint { column, op: Op::Eq, values: vec![value] });
    }
    let mut scan = client.scan(table, &query).unwrap();
    while scan.advance().unwrap() {
        let values = (0..schema.columns.len()).map(|column| text(scan.value(column)));
        println!("{}", values.collect::<Vec<_>>().join("\t"));
    }
    for note in query.run.notes() {
        eprintln!("{}.{}: {}", note.table, note.column, note.reason);
    }
}

fn text(value: Value<'_>) -> String {
    match value {
        Value::Null => "NULL".into(),
        Value::Int(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(bytes) | Value::Blob(bytes) => String::from_utf8_lossy(&bytes).replace(['\t', '\n'], " "),
    }
}
