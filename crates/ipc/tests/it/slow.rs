use std::io::Read;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ipc::proto::{self, answer, request};
use ipc::testing::Message;
use ipc::{FrameError, FrameReader, HEADER_BYTES, ServerLimits};

use crate::support::raw::{Half, Raw, frame, quick, scan, serves};
use crate::support::{Bench, ME, SOON, wait_until};

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
