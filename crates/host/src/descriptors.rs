//! Open descriptors of processes: the links in `/proc/PID/fd` (proc_pid_fd(5)).

use std::os::unix::ffi::OsStringExt;

use collector::{Host, or_note, reason, vanished};
use model::{Query, ScanError};

use crate::bytes;

/// How many descriptors are read between two looks at the clock.
const POLL_EVERY: usize = 64;

/// An open descriptor.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Descriptor {
    /// Its number in the process.
    pub(crate) fd: i64,
    /// Where its link points: a path, or `kind:[inode]`.
    pub(crate) target: Vec<u8>,
}

impl Descriptor {
    /// The inode number of a target such as `socket:[4711]`.
    pub(crate) fn inode(&self, kind: &str) -> Option<u64> {
        bracketed(&self.target, kind)
    }
}

/// The number in `kind:[number]`, the form of the links of descriptors and namespaces.
pub(crate) fn bracketed(target: &[u8], kind: &str) -> Option<u64> {
    let number = target.strip_prefix(kind.as_bytes())?.strip_prefix(b":[")?.strip_suffix(b"]")?;
    bytes::decimal(number)
}

/// The processes that a query asks for by `pid`, or else all of them, ascending.
///
/// `/proc` answers for the id of a thread too, but does not list it: those are left out, so that a lookup
/// finds what a full scan would.
pub(crate) fn pids(host: &Host, query: &Query, table: &'static str) -> Vec<i64> {
    match query.ints("pid") {
        Some(pids) => pids.into_iter().filter(|pid| *pid > 0 && is_process(host, *pid)).collect(),
        None => all_pids(host, query, table),
    }
}

/// Every process, ascending.
pub(crate) fn all_pids(host: &Host, query: &Query, table: &'static str) -> Vec<i64> {
    // Noted also when it is missing: a machine without it tells nothing of any process.
    let entries = host.list("/proc").inspect_err(|error| query.run.note(table, "", reason(error)));
    let names = entries.into_iter().flatten();
    let mut pids: Vec<i64> = names.filter_map(|e| bytes::decimal(e.name.as_encoded_bytes())).collect();
    pids.sort_unstable();
    pids
}

fn is_process(host: &Host, pid: i64) -> bool {
    match host.read(format!("/proc/{pid}/status")) {
        Ok(status) => tgid(&status).is_none_or(|tgid| tgid == pid),
        // A fixture may hold a process without its status.
        Err(error) => !(host.is_live() && vanished(&error)),
    }
}

/// The thread group that a `/proc/PID/status` belongs to.
fn tgid(status: &[u8]) -> Option<i64> {
    let line = bytes::lines(status).find_map(|line| line.strip_prefix(b"Tgid:"))?;
    bytes::decimal(line.trim_ascii())
}

/// The open descriptors of a process, ascending. None, and a note, when they are not ours to see.
pub(crate) fn of(
    host: &Host,
    query: &Query,
    table: &'static str,
    pid: i64,
) -> Result<Vec<Descriptor>, ScanError> {
    query.run.check()?;
    let directory = format!("/proc/{pid}/fd");
    let entries = or_note(host.list(&directory), &query.run, table, "").into_iter().flatten();
    let mut descriptors = Vec::new();
    for (n, fd) in entries.filter_map(|e| bytes::decimal(e.name.as_encoded_bytes())).enumerate() {
        if n % POLL_EVERY == POLL_EVERY - 1 {
            query.run.check()?;
        }
        let target = host.read_link(format!("{directory}/{fd}"));
        if let Some(target) = or_note(target, &query.run, table, "") {
            descriptors.push(Descriptor { fd, target: target.into_os_string().into_vec() });
        }
    }
    descriptors.sort_unstable_by_key(|d| d.fd);
    Ok(descriptors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inode_is_the_number_in_brackets() {
        let target = |target: &str| Descriptor { fd: 3, target: target.into() };
        assert_eq!(target("socket:[4711]").inode("socket"), Some(4711));
        for other in ["pipe:[4711]", "socket:[]", "socket:[4711", "socket:4711", "/tmp/socket:[1]", ""] {
            assert_eq!(target(other).inode("socket"), None, "{other}");
        }
    }

    #[test]
    fn the_thread_group_is_read_from_status() {
        assert_eq!(tgid(b"Name:\tTgid: 7\nUmask:\t0022\nTgid:\t42\nPid:\t43\n"), Some(42));
        assert_eq!(tgid(b"Name:\tx\n"), None);
    }
}
