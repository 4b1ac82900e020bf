//! Death tests: a program beside this file (`inject.c`) stops another process and makes it ask the kernel for what
//! it must not get. The process that is asked is the real one: nothing is added to its rights or to its filter.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use collector::Scan;

use crate::programs::{Running, fence, holds, mode, place, procmond, query, served};

const EPERM: i32 = 1;

struct Act {
    name: String,
    expected: i32,
    answered: i32,
}

/// Builds the program, and lays out a file that everybody may write to.
fn prepare(directory: &Path) -> PathBuf {
    let program = directory.join("inject");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/inject.c");
    let compiled = Command::new("cc").args(["-O1", "-o"]).arg(&program).arg(source).status().unwrap();
    assert!(compiled.success());
    std::fs::write(directory.join("victim"), "as it was").unwrap();
    mode(directory, 0o777);
    mode(&directory.join("victim"), 0o666);
    program
}

fn tried_by(pid: u32, program: &Path, directory: &Path, is_fenced: bool) -> Vec<Act> {
    let mut command = Command::new(program);
    if !is_fenced {
        command.env("INJECT_UNFENCED", "1");
    }
    let output = command.arg(pid.to_string()).arg(directory).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let act = |line: &str| {
        let [name, expected, answered] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        Act { name: name.into(), expected: expected.parse().unwrap(), answered: answered.parse().unwrap() }
    };
    text.lines().map(act).collect()
}

#[track_caller]
fn assert_refused(acts: &[Act], directory: &Path) {
    let wrong: Vec<_> = acts
        .iter()
        .filter(|act| act.answered != act.expected)
        .map(|act| format!("{}: error {} and not {}", act.name, act.answered, act.expected))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(acts.iter().filter(|act| act.expected != 0).count() >= 90);
    assert!(acts.iter().any(|act| act.expected == 0), "nothing gets through, so the test proves nothing");
    assert_eq!(std::fs::read_to_string(directory.join("victim")).unwrap(), "as it was");
    let names: BTreeSet<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.contains(std::ffi::OsStr::new("new")), "{names:?}");
}

/// Behind everything: no root, two capabilities, the filter.
#[test]
fn procmond_cannot_do_what_it_must_not() {
    if !holds("SYS_PTRACE") {
        return;
    }
    let (socket, scratch) = (place(), tempfile::tempdir().unwrap());
    let program = prepare(scratch.path());
    let mut collector = procmond(["--socket".as_ref(), socket.path().join("s").as_os_str()]);
    collector.says("procmond is ready");
    assert_refused(&tried_by(collector.pid(), &program, scratch.path(), true), scratch.path());
    collector.signal(rustix::process::Signal::TERM);
    assert_eq!(collector.ends(), Some(0), "it goes on as if nothing had been asked");
}

/// The same of a thread that serves clients, while it does.
#[test]
fn a_thread_that_serves_cannot_either() {
    if !holds("SYS_PTRACE") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let program = prepare(scratch.path());
    let served = served("");
    let client = served.client();
    let tasks = std::fs::read_dir(format!("/proc/{}/task", served.collector.pid())).unwrap();
    let named = |task: std::fs::DirEntry| {
        let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
        Some((name.trim().to_owned(), task.file_name().to_str()?.parse().ok()?))
    };
    let threads: Vec<(String, u32)> = tasks.filter_map(|task| named(task.unwrap())).collect();
    for wanted in ["ipc-accept", "ipc-connection"] {
        let thread =
            threads.iter().find(|(name, _)| *name == wanted).unwrap_or_else(|| panic!("{threads:?}"));
        assert_refused(&tried_by(thread.1, &program, scratch.path(), true), scratch.path());
    }
    drop(client);
    let client = served.client();
    let mut scan = client.scan("uptime", &query(&client, "uptime", &[])).unwrap();
    assert!(scan.advance().unwrap(), "it serves as if nothing had been asked");
}

/// A process at this place, once it is there.
fn held(place: &str) -> Running {
    let mut command = fence(place, "hold");
    command.stdout(Stdio::piped());
    let mut held = Running::start(command);
    let mut ready = String::new();
    BufReader::new(held.child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    assert_eq!(ready, "ready\n");
    held
}

/// In front of everything but the filter: still root, with every capability. So what procmond cannot do is not
/// only for want of a capability.
#[test]
fn the_filter_alone_refuses_root_the_same() {
    if !holds("SYS_PTRACE") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let program = prepare(scratch.path());
    let filtered = held("filtered");
    assert_refused(&tried_by(filtered.pid(), &program, scratch.path(), true), scratch.path());
}

/// The other half of the proof: without the fence, root is answered EPERM to none of them.
#[test]
fn without_the_fence_none_of_it_is_refused() {
    if !holds("SYS_PTRACE") || !holds("SYS_ADMIN") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let program = prepare(scratch.path());
    let outside = held("outside");
    let refused: Vec<String> = tried_by(outside.pid(), &program, scratch.path(), false)
        .into_iter()
        .filter(|act| act.answered == EPERM)
        .map(|act| act.name)
        .collect();
    assert!(refused.is_empty(), "refused without a fence: {refused:?}");
}
