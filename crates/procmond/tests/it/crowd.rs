use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Instant;

use collector::Scan;
use ipc::{Client, Timing};

use crate::programs::{query, served};

const CLIENTS: usize = 200;
/// What the service manager throttles at, in KiB.
const MEMORY_KIB_MAX: u64 = 200 << 10;

#[test]
fn two_hundred_clients_at_once_are_all_answered_within_its_memory() {
    let served = served("");
    // One after the other, since a connect waits no longer than half a second for the queue of the socket.
    let clients: Vec<Client> = (0..CLIENTS).map(|_| served.client()).collect();
    let together = Arc::new(Barrier::new(CLIENTS));
    let began = Instant::now();
    let asking: Vec<_> = clients
        .into_iter()
        .map(|client| {
            let together = together.clone();
            thread::spawn(move || {
                together.wait();
                let all = query(&client, "processes", &[]);
                let pid = all.schema.column("pid").unwrap();
                let mut scan = client.scan("processes", &all).unwrap();
                let mut is_there = false;
                while scan.advance().unwrap() {
                    is_there |= scan.value(pid).as_int() == Some(std::process::id().into());
                }
                is_there
            })
        })
        .collect();
    let answered =
        asking.into_iter().map(|client| client.join().unwrap()).filter(|is_there| *is_there).count();
    let status = std::fs::read_to_string(format!("/proc/{}/status", served.collector.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    eprintln!("{CLIENTS} clients: {:?}, VmHWM {peak} KiB", began.elapsed());
    assert_eq!(answered, CLIENTS);
    assert!(peak < MEMORY_KIB_MAX, "{peak} KiB");
    assert!(Client::connect(&served.socket, Timing::default()).is_ok());
}
