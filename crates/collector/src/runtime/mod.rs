//! The runtime: runs event sources, each on its thread, and hands their events on to subscribers.
//!
//! Events go through two queues: from a source to the runtime, where a full queue makes the source wait for a
//! bounded time, and from the runtime to each subscriber, for whom it never waits. Each queue counts what it
//! sheds. *Invariant:* at every hop, events offered = events handed on + events counted as lost + events that
//! wait.

mod batch;
mod dispatch;
mod inbox;
mod limits;
mod rows;
mod signal;
mod sink;
mod subscription;
mod supervise;
mod task;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::Thread;
use std::time::{Duration, Instant};

use batch::WaitingBytes;
use inbox::{Counts, Inbox};
use limits::{ACCOUNTS_MAX, SOURCES_MAX, SUBSCRIPTIONS_MAX};
use signal::{Signal, locked};
use subscription::{Outbox, Shares};
use supervise::{Registered, guarded};

pub use batch::Batch;
pub use limits::RuntimeLimits;
pub use rows::{LossRow, SourceRow};
pub use sink::EventSink;
pub use subscription::{Received, Subscription};
pub use supervise::SourceState;
pub use task::{Refused, Task};

use crate::event_source::EventSource;

/// Why a source was not registered or not removed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuntimeError {
    /// A source of this name runs already.
    #[error("there is an event source named {0} already")]
    Known(String),
    /// There is no source of this name.
    #[error("there is no event source named {0}")]
    Unknown(String),
    /// The source did not end in time. It takes part in nothing any more, but its thread still exists.
    #[error("event source {0} did not stop in time")]
    Stuck(String),
    /// It cannot be taken in; the message says why.
    #[error("event source {0}: {1}")]
    Refused(String, String),
}

/// How a shutdown went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shutdown {
    /// Sources that had not ended by the deadline.
    pub unfinished: Vec<String>,
    /// Whether all that sources had raised was handed on to the subscribers' queues.
    pub drained: bool,
}

/// Runs event sources and hands their events on.
pub struct Runtime {
    shared: Arc<Shared>,
    dispatcher: Thread,
}

/// What the runtime's threads share.
struct Shared {
    limits: RuntimeLimits,
    sources: Mutex<Vec<Arc<Registered>>>,
    outboxes: Mutex<Vec<Arc<Outbox>>>,
    /// Counts of sources that were removed, by name: one that comes back goes on from there.
    accounts: Mutex<BTreeMap<Arc<str>, Counts>>,
    /// What subscribers that left got and missed.
    left: Mutex<Shares>,
    waiting_bytes: Arc<WaitingBytes>,
    is_closed: AtomicBool,
    /// Set by the dispatcher when it has ended.
    drained: Signal,
}

impl Runtime {
    /// A runtime without sources. An error when its thread cannot be started.
    pub fn start(limits: RuntimeLimits) -> std::io::Result<Runtime> {
        let shared = Arc::new(Shared {
            limits,
            sources: Mutex::default(),
            outboxes: Mutex::default(),
            accounts: Mutex::default(),
            left: Mutex::default(),
            waiting_bytes: Arc::default(),
            is_closed: AtomicBool::new(false),
            drained: Signal::default(),
        });
        let dispatch = shared.clone();
        let thread = std::thread::Builder::new().name("events".into()).spawn(move || dispatch.run())?;
        Ok(Runtime { shared, dispatcher: thread.thread().clone() })
    }

    /// Registers a source and starts it.
    pub fn register(&self, source: Arc<dyn EventSource>) -> Result<(), RuntimeError> {
        let unnamed = |panic| RuntimeError::Refused("without a name".into(), panic);
        let name: Arc<str> = guarded(|| Arc::from(source.name())).map_err(unnamed)?;
        let refused = |why: &str| RuntimeError::Refused(name.to_string(), why.to_owned());
        let shared = &self.shared;
        let mut sources = locked(&shared.sources);
        if shared.is_closed() {
            return Err(refused("the runtime shuts down"));
        }
        if sources.iter().any(|known| known.name == name) {
            return Err(RuntimeError::Known(name.to_string()));
        }
        if sources.len() >= SOURCES_MAX {
            return Err(refused("there are too many sources"));
        }
        let counts = locked(&shared.accounts).get(&name).copied().unwrap_or_default();
        let inbox = Arc::new(Inbox::new(name.clone(), shared.limits, counts));
        let registered = Registered::new(source, name.clone(), inbox);
        let registered = Arc::new(registered.ok_or_else(|| refused("it panics when asked what it can do"))?);
        let (sink, run, limits) = (self.sink(&registered), registered.clone(), shared.limits);
        let body = move || {
            run.run(&sink, &limits);
            run.ended.set();
            sink.dispatcher.unpark();
        };
        let thread = std::thread::Builder::new().name(format!("source {name}"));
        thread.spawn(body).map_err(|error| refused(&error.to_string()))?;
        locked(&shared.accounts).remove(&name);
        sources.push(registered);
        Ok(())
    }

    fn sink(&self, registered: &Registered) -> EventSink {
        EventSink {
            inbox: registered.inbox.clone(),
            stopping: registered.stopping.clone(),
            dispatcher: self.dispatcher.clone(),
            batch_events_max: self.shared.limits.batch_events_max,
        }
    }

    /// Stops a source and takes it out, after what it raised was handed on. Its name is free afterwards, and
    /// its numbers go on should it come back. [`RuntimeError::Stuck`] when it does not end in time: then it
    /// stays listed, its events are shed, and it may be removed again later.
    pub fn remove(&self, name: &str, within: Duration) -> Result<(), RuntimeError> {
        let deadline = Instant::now() + within;
        let found = locked(&self.shared.sources).iter().find(|known| &*known.name == name).cloned();
        let source = found.ok_or_else(|| RuntimeError::Unknown(name.to_owned()))?;
        source.stop();
        let stuck = || Err(RuntimeError::Stuck(name.to_owned()));
        if !source.ended.wait_until(deadline) {
            return stuck();
        }
        self.dispatcher.unpark();
        if !source.inbox.wait_until_empty(deadline) {
            return stuck();
        }
        let mut sources = locked(&self.shared.sources);
        // Somebody else may have removed it in the meantime.
        if let Some(at) = sources.iter().position(|known| Arc::ptr_eq(known, &source)) {
            sources.swap_remove(at);
            self.shared.remember(&source);
        }
        Ok(())
    }

    /// Subscribes to the events of all sources, now and later, that can do what the task needs.
    pub fn subscribe(&self, task: Task) -> Result<Subscription, Refused> {
        let unavailable = |reason| Refused::Unavailable { task: task.name.clone(), reason };
        let sources = locked(&self.shared.sources).clone();
        task.validate(sources.iter().map(|source| (&*source.name, source.capabilities)))?;
        let mut outboxes = locked(&self.shared.outboxes);
        if self.shared.is_closed() {
            return Err(unavailable("the runtime shuts down"));
        }
        if outboxes.iter().filter(|outbox| !outbox.is_left()).count() >= SUBSCRIPTIONS_MAX {
            return Err(unavailable("there are too many subscriptions"));
        }
        let outbox = Arc::new(Outbox::new(task, self.shared.limits, self.shared.waiting_bytes.clone()));
        outboxes.push(outbox.clone());
        // So that those who left are taken out even when no event comes.
        self.dispatcher.unpark();
        Ok(Subscription(outbox))
    }

    /// Stops every source, hands on what they raised, and closes the subscriptions, whose holders can still
    /// receive what waits. Ends by the deadline, with the names of the sources that had not.
    pub fn shutdown(&self, within: Duration) -> Shutdown {
        let deadline = Instant::now() + within;
        // Under the lock of the sources, so that none is registered past this point.
        let sources = {
            let sources = locked(&self.shared.sources);
            self.shared.is_closed.store(true, Ordering::Release);
            sources.clone()
        };
        sources.iter().for_each(Registered::stop);
        let late = |source: &&Arc<Registered>| !source.ended.wait_until(deadline);
        let unfinished = sources.iter().filter(late).map(|source| source.name.to_string()).collect();
        self.dispatcher.unpark();
        // What is left of the time; inboxes are closed, so a source that hangs does not hold this up.
        let drained = self.shared.drained.wait_until(deadline.max(Instant::now() + DRAIN_MIN));
        Shutdown { unfinished, drained }
    }
}

/// What handing on the last events is given beyond a deadline that a source used up.
const DRAIN_MIN: Duration = Duration::from_millis(100);

impl Drop for Runtime {
    fn drop(&mut self) {
        self.shared.is_closed.store(true, Ordering::Release);
        locked(&self.shared.sources).iter().for_each(Registered::stop);
        self.dispatcher.unpark();
    }
}

impl Shared {
    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Keeps the counts of a source that was removed. Past [`ACCOUNTS_MAX`] names, those of one are given up.
    fn remember(&self, source: &Registered) {
        let mut accounts = locked(&self.accounts);
        if accounts.len() >= ACCOUNTS_MAX && !accounts.contains_key(&source.name) {
            accounts.pop_first();
        }
        accounts.insert(source.name.clone(), source.inbox.counts().0);
    }
}
