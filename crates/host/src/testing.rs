//! What tests of tables share.
#![allow(clippy::disallowed_methods, reason = "a test writes the fixture that its table reads")]

use std::path::Path;
use std::sync::Arc;

use collector::{AnyTable, Host};
use model::{Constraint, Op, Query, Run, Value};

/// The rows of a scan as text, columns separated by `|`; integers may be asked for by column.
pub(crate) fn rows(table: &'static dyn AnyTable<Host>, host: &Host, keys: &[(&str, &[i64])]) -> Vec<String> {
    let schema = Arc::new(table.schema());
    let mut query = Query::all(schema.clone(), Run::unlimited());
    for (column, ints) in keys {
        let values = ints.iter().map(|n| Value::Int(*n)).collect();
        query.constraints.push(Constraint { column: schema.column(column).unwrap(), op: Op::Eq, values });
    }
    let mut scan = table.open(host, &query).unwrap();
    let mut rows = Vec::new();
    while scan.advance().unwrap() {
        let cell = |column| match scan.value(column) {
            Value::Null => "NULL".to_owned(),
            Value::Int(n) => n.to_string(),
            Value::Real(x) => x.to_string(),
            Value::Text(bytes) | Value::Blob(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        };
        let visible = (0..schema.columns.len()).filter(|c| !schema.columns[*c].hidden);
        rows.push(visible.map(cell).collect::<Vec<_>>().join("|"));
    }
    rows
}

/// Puts a file into a fixture: its content, or after `-> ` the target of a symbolic link.
pub(crate) fn put(root: &Path, path: &str, content: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    match content.strip_prefix("-> ") {
        Some(target) => std::os::unix::fs::symlink(target, path).unwrap(),
        None => std::fs::write(path, content).unwrap(),
    }
}
