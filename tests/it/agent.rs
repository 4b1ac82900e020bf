use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{self, cli};

/// For what happens soon, on a machine that does much else.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// An agent in a directory of its own, which ends with the test.
pub(crate) struct Agent {
    pub(crate) directory: PathBuf,
    child: Child,
}

impl Agent {
    /// Starts one over the rules of this directory and waits until it is ready.
    pub(crate) fn start(directory: &Path, rules: &Path, more: &[&str]) -> Agent {
        let mut agent = Agent::spawn(directory, rules, more, &[]);
        agent.wait_until_ready();
        agent
    }

    /// Starts one without waiting; what it writes is added to `stdout` and `stderr` in its directory.
    pub(crate) fn spawn(directory: &Path, rules: &Path, more: &[&str], env: &[(&str, &str)]) -> Agent {
        let file = |name| fs::File::options().create(true).append(true).open(directory.join(name)).unwrap();
        let mut command: Command = harness::agent(["--collector", "embedded", "--state"]);
        command.arg(directory.join("state")).arg("--rules").arg(rules).args(more).envs(env.iter().copied());
        command.stdout(file("stdout")).stderr(file("stderr"));
        Agent { directory: directory.to_owned(), child: command.spawn().unwrap() }
    }

    pub(crate) fn wait_until_ready(&mut self) {
        let socket = self.directory.join("state/agent.sock");
        until("the agent is ready", || {
            assert!(self.child.try_wait().unwrap().is_none(), "it ended: {}", self.stderr());
            std::os::unix::net::UnixStream::connect(&socket).ok()
        });
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.directory.join("stdout")).unwrap()).into_owned()
    }

    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(self.directory.join("stderr")).unwrap()
    }

    /// `daemoneye-cli`, asking this agent or its files.
    pub(crate) fn cli(&self, arguments: &[&str]) -> harness::Run {
        let state = self.directory.join("state");
        cli([&["--state", state.to_str().unwrap()], arguments].concat())
    }

    /// The rows of a statement.
    pub(crate) fn query(&self, sql: &str) -> Vec<serde_json::Value> {
        let output = self.cli(&["query", "--quiet", "--format", "ndjson", sql]).output();
        assert!(output.status.success(), "{output:?}");
        output.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.child.id() as i32).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Whether it ended, and well.
    pub(crate) fn ended(&mut self) -> Option<bool> {
        self.child.try_wait().unwrap().map(|status| status.success())
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Tells it to end, and waits for that.
    pub(crate) fn stop(mut self) {
        self.signal(rustix::process::Signal::TERM);
        assert!(self.child.wait().unwrap().success(), "{}", self.stderr());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for something to be so.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < SOON, "{what}: not within {SOON:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A rule that finds each line of a file.
pub(crate) fn lines_rule(feed: &Path) -> String {
    format!(
        "id: lines\ntitle: A line\ndescription: A line came.\nseverity: high\ntags: [attack.t1070]\ninterval: 1s\n\
         sql: SELECT line AS key FROM file_lines WHERE path = '{}'\ndedup: {{ keys: [key], window: 30d }}\n\
         false_positives: [none]\ntests:\n  - name: fires\n    given: {{ file_lines: [{{ path: '{}', line: a }}] }}\n    \
         expect: [{{ key: a }}]\n  - name: silent\n    given: {{}}\n    expect: []\n",
        feed.display(),
        feed.display()
    )
}

/// A directory with a feed and one rule over it.
pub(crate) struct Place {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) feed: PathBuf,
    pub(crate) rules: PathBuf,
}

pub(crate) fn place() -> Place {
    let directory = tempfile::tempdir().unwrap();
    let (feed, rules) = (directory.path().join("feed"), directory.path().join("rules"));
    fs::write(&feed, "").unwrap();
    fs::create_dir(&rules).unwrap();
    fs::write(rules.join("lines.yaml"), lines_rule(&feed)).unwrap();
    Place { directory, feed, rules }
}

#[test]
fn a_deleted_image_becomes_an_alert_with_evidence_that_outlives_the_agent() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("x");
    fs::copy("/bin/sleep", &image).unwrap();
    let mut sleeper = Command::new(&image).arg("300").spawn().unwrap();
    fs::remove_file(&image).unwrap();
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/rules/defense_evasion/deleted-executable.yaml");
    let agent = Agent::start(directory.path(), Path::new(rules), &[]);
    let pid = u64::from(sleeper.id());
    let alert = until("an alert on standard output", || {
        let lines = agent.stdout();
        let complete = lines.rsplit_once('\n').map_or("", |(complete, _)| complete);
        let mut alerts =
            complete.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        alerts.find(|alert| alert["row"]["pid"] == pid)
    });
    assert_eq!(alert["rule"], "deleted-executable");
    let process = &alert["evidence"]["process"][0];
    assert_eq!((&process["pid"], &process["exe_deleted"]), (&pid.into(), &1.into()));
    assert!(alert["evidence"]["ancestors"][0]["ancestor_pid"].is_number(), "{alert}");
    assert_eq!(alert["evidence"]["image"][0]["sha256"].as_str().unwrap().len(), 64);

    let id = alert["id"].as_str().unwrap();
    assert!(agent.cli(&["alerts", "list"]).output().text().contains(&id[..12]));
    let acked = agent.cli(&["alerts", "ack", &id[..8], "--reason", "mine"]).output();
    assert_eq!(acked.text(), format!("alert {id} is acknowledged\n"), "{acked:?}");
    let again = agent.cli(&["alerts", "ack", id]).output();
    assert!(again.code() == 1 && again.stderr.contains("is acknowledged"), "{again:?}");
    agent.stop();
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();

    // Without the agent its files are read.
    let agent = Agent { directory: directory.path().into(), child: Command::new("true").spawn().unwrap() };
    let shown = agent.cli(&["alerts", "show", &id[..8]]).output();
    assert!(shown.text().contains("mine") && shown.text().contains("sha256"), "{shown:?}");
    let changed = agent.cli(&["alerts", "close", id]).output();
    assert_eq!(changed.code(), 3, "{changed:?}");
    assert!(changed.stderr.contains("start daemoneye-agent"), "{changed:?}");
}

#[test]
fn a_bad_rule_is_refused_with_its_line_and_the_others_run() {
    let place = place();
    let rule = fs::read_to_string(place.rules.join("lines.yaml")).unwrap();
    let with = |id: &str, from: &str, to: &str| {
        assert!(rule.contains(from), "{from}");
        fs::write(
            place.rules.join(format!("{id}.yaml")),
            rule.replace("id: lines", &format!("id: {id}")).replace(from, to),
        )
        .unwrap();
    };
    with("syntax", "SELECT line", "SELEC line");
    with("table", "FROM file_lines WHERE", "FROM no_such WHERE");
    with("function", "SELECT line AS key", "SELECT load_extension(line) AS key");
    with("test", "expect: [{ key: a }]", "expect: [{ key: b }]");
    with("key", "severity: high", "severity: high\ncolour: red");
    let cross = "SELECT a.pid AS key FROM processes a CROSS JOIN processes b CROSS JOIN processes c CROSS JOIN processes d \
                 WHERE a.nice + b.nice + c.nice + d.nice = 12345 UNION ALL SELECT line FROM file_lines WHERE";
    with("cross", "SELECT line AS key FROM file_lines WHERE", cross);
    fs::write(&place.feed, "one\n").unwrap();
    let agent = Agent::start(place.directory.path(), &place.rules, &["--timeout", "500ms"]);
    until("the good rule found something", || agent.stdout().contains("\"key\":\"one\"").then_some(()));
    let refused = agent.query("SELECT path, error FROM rules WHERE status = 'refused' ORDER BY path");
    assert_eq!(refused.len(), 5, "{refused:?}");
    for row in &refused {
        let (path, error) = (row["path"].as_str().unwrap(), row["error"].as_str().unwrap());
        let place = error.strip_prefix(path).unwrap();
        assert!(place.trim_start_matches(':').starts_with(|c: char| c.is_ascii_digit()), "{error}");
    }
    let over = until("the cross join is ended at its budget", || {
        let rows = agent.query("SELECT over_budget, error FROM rules WHERE id = 'cross' AND over_budget > 0");
        rows.first().cloned()
    });
    assert!(over["error"].as_str().unwrap().contains("500"), "{over}");
    let runs = agent.query("SELECT outcome FROM rule_runs WHERE rule = 'cross'");
    assert!(runs.iter().any(|run| run["outcome"] == "over budget"));
    agent.stop();
}

#[test]
fn rules_are_loaded_again_when_they_change_and_a_bad_pack_changes_nothing() {
    let place = place();
    let agent = Agent::start(place.directory.path(), &place.rules, &[]);
    let titles = || -> Vec<String> {
        let rows = agent.query("SELECT title FROM rules WHERE status = 'loaded'");
        rows.iter().map(|row| row["title"].as_str().unwrap().to_owned()).collect()
    };
    let file = place.rules.join("lines.yaml");
    let rule = fs::read_to_string(&file).unwrap();
    fs::write(&file, rule.replace("A line\n", "Another title\n")).unwrap();
    until("the new title", || (titles() == ["Another title"]).then_some(()));
    fs::write(&file, rule.replace("SELECT line", "SELEC line")).unwrap();
    until("the fault is told", || agent.stderr().contains("a rule was refused").then_some(()));
    assert_eq!(titles(), ["Another title"]);
    fs::write(&place.feed, "later\n").unwrap();
    until("the old version goes on", || agent.stdout().contains("\"key\":\"later\"").then_some(()));
    let reload = agent.cli(&["rules", "reload"]).output();
    assert!(reload.code() == 1 && reload.stderr.contains("lines.yaml"), "{reload:?}");
    fs::write(&file, rule).unwrap();
    agent.signal(rustix::process::Signal::HUP);
    until("the first title", || (titles() == ["A line"]).then_some(()));
    agent.stop();
}

#[test]
fn a_disabled_rule_stays_so_after_a_restart() {
    let place = place();
    let agent = Agent::start(place.directory.path(), &place.rules, &[]);
    assert_eq!(
        agent.cli(&["rules", "disable", "lines", "--reason", "noisy"]).text(),
        "rule lines is disabled\n"
    );
    agent.stop();
    fs::write(&place.feed, "unseen\n").unwrap();
    let agent = Agent::start(place.directory.path(), &place.rules, &[]);
    assert_eq!(agent.query("SELECT enabled FROM rules")[0]["enabled"], 0);
    assert_eq!(agent.cli(&["rules", "enable", "lines"]).text(), "rule lines is enabled\n");
    until("it runs again", || agent.stdout().contains("unseen").then_some(()));
    agent.stop();
}

#[test]
fn of_two_agents_on_one_state_the_second_says_what_to_do() {
    let place = place();
    let agent = Agent::start(place.directory.path(), &place.rules, &[]);
    let state = place.directory.path().join("state");
    let mut second = harness::agent(["--collector", "embedded", "--state"]);
    let output = second.arg(&state).stderr(Stdio::piped()).stdout(Stdio::piped()).output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("in use by another agent"), "{said}");
    agent.stop();
}
