//! A request of a connection as it runs: how it is cancelled, and how much it may send.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use model::{Run, ScanError};

use super::TICK;
use crate::limits::CREDIT_MAX;

/// A request that runs.
pub(super) struct Running {
    /// Of a scan; a subscription has one only to be cancelled by.
    pub(super) run: Run,
    /// Its thread is the pool's, where others may wait for it.
    pub(super) is_pooled: bool,
    credit: Mutex<u32>,
    granted: Condvar,
    /// It takes no place any more, though its last frame is not written yet.
    ended: AtomicBool,
}

/// Why a request may not go on sending.
pub(super) enum NoCredit {
    Cancelled(ScanError),
    /// The client took nothing for so long.
    Stalled(Duration),
}

impl Running {
    pub(super) fn scan(run: Run, credit: u32) -> Arc<Running> {
        Running::new(run, credit, true)
    }

    pub(super) fn subscription(credit: u32) -> Arc<Running> {
        Running::new(Run::new(None, u64::MAX, SystemTime::now()), credit, false)
    }

    fn new(run: Run, credit: u32, is_pooled: bool) -> Arc<Running> {
        let credit = Mutex::new(credit.min(CREDIT_MAX));
        Arc::new(Running { run, is_pooled, credit, granted: Condvar::new(), ended: AtomicBool::new(false) })
    }

    /// Gives its place back, so that a client that hears of the end may use it at once.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    pub(super) fn cancel(&self) {
        self.run.cancel();
        // Under the lock, or a thread between its look at the run and its wait would miss it.
        drop(self.credit.lock().unwrap_or_else(PoisonError::into_inner));
        self.granted.notify_all();
    }

    pub(super) fn grant(&self, more: u32) {
        let mut credit = self.credit.lock().unwrap_or_else(PoisonError::into_inner);
        *credit = credit.saturating_add(more).min(CREDIT_MAX);
        self.granted.notify_all();
    }

    /// Waits until one more batch may be sent, as long as `patience` allows, and takes that right.
    pub(super) fn take_credit(&self, patience: impl Fn() -> Duration) -> Result<(), NoCredit> {
        let began = Instant::now();
        let mut credit = self.credit.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            self.run.check().map_err(|stop| NoCredit::Cancelled(stop.into()))?;
            if *credit > 0 {
                *credit -= 1;
                return Ok(());
            }
            let most = patience();
            let left = most.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Err(NoCredit::Stalled(most));
            }
            let wait = left.min(self.run.time_left().unwrap_or(TICK)).min(TICK);
            credit = self.granted.wait_timeout(credit, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Gives back a right that was not used.
    pub(super) fn return_credit(&self) {
        self.grant(1);
    }
}
