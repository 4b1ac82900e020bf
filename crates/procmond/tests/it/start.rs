use std::os::unix::net::UnixStream;
use std::process::Command;

use crate::programs::{Running, fence, holds, mode, place, procmond};

const SETPRIV: &str = "/usr/bin/setpriv";

fn has_setpriv() -> bool {
    let has = std::path::Path::new(SETPRIV).exists();
    if !has {
        eprintln!("skipped: needs setpriv");
    }
    has
}

#[test]
fn it_serves_its_socket_until_it_is_told_to_end_and_starts_again_over_a_stale_one() {
    let place = place();
    let path = place.path().join("d/s");
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
        let mut collector = procmond(["--socket".as_ref(), path.as_os_str()]);
        collector.says("procmond is ready");
        drop(UnixStream::connect(&path).unwrap());
        collector.signal(signal);
        assert_eq!(collector.ends(), Some(0));
        // What is confined cannot remove it.
        assert!(path.exists());
        assert!(UnixStream::connect(&path).is_err());
    }
}

#[test]
fn a_second_one_does_not_take_the_socket_away() {
    let place = place();
    let path = place.path().join("s");
    let mut first = procmond(["--socket".as_ref(), path.as_os_str()]);
    first.says("procmond is ready");
    let mut second = procmond(["--socket".as_ref(), path.as_os_str()]);
    second.says("already serves");
    assert_eq!(second.ends(), Some(1));
    drop(UnixStream::connect(&path).unwrap());
}

#[test]
fn a_configuration_that_says_something_wrong_is_refused_with_its_place() {
    let place = place();
    let config = place.path().join("procmond.yaml");
    std::fs::write(&config, "masking: true\ntables:\n  - processes\n  - shadows\n").unwrap();
    let mut collector = procmond(["--config".as_ref(), config.as_os_str()]);
    collector.says("procmond.yaml:4:5: there is no table \\\"shadows\\\"");
    assert_eq!(collector.ends(), Some(1));
}

#[test]
fn root_takes_no_configuration_from_anybody_else() {
    if !holds("CHOWN") {
        return;
    }
    let place = place();
    let config = place.path().join("procmond.yaml");
    std::fs::write(&config, "tables: [processes]\n").unwrap();
    mode(&config, 0o666);
    let mut collector = procmond(["--config".as_ref(), config.as_os_str()]);
    collector.says("chmod go-w");
    assert_eq!(collector.ends(), Some(1));
    mode(&config, 0o600);
    std::os::unix::fs::chown(&config, Some(65534), None).unwrap();
    let mut collector = procmond(["--config".as_ref(), config.as_os_str()]);
    collector.says("chown root");
    assert_eq!(collector.ends(), Some(1));
}

#[test]
fn each_change_of_privilege_is_a_line_of_the_log() {
    if !["SETUID", "SETGID", "SETPCAP"].into_iter().all(holds) {
        return;
    }
    let place = place();
    let mut collector = procmond(["--socket".as_ref(), place.path().join("s").as_os_str()]);
    collector.says("procmond is ready");
    let said = collector.said();
    for action in [
        "lock secure bits",
        "empty bounding set",
        "clear supplementary groups",
        "change group id",
        "change user id",
        "empty ambient set",
        "keep declared capabilities",
        "set no_new_privs",
        "make undumpable",
        "install seccomp filter",
        "verify privileges",
    ] {
        let line = said.iter().find(|line| line.contains(&format!("\"action\":\"{action}\"")));
        let line = line.unwrap_or_else(|| panic!("no {action:?} in {said:#?}"));
        assert!(line.contains("\"target\":\"audit\"") && line.contains("\"result\":\"done\""), "{line}");
    }
}

#[test]
fn root_without_the_means_to_give_up_its_rights_does_not_serve() {
    if !holds("SETPCAP") || !has_setpriv() {
        return;
    }
    let place = place();
    let mut command = Command::new(SETPRIV);
    command.args(["--bounding-set", "-setpcap", env!("CARGO_BIN_EXE_procmond"), "--socket"]);
    command.arg(place.path().join("s"));
    let mut collector = Running::start(command);
    collector.says("start procmond as root with CAP_SETPCAP");
    assert_eq!(collector.ends(), Some(1));
}

#[test]
fn root_without_a_declared_capability_serves_with_less_sight_and_says_so() {
    if !holds("SETPCAP") || !has_setpriv() {
        return;
    }
    let place = place();
    let mut command = Command::new(SETPRIV);
    command.args(["--bounding-set", "-sys_ptrace", env!("CARGO_BIN_EXE_procmond"), "--socket"]);
    command.arg(place.path().join("s"));
    let mut collector = Running::start(command);
    collector.says("\"missing\":\"CAP_SYS_PTRACE\"");
    collector.says("procmond is ready");
}

/// What the service manager leaves it is enough to start with.
#[test]
fn the_capabilities_of_the_unit_are_enough() {
    if !holds("SETPCAP") || !has_setpriv() {
        return;
    }
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/systemd/procmond.service");
    let unit = std::fs::read_to_string(unit).unwrap();
    let bounding = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).unwrap();
    let names =
        bounding.split(' ').map(|name| format!(",+{}", name.trim_start_matches("CAP_").to_lowercase()));
    let place = place();
    let config = place.path().join("procmond.yaml");
    std::fs::write(&config, "socket: { group: 12345, mode: 0660 }\n").unwrap();
    let mut command = Command::new(SETPRIV);
    command.arg("--bounding-set").arg(format!("-all{}", names.collect::<String>()));
    command
        .arg(env!("CARGO_BIN_EXE_procmond"))
        .arg("--config")
        .arg(config)
        .arg("--socket")
        .arg(place.path().join("s"));
    let mut collector = Running::start(command);
    collector.says("procmond is ready");
    use std::os::unix::fs::MetadataExt;
    assert_eq!(std::fs::symlink_metadata(place.path().join("s")).unwrap().gid(), 12345);
}

#[test]
fn threads_start_behind_the_fence() {
    // `mounts` asks each file system in a thread of its own.
    let output = fence("filtered", "tables").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mounts = text.lines().find(|line| line.starts_with("mounts\t")).unwrap();
    let free = mounts.split(' ').find_map(|value| value.strip_prefix("blocks_free=")).unwrap();
    assert_ne!(free, "0", "{mounts}");
}

/// The settings that it would start with, in this environment.
fn settings(config: &std::path::Path, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_procmond"));
    command.arg("--show-config").arg("--config").arg(config).args(arguments);
    let output = command.envs(environment.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn settings_come_from_its_file_and_flags_and_from_no_environment_or_users_file() {
    let place = place();
    let config = place.path().join("procmond.yaml");
    std::fs::write(&config, "user: ann\nallow: { users: [bob, 12] }\ntables:\n  - hash\n").unwrap();
    let users = place.path().join("users");
    std::fs::create_dir_all(users.join("daemoneye")).unwrap();
    for name in ["config.yaml", "procmond.yaml"] {
        std::fs::write(users.join("daemoneye").join(name), "masking: false\n").unwrap();
    }
    let usual = settings(&config, &["--user", "carl"], &[]);
    for (key, value, origin) in [
        ("user", "carl", "--user"),
        ("allow.users", "[bob, 12]", "procmond.yaml:2"),
        ("tables", "[hash]", "procmond.yaml:3"),
        ("masking", "true", "default"),
        ("socket.mode", "0660", "default"),
    ] {
        let line = usual.lines().find(|line| line.split_whitespace().next() == Some(key)).unwrap();
        assert!(line.contains(value) && line.ends_with(origin), "{line}");
    }
    let environment = [
        ("DAEMONEYE_MASKING", "false"),
        ("DAEMONEYE_TABLES", "shadow"),
        ("DAEMONEYE_USER", "dora"),
        ("DAEMONEYE_SOCKET_PATH", "/dev/shm/s"),
        ("DAEMONEYE_NO_SUCH_SETTING", "1"),
        ("XDG_CONFIG_HOME", users.to_str().unwrap()),
    ];
    assert_eq!(settings(&config, &["--user", "carl"], &environment), usual);
}
