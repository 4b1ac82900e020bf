//! `process_ancestors`: a process's parent, the parent's parent and so on, from the process collector.

use std::collections::BTreeSet;

use collector::{Host, Process, ProcessQuery, Reads, Row, Rows, Table, hidden, int, required, text, unique};
use model::{Extent, Query, ScanError};

use crate::process;

pub(crate) static TABLE: Table<Ancestor, Host> = Table {
    name: "process_ancestors",
    about: "The ancestors of a process, from its parent up; ends at the first one that is gone.",
    identity: unique(&["pid", "depth"]),
    extent: Extent::PerKey { keys: 300, rows: 4 },
    columns: &[
        hidden(required(int("pid", "Process whose ancestors these are.", |a| a.pid.into()))),
        int("depth", "1 for the parent, 2 for its parent and so on.", |a| a.depth.into()),
        int("ancestor_pid", "Process id of the ancestor.", |a| a.process.pid().into()),
        text("ancestor_name", "Its command name.", |a| {
            a.process.stat("ancestor_name").map(|s| &s.name).into()
        }),
        text("ancestor_path", "Path of its image; empty for a kernel thread.", |a| {
            a.process.exe("ancestor_path").map(|e| &e.path).into()
        }),
        text("ancestor_cmdline", "Its arguments with blanks between them.", |a| {
            a.process.cmdline("ancestor_cmdline").into()
        }),
        int("ancestor_uid", "Its real user.", |a| a.process.status("ancestor_uid").map(|s| s.uid).into()),
        text("ancestor_start_key", "Its start_key, as in processes.", |a| a.process.start_key().into()),
    ],
    scan,
    examples: &[
        "SELECT depth, ancestor_pid, ancestor_name FROM process_ancestors(1)",
        "SELECT p.pid, a.depth, a.ancestor_name FROM processes p JOIN process_ancestors a USING (pid) \
         WHERE p.name = 'sh'",
    ],
};

pub(crate) struct Ancestor {
    pid: u32,
    depth: u32,
    process: Process,
}

impl Row for Ancestor {
    fn heap_bytes(&self) -> usize {
        self.process.heap_bytes()
    }
}

fn scan(host: &Host, query: &Query) -> Result<Rows<Ancestor>, ScanError> {
    let pids = ProcessQuery::new(TABLE.name, query, Reads::Stat).pids.unwrap_or_default();
    let (host, run) = (host.clone(), query.run.clone());
    let one = move |pid| {
        let query =
            ProcessQuery { table: TABLE.name, pids: Some(vec![pid]), reads: Reads::Stat, run: run.clone() };
        process::collector(&host).scan(query)?.next().transpose()
    };
    Ok(Box::new(pids.into_iter().flat_map(move |pid| match ancestors(pid, &one) {
        Ok(ancestors) => ancestors.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    })))
}

/// Walks up from `pid`, where `one` finds a process.
fn ancestors(
    pid: u32,
    one: &impl Fn(u32) -> Result<Option<Process>, ScanError>,
) -> Result<Vec<Ancestor>, ScanError> {
    let mut ancestors = Vec::new();
    let mut seen = BTreeSet::from([pid]);
    let Some(mut parent) = one(pid)?.map(|p| Parent::of(&p)) else { return Ok(ancestors) };
    while let Some(process) = parent.find(one)? {
        if !seen.insert(process.pid()) {
            break; // Pids were reused while this walked.
        }
        parent = Parent::of(&process);
        ancestors.push(Ancestor { pid, depth: ancestors.len() as u32 + 1, process });
    }
    Ok(ancestors)
}

/// Who the parent of a process is said to be.
struct Parent {
    child: u32,
    pid: Option<u32>,
    child_start: Option<u64>,
}

impl Parent {
    fn of(child: &Process) -> Parent {
        let stat = child.stat("");
        Parent {
            child: child.pid(),
            pid: stat.and_then(|s| s.parent),
            child_start: stat.and_then(|s| s.start_ticks),
        }
    }

    /// The parent's process. No parent is younger than its child, so a younger one has taken over the pid of
    /// a parent that died; then the child has another by now, who is asked for once.
    fn find(
        &self,
        one: &impl Fn(u32) -> Result<Option<Process>, ScanError>,
    ) -> Result<Option<Process>, ScanError> {
        let found = self.find_once(one)?;
        if found.is_some() || self.pid == Some(0) {
            return Ok(found);
        }
        match one(self.child)?.map(|child| Parent::of(&child)) {
            Some(now) if now.child_start == self.child_start && now.pid != self.pid => now.find_once(one),
            _ => Ok(None),
        }
    }

    fn find_once(
        &self,
        one: &impl Fn(u32) -> Result<Option<Process>, ScanError>,
    ) -> Result<Option<Process>, ScanError> {
        let Some(pid) = self.pid.filter(|pid| *pid != 0) else { return Ok(None) };
        let older = |parent: &Process| match (parent.stat("").and_then(|s| s.start_ticks), self.child_start) {
            (Some(parent), Some(child)) => parent <= child,
            _ => true,
        };
        Ok(one(pid)?.filter(older))
    }
}
