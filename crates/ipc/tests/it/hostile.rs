use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ipc::proto::{self, answer, request};
use ipc::testing::Message;
use ipc::{
    Client, FrameError, FrameReader, HEADER_BYTES, Peer, ServerLimits, Timing, Transport, VERSION_MAJOR,
    append, pipe,
};
use model::{Query, ScanError};
use proptest::prelude::*;

use crate::support::{Bench, ME, NUMBERS_ROWS, SOON, all, rows, run, wait_until};

/// A peer that writes what it likes.
struct Raw {
    stream: Arc<dyn Transport>,
    frames: FrameReader<Half>,
}

#[derive(Clone)]
struct Half(Arc<dyn Transport>);

impl Read for Half {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

fn hello(major: u32, minor: u32) -> request::Body {
    request::Body::Hello(proto::ClientHello { major, minor, ..Default::default() })
}

fn frame(id: u64, body: request::Body) -> Vec<u8> {
    let mut out = Vec::new();
    append(&mut out, |payload| proto::Request { id, body: Some(body) }.encode(payload).unwrap());
    out
}

fn answer_frame(id: u64, body: answer::Body) -> Vec<u8> {
    let mut out = Vec::new();
    append(&mut out, |payload| proto::Answer { id, body: Some(body) }.encode(payload).unwrap());
    out
}

fn scan(table: &str, credit: u32) -> proto::Scan {
    proto::Scan {
        table: table.into(),
        used: u64::MAX,
        memory_bytes_max: 1 << 30,
        credit,
        ..Default::default()
    }
}

impl Raw {
    fn over(stream: Arc<dyn Transport>) -> Raw {
        stream.set_timeouts(Duration::from_millis(50), Duration::from_millis(200)).unwrap();
        let frames = FrameReader::new(Half(stream.clone()), ipc::FRAME_BYTES_MAX, SOON);
        Raw { stream, frames }
    }

    fn connect(bench: &Bench) -> Raw {
        Raw::over(bench.listener.connect(ME).unwrap())
    }

    fn greeted(bench: &Bench) -> Raw {
        let mut raw = Raw::connect(bench);
        raw.write(&frame(0, hello(VERSION_MAJOR, 0)));
        assert!(matches!(raw.answer(), Some(answer::Body::Hello(_))));
        raw
    }

    /// Writes as much as the other end takes.
    fn write(&self, mut bytes: &[u8]) {
        while let Ok(count) = self.stream.write(bytes)
            && count > 0
        {
            bytes = &bytes[count..];
        }
    }

    fn answer_with_id(&mut self) -> Option<(u64, Option<answer::Body>)> {
        let began = Instant::now();
        loop {
            assert!(began.elapsed() < SOON, "no answer came");
            match self.frames.read() {
                Ok(Some(payload)) => {
                    let answer = proto::Answer::decode(payload).unwrap();
                    return Some((answer.id, answer.body));
                }
                Ok(None) => {}
                Err(_) => return None,
            }
        }
    }

    fn answer(&mut self) -> Option<answer::Body> {
        self.answer_with_id()?.1
    }

    /// The reason with which the connection ends.
    fn refusal(&mut self) -> String {
        loop {
            match self.answer() {
                Some(answer::Body::Refused(refused)) => return refused.reason,
                Some(_) => {}
                None => panic!("the connection ended without a reason"),
            }
        }
    }
}

fn serves(bench: &Bench) {
    let client = bench.client();
    let query = all(&client, "numbers");
    let found = rows(client.scan("numbers", &query).unwrap(), &query.schema).unwrap();
    assert_eq!(found.len() as i64, NUMBERS_ROWS);
}

fn quick() -> ServerLimits {
    ServerLimits {
        frame_time_max: Duration::from_millis(100),
        handshake_time_max: Duration::from_millis(100),
        write_time_max: Duration::from_millis(200),
        stall_time_max: Duration::from_millis(200),
        ..ServerLimits::default()
    }
}

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
fn who_takes_no_answers_is_given_up_and_holds_nobody_else() {
    let bench = Bench::start(quick());
    let raw = Raw::greeted(&bench);
    for id in 1..20 {
        raw.write(&frame(id, request::Body::Scan(scan("wide", 64))));
    }
    serves(&bench);
    wait_until("it is gone", || bench.server.counts().connections_now == 0);
    wait_until("its scans too", || bench.server.counts().scans_now == 0);
}

/// A short answer has no time to be taken, and the rows of a scan have all of it.
fn patient() -> ServerLimits {
    ServerLimits { stall_time_max: Duration::from_secs(600), ..quick() }
}

#[test]
fn who_takes_its_time_within_a_frame_gets_every_row() {
    let bench = Bench::start(patient());
    let mut raw = Raw::greeted(&bench);
    raw.write(&frame(1, request::Body::Scan(scan("wide", 64))));
    let mut rows = 0;
    loop {
        std::thread::sleep(4 * quick().write_time_max);
        match raw.answer().expect("the connection stands") {
            answer::Body::Batch(batch) => rows += batch.rows,
            // The last row is larger than a frame.
            answer::Body::End(end) => break assert!(end.failure.is_some()),
            _ => {}
        }
    }
    assert_eq!(rows, 7);
}

#[test]
fn who_takes_none_of_what_it_cancelled_is_given_up() {
    let bench = Bench::start(patient());
    let raw = Raw::greeted(&bench);
    raw.write(&frame(1, request::Body::Scan(scan("wide", 64))));
    wait_until("a frame is under way", || bench.server.counts().batches_sent == 1);
    raw.write(&frame(1, request::Body::Cancel(proto::Cancel {})));
    wait_until("it is gone", || bench.server.counts().connections_now == 0);
    let mut timed = scan("wide", 64);
    timed.time_left_ms = Some(100);
    let raw = Raw::greeted(&bench);
    raw.write(&frame(1, request::Body::Scan(timed)));
    wait_until("it is gone too", || bench.server.counts().connections_now == 0);
}

#[test]
fn who_takes_no_rows_has_no_thread_that_another_waits_for() {
    let bench = Bench::start(ServerLimits { scans_at_once_max: 1, ..patient() });
    let raw = Raw::greeted(&bench);
    raw.write(&frame(1, request::Body::Scan(scan("wide", 64))));
    wait_until("a frame is under way", || bench.server.counts().batches_sent == 1);
    std::thread::sleep(4 * quick().write_time_max);
    assert_eq!(bench.server.counts().scans_now, 1, "while nobody waits it may stand");
    serves(&bench);
    // Without credit it is told.
    let mut raw = Raw::greeted(&bench);
    raw.write(&frame(1, request::Body::Scan(scan("numbers", 0))));
    wait_until("it has the thread", || bench.server.counts().scans_now == 1);
    serves(&bench);
    let told = std::iter::from_fn(|| raw.answer()).find_map(|answer| match answer {
        answer::Body::End(end) => Some(end.failure.unwrap().kind.unwrap()),
        _ => None,
    });
    assert_eq!(told, Some(proto::failure::Kind::Failed("nobody took rows for 200ms".into())));
}

#[test]
fn who_grants_no_credit_gets_no_rows_and_does_not_hold_a_thread_for_ever() {
    let limits = ServerLimits { stall_time_max: Duration::from_millis(100), ..ServerLimits::default() };
    let bench = Bench::start(limits);
    let mut raw = Raw::greeted(&bench);
    raw.write(&frame(1, request::Body::Scan(scan("numbers", 0))));
    loop {
        match raw.answer() {
            Some(answer::Body::Batch(_)) => panic!("a batch that nobody asked for"),
            Some(answer::Body::End(end)) => {
                let failed = proto::failure::Kind::Failed("nobody took rows for 100ms".into());
                break assert_eq!(end.failure.unwrap().kind, Some(failed));
            }
            _ => {}
        }
    }
    assert_eq!((bench.server.counts().stalled, bench.seen.rows.load(Ordering::Relaxed)), (1, 0));
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

/// Bytes that a pipe holds.
const PIPE_BYTES: usize = 128 << 10;

/// When a client reads all of a frame but what its pipe holds, before a pause in which it reads nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Takes {
    Nothing,
    ItBeforeTheStop,
    ItAfterTheStop,
}

impl Raw {
    /// Exactly so many bytes, in pieces.
    fn take(&self, bytes: usize) -> Vec<u8> {
        let (mut taken, began) = (vec![0; bytes], Instant::now());
        let mut have = 0;
        while have < bytes {
            assert!(began.elapsed() < SOON, "{have} of {bytes} bytes came");
            match self.stream.read(&mut taken[have..]) {
                Ok(0) => panic!("the stream ended"),
                Ok(count) => have += count,
                Err(_) => {}
            }
        }
        taken
    }

    /// The beginning of a frame of which the rest fills its pipe.
    fn take_what_the_pipe_does_not_hold(&self) -> Vec<u8> {
        let mut taken = self.take(HEADER_BYTES);
        let length = u32::from_le_bytes(*taken.first_chunk().unwrap()) as usize;
        taken.extend(self.take(length - PIPE_BYTES));
        taken
    }
}

/// What a client is sent from a frame on that is under way when the server stops, if it reads nothing for so long
/// that the server has noticed and waited.
fn sent_while_it_stops(takes: Takes) -> Vec<answer::Body> {
    const PAUSE: Duration = Duration::from_secs(2);
    let bench = Bench::start(ServerLimits::default());
    let raw = Raw::greeted(&bench);
    let Bench { mut server, listener, .. } = bench;
    let before = server.counts().bytes_sent;
    raw.write(&frame(1, request::Body::Scan(scan("wide", 1))));
    wait_until("a frame is under way", || server.counts().batches_sent == 1);
    let mut sent = Vec::new();
    if takes == Takes::ItBeforeTheStop {
        sent = raw.take_what_the_pipe_does_not_hold();
        wait_until("it is written", || server.counts().bytes_sent > before);
    }
    let stopping = std::thread::spawn(move || server.stop(SOON));
    wait_until("the server stops", || listener.connect(ME).is_err());
    if takes == Takes::ItAfterTheStop {
        sent = raw.take_what_the_pipe_does_not_hold();
    }
    std::thread::sleep(PAUSE);
    let frames = std::io::Cursor::new(sent).chain(Half(raw.stream.clone()));
    let mut frames = FrameReader::new(frames, ipc::FRAME_BYTES_MAX, SOON);
    let mut answers = Vec::new();
    loop {
        match frames.read() {
            Ok(Some(payload)) => answers.extend(proto::Answer::decode(payload).unwrap().body),
            Ok(None) => {}
            Err(FrameError::Closed) => break,
            Err(error) => panic!("after {} answers: {error}", answers.len()),
        }
    }
    assert!(stopping.join().unwrap());
    answers
}

#[test]
fn a_server_that_stops_says_so_after_the_frame_that_is_under_way_however_slowly_it_is_taken() {
    let cases = [Takes::Nothing, Takes::ItBeforeTheStop, Takes::ItAfterTheStop];
    let sent = cases.map(|takes| (takes, std::thread::spawn(move || sent_while_it_stops(takes))));
    for (takes, sent) in sent {
        let sent = sent.join().unwrap();
        let [answer::Body::Batch(batch), answer::Body::Refused(refused)] = &sent[..] else {
            panic!("{takes:?}: {} answers", sent.len());
        };
        assert_eq!((batch.rows, refused.reason.as_str()), (3, "the collector stops"), "{takes:?}");
    }
}

#[test]
fn a_frame_that_is_cut_off_is_told_with_the_pause_before_it() {
    let cut = |raw: &mut Raw| {
        let batch = answer_frame(1, numbers(1));
        raw.write(&batch[..batch.len() - 1]);
        raw.stream.shutdown();
    };
    let lost = ask(&fake(cut)).unwrap_err().to_string();
    assert!(lost.ends_with("the connection ended in the middle of a frame"), "{lost}");
    let client = fake(cut);
    let query = Query::all(client.tables()[0].clone(), run(SOON));
    let scan = client.scan("t", &query).unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    let lost = rows(scan, &query.schema).unwrap_err().to_string();
    assert!(lost.ends_with("in the middle of a frame; for 1 s nothing had been read from it"), "{lost}");
}
