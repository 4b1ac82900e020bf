//! A thread per sink: takes from its queue in the outbox, and tries again what the sink did not take. A slow sink
//! delays no other.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use store::crash_point;

use crate::clock;
use crate::health::Health;
use crate::keeper::Keeper;
use crate::sinks::Sink;

/// Alerts that a sink is given at once.
const BATCH: usize = 64;
/// How long to look for news at most, so that a thread notices that it shall end.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Before a first retry; each further one waits twice as long.
const RETRY_FIRST_MS: i64 = 1000;
/// Before any retry.
const RETRY_MAX_MS: i64 = 60_000;

/// What the threads of the sinks are told.
#[derive(Default)]
pub(crate) struct Orders {
    pub(crate) ends: AtomicBool,
    /// How often everybody was told to open anew what it writes to.
    pub(crate) reopen: AtomicU64,
}

/// Delivers to one sink until the agent ends, and then what is due.
pub(crate) fn deliver(
    name: &str,
    mut sink: Box<dyn Sink>,
    keeper: &Arc<Keeper>,
    orders: &Orders,
    health: &Health,
) {
    let part = format!("sink {name}");
    let (mut seen, mut reopened) = (0, 0);
    // What the sink has while the state could not be told so.
    let mut taken: HashSet<u64> = HashSet::new();
    loop {
        let reopen = orders.reopen.load(Ordering::Acquire);
        if reopen != reopened
            && let Err(error) = sink.reopen()
        {
            health.set(&part, false, format!("it cannot be opened anew: {error}"));
        }
        reopened = reopen;
        let ends = orders.ends.load(Ordering::Acquire);
        let now = clock::now_ms();
        let due = keeper.note(keeper.state.reader().due(name, now, BATCH)).unwrap_or_default();
        let (more, mut failed) = (due.len() == BATCH, false);
        let fresh: Vec<_> = due.iter().filter(|due| !taken.contains(&due.seq)).collect();
        let alerts: Vec<_> = fresh.iter().map(|due| due.alert.clone()).collect();
        match if alerts.is_empty() { Ok(()) } else { sink.take(&alerts) } {
            Ok(()) => {
                taken.extend(due.iter().map(|due| due.seq));
                if !due.is_empty() {
                    health.set(&part, true, "");
                }
                crash_point("sink.taken");
                let seqs: Vec<u64> = taken.iter().copied().collect();
                if !seqs.is_empty() && keeper.note(keeper.state.delivered(name, &seqs, now)).is_some() {
                    taken.clear();
                } else {
                    failed = !seqs.is_empty();
                }
            }
            Err(error) => {
                failed = true;
                health.set(&part, false, error.to_string());
                for due in fresh {
                    let again = now + wait_ms(due.attempts, due.seq);
                    let noted =
                        keeper.state.delivery_failed(name, due.seq, &error.to_string(), Some(again), now);
                    keeper.note(noted);
                }
            }
        }
        if ends && (failed || !more) {
            return;
        }
        if !more || failed {
            seen = keeper.news.wait(seen, LOOK_EVERY);
        }
    }
}

/// How long to wait after so many tries, spread a little by the entry's number.
fn wait_ms(attempts: u32, seq: u64) -> i64 {
    let doubled = RETRY_FIRST_MS.saturating_mul(1i64.checked_shl(attempts.min(20)).unwrap_or(i64::MAX));
    let capped = doubled.min(RETRY_MAX_MS);
    let spread = i64::try_from(seq.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40).unwrap_or(0);
    capped - spread % (capped / 4).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_wait_longer_and_never_longer_than_a_minute() {
        for attempts in 0..100 {
            let wait = wait_ms(attempts, u64::from(attempts) * 7);
            assert!(wait > 0 && wait <= RETRY_MAX_MS && (attempts > 5 || wait <= RETRY_FIRST_MS << attempts));
        }
        assert!(wait_ms(10, 1) > 40_000);
    }
}
