use std::collections::HashMap;
use std::process::{Command, Stdio};

use crate::machine::{Machine, line};
use crate::outside::{Running, needs, told_of, told_text, wait_for};

/// What must be the same in every reading of a process that lives on.
const FIXED: &str = "ppid=,ruid=,euid=,rgid=,egid=,svuid=,svgid=,sess=,pgid=,tty=,ni=,nlwp=,comm=";
const COLUMNS: &str =
    "parent, uid, euid, gid, egid, suid, sgid, session, pgroup, coalesce(tty, '?'), nice, threads, name";

/// A line of ps for each process: its pid, and the other fields with `|` between them.
fn ps(fields: &str, count: usize) -> HashMap<i64, String> {
    let told = told_text("ps", &["-e", "-ww", "-o", &format!("pid=,{fields}")]);
    let fact = |line: &str| {
        // The last field may hold blanks.
        let mut rest = line.trim_start();
        let mut words = Vec::new();
        for _ in 0..count {
            let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
            words.push(word);
            rest = after.trim_start();
        }
        let pid = words[0].parse().unwrap();
        words.push(rest);
        (pid, words[1..].join("|"))
    };
    told.lines().map(fact).collect()
}

/// The lines that two readings have in common: those of processes that did not change between.
fn steady(before: HashMap<i64, String>, after: &HashMap<i64, String>) -> HashMap<i64, String> {
    before.into_iter().filter(|(pid, line)| after.get(pid) == Some(line)).collect()
}

/// Compares until each process agreed at least once: one that changes to and fro between two readings of ps may differ
/// from both, but not time after time. `differ` tells how, for each process that does.
#[track_caller]
fn agree(mut differ: impl FnMut() -> HashMap<i64, String>) {
    const ROUNDS: usize = 10;
    let mut wrong = differ();
    for _ in 1..ROUNDS {
        if wrong.is_empty() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
        let again = differ();
        wrong.retain(|pid, _| again.contains_key(pid));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn ours(sql: &str) -> HashMap<i64, String> {
    let rows = Machine::unmasked().answer(sql).rows;
    rows.iter().map(|row| (row[0].as_int().unwrap(), line(&row[1..]))).collect()
}

/// Processes of many kinds besides those that the machine happens to run.
fn company() -> Vec<Running> {
    let mut company = vec![
        Running::sleeper(),
        Running::start(Command::new("nice").args(["-n", "7", "sleep", "600"])),
        Running::start(Command::new("setsid").args(["sleep", "600"])),
    ];
    if rustix::process::geteuid().is_root() && needs("setpriv") {
        let user = ["--ruid=1", "--euid=2", "--rgid=3", "--egid=4", "--clear-groups", "sleep", "600"];
        company.push(Running::start(Command::new("setpriv").args(user)));
    }
    if needs("script") {
        let terminal = ["-qfc", "sleep 600", "/dev/null"];
        company.push(Running::start(Command::new("script").args(terminal).stdout(Stdio::null())));
    }
    company
}

#[test]
fn processes_are_those_of_ps() {
    if !needs("ps") {
        return;
    }
    let company = company();
    // What was just started may still become another program.
    wait_for("the company to come to rest", || {
        let (before, after) = (ps(FIXED, 13), ps(FIXED, 13));
        let steady = steady(before, &after);
        company.iter().all(|process| steady.contains_key(&process.pid()))
    });
    agree(|| {
        let before = ps(FIXED, 13);
        let ours = ours(&format!("SELECT pid, {COLUMNS} FROM processes"));
        let different = |(pid, theirs): (i64, String)| {
            // ps marks a zombie's name, and has no nice value for a real-time process.
            let theirs = theirs.trim_end_matches(" <defunct>");
            let ours = ours.get(&pid).map_or("missing", String::as_str);
            let same = ours.split('|').count() == theirs.split('|').count()
                && ours
                    .split('|')
                    .zip(theirs.split('|'))
                    .all(|(ours, theirs)| ours == theirs || theirs == "-");
            (!same).then(|| (pid, format!("ours {ours}, theirs {theirs}")))
        };
        steady(before, &ps(FIXED, 13)).into_iter().filter_map(different).collect()
    });
}

#[test]
fn command_lines_are_those_of_ps() {
    if !needs("ps") {
        return;
    }
    let _company = company();
    let mut compared = 0;
    agree(|| {
        let before = ps("args=", 1);
        let ours = ours("SELECT pid, cmdline FROM processes WHERE cmdline <> ''");
        let different = |(pid, theirs): (i64, String)| {
            // ps masks what a terminal could not show, and puts a name in brackets where there are no arguments.
            let Some(ours) = ours.get(&pid) else {
                let same = theirs.starts_with('[') || theirs.ends_with("<defunct>");
                return (!same).then(|| (pid, format!("missing, theirs {theirs}")));
            };
            if !ours.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
                return None;
            }
            compared += 1;
            (ours.trim() != theirs.trim()).then(|| (pid, format!("ours {ours}, theirs {theirs}")))
        };
        steady(before, &ps("args=", 1)).into_iter().filter_map(different).collect()
    });
    assert!(compared > 3);
}

#[test]
fn start_times_are_those_of_ps_within_a_second() {
    if !needs("ps") || !needs("date") {
        return;
    }
    let _company = company();
    let theirs = ps("lstart=", 1);
    let ours = ours("SELECT pid, start_time FROM processes");
    let (pids, texts): (Vec<_>, Vec<_>) = theirs.into_iter().unzip();
    let seconds = told_of("date", &["-u", "-f", "-", "+%s"], &texts.join("\n"));
    let seconds: Vec<i64> = seconds.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(seconds.len(), pids.len());
    let mut compared = 0;
    for (pid, theirs) in pids.iter().zip(seconds) {
        let Some(ours) = ours.get(pid) else { continue };
        assert!((ours.parse::<i64>().unwrap() - theirs).abs() <= 1, "{pid}: {ours} {theirs}");
        compared += 1;
    }
    assert!(compared > 3);
}

#[test]
fn memory_and_cpu_time_are_those_of_ps() {
    if !needs("ps") {
        return;
    }
    let _company = company();
    let mut compared = 0;
    agree(|| {
        let before = ps("vsz=,rss=,times=", 3);
        let ours = ours(
            "SELECT pid, total_size / 1024, resident_size / 1024, (user_time + system_time) / 1000 FROM processes",
        );
        let numbers = |line: &str| -> Vec<i64> { line.split('|').map(|n| n.parse().unwrap_or(0)).collect() };
        let different = |(pid, theirs): (i64, String)| {
            let (ours, theirs) = (numbers(ours.get(&pid)?), numbers(&theirs));
            compared += 1;
            // The kernel counts resident pages per processor, and its two files add them up at different times.
            let same = ours[0] == theirs[0]
                && (ours[1] - theirs[1]).abs() <= 1024 + theirs[1] / 10
                && (ours[2] - theirs[2]).abs() <= 1;
            (!same).then(|| (pid, format!("ours {ours:?}, theirs {theirs:?}")))
        };
        steady(before, &ps("vsz=,rss=,times=", 3)).into_iter().filter_map(different).collect()
    });
    assert!(compared > 3);
}

#[test]
fn states_are_those_of_ps() {
    if !needs("ps") {
        return;
    }
    let sleeping = Running::sleeper();
    let stopped = Running::sleeper();
    let mut zombie = Command::new("true").spawn().unwrap();
    told_text("sh", &["-c", &format!("kill -STOP {}", stopped.pid())]);
    let state = |pid: i64| told_text("ps", &["-o", "s=", "-p", &pid.to_string()]).trim().to_owned();
    let pids = [sleeping.pid(), stopped.pid(), i64::from(zombie.id())];
    for (pid, letter) in pids.into_iter().zip(["S", "T", "Z"]) {
        wait_for("the state", || state(pid) == letter);
        let sql = format!("SELECT state FROM processes WHERE pid = {pid}");
        assert_eq!(Machine::live().one(&sql), letter);
    }
    let sql = format!("SELECT path, cmdline, name, parent FROM processes WHERE pid = {}", zombie.id());
    assert_eq!(Machine::live().one(&sql), format!("||true|{}", std::process::id()));
    zombie.wait().unwrap();
}

#[test]
fn ancestors_are_the_parents_of_ps() {
    if !needs("ps") {
        return;
    }
    let me = i64::from(std::process::id());
    let parents = ps("ppid=", 1);
    let mut chain = Vec::new();
    let mut pid = me;
    while let Some(parent) = parents.get(&pid).and_then(|p| p.parse::<i64>().ok()).filter(|p| *p > 0) {
        chain.push(format!("{}|{parent}", chain.len() + 1));
        pid = parent;
    }
    let sql = format!("SELECT depth, ancestor_pid FROM process_ancestors({me}) ORDER BY depth");
    assert_eq!(Machine::live().lines(&sql), chain);
}

#[test]
fn environments_maps_and_namespaces_are_those_of_proc() {
    let mut command = Command::new("sleep");
    command.arg("600").env_clear().env("PATH", "/usr/bin:/bin").env("ONE", "1=2").env("EMPTY", "");
    let process = Running::start(&mut command);
    let pid = process.pid();
    let mut machine = Machine::unmasked();
    let sql = format!("SELECT key || '=' || value FROM process_envs WHERE pid = {pid} ORDER BY key");
    assert_eq!(machine.lines(&sql), ["EMPTY=", "ONE=1=2", "PATH=/usr/bin:/bin"]);
    let inode = |kind: &str| {
        let link = std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
        let link = link.to_str().unwrap().to_owned();
        link.split(['[', ']']).nth(1).unwrap().to_owned()
    };
    let kinds = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];
    let columns = kinds.map(|kind| format!("{kind}_namespace")).join(", ");
    let sql = format!("SELECT {columns} FROM process_namespaces WHERE pid = {pid}");
    assert_eq!(machine.one(&sql), kinds.map(inode).join("|"));
    let sql = format!("SELECT count(*) FROM process_memory_map WHERE pid = {pid}");
    // A young process still maps its libraries: the truth is what stands before and after the scan.
    let maps = || std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap().lines().count().to_string();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        let (before, ours, after) = (maps(), machine.one(&sql), maps());
        if before == after {
            assert_eq!(ours, before);
            break;
        }
        assert!(std::time::Instant::now() < deadline, "the process never came to rest");
    }
    let sql = format!(
        "SELECT count(*) FROM process_memory_map m JOIN processes p USING (pid)
         WHERE m.pid = {pid} AND m.path = p.path AND m.permissions = 'r-xp'"
    );
    assert_eq!(machine.one(&sql), "1");
}
