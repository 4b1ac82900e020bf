//! Ctrl-C: it stops the statement that runs. In a shell it stops nothing else.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use vtables::Canceller;

use crate::exit::Exit;

/// What a program that runs one statement gets to end by itself, before it is ended. A statement answers
/// sooner; a write into a pipe that nobody reads may not.
const GRACE: Duration = Duration::from_millis(500);

static PRESSED: Mutex<bool> = Mutex::new(false);
static PRESS: Condvar = Condvar::new();

/// What Ctrl-C ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The statement that runs.
    Statement,
    /// The statement, then the program.
    Program,
}

/// Listens for Ctrl-C from now on.
pub(crate) fn listen(canceller: Canceller, scope: Scope) -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(move || {
        *PRESSED.lock().unwrap_or_else(PoisonError::into_inner) = true;
        PRESS.notify_all();
        let running = canceller.cancel();
        if scope == Scope::Program {
            if running {
                std::thread::sleep(GRACE);
            }
            std::process::exit(Exit::Interrupted as i32);
        }
    })
}

/// Forgets an earlier Ctrl-C.
pub(crate) fn reset() {
    *PRESSED.lock().unwrap_or_else(PoisonError::into_inner) = false;
}

/// Waits, at most until Ctrl-C is pressed. Answers whether it was pressed since [`reset`].
pub(crate) fn wait(time: Duration) -> bool {
    let pressed = PRESSED.lock().unwrap_or_else(PoisonError::into_inner);
    let waited = PRESS.wait_timeout_while(pressed, time, |pressed| !*pressed);
    *waited.unwrap_or_else(PoisonError::into_inner).0
}
