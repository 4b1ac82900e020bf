//! A peer that writes what it likes, byte by byte if it has to.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipc::proto::{self, answer, request};
use ipc::testing::Message;
use ipc::{FrameReader, ServerLimits, Transport, VERSION_MAJOR, append};

use super::{Bench, ME, NUMBERS_ROWS, SOON, all, rows};

/// A peer that writes what it likes.
pub(crate) struct Raw {
    pub(crate) stream: Arc<dyn Transport>,
    pub(crate) frames: FrameReader<Half>,
}

#[derive(Clone)]
pub(crate) struct Half(pub(crate) Arc<dyn Transport>);

impl Read for Half {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

pub(crate) fn hello(major: u32, minor: u32) -> request::Body {
    request::Body::Hello(proto::ClientHello { major, minor, ..Default::default() })
}

pub(crate) fn frame(id: u64, body: request::Body) -> Vec<u8> {
    let mut out = Vec::new();
    append(&mut out, |payload| proto::Request { id, body: Some(body) }.encode(payload).unwrap());
    out
}

pub(crate) fn answer_frame(id: u64, body: answer::Body) -> Vec<u8> {
    let mut out = Vec::new();
    append(&mut out, |payload| proto::Answer { id, body: Some(body) }.encode(payload).unwrap());
    out
}

pub(crate) fn scan(table: &str, credit: u32) -> proto::Scan {
    proto::Scan {
        table: table.into(),
        used: u64::MAX,
        memory_bytes_max: 1 << 30,
        credit,
        ..Default::default()
    }
}

impl Raw {
    pub(crate) fn over(stream: Arc<dyn Transport>) -> Raw {
        stream.set_timeouts(Duration::from_millis(50), Duration::from_millis(200)).unwrap();
        let frames = FrameReader::new(Half(stream.clone()), ipc::FRAME_BYTES_MAX, SOON);
        Raw { stream, frames }
    }

    pub(crate) fn connect(bench: &Bench) -> Raw {
        Raw::over(bench.listener.connect(ME).unwrap())
    }

    pub(crate) fn greeted(bench: &Bench) -> Raw {
        let mut raw = Raw::connect(bench);
        raw.write(&frame(0, hello(VERSION_MAJOR, 0)));
        assert!(matches!(raw.answer(), Some(answer::Body::Hello(_))));
        raw
    }

    /// Writes as much as the other end takes.
    pub(crate) fn write(&self, mut bytes: &[u8]) {
        while let Ok(count) = self.stream.write(bytes)
            && count > 0
        {
            bytes = &bytes[count..];
        }
    }

    pub(crate) fn answer_with_id(&mut self) -> Option<(u64, Option<answer::Body>)> {
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

    pub(crate) fn answer(&mut self) -> Option<answer::Body> {
        self.answer_with_id()?.1
    }

    /// The reason with which the connection ends.
    pub(crate) fn refusal(&mut self) -> String {
        loop {
            match self.answer() {
                Some(answer::Body::Refused(refused)) => return refused.reason,
                Some(_) => {}
                None => panic!("the connection ended without a reason"),
            }
        }
    }
}

pub(crate) fn serves(bench: &Bench) {
    let client = bench.client();
    let query = all(&client, "numbers");
    let found = rows(client.scan("numbers", &query).unwrap(), &query.schema).unwrap();
    assert_eq!(found.len() as i64, NUMBERS_ROWS);
}

pub(crate) fn quick() -> ServerLimits {
    ServerLimits {
        frame_time_max: Duration::from_millis(100),
        handshake_time_max: Duration::from_millis(100),
        write_time_max: Duration::from_millis(200),
        stall_time_max: Duration::from_millis(200),
        ..ServerLimits::default()
    }
}
