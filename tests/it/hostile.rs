use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use model::Value;

use crate::machine::Machine;
use crate::outside::Running;

/// How long the storm of processes lasts.
const STORM: Duration = Duration::from_secs(2);

/// Tables of which a process is the key.
const BY_PROCESS: [&str; 8] = [
    "processes",
    "process_envs",
    "process_memory_map",
    "process_namespaces",
    "process_open_files",
    "process_open_pipes",
    "process_open_sockets",
    "listening_ports",
];

const NEWLINES: &[u8] = b"first\nsecond\r\n|third|";
const ESCAPES: &[u8] = b"\x1b[31mred\x1b[0m\x1b]0;title\x07\x9b2J";
const NOT_UTF8: &[u8] = b"\xff\xfe\xc3\x28\xed\xa0\x80";

fn hostile(environment: bool) -> Running {
    let mut command = Command::new("sh");
    command.arg0("sh").args(["-c", "read x", ""]);
    command.args([NEWLINES, ESCAPES, NOT_UTF8].map(OsStr::from_bytes)).stdout(Stdio::null());
    if environment {
        command.env_clear().env("HOSTILE", OsStr::from_bytes(&[NEWLINES, ESCAPES, NOT_UTF8].concat()));
    }
    Running::start_reading(&mut command)
}

fn text(bytes: &[u8]) -> Value<'static> {
    bytes.to_vec().into()
}

#[test]
fn a_command_line_keeps_every_byte() {
    let process = hostile(false);
    let mut machine = Machine::live();
    let sql = format!("SELECT cmdline FROM processes WHERE pid = {}", process.pid());
    let answer = machine.answer(&sql);
    let expected = [b"sh -c read x ".as_slice(), b" ", NEWLINES, b" ", ESCAPES, b" ", NOT_UTF8].concat();
    assert_eq!(answer.rows, [[text(&expected)]]);
    // Comparing it does not lose a byte either, whichever side it comes from.
    let sql = "SELECT pid FROM processes WHERE cmdline = :cmdline";
    let answer = machine.answer_with(sql, &[("cmdline", text(&expected))]);
    assert_eq!(answer.rows, [[Value::Int(process.pid())]]);
    let sql = "SELECT b.pid FROM processes a JOIN processes b ON a.cmdline = b.cmdline WHERE a.pid = :pid";
    let answer = machine.answer_with(sql, &[("pid", Value::Int(process.pid()))]);
    assert_eq!(answer.rows, [[Value::Int(process.pid())]]);
}

#[test]
fn an_environment_keeps_every_byte() {
    let process = hostile(true);
    let sql = format!("SELECT value FROM process_envs WHERE pid = {} AND key = 'HOSTILE'", process.pid());
    let expected = [NEWLINES, ESCAPES, NOT_UTF8].concat();
    assert_eq!(Machine::live().answer(&sql).rows, [[text(&expected)]]);
}

#[test]
fn a_name_and_the_paths_of_a_process_keep_every_byte() {
    let directory = tempfile::tempdir().unwrap();
    let name = b"x) R 1 \n\x1b\xff";
    let program = directory.path().join(OsStr::from_bytes(name));
    let cwd = directory.path().join(OsStr::from_bytes(b"a (deleted)\n\xff"));
    std::fs::create_dir(&cwd).unwrap();
    std::fs::copy("/bin/sleep", &program).unwrap();
    let mut command = Command::new(&program);
    let process = Running::start(command.arg("600").current_dir(&cwd));
    let sql = format!("SELECT name, path, cwd, parent FROM processes WHERE pid = {}", process.pid());
    let row = [
        text(name),
        text(program.as_os_str().as_bytes()),
        text(cwd.as_os_str().as_bytes()),
        Value::Int(i64::from(std::process::id())),
    ];
    assert_eq!(Machine::live().answer(&sql).rows, [row]);
    std::fs::remove_file(&program).unwrap();
    let sql = format!("SELECT exe_deleted, on_disk, path FROM processes WHERE pid = {}", process.pid());
    let row = &Machine::live().answer(&sql).rows[0];
    assert_eq!(row[..2], [Value::Int(1), Value::Int(0)], "{row:?}");
}

#[test]
fn a_fork_storm_never_fails_a_query() {
    let sleeper = Running::sleeper();
    let (over, started) = (AtomicBool::new(false), AtomicU64::new(0));
    let storm = || {
        while !over.load(Ordering::Relaxed) {
            let children = (0..16).map(|_| Command::new("true").spawn().unwrap());
            for mut child in children.collect::<Vec<_>>() {
                let _ = child.kill();
                child.wait().unwrap();
                started.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|threads| {
        threads.spawn(storm);
        threads.spawn(storm);
        let mut machine = Machine::live();
        let known = machine.schemas();
        let tables = BY_PROCESS.iter().filter(|name| known.iter().any(|schema| schema.name == **name));
        let tables: Vec<_> = tables.collect();
        let end = Instant::now() + STORM;
        let mut asked = 0;
        while Instant::now() < end {
            for table in &tables {
                machine.answer(&format!("SELECT * FROM {table}"));
                machine
                    .answer(&format!("SELECT * FROM processes p JOIN {table} t ON t.pid = p.pid LIMIT 2000"));
                asked += 1;
            }
            // Who does not take part in the storm is in every answer.
            let sql = format!("SELECT count(*) FROM processes WHERE +pid = {}", sleeper.pid());
            assert_eq!(machine.one(&sql), "1");
        }
        over.store(true, Ordering::Relaxed);
        assert!(asked > 0);
    });
    assert!(started.into_inner() > 100);
}

#[test]
fn a_process_that_is_gone_has_no_rows_and_makes_no_note() {
    let gone = Running::sleeper().pid();
    let mut machine = Machine::live();
    let known = machine.schemas();
    for table in BY_PROCESS.iter().filter(|name| known.iter().any(|schema| schema.name == **name)) {
        let answer = machine.answer(&format!("SELECT * FROM {table} WHERE pid IN ({gone}, 0, -7, 4194305)"));
        assert_eq!((answer.rows.len(), answer.report.notes), (0, vec![]), "{table}");
    }
}
