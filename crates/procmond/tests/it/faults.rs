use std::time::{Duration, Instant};

use collector::Scan;
use ipc::{Client, Interest, RemoteScan};
use model::{Op, ScanError, Value};
use rustix::process::Signal;

use crate::programs::{PATIENCE, query, serve_again, served};

/// A table with far more rows than are ever under way.
const CONFIG: &str = "tables: [file, uptime]\n";

/// A scan that has begun, of which most rows are still to come.
fn begun(client: &Client) -> RemoteScan {
    let query = query(client, "file", &[("path", Op::Like, Value::from("/usr/%%".to_owned()))]);
    let mut scan = client.scan("file", &query).unwrap();
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
    let scan = begun(&served.client());
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
    let scan = begun(&served.client());
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
    let mut served = served(CONFIG);
    // More than it scans at once, from clients that read and from clients that do not.
    let clients: Vec<Client> = (0..20).map(|_| served.client()).collect();
    let mut scans: Vec<RemoteScan> = clients.iter().take(12).map(begun).collect();
    let waiting = clients.iter().map(|client| {
        let all = query(client, "file", &[("path", Op::Like, Value::from("/usr/%%".to_owned()))]);
        client.scan("file", &all).unwrap()
    });
    scans.extend(waiting);
    let mut events = clients[0].subscribe(&Interest::default()).unwrap();
    let began = Instant::now();
    served.collector.signal(Signal::TERM);
    assert_eq!(served.collector.ends(), Some(0));
    eprintln!("ended after {:?}", began.elapsed());
    for scan in scans {
        let error = error_of(scan);
        let is_named =
            matches!(&error, ScanError::Unreachable { why, .. } if why.contains("the collector stops"));
        assert!(is_named, "{error}");
    }
    let deadline = Instant::now() + PATIENCE;
    while let Ok(Some(_)) = events.next(Duration::from_millis(100)) {
        assert!(Instant::now() < deadline, "the subscription goes on");
    }
    let said = served.collector.said().join("\n");
    assert!(!said.contains("not everything ended"), "{said}");
}
