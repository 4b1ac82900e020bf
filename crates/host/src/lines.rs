//! Lines of a file that somebody else wrote: of any length, with any bytes.

use std::io::{self, BufRead, BufReader, Read};

use collector::{Contents, reason};
use model::{Run, ScanError};

/// The longest line that is kept, in bytes; the rest of a longer one is cut off.
pub(crate) const LINE_BYTES_MAX: usize = 1 << 20;
/// Bytes read at once; the run is asked whether to stop before each.
const BLOCK_BYTES: usize = 64 << 10;

/// The lines of a file, one at a time.
pub(crate) struct Lines<R> {
    reader: BufReader<Polled<R>>,
    line_max: usize,
    run: Run,
    table: &'static str,
}

/// A line without its newline.
#[derive(Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) bytes: Vec<u8>,
    /// It was longer than [`LINE_BYTES_MAX`].
    pub(crate) cut: bool,
}

impl Lines<Contents> {
    /// The lines of the first `bytes_max` bytes of a file. That there are more is noted for the table.
    pub(crate) fn of(contents: Contents, run: &Run, table: &'static str, bytes_max: u64) -> Lines<Contents> {
        if contents.metadata().len() > bytes_max {
            run.note(table, "", format!("lines past the first {} MiB", bytes_max >> 20));
        }
        Lines::new(contents, run, table, bytes_max, LINE_BYTES_MAX)
    }
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(
        content: R,
        run: &Run,
        table: &'static str,
        bytes_max: u64,
        line_max: usize,
    ) -> Lines<R> {
        let polled = Polled { content, run: run.clone(), left: bytes_max };
        Lines { reader: BufReader::with_capacity(BLOCK_BYTES, polled), line_max, run: run.clone(), table }
    }

    /// The next line. `None` at the end and, with a note, where the file cannot be read any further.
    pub(crate) fn read(&mut self) -> Result<Option<Line>, ScanError> {
        self.next_line().or_else(|error| {
            self.run.check()?;
            self.run.note(self.table, "", reason(&error));
            Ok(None)
        })
    }

    fn next_line(&mut self) -> io::Result<Option<Line>> {
        let mut bytes = Vec::new();
        let limit = self.line_max as u64 + 1;
        if self.reader.by_ref().take(limit).read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        let cut = bytes.len() > self.line_max && bytes.last() != Some(&b'\n');
        if cut {
            bytes.truncate(self.line_max);
            self.reader.skip_until(b'\n')?;
        } else if bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        Ok(Some(Line { bytes, cut }))
    }
}

/// A content that ends after so many bytes, and as soon as the run was told to stop.
struct Polled<R> {
    content: R,
    run: Run,
    left: u64,
}

impl<R: Read> Read for Polled<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.run.check().map_err(|stop| io::Error::other(stop.to_string()))?;
        let len = self.content.by_ref().take(self.left).read(buffer)?;
        self.left -= len as u64;
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(content: &[u8], bytes_max: u64, line_max: usize) -> Vec<(Vec<u8>, bool)> {
        let mut lines = Lines::new(content, &Run::unlimited(), "t", bytes_max, line_max);
        std::iter::from_fn(|| lines.read().unwrap()).map(|line| (line.bytes, line.cut)).collect()
    }

    fn whole(text: &[u8]) -> (Vec<u8>, bool) {
        (text.to_vec(), false)
    }

    #[test]
    fn lines_keep_every_byte_but_the_newline() {
        let expected = [whole(b"a\r"), whole(b""), whole(b"\xff\0"), whole(b"end")];
        assert_eq!(lines(b"a\r\n\n\xff\0\nend", 100, 100), expected);
        assert_eq!(lines(b"", 100, 100), []);
    }

    #[test]
    fn long_lines_and_long_files_are_cut() {
        assert_eq!(lines(b"12345\n1234\nx", 100, 4), [(b"1234".to_vec(), true), whole(b"1234"), whole(b"x")]);
        assert_eq!(lines(b"12\n34\n", 4, 100), [whole(b"12"), whole(b"3")]);
    }

    #[test]
    fn a_file_that_cannot_be_read_on_ends_with_a_note() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::PermissionDenied.into())
            }
        }
        let run = Run::unlimited();
        assert_eq!(Lines::new(Broken, &run, "t", 10, 10).read(), Ok(None));
        assert_eq!(run.notes()[0].reason, "permission denied");
    }

    #[test]
    fn a_stopped_run_ends_an_endless_line() {
        let run = Run::new(Some(std::time::Duration::from_millis(20)), u64::MAX, std::time::UNIX_EPOCH);
        assert!(Lines::new(io::repeat(b'x'), &run, "t", u64::MAX, 10).read().is_err());
        assert_eq!(run.notes(), [], "being stopped is not a fault of the file");
    }
}
