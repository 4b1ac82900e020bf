//! Where rows go: standard output, a file, or (in the shell) a pager.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::spinner::Spinner;

/// A row waits no longer than this in our buffer while others follow it.
const FLUSH_EVERY: Duration = Duration::from_millis(50);

/// Takes the text of one result.
pub(crate) trait Output: Write {
    /// The result is complete, and what is said next does not disturb it.
    fn done(&mut self) -> io::Result<()>;
}

/// Standard output, written in large pieces and yet in time for whoever reads along.
pub(crate) struct Stream {
    out: BufWriter<io::StdoutLock<'static>>,
    flushed: Option<Instant>,
    spinner: Option<Spinner>,
}

impl Stream {
    /// Standard output, with a spinner until the first text if people look at it.
    pub(crate) fn new() -> Stream {
        let out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
        Stream { out, flushed: None, spinner: Spinner::start() }
    }
}

impl Write for Stream {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.spinner = None;
        self.out.write_all(text)?;
        if self.flushed.is_none_or(|at| at.elapsed() >= FLUSH_EVERY) {
            self.flush()?;
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()?;
        self.flushed = Some(Instant::now());
        Ok(())
    }
}

impl Output for Stream {
    fn done(&mut self) -> io::Result<()> {
        self.spinner = None;
        self.out.flush()
    }
}

impl Output for BufWriter<File> {
    fn done(&mut self) -> io::Result<()> {
        self.flush()
    }
}

/// A new file for results.
pub(crate) fn file(path: &Path) -> io::Result<BufWriter<File>> {
    File::create(path).map(BufWriter::new)
}
