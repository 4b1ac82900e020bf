//! A scan of 1,000 and 10,000 live processes next to a bare read of the same files, the procfs crate and
//! sysinfo: CPU time, in turns within one run. The bench starts and ends its own sleepers.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench or a test ends in a panic when its machine is not as it needs"
)]
#![allow(clippy::disallowed_methods, reason = "the bare read is what the table is measured against")]

mod support;

use std::hint::black_box;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use collector::{AnyTable, Host};
use model::{Query, Run};
use rustix::fs::{Dir, Mode, OFlags, open, openat, readlinkat_raw};
use rustix::io::read;
use vtables::{Engine, Here, Limits, Options, Route};

/// What the row of `ps -ef` and a hunter's first question need: four files of each process.
const FULL: &str =
    "SELECT pid, name, state, parent, uid, gid, euid, egid, suid, sgid, threads, cmdline, path,
    start_time, user_time, system_time FROM processes";

/// getdents of /proc, then `stat`, `status`, `cmdline` and `exe` of each process through a descriptor of its
/// directory, into one buffer that nobody looks at.
fn bare_read() -> usize {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let proc: OwnedFd = open("/proc", flags | OFlags::DIRECTORY, Mode::empty()).unwrap();
    let mut buffer = vec![0u8; 16 << 10];
    let mut count = 0;
    for entry in Dir::read_from(&proc).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if !name.to_bytes()[0].is_ascii_digit() {
            continue;
        }
        let Ok(process) = openat(&proc, name, flags | OFlags::PATH | OFlags::DIRECTORY, Mode::empty()) else {
            continue;
        };
        for file in ["stat", "status", "cmdline"] {
            if let Ok(file) = openat(&process, file, flags, Mode::empty()) {
                while read(&file, &mut buffer[..]).is_ok_and(|n| n == buffer.len()) {}
            }
        }
        let _ = black_box(readlinkat_raw(&process, "exe", &mut buffer[..]).map(drop));
        count += 1;
    }
    count
}

fn with_procfs_crate() {
    for process in procfs::process::all_processes().unwrap().flatten() {
        black_box((process.stat().ok(), process.status().ok(), process.cmdline().ok(), process.exe().ok()));
    }
}

fn engine() -> Engine {
    let tables = host::TABLES.iter().map(|t| *t as &'static dyn AnyTable<Host>);
    let route: Arc<dyn Route> = Arc::new(Here::new(tables, Host::live()));
    Engine::new(vec![route], Limits::default()).unwrap()
}

/// The table alone, every column of [`FULL`] read from each row.
fn scan_full(host: &Host, columns: &[usize], query: &Query) {
    let table = host::TABLES.iter().find(|t| t.name() == "processes").unwrap();
    let mut scan = table.open(host, query).unwrap();
    while scan.advance().unwrap() {
        for column in columns {
            black_box(scan.value(*column));
        }
    }
}

fn at(processes: usize, rounds: usize) {
    let _sleepers = support::Sleepers::start(processes);
    assert!(bare_read() >= processes);

    let schema = Arc::new(host::TABLES.iter().find(|t| t.name() == "processes").unwrap().schema());
    let names = FULL.trim_start_matches("SELECT ").split("FROM").next().unwrap();
    let columns: Vec<usize> = names.split(',').map(|name| schema.column(name.trim()).unwrap()).collect();
    let mut query = Query::all(schema, Run::unlimited());
    query.used = columns.iter().fold(model::ColumnMask::NONE, |mask, c| mask.with(*c));

    // What the row has: arguments, image, users and CPU time; the latter is what its refresh of the CPU reads.
    let mut system = sysinfo::System::new().unwrap();
    let what = sysinfo::ProcessRefreshKind::nothing()
        .with_cmd(sysinfo::UpdateKind::Always)
        .with_exe(sysinfo::UpdateKind::Always)
        .with_user(sysinfo::UpdateKind::Always)
        .with_cpu()
        .without_tasks();
    let mut refresh = || {
        system.refresh_processes_specifics(sysinfo::ProcessesToUpdate::All, true, what);
        black_box(system.processes().len());
    };
    // With memory, which takes one file more here and none more there.
    let with_memory = FULL.replace(" FROM", ", resident_size, total_size FROM");
    let mut other = sysinfo::System::new().unwrap();
    let mut refresh_more = || {
        other.refresh_processes_specifics(sysinfo::ProcessesToUpdate::All, true, what.with_memory());
        black_box(other.processes().len());
    };
    let (mut sql, mut sql_with_memory) = (engine(), engine());
    support::compare(
        &format!("the full row of {processes} processes"),
        rounds,
        &mut [
            ("bare read of stat, status, cmdline, exe", &mut || assert!(bare_read() > 0)),
            ("table `processes`", &mut || scan_full(&Host::live(), &columns, &query)),
            ("the same without masking", &mut || scan_full(&Host::live().unmasked(), &columns, &query)),
            ("the same through SQL", &mut || {
                drop(sql.run(FULL, &Options::default(), &mut support::Discard).unwrap())
            }),
            ("sysinfo, warm refresh", &mut refresh),
            ("through SQL, with memory", &mut || {
                drop(sql_with_memory.run(&with_memory, &Options::default(), &mut support::Discard).unwrap())
            }),
            ("sysinfo, with memory", &mut refresh_more),
            ("procfs crate", &mut with_procfs_crate),
        ],
    );

    let (mut one, mut two, mut three) = (engine(), engine(), engine());
    let scan = "SELECT count(name), count(parent) FROM processes";
    let parent = "SELECT count(p.name) FROM processes c JOIN processes p ON p.pid = c.parent";
    let grandparent = "SELECT count(p.name), count(g.name) FROM processes c
        JOIN processes p ON p.pid = c.parent JOIN processes g ON g.pid = p.parent";
    support::compare(
        &format!("ancestors of {processes} processes"),
        rounds,
        &mut [
            ("one scan", &mut || drop(one.run(scan, &Options::default(), &mut support::Discard).unwrap())),
            ("joined to the parent", &mut || {
                drop(two.run(parent, &Options::default(), &mut support::Discard).unwrap())
            }),
            ("and the grandparent", &mut || {
                drop(three.run(grandparent, &Options::default(), &mut support::Discard).unwrap())
            }),
        ],
    );

    let (mut one, mut two, mut three) = (engine(), engine(), engine());
    support::compare(
        &format!("what {processes} processes cost by column"),
        rounds,
        &mut [
            ("pid, name", &mut || {
                drop(
                    one.run("SELECT pid, name FROM processes", &Options::default(), &mut support::Discard)
                        .unwrap(),
                )
            }),
            ("count(*)", &mut || {
                drop(
                    two.run("SELECT count(*) FROM processes", &Options::default(), &mut support::Discard)
                        .unwrap(),
                )
            }),
            ("one pid", &mut || {
                drop(
                    three
                        .run(
                            "SELECT * FROM processes WHERE pid = 1",
                            &Options::default(),
                            &mut support::Discard,
                        )
                        .unwrap(),
                )
            }),
        ],
    );
}

/// What masking costs for each command line, apart from reading it: of those that run now, and of longer ones.
fn masking() {
    let browser = "/opt/browser/browser --type=renderer --crash-handler-pid=4242 --enable-features=A,B,C \
        --lang=en-US --num-raster-threads=4 --user-data-dir=/home/x/.config/browser --time-ticks-at-unix-epoch=-1 \
        --field-trial-handle=3,i,1234567890,262144 --variations-seed-version=20260101 --shared-files";
    let java =
        "java -Xmx4g -Dspring.datasource.password=hunter2 -Dfile.encoding=UTF-8 -cp /a.jar:/b.jar Main";
    let lines = ["sleep 3600", "sshd: root@pts/0", "/usr/sbin/cron -f", browser, java];
    println!("\nmasking alone, ns for each command line");
    for line in lines {
        const ROUNDS: u32 = 100_000;
        let arguments = line.replace(' ', "\0").into_bytes();
        let started = support::cpu_time();
        for _ in 0..ROUNDS {
            black_box(collector::mask_arguments(black_box(&arguments)));
        }
        let took = (support::cpu_time() - started) / ROUNDS;
        println!("  {:>6} ns  {:>4} bytes  {:.40}", took.as_nanos(), arguments.len(), line);
    }
}

fn main() {
    masking();
    at(1_000, 20);
    at(10_000, 10);
}
