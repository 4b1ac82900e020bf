//! `process_namespaces`: from the links `/proc/PID/ns/*` (namespaces(7)).

use collector::{Host, Namespaces, Process, Reads, Rows, Table, int, key, text, unique};
use model::{Extent, Query, ScanError, Value};

use crate::process;

pub(crate) static TABLE: Table<Process, Host> = Table {
    name: "process_namespaces",
    about: "Namespaces of processes, by inode: processes that share a number share the namespace.",
    identity: unique(&["pid"]),
    extent: Extent::Whole { rows: 300 },
    columns: &[
        key(int("pid", "Process id.", |p| p.pid().into())),
        text("cgroup_namespace", "Inode of the cgroup namespace.", |p| {
            inode(p, "cgroup_namespace", |n| n.cgroup)
        }),
        text("ipc_namespace", "Inode of the IPC namespace.", |p| inode(p, "ipc_namespace", |n| n.ipc)),
        text("mnt_namespace", "Inode of the mount namespace.", |p| inode(p, "mnt_namespace", |n| n.mnt)),
        text("net_namespace", "Inode of the network namespace.", |p| inode(p, "net_namespace", |n| n.net)),
        text("pid_namespace", "Inode of the pid namespace.", |p| inode(p, "pid_namespace", |n| n.pid)),
        text("user_namespace", "Inode of the user namespace.", |p| inode(p, "user_namespace", |n| n.user)),
        text("uts_namespace", "Inode of the UTS namespace.", |p| inode(p, "uts_namespace", |n| n.uts)),
    ],
    scan,
    examples: &[
        "SELECT net_namespace, count(*) FROM process_namespaces GROUP BY net_namespace",
        "SELECT * FROM process_namespaces WHERE pid = 1",
    ],
};

fn inode<'p>(process: &'p Process, column: &'static str, of: fn(&Namespaces) -> Option<u64>) -> Value<'p> {
    process.namespaces(column).and_then(of).map(|inode| inode.to_string()).into()
}

fn scan(host: &Host, query: &Query) -> Result<Rows<Process>, ScanError> {
    let pid_alone = query.used.bits() & !1 == 0;
    process::scan(host, TABLE.name, query, if pid_alone { Reads::Pid } else { Reads::More })
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use crate::process::fixture::{Machine, query, rows};

    #[test]
    fn a_namespace_is_its_inode() {
        let machine = Machine::new();
        machine.process(7, 1, 1, b"");
        machine.link("proc/7/ns/mnt", "mnt:[4026531841]");
        machine.link("proc/7/ns/net", "net:[4026531840]");
        let query = query(&TABLE, &["pid", "mnt_namespace", "net_namespace", "uts_namespace"], None);
        let inode = |inode: &str| Value::from(inode.to_owned());
        let row = [Value::Int(7), inode("4026531841"), inode("4026531840"), Value::Null];
        assert_eq!(rows(&TABLE, &machine.host(), &query), [row]);
        assert_eq!(query.run.notes(), []);
    }
}
