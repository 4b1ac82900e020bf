//! One source on its thread: started, restarted after a failure, given up, stopped.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use model::Capabilities;

use super::inbox::Inbox;
use super::limits::RuntimeLimits;
use super::signal::{Signal, locked};
use super::sink::EventSink;
use crate::event_source::{EventSource, SourceError};

/// What a source is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceState {
    /// It runs.
    Running,
    /// It failed, and will be started again.
    Waiting,
    /// It had nothing more to tell.
    Ended,
    /// It failed too often, or cannot run here.
    Failed,
    /// It was told to stop, and has not ended yet.
    Stopping,
    /// It was told to stop, and has.
    Stopped,
}

impl SourceState {
    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            SourceState::Running => "running",
            SourceState::Waiting => "waiting",
            SourceState::Ended => "ended",
            SourceState::Failed => "failed",
            SourceState::Stopping => "stopping",
            SourceState::Stopped => "stopped",
        }
    }
}

/// How a source fares.
#[derive(Clone, Debug)]
pub(super) struct Fate {
    pub(super) state: SourceState,
    /// Why it failed last.
    pub(super) reason: Option<String>,
    /// Restarts since it was registered.
    pub(super) restarts: u64,
}

/// A registered source.
pub(super) struct Registered {
    pub(super) name: Arc<str>,
    pub(super) capabilities: Capabilities,
    pub(super) source: Arc<dyn EventSource>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) stopping: Arc<Signal>,
    /// Set when its thread has ended.
    pub(super) ended: Signal,
    fate: Mutex<Fate>,
}

impl Registered {
    pub(super) fn new(source: Arc<dyn EventSource>, name: Arc<str>, inbox: Arc<Inbox>) -> Option<Registered> {
        let capabilities = guarded(|| source.capabilities()).ok()?;
        let fate = Fate { state: SourceState::Running, reason: None, restarts: 0 };
        let (stopping, ended, fate) = (Arc::default(), Signal::default(), Mutex::new(fate));
        Some(Registered { name, capabilities, source, inbox, stopping, ended, fate })
    }

    pub(super) fn fate(&self) -> Fate {
        let mut fate = locked(&self.fate).clone();
        // Whoever told it to stop may have come a moment after its end.
        if fate.state == SourceState::Stopping && self.ended.is_set() {
            fate.state = SourceState::Stopped;
        }
        fate
    }

    fn set(&self, state: SourceState, reason: Option<String>) {
        let mut fate = locked(&self.fate);
        fate.state = state;
        fate.reason = reason.or(fate.reason.take());
    }

    /// What it says of its own health; a panic there says enough.
    pub(super) fn complaint(&self) -> Option<String> {
        guarded(|| self.source.health()).unwrap_or_else(Some)
    }

    /// Tells it to stop. Its own `stop` may block, so it gets a thread; one that cannot be had is not needed
    /// by a source that looks at its sink.
    pub(super) fn stop(self: &Arc<Registered>) {
        if self.stopping.is_set() {
            return;
        }
        self.stopping.set();
        if !self.ended.is_set() {
            self.set(SourceState::Stopping, None);
        }
        self.inbox.close();
        let source = self.source.clone();
        let stop = move || drop(guarded(|| source.stop()));
        let _ = std::thread::Builder::new().name(format!("stop {}", self.name)).spawn(stop);
    }

    /// Runs the source to its end; the body of its thread.
    pub(super) fn run(&self, sink: &EventSink, limits: &RuntimeLimits) {
        let mut failures = 0;
        let mut delay = limits.restart_delay;
        let end = loop {
            let began = Instant::now();
            let outcome = guarded(|| self.source.start(sink));
            let reason = match outcome {
                _ if self.stopping.is_set() => break (SourceState::Stopped, None),
                Ok(Ok(())) => break (SourceState::Ended, None),
                Ok(Err(SourceError::Unsupported(reason))) => break (SourceState::Failed, Some(reason)),
                Ok(Err(SourceError::Failed(reason))) => reason,
                Err(panic) => panic,
            };
            if began.elapsed() >= limits.restarts_reset {
                (failures, delay) = (0, limits.restart_delay);
            }
            failures += 1;
            if failures > limits.restarts_max {
                break (SourceState::Failed, Some(reason));
            }
            self.set(SourceState::Waiting, Some(reason));
            if sink.wait(jittered(delay)) {
                break (SourceState::Stopped, None);
            }
            delay = (delay * 2).min(limits.restart_delay_max);
            let mut fate = locked(&self.fate);
            fate.restarts += 1;
            fate.state = if self.stopping.is_set() { SourceState::Stopping } else { SourceState::Running };
        };
        self.set(end.0, end.1);
    }
}

/// Between three quarters of a delay and all of it, so that sources that failed together do not come back so.
fn jittered(delay: Duration) -> Duration {
    use std::hash::{BuildHasher, RandomState};
    let parts = (RandomState::new().hash_one(0) % 64) as u32;
    delay - delay / 256 * parts
}

/// Runs a source's code, in which a panic is a failure of that source alone. What it says is the error.
pub(super) fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|payload| {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        format!("panic: {}", text.as_deref().unwrap_or("without a message"))
    })
}
