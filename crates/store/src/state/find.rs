//! What a run of a rule found becomes alerts, or counts on those that are there.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::PoisonError;

use model::{Alert, AlertId, AlertState, Evidence, NamedRow, Rule, Severity};
use redb::WriteTransaction;

use super::record::{AlertV1, HistoryV1, OutboxV1, PendingV1, RuleV1, RunV1, TallyV1, WindowV1};
use super::rules::RUNS_KEPT;
use super::schema::{self, get, next, put};
use super::{State, StateReader};
use crate::StoreError;
use crate::codec;
use crate::file::Inner;

/// Who acts when nobody does.
pub(crate) const AGENT: &str = "agent";

/// The facts of a rule that alerts are made of.
#[derive(Clone, Debug)]
pub struct RuleRef {
    id: String,
    version: String,
    sql: String,
    title: String,
    severity: Severity,
    tags: Vec<String>,
    window_ms: i64,
}

impl RuleRef {
    /// Those of a rule.
    pub fn of(rule: &Rule) -> RuleRef {
        RuleRef {
            id: rule.id.clone(),
            version: super::rules::version(rule),
            sql: rule.sql.clone(),
            title: rule.title.clone(),
            severity: rule.severity,
            tags: rule.tags.clone(),
            window_ms: i64::try_from(rule.dedup.window.as_millis()).unwrap_or(i64::MAX),
        }
    }

    /// The rule's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A hash over what makes a finding of this rule what it is: its SQL and dedup.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Where the newest alert of a dedup key is noted.
    fn place(&self, key: &[u8]) -> [u8; 32] {
        digest("daemoneye alert window 1", &[self.id.as_bytes(), self.version.as_bytes(), key])
    }

    fn alert_id(&self, key: &[u8], opens_ms: i64) -> AlertId {
        let parts = [self.id.as_bytes(), self.version.as_bytes(), key, &opens_ms.to_be_bytes()];
        let digest = digest("daemoneye alert id 1", &parts);
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        AlertId(id)
    }
}

/// Lengths stand before contents, so that no two lists of parts run together to the same bytes.
fn digest(context: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    for part in parts {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

/// Findings of one run with one dedup key.
#[derive(Clone, Debug)]
pub struct Match {
    /// The dedup key ([`model::Dedup::key`]).
    pub key: Vec<u8>,
    /// The statement's clock, in ms since 1970.
    pub time_ms: i64,
    /// How many there were.
    pub count: u64,
    /// The first of them.
    pub row: NamedRow,
    /// What else is known; only looked at where a new alert is made of it.
    pub evidence: Evidence,
}

/// How a run of a rule ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It gave all its rows.
    Done,
    /// It failed.
    Failed,
    /// It was ended at one of its limits.
    OverBudget,
}

impl Outcome {
    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Failed => "failed",
            Outcome::OverBudget => "over budget",
        }
    }
}

/// One run of a rule.
#[derive(Clone, Debug)]
pub struct RunRecord {
    /// When it started, in ms since 1970.
    pub started_ms: i64,
    /// How long it took, in µs.
    pub elapsed_us: u64,
    /// Rows that it gave.
    pub rows: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it did not end well; empty if it did.
    pub detail: String,
    /// Whether everything that it asked for could be read.
    pub complete: bool,
}

/// An alert that is new.
#[derive(Clone, Debug)]
pub struct Raised {
    /// The alert.
    pub alert: Alert,
}

struct Windows<'t> {
    windows: redb::Table<'t, &'static [u8; 32], &'static [u8]>,
    ends: redb::Table<'t, (i64, &'static [u8; 32]), ()>,
}

/// A window that holds a time, also one that a clock set back a little has gone behind.
fn holds(window: &WindowV1, time_ms: i64) -> bool {
    let length = window.end_ms.saturating_sub(window.first_ms);
    time_ms < window.end_ms && time_ms > window.first_ms.saturating_sub(length)
}

impl StateReader {
    /// Of these dedup keys of a rule those that no open window covers at a time: what they found will be new.
    pub fn unseen<'k>(
        &self,
        rule: &RuleRef,
        keys: impl IntoIterator<Item = &'k [u8]>,
        time_ms: i64,
    ) -> Result<HashSet<Vec<u8>>, StoreError> {
        self.reading.read(|txn| {
            let windows = txn.open_table(schema::WINDOWS)?;
            let mut unseen = HashSet::new();
            for key in keys {
                let window: Option<WindowV1> = get(&windows, &rule.place(key))?;
                if !window.is_some_and(|window| holds(&window, time_ms)) {
                    unseen.insert(key.to_vec());
                }
            }
            Ok(unseen)
        })
    }
}

/// Runs that wait in memory to be written with the next change that has to be.
pub(super) struct Deferred {
    rule: RuleRef,
    run: RunRecord,
    matches: Vec<Match>,
}

/// Runs that may wait. Past it they are written.
const DEFERRED_MAX: usize = 1000;

impl State {
    /// Takes in one run of a rule: what is new becomes an alert, with an entry in the outbox of each sink and an
    /// audit record that waits for the ledger; the rest counts on the alerts that are there. All of it is one
    /// transaction, which is on the disk before this comes back if there is a new alert.
    ///
    /// A run without a new alert waits in memory for the next change or [`State::flush`]: a crash forgets at most
    /// that it ran and how often its alerts were seen since.
    ///
    /// # Errors
    /// Nothing of this run is kept then; what waited still does.
    pub fn record(
        &self,
        rule: &RuleRef,
        run: &RunRecord,
        matches: Vec<Match>,
        sinks: &BTreeSet<String>,
    ) -> Result<Vec<Raised>, StoreError> {
        let mut deferred = self.deferred.lock().unwrap_or_else(PoisonError::into_inner);
        let is_seen = |found: &Match| {
            let key = std::iter::once(found.key.as_slice());
            self.reader().unseen(rule, key, found.time_ms).map(|unseen| unseen.is_empty())
        };
        let mut all_seen = deferred.len() < DEFERRED_MAX;
        for found in &matches {
            all_seen = all_seen && is_seen(found)?;
        }
        if all_seen {
            deferred.push(Deferred { rule: rule.clone(), run: run.clone(), matches });
            return Ok(Vec::new());
        }
        let raised = self.file.write(|txn| {
            earlier(txn, &deferred, sinks)?;
            let raised = alerts(txn, rule, &matches, sinks)?;
            note(txn, rule, run, &matches, raised.len() as u64)?;
            Ok(raised)
        })?;
        deferred.clear();
        Ok(raised)
    }

    /// Has everything that was taken in so far on the disk.
    pub fn flush(&self) -> Result<(), StoreError> {
        let mut deferred = self.deferred.lock().unwrap_or_else(PoisonError::into_inner);
        if deferred.is_empty() {
            return Ok(());
        }
        self.file.write(|txn| earlier(txn, &deferred, &BTreeSet::new()))?;
        deferred.clear();
        Ok(())
    }
}

/// Writes the runs that waited.
fn earlier(txn: &WriteTransaction, deferred: &[Deferred], sinks: &BTreeSet<String>) -> Inner<()> {
    for Deferred { rule, run, matches } in deferred {
        // What was seen when it was put off is seen now, but for a window that retention took away meanwhile.
        let raised = alerts(txn, rule, matches, sinks)?;
        note(txn, rule, run, matches, raised.len() as u64)?;
    }
    Ok(())
}

fn alerts(
    txn: &WriteTransaction,
    rule: &RuleRef,
    matches: &[Match],
    sinks: &BTreeSet<String>,
) -> Inner<Vec<Raised>> {
    let mut raised: Vec<Raised> = Vec::new();
    if matches.is_empty() {
        return Ok(raised);
    }
    let mut open =
        Windows { windows: txn.open_table(schema::WINDOWS)?, ends: txn.open_table(schema::WINDOW_ENDS)? };
    // Counts are added up before they are written; the order of new alerts is that of the matches.
    let mut counted: HashMap<[u8; 16], (u64, i64)> = HashMap::new();
    let mut fresh: HashMap<[u8; 16], usize> = HashMap::new();
    for found in matches {
        let place = rule.place(&found.key);
        let window: Option<WindowV1> = get(&open.windows, &place)?;
        if let Some(window) = window.as_ref().filter(|window| holds(window, found.time_ms)) {
            if let Some(new) = fresh.get(&window.id) {
                let alert = &mut raised[*new].alert;
                alert.count += found.count;
                alert.last_ms = alert.last_ms.max(found.time_ms);
            } else {
                let (count, last) = counted.entry(window.id).or_insert((0, found.time_ms));
                (*count, *last) = (*count + found.count, (*last).max(found.time_ms));
            }
            continue;
        }
        let alert = open.alert(rule, found, place, window.as_ref())?;
        fresh.insert(alert.id.0, raised.len());
        raised.push(Raised { alert });
    }
    drop(open);
    let mut tallies = txn.open_table(schema::TALLIES)?;
    for (id, (count, last)) in counted {
        let tally: Option<TallyV1> = get(&tallies, &id)?;
        // An alert that retention took away meanwhile has no tally; its window goes with it.
        if let Some(mut tally) = tally {
            tally.count += count;
            tally.last_ms = tally.last_ms.max(last);
            put(&mut tallies, &id, &tally)?;
        }
    }
    if raised.is_empty() {
        return Ok(raised);
    }
    let mut writer = Writer::over(txn)?;
    for Raised { alert } in &raised {
        put(&mut tallies, &alert.id.0, &TallyV1::new(alert.state, alert.count, alert.last_ms))?;
        writer.write(alert, sinks)?;
    }
    Ok(raised)
}

impl Windows<'_> {
    /// The alert that a match opens, with its window.
    fn alert(
        &mut self,
        rule: &RuleRef,
        found: &Match,
        place: [u8; 32],
        before: Option<&WindowV1>,
    ) -> Inner<Alert> {
        if let Some(before) = before {
            self.ends.remove((before.end_ms, &place))?;
        }
        let id = rule.alert_id(&found.key, found.time_ms);
        let end_ms = found.time_ms.saturating_add(rule.window_ms.max(1));
        put(&mut self.windows, &place, &WindowV1 { id: id.0, first_ms: found.time_ms, end_ms })?;
        self.ends.insert((end_ms, &place), ())?;
        Ok(Alert {
            id,
            rule: rule.id.clone(),
            rule_version: rule.version.clone(),
            sql: rule.sql.clone(),
            title: rule.title.clone(),
            severity: rule.severity,
            tags: rule.tags.clone(),
            state: AlertState::New,
            first_ms: found.time_ms,
            last_ms: found.time_ms,
            window_end_ms: end_ms,
            count: found.count,
            row: found.row.clone(),
            evidence: found.evidence.clone(),
        })
    }
}

/// The tables that a new alert goes into, opened once for all alerts of a transaction.
struct Writer<'t> {
    alerts: redb::Table<'t, &'static [u8; 16], &'static [u8]>,
    by_time: redb::Table<'t, (i64, &'static [u8; 16]), ()>,
    by_rule: redb::Table<'t, (&'static str, i64, &'static [u8; 16]), ()>,
    by_state: redb::Table<'t, (u8, i64, &'static [u8; 16]), ()>,
    by_start_key: redb::Table<'t, (&'static [u8], &'static [u8; 16]), ()>,
    history: redb::Table<'t, (&'static [u8; 16], u64), &'static [u8]>,
    outbox: redb::Table<'t, (&'static str, u64), &'static [u8]>,
    counters: redb::Table<'t, &'static str, u64>,
    pending: redb::Table<'t, u64, &'static [u8]>,
}

impl<'t> Writer<'t> {
    fn over(txn: &'t WriteTransaction) -> Inner<Writer<'t>> {
        Ok(Writer {
            alerts: txn.open_table(schema::ALERTS)?,
            by_time: txn.open_table(schema::BY_TIME)?,
            by_rule: txn.open_table(schema::BY_RULE)?,
            by_state: txn.open_table(schema::BY_STATE)?,
            by_start_key: txn.open_table(schema::BY_START_KEY)?,
            history: txn.open_table(schema::HISTORY)?,
            outbox: txn.open_table(schema::OUTBOX)?,
            counters: txn.open_table(schema::COUNTERS)?,
            pending: txn.open_table(schema::PENDING)?,
        })
    }

    fn write(&mut self, alert: &Alert, sinks: &BTreeSet<String>) -> Inner<()> {
        let (id, time) = (&alert.id.0, alert.first_ms);
        let record = codec::encode(&AlertV1::of(alert));
        self.alerts.insert(id, record.as_slice())?;
        self.by_time.insert((time, id), ())?;
        self.by_rule.insert((alert.rule.as_str(), time, id), ())?;
        self.by_state.insert((alert.state as u8, time, id), ())?;
        if let Some(key) = alert.start_key().and_then(|key| key.as_text()) {
            self.by_start_key.insert((key, id), ())?;
        }
        let raised =
            HistoryV1 { time_ms: time, action: "raised".into(), actor: AGENT.into(), reason: String::new() };
        put(&mut self.history, (id, 1), &raised)?;
        let seq = next(&mut self.counters, "outbox")?;
        for sink in sinks {
            let entry = OutboxV1 { alert: *id, attempts: 0, due_ms: time, error: String::new() };
            put(&mut self.outbox, (sink.as_str(), seq), &entry)?;
        }
        let mut payload = String::from("{\"rule\":");
        model::json::push_string(&alert.rule, &mut payload);
        payload.push_str(",\"version\":");
        model::json::push_string(&alert.rule_version, &mut payload);
        payload.push_str(",\"severity\":");
        model::json::push_string(alert.severity.name(), &mut payload);
        payload.push_str(",\"title\":");
        model::json::push_string(&alert.title, &mut payload);
        payload.push_str(&format!(",\"record_blake3\":\"{}\"}}", blake3::hash(&record).to_hex()));
        let entry = PendingV1 {
            time_ms: time,
            actor: AGENT.into(),
            action: "alert.raised".into(),
            subject: alert.id.to_string(),
            payload: payload.into_bytes(),
        };
        put(&mut self.pending, next(&mut self.counters, "pending")?, &entry)
    }
}

/// Notes the run, and moves the rule's watermark.
fn note(
    txn: &WriteTransaction,
    rule: &RuleRef,
    run: &RunRecord,
    matches: &[Match],
    raised: u64,
) -> Inner<()> {
    let mut rules = txn.open_table(schema::RULES)?;
    let mut state: RuleV1 = get(&rules, rule.id())?.unwrap_or_default();
    state.last_run_ms = Some(run.started_ms);
    state.runs += 1;
    state.failures += u64::from(run.outcome != Outcome::Done);
    state.over_budget += u64::from(run.outcome == Outcome::OverBudget);
    state.matches += matches.iter().map(|m| m.count).sum::<u64>();
    state.alerts += raised;
    state.elapsed_us = state.elapsed_us.saturating_add(run.elapsed_us);
    state.last_error.clone_from(&run.detail);
    put(&mut rules, rule.id(), &state)?;
    let record = RunV1 {
        number: state.runs,
        version: rule.version.clone(),
        started_ms: run.started_ms,
        elapsed_us: run.elapsed_us,
        rows: run.rows,
        raised,
        outcome: run.outcome.name().into(),
        detail: run.detail.clone(),
        complete: run.complete,
    };
    put(&mut txn.open_table(schema::RUNS)?, (rule.id(), state.runs % RUNS_KEPT), &record)
}
