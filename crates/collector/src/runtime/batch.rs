//! Events of one source that are handed on together, shared by all who want them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use model::{Capabilities, Domain, Event};

/// Events of one source. Clones share them.
#[derive(Clone, Debug)]
pub struct Batch {
    pub(super) inner: Arc<Inner>,
    /// The domains that its holder wants.
    pub(super) wanted: Capabilities,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) source: Arc<str>,
    pub(super) capabilities: Capabilities,
    events: Vec<Event>,
    bytes: usize,
    of_domain: [usize; Domain::ALL.len()],
    /// Which batch of the runtime it is.
    pub(super) generation: u64,
    /// Subscribers for whom it waits.
    waits_for: AtomicUsize,
}

/// Bytes of the batches that wait for any subscriber.
#[derive(Debug, Default)]
pub(super) struct WaitingBytes(AtomicUsize);

impl WaitingBytes {
    pub(super) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts that a batch waits for one more subscriber.
    pub(super) fn enter(&self, batch: &Inner) {
        if batch.waits_for.fetch_add(1, Ordering::AcqRel) == 0 {
            self.0.fetch_add(batch.bytes, Ordering::Relaxed);
        }
    }

    /// Counts that it waits for one less.
    pub(super) fn leave(&self, batch: &Inner) {
        if batch.waits_for.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.fetch_sub(batch.bytes, Ordering::Relaxed);
        }
    }
}

impl Inner {
    pub(super) fn new(
        source: Arc<str>,
        capabilities: Capabilities,
        events: Vec<Event>,
        generation: u64,
    ) -> Inner {
        let of = |domain| events.iter().filter(|event| event.domain == domain).count();
        let of_domain = Domain::ALL.map(of);
        let bytes = events.iter().map(event_bytes).sum();
        Inner { source, capabilities, events, bytes, of_domain, generation, waits_for: AtomicUsize::new(0) }
    }

    /// How many of the events are of these domains.
    pub(super) fn count(&self, wanted: Capabilities) -> usize {
        let of = Domain::ALL.iter().zip(self.of_domain);
        of.filter(|(domain, _)| wanted.contains(domain.capability())).map(|(_, count)| count).sum()
    }

    /// Bytes that the whole batch holds.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Batch {
    /// Name of the source that told of them.
    pub fn source(&self) -> &str {
        &self.inner.source
    }

    /// The events, in the order that they were raised.
    pub fn iter(&self) -> impl Iterator<Item = &Event> {
        self.inner.events.iter().filter(|event| self.wanted.contains(event.domain.capability()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.inner.count(self.wanted)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Bytes that an event holds, about.
pub(super) fn event_bytes(event: &Event) -> usize {
    let fields = event.fields.iter().map(|(name, value)| {
        let name = if let std::borrow::Cow::Owned(name) = name { name.len() } else { 0 };
        size_of_val(&event.fields[0]) + name + value.heap_bytes()
    });
    size_of::<Event>() + event.source.len() + fields.sum::<usize>()
}
