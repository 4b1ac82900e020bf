//! When a collector that could not be reached is tried again: after a random time, up to a bound that doubles
//! with each failure ("full jitter"), so that many clients of one that starts again do not come together.

use std::time::Duration;

use super::clock::Clock;

/// How long connecting waits after failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackoffSettings {
    /// The bound after the first failure.
    pub first: Duration,
    /// The bound that no number of failures passes.
    pub most: Duration,
    /// A scan waits so long for the next try; if that is further away, it fails at once.
    pub waited_for_max: Duration,
}

impl Default for BackoffSettings {
    fn default() -> Self {
        BackoffSettings {
            first: Duration::from_millis(25),
            most: Duration::from_secs(5),
            waited_for_max: Duration::from_millis(300),
        }
    }
}

/// The tries of one collector.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    try_at: Duration,
}

impl Backoff {
    pub(super) fn failed(&mut self, settings: &BackoffSettings, clock: &dyn Clock) {
        let doubled = settings.first.saturating_mul(2_u32.saturating_pow(self.failures));
        self.failures = self.failures.saturating_add(1);
        self.try_at = clock.now() + clock.random(doubled.min(settings.most));
    }

    pub(super) fn succeeded(&mut self) {
        *self = Backoff::default();
    }

    /// What is left until the next try.
    pub(super) fn wait(&self, clock: &dyn Clock) -> Duration {
        self.try_at.saturating_sub(clock.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stands still; its random times are the longest.
    struct Longest;
    impl Clock for Longest {
        fn now(&self) -> Duration {
            Duration::from_secs(100)
        }
        fn random(&self, most: Duration) -> Duration {
            most
        }
    }

    #[test]
    fn the_bound_doubles_up_to_its_limit_and_a_success_forgets_it() {
        let settings = BackoffSettings::default();
        let mut backoff = Backoff::default();
        let mut waits = Vec::new();
        for _ in 0..40 {
            backoff.failed(&settings, &Longest);
            waits.push(backoff.wait(&Longest).as_millis());
        }
        assert_eq!(waits[..4], [25, 50, 100, 200]);
        assert!(waits[8..].iter().all(|wait| *wait == 5000));
        backoff.succeeded();
        assert_eq!(backoff.wait(&Longest), Duration::ZERO);
    }

    #[test]
    fn random_times_stay_below_their_bound_and_differ() {
        let clock = super::super::clock::SystemClock::default();
        let most = Duration::from_secs(1);
        let times: std::collections::HashSet<_> = (0..50).map(|_| clock.random(most)).collect();
        assert!(times.iter().all(|time| *time <= most) && times.len() > 40);
    }
}
