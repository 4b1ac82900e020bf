//! A `/proc` in a temporary directory, and tables scanned over it.
#![allow(clippy::disallowed_methods, reason = "a test writes its fixture")]

use std::path::PathBuf;
use std::sync::Arc;

use collector::{AnyTable, Host, Scan, Snapshot};
use model::{ColumnMask, Constraint, Op, Query, Run, Value};

/// A directory laid out like a machine.
pub(crate) struct Machine(tempfile::TempDir);

impl Machine {
    pub(crate) fn new() -> Machine {
        let machine = Machine(tempfile::tempdir().unwrap());
        machine.write("proc/stat", b"cpu 1 2 3\nbtime 1700000000\n");
        machine.write("proc/sys/kernel/random/boot_id", b"0a1b2c3d-0000-4000-8000-000000000000\n");
        machine
    }

    pub(crate) fn host(&self) -> Host {
        Host::at(self.0.path())
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, content: &[u8]) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub(crate) fn link(&self, path: &str, target: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, path).unwrap();
    }

    /// Moves a process away, as when it ends.
    pub(crate) fn end(&self, pid: u32) {
        std::fs::rename(self.path(&format!("proc/{pid}")), self.path(&format!("ended-{pid}"))).unwrap();
    }

    /// A process with a start time in ticks, and a command line.
    pub(crate) fn process(&self, pid: u32, parent: u32, start: u64, cmdline: &[u8]) {
        self.stat(pid, &stat(pid, parent, start, 0, 17));
        self.write(&format!("proc/{pid}/cmdline"), cmdline);
    }

    pub(crate) fn stat(&self, pid: u32, line: &str) {
        self.write(&format!("proc/{pid}/stat"), line.as_bytes());
    }
}

/// A `stat` line.
pub(crate) fn stat(pid: u32, parent: u32, start: u64, flags: u32, exit_signal: i32) -> String {
    format!(
        "{pid} (name {pid}) S {parent} {pid} {pid} 0 -1 {flags} 0 0 0 0 5 7 0 0 20 0 1 0 {start} 0 0 0 \
         0 0 0 0 0 0 0 0 0 0 0 0 {exit_signal} 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
    )
}

/// A query of some columns, perhaps with pids.
pub(crate) fn query(table: &impl AnyTable<Host>, columns: &[&str], pids: Option<&[i64]>) -> Query {
    let schema = Arc::new(table.schema());
    let used = columns.iter().fold(ColumnMask::NONE, |mask, c| mask.with(schema.column(c).unwrap()));
    let eq = |pids: &[i64]| Constraint {
        column: schema.column("pid").unwrap(),
        op: Op::Eq,
        values: pids.iter().map(|pid| Value::from(*pid)).collect(),
    };
    let constraints = pids.map(eq).into_iter().collect();
    Query { used, constraints, ..Query::all(schema, Run::unlimited()) }
}

/// The values of the used columns of each row.
pub(crate) fn rows(
    table: &'static impl AnyTable<Host>,
    host: &Host,
    query: &Query,
) -> Vec<Vec<Value<'static>>> {
    let mut scan = table.open(host, query).unwrap();
    let mut rows = Vec::new();
    while scan.advance().unwrap() {
        rows.push(row(query, &|column| scan.value(column).into_owned()));
    }
    rows
}

/// The same, of rows that were all kept before the first value was read; `between` runs in between.
pub(crate) fn kept(
    table: &'static impl AnyTable<Host>,
    host: &Host,
    query: &Query,
    between: impl FnOnce(),
) -> Vec<Vec<Value<'static>>> {
    let scan: Box<dyn Scan> = table.open(host, query).unwrap();
    let kept: Arc<dyn Snapshot> = scan.keep(query).unwrap();
    between();
    (0..kept.len()).map(|n| row(query, &|column| kept.value(n, column).into_owned())).collect()
}

fn row(query: &Query, value: &dyn Fn(usize) -> Value<'static>) -> Vec<Value<'static>> {
    (0..query.schema.columns.len()).filter(|column| query.used.has(*column)).map(value).collect()
}
