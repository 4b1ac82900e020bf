//! A sign of life for statements that take long, on standard error.
//!
//! Drawn by hand: indicatif fills the line to its end, so that the `^C` that a terminal echoes breaks onto the
//! next line and the picture stays behind.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::paint;

/// A statement that answers sooner shows none.
const DELAY: Duration = Duration::from_millis(300);
/// Between two pictures.
const TICK: Duration = Duration::from_millis(100);
const PICTURES: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
/// To the start of the line, and erase to its end (ECMA-48 EL).
const CLEAR: &str = "\r\x1b[K";

/// Turns until it is dropped.
pub(crate) struct Spinner {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Spinner {
    /// A spinner, if people look at both our outputs.
    pub(crate) fn start() -> Option<Spinner> {
        if !io::stderr().is_terminal() || !io::stdout().is_terminal() || paint::is_dumb() {
            return None;
        }
        let (stop, stopped) = mpsc::channel::<()>();
        let turn = move || {
            let started = Instant::now();
            let mut wait = DELAY;
            let mut pictures = PICTURES.iter().cycle();
            // The sender is dropped when it is time to stop.
            while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                wait = TICK;
                let seconds = started.elapsed().as_secs();
                let picture = pictures.next().unwrap_or(&' ');
                draw(&format!("{CLEAR}{picture} {seconds} s, Ctrl-C stops it "));
            }
            if wait == TICK {
                draw(CLEAR);
            }
        };
        Some(Spinner { stop: Some(stop), thread: Some(thread::spawn(turn)) })
    }
}

/// A picture that cannot be drawn is no loss.
fn draw(text: &str) {
    let mut err = io::stderr().lock();
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A spinner that panicked is gone too.
            let _ = thread.join();
        }
    }
}
