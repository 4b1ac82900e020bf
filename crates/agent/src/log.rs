//! The agent's own log, on standard error: for a person on a terminal, otherwise a JSON object a line.

use std::io::IsTerminal;

/// Writes the log to standard error from now on; a panic too, which ends one part.
pub(crate) fn to_stderr() {
    let builder = tracing_subscriber::fmt().with_writer(std::io::stderr);
    // A second call leaves the first in place.
    let _ = if std::io::stderr().is_terminal() {
        builder.with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
    std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "a part of this program failed")));
}
