//! A flag that threads wait for.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Set once, never unset.
#[derive(Debug, Default)]
pub(super) struct Signal {
    is_set: Mutex<bool>,
    changed: Condvar,
}

impl Signal {
    pub(super) fn set(&self) {
        *locked(&self.is_set) = true;
        self.changed.notify_all();
    }

    pub(super) fn is_set(&self) -> bool {
        *locked(&self.is_set)
    }

    /// Waits until it is set, at most so long; whether it is.
    pub(super) fn wait(&self, at_most: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(locked(&self.is_set), at_most, |is_set| !*is_set);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// As [`Signal::wait`], until an instant.
    pub(super) fn wait_until(&self, deadline: Instant) -> bool {
        self.wait(deadline.saturating_duration_since(Instant::now()))
    }
}

/// What a mutex guards. No lock of the runtime is held while code runs that may panic.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
