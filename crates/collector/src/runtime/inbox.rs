//! The queue between one source and the runtime: numbers each event, waits for room, sheds and counts.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use model::Event;

use super::batch::event_bytes;
use super::limits::RuntimeLimits;
use super::signal::locked;
use crate::event_source::Observation;

/// What became of the events of one source. `raised = lost_before + taken + shed + waiting`, always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Numbers given: the last event's sequence.
    pub(super) raised: u64,
    /// Lost before the source saw them, by its own word.
    pub(super) lost_before: u64,
    /// Shed here for want of room.
    pub(super) shed: u64,
    /// Handed on.
    pub(super) taken: u64,
    /// Time of the last event, in ns since 1970.
    pub(super) last_ns: Option<i64>,
}

pub(super) struct Inbox {
    source: Arc<str>,
    limits: RuntimeLimits,
    inner: Mutex<Inner>,
    room: Condvar,
    /// Nothing waits, and nothing taken is still on its way.
    spent: Condvar,
}

#[derive(Default)]
struct Inner {
    /// A batch was taken and is being handed on.
    is_underway: bool,
    events: VecDeque<Event>,
    bytes: usize,
    counts: Counts,
    /// Nothing more is taken in.
    is_closed: bool,
    /// The last wait for room was in vain: until there is some, events are shed at once.
    overflows: bool,
}

impl Inner {
    fn has_room(&self, bytes: usize, limits: &RuntimeLimits) -> bool {
        self.events.len() < limits.source_events_max && self.bytes + bytes <= limits.source_bytes_max
    }
}

impl Inbox {
    /// For a source whose name has these counts from an earlier life.
    pub(super) fn new(source: Arc<str>, limits: RuntimeLimits, counts: Counts) -> Inbox {
        let inner = Mutex::new(Inner { counts, ..Inner::default() });
        Inbox { source, limits, inner, room: Condvar::new(), spent: Condvar::new() }
    }

    /// Takes an event in, or sheds it after a wait. How many wait now; `None` when it was shed.
    pub(super) fn put(&self, observation: Observation) -> Option<usize> {
        let Observation { domain, kind, time_ns, fields } = observation;
        let source = self.source.to_string().into();
        let mut event = Event { source, sequence: 0, domain, kind, time_ns, fields };
        let bytes = event_bytes(&event);
        let mut inner = locked(&self.inner);
        let deadline = Instant::now() + self.limits.backpressure_wait;
        while !inner.is_closed && !inner.overflows && !inner.has_room(bytes, &self.limits) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                inner.overflows = true;
            } else {
                inner = self.room.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        // What is shed is numbered too, and leaves a gap. After the wait, so that numbers and places agree.
        inner.counts.raised += 1;
        inner.counts.last_ns = Some(time_ns);
        event.sequence = inner.counts.raised;
        if inner.is_closed || !inner.has_room(bytes, &self.limits) {
            inner.counts.shed += 1;
            return None;
        }
        inner.bytes += bytes;
        inner.events.push_back(event);
        Some(inner.events.len())
    }

    /// Counts events that the source knows it missed.
    pub(super) fn missed(&self, events: u64) {
        let counts = &mut locked(&self.inner).counts;
        counts.raised += events;
        counts.lost_before += events;
    }

    /// The events that waited longest, at most one batch of them.
    pub(super) fn take(&self) -> Vec<Event> {
        let mut inner = locked(&self.inner);
        // A batch is kept or shed whole by a subscriber, so it must never fill one's queue alone.
        let events_max = self.limits.batch_events_max.min(self.limits.subscriber_events_max).max(1);
        let bytes_max = self.limits.subscriber_bytes_max / 4;
        let (mut len, mut bytes) = (0, 0);
        while len < events_max
            && let Some(event) = inner.events.get(len)
        {
            let more = bytes + event_bytes(event);
            if len > 0 && more > bytes_max {
                break;
            }
            (len, bytes) = (len + 1, more);
        }
        let events: Vec<Event> = inner.events.drain(..len).collect();
        if !events.is_empty() {
            inner.bytes -= bytes;
            inner.counts.taken += events.len() as u64;
            inner.overflows = false;
            inner.is_underway = true;
            self.room.notify_all();
        }
        events
    }

    /// Takes nothing more in, and wakes a source that waits for room.
    pub(super) fn close(&self) {
        locked(&self.inner).is_closed = true;
        self.room.notify_all();
    }

    /// Tells that the batch that was taken last has been handed on.
    pub(super) fn handed_on(&self) {
        locked(&self.inner).is_underway = false;
        self.spent.notify_all();
    }

    /// Waits until all that came in was handed on, at most until the deadline; whether it was.
    pub(super) fn wait_until_empty(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let is_busy = |inner: &mut Inner| !inner.events.is_empty() || inner.is_underway;
        let waited = self.spent.wait_timeout_while(locked(&self.inner), left, is_busy);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Whether nothing more can come out: it is closed and empty.
    pub(super) fn is_spent(&self) -> bool {
        let inner = locked(&self.inner);
        inner.is_closed && inner.events.is_empty()
    }

    /// How many events wait.
    pub(super) fn waiting(&self) -> usize {
        locked(&self.inner).events.len()
    }

    /// The counts, and how many events wait, of one instant.
    pub(super) fn counts(&self) -> (Counts, u64) {
        let inner = locked(&self.inner);
        (inner.counts, inner.events.len() as u64)
    }
}
