use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ipc::proto::{self, answer, request};
use ipc::testing::Message;
use ipc::{Client, Peer, ServerLimits, Timing, VERSION_MAJOR, append, pipe};
use model::{Query, ScanError};
use proptest::prelude::*;

use crate::support::raw::{Raw, answer_frame, frame, hello, quick, scan, serves};
use crate::support::{Bench, ME, NUMBERS_ROWS, SOON, all, rows, run, wait_until};

#[test]
fn each_fault_ends_its_connection_with_its_name_and_is_counted() {
    let bench = Bench::start(quick());
    let ping = frame(7, request::Body::Ping(proto::Ping {}));
    let mut damaged = ping.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let mut large = (5_u32 << 20).to_le_bytes().to_vec();
    large.extend([0; 4]);
    let mut nonsense = Vec::new();
    append(&mut nonsense, |out| out.extend([0xff; 9]));
    let mut twice = frame(3, request::Body::Scan(scan("endless", 0)));
    twice.extend(frame(3, request::Body::Scan(scan("endless", 0))));
    let no_column = proto::Constraint { column: 99, op: 1, ..Default::default() };
    let no_column = proto::Scan { constraints: vec![no_column], ..scan("numbers", 1) };
    let crowd = proto::Scan { constraints: vec![Default::default(); 65], ..scan("numbers", 1) };
    let faults: [(Vec<u8>, &str); 7] = [
        (damaged, "a frame was damaged"),
        (large, "a frame of 5242880 bytes, where 4194304 are allowed"),
        (nonsense, "a message that cannot be read"),
        (twice, "a message that cannot be read: the id 3 is in use"),
        (frame(4, request::Body::Scan(no_column)), "a message that cannot be read: numbers has no column"),
        (frame(5, request::Body::Scan(crowd)), "a message that cannot be read: more than 64 of field 3"),
        (ping[..ping.len() - 1].to_vec(), "a frame did not arrive within 100ms"),
    ];
    for (bytes, reason) in &faults {
        let mut raw = Raw::greeted(&bench);
        raw.write(bytes);
        let refusal = raw.refusal();
        assert!(refusal.starts_with(reason), "{refusal} for {reason}");
        assert!(raw.answer().is_none());
        serves(&bench);
    }
    let raw = Raw::greeted(&bench);
    raw.write(&ping[..5]);
    raw.stream.shutdown();
    wait_until("the cut is seen", || bench.server.frame_counts().truncated == 1);
    let counts = bench.server.frame_counts();
    assert_eq!((counts.checksum, counts.too_large, counts.malformed, counts.too_slow), (1, 1, 4, 1));
    assert_eq!(bench.seen.ended.lock().unwrap().len(), 8);
    wait_until("all are gone", || bench.server.counts().connections_now == 0);
}

#[test]
fn who_says_no_hello_or_a_huge_one_does_not_stay() {
    let bench = Bench::start(quick());
    let silent = Raw::connect(&bench).refusal();
    assert_eq!(silent, "a frame did not arrive within 100ms");
    let mut raw = Raw::connect(&bench);
    raw.write(&frame(1, request::Body::Ping(proto::Ping {})));
    assert_eq!(raw.refusal(), "a message that cannot be read: the first message is no hello");
    let mut raw = Raw::connect(&bench);
    raw.write(&[0, 0, 0, 2, 0, 0, 0, 0]);
    assert_eq!(raw.refusal(), "a frame of 33554432 bytes, where 4096 are allowed");
    serves(&bench);
}

#[test]
fn a_peer_of_another_major_version_is_told_and_one_of_another_minor_is_served() {
    let bench = Bench::start(ServerLimits::default());
    let mut raw = Raw::connect(&bench);
    raw.write(&frame(0, hello(VERSION_MAJOR + 1, 0)));
    assert_eq!(raw.refusal(), "this collector speaks version 1 of the protocol, not 2");
    let mut raw = Raw::connect(&bench);
    // A newer hello, with a field that is not known here: number 500, three bytes.
    let mut newer = Vec::new();
    append(&mut newer, |payload| {
        let hello = proto::ClientHello { major: VERSION_MAJOR, minor: 99, ..Default::default() };
        let mut hello = hello.encode_to_vec();
        hello.extend([0xa2, 0x1f, 3, 1, 2, 3]);
        payload.extend([0x12, hello.len() as u8]);
        payload.extend(hello);
    });
    raw.write(&newer);
    assert!(matches!(raw.answer(), Some(answer::Body::Hello(_))));
    // A request of a kind that is not known here, then one that is.
    let mut unknown = Vec::new();
    append(&mut unknown, |payload| payload.extend([0x08, 9, 0xa2, 0x1f, 0]));
    raw.write(&unknown);
    assert!(matches!(raw.answer_with_id(), Some((9, Some(answer::Body::Unsupported(_))))));
    // An operation that is not known here filters nothing: the client tests the rows itself.
    let odd = proto::Constraint { column: 0, op: 77, count: 0, values: None };
    raw.write(&frame(10, request::Body::Scan(proto::Scan { constraints: vec![odd], ..scan("numbers", 64) })));
    let mut sent = 0;
    loop {
        match raw.answer() {
            Some(answer::Body::Batch(batch)) => sent += i64::from(batch.rows),
            Some(answer::Body::End(end)) => break assert_eq!(end.failure, None),
            _ => {}
        }
    }
    assert_eq!(sent, NUMBERS_ROWS);
    assert_eq!(bench.server.counts().unsupported, 1);
}

#[test]
fn requests_beyond_the_limits_are_turned_away_one_by_one() {
    let limits = ServerLimits { requests_per_connection_max: 3, ..ServerLimits::default() };
    let bench = Bench::start(limits);
    let client = bench.client();
    let query = all(&client, "endless");
    let _running: Vec<_> = (0..3).map(|_| client.scan("endless", &query).unwrap()).collect();
    let busy = rows(client.scan("endless", &query).unwrap(), &query.schema).unwrap_err();
    let why = "the collector laboratory is busy: too many requests run on this connection";
    assert_eq!(busy, ScanError::Failed(why.into()));
    assert!(client.ping(SOON).is_ok());
}

#[test]
fn connections_beyond_the_limits_are_refused_with_a_reason() {
    let limits = ServerLimits { connections_max: 3, connections_per_user_max: 2, ..ServerLimits::default() };
    let bench = Bench::start(limits);
    let _mine = [bench.client(), bench.client()];
    let refused = Client::over(bench.listener.connect(ME).unwrap(), Timing::default()).err().unwrap();
    assert_eq!(refused.to_string(), "refused: too many connections are open; try again later");
    let other = Peer { uid: Some(7), ..ME };
    assert!(Client::over(bench.listener.connect(other).unwrap(), Timing::default()).is_ok());
}

/// A conversation as an honest client has it.
fn conversation() -> Vec<u8> {
    let mut bytes = frame(0, hello(VERSION_MAJOR, 0));
    bytes.extend(frame(1, request::Body::Ping(proto::Ping {})));
    bytes.extend(frame(2, request::Body::Scan(scan("odd", 4))));
    bytes.extend(frame(2, request::Body::Credit(proto::Credit { batches: 2 })));
    bytes.extend(frame(3, request::Body::Subscribe(proto::Subscribe { credit: 3, ..Default::default() })));
    bytes.extend(frame(2, request::Body::Cancel(proto::Cancel {})));
    bytes.extend(frame(4, request::Body::Health(proto::HealthRequest {})));
    bytes
}

#[test]
fn whatever_is_sent_the_next_client_is_served() {
    let bench = Bench::start(quick());
    let honest = conversation();
    let damage = (any::<prop::sample::Index>(), 0..4_u8, any::<u8>());
    let cases = (prop::collection::vec(damage, 0..4), prop::collection::vec(1_usize..60, 1..8));
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(96)
    });
    let ran = runner.run(&cases, |(damages, sizes)| {
        let mut bytes = honest.clone();
        for (at, how, byte) in damages {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] ^= byte,
                1 => bytes.truncate(at.max(1)),
                2 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
            if bytes.is_empty() {
                bytes.push(byte);
            }
        }
        let raw = Raw::connect(&bench);
        let mut rest = &bytes[..];
        for size in sizes.iter().cycle() {
            let (part, after) = rest.split_at(rest.len().min(*size));
            raw.write(part);
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        raw.stream.shutdown();
        let client = bench.client();
        prop_assert!(client.ping(SOON).is_ok());
        Ok(())
    });
    ran.unwrap();
    serves(&bench);
    wait_until("all are gone", || bench.server.counts().connections_now == 0);
    wait_until("nothing runs", || bench.server.counts().scans_now == 0);
    println!("{:?}", bench.server.frame_counts());
}

#[test]
fn two_hundred_clients_at_once_are_served() {
    let bench = Bench::start(ServerLimits::default());
    let began = Instant::now();
    std::thread::scope(|threads| {
        for _ in 0..200 {
            let client = || loop {
                // The queue of connections is bounded too: an honest client tries again.
                let stream = bench.listener.connect(ME);
                match stream
                    .map(|s| Client::over(s, Timing { handshake_time_max: SOON, ..Timing::default() }))
                {
                    Ok(Ok(client)) => break client,
                    _ => std::thread::sleep(Duration::from_millis(5)),
                }
            };
            let work = move || {
                let client = client();
                let mut query = all(&client, "numbers");
                query.rows_wanted = Some(20);
                let mut scan = client.scan("numbers", &query).unwrap();
                for _ in 0..20 {
                    assert!(collector::Scan::advance(&mut scan).unwrap());
                }
            };
            std::thread::Builder::new().stack_size(256 << 10).spawn_scoped(threads, work).unwrap();
        }
    });
    wait_until("all are gone", || bench.server.counts().connections_now == 0);
    let counts = bench.server.counts();
    println!("200 clients in {:?}: {counts:?}", began.elapsed());
    assert_eq!((counts.connections, counts.scans, counts.busy), (200, 200, 0));
}

/// A collector that says hello and then what it likes.
fn fake(answers: impl FnOnce(&mut Raw) + Send + 'static) -> Client {
    let (near, far) = pipe(ME);
    std::thread::spawn(move || {
        let mut raw = Raw::over(far);
        let _ = raw.frames.read();
        let column = proto::ColumnFacts { name: "n".into(), kind: 1, ..Default::default() };
        let table = proto::Table { name: "t".into(), columns: vec![column], ..Default::default() };
        let hello = proto::ServerHello {
            major: VERSION_MAJOR,
            minor: 7,
            collector_name: "fake".into(),
            tables: vec![table],
            ..Default::default()
        };
        raw.write(&answer_frame(0, answer::Body::Hello(hello)));
        // The request.
        while let Ok(None) = raw.frames.read() {}
        answers(&mut raw);
        // Stays until the client has seen it.
        while raw.frames.read().is_ok() {}
    });
    Client::over(near, Timing::default()).unwrap()
}

fn ask(client: &Client) -> Result<usize, ScanError> {
    let query = Query::all(client.tables()[0].clone(), run(SOON));
    rows(client.scan("t", &query)?, &query.schema).map(|rows| rows.len())
}

fn numbers(rows: u32) -> answer::Body {
    let values = proto::Values { layout: 1, numbers: vec![1; rows as usize].into(), ..Default::default() };
    let column = proto::BatchColumn { column: 0, values: Some(values) };
    answer::Body::Batch(proto::Batch { rows, columns: vec![column] })
}

fn end() -> answer::Body {
    answer::Body::End(proto::End::default())
}

#[test]
fn what_a_client_does_not_know_it_ignores() {
    let client = fake(|raw| {
        let mut unknown = Vec::new();
        append(&mut unknown, |payload| payload.extend([0x08, 1, 0xa2, 0x1f, 0]));
        raw.write(&unknown);
        raw.write(&answer_frame(999, numbers(3)));
        raw.write(&answer_frame(1, numbers(5)));
        raw.write(&answer_frame(1, end()));
    });
    assert_eq!(ask(&client), Ok(5));
}

#[test]
fn a_collector_that_breaks_the_rules_loses_its_client() {
    type Fault = fn(&mut Raw);
    let faults: [(Fault, &str); 5] = [
        (
            |raw| {
                let mut damaged = answer_frame(1, numbers(1));
                *damaged.last_mut().unwrap() ^= 1;
                raw.write(&damaged);
            },
            "a frame was damaged",
        ),
        (|raw| raw.write(&[255, 255, 255, 255, 0, 0, 0, 0]), "a frame of 4294967295 bytes"),
        (
            |raw| {
                let batch = proto::Batch { rows: 1 << 31, columns: Vec::new() };
                raw.write(&answer_frame(1, answer::Body::Batch(batch)));
            },
            "a batch with too many rows",
        ),
        (|raw| raw.stream.shutdown(), "the connection was closed"),
        (
            |raw| {
                let reason = proto::Refused { reason: "go away".into() };
                raw.write(&answer_frame(0, answer::Body::Refused(reason)));
            },
            "go away",
        ),
    ];
    for (fault, why) in faults {
        let client = fake(fault);
        // The rows before the fault may be there, nothing after it is.
        let lost = ask(&client).unwrap_err();
        assert!(matches!(&lost, ScanError::Unreachable { collector, .. } if collector == "fake"), "{lost}");
        assert!(lost.to_string().contains(why), "{lost} for {why}");
        assert!(!client.is_alive());
    }
}

#[test]
fn who_asks_a_collector_that_has_gone_is_told_its_last_words() {
    let gone = Arc::new(AtomicBool::new(false));
    let said = gone.clone();
    let client = fake(move |raw| {
        let reason = proto::Refused { reason: "it goes to bed".into() };
        raw.write(&answer_frame(1, numbers(3)));
        raw.write(&answer_frame(0, answer::Body::Refused(reason)));
        raw.stream.shutdown();
        said.store(true, Ordering::Release);
    });
    let query = Query::all(client.tables()[0].clone(), run(SOON));
    let _begun = client.scan("t", &query).unwrap();
    wait_until("it has gone", || gone.load(Ordering::Acquire));
    // The first to ask writes into a closed connection, and nobody has read yet what came over it.
    let lost = client.scan("t", &query).err().unwrap();
    assert!(lost.to_string().contains("it goes to bed"), "{lost}");
    assert!(!client.is_alive());
}

#[test]
fn a_collector_that_sends_more_than_was_granted_loses_its_client() {
    let client = fake(|raw| (0..6).for_each(|_| raw.write(&answer_frame(1, numbers(1)))));
    let query = Query::all(client.tables()[0].clone(), run(SOON));
    let resting = client.scan("t", &query).unwrap();
    let lost = client.ping(SOON).unwrap_err();
    assert!(lost.to_string().ends_with("it sent more batches than were asked for"), "{lost}");
    drop(resting);
}

#[test]
fn a_frame_that_is_cut_off_is_told_with_the_pause_before_it() {
    let cut = |raw: &mut Raw| {
        let batch = answer_frame(1, numbers(1));
        raw.write(&batch[..batch.len() - 1]);
        raw.stream.shutdown();
    };
    // A connection over which nothing is asked for has no pause.
    let client = fake(cut);
    std::thread::sleep(Duration::from_millis(1100));
    let lost = ask(&client).unwrap_err().to_string();
    assert!(lost.ends_with("the connection ended in the middle of a frame"), "{lost}");
    let client = fake(cut);
    let query = Query::all(client.tables()[0].clone(), run(SOON));
    let scan = client.scan("t", &query).unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    let lost = rows(scan, &query.schema).unwrap_err().to_string();
    assert!(lost.ends_with("in the middle of a frame; for 1 s nothing had been read from it"), "{lost}");
}
