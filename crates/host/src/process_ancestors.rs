//! `process_ancestors`: a process's parent, the parent's parent and so on, from the process collector.

use std::collections::BTreeSet;

use collector::{
    Host, OfAll, Process, ProcessQuery, Reads, Row, Rows, Table, hidden, int, required, text, unique,
};
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
        text(
            "ancestor_cmdline",
            "Its arguments with blanks between them; `[masked]` stands for a secret.",
            |a| a.process.cmdline("ancestor_cmdline").map(|c| &c.text).into(),
        ),
        int("ancestor_uid", "Its real user.", |a| a.process.status("ancestor_uid").map(|s| s.uid).into()),
        text("ancestor_start_key", "Its start_key, as in processes.", |a| a.process.start_key().into()),
        int("ancestor_cmdline_masked", "1 if a part of its cmdline is masked.", |a| {
            a.process.cmdline("ancestor_cmdline_masked").map(|c| c.masked).into()
        }),
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
    let pids = ProcessQuery::new(host, TABLE.name, query, Reads::Stat).pids.unwrap_or_default();
    let (host, run, masking) = (host.clone(), query.run.clone(), host.masking());
    let one = move |pid| {
        let (pids, run) = (Some(vec![pid]), run.clone());
        let query = ProcessQuery {
            table: TABLE.name,
            pids,
            reads: Reads::Stat,
            ids_alone: true,
            of_all: OfAll::default(),
            masking,
            run,
        };
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use collector::{AnyTable, ProcessRecord, ProcessRecords, Stat};
    use model::{Constraint, Op, Run};

    use super::*;

    /// Processes by pid, parent and start; the ancestors of some as (pid, depth, ancestor).
    fn walk(processes: &[(u32, u32, u64)], pids: &[i64]) -> Vec<(i64, i64, i64)> {
        let record = |&(pid, parent, start): &(u32, u32, u64)| {
            let stat = Stat { parent: Some(parent), start_ticks: Some(start), ..Stat::default() };
            ProcessRecord { pid, stat: Some(stat), ..ProcessRecord::default() }
        };
        let records = ProcessRecords(processes.iter().map(record).collect());
        let host = Host::live().with_processes(Arc::new(records));
        let mut query = Query::all(Arc::new(TABLE.schema()), Run::unlimited());
        let values = pids.iter().map(|pid| (*pid).into()).collect();
        query.constraints.push(Constraint { column: 0, op: Op::Eq, values });
        let mut scan = TABLE.open(&host, &query).unwrap();
        let mut rows = Vec::new();
        while scan.advance().unwrap() {
            let int = |column| scan.value(column).as_int().unwrap();
            rows.push((int(0), int(1), int(2)));
        }
        rows
    }

    const TREE: &[(u32, u32, u64)] = &[(1, 0, 1), (20, 1, 5), (30, 20, 5), (40, 30, 9)];

    #[test]
    fn ancestors_go_up_to_the_first_process() {
        assert_eq!(walk(TREE, &[40]), [(40, 1, 30), (40, 2, 20), (40, 3, 1)]);
        assert_eq!(walk(TREE, &[1]), []);
        assert_eq!(walk(TREE, &[30, 20, 30, 99, -1]), [(20, 1, 1), (30, 1, 20), (30, 2, 1)]);
    }

    #[test]
    fn a_gap_or_a_reused_pid_ends_them() {
        assert_eq!(walk(&[(40, 30, 9)], &[40]), []);
        assert_eq!(walk(&[(30, 1, 10), (40, 30, 9)], &[40]), []);
    }

    #[test]
    fn a_cycle_ends() {
        assert_eq!(walk(&[(5, 6, 1), (6, 7, 1), (7, 5, 1)], &[5]), [(5, 1, 6), (5, 2, 7)]);
        assert_eq!(walk(&[(5, 5, 1)], &[5]), []);
    }

    #[test]
    fn the_input_is_the_first_hidden_column() {
        let schema = TABLE.schema();
        let hidden: Vec<_> = schema.columns.iter().filter(|c| c.hidden).map(|c| &*c.name).collect();
        assert_eq!((hidden, schema.required().collect::<Vec<_>>()), (vec!["pid"], vec!["pid"]));
    }
}
