//! A worker: runs the rules that are due, one after the other, on an engine of its own.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use detection::evaluate;
use model::{NamedRow, Rule};
use store::{Match, Outcome, RuleRef, RunRecord};
use vtables::{Engine, ErrorKind, Limits, Options};

use crate::clock;
use crate::evidence;
use crate::keeper::Keeper;
use crate::schedule::{Next, Schedule};

/// How long a worker sleeps at most, so that it notices that it shall end.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// A rule that may run.
pub(crate) struct Turn {
    pub(crate) rule: Rule,
    /// The names of the tables that it reads, in order.
    pub(crate) reads: String,
    /// How often it runs.
    pub(crate) interval: Duration,
    /// How long ago it last did.
    pub(crate) elapsed: Option<Duration>,
}

/// What all workers share.
pub(crate) struct Desk {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    schedule: Schedule,
    rules: std::collections::HashMap<String, Arc<Rule>>,
    ends: bool,
}

impl Desk {
    pub(crate) fn new() -> Desk {
        Desk { inner: Mutex::default(), changed: Condvar::new() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has these rules from now on.
    pub(crate) fn set(&self, rules: Vec<Turn>, seed: u64) {
        let mut inner = self.lock();
        let turn = |turn: &Turn| (turn.rule.id.clone(), turn.reads.clone(), turn.interval, turn.elapsed);
        let turns = rules.iter().map(turn);
        inner.schedule.set(turns.collect::<Vec<_>>(), seed, Instant::now());
        inner.rules = rules.into_iter().map(|turn| (turn.rule.id.clone(), Arc::new(turn.rule))).collect();
        self.changed.notify_all();
    }

    /// Has the workers end after the rule that each runs now.
    pub(crate) fn end(&self) {
        self.lock().ends = true;
        self.changed.notify_all();
    }

    /// Waits for the next rule; nothing once the agent ends.
    fn next(&self) -> Option<Arc<Rule>> {
        let mut inner = self.lock();
        loop {
            if inner.ends {
                return None;
            }
            let wait = match inner.schedule.next(Instant::now()) {
                Next::Run(id) => match inner.rules.get(&id) {
                    Some(rule) => return Some(rule.clone()),
                    None => continue,
                },
                Next::Wait(wait) => wait.unwrap_or(SLEEP_MAX).min(SLEEP_MAX),
            };
            inner = self.changed.wait_timeout(inner, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn done(&self, id: &str) {
        self.lock().schedule.done(id, Instant::now());
        self.changed.notify_all();
    }
}

/// Runs rules until the agent ends.
pub(crate) fn work(desk: &Desk, keeper: &Keeper, engine: &mut Engine, timeout: Duration) {
    while let Some(rule) = desk.next() {
        run(&rule, keeper, engine, timeout);
        desk.done(&rule.id);
    }
}

fn run(rule: &Rule, keeper: &Keeper, engine: &mut Engine, timeout: Duration) {
    let (started, began) = (SystemTime::now(), Instant::now());
    // Whatever is logged meanwhile bears the rule and the run.
    let span = tracing::info_span!("run", rule = rule.id, started_ms = clock::ms(started));
    let _entered = span.enter();
    let limits = Limits { timeout: Some(timeout), ..Limits::default() };
    let options = Options { now: Some(started), limits: Some(limits), ..Options::default() };
    let evaluation = evaluate(rule, engine, &options);
    let elapsed = began.elapsed();
    let reference = RuleRef::of(rule);
    let time_ms = clock::ms(started);
    let (outcome, mut detail) = match &evaluation.failure {
        None => (Outcome::Done, String::new()),
        Some(failure) if matches!(failure.kind, ErrorKind::Limit(_)) => {
            (Outcome::OverBudget, failure.message.clone())
        }
        Some(failure) => (Outcome::Failed, failure.message.clone()),
    };
    if evaluation.left_out > 0 {
        detail = format!("{} rows past the limit of findings were left out", evaluation.left_out);
    }
    if outcome != Outcome::Done {
        tracing::warn!(rule = rule.id, outcome = outcome.name(), detail, "a rule did not end well");
    }
    let complete = evaluation.failure.is_none() && evaluation.notes.is_empty() && !evaluation.is_cut();
    let mut matches: Vec<Match> = Vec::with_capacity(evaluation.findings.len());
    for finding in evaluation.findings {
        let key = rule.dedup.key(finding.row.iter().map(|(name, value)| (&**name, value)));
        let evidence = model::Evidence::default();
        matches.push(Match { key, time_ms, count: finding.count, row: finding.row, evidence });
    }
    let keys = matches.iter().map(|found| found.key.as_slice());
    // Where the state cannot tell, evidence is gathered for each: better twice than never.
    let unseen = keeper.state.reader().unseen(&reference, keys, time_ms);
    for found in &mut matches {
        if unseen.as_ref().is_ok_and(|unseen| !unseen.contains(&found.key)) {
            continue;
        }
        found.evidence = evidence::gather(engine, &found.row);
        if !complete {
            let note: NamedRow = vec![("complete".into(), false.into())];
            found.evidence.sections.push(("sight".into(), vec![note]));
        }
    }
    let record = RunRecord {
        started_ms: time_ms,
        elapsed_us: u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
        rows: evaluation.rows,
        outcome,
        detail,
        complete,
    };
    for alert in keeper.take(reference, record, matches) {
        tracing::debug!(%alert, "an alert was raised");
    }
}
