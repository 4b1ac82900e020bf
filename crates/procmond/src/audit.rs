//! The log: lines of JSON on standard error, among them an event for each change of privilege.

use std::fmt::Display;

/// Writes the log to standard error from now on, a JSON object a line; a panic too, which ends one scan.
pub fn log_to_stderr() {
    let subscriber = tracing_subscriber::fmt().json().flatten_event(true).with_writer(std::io::stderr);
    // A second call leaves the first in place.
    let _ = subscriber.try_init();
    std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "a part of this program failed")));
}

/// Makes a change and logs it: what was done, the state before and after, and how it ended.
pub(crate) fn change<E: Display>(
    action: &'static str,
    before: impl Display,
    after: impl Display,
    make: impl FnOnce() -> Result<(), E>,
) -> Result<(), E> {
    let result = make();
    match &result {
        Ok(()) => tracing::info!(target: "audit", action, %before, %after, result = "done"),
        Err(error) => {
            tracing::error!(target: "audit", action, %before, %after, result = "failed", %error);
        }
    }
    result
}
