use std::collections::HashSet;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use model::{Kind, Ops, Value};

use crate::machine::Machine;
use crate::outside::{needs, needs_root};

/// What WHERE has to say for a table with required columns, so that it has rows on any machine.
pub(crate) fn given(table: &str) -> &'static str {
    match table {
        "file" | "hash" => "WHERE path LIKE '/etc/%%'",
        "extended_attributes" => "WHERE path LIKE '/usr/bin/%'",
        "file_lines" => "WHERE path IN ('/etc/passwd', '/etc/group')",
        "process_ancestors" => "WHERE pid IN (SELECT pid FROM processes)",
        _ => "",
    }
}

/// Every column of a table, hidden ones too.
fn whole(machine: &mut Machine, table: &str) -> Vec<Vec<Value<'static>>> {
    let columns: Vec<_> = machine.schema(table).columns.iter().map(|c| format!("\"{}\"", c.name)).collect();
    machine.answer(&format!("SELECT {} FROM {table} {}", columns.join(", "), given(table))).rows
}

#[test]
fn every_example_runs() {
    let mut machine = Machine::live();
    for schema in machine.schemas() {
        assert!(!schema.examples.is_empty(), "{} has no example", schema.name);
        for example in &schema.examples {
            machine.answer(example);
        }
    }
}

#[test]
fn a_column_that_narrows_a_scan_is_part_of_the_identity() {
    for schema in Machine::live().schemas() {
        for column in schema.columns.iter().filter(|c| c.push != Ops::NONE || c.required) {
            let (table, name) = (&schema.name, &column.name);
            assert!(schema.identity.columns.contains(name), "{table}.{name} is not in the identity");
        }
        for name in &schema.identity.columns {
            assert!(schema.column(name).is_some(), "{}: the identity names {name}", schema.name);
        }
    }
}

#[test]
fn every_value_has_the_declared_type_and_every_identity_holds() {
    let mut machine = Machine::live();
    for schema in machine.schemas() {
        let rows = whole(&mut machine, &schema.name);
        for (at, column) in schema.columns.iter().enumerate() {
            let wrong = rows.iter().find(|row| {
                !matches!(
                    (column.kind, &row[at]),
                    (_, Value::Null)
                        | (Kind::Int, Value::Int(_))
                        | (Kind::Real, Value::Real(_))
                        | (Kind::Text, Value::Text(_))
                        | (Kind::Blob, Value::Blob(_))
                )
            });
            let (table, name) = (&schema.name, &column.name);
            assert!(wrong.is_none(), "{table}.{name} is {}: {:?}", column.kind.sql(), wrong.unwrap()[at]);
        }
        if schema.identity.unique {
            let places: Vec<_> = schema.identity.columns.iter().filter_map(|c| schema.column(c)).collect();
            let mut seen = HashSet::new();
            for row in &rows {
                let identity: Vec<_> = places.iter().map(|at| format!("{:?}", row[*at])).collect();
                assert!(seen.insert(identity.join("|")), "{}: two rows have {identity:?}", schema.name);
            }
        }
    }
}

#[test]
fn every_table_answers() {
    let mut machine = Machine::live();
    for schema in machine.schemas() {
        machine.answer(&format!("SELECT * FROM {} {}", schema.name, given(&schema.name)));
        machine.answer(&format!("SELECT count(*) FROM {} {}", schema.name, given(&schema.name)));
    }
}

#[test]
fn every_table_answers_an_ordinary_user() {
    if !needs("setpriv") || !needs_root("CAP_SETUID") {
        return;
    }
    // The directory of the build may be closed to others.
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("it");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    for path in [directory.path(), &copy] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&copy)
        .args(["--exact", "catalog::every_table_answers", "--nocapture"])
        .current_dir("/")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}\n{complained}");
}
