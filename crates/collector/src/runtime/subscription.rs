//! The queue between the runtime and one subscriber. The runtime never waits for it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::batch::{Batch, Inner as BatchInner, WaitingBytes};
use super::limits::RuntimeLimits;
use super::signal::locked;
use super::task::Task;

/// What became of the events of one source for one subscriber. `offered = delivered + lost + waiting`, always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) offered: u64,
    pub(super) delivered: u64,
    pub(super) lost: u64,
}

impl Share {
    pub(super) fn add(&mut self, other: Share) {
        self.offered += other.offered;
        self.delivered += other.delivered;
        self.lost += other.lost;
    }
}

/// What a subscriber missed and got, by source.
pub(super) type Shares = BTreeMap<Arc<str>, Share>;

pub(super) struct Outbox {
    pub(super) task: Task,
    limits: RuntimeLimits,
    waiting_bytes: Arc<WaitingBytes>,
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    batches: VecDeque<Arc<BatchInner>>,
    events: usize,
    bytes: usize,
    shares: Shares,
    is_closed: bool,
    /// The subscriber has gone.
    is_left: bool,
}

impl Outbox {
    pub(super) fn new(task: Task, limits: RuntimeLimits, waiting_bytes: Arc<WaitingBytes>) -> Outbox {
        Outbox { task, limits, waiting_bytes, inner: Mutex::default(), changed: Condvar::new() }
    }

    /// Takes a batch in, or sheds it.
    pub(super) fn put(&self, batch: &Arc<BatchInner>) {
        let events = batch.count(self.task.domains());
        if events == 0 || !self.task.takes(batch.capabilities) {
            return;
        }
        let mut inner = locked(&self.inner);
        let has_room = inner.events + events <= self.limits.subscriber_events_max
            && inner.bytes + batch.bytes() <= self.limits.subscriber_bytes_max;
        let is_open = !inner.is_closed && !inner.is_left;
        let share = inner.shares.entry(batch.source.clone()).or_default();
        share.offered += events as u64;
        if has_room && is_open {
            inner.events += events;
            inner.bytes += batch.bytes();
            inner.batches.push_back(batch.clone());
            self.waiting_bytes.enter(batch);
            self.changed.notify_one();
        } else {
            share.lost += events as u64;
        }
    }

    /// Offers nothing more; what waits can still be received.
    pub(super) fn close(&self) {
        locked(&self.inner).is_closed = true;
        self.changed.notify_all();
    }

    /// Counts what waits as lost, since nobody will receive it.
    fn leave(&self) {
        let mut inner = locked(&self.inner);
        inner.is_left = true;
        while self.shed_oldest(&mut inner) {}
    }

    /// Which batch has waited longest.
    pub(super) fn oldest(&self) -> Option<u64> {
        locked(&self.inner).batches.front().map(|batch| batch.generation)
    }

    /// Sheds the batch that has waited longest, if it is this one.
    pub(super) fn shed(&self, generation: u64) {
        let mut inner = locked(&self.inner);
        if inner.batches.front().is_some_and(|batch| batch.generation == generation) {
            self.shed_oldest(&mut inner);
        }
    }

    fn shed_oldest(&self, inner: &mut Inner) -> bool {
        let Some((batch, events)) = self.pop(inner) else { return false };
        inner.shares.entry(batch.source.clone()).or_default().lost += events;
        true
    }

    /// Takes out the batch that has waited longest, and how many of its events are wanted.
    fn pop(&self, inner: &mut Inner) -> Option<(Arc<BatchInner>, u64)> {
        let batch = inner.batches.pop_front()?;
        let events = batch.count(self.task.domains());
        inner.events -= events;
        inner.bytes -= batch.bytes();
        self.waiting_bytes.leave(&batch);
        Some((batch, events as u64))
    }

    pub(super) fn is_left(&self) -> bool {
        locked(&self.inner).is_left
    }

    /// The counts of one instant.
    pub(super) fn shares(&self) -> Shares {
        locked(&self.inner).shares.clone()
    }

    fn receive(&self, at_most: Duration) -> Received {
        let is_idle = |inner: &mut Inner| inner.batches.is_empty() && !inner.is_closed;
        let waited = self.changed.wait_timeout_while(locked(&self.inner), at_most, is_idle);
        let (mut inner, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let Some((batch, events)) = self.pop(&mut inner) else {
            return if inner.is_closed { Received::Closed } else { Received::Nothing };
        };
        inner.shares.entry(batch.source.clone()).or_default().delivered += events;
        Received::Batch(Batch { inner: batch, wanted: self.task.domains() })
    }
}

/// What a subscriber gets when it asks.
#[derive(Debug)]
pub enum Received {
    /// Events.
    Batch(Batch),
    /// None came in time.
    Nothing,
    /// None will come: the runtime has shut down.
    Closed,
}

/// A subscriber's end of its queue. Dropping it ends the subscription; what waited then counts as lost.
pub struct Subscription(pub(super) Arc<Outbox>);

impl Subscription {
    /// The next events; waits for them at most so long.
    pub fn receive(&self, at_most: Duration) -> Received {
        self.0.receive(at_most)
    }

    /// Events that were shed because this subscriber was too slow.
    pub fn lost(&self) -> u64 {
        self.lost_of(|_| true)
    }

    /// The same, of the sources whose names are wanted.
    pub fn lost_of(&self, wanted: impl Fn(&str) -> bool) -> u64 {
        self.0.shares().iter().filter(|(source, _)| wanted(source)).map(|(_, share)| share.lost).sum()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.0.leave();
    }
}
