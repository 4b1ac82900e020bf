//! Our tables beside osquery's: what `pragma_table_xinfo` tells here against `tests/fixtures/osquery-schema.json`,
//! which has the names, types and hidden marks of osquery's Linux tables as its schema lists them.

use std::sync::Arc;

use collector::{AnyTable, Host};
use serde_json::Value as Json;
use vtables::{Engine, Here, Limits, Options};

/// A column as a query sees it.
#[derive(Debug, PartialEq)]
struct Column {
    name: String,
    affinity: &'static str,
    hidden: bool,
}

fn engine() -> Engine {
    let tables = host::TABLES.iter().map(|table| *table as &'static dyn AnyTable<Host>);
    Engine::new(vec![Arc::new(Here::new(tables, Host::live()))], Limits::default()).unwrap()
}

fn osquery() -> Vec<(String, Vec<Column>)> {
    let text = include_str!("../fixtures/osquery-schema.json");
    let tables: serde_json::Map<String, Json> = serde_json::from_str(text).unwrap();
    let column = |column: &Json| Column {
        name: column["name"].as_str().unwrap().to_owned(),
        affinity: affinity(column["type"].as_str().unwrap()),
        hidden: column["hidden"].as_bool().unwrap(),
    };
    let columns = |columns: Json| columns.as_array().unwrap().iter().map(column).collect();
    tables.into_iter().map(|(name, table)| (name, columns(table))).collect()
}

fn ours(engine: &mut Engine, table: &str) -> Vec<Column> {
    let sql = format!("SELECT name, type, hidden FROM pragma_table_xinfo('{table}') ORDER BY cid");
    let answer = engine.query(&sql, &Options::default()).unwrap();
    let column = |row: &Vec<model::Value<'static>>| Column {
        name: row[0].as_str().unwrap().to_owned(),
        affinity: affinity(row[1].as_str().unwrap()),
        hidden: row[2].as_int() != Some(0),
    };
    answer.rows.iter().map(column).collect()
}

/// What a query can notice of a declared type (datatype3.html, section 3.1).
fn affinity(declared: &str) -> &'static str {
    match declared {
        "INTEGER" | "BIGINT" | "UNSIGNED_BIGINT" | "DATETIME" => "INTEGER",
        "DOUBLE" => "REAL",
        "TEXT" => "TEXT",
        "BLOB" => "BLOB",
        other => panic!("the type {other} has no affinity here"),
    }
}

#[test]
fn every_table_has_osquerys_columns_first_and_in_their_order() {
    let mut engine = engine();
    let mut faults = Vec::new();
    for (table, theirs) in osquery() {
        let ours = ours(&mut engine, &table);
        if ours.is_empty() {
            faults.push(format!("{table} is missing"));
            continue;
        }
        for (place, column) in theirs.iter().enumerate() {
            if ours.get(place) != Some(column) {
                faults
                    .push(format!("{table}: column {place} is {:?}, in osquery {column:?}", ours.get(place)));
            }
        }
    }
    assert!(
        faults.is_empty(),
        "a query written for osquery would see a difference:\n{}\nOur own columns come after osquery's; one \
         that has no meaning on Linux is `elsewhere_int` or `elsewhere_text`.",
        faults.join("\n")
    );
}

#[test]
fn the_reference_has_the_tables_that_we_promise() {
    assert_eq!(osquery().len(), 43);
}
