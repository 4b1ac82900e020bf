//! Time and chance, which tests bring themselves.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::{Duration, Instant};

/// Where waiting times come from.
pub trait Clock: Send + Sync {
    /// Time since some fixed moment; never goes back.
    fn now(&self) -> Duration;
    /// A random time from zero to `most`.
    fn random(&self, most: Duration) -> Duration;
}

/// The system's clock.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn random(&self, most: Duration) -> Duration {
        // Each RandomState has keys of its own: enough to keep clients apart, and no secret depends on it.
        let random = RandomState::new().hash_one(self.0.elapsed());
        most.mul_f64(random as f64 / u64::MAX as f64)
    }
}
