//! The events of a runtime, on their way to a subscriber.

use std::time::Duration;

use collector::{Batch, Received, Subscription};

use crate::events::{Delivery, EventStream, Interest};

/// What is left of a subscription's queue.
pub(super) struct RuntimeEvents {
    subscription: Subscription,
    interest: Interest,
    /// What was received last, and how many of its events were given.
    current: Option<(Batch, usize)>,
    /// Events that the subscriber knows were shed.
    told: u64,
}

impl RuntimeEvents {
    pub(super) fn new(subscription: Subscription, interest: Interest) -> RuntimeEvents {
        RuntimeEvents { subscription, interest, current: None, told: 0 }
    }

    fn newly_shed(&mut self) -> u64 {
        let interest = &self.interest;
        let lost = self.subscription.lost_of(|source| interest.wants_source(source));
        let new = lost.saturating_sub(self.told);
        self.told = self.told.max(lost);
        new
    }
}

impl EventStream for RuntimeEvents {
    fn next(&mut self, most: usize, wait: Duration) -> Option<Delivery> {
        if self.current.is_none() {
            match self.subscription.receive(wait) {
                Received::Batch(batch) => self.current = Some((batch, 0)),
                Received::Nothing => {}
                // What was lost at last has nothing to come with.
                Received::Closed => {
                    let shed = self.newly_shed();
                    return (shed > 0).then(|| Delivery { events: Vec::new(), shed });
                }
            }
        }
        let shed = self.newly_shed();
        let mut events = Vec::new();
        if let Some((batch, given)) = self.current.take() {
            let wanted = batch.iter().skip(given).take(most).filter(|event| self.interest.wants(event));
            events = wanted.cloned().collect();
            let given = given + most;
            self.current = (given < batch.len()).then_some((batch, given));
        }
        Some(Delivery { events, shed })
    }
}
