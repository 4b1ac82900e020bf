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
        let mut command: Command = harness::agent(["--collector", "embedded", "--state"]);
        command.arg(directory.join("state")).arg("--rules").arg(rules).args(more).envs(env.iter().copied());
        Agent::spawn_as(directory, command)
    }

    /// The same of one that is told by this command to keep its state in `state` in the directory.
    pub(crate) fn spawn_as(directory: &Path, mut command: Command) -> Agent {
        let file = |name| fs::File::options().create(true).append(true).open(directory.join(name)).unwrap();
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

    /// Whether it ended, and by a signal.
    pub(crate) fn killed(&mut self) -> Option<bool> {
        use std::os::unix::process::ExitStatusExt as _;
        self.child.try_wait().unwrap().map(|status| status.signal().is_some())
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
    // Its plan tells nothing of how long it goes on, and in its test nothing is there to begin with.
    let endless = "SELECT (WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT max(n) FROM r) AS key \
                   FROM processes WHERE pid = 1 UNION ALL SELECT line FROM file_lines WHERE";
    with("endless", "SELECT line AS key FROM file_lines WHERE", endless);
    fs::write(&place.feed, "one\n").unwrap();
    let agent = Agent::start(place.directory.path(), &place.rules, &["--timeout", "500ms"]);
    until("the good rule found something", || agent.stdout().contains("\"key\":\"one\"").then_some(()));
    let refused = agent.query("SELECT path, error FROM rules WHERE status = 'refused' ORDER BY path");
    assert_eq!(refused.len(), 6, "{refused:?}");
    let dear =
        refused.iter().find(|row| row["path"].as_str().is_some_and(|path| path.contains("cross"))).unwrap();
    assert!(dear["error"].as_str().unwrap().contains("a × 300, b × 300"), "{dear}");
    for row in &refused {
        let (path, error) = (row["path"].as_str().unwrap(), row["error"].as_str().unwrap());
        let place = error.strip_prefix(path).unwrap();
        assert!(place.trim_start_matches(':').starts_with(|c: char| c.is_ascii_digit()), "{error}");
    }
    let over = until("the endless one is ended at its budget", || {
        let rows =
            agent.query("SELECT over_budget, error FROM rules WHERE id = 'endless' AND over_budget > 0");
        rows.first().cloned()
    });
    assert!(over["error"].as_str().unwrap().contains("500"), "{over}");
    let runs = agent.query("SELECT outcome FROM rule_runs WHERE rule = 'endless'");
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

#[test]
fn an_alert_is_proved_and_a_change_of_the_proof_shows() {
    let place = place();
    fs::write(&place.feed, "one\n").unwrap();
    let agent = Agent::start(place.directory.path(), &place.rules, &[]);
    let id = until("an alert", || {
        let rows = agent.query("SELECT id FROM alerts");
        rows.first().map(|row| row["id"].as_str().unwrap().to_owned())
    });
    let path = |name: &str| place.directory.path().join(name).display().to_string();
    fs::write(path("key"), agent.cli(&["audit", "key"]).text()).unwrap();
    let proof = agent.cli(&["audit", "prove", &id]).text();
    fs::write(path("proof"), &proof).unwrap();
    fs::write(path("checkpoint"), agent.cli(&["audit", "checkpoint"]).text()).unwrap();
    let holds = agent.cli(&["audit", "verify", "--key", &path("key"), "--proof", &path("proof")]).output();
    assert!(holds.status.success() && holds.text().contains(&id), "{holds:?}");
    let keyless = agent.cli(&["audit", "verify", "--proof", &path("proof")]).output();
    assert!(keyless.code() == 2 && keyless.stderr.contains("audit key"), "{keyless:?}");
    let line = proof.lines().nth(1).unwrap();
    let changed = proof.replace(line, &line.replacen("RFTl", "RFTm", 1));
    let changed = if changed == proof { proof.replacen("index ", "index 1", 1) } else { changed };
    fs::write(path("changed"), changed).unwrap();
    let fails = agent.cli(&["audit", "verify", "--key", &path("key"), "--proof", &path("changed")]).output();
    assert_eq!(fails.code(), 1, "{fails:?}");
    let verified =
        agent.cli(&["audit", "verify", "--key", &path("key"), "--checkpoint", &path("checkpoint")]).output();
    assert!(verified.status.success() && !verified.text().contains("not checked"), "{verified:?}");
    let joined = agent.query(
        "SELECT a.title, p.cmdline, l.seq FROM alerts a LEFT JOIN process_history p USING (start_key) \
         LEFT JOIN audit_log l ON l.subject = a.id",
    );
    assert!(joined[0]["seq"].is_number(), "{joined:?}");
    agent.stop();
}

#[test]
fn a_disk_that_is_full_stops_no_rule_and_loses_nothing() {
    let place = place();
    let state = place.directory.path().join("state");
    fs::create_dir(&state).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"]).arg(&state).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        println!("skipped: needs CAP_SYS_ADMIN");
        return;
    }
    fs::write(&place.feed, "before\n").unwrap();
    let agent = Agent::start(place.directory.path(), &place.rules, &["--every", "200ms"]);
    until("the first alert", || agent.stdout().contains("\"before\"").then_some(()));
    // All that is left, to the last byte.
    let mut filler = fs::File::create(state.join("filler")).unwrap();
    while std::io::Write::write_all(&mut filler, &[0; 4096]).is_ok() {}
    fs::write(&place.feed, "before\nduring\n").unwrap();
    until("the agent says so", || agent.stderr().contains("no space is left").then_some(()));
    let health = agent.cli(&["health"]).output();
    assert!(health.code() == 1 && health.text().contains("no space is left"), "{health:?}");
    assert!(!agent.stdout().contains("\"during\""), "what is not kept is not acknowledged");
    drop(filler);
    fs::remove_file(state.join("filler")).unwrap();
    until("it goes on by itself", || agent.stdout().contains("\"during\"").then_some(()));
    assert_eq!(agent.query("SELECT id FROM alerts").len(), 2);
    until("it is well again", || agent.cli(&["health"]).output().status.success().then_some(()));
    let verified = agent.cli(&["audit", "verify"]).output();
    assert!(verified.text().contains(" 0 findings"), "{verified:?}");
    agent.stop();
    assert!(Command::new("umount").arg(&state).status().unwrap().success());
}

#[test]
fn a_damaged_state_is_set_aside_by_name_and_the_agent_goes_on() {
    let place = place();
    fs::write(&place.feed, "one\n").unwrap();
    let agent = Agent::start(place.directory.path(), &place.rules, &[]);
    until("an alert", || agent.stdout().contains("\"one\"").then_some(()));
    agent.stop();
    let state = place.directory.path().join("state/state.redb");
    let mut bytes = fs::read(&state).unwrap();
    let from = bytes.len() / 4;
    bytes[from..].iter_mut().for_each(|byte| *byte ^= 0x5a);
    fs::write(&state, &bytes).unwrap();
    let agent = Agent::start(place.directory.path(), &place.rules, &[]);
    assert!(agent.stderr().contains("it was set aside"), "{}", agent.stderr());
    let told = until("the ledger has it", || {
        let rows =
            agent.query("SELECT action, subject FROM audit_log WHERE action LIKE 'state.%' ORDER BY seq");
        (rows.len() == 3).then_some(rows)
    });
    let actions: Vec<_> = told.iter().map(|row| row["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["state.created", "state.set_aside", "state.recreated"]);
    let aside = told[1]["subject"].as_str().unwrap();
    assert_eq!(fs::read(aside).unwrap(), bytes);
    agent.stop();
}

#[test]
fn the_examples_of_every_table_of_the_agent_run() {
    let place = place();
    fs::write(&place.feed, "one\n").unwrap();
    let agent = Agent::start(place.directory.path(), &place.rules, &[]);
    until("an alert", || agent.stdout().contains("\"one\"").then_some(()));
    let tables = "SELECT name FROM daemoneye_tables WHERE route = 'collector'";
    let names: Vec<String> =
        agent.query(tables).iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names.len(), 12, "{names:?}");
    for name in names {
        let shown = agent.cli(&["tables", &name]).text();
        let (_, examples) = shown.split_once("Examples\n").unwrap_or_else(|| panic!("{name} has no example"));
        for sql in examples.lines().map(str::trim).filter(|line| !line.is_empty()) {
            agent.query(sql);
        }
    }
    agent.stop();
}

#[test]
fn settings_come_from_files_the_environment_and_flags_and_say_so() {
    let place = place();
    let file = place.directory.path().join("config.yaml");
    fs::write(&file, "timeout: 10s\nhistory: { every: 5m }\n").unwrap();
    let shown = |env: &[(&str, &str)]| {
        let mut command = harness::agent(["--show-config", "--every", "1m", "--config"]);
        command.arg(&file).envs(env.iter().copied()).output().unwrap()
    };
    let output = shown(&[("DAEMONEYE_WORKERS", "3")]);
    let text = String::from_utf8(output.stdout).unwrap();
    for (key, value, origin) in [
        ("timeout", "10s", "config.yaml:1"),
        ("history.every", "5m", "config.yaml:2"),
        ("workers", "3", "DAEMONEYE_WORKERS"),
        ("every", "1m", "--every"),
        ("alerts.keep", "100000", "default"),
    ] {
        let line = text.lines().find(|line| line.split_whitespace().next() == Some(key)).unwrap();
        assert!(line.contains(value) && line.ends_with(origin), "{line}");
    }
    let refused = shown(&[("DAEMONEYE_WORKERS", "many")]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(said.contains("DAEMONEYE_WORKERS") && said.contains("from 1 to 16"), "{said}");
    fs::write(&file, "timeout: 10s\nhistry: 1\n").unwrap();
    let said = String::from_utf8(shown(&[]).stderr).unwrap();
    assert!(said.contains("config.yaml:2:1: there is no setting `histry`"), "{said}");
}
