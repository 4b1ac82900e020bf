use std::collections::BTreeMap;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant, SystemTime};

use collector::Scan;
use ipc::{Collectors, Endpoint, Settings};
use model::{Query, Run};

use crate::harness::second_collector;

const PATIENCE: Duration = Duration::from_secs(60);
const DIRECTORY: &str = "/sys/devices/system/cpu/vulnerabilities";

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[track_caller]
fn start(socket: &Path) -> Running {
    let running = Running(second_collector(socket).spawn().unwrap());
    let deadline = Instant::now() + PATIENCE;
    while !socket.exists() {
        assert!(Instant::now() < deadline, "it does not listen");
        std::thread::sleep(Duration::from_millis(5));
    }
    running
}

#[test]
fn a_table_that_one_collector_alone_knows_can_be_asked_for() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("cpu.sock");
    let _running = start(&socket);
    let run = Run::new(Some(PATIENCE), 1 << 20, SystemTime::now());
    let collectors = Collectors::new(vec![Endpoint::at(&socket)], Settings::default());
    collectors.refresh(&run);
    let schema = collectors.tables().into_iter().find(|table| table.name == "cpu_vulnerabilities").unwrap();
    let mut scan = collectors.scan(&schema.name, &Query::all(schema.clone(), run)).unwrap();
    let mut seen = BTreeMap::new();
    while scan.advance().unwrap() {
        let name = scan.value(0).as_str().unwrap().to_owned();
        seen.insert(name, (scan.value(1).as_int().unwrap(), scan.value(2).as_str().unwrap().to_owned()));
    }
    let files = std::fs::read_dir(DIRECTORY).map(|files| files.map(|file| file.unwrap().path()).collect());
    let files: Vec<_> = files.unwrap_or_default();
    assert_eq!(seen.len(), files.len());
    for file in files {
        let status = std::fs::read_to_string(&file).unwrap().trim().to_owned();
        let vulnerable = i64::from(status.starts_with("Vulnerable"));
        assert_eq!(seen[file.file_name().unwrap().to_str().unwrap()], (vulnerable, status));
    }
}
