//! The thread that takes events from sources and hands them on to subscribers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Shared;
use super::batch::Inner as Batch;
use super::limits::ACCOUNTS_MAX;
use super::signal::locked;
use super::subscription::Outbox;
use super::supervise::Registered;

/// How long this sleeps when nobody wakes it: a bound for what a lost wake-up could cost.
const IDLE: Duration = Duration::from_secs(1);

impl Shared {
    /// Hands events on until the runtime is closed and nothing waits any more.
    pub(super) fn run(&self) {
        let mut generation = 0;
        loop {
            // Read before the queues are: what comes in later than this is seen in the next round.
            let is_closed = self.is_closed.load(Ordering::Acquire);
            let sources = locked(&self.sources).clone();
            let outboxes = self.present();
            let mut moved = 0;
            for source in &sources {
                generation += 1;
                moved += self.hand_on(source, &outboxes, generation);
            }
            if moved > 0 {
                continue;
            }
            if is_closed && sources.iter().all(|source| source.inbox.is_spent()) {
                break;
            }
            std::thread::park_timeout(IDLE);
            self.gather();
        }
        locked(&self.outboxes).iter().for_each(|outbox| outbox.close());
        self.drained.set();
    }

    /// Waits for a batch to fill up.
    fn gather(&self) {
        let deadline = Instant::now() + self.limits.batch_delay;
        let is_full = |source: &Arc<Registered>| source.inbox.waiting() >= self.limits.batch_events_max;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.is_closed() || locked(&self.sources).iter().any(is_full) {
                return;
            }
            std::thread::park_timeout(left);
        }
    }

    /// One batch of one source, so that a loud source does not keep the others waiting.
    fn hand_on(&self, source: &Registered, outboxes: &[Arc<Outbox>], generation: u64) -> usize {
        let events = source.inbox.take();
        let count = events.len();
        if count > 0 {
            let batch = Arc::new(Batch::new(source.name.clone(), source.capabilities, events, generation));
            outboxes.iter().for_each(|outbox| outbox.put(&batch));
            self.make_room(outboxes);
            source.inbox.handed_on();
        }
        count
    }

    /// Sheds the batches that have waited longest, until all that wait together are few enough.
    fn make_room(&self, outboxes: &[Arc<Outbox>]) {
        while self.waiting_bytes.get() > self.limits.subscribers_bytes_max
            && let Some(oldest) = outboxes.iter().filter_map(|outbox| outbox.oldest()).min()
        {
            outboxes.iter().for_each(|outbox| outbox.shed(oldest));
        }
    }

    /// The subscribers that are there; those who left are taken out. This thread alone offers them events, so
    /// their counts are final.
    fn present(&self) -> Vec<Arc<Outbox>> {
        let mut outboxes = locked(&self.outboxes);
        if outboxes.iter().any(|outbox| outbox.is_left()) {
            let mut left = locked(&self.left);
            outboxes.retain(|outbox| {
                let stays = !outbox.is_left();
                if !stays {
                    for (source, share) in outbox.shares() {
                        if left.len() < ACCOUNTS_MAX || left.contains_key(&source) {
                            left.entry(source).or_default().add(share);
                        }
                    }
                }
                stays
            });
        }
        outboxes.clone()
    }
}
