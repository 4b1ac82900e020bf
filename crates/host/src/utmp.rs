//! The records of `/run/utmp` and `/var/log/wtmp`: `struct utmp` of utmp(5), in the byte order of the machine.

use std::io::{self, Read};

use collector::{Contents, note, or_note};
use model::{Run, ScanError};

/// glibc keeps seconds and session in 32 bits where it also runs 32-bit programs, so that both write one file
/// (`__WORDSIZE_TIME64_COMPAT32`); elsewhere they have 64.
const WIDE: bool = cfg!(any(target_arch = "aarch64", target_arch = "s390x", target_arch = "loongarch64"));

/// How many records are read between two looks at the clock.
const POLL_EVERY: usize = 64;

/// Bytes of one record.
const RECORD: usize = if WIDE { 400 } else { 384 };

/// `ut_type` of a login, and of a login that ended.
pub(crate) const USER_PROCESS: i16 = 7;
pub(crate) const DEAD_PROCESS: i16 = 8;

/// One record. Texts are the record's bytes up to the first zero.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) kind: i16,
    pub(crate) pid: i32,
    pub(crate) line: Vec<u8>,
    pub(crate) user: Vec<u8>,
    pub(crate) host: Vec<u8>,
    /// Seconds since 1970.
    pub(crate) time: i64,
}

impl collector::Row for Record {
    fn heap_bytes(&self) -> usize {
        self.line.len() + self.user.len() + self.host.len()
    }
}

/// The records of a file as they are read. A last record that is cut off ends them, as does an error, after it
/// was given.
struct Records<R> {
    /// `None` once the end was reached.
    file: Option<io::BufReader<R>>,
}

impl<R: Read> Records<R> {
    fn new(file: R) -> Records<R> {
        Records { file: Some(io::BufReader::with_capacity(64 << 10, file)) }
    }
}

impl<R: Read> Iterator for Records<R> {
    type Item = io::Result<Record>;

    fn next(&mut self) -> Option<io::Result<Record>> {
        let mut record = [0; RECORD];
        match self.file.as_mut()?.read_exact(&mut record) {
            Ok(()) => Some(Ok(parse(&record))),
            Err(error) => {
                self.file = None;
                (error.kind() != io::ErrorKind::UnexpectedEof).then_some(Err(error))
            }
        }
    }
}

/// The records of a file for a table. One that cannot be read, or only in part, is noted.
pub(crate) fn records(
    file: io::Result<Contents>,
    run: &Run,
    table: &'static str,
) -> impl Iterator<Item = Result<Record, ScanError>> + Send + use<> {
    let run = run.clone();
    let records = or_note(file, &run, table, "").into_iter().flat_map(Records::new);
    records.enumerate().filter_map(move |(n, record)| {
        if n % POLL_EVERY == 0
            && let Err(stop) = run.check()
        {
            return Some(Err(stop.into()));
        }
        record.inspect_err(|error| note(&run, table, "", error)).ok().map(Ok)
    })
}

fn parse(record: &[u8; RECORD]) -> Record {
    let text = |at: usize, len: usize| {
        let field = &record[at..at + len];
        field[..field.iter().position(|b| *b == 0).unwrap_or(len)].to_vec()
    };
    let word = |at: usize| [record[at], record[at + 1], record[at + 2], record[at + 3]];
    let time = if WIDE {
        let (low, high) = (word(344), word(348));
        i64::from_ne_bytes([low[0], low[1], low[2], low[3], high[0], high[1], high[2], high[3]])
    } else {
        // Unsigned since glibc 2.40, which lets it last until 2106.
        i64::from(u32::from_ne_bytes(word(340)))
    };
    Record {
        kind: i16::from_ne_bytes([record[0], record[1]]),
        pid: i32::from_ne_bytes(word(4)),
        line: text(8, 32),
        user: text(44, 32),
        host: text(76, 256),
        time,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The bytes of a record.
    pub(crate) fn bytes(kind: i16, pid: i32, line: &[u8], user: &[u8], host: &[u8], time: u32) -> Vec<u8> {
        let mut record = vec![0; RECORD];
        record[..2].copy_from_slice(&kind.to_ne_bytes());
        record[4..8].copy_from_slice(&pid.to_ne_bytes());
        record[8..8 + line.len()].copy_from_slice(line);
        record[44..44 + user.len()].copy_from_slice(user);
        record[76..76 + host.len()].copy_from_slice(host);
        if WIDE {
            record[344..352].copy_from_slice(&i64::from(time).to_ne_bytes());
        } else {
            record[340..344].copy_from_slice(&time.to_ne_bytes());
        }
        record
    }

    #[test]
    fn texts_end_at_the_first_zero_or_fill_their_field() {
        let content = bytes(7, 42, b"pts/0", &[b'u'; 32], b"h\xff\0old", 4_000_000_000);
        let records: Vec<_> = Records::new(&*content).map(Result::unwrap).collect();
        let expected = Record {
            kind: 7,
            pid: 42,
            line: b"pts/0".into(),
            user: vec![b'u'; 32],
            host: b"h\xff".into(),
            time: 4_000_000_000,
        };
        assert_eq!(records, [expected]);
    }

    #[test]
    fn a_record_that_is_cut_off_is_left_out() {
        let mut content = bytes(8, 1, b"a", b"", b"", 1);
        content.extend([0xff; RECORD - 1]);
        assert_eq!(Records::new(&*content).count(), 1);
        assert_eq!(Records::new(&b""[..]).count(), 0);
    }

    #[test]
    fn garbage_is_read_without_harm() {
        let records: Vec<_> = Records::new(&[0xff; RECORD * 2][..]).map(Result::unwrap).collect();
        assert_eq!((records.len(), records[0].kind, records[0].host.len()), (2, -1, 256));
    }
}
