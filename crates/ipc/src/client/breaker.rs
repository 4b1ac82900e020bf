//! The circuit breaker of one collector: after some failures it is left alone for a while, then tried with one
//! request, and used again once that was answered.

use std::time::Duration;

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Failures in a row that open it.
    pub failures_max: u32,
    /// How long it stays open.
    pub open_for: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        BreakerSettings { failures_max: 3, open_for: Duration::from_secs(2) }
    }
}

/// What a breaker does with requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// All pass.
    Closed,
    /// None passes.
    Open,
    /// One passes, to see how it goes.
    HalfOpen,
}

#[derive(Debug)]
pub(super) struct Breaker {
    settings: BreakerSettings,
    failures: u32,
    /// When it opened, or let the last trial pass.
    since: Option<Duration>,
    trial: bool,
}

impl Breaker {
    pub(super) fn new(settings: BreakerSettings) -> Breaker {
        Breaker { settings, failures: 0, since: None, trial: false }
    }

    pub(super) fn state(&self, now: Duration) -> BreakerState {
        match self.since {
            None => BreakerState::Closed,
            Some(_) if self.trial || self.left(now).is_zero() => BreakerState::HalfOpen,
            Some(_) => BreakerState::Open,
        }
    }

    /// What is left until a request may pass.
    pub(super) fn left(&self, now: Duration) -> Duration {
        self.since.map_or(Duration::ZERO, |since| (since + self.settings.open_for).saturating_sub(now))
    }

    /// Whether a request may pass now. A trial that is never reported is followed by another in time.
    pub(super) fn pass(&mut self, now: Duration) -> bool {
        if self.since.is_none() {
            return true;
        }
        if !self.left(now).is_zero() {
            return false;
        }
        self.since = Some(now);
        self.trial = true;
        true
    }

    pub(super) fn succeeded(&mut self) {
        (self.failures, self.since, self.trial) = (0, None, false);
    }

    /// Whether this failure opened it.
    pub(super) fn failed(&mut self, now: Duration) -> bool {
        self.failures = self.failures.saturating_add(1);
        let opens = self.trial || self.since.is_none() && self.failures >= self.settings.failures_max;
        if opens {
            self.since = Some(now);
            self.trial = false;
        }
        opens
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SETTINGS: BreakerSettings = BreakerSettings { failures_max: 3, open_for: Duration::from_secs(10) };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_after_a_trial() {
        let mut breaker = Breaker::new(SETTINGS);
        assert!(!breaker.failed(at(1)));
        breaker.succeeded();
        assert!(!breaker.failed(at(2)) && !breaker.failed(at(2)) && breaker.failed(at(2)));
        assert_eq!(breaker.state(at(3)), BreakerState::Open);
        assert!(!breaker.pass(at(11)));
        assert_eq!(breaker.left(at(11)), at(1));
        assert_eq!(breaker.state(at(12)), BreakerState::HalfOpen);
        assert!(breaker.pass(at(12)) && !breaker.pass(at(13)));
        breaker.succeeded();
        assert!(breaker.pass(at(13)) && breaker.state(at(13)) == BreakerState::Closed);
    }

    #[test]
    fn a_trial_that_fails_opens_it_again_and_one_that_is_forgotten_is_repeated() {
        let mut breaker = Breaker::new(SETTINGS);
        assert!((0..3).any(|_| breaker.failed(at(0))));
        assert!(breaker.pass(at(10)));
        assert!(breaker.failed(at(11)));
        assert!(!breaker.pass(at(20)) && breaker.pass(at(21)));
        assert!(!breaker.pass(at(22)) && breaker.pass(at(31)));
    }

    proptest! {
        #[test]
        fn it_never_stays_closed_to_a_collector_that_answers(steps in prop::collection::vec((0_u64..15, any::<bool>()), 0..60)) {
            let (mut breaker, mut now) = (Breaker::new(SETTINGS), at(0));
            for (later, works) in steps {
                now += at(later);
                if breaker.pass(now) {
                    if works { breaker.succeeded() } else { breaker.failed(now); }
                }
            }
            let later = now + SETTINGS.open_for;
            prop_assert!(breaker.pass(later));
            breaker.succeeded();
            prop_assert_eq!(breaker.state(later), BreakerState::Closed);
        }
    }
}
