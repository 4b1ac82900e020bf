//! Threads that scan: started when they are needed, never more than a limit, ended when they idle.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a thread waits for work before it ends.
const IDLE_MAX: Duration = Duration::from_secs(10);

pub(super) type Job = Box<dyn FnOnce() + Send>;

pub(super) struct Pool {
    state: Mutex<State>,
    changed: Condvar,
    threads_max: usize,
    waiting_max: usize,
    stack_bytes: usize,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    stopped: bool,
}

impl Pool {
    pub(super) fn new(threads_max: usize, waiting_max: usize, stack_bytes: usize) -> Pool {
        Pool { state: Mutex::default(), changed: Condvar::new(), threads_max, waiting_max, stack_bytes }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a job as soon as a thread is free; gives it back when too many wait.
    pub(super) fn submit(self: &Arc<Pool>, job: Job) -> Result<(), Job> {
        let mut state = self.state();
        if state.stopped || state.jobs.len() >= self.waiting_max {
            return Err(job);
        }
        state.jobs.push_back(job);
        if state.idle >= state.jobs.len() || state.threads >= self.threads_max {
            drop(state);
            self.changed.notify_one();
            return Ok(());
        }
        state.threads += 1;
        let none_works = state.threads == 1;
        drop(state);
        let pool = self.clone();
        let thread = thread::Builder::new().name("ipc-scan".into()).stack_size(self.stack_bytes);
        if thread.spawn(move || pool.work()).is_err() {
            let mut state = self.state();
            state.threads -= 1;
            // Another thread takes the job later, unless there is none.
            if none_works && let Some(job) = state.jobs.pop_back() {
                return Err(job);
            }
        }
        Ok(())
    }

    fn work(&self) {
        let mut state = self.state();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                // A job reports its own panics; one that escapes must not take the thread's place with it.
                let _ = catch_unwind(AssertUnwindSafe(job));
                state = self.state();
                continue;
            }
            if state.stopped {
                break;
            }
            state.idle += 1;
            let waited = self.changed.wait_timeout(state, IDLE_MAX);
            let timed_out;
            (state, timed_out) = {
                let (state, result) = waited.unwrap_or_else(PoisonError::into_inner);
                (state, result.timed_out())
            };
            state.idle -= 1;
            if timed_out && state.jobs.is_empty() {
                break;
            }
        }
        state.threads -= 1;
        drop(state);
        self.changed.notify_all();
    }

    /// Drops what waits, and waits for what runs. Whether all of it ended in time.
    pub(super) fn stop(&self, deadline: Instant) -> bool {
        let mut state = self.state();
        state.stopped = true;
        let dropped = std::mem::take(&mut state.jobs);
        drop(state);
        drop(dropped);
        self.changed.notify_all();
        let mut state = self.state();
        while state.threads > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn jobs_beyond_the_threads_wait_and_beyond_the_queue_come_back() {
        let pool = Arc::new(Pool::new(1, 1, 64 << 10));
        let (begun, has_begun) = channel();
        let (go, gate) = channel::<()>();
        let (done, is_done) = channel();
        let first = Box::new(move || {
            begun.send(()).unwrap();
            gate.recv().unwrap();
        });
        assert!(pool.submit(first).is_ok());
        has_begun.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(pool.submit(Box::new(move || done.send(()).unwrap())).is_ok());
        assert!(pool.submit(Box::new(|| ())).is_err());
        go.send(()).unwrap();
        is_done.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(pool.stop(Instant::now() + Duration::from_secs(10)));
        assert!(pool.submit(Box::new(|| ())).is_err());
    }

    #[test]
    fn a_job_that_panics_leaves_the_pool_as_it_was() {
        let pool = Arc::new(Pool::new(1, 4, 64 << 10));
        let (done, is_done) = channel();
        assert!(pool.submit(Box::new(|| panic!("a job"))).is_ok());
        assert!(pool.submit(Box::new(move || done.send(()).unwrap())).is_ok());
        is_done.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(pool.stop(Instant::now() + Duration::from_secs(10)));
    }
}
