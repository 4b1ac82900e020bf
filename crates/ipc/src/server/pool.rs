//! Threads that scan: started when they are needed, never more than a limit, ended when they idle. One user never
//! has all of them, so that whoever stalls or floods holds up nobody but himself.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a thread waits for work before it ends.
const IDLE_MAX: Duration = Duration::from_secs(10);

pub(super) type Job = Box<dyn FnOnce() + Send>;

/// Whose a job is; where the system does not tell, all are one's.
pub(super) type User = Option<u32>;

/// Of the threads and of the places to wait, what one user may have: three in four, and at least one.
fn share(of_all: usize) -> usize {
    (of_all - of_all / 4).min(of_all.saturating_sub(1)).max(1)
}

pub(super) struct Pool {
    state: Mutex<State>,
    changed: Condvar,
    threads_max: usize,
    waiting_max: usize,
    stack_bytes: usize,
}

#[derive(Default)]
struct State {
    /// What waits, and whose it is.
    jobs: VecDeque<(User, Job)>,
    /// Jobs that run, by user.
    running: HashMap<User, usize>,
    threads: usize,
    idle: usize,
    stopped: bool,
}

impl State {
    fn runs(&self, user: User) -> usize {
        self.running.get(&user).copied().unwrap_or(0)
    }

    /// The first job of a user who does not run as many as he may.
    fn next(&mut self, most: usize) -> Option<(User, Job)> {
        let place = self.jobs.iter().position(|(user, _)| self.runs(*user) < most)?;
        let (user, job) = self.jobs.remove(place)?;
        *self.running.entry(user).or_default() += 1;
        Some((user, job))
    }

    fn done(&mut self, user: User) {
        if let Some(running) = self.running.get_mut(&user) {
            *running -= 1;
            if *running == 0 {
                self.running.remove(&user);
            }
        }
    }
}

impl Pool {
    pub(super) fn new(threads_max: usize, waiting_max: usize, stack_bytes: usize) -> Pool {
        Pool { state: Mutex::default(), changed: Condvar::new(), threads_max, waiting_max, stack_bytes }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a job waits that could have a thread of this user's, did he not use it.
    pub(super) fn lacks_threads(&self, user: User) -> bool {
        let state = self.state();
        let all_run = state.running.values().sum::<usize>() >= self.threads_max;
        state.jobs.iter().any(|(whose, _)| match state.runs(*whose) < share(self.threads_max) {
            true => all_run,
            false => *whose == user,
        })
    }

    /// Runs a user's job as soon as a thread is free for him; gives it back when too many wait.
    pub(super) fn submit(self: &Arc<Pool>, user: User, job: Job) -> Result<(), Job> {
        let mut state = self.state();
        let his = state.jobs.iter().filter(|(whose, _)| *whose == user).count();
        if state.stopped || state.jobs.len() >= self.waiting_max || his >= share(self.waiting_max) {
            return Err(job);
        }
        state.jobs.push_back((user, job));
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
            if none_works && let Some((_, job)) = state.jobs.pop_back() {
                return Err(job);
            }
        }
        Ok(())
    }

    fn work(&self) {
        let mut state = self.state();
        loop {
            if let Some((user, job)) = state.next(share(self.threads_max)) {
                drop(state);
                // A job reports its own panics; one that escapes must not take the thread's place with it.
                let _ = catch_unwind(AssertUnwindSafe(job));
                state = self.state();
                state.done(user);
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
        assert!(pool.submit(None, first).is_ok());
        has_begun.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(pool.submit(None, Box::new(move || done.send(()).unwrap())).is_ok());
        assert!(pool.submit(None, Box::new(|| ())).is_err());
        go.send(()).unwrap();
        is_done.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(pool.stop(Instant::now() + Duration::from_secs(10)));
        assert!(pool.submit(None, Box::new(|| ())).is_err());
    }

    #[test]
    fn a_user_who_stalls_holds_up_nobody_else() {
        let pool = Arc::new(Pool::new(4, 4, 64 << 10));
        let (go, gate) = channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        assert!(!pool.lacks_threads(Some(7)));
        let mut turned_away = 0;
        let stall = || {
            let gate = gate.clone();
            pool.submit(Some(7), Box::new(move || gate.lock().unwrap().recv().unwrap_or_default()))
        };
        for _ in 0..20 {
            turned_away += usize::from(stall().is_err());
        }
        assert!(turned_away >= 20 - 3 - 3, "{turned_away}");
        let began = Instant::now();
        while !pool.lacks_threads(Some(7)) {
            assert!(began.elapsed() < Duration::from_secs(10), "his own wait for one of his threads");
            // Perhaps no thread had begun when the last of them was turned away.
            let _ = stall();
        }
        assert!(!pool.lacks_threads(Some(8)), "nobody waits for a thread of one who has none");
        for user in [Some(8), Some(9)] {
            let (done, is_done) = channel();
            assert!(pool.submit(user, Box::new(move || done.send(()).unwrap())).is_ok());
            is_done.recv_timeout(Duration::from_secs(10)).unwrap();
        }
        drop(go);
        assert!(pool.stop(Instant::now() + Duration::from_secs(10)));
    }

    #[test]
    fn what_one_user_may_have_is_never_all_but_at_least_one() {
        assert_eq!([0, 1, 2, 3, 4, 16, 512].map(share), [1, 1, 1, 2, 3, 12, 384]);
    }

    #[test]
    fn a_job_that_panics_leaves_the_pool_as_it_was() {
        let pool = Arc::new(Pool::new(1, 4, 64 << 10));
        let (done, is_done) = channel();
        assert!(pool.submit(None, Box::new(|| panic!("a job"))).is_ok());
        assert!(pool.submit(None, Box::new(move || done.send(()).unwrap())).is_ok());
        is_done.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(pool.stop(Instant::now() + Duration::from_secs(10)));
    }
}
