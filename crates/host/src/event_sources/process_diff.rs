//! `process_diff`: process start, change and exit from the difference of two scans.
//!
//! The source of last resort, which runs anywhere: what begins and ends between two scans is never seen, and
//! nobody can count it. Compared are user and group ids, name, path and parent, which `stat`, `status` and `exe`
//! tell. The command line is read for events alone, so an event of kind `change` shows the present one, but
//! a new command line (setproctitle) is no change by itself.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use collector::{EventSink, EventSource, Host, OfAll, ProcessQuery, Reads, SourceError};
use model::{Capabilities, Run, ScanError};

use super::photograph::Photograph;
use crate::process;

/// The source's name.
const NAME: &str = "process_diff";
/// Scans are never closer than this, whatever is asked for.
const INTERVAL_MIN: Duration = Duration::from_millis(10);
/// What one scan may take, and what it may hold, in bytes.
const SCAN_MAX: Duration = Duration::from_secs(30);
const SCAN_BYTES_MAX: u64 = 256 << 20;

/// Tells of processes by looking at all of them again and again.
#[derive(Debug)]
pub struct ProcessDiff {
    host: Host,
    interval: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Kept across restarts, so that what happened meanwhile is told; `None` before the first scan.
    last: Option<Photograph>,
    /// The scan that runs, to be cancelled.
    run: Option<Run>,
    /// Processes of the last scan that could not be told from others.
    nameless: usize,
}

impl ProcessDiff {
    /// For the processes of `host`, looked at in steps of `interval`. The first look raises no events.
    pub fn new(host: Host, interval: Duration) -> ProcessDiff {
        ProcessDiff { host, interval: interval.max(INTERVAL_MIN), state: Mutex::default() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks once, and raises what happened since the last time.
    fn look(&self, sink: &EventSink) -> Result<(), ScanError> {
        let run = Run::new(Some(SCAN_MAX), SCAN_BYTES_MAX, SystemTime::now());
        self.state().run = Some(run.clone());
        // `stop` may have come before there was something to cancel.
        if sink.is_stopping() {
            return Ok(());
        }
        let time_ns = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64);
        let query = ProcessQuery {
            table: NAME,
            pids: None,
            reads: Reads::More,
            ids_alone: true,
            of_all: OfAll { ids: true, exe: true, cmdline: false },
            masking: self.host.masking(),
            run,
        };
        let rows = process::collector(&self.host).scan(query)?;
        let last = self.state().last.take();
        let is_first = last.is_none();
        let last = last.unwrap_or_default();
        match last.next(rows, time_ns) {
            // This process at least is there: a list without it is none.
            Ok((photograph, ..)) if photograph.is_empty() && self.host.is_live() => {
                self.state().last = (!is_first).then_some(last);
                Err(ScanError::Failed("/proc shows no process; is procfs mounted there?".into()))
            }
            Ok((photograph, events, nameless)) => {
                let mut state = self.state();
                (state.last, state.nameless) = (Some(photograph), nameless);
                drop(state);
                for event in events.into_iter().filter(|_| !is_first) {
                    sink.raise(event);
                }
                Ok(())
            }
            Err(error) => {
                self.state().last = (!is_first).then_some(last);
                Err(error)
            }
        }
    }
}

impl EventSource for ProcessDiff {
    fn name(&self) -> &str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::PROCESS | Capabilities::SYSTEM_WIDE
    }

    fn start(&self, sink: &EventSink) -> Result<(), SourceError> {
        let began = Instant::now();
        let mut step: u32 = 0;
        loop {
            match self.look(sink) {
                _ if sink.is_stopping() => return Ok(()),
                Ok(()) => {}
                Err(error) => return Err(SourceError::Failed(error.to_string())),
            }
            // On a grid, so that the time of a scan does not add up; steps that passed meanwhile are left out.
            let elapsed = began.elapsed().as_nanos() / self.interval.as_nanos().max(1);
            step = step.max(u32::try_from(elapsed).unwrap_or(u32::MAX)).saturating_add(1);
            let next = self.interval.saturating_mul(step);
            if sink.wait(next.saturating_sub(began.elapsed())) {
                return Ok(());
            }
        }
    }

    fn stop(&self) {
        if let Some(run) = &self.state().run {
            run.cancel();
        }
    }

    fn health(&self) -> Option<String> {
        let nameless = self.state().nameless;
        (nameless > 0)
            .then(|| format!("{nameless} processes cannot be told from others of their pid (hidepid?)"))
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "a test starts the processes that it watches")]

    use std::process::Command;
    use std::sync::Arc;

    use collector::{Received, Runtime, RuntimeLimits, SourceState, Subscription, Task};
    use model::{Event, Value};

    use super::*;
    use crate::process::fixture::Machine;

    const DEADLINE: Duration = Duration::from_secs(60);

    fn watched(host: Host) -> (Runtime, Subscription) {
        let runtime = Runtime::start(RuntimeLimits::default()).unwrap();
        runtime.register(Arc::new(ProcessDiff::new(host, Duration::from_millis(20)))).unwrap();
        let needs = Capabilities::PROCESS | Capabilities::SYSTEM_WIDE;
        let subscription = runtime.subscribe(Task { name: "test".into(), needs }).unwrap();
        (runtime, subscription)
    }

    /// Waits for the event of this kind and pid.
    fn wait_for(subscription: &Subscription, kind: &str, pid: u32) -> Event {
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline {
            if let Received::Batch(batch) = subscription.receive(Duration::from_millis(100)) {
                let is_it = |e: &&Event| e.kind == kind && e.field("pid") == Some(&Value::from(pid));
                if let Some(event) = batch.iter().find(is_it) {
                    return event.clone();
                }
            }
        }
        panic!("no {kind} of {pid}");
    }

    /// Starts children until one is seen to start: the first look tells nothing.
    fn seen_child(subscription: &Subscription) -> (std::process::Child, Event) {
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline {
            let mut sleep = Command::new("sleep");
            let mut child = sleep.args(["600"]).spawn().unwrap();
            let pid = Value::from(child.id());
            for _ in 0..10 {
                if let Received::Batch(batch) = subscription.receive(Duration::from_millis(100))
                    && let Some(event) =
                        batch.iter().find(|e| e.kind == "start" && e.field("pid") == Some(&pid))
                {
                    return (child, event.clone());
                }
            }
            child.kill().unwrap();
            child.wait().unwrap();
        }
        panic!("no start");
    }

    #[test]
    fn a_child_is_seen_to_start_and_to_exit() {
        let (runtime, subscription) = watched(Host::live());
        let (mut child, start) = seen_child(&subscription);
        assert_eq!(start.field("parent"), Some(&Value::from(std::process::id())));
        assert_eq!(start.source, NAME);
        child.kill().unwrap();
        // Before it is waited for: a zombie has exited.
        let exit = wait_for(&subscription, "exit", child.id());
        assert_eq!(exit.field("start_key"), start.field("start_key"));
        assert!(exit.sequence > start.sequence && exit.time_ns >= start.time_ns);
        child.wait().unwrap();
        assert_eq!(runtime.shutdown(DEADLINE).unfinished, Vec::<String>::new());
    }

    #[test]
    fn a_process_of_a_fixture_starts_changes_and_exits() {
        let machine = Machine::new();
        machine.process(1, 0, 1, b"init\0");
        let (runtime, subscription) = watched(machine.host());
        // The first look is over when a later process is seen; before that, nothing is told of it.
        let mut pid = 100;
        let start = loop {
            // A process is there once it has a `stat`.
            machine.write(&format!("proc/{pid}/cmdline"), b"x\0--token\0hunter2\0");
            machine.stat(pid, &crate::process::fixture::stat(pid, 1, 50, 0, 17));
            if let Received::Batch(batch) = subscription.receive(Duration::from_millis(200)) {
                break batch.iter().next().unwrap().clone();
            }
            pid += 1;
            assert!(pid < 400);
        };
        let pid = start.field("pid").and_then(Value::as_int).unwrap() as u32;
        assert_eq!(start.kind, "start");
        assert_eq!(start.field("cmdline").and_then(Value::as_str), Some("x --token [masked]"));
        let renamed = crate::process::fixture::stat(pid, 1, 50, 0, 17).replace("(name", "(renamed");
        machine.stat(pid, &renamed);
        let change = wait_for(&subscription, "change", pid);
        assert_eq!(change.field("changed").and_then(Value::as_str), Some("name"));
        assert_eq!(change.field("previous_name").and_then(Value::as_str), Some(&*format!("name {pid}")));
        machine.end(pid);
        wait_for(&subscription, "exit", pid);
        runtime.shutdown(DEADLINE);
    }

    #[test]
    fn a_proc_that_cannot_be_listed_is_a_failure_and_not_the_exit_of_all() {
        let machine = Machine::new();
        machine.process(1, 0, 1, b"init\0");
        let (runtime, subscription) = watched(machine.host());
        let deadline = Instant::now() + DEADLINE;
        std::fs::rename(machine.path("proc"), machine.path("away")).unwrap();
        std::fs::write(machine.path("proc"), b"no directory").unwrap();
        while runtime.sources()[0].state == SourceState::Running {
            assert!(Instant::now() < deadline);
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(runtime.sources()[0].reason.as_deref().unwrap().contains("cannot list /proc"));
        runtime.shutdown(DEADLINE);
        assert!(matches!(subscription.receive(Duration::ZERO), Received::Closed));
    }
}
