use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use collector::Scan;
use ipc::Interest;
use model::{Domain, Op, Value};

use crate::programs::{NOBODY, PATIENCE, Served, holds, mode, query, served};

/// Everybody may connect, and nobody is admitted but uid 65534, root and who started it.
const ADMITS_NOBODY: &str = "socket: { mode: 0666 }\nallow: { users: [65534] }\n";

struct Sleeper(Child);

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn as_nobody(command: &mut Command) -> Output {
    // Without its groups too, which std takes from who gives up root.
    command.uid(NOBODY).gid(NOBODY);
    let deadline = Instant::now() + PATIENCE;
    loop {
        match command.output() {
            // A program that was just written may be held open by a child that another thread forks (ETXTBSY).
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy && Instant::now() < deadline => {
                std::thread::yield_now();
            }
            other => return other.unwrap(),
        }
    }
}

#[track_caller]
fn asked(served: &Served, arguments: &[&str]) -> String {
    let output = as_nobody(served.ask().args(arguments));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn nobody_sees_through_it_what_belongs_to_root() {
    if !["SETUID", "SETGID", "SYS_PTRACE", "DAC_READ_SEARCH"].into_iter().all(holds) {
        return;
    }
    let served = served(ADMITS_NOBODY);
    let secret = served.place.path().join("secret");
    std::fs::write(&secret, "known to root").unwrap();
    mode(&secret, 0o600);
    let refused = as_nobody(Command::new("cat").arg(&secret).current_dir("/"));
    assert!(!refused.status.success(), "nobody reads it without help, so the test proves nothing");

    let mut command = Command::new("sleep");
    command.arg("1234.5").stdin(File::open(&secret).unwrap()).stdout(Stdio::null());
    let sleeper = Sleeper(command.spawn().unwrap());
    let pid = format!("pid={}", sleeper.0.id());
    let path = secret.to_str().unwrap();

    let processes = asked(&served, &["processes", &pid]);
    assert!(processes.contains("sleep 1234.5"), "{processes}");
    let files = asked(&served, &["process_open_files", &pid]);
    assert!(files.contains(path), "{files}");
    let hash = asked(&served, &["hash", &format!("path={path}")]);
    let sum = Command::new("sha256sum").arg(&secret).output().unwrap().stdout;
    let sum = String::from_utf8(sum).unwrap();
    assert!(hash.contains(sum.split(' ').next().unwrap()), "{hash}");
}

#[test]
fn who_is_not_allowed_is_told_why_and_logged() {
    if !["SETUID", "SETGID"].into_iter().all(holds) {
        return;
    }
    let mut served = served("socket: { mode: 0666 }\n");
    let output = as_nobody(&mut served.ask());
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("uid 65534") && told.contains("not allowed by `allow`"), "{told}");
    let line = served.collector.says("admit client");
    for field in
        [r#""target":"audit""#, r#""uid":65534"#, r#""gid":65534"#, r#""pid":"#, r#""result":"refused""#]
    {
        assert!(line.contains(field), "no {field} in {line}");
    }
    assert!(served.client().is_alive(), "who started it is served all the same");
}

#[test]
fn only_the_tables_of_the_configuration_are_there() {
    let usual = served("");
    let tables: Vec<String> = usual.client().tables().iter().map(|table| table.name.to_string()).collect();
    for table in ["file_lines", "process_envs", "shadow", "shell_history"] {
        assert!(!tables.iter().any(|name| name == table), "{table} is there without a word");
    }
    assert!(
        ["processes", "hash", "event_sources", "event_loss"].iter().all(|t| tables.iter().any(|n| n == t))
    );
    let few = served("tables: [shadow, uptime]\nevent_sources: []\n");
    let client = few.client();
    let tables: Vec<&str> = client.tables().iter().map(|table| &*table.name).collect();
    assert_eq!(tables, ["event_loss", "event_sources", "shadow", "uptime"]);
    assert!(client.hello().sources.is_empty());
}

/// Its command line as it is shown with this configuration.
fn shown(config: &str) -> String {
    let served = served(config);
    let sleeper = Sleeper(
        Command::new("sh")
            .args(["-c", "read line; :", "--password", "hunter2"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let client = served.client();
    let of_it = query(&client, "processes", &[("pid", Op::Eq, Value::from(sleeper.0.id()))]);
    let deadline = Instant::now() + PATIENCE;
    // Between fork and exec it shows the command line of this test.
    loop {
        let mut scan = client.scan("processes", &of_it).unwrap();
        assert!(scan.advance().unwrap());
        let cmdline =
            scan.value(of_it.schema.column("cmdline").unwrap()).as_str().unwrap_or_default().to_owned();
        if cmdline.contains("--password") {
            return cmdline;
        }
        assert!(Instant::now() < deadline, "{cmdline}");
    }
}

#[test]
fn secrets_are_masked_unless_the_configuration_says_otherwise() {
    assert!(!shown("").contains("hunter2"));
    assert!(shown("masking: false\n").contains("hunter2"));
}

#[test]
fn its_event_source_tells_subscribers_of_new_processes() {
    let served = served("");
    let client = served.client();
    assert_eq!(client.hello().sources[0].name, "process_diff");
    let mut events =
        client.subscribe(&Interest { domains: vec![Domain::Process], ..Interest::default() }).unwrap();
    let parts = client.health(PATIENCE).unwrap();
    assert!(parts.iter().any(|part| part.name == "process_diff" && part.healthy), "{parts:?}");
    let deadline = Instant::now() + PATIENCE;
    let mut sleepers = Vec::new();
    loop {
        // The first look raises none, so there is a new one before each further look.
        sleepers.push(Sleeper(Command::new("sleep").arg("4321.5").spawn().unwrap()));
        let delivery = events.next(Duration::from_secs(2)).unwrap().expect("it goes on");
        let is_ours = |event: &model::Event| {
            let pid = event.fields.iter().find(|(name, _)| name == "pid").and_then(|(_, pid)| pid.as_int());
            event.kind == "start" && sleepers.iter().any(|s| Some(i64::from(s.0.id())) == pid)
        };
        if delivery.events.iter().any(is_ours) {
            return;
        }
        assert!(Instant::now() < deadline, "no start of a process is told of");
    }
}

/// What `hash` says of a path: whether every digest is NULL, the notes, and the time that it took.
fn hashed(served: &Served, path: &str) -> (bool, String, Duration) {
    let client = served.client();
    let query = query(&client, "hash", &[("path", Op::Eq, Value::from(path.to_owned()))]);
    let began = Instant::now();
    let mut scan = client.scan("hash", &query).unwrap();
    assert!(scan.advance().unwrap(), "{path} has no row");
    let digests = ["md5", "sha1", "sha256", "blake3"].map(|name| query.schema.column(name).unwrap());
    let is_null = digests.iter().all(|column| scan.value(*column) == Value::Null);
    assert!(!scan.advance().unwrap());
    let notes: Vec<String> = query.run.notes().into_iter().map(|note| note.reason).collect();
    (is_null, notes.join("; "), began.elapsed())
}

#[test]
fn what_cannot_be_hashed_is_null_with_a_reason_and_holds_nobody_up() {
    let holds_all = ["SETUID", "SETGID", "SETPCAP"].into_iter().all(holds);
    let served = served("tables: [hash]\n");
    let (fifo, sparse) = (served.place.path().join("fifo"), served.place.path().join("sparse"));
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, 0o600.into()).unwrap();
    // The limit is of a file's size, and comes before its content is read.
    File::create(&sparse).unwrap().set_len(100 << 30).unwrap();
    for (path, reason) in [
        (fifo.to_str().unwrap(), "a FIFO"),
        ("/dev/zero", "a character device"),
        ("/proc/kallsyms", "a file of procfs or sysfs"),
        (sparse.to_str().unwrap(), "larger than 2 GiB"),
        // Reading the log of the kernel takes a capability (CAP_SYSLOG) that procmond has given up.
        ("/proc/kmsg", if holds_all { "permission denied" } else { "" }),
    ] {
        let (is_null, notes, time) = hashed(&served, path);
        assert!(is_null && !notes.is_empty() && notes.contains(reason), "{path}: {notes}");
        assert!(time < Duration::from_secs(5), "{path} took {time:?}");
    }
}
