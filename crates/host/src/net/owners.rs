//! Which process holds which socket: the lists of `/proc/net` joined with the links in `/proc/PID/fd` on the
//! inode number, for every network namespace that a process lives in.

use std::collections::{HashMap, HashSet};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use collector::{Host, Row, Rows, note, reason, vanished};
use model::{Query, ScanError};

use super::sockets::{self, LISTS, Socket};
use super::written;
use crate::descriptors;
use crate::held::Held;

/// The `pid` and `fd` of a socket that no process is seen to hold.
const NOBODY: i64 = -1;

/// A socket and a descriptor that leads to it.
pub(crate) struct Owned {
    pub(crate) pid: i64,
    pub(crate) fd: i64,
    pub(crate) socket: Arc<Socket>,
}

impl Row for Owned {
    fn heap_bytes(&self) -> usize {
        size_of::<Socket>() + self.socket.path.capacity()
    }
}

impl Owned {
    /// An address as text; empty outside IP.
    pub(crate) fn local_address(&self) -> String {
        written(self.socket.local.map(|(address, _)| address))
    }

    /// As [`Owned::local_address`], of the other side.
    pub(crate) fn remote_address(&self) -> String {
        written(self.socket.remote.map(|(address, _)| address))
    }
}

/// The sockets of the processes that the query asks for by `pid`; for a full scan (or one that asks for pid -1)
/// those of all processes, and then those that nobody is seen to hold.
pub(crate) fn owned(host: &Host, query: &Query, table: &'static str) -> Result<Rows<Owned>, ScanError> {
    let full = query.ints("pid").is_none_or(|pids| pids.contains(&NOBODY));
    let mut lists = Lists::new(host, query, table);
    let pids = if full {
        lists.load_all()?;
        descriptors::all_pids(host, query, table)
    } else {
        descriptors::pids(host, query, table)
    };
    Ok(Box::new(Scan {
        lists,
        pids: pids.into_iter(),
        ready: Vec::new().into_iter(),
        held_by_somebody: HashSet::new(),
        orphans_due: full,
    }))
}

struct Scan {
    lists: Lists,
    pids: std::vec::IntoIter<i64>,
    ready: std::vec::IntoIter<Owned>,
    held_by_somebody: HashSet<u64>,
    orphans_due: bool,
}

impl Iterator for Scan {
    type Item = Result<Owned, ScanError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.ready.next() {
                return Some(Ok(row));
            }
            let rows = match self.pids.next() {
                Some(pid) => self.of_process(pid),
                None if std::mem::take(&mut self.orphans_due) => Ok(self.orphans()),
                None => return None,
            };
            match rows {
                Ok(rows) => self.ready = rows.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Scan {
    fn of_process(&mut self, pid: i64) -> Result<Vec<Owned>, ScanError> {
        self.lists.load_for(pid)?;
        let Lists { host, query, table, .. } = &self.lists;
        let descriptors = descriptors::of(host, query, table, pid)?;
        let held: Vec<_> = descriptors.iter().filter_map(|d| Some((d.fd, d.inode("socket")?))).collect();
        if held.iter().any(|(_, inode)| !self.lists.by_inode.contains_key(inode)) {
            // A socket stays in the namespace it was made in, and a process can leave that or be handed one.
            self.lists.load_all()?;
        }
        let mut rows = Vec::new();
        for (fd, inode) in held {
            self.held_by_somebody.insert(inode);
            for n in self.lists.by_inode.get(&inode).into_iter().flatten() {
                rows.push(Owned { pid, fd, socket: self.lists.sockets[*n].clone() });
            }
        }
        Ok(rows)
    }

    fn orphans(&self) -> Vec<Owned> {
        let nobodys = self.lists.sockets.iter().filter(|s| !self.held_by_somebody.contains(&s.inode));
        nobodys.map(|s| Owned { pid: NOBODY, fd: NOBODY, socket: s.clone() }).collect()
    }
}

/// The sockets of the namespaces that were read so far.
struct Lists {
    host: Host,
    query: Query,
    table: &'static str,
    sockets: Vec<Arc<Socket>>,
    /// Places in `sockets`: several for an MPTCP connection, whose subflows share its inode number.
    by_inode: HashMap<u64, Vec<usize>>,
    /// The namespace of the process that reads, whose lists are in `/proc/net`.
    own: Option<u64>,
    namespaces: HashSet<Option<u64>>,
    all_loaded: bool,
    held: Held,
}

impl Lists {
    fn new(host: &Host, query: &Query, table: &'static str) -> Lists {
        // A fixture has no reader; its `/proc/net` is taken for that of its first process.
        let own = ["self", "1"].iter().find_map(|pid| namespace(host, pid).ok().flatten());
        Lists {
            host: host.clone(),
            query: query.clone(),
            table,
            sockets: Vec::new(),
            by_inode: HashMap::new(),
            own,
            namespaces: HashSet::new(),
            all_loaded: false,
            held: Held::new(&query.run),
        }
    }

    /// Reads every namespace that a process lives in.
    fn load_all(&mut self) -> Result<(), ScanError> {
        if std::mem::replace(&mut self.all_loaded, true) {
            return Ok(());
        }
        self.load_own()?;
        for pid in descriptors::all_pids(&self.host, &self.query, self.table) {
            self.load_for(pid)?;
        }
        Ok(())
    }

    /// Reads the namespace that a process lives in.
    fn load_for(&mut self, pid: i64) -> Result<(), ScanError> {
        self.query.run.check()?;
        let id = match namespace(&self.host, &pid.to_string()) {
            Ok(Some(id)) => id,
            Err(error) if !vanished(&error) => {
                self.query.run.note(self.table, "net_namespace", reason(&error));
                return self.load_own();
            }
            // A fixture without namespaces, or a zombie, which holds nothing.
            Ok(None) | Err(_) => return self.load_own(),
        };
        if Some(id) == self.own {
            return self.load_own();
        }
        if self.namespaces.contains(&Some(id)) {
            return Ok(());
        }
        let sockets = self.read(&format!("/proc/{pid}/net"), Some(id))?;
        // Only a process that is there and has not moved read the namespace to its end; else the next one will.
        if namespace(&self.host, &pid.to_string()).ok().flatten() == Some(id) {
            self.add(Some(id), sockets);
        }
        Ok(())
    }

    fn load_own(&mut self) -> Result<(), ScanError> {
        if !self.namespaces.contains(&self.own) {
            let sockets = self.read("/proc/net", self.own)?;
            self.add(self.own, sockets);
        }
        Ok(())
    }

    fn add(&mut self, namespace: Option<u64>, sockets: Vec<Socket>) {
        self.namespaces.insert(namespace);
        for socket in sockets {
            self.by_inode.entry(socket.inode).or_default().push(self.sockets.len());
            self.sockets.push(Arc::new(socket));
        }
    }

    fn read(&mut self, directory: &str, namespace: Option<u64>) -> Result<Vec<Socket>, ScanError> {
        /// A socket with its place in two collections, in bytes; nearly all paths are short.
        const EACH: usize = size_of::<Socket>() + 64;
        let mut all = Vec::new();
        for (file, format) in LISTS {
            self.query.run.check()?;
            match self.host.read(format!("{directory}/{file}")) {
                Ok(content) => {
                    let sockets = sockets::parse(*format, &content, namespace);
                    self.held.grow(sockets.len() * EACH)?;
                    all.extend(sockets);
                }
                Err(error) => note(&self.query.run, self.table, "", &error),
            }
        }
        Ok(all)
    }
}

/// The network namespace of a process; `None` when the link does not name one.
fn namespace(host: &Host, pid: &str) -> std::io::Result<Option<u64>> {
    let link = host.read_link(format!("/proc/{pid}/ns/net"))?;
    Ok(descriptors::bracketed(link.as_os_str().as_bytes(), "net"))
}
