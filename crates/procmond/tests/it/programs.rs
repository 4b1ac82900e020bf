use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant, SystemTime};

use ipc::{Client, Timing};
use model::{Constraint, Op, Query, Run, Value};

/// How long anything may take that a test waits for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Lines of a log that are kept until they are asked for.
const LOG_LINES_MAX: usize = 1000;
/// A user that any Linux has.
pub(crate) const NOBODY: u32 = 65534;

/// Whether this is root with a capability. Without it the test that asks is skipped and says so; on the build
/// machine it fails.
pub(crate) fn holds(capability: &str) -> bool {
    let set = rustix::thread::capabilities(None).unwrap().effective;
    let wanted = format!("CAP_{capability}");
    let held =
        rustix::process::geteuid().is_root() && procmond::names(set).split(',').any(|name| name == wanted);
    if !held {
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{test} needs {wanted}");
        let _ = writeln!(std::io::stderr(), "skipped: needs {wanted}: {test}");
    }
    held
}

/// A directory in which root's configuration and socket are trusted, and which others can enter.
pub(crate) fn place() -> tempfile::TempDir {
    let is_root = rustix::process::geteuid().is_root();
    let parent = if is_root { PathBuf::from("/run") } else { std::env::temp_dir() };
    let place = tempfile::Builder::new().prefix("procmond-test").tempdir_in(parent).unwrap();
    mode(place.path(), 0o755);
    place
}

pub(crate) fn mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// The example program that stands in front of, in or behind the fence.
pub(crate) fn fence(place: &str, what: &str) -> Command {
    let mut command =
        Command::new(Path::new(env!("CARGO_BIN_EXE_procmond")).with_file_name("examples/fence"));
    command.args([place, what]).stdin(Stdio::null());
    command
}

/// A program that runs, and is killed when the test ends.
pub(crate) struct Running {
    pub(crate) child: Child,
    log: Receiver<String>,
    said: Vec<String>,
}

/// Starts procmond with these arguments, beside its socket.
pub(crate) fn procmond<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_procmond"));
    command.args(arguments);
    Running::start(command)
}

/// A procmond that serves, and where.
pub(crate) struct Served {
    pub(crate) place: tempfile::TempDir,
    pub(crate) socket: PathBuf,
    pub(crate) collector: Running,
}

/// Starts procmond with this configuration, and waits until it serves.
#[track_caller]
pub(crate) fn served(config: &str) -> Served {
    let place = place();
    let (file, socket) = (place.path().join("procmond.yaml"), place.path().join("s"));
    std::fs::write(&file, config).unwrap();
    let collector = serve_again(place.path());
    Served { place, socket, collector }
}

/// The same, started by root as uid 65534, from a copy of the program that this user can reach.
#[track_caller]
pub(crate) fn served_by_nobody(config: &str) -> Served {
    use std::os::unix::process::CommandExt;
    let place = place();
    let (program, file) = (place.path().join("procmond"), place.path().join("procmond.yaml"));
    std::fs::copy(env!("CARGO_BIN_EXE_procmond"), &program).unwrap();
    mode(&program, 0o755);
    std::fs::write(&file, config).unwrap();
    let sockets = place.path().join("sockets");
    std::fs::create_dir(&sockets).unwrap();
    std::os::unix::fs::chown(&sockets, Some(NOBODY), Some(NOBODY)).unwrap();
    let socket = sockets.join("s");
    let mut command = Command::new(&program);
    command.arg("--config").arg(file).arg("--socket").arg(&socket).uid(NOBODY).gid(NOBODY).current_dir("/");
    let mut collector = Running::start(command);
    collector.says("procmond is ready");
    Served { place, socket, collector }
}

/// Starts procmond with the configuration and the socket of an earlier one, and waits until it serves.
#[track_caller]
pub(crate) fn serve_again(place: &Path) -> Running {
    let (file, socket) = (place.join("procmond.yaml"), place.join("s"));
    let mut collector =
        procmond(["--config".as_ref(), file.as_os_str(), "--socket".as_ref(), socket.as_os_str()]);
    collector.says("procmond is ready");
    collector
}

impl Served {
    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.socket, Timing::default()).unwrap()
    }

    /// The example program, where anybody may run it.
    pub(crate) fn ask(&self) -> Command {
        let program = self.place.path().join("ask");
        if !program.exists() {
            let built = Path::new(env!("CARGO_BIN_EXE_procmond")).with_file_name("examples/ask");
            std::fs::copy(built, &program).unwrap();
            mode(&program, 0o755);
        }
        let mut command = Command::new(program);
        command.arg(&self.socket).stdin(Stdio::null()).current_dir("/");
        command
    }
}

/// Everything in a table that meets these conditions.
pub(crate) fn query(client: &Client, table: &str, given: &[(&str, Op, Value<'static>)]) -> Query {
    let schema = client.hello().table(table).unwrap().clone();
    let mut query = Query::all(schema, Run::new(Some(PATIENCE), 1 << 30, SystemTime::now()));
    for (column, op, value) in given {
        let column = query.schema.column(column).unwrap();
        query.constraints.push(Constraint { column, op: *op, values: vec![value.clone()] });
    }
    query
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Running {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = lines(child.stderr.take().unwrap());
        Running { child, log, said: Vec::new() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line of its log that has this in it.
    #[track_caller]
    pub(crate) fn says(&mut self, words: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.log.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(words) => return line,
                Ok(line) => self.said.push(line),
                Err(error) => panic!("it did not say {words:?} ({error}), but {:#?}", self.said),
            }
        }
    }

    /// What it said before the last line that was waited for.
    pub(crate) fn said(&self) -> &[String] {
        &self.said
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end, and gives its exit code.
    #[track_caller]
    pub(crate) fn ends(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("it does not end");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(stderr: ChildStderr) -> Receiver<String> {
    let (line, log) = sync_channel(LOG_LINES_MAX);
    std::thread::spawn(move || {
        for text in BufReader::new(stderr).lines().map_while(Result::ok) {
            if line.send(text).is_err() {
                return;
            }
        }
    });
    log
}
