//! Health and loss as rows, for the tables `event_sources` and `event_loss`.

use std::sync::Arc;

use model::Capabilities;

use super::Runtime;
use super::inbox::Counts;
use super::signal::locked;
use super::subscription::{Share, Shares};
use super::supervise::SourceState;
use super::task;

/// Queue names.
const SOURCE: &str = "source";
const RUNTIME: &str = "runtime";
const SUBSCRIBERS_LEFT: &str = "subscribers that left";

/// How an event source fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRow {
    /// Its name.
    pub name: Arc<str>,
    /// What it can do.
    pub capabilities: Capabilities,
    /// What it is doing.
    pub state: SourceState,
    /// Why it failed last, or what it complains of.
    pub reason: Option<String>,
    /// How often it was started again.
    pub restarts: u64,
    /// Events that it raised.
    pub raised: u64,
    /// Of those, events that were lost before any subscriber could get them.
    pub lost: u64,
    /// Time of its last event, in ns since 1970.
    pub last_ns: Option<i64>,
}

impl SourceRow {
    /// The capabilities by name: `PROCESS | SYSTEM_WIDE`.
    pub fn capability_names(&self) -> String {
        task::names(self.capabilities)
    }
}

/// What became of one source's events at one hop. `offered = delivered + lost + waiting`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LossRow {
    /// The source.
    pub source: Arc<str>,
    /// The hop: `source`, `runtime`, or a subscriber's task.
    pub queue: String,
    /// Events that came in.
    pub offered: u64,
    /// Events that were handed on.
    pub delivered: u64,
    /// Events that were shed or missed here.
    pub lost: u64,
    /// Events that are still here.
    pub waiting: u64,
}

impl Runtime {
    /// How each registered source fares, by name.
    pub fn sources(&self) -> Vec<SourceRow> {
        let sources = locked(&self.shared.sources).clone();
        let row = |source: &Arc<super::Registered>| {
            let (fate, (counts, _)) = (source.fate(), source.inbox.counts());
            let is_running = fate.state == SourceState::Running;
            let complaint = is_running.then(|| source.complaint()).flatten();
            SourceRow {
                name: source.name.clone(),
                capabilities: source.capabilities,
                state: fate.state,
                reason: complaint.or(fate.reason),
                restarts: fate.restarts,
                raised: counts.raised,
                lost: counts.lost_before + counts.shed,
                last_ns: counts.last_ns,
            }
        };
        let mut rows: Vec<SourceRow> = sources.iter().map(row).collect();
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        rows
    }

    /// What each hop lost, by source: of registered sources, of removed ones, and of subscribers.
    pub fn loss(&self) -> Vec<LossRow> {
        let mut rows = Vec::new();
        // Both locks at a time: a source that is removed meanwhile must be in one of the lists, and in one alone.
        let sources = locked(&self.shared.sources);
        for source in sources.iter() {
            let (counts, waiting) = source.inbox.counts();
            rows.extend(hops(&source.name, counts, waiting));
        }
        for (name, counts) in locked(&self.shared.accounts).iter() {
            rows.extend(hops(name, *counts, 0));
        }
        drop(sources);
        let outboxes = locked(&self.shared.outboxes);
        for outbox in outboxes.iter() {
            rows.extend(shares(&outbox.task.name, &outbox.shares()));
        }
        rows.extend(shares(SUBSCRIBERS_LEFT, &locked(&self.shared.left)));
        drop(outboxes);
        rows.sort_by(|a, b| (&a.source, &a.queue).cmp(&(&b.source, &b.queue)));
        rows
    }
}

fn hops(source: &Arc<str>, counts: Counts, waiting: u64) -> [LossRow; 2] {
    let Counts { raised, lost_before, shed, taken, .. } = counts;
    let offered = raised - lost_before;
    let row = |queue: &str, offered, delivered, lost, waiting| LossRow {
        source: source.clone(),
        queue: queue.to_owned(),
        offered,
        delivered,
        lost,
        waiting,
    };
    [row(SOURCE, raised, offered, lost_before, 0), row(RUNTIME, offered, taken, shed, waiting)]
}

fn shares<'s>(queue: &'s str, shares: &'s Shares) -> impl Iterator<Item = LossRow> + use<'s> {
    shares.iter().map(move |(source, share)| {
        let Share { offered, delivered, lost } = *share;
        let waiting = offered - delivered - lost;
        LossRow { source: source.clone(), queue: queue.to_owned(), offered, delivered, lost, waiting }
    })
}
