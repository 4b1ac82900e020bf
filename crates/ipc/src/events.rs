//! Events on their way from a collector to a subscriber.

use std::time::Duration;

use model::{Capabilities, Domain, Event};

/// An event source, as a collector tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFacts {
    /// Its name.
    pub name: String,
    /// What its events are about; `None` for a domain that this program does not know.
    pub domain: Option<Domain>,
    /// What it can do.
    pub capabilities: Capabilities,
}

/// Which events a subscriber wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// Of these domains; none: of every domain.
    pub domains: Vec<Domain>,
    /// Of the sources with these names; none: of every source.
    pub sources: Vec<String>,
}

impl Interest {
    /// Whether an event is wanted.
    pub fn wants(&self, event: &Event) -> bool {
        (self.domains.is_empty() || self.domains.contains(&event.domain)) && self.wants_source(&event.source)
    }

    /// Whether events of the source with this name are wanted.
    pub(crate) fn wants_source(&self, source: &str) -> bool {
        self.sources.is_empty() || self.sources.iter().any(|s| s == source)
    }
}

/// Some events of a subscription, in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Delivery {
    /// The events; none when nothing happened for a while.
    pub events: Vec<Event>,
    /// Events of the subscription that were shed before these.
    pub shed: u64,
}

/// The receiving end of a bounded queue of events.
///
/// A queue that is full sheds and counts: whoever fills it never waits.
pub trait EventStream: Send {
    /// Up to `most` events, as soon as there are any; none after `wait`. `None`: no more will come.
    fn next(&mut self, most: usize, wait: Duration) -> Option<Delivery>;
}
