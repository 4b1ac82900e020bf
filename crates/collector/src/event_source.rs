//! What tells of events, as the runtime sees it.

use std::borrow::Cow;

use model::{Capabilities, Domain, Value};

use crate::runtime::EventSink;

/// Tells of what happens on the machine.
///
/// A source lives on a thread of its own, which may block. What it raises is numbered, queued and counted by
/// the runtime.
pub trait EventSource: Send + Sync + 'static {
    /// Its name, which is that of its events.
    fn name(&self) -> &str;
    /// What it can do.
    fn capabilities(&self) -> Capabilities;
    /// Raises events until the sink says that it is to stop, or until there is nothing more to tell. Called
    /// again after a failure.
    fn start(&self, sink: &EventSink) -> Result<(), SourceError>;
    /// Wakes a [`start`](EventSource::start) that blocks in something other than [`EventSink::wait`]; the sink
    /// says already that it is to stop.
    fn stop(&self) {}
    /// What is not as it should be although it runs, in a few words.
    fn health(&self) -> Option<String> {
        None
    }
}

/// Why a source ended early.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Starting it again may help.
    #[error("{0}")]
    Failed(String),
    /// It can never run here; the message says what it lacks.
    #[error("{0}")]
    Unsupported(String),
}

/// An event as a source tells it: the runtime adds the source and the number.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// What it is about.
    pub domain: Domain,
    /// What happened: `start`, `exit`, `change` …
    pub kind: Cow<'static, str>,
    /// When, in ns since 1970 (UTC).
    pub time_ns: i64,
    /// What is known of it, by column name.
    pub fields: Vec<(Cow<'static, str>, Value<'static>)>,
}
