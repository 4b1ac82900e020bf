//! For tests: a directory that stands for a machine, and the rows that a table finds there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use collector::{AnyTable, Host};
use model::{Constraint, Op, Query, Run, ScanError, Value};

pub(crate) struct Fixture(tempfile::TempDir);

pub(crate) type Cells = Vec<Value<'static>>;

impl Fixture {
    pub(crate) fn new() -> Fixture {
        Fixture(tempfile::tempdir().unwrap())
    }

    pub(crate) fn host(&self) -> Host {
        Host::at(self.0.path())
    }

    /// Where a path of the fixture really is.
    pub(crate) fn place(&self, path: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(path.as_ref().strip_prefix("/").unwrap())
    }

    #[allow(clippy::disallowed_methods, reason = "a test lays its own files")]
    pub(crate) fn file(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let place = self.place(path);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, content).unwrap();
    }

    pub(crate) fn link(&self, path: &str, target: &str) {
        std::os::unix::fs::symlink(target, self.place(path)).unwrap();
    }

    /// The rows where each column equals the value.
    pub(crate) fn rows(
        &self,
        table: &'static dyn AnyTable<Host>,
        equal: &[(&str, Value<'static>)],
    ) -> Vec<Cells> {
        let equal: Vec<_> = equal.iter().map(|(c, v)| (*c, Op::Eq, vec![v.clone()])).collect();
        rows(table, &self.host(), &equal, &Run::unlimited()).unwrap()
    }

    /// The column `path` of the rows where it is like the pattern, sorted.
    pub(crate) fn like(
        &self,
        table: &'static dyn AnyTable<Host>,
        column: &str,
        pattern: &str,
    ) -> Vec<String> {
        let like = [(column, Op::Like, vec![pattern.to_owned().into()])];
        paths(table, &rows(table, &self.host(), &like, &Run::unlimited()).unwrap())
    }
}

/// The column `path` of rows, sorted.
pub(crate) fn paths(table: &'static dyn AnyTable<Host>, rows: &[Cells]) -> Vec<String> {
    let mut paths: Vec<String> = rows.iter().map(|row| text(row, table, "path")).collect();
    paths.sort();
    paths
}

/// All rows of a scan, read cell by cell.
pub(crate) fn rows(
    table: &'static dyn AnyTable<Host>,
    host: &Host,
    constraints: &[(&str, Op, Vec<Value<'static>>)],
    run: &Run,
) -> Result<Vec<Cells>, ScanError> {
    let query = query(table, constraints, run);
    let mut scan = table.open(host, &query)?;
    let mut rows = Vec::new();
    while scan.advance()? {
        rows.push((0..query.schema.columns.len()).map(|c| scan.value(c).into_owned()).collect());
    }
    Ok(rows)
}

pub(crate) fn query(
    table: &'static dyn AnyTable<Host>,
    constraints: &[(&str, Op, Vec<Value<'static>>)],
    run: &Run,
) -> Query {
    let mut query = Query::all(Arc::new(table.schema()), run.clone());
    for (column, op, values) in constraints {
        let column = query.schema.column(column).unwrap();
        query.constraints.push(Constraint { column, op: *op, values: values.clone() });
    }
    query
}

/// A cell of a row, by the name of its column.
pub(crate) fn cell<'r>(
    row: &'r Cells,
    table: &'static dyn AnyTable<Host>,
    column: &str,
) -> &'r Value<'static> {
    &row[table.schema().column(column).unwrap()]
}

/// A cell that is text, with bytes that are not UTF-8 replaced.
pub(crate) fn text(row: &Cells, table: &'static dyn AnyTable<Host>, column: &str) -> String {
    String::from_utf8_lossy(cell(row, table, column).as_text().unwrap()).into_owned()
}
