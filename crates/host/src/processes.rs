//! `processes`: what the machine's process collector gives; on Linux from proc(5).

use collector::{
    Exe, Host, OfAll, Process, ProcessQuery, Reads, Rows, Table, elsewhere_int, elsewhere_text, int, key,
    text, unique,
};
use model::{Extent, Query, ScanError};

use crate::process::{self, cgroup};

pub(crate) static TABLE: Table<Process, Host> = Table {
    name: "processes",
    about: "Processes that exist now. All values of a row belong to one process, but are read one after \
            another: an exec in between can leave an old command line beside a new path.",
    identity: unique(&["pid"]),
    extent: Extent::Whole { rows: 300 },
    columns: &[
        key(int("pid", "Process id.", |p| p.pid().into())),
        text("name", "Command name; of a program its first 15 bytes, unless it renamed itself.", |p| {
            p.stat("name").map(|s| &s.name).into()
        }),
        text("path", "Path of the image; empty for a kernel thread or a zombie.", |p| {
            p.exe("path").map(|e| &e.path).into()
        }),
        text("cmdline", "Arguments with blanks between them; `[masked]` stands for a secret.", |p| {
            p.cmdline("cmdline").map(|c| &c.text).into()
        }),
        text("state", "One letter, as in ps(1): R, S, D, T, t, Z, I …", |p| {
            p.stat("state").and_then(|s| s.state).map(|letter| vec![letter]).into()
        }),
        text("cwd", "Working directory.", |p| p.cwd("cwd").into()),
        text("root", "Root directory.", |p| p.root("root").into()),
        int("uid", "Real user.", |p| p.status("uid").map(|s| s.uid).into()),
        int("gid", "Real group.", |p| p.status("gid").map(|s| s.gid).into()),
        int("euid", "Effective user.", |p| p.status("euid").map(|s| s.euid).into()),
        int("egid", "Effective group.", |p| p.status("egid").map(|s| s.egid).into()),
        int("suid", "Saved user.", |p| p.status("suid").map(|s| s.suid).into()),
        int("sgid", "Saved group.", |p| p.status("sgid").map(|s| s.sgid).into()),
        int("on_disk", "1 while the path leads to the image, 0 once it does not, -1 for unknown.", |p| {
            on_disk(p.exe("on_disk")).into()
        }),
        int("wired_size", "Bytes that cannot be paged out; always 0 on Linux, as in osquery.", |_| 0.into()),
        int("resident_size", "Bytes in RAM.", |p| p.memory("resident_size").map(|m| m.resident).into()),
        int("total_size", "Bytes of address space.", |p| p.memory("total_size").map(|m| m.total).into()),
        int("user_time", "CPU time in user mode, in ms.", |p| p.stat("user_time").map(|s| s.user_ms).into()),
        int("system_time", "CPU time in the kernel, in ms.", |p| {
            p.stat("system_time").map(|s| s.system_ms).into()
        }),
        int("disk_bytes_read", "Bytes read from storage.", |p| {
            p.io("disk_bytes_read").map(|i| i.read).into()
        }),
        int(
            "disk_bytes_written",
            "Bytes sent to storage, less what was truncated before it got there.",
            |p| p.io("disk_bytes_written").map(|i| i.written).into(),
        ),
        int("start_time", "Start in seconds since 1970.", |p| p.start_time().into()),
        int("parent", "Pid of the parent; 0 for none.", |p| p.stat("parent").map(|s| s.parent).into()),
        int("pgroup", "Process group.", |p| p.stat("pgroup").map(|s| s.group).into()),
        int("threads", "Number of threads.", |p| p.stat("threads").map(|s| s.threads).into()),
        int("nice", "Nice value, from -20 (favoured) to 19.", |p| p.stat("nice").map(|s| s.nice).into()),
        elsewhere_int("elevated_token"),
        elsewhere_int("secure_process"),
        elsewhere_text("protection_type"),
        elsewhere_int("virtual_process"),
        elsewhere_int("elapsed_time"),
        elsewhere_int("handle_count"),
        elsewhere_int("percent_processor_time"),
        elsewhere_int("upid"),
        elsewhere_int("uppid"),
        elsewhere_int("cpu_type"),
        elsewhere_int("cpu_subtype"),
        elsewhere_int("translated"),
        text("cgroup_path", "Control group, in the hierarchy of version 2 if there is one.", |p| {
            p.cgroup("cgroup_path").and_then(cgroup::path).into()
        }),
        text("start_key", "Names this process among all that ever ran: boot, pid and start.", |p| {
            p.start_key().into()
        }),
        text("tty", "Controlling terminal under /dev, such as pts/3; NULL for none.", |p| {
            p.tty("tty").into()
        }),
        int("loginuid", "User who logged in, kept through su and sudo; NULL when nobody did.", |p| {
            p.loginuid("loginuid").into()
        }),
        int("session", "Session: pid of its leader.", |p| p.stat("session").map(|s| s.session).into()),
        text("cap_effective", "Effective capabilities: 16 hexadecimal digits, one bit each.", |p| {
            let set = p.status("cap_effective").and_then(|s| s.cap_effective);
            set.map(|bits| format!("{bits:016x}")).into()
        }),
        int("tracer_pid", "Pid of the debugger that traces it; 0 for none.", |p| {
            p.status("tracer_pid").map(|s| s.tracer_pid).into()
        }),
        int("no_new_privs", "1 if no exec can grant it privileges.", |p| {
            p.status("no_new_privs").map(|s| s.no_new_privs).into()
        }),
        int("seccomp", "System call filter: 0 off, 1 strict, 2 filter.", |p| {
            p.status("seccomp").map(|s| s.seccomp).into()
        }),
        text("container_id", "64 hexadecimal digits from the control group; NULL outside containers.", |p| {
            p.cgroup("container_id").and_then(cgroup::container_id).into()
        }),
        int(
            "exe_deleted",
            "1 if the path no longer leads to the image, also for one that never had a file.",
            |p| p.exe("exe_deleted").map(|e| e.deleted).into(),
        ),
        int("exe_inode", "Inode of the image.", |p| p.image("exe_inode").map(|i| i.inode).into()),
        int("exe_dev", "Device of the image, as st_dev of stat(2).", |p| {
            p.image("exe_dev").map(|i| i.dev).into()
        }),
        int("cmdline_masked", "1 if a part of cmdline is masked.", |p| {
            p.cmdline("cmdline_masked").map(|c| c.masked).into()
        }),
    ],
    scan,
    examples: &[
        "SELECT pid, name, resident_size FROM processes ORDER BY resident_size DESC LIMIT 5",
        "SELECT pid, name, path, cmdline FROM processes WHERE on_disk = 0",
        "SELECT p.pid, p.name, parent.name FROM processes p JOIN processes parent ON p.parent = parent.pid",
    ],
};

/// Columns that the first file of a process tells.
const STAT: &[&str] = &[
    "name",
    "state",
    "user_time",
    "system_time",
    "start_time",
    "parent",
    "pgroup",
    "threads",
    "nice",
    "start_key",
    "tty",
    "session",
];

/// Columns that need other files.
const MORE: &[&str] = &[
    "path",
    "cmdline",
    "cwd",
    "root",
    "uid",
    "gid",
    "euid",
    "egid",
    "suid",
    "sgid",
    "on_disk",
    "resident_size",
    "total_size",
    "disk_bytes_read",
    "disk_bytes_written",
    "cgroup_path",
    "loginuid",
    "cap_effective",
    "tracer_pid",
    "no_new_privs",
    "seccomp",
    "container_id",
    "exe_deleted",
    "exe_inode",
    "exe_dev",
    "cmdline_masked",
];

/// Columns for which all of [`collector::Status`] is worth reading.
const AFTER_IDS: &[&str] =
    &["resident_size", "total_size", "cap_effective", "tracer_pid", "no_new_privs", "seccomp"];

const IDS: &[&str] = &["uid", "gid", "euid", "egid", "suid", "sgid"];
const EXE: &[&str] = &["path", "on_disk", "exe_deleted"];
const CMDLINE: &[&str] = &["cmdline", "cmdline_masked"];

fn scan(host: &Host, query: &Query) -> Result<Rows<Process>, ScanError> {
    let reads = match () {
        _ if query.uses(MORE) => Reads::More,
        _ if query.uses(STAT) => Reads::Stat,
        _ => Reads::Pid,
    };
    let ids_alone = !query.uses(AFTER_IDS);
    let of_all = if query.every_row {
        OfAll { ids: ids_alone && query.uses(IDS), exe: query.uses(EXE), cmdline: query.uses(CMDLINE) }
    } else {
        OfAll::default()
    };
    process::collector(host).scan(ProcessQuery {
        ids_alone,
        of_all,
        ..ProcessQuery::new(host, TABLE.name, query, reads)
    })
}

fn on_disk(exe: Option<&Exe>) -> i64 {
    match exe.and_then(|exe| exe.deleted) {
        Some(deleted) => i64::from(!deleted),
        None => -1,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use collector::{AnyTable, ProcessRecord, ProcessRecords, Stat};
    use model::Run;

    use super::*;

    #[test]
    fn each_column_is_known_to_need_stat_or_more() {
        for column in TABLE.schema().columns {
            let needs = [STAT, MORE].iter().filter(|list| list.contains(&&*column.name)).count();
            let free = column.hidden || matches!(&*column.name, "pid" | "wired_size");
            assert_eq!(needs, usize::from(!free), "{}", column.name);
        }
    }

    #[test]
    fn a_host_can_be_given_other_processes() {
        let stat = Stat { name: b"made up".to_vec(), ..Stat::default() };
        let exe = Exe { path: b"/x".to_vec(), deleted: Some(true) };
        let record = ProcessRecord { pid: 7, stat: Some(stat), exe: Some(exe), ..ProcessRecord::default() };
        let host = Host::live().with_processes(Arc::new(ProcessRecords(vec![record])));
        let query = Query::all(Arc::new(TABLE.schema()), Run::unlimited());
        let mut scan = TABLE.open(&host, &query).unwrap();
        assert!(scan.advance().unwrap());
        let value = |name| scan.value(query.schema.column(name).unwrap()).into_owned();
        assert_eq!((value("pid"), value("name")), (7.into(), "made up".into()));
        assert_eq!((value("on_disk"), value("exe_deleted")), (0.into(), 1.into()));
        assert!(value("cmdline").is_null() && value("start_key").is_null());
        assert!(!scan.advance().unwrap());
        assert_eq!(query.run.notes(), []);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_column_shows_the_same_alone_and_among_others() {
        use crate::process::fixture::{query, rows};

        let pid = Some(&[i64::from(std::process::id())][..]);
        let ask = |columns: &[&str]| rows(&TABLE, &Host::live(), &query(&TABLE, columns, pid)).remove(0);
        let schema = TABLE.schema();
        let names: Vec<&str> = schema.columns.iter().map(|c| &*c.name).collect();
        let all = ask(&names);
        for (name, value) in names.iter().zip(all) {
            let moves = ["user_time", "system_time", "resident_size", "total_size", "threads", "state"];
            let moves = moves.contains(name) || name.starts_with("disk_bytes");
            for alone in [ask(&[name]), ask(&[name, "uid"])] {
                assert!(if moves { !alone[0].is_null() } else { alone.contains(&value) }, "{name}");
            }
        }
    }
}
