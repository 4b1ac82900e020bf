//! Output longer than the screen goes to `$PAGER`, or to `less` where there is one.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::{Child, Command, Stdio};

use crate::output::{Output, Stream};
use crate::paint;
use crate::spinner::Spinner;

/// Ways of less: quit if it fits, colours only, chop long lines, leave the screen as it is.
const LESS: &str = "FRSX";

/// Standard output, or a pager once there is more than a screenful.
pub(crate) struct Paged {
    held: Vec<u8>,
    lines: usize,
    screen: usize,
    to: To,
    spinner: Option<Spinner>,
}

enum To {
    /// A screenful at most so far.
    Held,
    Pager(Child),
    Screen(Stream),
}

impl Paged {
    /// An output for one result.
    pub(crate) fn new() -> Paged {
        let screen = paint::screen().map_or(usize::MAX, |(_, height)| height);
        Paged { held: Vec::new(), lines: 0, screen, to: To::Held, spinner: Spinner::start() }
    }

    /// Starts the pager, or the screen where there is none, with what was held.
    fn overflow(&mut self) -> io::Result<()> {
        self.spinner = None;
        self.to = match start() {
            Some(pager) => To::Pager(pager),
            None => To::Screen(Stream::new()),
        };
        let held = std::mem::take(&mut self.held);
        self.write_all(&held)
    }
}

impl Write for Paged {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        match &mut self.to {
            To::Screen(stream) => return stream.write(text),
            To::Pager(pager) => match &mut pager.stdin {
                Some(stdin) => return stdin.write(text),
                None => return Err(io::ErrorKind::BrokenPipe.into()),
            },
            To::Held => {}
        }
        self.held.extend_from_slice(text);
        self.lines += text.iter().filter(|byte| **byte == b'\n').count();
        // The prompt takes a line too.
        if self.lines >= self.screen.saturating_sub(1) {
            self.overflow()?;
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.to {
            To::Held => Ok(()),
            To::Screen(stream) => stream.flush(),
            To::Pager(pager) => pager.stdin.as_mut().map_or(Ok(()), Write::flush),
        }
    }
}

impl Output for Paged {
    fn done(&mut self) -> io::Result<()> {
        self.spinner = None;
        match &mut self.to {
            To::Held => {
                let mut out = io::stdout().lock();
                out.write_all(&self.held)?;
                out.flush()
            }
            To::Screen(stream) => stream.done(),
            To::Pager(pager) => {
                // Its input ends, and the person reads on.
                drop(pager.stdin.take());
                pager.wait().map(|_| ())
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the user's own pager, no source of facts")]
fn start() -> Option<Child> {
    let mut command = match std::env::var_os("PAGER") {
        // A command line, as git and man take it.
        Some(pager) if !pager.is_empty() && pager != "cat" => {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(pager);
            shell
        }
        Some(_) => return None,
        None => Command::new("less"),
    };
    if std::env::var_os("LESS").is_none() {
        command.env("LESS", OsString::from(LESS));
    }
    command.stdin(Stdio::piped()).spawn().ok()
}
