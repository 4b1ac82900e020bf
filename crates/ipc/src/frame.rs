//! Frames: length, CRC-32, payload.
//!
//! A length is compared with its limit before a byte of the body is read, and the body's memory grows as the
//! body arrives: a header alone costs nothing.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use prost::bytes::Bytes;

use crate::limits::READ_BYTES;

/// Bytes before the payload: its length and its CRC-32, each a little-endian u32.
pub const HEADER_BYTES: usize = 8;

/// Why a connection cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// A length above the limit; nothing of it was read.
    #[error("a frame of {bytes} bytes, where {most} are allowed")]
    TooLarge {
        /// Bytes that the header tells of.
        bytes: u32,
        /// Bytes that are allowed.
        most: u32,
    },
    /// The payload is not what its checksum says.
    #[error("a frame was damaged on its way: its checksum does not fit")]
    Checksum,
    /// The stream ended within a frame.
    #[error("the connection ended in the middle of a frame")]
    Truncated,
    /// The payload is no message of the protocol, or breaks one of its rules.
    #[error("a message that cannot be read: {0}")]
    Malformed(String),
    /// The peer says why it ends the connection.
    #[error("it ended the connection: {0}")]
    Ended(String),
    /// A frame began and did not arrive in time.
    #[error("a frame did not arrive within {0:?}")]
    TooSlow(Duration),
    /// The peer closed the connection between two frames.
    #[error("the connection was closed")]
    Closed,
    /// The stream failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
}

/// Appends a frame whose payload `write` appends.
pub fn append(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    write(out);
    let payload = &out[start + HEADER_BYTES..];
    let (length, sum) = (payload.len() as u32, crc32fast::hash(payload));
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    out[start + 4..start + HEADER_BYTES].copy_from_slice(&sum.to_le_bytes());
}

/// Whether a read ended only because nothing came within the stream's time-out.
fn idle(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Frames from a stream.
///
/// A stream with a read time-out makes [`FrameReader::read`] return `None` when nothing came; a frame that was
/// begun is kept, and must end within `frame_time_max` of its first byte.
pub struct FrameReader<R> {
    stream: R,
    most: u32,
    frame_time_max: Duration,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// A body that is larger than the buffer, as far as it has arrived, with its header.
    large: Option<Large>,
    began: Option<Instant>,
}

struct Large {
    length: usize,
    sum: u32,
    /// As far as it was made room for; what comes after `have` is zero.
    body: Vec<u8>,
    have: usize,
}

impl<R: Read> FrameReader<R> {
    /// A reader of frames of up to `most` bytes of payload.
    pub fn new(stream: R, most: u32, frame_time_max: Duration) -> FrameReader<R> {
        FrameReader {
            stream,
            most,
            frame_time_max,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            large: None,
            began: None,
        }
    }

    /// Sets another limit for the frames that follow, in bytes of payload.
    pub fn set_most(&mut self, most: u32) {
        self.most = most;
    }

    /// Bytes of memory that this reader holds for frames.
    pub fn held(&self) -> usize {
        self.buffer.capacity() + self.large.as_ref().map_or(0, |l| l.body.capacity())
    }

    /// The payload of the next frame; `None` when the stream's time-out passed without one.
    pub fn read(&mut self) -> Result<Option<Bytes>, FrameError> {
        loop {
            if let Some(payload) = self.buffered()? {
                self.began = None;
                return Ok(Some(payload));
            }
            if self.began.is_some_and(|began| began.elapsed() > self.frame_time_max) {
                return Err(FrameError::TooSlow(self.frame_time_max));
            }
            let read = match &mut self.large {
                Some(large) => read_body(&mut self.stream, large),
                None => self.fill(),
            };
            match read {
                Ok(0) if self.is_within() => return Err(FrameError::Truncated),
                Ok(0) => return Err(FrameError::Closed),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if idle(&error) => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(FrameError::Closed);
                }
                Err(error) => return Err(error.into()),
            }
            if self.is_within() {
                self.began.get_or_insert_with(Instant::now);
            }
        }
    }

    /// Gives a frame that was begun its whole time again, after a while in which nobody read.
    pub fn resume(&mut self) {
        self.began = self.is_within().then(Instant::now);
    }

    fn is_within(&self) -> bool {
        self.end > self.start || self.large.is_some()
    }

    /// A frame that is whole, if one is.
    fn buffered(&mut self) -> Result<Option<Bytes>, FrameError> {
        if let Some(large) = &self.large {
            if large.have < large.length {
                return Ok(None);
            }
            let Some(large) = self.large.take() else { return Ok(None) };
            return checked(Bytes::from(large.body), large.sum).map(Some);
        }
        let have = &self.buffer[self.start..self.end];
        let Some((header, rest)) = have.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let [l0, l1, l2, l3, s0, s1, s2, s3] = *header;
        let bytes = u32::from_le_bytes([l0, l1, l2, l3]);
        let sum = u32::from_le_bytes([s0, s1, s2, s3]);
        if bytes > self.most {
            return Err(FrameError::TooLarge { bytes, most: self.most });
        }
        let length = bytes as usize;
        if let Some(payload) = rest.get(..length) {
            let payload = Bytes::copy_from_slice(payload);
            self.start += HEADER_BYTES + length;
            return checked(payload, sum).map(Some);
        }
        if HEADER_BYTES + length > READ_BYTES {
            let (body, have) = (rest.to_vec(), rest.len());
            (self.start, self.end) = (0, 0);
            self.large = Some(Large { length, sum, body, have });
        }
        Ok(None)
    }

    /// Reads into the buffer, which has room for one frame of [`READ_BYTES`].
    fn fill(&mut self) -> io::Result<usize> {
        if self.buffer.is_empty() {
            self.buffer.resize(READ_BYTES, 0);
        }
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let read = self.stream.read(&mut self.buffer[self.end..])?;
        self.end += read;
        Ok(read)
    }
}

/// Reads more of a large body; its memory at most doubles with what has arrived.
fn read_body(stream: &mut impl Read, large: &mut Large) -> io::Result<usize> {
    if large.have == large.body.len() {
        let more = large.have.max(READ_BYTES).min(large.length - large.have);
        large.body.reserve_exact(more);
        large.body.resize(large.have + more, 0);
    }
    let read = stream.read(&mut large.body[large.have..])?;
    large.have += read;
    Ok(read)
}

fn checked(payload: Bytes, sum: u32) -> Result<Bytes, FrameError> {
    if crc32fast::hash(&payload) == sum { Ok(payload) } else { Err(FrameError::Checksum) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Gives bytes in pieces of the given sizes, then its end; a size of 0 is a time-out.
    struct Pieces {
        bytes: Vec<u8>,
        at: usize,
        sizes: Vec<usize>,
        turn: usize,
    }

    impl Pieces {
        fn new(bytes: Vec<u8>, sizes: Vec<usize>) -> Pieces {
            Pieces { bytes, at: 0, sizes, turn: 0 }
        }
    }

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.turn += 1;
            let size = self.sizes.get(self.turn % self.sizes.len().max(1)).copied().unwrap_or(usize::MAX);
            if size == 0 && !self.turn.is_multiple_of(7) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let count =
                size.max(1 + 4095 * usize::from(size == 0)).min(buffer.len()).min(self.bytes.len() - self.at);
            buffer[..count].copy_from_slice(&self.bytes[self.at..self.at + count]);
            self.at += count;
            Ok(count)
        }
    }

    const SOME_TIME: Duration = Duration::from_secs(60);

    fn reader(bytes: Vec<u8>, sizes: Vec<usize>, most: u32) -> FrameReader<Pieces> {
        FrameReader::new(Pieces::new(bytes, sizes), most, SOME_TIME)
    }

    fn read_all<R: Read>(reader: &mut FrameReader<R>) -> (Vec<Bytes>, FrameError) {
        let mut frames = Vec::new();
        loop {
            match reader.read() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => {}
                Err(error) => return (frames, error),
            }
        }
    }

    fn payloads() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let payload = prop_oneof![
            8 => prop::collection::vec(any::<u8>(), 0..300),
            1 => (any::<u8>(), READ_BYTES - 20..READ_BYTES + 20).prop_map(|(b, n)| vec![b; n]),
            1 => (any::<u8>(), 0..5 * READ_BYTES).prop_map(|(b, n)| vec![b; n]),
        ];
        prop::collection::vec(payload, 0..8)
    }

    fn stream(payloads: &[Vec<u8>]) -> Vec<u8> {
        let mut stream = Vec::new();
        payloads.iter().for_each(|p| append(&mut stream, |out| out.extend_from_slice(p)));
        stream
    }

    fn sizes() -> impl Strategy<Value = Vec<usize>> {
        prop::collection::vec(prop_oneof![Just(0), 1_usize..20, 1..200_000_usize], 1..10)
    }

    /// Small pieces for short streams, or a long one takes for ever.
    fn scaled(sizes: Vec<usize>, bytes: usize) -> Vec<usize> {
        let by = if bytes > 10_000 { 1000 } else { 1 };
        sizes.into_iter().map(|size| size * by).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn frames_arrive_whole_however_they_are_cut(payloads in payloads(), sizes in sizes()) {
            let whole = stream(&payloads);
            let sizes = scaled(sizes, whole.len());
            let (frames, end) = read_all(&mut reader(whole, sizes, 1 << 20));
            prop_assert!(matches!(end, FrameError::Closed), "{end}");
            prop_assert_eq!(frames, payloads);
        }

        #[test]
        fn a_stream_that_ends_early_gives_whole_frames_and_says_truncated(
            payloads in payloads(), sizes in sizes(), cut in any::<prop::sample::Index>(),
        ) {
            let whole = stream(&payloads);
            let cut = cut.index(whole.len() + 1);
            let sizes = scaled(sizes, whole.len());
            let (frames, end) = read_all(&mut reader(whole[..cut].to_vec(), sizes, 1 << 20));
            let mut ends = payloads.iter().scan(0, |at, p| { *at += HEADER_BYTES + p.len(); Some(*at) });
            let at_end = cut == 0 || ends.any(|end| end == cut);
            let said = matches!(end, FrameError::Closed) == at_end && matches!(end, FrameError::Truncated) != at_end;
            prop_assert!(said, "{end}");
            prop_assert_eq!(&frames[..], &payloads[..frames.len()]);
        }

        #[test]
        fn a_damaged_bit_never_passes(payloads in payloads(), at in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let mut damaged = stream(&payloads);
            prop_assume!(!damaged.is_empty());
            let at = at.index(damaged.len());
            damaged[at] ^= 1_u8 << bit;
            let (frames, end) = read_all(&mut reader(damaged, vec![usize::MAX], 1 << 20));
            let named =
                matches!(end, FrameError::Checksum | FrameError::TooLarge { .. } | FrameError::Truncated);
            prop_assert!(named, "{end}");
            prop_assert_eq!(&frames[..], &payloads[..frames.len()]);
            prop_assert!(frames.len() < payloads.len());
        }
    }

    #[test]
    fn a_header_alone_takes_no_memory_for_its_body() {
        let mut header = (32_u32 << 20).to_le_bytes().to_vec();
        header.extend([0; 4]);
        let mut reader = reader(header, vec![1], 32 << 20);
        let (_, end) = read_all(&mut reader);
        assert!(matches!(end, FrameError::Truncated));
        assert!(reader.held() <= 2 * READ_BYTES, "{}", reader.held());
    }

    #[test]
    fn memory_follows_what_arrives() {
        let mut begun = (32_u32 << 20).to_le_bytes().to_vec();
        begun.resize(1 << 20, 0);
        let mut reader = reader(begun, vec![10_000], 32 << 20);
        let (_, end) = read_all(&mut reader);
        assert!(matches!(end, FrameError::Truncated));
        assert!(reader.held() <= (2 << 20) + 2 * READ_BYTES, "{}", reader.held());
    }

    #[test]
    fn a_length_past_the_limit_is_refused_before_its_body() {
        let mut bytes = 101_u32.to_le_bytes().to_vec();
        bytes.resize(2000, 0);
        let mut reader = reader(bytes, vec![HEADER_BYTES], 100);
        let (_, end) = read_all(&mut reader);
        assert!(matches!(end, FrameError::TooLarge { bytes: 101, most: 100 }));
        assert_eq!(reader.stream.at, HEADER_BYTES);
    }

    #[test]
    fn a_frame_that_was_begun_has_to_end_in_time() {
        let begun = stream(&[vec![1; 100]])[..50].to_vec();
        let mut reader = FrameReader::new(Pieces::new(begun, vec![25, 0]), 100, Duration::ZERO);
        assert!(matches!(read_all(&mut reader).1, FrameError::TooSlow(_)));
    }
}
