//! Open descriptors of processes: the links in `/proc/PID/fd` (proc_pid_fd(5)).

use std::io;
use std::os::unix::ffi::OsStringExt;

use collector::{Host, reason, vanished};
use model::{Query, ScanError};

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
    std::str::from_utf8(number).ok()?.parse().ok()
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
    let entries = match host.list("/proc") {
        Ok(entries) => entries,
        Err(error) => {
            query.run.note(table, "", reason(&error));
            return Vec::new();
        }
    };
    let mut pids: Vec<i64> = entries.filter_map(|e| number(e.name.as_encoded_bytes())).collect();
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
    let line = status.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(b"Tgid:"))?;
    number(line.trim_ascii())
}

fn number(digits: &[u8]) -> Option<i64> {
    // `parse` would take a sign.
    let all_digits = digits.iter().all(u8::is_ascii_digit);
    all_digits.then(|| std::str::from_utf8(digits).ok()?.parse().ok())?
}

/// The open descriptors of a process, ascending. None, and a note, when they are not ours to see.
pub(crate) fn of(
    host: &Host,
    query: &Query,
    table: &'static str,
    pid: i64,
) -> Result<Vec<Descriptor>, ScanError> {
    let unreadable = |error: &io::Error| {
        if !vanished(error) {
            query.run.note(table, "", reason(error));
        }
    };
    query.run.check()?;
    let directory = format!("/proc/{pid}/fd");
    let entries = match host.list(&directory) {
        Ok(entries) => entries,
        Err(error) => {
            unreadable(&error);
            return Ok(Vec::new());
        }
    };
    let mut descriptors = Vec::new();
    for (n, fd) in entries.filter_map(|e| number(e.name.as_encoded_bytes())).enumerate() {
        if n % POLL_EVERY == POLL_EVERY - 1 {
            query.run.check()?;
        }
        match host.read_link(format!("{directory}/{fd}")) {
            Ok(target) => descriptors.push(Descriptor { fd, target: target.into_os_string().into_vec() }),
            Err(error) => unreadable(&error),
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

    #[test]
    fn only_digits_are_a_number() {
        assert_eq!(number(b"42"), Some(42));
        assert!(
            [&b"-1"[..], b"+1", b"1a", b"self", b"", b"99999999999999999999"]
                .iter()
                .all(|n| number(n).is_none())
        );
    }
}
