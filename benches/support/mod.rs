//! What the benches share: CPU time as a measurement, sleeper processes, a table of ratios, and a sink.
#![allow(
    dead_code,
    clippy::disallowed_methods,
    reason = "each bench uses its part, and starts its own processes"
)]

use std::hint::black_box;
use std::io;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use model::Value;
use rustix::time::{ClockId, clock_gettime};
use vtables::{OutputColumn, Sink};

/// CPU time of this process, all threads: sysinfo refreshes in two, and wall time would flatter it.
pub(crate) struct CpuTime(WallTime);

impl Default for CpuTime {
    fn default() -> Self {
        CpuTime(WallTime)
    }
}

/// CPU time used by this process so far.
pub(crate) fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        cpu_time()
    }

    fn end(&self, started: Duration) -> Duration {
        cpu_time().saturating_sub(started)
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        self.0.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        self.0.formatter()
    }
}

/// Processes that sleep until this is dropped.
pub(crate) struct Sleepers(Vec<Child>);

impl Sleepers {
    /// Starts `count` of them, and waits until each has become `sleep`.
    pub(crate) fn start(count: usize) -> Sleepers {
        let sleeper = |_| {
            let mut sleep = Command::new("sleep");
            sleep.arg("3600").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            sleep.spawn().expect("a sleeper could not be started: raise `ulimit -u`")
        };
        Sleepers((0..count).map(sleeper).collect())
    }
}

impl Drop for Sleepers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
        }
        for child in &mut self.0 {
            let _ = child.wait();
        }
    }
}

/// Runs the contenders in turn, A B C A B C …, and prints each one's median CPU time and its ratio to the
/// first. Turns make the ratio hold on a machine whose speed drifts.
pub(crate) fn compare(title: &str, rounds: usize, contenders: &mut [(&str, &mut dyn FnMut())]) {
    let mut times: Vec<Vec<f64>> = vec![Vec::with_capacity(rounds); contenders.len()];
    let mut walls: Vec<Vec<f64>> = vec![Vec::with_capacity(rounds); contenders.len()];
    for round in 0..=rounds {
        for (n, (_, run)) in contenders.iter_mut().enumerate() {
            let (cpu, wall) = (cpu_time(), Instant::now());
            run();
            // The first round warms caches and is not counted.
            if round > 0 {
                times[n].push((cpu_time() - cpu).as_secs_f64());
                walls[n].push(wall.elapsed().as_secs_f64());
            }
        }
    }
    println!("\n{title}: median CPU time of {rounds} rounds in turn, and its ratio to the first line");
    let base = times[0].clone();
    for ((name, _), (cpu, wall)) in contenders.iter().zip(times.iter().zip(&walls)) {
        let ratio = median(cpu.iter().zip(&base).map(|(a, b)| a / b));
        let (cpu, wall) = (median(cpu.iter().copied()), median(wall.iter().copied()));
        println!("  {:>9.3} ms cpu {:>9.3} ms wall  {ratio:>6.2}×  {name}", cpu * 1e3, wall * 1e3);
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Looks at every value and keeps none.
pub(crate) struct Discard;

impl Sink for Discard {
    fn columns(&mut self, _: &[OutputColumn]) -> io::Result<()> {
        Ok(())
    }

    fn row(&mut self, values: &[Value<'_>]) -> io::Result<()> {
        black_box(values);
        Ok(())
    }
}
