use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use collector::Scan;
use ipc::{Client, Interest, RemoteScan};
use model::{Op, ScanError, Value};
use rustix::process::Signal;

use crate::programs::{PATIENCE, query, serve_again, served};

/// A table with far more rows than are ever under way.
const CONFIG: &str = "tables: [file, uptime]\n";

fn scan(client: &Client, pattern: &str) -> RemoteScan {
    let query = query(client, "file", &[("path", Op::Like, Value::from(pattern.to_owned()))]);
    client.scan("file", &query).unwrap()
}

/// A scan that has begun, of which most rows are still to come.
fn begun(client: &Client, pattern: &str) -> RemoteScan {
    let mut scan = scan(client, pattern);
    assert!(scan.advance().unwrap());
    scan
}

/// Reads on until it fails.
#[track_caller]
fn error_of(mut scan: impl Scan) -> ScanError {
    loop {
        match scan.advance() {
            Ok(true) => {}
            Ok(false) => panic!("it came to its end, so nothing was proved"),
            Err(error) => return error,
        }
    }
}

#[track_caller]
fn assert_answers(client: &Client) {
    let mut scan = client.scan("uptime", &query(client, "uptime", &[])).unwrap();
    assert!(scan.advance().unwrap());
}

#[test]
fn a_stream_ends_with_an_error_when_it_is_killed_and_the_next_one_takes_its_place() {
    let mut served = served(CONFIG);
    let scan = begun(&served.client(), "/usr/%%");
    let began = Instant::now();
    served.collector.signal(Signal::KILL);
    let error = error_of(scan);
    let time = began.elapsed();
    assert!(matches!(&error, ScanError::Unreachable { collector, .. } if collector == "procmond"), "{error}");
    assert!(time < Duration::from_secs(1), "the error took {time:?}");
    served.collector.ends();
    assert!(served.socket.exists(), "what was killed leaves its socket");
    served.collector = serve_again(served.place.path());
    assert_answers(&served.client());
}

#[test]
fn a_stream_ends_with_an_error_when_it_stands_still_and_it_serves_again_when_it_goes_on() {
    let served = served(CONFIG);
    let scan = begun(&served.client(), "/usr/%%");
    let began = Instant::now();
    served.collector.signal(Signal::STOP);
    let error = error_of(scan);
    eprintln!("stopped: {error} after {:?}", began.elapsed());
    assert!(matches!(error, ScanError::Unreachable { .. }), "{error}");
    served.collector.signal(Signal::CONT);
    assert_answers(&served.client());
}

#[test]
fn told_to_end_it_tells_every_stream_and_ends() {
    /// Scans that have begun, as many as one user may run at once, and those that wait for them.
    const BEGUN: usize = 12;
    const WAITING: usize = 8;
    let mut served = served(CONFIG);
    let together = Arc::new(Barrier::new(BEGUN + WAITING + 1));
    let read = |scan: RemoteScan| {
        let together = together.clone();
        thread::spawn(move || {
            together.wait();
            error_of(scan)
        })
    };
    let begun: Vec<_> = (0..BEGUN).map(|_| begun(&served.client(), "/%%")).collect();
    let waiting: Vec<_> = (0..WAITING).map(|_| scan(&served.client(), "/%%")).collect();
    let reading: Vec<_> = begun.into_iter().chain(waiting).map(read).collect();
    let client = served.client();
    let mut events = client.subscribe(&Interest::default()).unwrap();
    together.wait();
    let began = Instant::now();
    served.collector.signal(Signal::TERM);
    for error in reading.into_iter().map(|client| client.join().unwrap()) {
        let is_named =
            matches!(&error, ScanError::Unreachable { why, .. } if why.contains("the collector stops"));
        assert!(is_named, "{error}");
    }
    assert_eq!(served.collector.ends(), Some(0));
    eprintln!("ended after {:?}", began.elapsed());
    let deadline = Instant::now() + PATIENCE;
    while let Ok(Some(_)) = events.next(Duration::from_millis(100)) {
        assert!(Instant::now() < deadline, "the subscription goes on");
    }
    let said = served.collector.said().join("\n");
    assert!(!said.contains("not everything ended"), "{said}");
}
