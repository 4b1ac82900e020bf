//! A sign of life for statements that take long, on standard error.

use std::io::{self, IsTerminal};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::paint;

/// A statement that answers sooner shows none.
const DELAY: Duration = Duration::from_millis(300);
/// Between two pictures.
const TICK: Duration = Duration::from_millis(100);

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
            if stopped.recv_timeout(DELAY) == Err(RecvTimeoutError::Timeout) {
                let bar = ProgressBar::new_spinner();
                if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed}, Ctrl-C stops it") {
                    bar.set_style(style);
                }
                bar.enable_steady_tick(TICK);
                // Ends when the sender is dropped.
                let _ = stopped.recv();
                bar.finish_and_clear();
            }
        };
        Some(Spinner { stop: Some(stop), thread: Some(thread::spawn(turn)) })
    }
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
