//! Frames from any bytes, cut anywhere: they end with a named error, and memory follows what arrived.
#![no_main]

use std::io::{self, Read};
use std::time::Duration;

use ipc::{FrameReader, append};
use libfuzzer_sys::fuzz_target;

const FRAME_BYTES_MAX: u32 = 1 << 20;
const TIME_MAX: Duration = Duration::from_secs(60);
/// The buffer of a reader, and the step by which it grows.
const READ_BYTES: usize = 64 << 10;

/// Gives its bytes in pieces of one size; now and then nothing is there.
struct Pieces<'b> {
    rest: &'b [u8],
    size: usize,
    turn: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.turn += 1;
        if self.turn % 5 == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let size = self.size.min(buffer.len());
        let (piece, rest) = self.rest.split_at(size.min(self.rest.len()));
        buffer[..piece.len()].copy_from_slice(piece);
        self.rest = rest;
        Ok(piece.len())
    }
}

fn read_all(bytes: &[u8], size: usize) -> Vec<Vec<u8>> {
    let mut reader = FrameReader::new(Pieces { rest: bytes, size, turn: 0 }, FRAME_BYTES_MAX, TIME_MAX);
    let mut frames = Vec::new();
    loop {
        match reader.read() {
            Ok(Some(frame)) => frames.push(frame.to_vec()),
            Ok(None) => {}
            Err(_) => return frames,
        }
        assert!(reader.held() <= 2 * bytes.len() + 2 * READ_BYTES, "{} bytes are held", reader.held());
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((size, bytes)) = bytes.split_first() else { return };
    let size = usize::from(*size) + 1;
    assert_eq!(read_all(bytes, size), read_all(bytes, usize::MAX), "how it is cut changes what is read");
    // What was framed comes out as it went in, whatever follows it.
    let mut framed = Vec::new();
    append(&mut framed, |payload| payload.extend_from_slice(bytes));
    framed.extend_from_slice(bytes);
    assert_eq!(read_all(&framed, size).first().map(Vec::as_slice), Some(bytes));
});
