//! The log, on standard error: for a person on a terminal, otherwise a JSON object a line.

use std::io::IsTerminal;

use tracing::Level as Most;

use crate::values::{Format, Level};

/// Writes the log to standard error from now on; a panic too, which ends one part of the program.
pub fn log_to_stderr(level: Level, format: Option<Format>) {
    let most = match level {
        Level::Error => Most::ERROR,
        Level::Warn => Most::WARN,
        Level::Info => Most::INFO,
        Level::Debug => Most::DEBUG,
        Level::Trace => Most::TRACE,
    };
    let builder = tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(most);
    let usual = if std::io::stderr().is_terminal() { Format::Human } else { Format::Ndjson };
    // A second call leaves the first in place.
    let _ = match format.unwrap_or(usual) {
        Format::Human => builder.with_target(false).try_init(),
        Format::Ndjson => builder.json().flatten_event(true).try_init(),
    };
    std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "a part of this program failed")));
}
