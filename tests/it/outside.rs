use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Whether a program is installed. Without it the test that asks is skipped, and says so past the capture of
/// the test's output; on the build machine, which installs them all, it fails.
pub(crate) fn needs(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(["/sbin".into(), "/usr/sbin".into()])
        .any(|directory| directory.join(program).is_file());
    found || skipped(program)
}

/// Whether this user may do something for which root is asked.
pub(crate) fn needs_root(capability: &str) -> bool {
    rustix::process::geteuid().is_root() || skipped(capability)
}

fn skipped(what: &str) -> bool {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{test} needs {what}");
    let _ = writeln!(std::io::stderr(), "skipped: needs {what}: {test}");
    false
}

/// What a program prints, whatever it then exits with. English, UTC, and no terminal's width.
pub(crate) fn told(program: &str, args: &[&str]) -> Vec<u8> {
    let output = command(program).args(args).stdin(Stdio::null()).output();
    output.unwrap_or_else(|error| panic!("{program}: {error}")).stdout
}

/// As [`told`], as text.
pub(crate) fn told_text(program: &str, args: &[&str]) -> String {
    String::from_utf8_lossy(&told(program, args)).into_owned()
}

/// What a program prints when it is given an input.
pub(crate) fn told_of(program: &str, args: &[&str], input: &str) -> String {
    let child = command(program).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{program}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn command(program: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(program);
    command.env("PATH", format!("{path}:/sbin:/usr/sbin")).env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
    command.env_remove("COLUMNS").stderr(Stdio::null());
    command
}

/// A program that runs until this is dropped.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Running {
        Running::exec(command.stdin(Stdio::null()))
    }

    fn exec(command: &mut Command) -> Running {
        // A program that was just written may be held open by a child that another thread forks (ETXTBSY).
        let mut child = None;
        wait_for("the program", || match command.spawn() {
            Ok(started) => child.replace(started).is_none(),
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => false,
            Err(error) => panic!("{command:?}: {error}"),
        });
        let running = Running(child.unwrap());
        // The parent is told of an exec before the kernel has put the arguments in place.
        let cmdline = format!("/proc/{}/cmdline", running.pid());
        wait_for("its arguments", || std::fs::read(&cmdline).is_ok_and(|bytes| !bytes.is_empty()));
        running
    }

    /// A process that does nothing.
    pub(crate) fn sleeper() -> Running {
        Running::start(Command::new("sleep").arg("600"))
    }

    /// As [`Running::start`], for a program that reads its input, which stays open.
    pub(crate) fn start_reading(command: &mut Command) -> Running {
        Running::exec(command.stdin(Stdio::piped()))
    }

    pub(crate) fn pid(&self) -> i64 {
        i64::from(self.0.id())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until something is so, for ten seconds.
#[track_caller]
pub(crate) fn wait_for(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Where the fixtures are.
pub(crate) fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}
