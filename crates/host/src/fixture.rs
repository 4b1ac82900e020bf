//! For tests: a machine made of files, and what a table tells of a machine.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use collector::{AnyTable, Host};
use model::{Constraint, Note, Op, Query, Run, Value};

/// A directory that is laid out like a machine, and removed in the end.
pub(crate) struct Fixture(tempfile::TempDir);

impl Fixture {
    /// A machine without a file.
    pub(crate) fn new() -> Fixture {
        Fixture(tempfile::tempdir().unwrap())
    }

    /// Writes a file, at a path as the machine names it.
    #[allow(clippy::disallowed_methods, reason = "a test writes the files that its table reads")]
    pub(crate) fn file(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) -> &Fixture {
        std::fs::write(self.room(path.as_ref()), content).unwrap();
        self
    }

    /// Makes a symbolic link.
    pub(crate) fn link(&self, path: &str, target: &str) -> &Fixture {
        symlink(target, self.room(path.as_ref())).unwrap();
        self
    }

    /// Where a path of the machine really is.
    pub(crate) fn place(&self, path: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(path.as_ref().strip_prefix("/").unwrap())
    }

    /// As [`Fixture::place`], in a directory that exists.
    fn room(&self, path: &Path) -> PathBuf {
        let place = self.place(path);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        place
    }

    /// The handle that tables read it through.
    pub(crate) fn host(&self) -> Host {
        Host::at(self.0.path())
    }

    /// A scan of a table over this machine.
    pub(crate) fn scan(&self, table: &'static dyn AnyTable<Host>) -> Scan {
        Scan::of(table, self.host())
    }
}

/// What a table is asked, and of which machine.
pub(crate) struct Scan {
    table: &'static dyn AnyTable<Host>,
    pub(crate) host: Host,
    pub(crate) query: Query,
}

impl Scan {
    /// Every row.
    pub(crate) fn of(table: &'static dyn AnyTable<Host>, host: Host) -> Scan {
        Scan { table, host, query: Query::all(Arc::new(table.schema()), Run::unlimited()) }
    }

    /// The same with one more constraint.
    pub(crate) fn when<V: Into<Value<'static>>>(
        mut self,
        column: &str,
        op: Op,
        values: impl IntoIterator<Item = V>,
    ) -> Scan {
        let column = self.query.schema.column(column).unwrap();
        let values = values.into_iter().map(Into::into).collect();
        self.query.constraints.push(Constraint { column, op, values });
        self
    }

    /// The same where a column equals a value.
    pub(crate) fn equal(self, column: &str, value: impl Into<Value<'static>>) -> Scan {
        self.when(column, Op::Eq, [value.into()])
    }

    /// The rows, with every column.
    pub(crate) fn cells(&self) -> Vec<Vec<Value<'static>>> {
        let mut scan = self.table.open(&self.host, &self.query).unwrap();
        let mut rows = Vec::new();
        while scan.advance().unwrap() {
            let columns = 0..self.query.schema.columns.len();
            rows.push(columns.map(|column| scan.value(column).into_owned()).collect());
        }
        rows
    }

    /// The named columns of the rows, with `|` between them. Bytes that are not UTF-8 are escaped: `\xff`.
    pub(crate) fn texts(&self, columns: &[&str]) -> Vec<String> {
        let columns: Vec<usize> =
            columns.iter().map(|name| self.query.schema.column(name).unwrap()).collect();
        let line = |row: Vec<Value<'_>>| {
            let cells: Vec<String> = columns.iter().map(|column| written(&row[*column])).collect();
            cells.join("|")
        };
        self.cells().into_iter().map(line).collect()
    }

    /// As [`Scan::texts`], of every column that `SELECT *` shows.
    pub(crate) fn lines(&self) -> Vec<String> {
        let shown = self.query.schema.columns.iter().filter(|column| !column.hidden);
        self.texts(&shown.map(|column| &*column.name).collect::<Vec<_>>())
    }

    /// What was noted so far.
    pub(crate) fn notes(&self) -> Vec<Note> {
        self.query.run.notes()
    }
}

fn written(value: &Value<'_>) -> String {
    match value {
        Value::Null => "NULL".into(),
        Value::Int(n) => n.to_string(),
        Value::Real(x) => x.to_string(),
        Value::Text(bytes) | Value::Blob(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(_) => bytes.escape_ascii().to_string(),
        },
    }
}
