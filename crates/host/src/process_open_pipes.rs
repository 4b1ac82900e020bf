//! `process_open_pipes`: pipes and FIFOs among the links in `/proc/PID/fd`, each with who holds its other end.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use collector::{FileId, Host, Row, Rows, Table, int, key, or_note, text, unique};
use model::{Extent, Query, ScanError};

use crate::descriptors::{self, Descriptor};
use crate::held::Held;

pub(crate) static TABLE: Table<Pair, Host> = Table {
    name: "process_open_pipes",
    about: "Pipes and FIFOs that processes hold open, with a row for each holder of the other end.",
    identity: unique(&["pid", "fd", "partner_pid", "partner_fd"]),
    extent: Extent::Whole { rows: 200 },
    columns: &[
        key(int("pid", "Process that holds this end.", |p| p.end.pid.into())),
        int("fd", "Number of the descriptor in the process.", |p| p.end.fd.into()),
        text("mode", "How it is open: `r`, `w` or `rw`.", |p| p.end.mode.text().into()),
        int("inode", "Inode number of the pipe.", |p| p.end.pipe.inode.into()),
        text("type", "`anonymous` (pipe(2)) or `named` (a FIFO in a file system).", |p| {
            if p.end.pipe.device.is_some() { "named" } else { "anonymous" }.into()
        }),
        int("partner_pid", "Process that holds the other end; NULL when none is known.", |p| {
            p.partner.as_ref().map(|o| o.pid).into()
        }),
        int("partner_fd", "Number of the descriptor there.", |p| p.partner.as_ref().map(|o| o.fd).into()),
        text("partner_mode", "How it is open there.", |p| p.partner.as_ref().map(|o| o.mode.text()).into()),
    ],
    scan,
    examples: &[
        "SELECT pid, fd, partner_pid FROM process_open_pipes WHERE type = 'named'",
        "SELECT partner_pid FROM process_open_pipes WHERE pid = 1 AND mode = 'w'",
    ],
};

/// A held end, and the holder of the other one.
pub(crate) struct Pair {
    end: End,
    partner: Option<End>,
}

impl Row for Pair {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct End {
    pid: i64,
    fd: i64,
    mode: Mode,
    pipe: Pipe,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Pipe {
    /// The file system of a FIFO; anonymous pipes all live in one of their own.
    device: Option<(u32, u32)>,
    inode: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mode {
    reads: bool,
    writes: bool,
}

impl Mode {
    fn text(self) -> &'static str {
        match (self.reads, self.writes) {
            (true, true) => "rw",
            (true, false) => "r",
            (false, true) => "w",
            (false, false) => "",
        }
    }

    /// Whether bytes can pass between this end and the other.
    fn pairs_with(self, other: Mode) -> bool {
        self.reads && other.writes || self.writes && other.reads
    }
}

fn scan(host: &Host, query: &Query) -> Result<Rows<Pair>, ScanError> {
    let mut wanted = query.ints("pid").map(|_| descriptors::pids(host, query, TABLE.name));
    if wanted.as_ref().is_some_and(Vec::is_empty) {
        return Ok(Box::new(std::iter::empty()));
    }
    let mut held = Held::new(&query.run);
    let mut ends = Vec::new();
    for pid in descriptors::all_pids(host, query, TABLE.name) {
        for descriptor in descriptors::of(host, query, TABLE.name, pid)? {
            if let Some(end) = end(host, query, pid, &descriptor) {
                held.grow(2 * size_of::<End>())?;
                ends.push(end);
            }
        }
    }
    let mut holders: HashMap<Pipe, Vec<End>> = HashMap::new();
    for end in &ends {
        holders.entry(end.pipe).or_default().push(*end);
    }
    let holders: HashMap<Pipe, Arc<[End]>> = holders.into_iter().map(|(p, e)| (p, e.into())).collect();
    if let Some(wanted) = &mut wanted {
        ends.retain(|end| wanted.binary_search(&end.pid).is_ok());
    }
    let run = query.run.clone();
    Ok(Box::new(ends.into_iter().flat_map(move |end| {
        // The rows live on what is counted here.
        let _ = &held;
        let stop = run.check().err().map(|stop| Err(stop.into()));
        let others = holders.get(&end.pipe).cloned().unwrap_or_default();
        stop.into_iter().chain(pairs(end, others).map(Ok))
    })))
}

/// The end with each holder of the other side; with nobody, when there is none.
fn pairs(end: End, holders: Arc<[End]>) -> impl Iterator<Item = Pair> {
    let is_partner =
        move |other: &End| (other.pid, other.fd) != (end.pid, end.fd) && end.mode.pairs_with(other.mode);
    let alone = !holders.iter().any(is_partner);
    let partners = (0..holders.len()).map(move |n| holders[n]).filter(is_partner).map(Some);
    partners.chain(alone.then_some(None)).map(move |partner| Pair { end, partner })
}

fn end(host: &Host, query: &Query, pid: i64, descriptor: &Descriptor) -> Option<End> {
    let fd = descriptor.fd;
    let path = format!("/proc/{pid}/fd/{fd}");
    let pipe = match descriptor.inode("pipe") {
        Some(inode) => Pipe { device: None, inode },
        None if descriptor.target.starts_with(b"/") => {
            let FileId { device, inode, is_fifo } = or_note(host.file_id(&path), &query.run, TABLE.name, "")?;
            is_fifo.then_some(Pipe { device: Some(device), inode })?
        }
        None => return None,
    };
    // The link's own permissions tell how it was opened (proc_pid_fd(5)).
    let link = or_note(host.lstat(&path), &query.run, TABLE.name, "")?;
    let mode = Mode { reads: link.mode() & 0o400 != 0, writes: link.mode() & 0o200 != 0 };
    Some(End { pid, fd, mode, pipe })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Scan;

    fn end(pid: i64, mode: &str) -> End {
        let mode = Mode { reads: mode.contains('r'), writes: mode.contains('w') };
        End { pid, fd: 3, mode, pipe: Pipe { device: None, inode: 9 } }
    }

    fn partners(of: End, all: &[End]) -> Vec<Option<i64>> {
        pairs(of, all.into()).map(|pair| pair.partner.map(|p| p.pid)).collect()
    }

    #[test]
    fn a_writer_is_paired_with_every_reader_and_never_with_itself() {
        let all = [end(1, "w"), end(2, "r"), end(3, "r"), end(4, "rw"), end(5, "w")];
        assert_eq!(partners(all[0], &all), [Some(2), Some(3), Some(4)]);
        assert_eq!(partners(all[3], &all), [Some(1), Some(2), Some(3), Some(5)]);
    }

    #[test]
    fn an_end_without_a_known_partner_is_one_row() {
        assert_eq!(partners(end(1, "r"), &[end(1, "r"), end(2, "r")]), [None]);
        assert_eq!(partners(end(1, "rw"), &[end(1, "rw")]), [None]);
    }

    #[test]
    fn the_two_ends_of_a_pipe_of_this_process_find_each_other() {
        let (reader, writer) = std::io::pipe().unwrap();
        let (r, w) = (std::os::fd::AsRawFd::as_raw_fd(&reader), std::os::fd::AsRawFd::as_raw_fd(&writer));
        let pid = i64::from(std::process::id());
        let found = Scan::of(&TABLE, Host::live()).equal("pid", pid).lines();
        let wanted = |row: &&String| {
            row.starts_with(&format!("{pid}|{r}|r|")) && row.ends_with(&format!("|anonymous|{pid}|{w}|w"))
        };
        assert!(found.iter().any(|row| wanted(&row)), "{found:#?}");
    }
}
