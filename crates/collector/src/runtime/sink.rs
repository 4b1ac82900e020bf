//! What a source is given to raise its events.

use std::sync::Arc;
use std::thread::Thread;
use std::time::Duration;

use super::inbox::Inbox;
use super::signal::Signal;
use crate::event_source::Observation;

/// Where a source raises its events, and where it learns that it is to stop.
pub struct EventSink {
    pub(super) inbox: Arc<Inbox>,
    pub(super) stopping: Arc<Signal>,
    /// The runtime's own thread.
    pub(super) dispatcher: Thread,
    pub(super) batch_events_max: usize,
}

impl EventSink {
    /// Raises an event. While the queue is full this waits for a bounded time, then sheds the event and counts
    /// it; false when it was shed.
    pub fn raise(&self, observation: Observation) -> bool {
        let waiting = self.inbox.put(observation);
        // Woken when there is something to do at all, and when there is a whole batch of it.
        if waiting == Some(1) || waiting == Some(self.batch_events_max) {
            self.dispatcher.unpark();
        }
        waiting.is_some()
    }

    /// Counts events that the source knows it missed, as when a buffer of the kernel ran over.
    pub fn missed(&self, events: u64) {
        self.inbox.missed(events);
    }

    /// Whether the source is to stop.
    pub fn is_stopping(&self) -> bool {
        self.stopping.is_set()
    }

    /// Waits so long, or until the source is to stop; whether it is.
    pub fn wait(&self, at_most: Duration) -> bool {
        self.stopping.wait(at_most)
    }
}
