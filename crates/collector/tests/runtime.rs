//! The runtime: what it hands on, sheds, counts, restarts and stops.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may end in a panic")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use collector::{
    EventSink, EventSource, RUNTIME_TABLES, Received, Runtime, RuntimeError, RuntimeLimits, SourceError,
    SourceState,
};
use model::{Capabilities, Domain, Query, Run};
use proptest::prelude::*;
use support::{DEADLINE, Scripted, Seen, balanced, drain, loss, observation, task, until_stopped, wait_for};

const PROCESS: Capabilities = Capabilities::PROCESS;

fn runtime() -> Runtime {
    let quick = RuntimeLimits { restart_delay: Duration::from_millis(1), ..RuntimeLimits::default() };
    Runtime::start(quick).unwrap()
}

fn state(runtime: &Runtime, name: &str) -> Option<SourceState> {
    runtime.sources().iter().find(|row| &*row.name == name).map(|row| row.state)
}

/// A source to which a test can subscribe before any event is raised.
fn idle(runtime: &Runtime, name: &str) {
    runtime.register(Scripted::raising(name, 0)).unwrap();
}

fn add(count: &AtomicU64, more: usize) -> u64 {
    count.fetch_add(more as u64, Ordering::SeqCst) + more as u64
}

#[test]
fn events_come_in_order_and_without_a_gap() {
    let runtime = runtime();
    idle(&runtime, "idle");
    let subscription = runtime.subscribe(task("all", PROCESS)).unwrap();
    runtime.register(Scripted::raising("a", 5000)).unwrap();
    runtime.register(Scripted::raising("b", 10)).unwrap();
    wait_for("all events", || runtime.sources().iter().map(|row| row.raised).sum::<u64>() == 5010);
    assert_eq!(runtime.shutdown(DEADLINE), collector::Shutdown { unfinished: vec![], drained: true });
    let seen = drain(&subscription);
    for (name, count) in [("a", 5000), ("b", 10)] {
        assert_eq!((seen[name].events, seen[name].gaps), (count, 0), "{name}");
    }
    let rows = balanced(&runtime);
    assert_eq!(loss(&rows, "a", "all").delivered, 5000);
}

#[test]
fn a_task_that_no_source_can_do_is_refused_and_told_why() {
    let runtime = runtime();
    idle(&runtime, "diff");
    let refused = runtime.subscribe(task("watch", PROCESS | Capabilities::REALTIME)).err().unwrap();
    assert_eq!(
        refused.to_string(),
        "task watch needs PROCESS | REALTIME; diff tells of process events but lacks REALTIME"
    );
}

#[test]
fn a_subscriber_gets_the_domains_it_asked_for_of_the_sources_that_can_do_it() {
    let runtime = runtime();
    let both = PROCESS | Capabilities::NETWORK | Capabilities::REALTIME;
    idle(&runtime, "slow");
    runtime.register(Scripted::idle("idle", both)).unwrap();
    let network = runtime.subscribe(task("network", Capabilities::NETWORK)).unwrap();
    let fast = runtime.subscribe(task("fast", PROCESS | Capabilities::REALTIME)).unwrap();
    let mixed = |sink: &EventSink| {
        for n in 0..30 {
            sink.raise(observation(if n % 3 == 0 { Domain::Network } else { Domain::Process }, n));
        }
        Ok(())
    };
    runtime.register(Scripted::new("mixed", both, mixed)).unwrap();
    runtime.register(Scripted::raising("other", 7)).unwrap();
    wait_for("all events", || runtime.sources().iter().map(|row| row.raised).sum::<u64>() == 37);
    runtime.shutdown(DEADLINE);
    let (network, fast) = (drain(&network), drain(&fast));
    assert_eq!((network.len(), network["mixed"].events), (1, 10));
    assert_eq!((fast.len(), fast["mixed"].events), (1, 20));
    balanced(&runtime);
}

#[test]
fn a_full_queue_sheds_after_a_wait_and_the_gaps_are_the_loss() {
    // Nothing takes events out while the source holds the only room: the batch never fills, the delay is long.
    let limits = RuntimeLimits {
        source_events_max: 10,
        batch_delay: Duration::from_secs(1),
        backpressure_wait: Duration::from_millis(1),
        ..RuntimeLimits::default()
    };
    let runtime = Runtime::start(limits).unwrap();
    idle(&runtime, "idle");
    let subscription = runtime.subscribe(task("all", PROCESS)).unwrap();
    runtime.register(Scripted::raising("burst", 1000)).unwrap();
    wait_for("all events", || runtime.sources().iter().any(|row| row.raised == 1000));
    runtime.shutdown(DEADLINE);
    let seen = drain(&subscription)["burst"].clone();
    let row = loss(&balanced(&runtime), "burst", "runtime");
    assert!(row.lost > 0 && row.waiting == 0, "{row:?}");
    assert_eq!(seen.events + row.lost, 1000);
    assert_eq!(seen.gaps + (1000 - seen.last), row.lost);
}

#[test]
fn a_slow_subscriber_loses_alone() {
    let limits =
        RuntimeLimits { subscriber_events_max: 100, batch_events_max: 50, ..RuntimeLimits::default() };
    let runtime = Runtime::start(limits).unwrap();
    idle(&runtime, "idle");
    let slow = runtime.subscribe(task("slow", PROCESS)).unwrap();
    let quick = runtime.subscribe(task("quick", PROCESS)).unwrap();
    let got = Arc::new(AtomicU64::new(0));
    let count = got.clone();
    let reader = std::thread::spawn(move || {
        while !matches!(quick.receive(DEADLINE), Received::Batch(batch) if add(&count, batch.len()) == 1000) {
        }
        quick.lost()
    });
    // Never further ahead of the quick one than its queue is long.
    let source = Scripted::new("paced", PROCESS, move |sink| {
        for n in 0..1000 {
            while n >= got.load(Ordering::SeqCst) + 50 {
                sink.wait(Duration::from_millis(1));
            }
            sink.raise(observation(Domain::Process, n));
        }
        Ok(())
    });
    runtime.register(source).unwrap();
    wait_for("all events", || runtime.sources().iter().any(|row| row.raised == 1000));
    runtime.shutdown(DEADLINE);
    assert_eq!(reader.join().unwrap(), 0);
    let late = drain(&slow)["paced"].clone();
    let row = loss(&balanced(&runtime), "paced", "slow");
    assert!(late.events <= 100 && row.lost >= 900, "{row:?}");
    assert_eq!((late.events, late.events + slow.lost()), (row.delivered, 1000));
}

#[test]
fn past_the_memory_of_all_subscribers_the_furthest_behind_lose_their_oldest() {
    let limits =
        RuntimeLimits { subscribers_bytes_max: 20_000, batch_events_max: 10, ..RuntimeLimits::default() };
    let runtime = Runtime::start(limits).unwrap();
    idle(&runtime, "idle");
    let idlers: Vec<_> =
        (0..20).map(|n| runtime.subscribe(task(&format!("i{n}"), PROCESS)).unwrap()).collect();
    runtime.register(Scripted::raising("a", 1000)).unwrap();
    let is_offered = || balanced(&runtime).iter().any(|row| row.queue == "i19" && row.offered == 1000);
    wait_for("its events", is_offered);
    runtime.shutdown(DEADLINE);
    for idler in &idlers {
        let seen = drain(idler)["a"].clone();
        assert_eq!((seen.last, seen.events + idler.lost()), (1000, 1000));
        assert!(seen.events > 0 && seen.events < 200, "{seen:?}");
    }
    balanced(&runtime);
}

#[test]
fn what_a_source_missed_is_a_gap_and_a_loss() {
    let runtime = runtime();
    idle(&runtime, "idle");
    let subscription = runtime.subscribe(task("all", PROCESS)).unwrap();
    let source = Scripted::new("kernel", PROCESS, |sink| {
        sink.raise(observation(Domain::Process, 1));
        sink.missed(41);
        sink.raise(observation(Domain::Process, 2));
        Ok(())
    });
    runtime.register(source).unwrap();
    wait_for("its end", || state(&runtime, "kernel") == Some(SourceState::Ended));
    runtime.shutdown(DEADLINE);
    let seen = drain(&subscription)["kernel"].clone();
    assert_eq!((seen.events, seen.last, seen.gaps), (2, 43, 41));
    let row = loss(&balanced(&runtime), "kernel", "source");
    assert_eq!((row.offered, row.lost), (43, 41));
}

#[test]
fn a_source_that_fails_is_started_again_and_others_go_on() {
    let runtime = runtime();
    idle(&runtime, "good");
    let attempts = Arc::new(AtomicU64::new(0));
    let count = attempts.clone();
    let source = Scripted::new("shaky", PROCESS, move |sink| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Err(SourceError::Failed("the kernel said no".into())),
        1 => panic!("a bug"),
        _ => until_stopped(sink),
    });
    runtime.register(source).unwrap();
    wait_for("its third start", || attempts.load(Ordering::SeqCst) == 3);
    wait_for("its run", || state(&runtime, "shaky") == Some(SourceState::Running));
    let rows = runtime.sources();
    assert_eq!((rows[1].restarts, rows[1].reason.as_deref()), (2, Some("panic: a bug")));
    assert_eq!(state(&runtime, "good"), Some(SourceState::Running));
}

#[test]
fn a_source_that_keeps_failing_is_given_up() {
    let runtime = runtime();
    let failing = Scripted::new("failing", PROCESS, |_| Err(SourceError::Failed("no".into())));
    let unfit = Scripted::new("unfit", PROCESS, |_| Err(SourceError::Unsupported("no BTF".into())));
    runtime.register(failing.clone()).unwrap();
    runtime.register(unfit.clone()).unwrap();
    for name in ["failing", "unfit"] {
        wait_for("the end of it", || state(&runtime, name) == Some(SourceState::Failed));
    }
    let tries = u64::from(RuntimeLimits::default().restarts_max) + 1;
    assert_eq!((failing.starts.load(Ordering::SeqCst), unfit.starts.load(Ordering::SeqCst)), (tries, 1));
    assert_eq!(runtime.sources()[1].reason.as_deref(), Some("no BTF"));
    assert_eq!(runtime.remove("failing", DEADLINE), Ok(()));
}

#[test]
fn a_complaint_of_a_running_source_is_shown() {
    let runtime = runtime();
    let source = Scripted::raising("grumpy", 0);
    runtime.register(source.clone()).unwrap();
    *source.complaint.lock().unwrap() = Some("sees its own user alone".into());
    assert_eq!(runtime.sources()[0].reason.as_deref(), Some("sees its own user alone"));
}

#[test]
fn a_removed_source_loses_nothing_and_goes_on_numbering_when_it_comes_back() {
    let runtime = runtime();
    idle(&runtime, "idle");
    let subscription = runtime.subscribe(task("all", PROCESS)).unwrap();
    for round in 1..=3 {
        runtime.register(Scripted::raising("flaky", 100)).unwrap();
        assert_eq!(runtime.register(Scripted::raising("flaky", 1)), Err(RuntimeError::Known("flaky".into())));
        wait_for("its events", || runtime.sources().iter().any(|row| row.raised == round * 100));
        assert_eq!(runtime.remove("flaky", DEADLINE), Ok(()));
        assert_eq!(loss(&balanced(&runtime), "flaky", "runtime").delivered, round * 100);
    }
    assert_eq!(runtime.remove("flaky", DEADLINE), Err(RuntimeError::Unknown("flaky".into())));
    runtime.shutdown(DEADLINE);
    let seen = drain(&subscription)["flaky"].clone();
    assert_eq!((seen.events, seen.last, seen.gaps), (300, 300, 0));
}

#[test]
fn a_shutdown_ends_by_its_deadline_and_names_what_did_not() {
    let runtime = runtime();
    idle(&runtime, "idle");
    let subscription = runtime.subscribe(task("all", PROCESS)).unwrap();
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let deaf = Scripted::new("deaf", PROCESS, move |sink| {
        sink.raise(observation(Domain::Process, 1));
        // Until the test ends; deaf to the sink.
        let _ = held.lock().unwrap().recv();
        sink.raise(observation(Domain::Process, 2));
        Ok(())
    });
    runtime.register(deaf).unwrap();
    wait_for("its event", || runtime.sources().iter().any(|row| row.raised == 1));
    let began = Instant::now();
    let shutdown = runtime.shutdown(Duration::from_millis(200));
    assert!(began.elapsed() < DEADLINE);
    assert_eq!((shutdown.unfinished, shutdown.drained), (vec!["deaf".to_owned()], true));
    assert_eq!(drain(&subscription)["deaf"].events, 1);
    assert!(runtime.register(Scripted::raising("late", 0)).is_err());
    assert!(runtime.subscribe(task("late", PROCESS)).is_err());
    // What it raises now is counted.
    drop(hold);
    wait_for("its end", || state(&runtime, "deaf") == Some(SourceState::Stopped));
    let row = loss(&balanced(&runtime), "deaf", "runtime");
    assert_eq!((row.offered, row.delivered, row.lost), (2, 1, 1));
}

#[test]
fn a_source_whose_stop_hangs_or_panics_does_not_hold_up_the_others() {
    struct Awkward(&'static str);
    impl EventSource for Awkward {
        fn name(&self) -> &str {
            self.0
        }
        fn capabilities(&self) -> Capabilities {
            PROCESS
        }
        fn start(&self, sink: &EventSink) -> Result<(), SourceError> {
            until_stopped(sink)
        }
        fn stop(&self) {
            match self.0 {
                "hangs" => loop {
                    std::thread::park();
                },
                _ => panic!("in stop"),
            }
        }
        fn health(&self) -> Option<String> {
            panic!("in health")
        }
    }
    let runtime = runtime();
    runtime.register(Arc::new(Awkward("hangs"))).unwrap();
    runtime.register(Arc::new(Awkward("panics"))).unwrap();
    assert_eq!(runtime.sources()[0].reason.as_deref(), Some("panic: in health"));
    assert_eq!(runtime.shutdown(DEADLINE), collector::Shutdown { unfinished: vec![], drained: true });
}

#[test]
fn a_subscriber_that_leaves_is_counted_and_forgotten() {
    let runtime = runtime();
    idle(&runtime, "idle");
    let subscription = runtime.subscribe(task("brief", PROCESS)).unwrap();
    runtime.register(Scripted::raising("a", 500)).unwrap();
    wait_for("its events", || {
        balanced(&runtime).iter().any(|row| row.queue == "brief" && row.offered == 500)
    });
    let Received::Batch(batch) = subscription.receive(DEADLINE) else { panic!("nothing came") };
    let got = batch.len() as u64;
    drop(subscription);
    let stays = runtime.subscribe(task("stays", PROCESS)).unwrap();
    wait_for("its end", || balanced(&runtime).iter().any(|row| row.queue == "subscribers that left"));
    let row = loss(&balanced(&runtime), "a", "subscribers that left");
    assert_eq!((row.offered, row.delivered, row.lost), (500, got, 500 - got));
    assert!(matches!(stays.receive(Duration::ZERO), Received::Nothing));
}

#[test]
fn health_and_loss_are_tables() {
    let runtime = runtime();
    runtime.register(Scripted::raising("a", 3)).unwrap();
    wait_for("its events", || {
        balanced(&runtime).iter().any(|row| row.delivered == 3 && row.queue == "runtime")
    });
    let mut told = BTreeMap::new();
    for table in RUNTIME_TABLES {
        let query = Query::all(Arc::new(table.schema()), Run::unlimited());
        let mut scan = table.open(&runtime, &query).unwrap();
        let mut rows = Vec::new();
        while scan.advance().unwrap() {
            let cell = |column| match scan.value(column) {
                model::Value::Null => "NULL".to_owned(),
                model::Value::Int(n) => n.to_string(),
                text => text.as_str().unwrap().to_owned(),
            };
            rows.push((0..query.schema.columns.len()).map(cell).collect::<Vec<_>>().join("|"));
        }
        told.insert(table.name(), rows);
    }
    assert_eq!(told["event_sources"], ["a|PROCESS|running|NULL|0|3|0|2"]);
    assert_eq!(told["event_loss"], ["a|runtime|3|3|0|0", "a|source|3|3|0|0"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn events_raised_are_events_delivered_and_events_counted_as_lost(
        bursts in proptest::collection::vec((0u64..400, 0u64..50), 1..5),
        queue in 1usize..200,
        batch in 1usize..100,
        subscriber in 1usize..300,
        delay_ms in 0u64..3,
    ) {
        let limits = RuntimeLimits {
            source_events_max: queue,
            batch_events_max: batch,
            subscriber_events_max: subscriber,
            batch_delay: Duration::from_millis(delay_ms),
            backpressure_wait: Duration::from_millis(1),
            ..RuntimeLimits::default()
        };
        let runtime = Runtime::start(limits).unwrap();
        idle(&runtime, "idle");
        let subscription = runtime.subscribe(task("all", PROCESS)).unwrap();
        for (n, (events, missed)) in bursts.iter().copied().enumerate() {
            let source = Scripted::new(&format!("s{n}"), PROCESS, move |sink| {
                for n in 0..events {
                    sink.raise(observation(Domain::Process, n));
                }
                sink.missed(missed);
                Ok(())
            });
            runtime.register(source).unwrap();
        }
        wait_for("the end of all", || {
            balanced(&runtime);
            runtime.sources().iter().all(|row| &*row.name == "idle" || row.state == SourceState::Ended)
        });
        runtime.shutdown(DEADLINE);
        let seen = drain(&subscription);
        let rows = balanced(&runtime);
        for (n, (events, missed)) in bursts.iter().enumerate() {
            let name = format!("s{n}");
            let seen = seen.get(&name).cloned().unwrap_or_else(Seen::default);
            let lost: u64 = rows.iter().filter(|row| *row.source == name).map(|row| row.lost).sum();
            prop_assert_eq!(seen.events + lost, events + missed);
            prop_assert_eq!(seen.gaps + (events + missed - seen.last), lost);
        }
    }
}
