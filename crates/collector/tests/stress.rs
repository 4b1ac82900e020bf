//! The runtime under load: 100,000 events a second, 200 subscribers, sources that come and go.
//!
//! Asserted are counts, bounds of memory and that things end; the figures are printed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may end in a panic")]
#![allow(clippy::print_stdout, reason = "a stress test prints its figures")]
#![allow(clippy::disallowed_methods, reason = "the test reads its own memory from procfs")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use collector::{Batch, EventSink, Received, Runtime, RuntimeLimits, SourceError, Subscription};
use model::{Capabilities, Domain};
use support::{DEADLINE, Scripted, balanced, observation, task, until_stopped, wait_for};

const PROCESS: Capabilities = Capabilities::PROCESS;
const SUBSCRIBERS: usize = 200;
/// Every second subscriber never reads; of the others each thread serves a part.
const READERS: usize = 4;
const SOURCES: u64 = 4;
const EVENTS_A_SECOND: u64 = 100_000;
const SECONDS: u64 = 3;
/// What one event of these takes, generously, in bytes.
const EVENT_BYTES: usize = 600;

fn resident_bytes() -> Option<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size())
}

/// Raises its part of the load, a hundredth of a second's worth at a time.
fn loud(sink: &EventSink) -> Result<(), SourceError> {
    const TICK: Duration = Duration::from_millis(10);
    let each = EVENTS_A_SECOND / SOURCES / 100;
    let began = Instant::now();
    for tick in 0..(SECONDS * 100) {
        for n in 0..each {
            sink.raise(observation(Domain::Process, tick * each + n));
        }
        let next = TICK * (tick as u32 + 1);
        if sink.wait(next.saturating_sub(began.elapsed())) {
            return Ok(());
        }
    }
    until_stopped(sink)
}

/// Serves some subscribers in turn until all of them are closed: events received, and the subscribers.
fn serve(mut subscriptions: Vec<Subscription>) -> (u64, Vec<Subscription>) {
    let (mut received, mut done) = (0, Vec::new());
    while !subscriptions.is_empty() {
        let mut is_idle = true;
        let mut n = 0;
        while n < subscriptions.len() {
            match subscriptions[n].receive(Duration::ZERO) {
                Received::Batch(batch) => {
                    received += batch_len(&batch);
                    is_idle = false;
                    n += 1;
                }
                Received::Nothing => n += 1,
                Received::Closed => done.push(subscriptions.swap_remove(n)),
            }
        }
        if is_idle && let Some(first) = subscriptions.first() {
            // Something comes, or all is closed.
            if let Received::Batch(batch) = first.receive(Duration::from_millis(5)) {
                received += batch_len(&batch);
            }
        }
    }
    (received, done)
}

fn batch_len(batch: &Batch) -> u64 {
    batch.iter().count() as u64
}

#[test]
fn under_load_memory_is_bounded_every_shed_event_is_counted_and_the_end_comes_in_time() {
    let limits = RuntimeLimits::default();
    let runtime = Arc::new(Runtime::start(limits).unwrap());
    runtime.register(Scripted::idle("idle", PROCESS)).unwrap();
    let before = resident_bytes();
    let mut parts: Vec<Vec<Subscription>> = (0..READERS + 1).map(|_| Vec::new()).collect();
    for n in 0..SUBSCRIBERS {
        let part = if n % 2 == 0 { READERS } else { n / 2 % READERS };
        parts[part].push(runtime.subscribe(task(&format!("s{n}"), PROCESS)).unwrap());
    }
    let deaf = parts.pop().unwrap();
    let readers: Vec<_> = parts.into_iter().map(|part| std::thread::spawn(move || serve(part))).collect();

    // Sources that come and go all the while.
    let (stop, comings) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let churn = {
        let (runtime, stop, comings) = (runtime.clone(), stop.clone(), comings.clone());
        std::thread::spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                let name = format!("brief{}", comings.load(Ordering::SeqCst) % 10);
                runtime.register(Scripted::raising(&name, 50)).unwrap();
                runtime.remove(&name, DEADLINE).unwrap();
                comings.fetch_add(1, Ordering::SeqCst);
            }
        })
    };

    let began = Instant::now();
    for n in 0..SOURCES {
        runtime.register(Scripted::new(&format!("loud{n}"), PROCESS, loud)).unwrap();
    }
    let wanted = EVENTS_A_SECOND * SECONDS;
    let (mut peak, mut looks) = (before, 0);
    wait_for("the load", || {
        peak = peak.max(resident_bytes());
        looks += 1;
        if looks % 100 == 0 {
            balanced(&runtime);
        }
        let sources = runtime.sources();
        let loud = sources.iter().filter(|row| row.name.starts_with("loud"));
        loud.map(|row| row.raised).sum::<u64>() >= wanted
    });
    let took = began.elapsed();
    stop.store(true, Ordering::SeqCst);
    churn.join().unwrap();

    let ending = Instant::now();
    let shutdown = runtime.shutdown(DEADLINE);
    let ended = ending.elapsed();
    assert_eq!((shutdown.unfinished, shutdown.drained), (vec![], true));
    let served: Vec<_> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
    let received: u64 = served.iter().map(|(received, _)| received).sum();

    let rows = balanced(&runtime);
    let sum = |queue: &str, of: fn(&collector::LossRow) -> u64| -> u64 {
        rows.iter().filter(|row| row.queue == queue).map(of).sum()
    };
    let (raised, shed, handed_on) =
        (sum("source", |r| r.offered), sum("runtime", |r| r.lost), sum("runtime", |r| r.delivered));
    assert_eq!(raised, wanted + 50 * comings.load(Ordering::SeqCst));
    assert_eq!(raised, handed_on + shed);
    let mut lost = 0;
    for n in 0..SUBSCRIBERS {
        let queue = format!("s{n}");
        assert_eq!(sum(&queue, |r| r.offered), handed_on, "{queue}");
        lost += sum(&queue, |r| r.lost);
    }
    let delivered: u64 = rows
        .iter()
        .filter(|row| row.queue.starts_with('s') && row.queue != "source")
        .map(|r| r.delivered)
        .sum();
    assert_eq!(delivered, received);
    let grown = peak.unwrap_or(0).saturating_sub(before.unwrap_or(0));
    // What waits for subscribers is counted in estimated bytes; an allocator takes more than was asked for.
    let most = 3 * limits.subscribers_bytes_max
        + 2 * (SOURCES as usize + 2) * limits.source_events_max * EVENT_BYTES
        + (16 << 20);
    assert!(grown < most, "{grown} bytes more, at most {most}");
    let loud = rows.iter().filter(|row| row.queue == "runtime" && row.source.starts_with("loud"));
    let loud_shed: u64 = loud.map(|row| row.lost).sum();
    println!(
        "{raised} events in {took:.2?} ({:.0} a second), {loud_shed} shed for want of room and {} raised by sources that \
         were being removed; {SUBSCRIBERS} subscribers got \
         {received} and lost {lost} ({} of them never read); {} sources came and went; {:.1} MiB more at the peak; \
         shutdown took {ended:.2?}",
        raised as f64 / took.as_secs_f64(),
        shed - loud_shed,
        deaf.len(),
        comings.load(Ordering::SeqCst),
        grown as f64 / f64::from(1 << 20),
    );
}

#[test]
fn what_one_event_costs() {
    const EVENTS: u64 = 300_000;
    let limits = RuntimeLimits { backpressure_wait: DEADLINE, ..RuntimeLimits::default() };
    let runtime = Runtime::start(limits).unwrap();
    runtime.register(Scripted::idle("idle", PROCESS)).unwrap();
    let subscription = runtime.subscribe(task("one", PROCESS)).unwrap();
    let began = Instant::now();
    runtime.register(Scripted::raising("fast", EVENTS)).unwrap();
    let mut received = 0;
    while received + subscription.lost() < EVENTS {
        if let Received::Batch(batch) = subscription.receive(DEADLINE) {
            received += batch_len(&batch);
        }
    }
    let took = began.elapsed();
    assert_eq!(
        balanced(&runtime).iter().filter(|row| row.queue == "runtime").map(|row| row.lost).sum::<u64>(),
        0
    );
    println!(
        "{EVENTS} events as fast as they come: {took:.2?}, {:.0} a second, {:.2} µs each; {} lost by the reader",
        EVENTS as f64 / took.as_secs_f64(),
        took.as_secs_f64() * 1e6 / EVENTS as f64,
        subscription.lost()
    );
}
