//! The programs, built once for all tests, and a short way to run them.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::thread;

/// Where the programs are. `CARGO_BIN_EXE_*` exists only for a package's own binaries, and this one has none.
static PROGRAMS: LazyLock<PathBuf> = LazyLock::new(|| {
    let test = std::env::current_exe().unwrap();
    let programs = test.ancestors().nth(2).unwrap().to_owned();
    let profile = match programs.file_name().and_then(OsStr::to_str).unwrap() {
        "debug" => "dev",
        profile => profile,
    };
    let built = program(env!("CARGO"))
        .args(["build", "--quiet", "--workspace", "--bins", "--example", SECOND_COLLECTOR])
        .args(["--profile", profile])
        .args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")])
        .arg("--target-dir")
        .arg(programs.parent().unwrap())
        .status()
        .unwrap();
    assert!(built.success(), "the programs do not build");
    programs
});

#[expect(clippy::disallowed_methods, reason = "tests start programs, tables do not")]
fn program(path: impl AsRef<OsStr>) -> Command {
    Command::new(path)
}

/// The collector of `examples`.
const SECOND_COLLECTOR: &str = "cpu_vulnerabilities";

/// That collector, to listen at this path.
pub(crate) fn second_collector(socket: &Path) -> Command {
    let mut command = program(PROGRAMS.join("examples").join(SECOND_COLLECTOR));
    command.arg(socket).stdin(Stdio::null());
    command
}

/// `daemoneye-agent` with these arguments, in a process of its own.
pub(crate) fn agent<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = program(PROGRAMS.join("daemoneye-agent"));
    command.args(arguments).env_remove("RUST_BACKTRACE").env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// A run of a program that is being put together.
pub(crate) struct Run {
    command: Command,
    stdin: Vec<u8>,
}

/// What a program gave.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

/// `daemoneye-cli` with these arguments, nothing on its standard input and no colours.
pub(crate) fn cli<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Run {
    let mut command = program(PROGRAMS.join("daemoneye-cli"));
    command.args(arguments).env_remove("RUST_BACKTRACE").env("NO_COLOR", "1");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    Run { command, stdin: Vec::new() }
}

/// Runs `daemoneye-cli` under strace; gives what it printed and the system calls with a path, a line each, in
/// which descriptors are paths.
pub(crate) fn traced(arguments: &[&str]) -> (Output, Vec<String>) {
    let calls = tempfile::NamedTempFile::new().unwrap();
    let mut command = program("strace");
    command.args(["-f", "-y", "-e", "trace=%file", "-o"]).arg(calls.path());
    command.arg(PROGRAMS.join("daemoneye-cli")).args(arguments).env("NO_COLOR", "1");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = Run { command, stdin: Vec::new() }.output();
    let calls = std::fs::read_to_string(calls.path()).unwrap();
    (output, calls.lines().map(str::to_owned).collect())
}

impl Run {
    /// With this on its standard input.
    pub(crate) fn stdin(mut self, text: impl Into<Vec<u8>>) -> Run {
        self.stdin = text.into();
        self
    }

    /// With this variable in its environment.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Run {
        self.command.env(name, value);
        self
    }

    /// In this directory.
    pub(crate) fn within(mut self, directory: &Path) -> Run {
        self.command.current_dir(directory);
        self
    }

    /// Starts it; its standard input stays open.
    pub(crate) fn start(mut self) -> Child {
        self.command.stdin(Stdio::piped()).spawn().unwrap()
    }

    /// Runs it to its end.
    pub(crate) fn output(mut self) -> Output {
        let given = std::mem::take(&mut self.stdin);
        let mut child = self.start();
        let mut stdin = child.stdin.take().unwrap();
        // A program may end before it has read all, and then the pipe is broken.
        let writer = thread::spawn(move || stdin.write_all(&given).is_ok());
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        Output {
            status: output.status,
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Its output, of a run that ends well and has nothing to say about it.
    #[track_caller]
    pub(crate) fn text(self) -> String {
        let output = self.output();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(output.stderr, "");
        output.text()
    }
}

impl Output {
    /// The standard output as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.stdout.clone()).unwrap()
    }

    /// The exit code.
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap()
    }
}
