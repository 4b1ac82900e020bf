use std::process::Command;

use collector::Host;

use crate::harness::cli;
use crate::machine::Machine;
use crate::outside::Running;

const SECRET: &str = "Xq7-hunter2-Zw9";

/// Columns that show what users typed or what programs were given.
const COLUMNS: &[(&str, &str, &str)] = &[
    ("processes", "cmdline", "cmdline_masked"),
    ("process_envs", "value", "masked"),
    ("shell_history", "command", "masked"),
    ("crontab", "command", "masked"),
    ("startup_items", "args", "args_masked"),
];

/// A process that was told a secret in an argument and in its environment.
fn told() -> Running {
    let mut command = Command::new("sh");
    // The shell waits for its input, so that it stays the program with these arguments.
    command.args(["-c", "read line; :", "sh", "--password", SECRET]).env("API_TOKEN", SECRET);
    Running::start_reading(&mut command)
}

#[test]
fn no_predicate_finds_a_secret_of_a_process() {
    let process = told();
    let pid = process.pid();
    let mut machine = Machine::live();
    for sql in [
        format!("SELECT pid FROM processes WHERE cmdline LIKE '%{SECRET}%' AND pid = {pid}"),
        format!("SELECT pid FROM processes WHERE cmdline GLOB '*{SECRET}*'"),
        format!("SELECT pid FROM processes WHERE instr(cmdline, '{SECRET}')"),
        format!("SELECT pid FROM process_envs WHERE value LIKE '%{SECRET}%'"),
        format!("SELECT pid FROM process_envs WHERE pid = {pid} AND value = '{SECRET}'"),
    ] {
        assert_eq!(machine.lines(&sql), Vec::<String>::new(), "{sql}");
    }
    let sql = format!("SELECT cmdline, cmdline_masked FROM processes WHERE pid = {pid}");
    assert_eq!(machine.one(&sql), "sh -c read line; : sh --password [masked]|1");
    let sql = format!("SELECT value, masked FROM process_envs WHERE pid = {pid} AND key = 'API_TOKEN'");
    assert_eq!(machine.one(&sql), "[masked]|1");
    let sql = format!("SELECT cmdline, cmdline_masked FROM processes WHERE pid = {pid}");
    assert_eq!(Machine::unmasked().one(&sql), format!("sh -c read line; : sh --password {SECRET}|0"));
}

#[test]
fn who_scans_here_may_ask_for_what_is_masked() {
    let process = told();
    let sql = format!("SELECT cmdline FROM processes WHERE pid = {}", process.pid());
    let shown = |flags: &[&str]| cli(flags.iter().chain(&["query", "--format", "csv", &sql])).text();
    assert_eq!(shown(&["--here"]), "cmdline\nsh -c read line; : sh --password [masked]\n");
    let whole = format!("cmdline\nsh -c read line; : sh --password {SECRET}\n");
    assert_eq!(shown(&["--here", "--unmasked"]), whole);
    // What a collector masked nobody here can show.
    assert_eq!(cli(["--unmasked", "query", &sql]).output().code(), 2);
}

#[test]
fn every_table_of_commands_masks_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let write = |path: &str, content: String| {
        let path = directory.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    };
    let command = format!("mysqldump -p{SECRET} db");
    write("etc/passwd", "a:x:1000:1000::/home/a:/bin/sh\n".into());
    write("home/a/.bash_history", format!("{command}\nls\n"));
    write("etc/crontab", format!("1 2 * * * root {command}\n"));
    write("etc/xdg/autostart/x.desktop", format!("[Desktop Entry]\nExec=/bin/x --token={SECRET}\n"));
    let service = "usr/lib/systemd/system/x.service";
    write(service, format!("[Service]\nExecStart=/bin/x --token {SECRET}\n"));
    let wants = directory.path().join("etc/systemd/system/multi-user.target.wants");
    std::fs::create_dir_all(&wants).unwrap();
    std::os::unix::fs::symlink(format!("/{service}"), wants.join("x.service")).unwrap();
    let stat =
        "(x) S 1 7 7 0 -1 0 0 0 0 0 5 7 0 0 20 0 1 0 9 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0\n";
    write("proc/7/stat", format!("7 {stat}"));
    write("proc/7/cmdline", format!("curl\0-u\0bob:{SECRET}\0"));
    write("proc/7/environ", format!("DB_PASSWORD={SECRET}\0URL=https://a:{SECRET}@h/\0"));

    let mut masked = Machine::of(Host::at(directory.path()));
    let mut open = Machine::of(Host::at(directory.path()).unmasked());
    for (table, column, flag) in COLUMNS {
        let rows = format!("SELECT count(*) FROM {table} WHERE {column} LIKE '%{SECRET}%'");
        let shown = open.one(&rows).parse::<u32>().unwrap();
        assert!(shown > 0, "{table} does not show the secret even when it may");
        assert_eq!(masked.one(&rows), "0", "{table}");
        let rows = format!("SELECT count(*) FROM {table} WHERE {flag} = 1 AND {column} LIKE '%[masked]%'");
        assert_eq!(masked.one(&rows), shown.to_string(), "{table}");
        assert_eq!(open.one(&rows), "0", "{table}");
    }
}
