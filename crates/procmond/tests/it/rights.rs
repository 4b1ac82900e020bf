//! The matrix of rights, as /proc tells it of every thread of the program while it serves. The golden file is rewritten by
//! `PROCMOND_GOLDEN=write cargo test -p procmond`, as root.

use std::path::Path;

use collector::Scan;
use ipc::{Client, Timing};
use model::{Op, Value};

use crate::programs::{holds, place, procmond, query, served_by_nobody};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/rights.golden");
/// Its first thread, one that accepts, one for the events and one that makes them.
const SERVING_THREADS_MIN: usize = 4;
const FIELDS: [&str; 10] =
    ["Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp"];

/// The matrix that all threads of a process agree on.
#[track_caller]
fn matrix(pid: u32) -> String {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    // A thread that scans may have ended since.
    let status = |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("status")).ok();
    let threads: Vec<String> = threads.filter_map(|thread| status(thread.unwrap())).collect();
    assert!(threads.len() > SERVING_THREADS_MIN, "only {} threads: it does not serve", threads.len());
    let mut matrices: Vec<String> = threads.iter().map(|status| fields(status)).collect();
    matrices.dedup();
    assert_eq!(matrices.len(), 1, "threads differ: {matrices:#?}");
    matrices.remove(0)
}

fn fields(status: &str) -> String {
    let field = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
        format!("{name}: {}", value.split_whitespace().collect::<Vec<_>>().join(" ")).trim_end().to_owned()
            + "\n"
    };
    FIELDS.map(field).concat()
}

/// As root with `--user 65534`, so that it is the same with and without a user named daemoneye.
fn as_root() -> String {
    let socket = place();
    let path = socket.path().join("s");
    let mut collector =
        procmond(["--user".as_ref(), "65534".as_ref(), "--socket".as_ref(), path.as_os_str()]);
    collector.says("procmond is ready");
    while_serving(&path, || matrix(collector.pid()))
}

/// Does this while a client is connected whose scan is under way.
fn while_serving<T>(socket: &Path, act: impl FnOnce() -> T) -> T {
    let client = Client::connect(socket, Timing::default()).unwrap();
    let all = query(&client, "file", &[("path", Op::Like, Value::from("/usr/%%".to_owned()))]);
    let mut scan = client.scan("file", &all).unwrap();
    assert!(scan.advance().unwrap());
    act()
}

/// As nobody without any capability. A bounding set that is full is the kernel's own, which grows with it.
fn as_nobody() -> String {
    let served = served_by_nobody("");
    let ours = std::fs::read_to_string("/proc/self/status").unwrap();
    let bounding = ours.lines().find_map(|line| line.strip_prefix("CapBnd:")).unwrap().trim().to_owned();
    while_serving(&served.socket, || matrix(served.collector.pid())).replace(&bounding, "as at the start")
}

#[test]
fn the_rights_are_those_of_the_golden_file() {
    if !["SETUID", "SETGID", "SETPCAP", "SYS_PTRACE"].into_iter().all(holds) {
        return;
    }
    let seen = format!("started as root\n{}\nstarted as nobody\n{}", as_root(), as_nobody());
    if std::env::var_os("PROCMOND_GOLDEN").is_some_and(|golden| golden == "write") {
        std::fs::write(GOLDEN, &seen).unwrap();
    }
    assert_eq!(seen, std::fs::read_to_string(GOLDEN).unwrap());
}
