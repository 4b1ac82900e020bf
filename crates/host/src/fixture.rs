//! A machine made of files, for the tests of tables.
#![allow(clippy::disallowed_methods, reason = "a test writes the files that the table reads")]

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;

use collector::{AnyTable, Host};
use model::{Note, Query, Run, Value};

/// A directory that is laid out like a machine, and removed in the end.
pub(crate) struct Fixture(tempfile::TempDir);

impl Fixture {
    /// A machine without a file.
    pub(crate) fn new() -> Fixture {
        Fixture(tempfile::tempdir().unwrap())
    }

    /// The machine with one more file, at a path as the machine names it.
    pub(crate) fn file(self, path: &str, content: impl AsRef<[u8]>) -> Fixture {
        std::fs::write(self.place(path), content).unwrap();
        self
    }

    /// The machine with one more symbolic link.
    pub(crate) fn link(self, path: &str, target: &str) -> Fixture {
        symlink(target, self.place(path)).unwrap();
        self
    }

    fn place(&self, path: &str) -> PathBuf {
        let path = self.0.path().join(path.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    /// The handle that tables read it through.
    pub(crate) fn host(&self) -> Host {
        Host::at(self.0.path())
    }

    /// The named columns of all rows of a table, with `|` between them, and the notes of the scan.
    pub(crate) fn rows(
        &self,
        table: &'static dyn AnyTable<Host>,
        columns: &[&str],
    ) -> (Vec<String>, Vec<Note>) {
        let schema = Arc::new(table.schema());
        let columns: Vec<usize> = columns.iter().map(|name| schema.column(name).unwrap()).collect();
        let query = Query::all(schema, Run::unlimited());
        let mut scan = table.open(&self.host(), &query).unwrap();
        let mut rows = Vec::new();
        while scan.advance().unwrap() {
            let cell = |at: &usize| match scan.value(*at) {
                Value::Null => "NULL".into(),
                Value::Int(n) => n.to_string(),
                Value::Real(x) => x.to_string(),
                Value::Text(text) | Value::Blob(text) => String::from_utf8_lossy(&text).into_owned(),
            };
            rows.push(columns.iter().map(cell).collect::<Vec<String>>().join("|"));
        }
        (rows, query.run.notes())
    }
}
