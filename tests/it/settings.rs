use std::fs;
use std::path::Path;
use std::process::Child;

use crate::agent::{Agent, place, until};
use crate::harness::{self, Run, cli, second_collector};

/// `daemoneye-cli` with a file of settings.
fn with(file: &Path, arguments: &[&str]) -> Run {
    cli([&["--config", file.to_str().unwrap()], arguments].concat())
}

/// The line of a key in a list of settings, as words.
#[track_caller]
fn line(shown: &str, key: &str) -> Vec<String> {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    shown.lines().map(words).find(|words| words[0] == key).unwrap()
}

#[test]
fn the_cli_finds_an_agent_whose_state_is_set_in_a_file_alone() {
    let place = place();
    let directory = place.directory.path();
    let (state, file) = (directory.join("state"), directory.join("config.yaml"));
    let text = format!(
        "state: {}\nrules: {}\ncollector: embedded\ncli: {{ format: ndjson }}\n",
        state.display(),
        place.rules.display()
    );
    fs::write(&file, text).unwrap();
    let mut command = harness::agent(["--config"]);
    command.arg(&file);
    let mut agent = Agent::spawn_as(directory, command);
    agent.wait_until_ready();

    let rules = with(&file, &["query", "--quiet", "SELECT id FROM rules"]).text();
    assert_eq!(rules, "{\"id\":\"lines\"}\n");
    assert!(with(&file, &["rules", "list"]).text().starts_with("{\"id\":\"lines\""));
    assert_eq!(with(&file, &["rules", "disable", "lines"]).text(), "rule lines is disabled\n");
    until("it is well", || with(&file, &["health"]).output().status.success().then_some(()));
    assert!(with(&file, &["audit", "key"]).text().contains('+'));
    // What is given on the command line wins, and in this process nobody is looked for.
    let elsewhere = directory.join("elsewhere");
    let other = with(&file, &["--state", elsewhere.to_str().unwrap(), "alerts", "list"]).output();
    assert_eq!(other.code(), 3, "{other:?}");
    let other = with(&file, &["--agent", elsewhere.to_str().unwrap(), "alerts", "list"]).output();
    assert_eq!(other.code(), 3, "{other:?}");
    let here = with(&file, &["--here", "query", "SELECT id FROM rules"]).output();
    assert!(here.code() == 2 && here.stderr.contains("no such table"), "{here:?}");
    agent.stop();

    // Without the agent its files are read.
    assert_eq!(with(&file, &["query", "--quiet", "SELECT id FROM rules"]).output().text(), rules);
}

#[test]
fn the_users_file_tells_the_cli_where_the_agent_listens() {
    let place = place();
    let directory = place.directory.path();
    let socket = directory.join("somewhere/else.sock");
    fs::create_dir(directory.join("somewhere")).unwrap();
    fs::create_dir(directory.join("daemoneye")).unwrap();
    let text = format!(
        "state: {}\nsocket: {}\nrules: {}\ncollector: embedded\n",
        directory.join("state").display(),
        socket.display(),
        place.rules.display()
    );
    fs::write(directory.join("daemoneye/config.yaml"), text).unwrap();
    let mut command = harness::agent([""; 0]);
    command.env("XDG_CONFIG_HOME", directory);
    let agent = Agent::spawn_as(directory, command);
    let mut query = ["query", "--quiet", "--format", "csv", "SELECT id FROM rules"];
    until("the cli finds it", || {
        let output = cli(query).env("XDG_CONFIG_HOME", directory).output();
        (output.text() == "id\nlines\n").then_some(())
    });
    // Its files do not tell of its health, so it was asked.
    query[4] = "SELECT count(*) > 0 FROM agent_health";
    let health = cli(query).env("XDG_CONFIG_HOME", directory).text();
    assert!(health.ends_with("\n1\n"), "{health}");
    agent.stop();
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_cli_asks_the_collector_of_the_settings() {
    let place = tempfile::tempdir().unwrap();
    let (socket, file) = (place.path().join("cpu.sock"), place.path().join("config.yaml"));
    fs::write(&file, format!("collector: {}\n", socket.display())).unwrap();
    let sql = ["query", "SELECT count(*) FROM cpu_vulnerabilities"];
    assert_eq!(with(&file, &sql).output().code(), 2, "nobody need be there, and tables are scanned here");
    let _running = Running(second_collector(&socket).spawn().unwrap());
    until("it listens", || socket.exists().then_some(()));
    assert!(with(&file, &sql).output().status.success());
    assert_eq!(with(&file, &[&["--here"], &sql[..]].concat()).output().code(), 2);
    let absent = place.path().join("absent");
    let other = with(&file, &[&["--connect", absent.to_str().unwrap()], &sql[..]].concat()).output();
    assert_eq!(other.code(), 3, "{other:?}");
}

#[test]
fn formats_and_limits_of_the_cli_are_settings_and_flags_win() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("config.yaml");
    fs::write(&file, "cli:\n  format: csv\n  timeout: 200ms\n  max_rows: 1\nworkers: whatever\n").unwrap();
    assert_eq!(with(&file, &["--here", "query", "SELECT 1 AS n"]).text(), "n\n1\n");
    assert_eq!(with(&file, &["--here"]).stdin("SELECT 1 AS n;").text(), "n\n1\n");
    let json = with(&file, &["--here", "query", "--format", "ndjson", "SELECT 1 AS n"]).text();
    assert_eq!(json, "{\"n\":1}\n");
    let variable =
        with(&file, &["--here", "query", "SELECT 1 AS n"]).env("DAEMONEYE_CLI_FORMAT", "line").text();
    assert_eq!(variable, "n = 1\n");

    let two = "VALUES (1), (2)";
    assert_eq!(with(&file, &["--here", "query", two]).output().code(), 1);
    assert_eq!(with(&file, &["--here"]).stdin(two).output().code(), 1);
    assert_eq!(with(&file, &["--here", "query", "--max-rows", "2", two]).output().code(), 0);
    let endless =
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n FROM c WHERE n < 0";
    let stopped = with(&file, &["--here", "query", endless]).output();
    assert!(stopped.code() == 4 && stopped.stderr.contains("200"), "{stopped:?}");
    let longer = with(&file, &["--here", "query", "--timeout", "500ms", endless]).output();
    assert!(longer.code() == 4 && longer.stderr.contains("500"), "{longer:?}");
}

#[test]
fn the_cli_lists_its_settings_with_where_each_came_from() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("config.yaml");
    fs::write(&file, "state: /a\nsocket: /b/s\ncli:\n  format: csv\nhistory: { every: 5m }\n").unwrap();
    let shown = with(&file, &["--show-config"]).env("DAEMONEYE_CLI_TIMEOUT", "none").text();
    let at = |line: u64| format!("{}:{line}", file.display());
    assert_eq!(line(&shown, "state"), ["state", "/a", &at(1)]);
    assert_eq!(line(&shown, "socket"), ["socket", "/b/s", &at(2)]);
    assert_eq!(line(&shown, "collector"), ["collector", "(usual)", "default"]);
    assert_eq!(line(&shown, "cli.format"), ["cli.format", "csv", &at(4)]);
    assert_eq!(line(&shown, "cli.timeout"), ["cli.timeout", "none", "DAEMONEYE_CLI_TIMEOUT"]);
    assert_eq!(line(&shown, "cli.max_rows"), ["cli.max_rows", "10000000", "default"]);
    assert_eq!(shown.lines().count(), 6, "{shown}");

    let shown = with(&file, &["--show-config", "--state", "/c", "--connect", "/d"]).text();
    assert_eq!(line(&shown, "state"), ["state", "/c", "--state"]);
    assert_eq!(line(&shown, "socket"), ["socket", "/c/agent.sock", "--state"]);
    assert_eq!(line(&shown, "collector"), ["collector", "/d", "--connect"]);
    let shown = with(&file, &["--show-config", "--here"]).text();
    assert_eq!(line(&shown, "collector"), ["collector", "embedded", "--here"]);
    assert_eq!(with(&file, &["--show-config", "tables"]).output().code(), 2);
}

#[test]
fn a_broken_file_ends_the_cli_with_its_place_and_what_is_allowed() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("daemoneye")).unwrap();
    let file = place.path().join("daemoneye/config.yaml");
    for (text, at, words) in [
        (
            "workers: 2\nsokcet: /x\n",
            ":2:1: there is no setting `sokcet`; did you mean `socket`?",
            "cli.format",
        ),
        (
            "cli: { format: xml }\n",
            ":1:16: `cli.format` is \"xml\"",
            "table, json, ndjson, csv, line, markdown",
        ),
        ("cli:\n  timeout: soon\n", ":2:12: ", "or `none`"),
        ("just text\n", ":1:1: ", "a map"),
    ] {
        fs::write(&file, text).unwrap();
        let named = with(&file, &["query", "SELECT 1"]).output();
        let usual = cli(["query", "SELECT 1"]).env("XDG_CONFIG_HOME", place.path()).output();
        for output in [named, usual, with(&file, &["--show-config"]).output()] {
            assert_eq!((output.code(), output.text().as_str()), (2, ""), "{output:?}");
            let error = output.stderr.strip_prefix(&format!("error: {}{at}", file.display()));
            assert!(
                error.is_some_and(|rest| output.stderr.contains(words) && !rest.is_empty()),
                "{output:?}"
            );
        }
        for arguments in [&["--help"][..], &["--version"], &["completions", "bash"], &["query", "--help"]] {
            let run = cli(arguments.iter().copied()).env("XDG_CONFIG_HOME", place.path());
            assert!(!run.text().is_empty(), "{arguments:?}");
        }
        // In this process it works whatever the files say, but for one that was named.
        let here = cli(["--here", "query", "--format", "csv", "SELECT 1 AS n"]);
        let here = here.env("XDG_CONFIG_HOME", place.path()).output();
        assert_eq!((here.code(), here.text().as_str()), (0, "n\n1\n"), "{here:?}");
        assert!(here.stderr.starts_with("note: ") && here.stderr.contains(at), "{here:?}");
        assert_eq!(with(&file, &["--here", "query", "SELECT 1"]).output().code(), 2);
    }
    let absent = with(&place.path().join("absent.yaml"), &["query", "SELECT 1"]).output();
    assert!(absent.code() == 2 && absent.stderr.contains("absent.yaml"), "{absent:?}");
    let misspelt = cli(["--here", "query", "SELECT 1"]).env("DAEMONEYE_CLI_FORMT", "csv").output();
    assert!(misspelt.code() == 2 && misspelt.stderr.contains("mean `cli.format`"), "{misspelt:?}");
}
