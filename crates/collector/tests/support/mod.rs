//! Sources that tests steer, and waiting with a deadline.
#![allow(dead_code, reason = "each test uses its part")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use collector::{
    EventSink, EventSource, LossRow, Observation, Received, Runtime, SourceError, Subscription, Task,
};
use model::{Capabilities, Domain};

/// Far more than anything here takes; a bound for "it ends at all".
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

#[track_caller]
pub(crate) fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not come about");
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) fn observation(domain: Domain, n: u64) -> Observation {
    Observation {
        domain,
        kind: "start".into(),
        time_ns: n as i64,
        fields: vec![("pid".into(), n.into()), ("name".into(), "sleep".to_owned().into())],
    }
}

pub(crate) fn task(name: &str, needs: Capabilities) -> Task {
    Task { name: name.into(), needs }
}

/// What a source does when it is started.
type Start = Box<dyn Fn(&EventSink) -> Result<(), SourceError> + Send + Sync>;

/// A source that does what a test says.
pub(crate) struct Scripted {
    pub(crate) name: String,
    pub(crate) capabilities: Capabilities,
    pub(crate) start: Start,
    pub(crate) starts: AtomicU64,
    pub(crate) complaint: Mutex<Option<String>>,
}

impl Scripted {
    pub(crate) fn new(
        name: &str,
        capabilities: Capabilities,
        start: impl Fn(&EventSink) -> Result<(), SourceError> + Send + Sync + 'static,
    ) -> Arc<Scripted> {
        Arc::new(Scripted {
            name: name.into(),
            capabilities,
            start: Box::new(start),
            starts: AtomicU64::new(0),
            complaint: Mutex::default(),
        })
    }

    /// Raises nothing, until it is stopped.
    pub(crate) fn idle(name: &str, capabilities: Capabilities) -> Arc<Scripted> {
        Scripted::new(name, capabilities, until_stopped)
    }

    /// Raises so many process events at once, then waits to be stopped.
    pub(crate) fn raising(name: &str, events: u64) -> Arc<Scripted> {
        Scripted::new(name, Capabilities::PROCESS, move |sink| {
            for n in 0..events {
                sink.raise(observation(Domain::Process, n));
            }
            until_stopped(sink)
        })
    }
}

pub(crate) fn until_stopped(sink: &EventSink) -> Result<(), SourceError> {
    while !sink.wait(DEADLINE) {}
    Ok(())
}

impl EventSource for Scripted {
    fn name(&self) -> &str {
        &self.name
    }
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }
    fn start(&self, sink: &EventSink) -> Result<(), SourceError> {
        self.starts.fetch_add(1, Ordering::SeqCst);
        (self.start)(sink)
    }
    fn health(&self) -> Option<String> {
        self.complaint.lock().unwrap().clone()
    }
}

/// What a subscriber saw of each source.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) events: u64,
    pub(crate) last: u64,
    /// Numbers that were skipped before the last one.
    pub(crate) gaps: u64,
}

/// Receives until the runtime shuts down; what came, by source. Asserts that numbers only rise.
pub(crate) fn drain(subscription: &Subscription) -> BTreeMap<String, Seen> {
    let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
    loop {
        match subscription.receive(DEADLINE) {
            Received::Batch(batch) => {
                let of = seen.entry(batch.source().to_owned()).or_default();
                for event in batch.iter() {
                    assert!(event.sequence > of.last, "{} after {}", event.sequence, of.last);
                    of.gaps += event.sequence - of.last - 1;
                    of.last = event.sequence;
                    of.events += 1;
                }
            }
            Received::Nothing => panic!("nothing came for {DEADLINE:?}"),
            Received::Closed => return seen,
        }
    }
}

/// Asserts the invariant at every hop; the rows.
#[track_caller]
pub(crate) fn balanced(runtime: &Runtime) -> Vec<LossRow> {
    let rows = runtime.loss();
    for row in &rows {
        assert_eq!(row.offered, row.delivered + row.lost + row.waiting, "{row:?}");
    }
    rows
}

pub(crate) fn loss(rows: &[LossRow], source: &str, queue: &str) -> LossRow {
    let row = rows.iter().find(|row| &*row.source == source && row.queue == queue);
    row.unwrap_or_else(|| panic!("no row {source} {queue} in {rows:?}")).clone()
}
