//! `process_history`: every process that was seen here, from its first to its last sight.

use collector::{Row, Rows, Table, int, key, ranged, text, unique};
use model::{Extent, Query, ScanError, Value};

use super::{failed, pages, range_ms, seconds};
use crate::history::{Fact, HistoryReader, Life, LivesCursor, LivesWanted, Meter};

pub(crate) static TABLE: Table<Life, HistoryReader> = Table {
    name: "process_history",
    about: "Processes that collection runs saw, one row per life, with the values last seen.",
    identity: unique(&["start_key", "pid", "first_seen"]),
    extent: Extent::PerKey { keys: 100_000, rows: 1 },
    columns: &[
        key(text("start_key", "Names this process among all that ever ran.", |l| (&l.start_key).into())),
        key(int("pid", "Process id.", |l| l.pid.into())),
        int("parent", "Pid of the parent; 0 for none.", |l| fact(l, Fact::Parent)),
        text("name", "Command name.", |l| fact(l, Fact::Name)),
        text("path", "Path of the image.", |l| fact(l, Fact::Path)),
        text("cmdline", "Arguments; `[masked]` stands for a secret.", |l| fact(l, Fact::Cmdline)),
        text("cwd", "Working directory.", |l| fact(l, Fact::Cwd)),
        int("uid", "Real user.", |l| fact(l, Fact::Uid)),
        int("gid", "Real group.", |l| fact(l, Fact::Gid)),
        int("euid", "Effective user.", |l| fact(l, Fact::Euid)),
        int("egid", "Effective group.", |l| fact(l, Fact::Egid)),
        int("session", "Session: pid of its leader.", |l| fact(l, Fact::Session)),
        text("tty", "Controlling terminal; NULL for none.", |l| fact(l, Fact::Tty)),
        int("loginuid", "User who logged in; NULL when nobody did.", |l| fact(l, Fact::Loginuid)),
        int("exe_deleted", "1 if the path no longer led to the image.", |l| fact(l, Fact::ExeDeleted)),
        text("cgroup_path", "Control group.", |l| fact(l, Fact::Cgroup)),
        text("container_id", "Container; NULL outside of one.", |l| fact(l, Fact::ContainerId)),
        ranged(int("first_seen", "First run that saw it, in seconds since 1970.", |l| {
            seconds(l.first_seen_ms).into()
        })),
        int("last_seen", "Last run that saw it, in seconds since 1970.", |l| seconds(l.last_seen_ms).into()),
        int("ended", "1 if a later run saw it gone.", |l| l.ended.into()),
        int("changes", "Runs in which a fact of it changed.", |l| l.changes.into()),
        int("user_time", "CPU time in user mode, in ms.", |l| l.activity.get(Meter::UserTime).into()),
        int("system_time", "CPU time in the kernel, in ms.", |l| l.activity.get(Meter::SystemTime).into()),
        int("resident_size", "Bytes in RAM.", |l| l.activity.get(Meter::ResidentSize).into()),
    ],
    scan,
    examples: &[
        "SELECT name, path, first_seen, last_seen FROM process_history WHERE pid = 1",
        "SELECT name, cmdline FROM process_history WHERE first_seen > unixepoch() - 3600 AND ended = 1",
    ],
};

impl Row for Life {
    fn heap_bytes(&self) -> usize {
        self.start_key.len() + self.facts.heap_bytes()
    }
}

fn fact(life: &Life, fact: Fact) -> Value<'_> {
    life.facts.get(fact).into()
}

fn scan(reader: &HistoryReader, query: &Query) -> Result<Rows<Life>, ScanError> {
    let reader = reader.clone();
    if let Some(keys) = query.texts("start_key") {
        let keys: Vec<Vec<u8>> = keys.into_iter().map(<[u8]>::to_vec).collect();
        let life = move |key: Vec<u8>| reader.life(&key).map_err(failed).transpose();
        return Ok(Box::new(keys.into_iter().filter_map(life)));
    }
    let (from_ms, to_ms) = range_ms(query, "first_seen");
    let pids = match query.ints("pid") {
        Some(pids) => pids.into_iter().map(Some).collect(),
        None => vec![None],
    };
    Ok(Box::new(pids.into_iter().flat_map(move |pid| {
        let (reader, wanted) = (reader.clone(), LivesWanted { pid, from_ms, to_ms });
        pages(move |after: Option<LivesCursor>| reader.lives(&wanted, after))
    })))
}
