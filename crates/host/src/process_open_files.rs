//! `process_open_files`: the links in `/proc/PID/fd` that lead to a path (proc_pid_fd(5)).

use collector::{Host, Row, Rows, Table, int, key, text, unique};
use model::{Extent, Query, ScanError};

use crate::descriptors;

pub(crate) static TABLE: Table<OpenFile, Host> = Table {
    name: "process_open_files",
    about: "Files that processes hold open; those of other users' processes take privilege to see.",
    identity: unique(&["pid", "fd"]),
    extent: Extent::PerKey { keys: 300, rows: 20 },
    columns: &[
        key(int("pid", "Process that holds the file.", |f| f.pid.into())),
        int("fd", "Number of the descriptor in the process.", |f| f.fd.into()),
        text("path", "Path of the file; ` (deleted)` follows it when that name is gone.", |f| {
            (&f.path).into()
        }),
    ],
    scan,
    examples: &[
        "SELECT pid, path FROM process_open_files WHERE path LIKE '% (deleted)'",
        "SELECT fd, path FROM process_open_files WHERE pid = 1",
    ],
};

pub(crate) struct OpenFile {
    pid: i64,
    fd: i64,
    path: Vec<u8>,
}

impl Row for OpenFile {
    fn heap_bytes(&self) -> usize {
        self.path.capacity()
    }
}

fn scan(host: &Host, query: &Query) -> Result<Rows<OpenFile>, ScanError> {
    let pids = descriptors::pids(host, query, TABLE.name);
    let (host, query) = (host.clone(), query.clone());
    Ok(Box::new(pids.into_iter().flat_map(move |pid| {
        let (files, stop) = match descriptors::of(&host, &query, TABLE.name, pid) {
            Ok(files) => (files, None),
            Err(stop) => (Vec::new(), Some(Err(stop))),
        };
        let with_path = files.into_iter().filter(|d| d.target.starts_with(b"/"));
        with_path.map(move |d| Ok(OpenFile { pid, fd: d.fd, path: d.target })).chain(stop)
    })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;
    use model::Op;

    #[test]
    fn only_links_to_a_path_are_files_and_a_lookup_agrees_with_a_full_scan() {
        let machine = Fixture::new();
        machine
            .link("/proc/7/fd/0", "/dev/null")
            .link("/proc/7/fd/10", "/tmp/x (deleted)")
            .link("/proc/7/fd/2", "socket:[12]")
            .link("/proc/7/fd/3", "anon_inode:[eventfd]")
            .link("/proc/31/fd/1", "/var/log/a");
        let all = machine.scan(&TABLE).lines();
        assert_eq!(all, ["7|0|/dev/null", "7|10|/tmp/x (deleted)", "31|1|/var/log/a"]);
        assert_eq!(machine.scan(&TABLE).when("pid", Op::Eq, [7, 7, 8, -1]).lines(), all[..2]);
    }
}
