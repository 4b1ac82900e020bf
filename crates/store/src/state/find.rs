//! What a run of a rule found becomes alerts, or counts on those that are there.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, PoisonError};

use model::{AlertId, Evidence, NamedRow, Rule};
use redb::WriteTransaction;

use super::raise::raise;
use super::record::{HeadV1, Kept, RuleV1, RunV1, TallyV1, part_of_rule};
use super::rules::RUNS_KEPT;
use super::schema::{self, get, put};
use super::windows::{self, Window};
use super::{State, StateReader, bundle, lookup};
use crate::StoreError;
use crate::file::Inner;

/// Who acts when nobody does.
pub(crate) const AGENT: &str = "agent";

/// The facts of a rule that alerts are made of.
#[derive(Clone, Debug)]
pub struct RuleRef {
    id: Arc<str>,
    version: Arc<str>,
    window_ms: i64,
    /// What stands in the record of each alert.
    part: Arc<[u8]>,
    /// The key under which what it finds is hashed, so that those of no other rule give the same.
    place_key: [u8; 32],
}

/// What stands for a dedup key of a rule: a hash over both.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place([u8; 32]);

impl Place {
    /// The hash by which its windows are looked up.
    pub(super) fn window(&self) -> u32 {
        lookup::first(&self.0)
    }

    /// The id of the alert that is raised of it at a time: the half of the hash that the window's is not of, and the
    /// time in it. The factor is odd, so that no two times give one id, and spreads them over the digits that people
    /// tell ids by.
    pub(super) fn alert_id(&self, time_ms: i64) -> AlertId {
        let half = self.0.last_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes));
        let time = time_ms.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        AlertId((half ^ u128::from(time) << 64).to_be_bytes())
    }
}

impl RuleRef {
    /// Those of a rule.
    pub fn of(rule: &Rule) -> RuleRef {
        let version = super::rules::version(rule);
        let mut place_key = blake3::Hasher::new_derive_key("daemoneye alert window 1");
        [rule.id.as_bytes(), version.as_bytes()].iter().for_each(|part| take_in(&mut place_key, part));
        RuleRef {
            place_key: *place_key.finalize().as_bytes(),
            part: part_of_rule(rule, &version).into(),
            id: rule.id.as_str().into(),
            version: version.into(),
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

    /// What stands for a dedup key of this rule.
    pub(super) fn place(&self, key: &[u8]) -> Place {
        Place(*blake3::keyed_hash(&self.place_key, key).as_bytes())
    }

    /// The alert that a match opens.
    fn alert<'a>(&'a self, found: &'a Match, place: &Place) -> Kept<'a> {
        let head = HeadV1 {
            id: place.alert_id(found.time_ms).0,
            window: place.window(),
            first_ms: found.time_ms,
            window_end_ms: found.time_ms.saturating_add(self.window_ms.max(1)),
            last_ms: found.time_ms,
            count: found.count,
        };
        Kept { head, of_rule: &self.part, row: &found.row, evidence: &found.evidence }
    }
}

/// Lengths stand before contents, so that no two lists of parts run together to the same bytes.
pub(super) fn take_in(digest: &mut blake3::Hasher, part: &[u8]) {
    digest.update(&(part.len() as u64).to_be_bytes());
    digest.update(part);
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

impl StateReader {
    /// Of these dedup keys of a rule those that no open window covers at a time: what they found will be new.
    pub fn unseen<'k>(
        &self,
        rule: &RuleRef,
        keys: impl IntoIterator<Item = &'k [u8]>,
        time_ms: i64,
    ) -> Result<HashSet<Vec<u8>>, StoreError> {
        self.reading.read(|txn| {
            windows::reading(txn, |windows| {
                let mut unseen = HashSet::new();
                for key in keys {
                    let window = windows.newest(&rule.place(key))?;
                    if !window.is_some_and(|window| window.holds(time_ms)) {
                        unseen.insert(key.to_vec());
                    }
                }
                Ok(unseen)
            })
        })
    }

    /// Whether an open window covers each of these.
    fn are_seen(&self, rule: &RuleRef, matches: &[Match]) -> Result<bool, StoreError> {
        // As in most runs.
        if matches.is_empty() {
            return Ok(true);
        }
        self.reading.read(|txn| {
            windows::reading(txn, |windows| {
                for found in matches {
                    let window = windows.newest(&rule.place(&found.key))?;
                    if !window.is_some_and(|window| window.holds(found.time_ms)) {
                        return Ok(false);
                    }
                }
                Ok(true)
            })
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
    /// transaction, which is on the disk before this comes back if there is a new alert. Gives the ids of what is new,
    /// in the order of the matches.
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
        matches: &[Match],
        sinks: &BTreeSet<String>,
    ) -> Result<Vec<AlertId>, StoreError> {
        let mut deferred = self.deferred.lock().unwrap_or_else(PoisonError::into_inner);
        if deferred.len() < DEFERRED_MAX && self.reader().are_seen(rule, matches)? {
            deferred.push(Deferred { rule: rule.clone(), run: run.clone(), matches: matches.to_vec() });
            return Ok(Vec::new());
        }
        let raised = self.file.write(|txn| {
            earlier(txn, &deferred, sinks)?;
            take(txn, rule, run, matches, sinks)
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
        take(txn, rule, run, matches, sinks)?;
    }
    Ok(())
}

/// Writes a run with what it found.
fn take(
    txn: &WriteTransaction,
    rule: &RuleRef,
    run: &RunRecord,
    matches: &[Match],
    sinks: &BTreeSet<String>,
) -> Inner<Vec<AlertId>> {
    let raised = alerts(txn, rule, matches, sinks)?;
    note(txn, rule, run, matches.iter().map(|found| found.count).sum(), raised.len() as u64)?;
    Ok(raised)
}

fn alerts(
    txn: &WriteTransaction,
    rule: &RuleRef,
    matches: &[Match],
    sinks: &BTreeSet<String>,
) -> Inner<Vec<AlertId>> {
    if matches.is_empty() {
        return Ok(Vec::new());
    }
    let places: Vec<Place> = matches.iter().map(|found| rule.place(&found.key)).collect();
    let Sought { open, repeats } = sought(txn, &places)?;
    // Counts are added up before they are written; the order of new alerts is that of the matches.
    let mut counted: BTreeMap<u64, (u64, i64)> = BTreeMap::new();
    let mut fresh: HashMap<Place, usize> = HashMap::new();
    let mut raised: Vec<Kept<'_>> = Vec::with_capacity(matches.len());
    for ((found, place), window) in matches.iter().zip(places).zip(open) {
        if let Some(alert) = fresh.get(&place).map(|new| &mut raised[*new].head) {
            let window = Window { alert: 0, first_ms: alert.first_ms, end_ms: alert.window_end_ms };
            if window.holds(found.time_ms) {
                alert.count += found.count;
                alert.last_ms = alert.last_ms.max(found.time_ms);
                continue;
            }
        } else if let Some(window) = window
            && window.holds(found.time_ms)
        {
            let (count, last) = counted.entry(window.alert).or_insert((0, found.time_ms));
            (*count, *last) = (*count + found.count, (*last).max(found.time_ms));
            continue;
        }
        if repeats {
            fresh.insert(place, raised.len());
        }
        raised.push(rule.alert(found, &place));
    }
    if !counted.is_empty() {
        let (mut tallies, alerts) = (txn.open_table(schema::TALLIES)?, txn.open_table(schema::ALERTS)?);
        for (n, (count, last)) in counted {
            // An alert that retention took away left its window, and counts no more.
            let Some(head) = bundle::head(&alerts, n)? else { continue };
            let mut tally: TallyV1 = get(&tallies, n)?.unwrap_or_else(|| head.tally());
            tally.count += count;
            tally.last_ms = tally.last_ms.max(last);
            put(&mut tallies, n, &tally)?;
        }
    }
    if !raised.is_empty() {
        raise(txn, rule.id(), &raised, sinks)?;
    }
    Ok(raised.iter().map(|alert| AlertId(alert.head.id)).collect())
}

/// What is known of the places of matches.
struct Sought {
    /// The newest window of each, if it has one.
    open: Vec<Option<Window>>,
    /// Whether one may be there more than once. What a run of a rule gives has each key once.
    repeats: bool,
}

fn sought(txn: &WriteTransaction, places: &[Place]) -> Inner<Sought> {
    // In the order of their hashes, which is that of the runs that they are looked for in.
    let mut in_order: Vec<(u32, usize)> = places.iter().map(Place::window).zip(0..).collect();
    in_order.sort_unstable();
    let repeats = !in_order.is_sorted_by(|(a, _), (b, _)| a < b);
    let mut open: Vec<Option<Window>> = places.iter().map(|_| None).collect();
    windows::writing(txn, |windows| {
        for (_, n) in in_order {
            open[n] = windows.newest(&places[n])?;
        }
        Ok(())
    })?;
    Ok(Sought { open, repeats })
}

/// Notes the run, and moves the rule's watermark.
fn note(txn: &WriteTransaction, rule: &RuleRef, run: &RunRecord, findings: u64, raised: u64) -> Inner<()> {
    let mut rules = txn.open_table(schema::RULES)?;
    let mut state: RuleV1 = get(&rules, rule.id())?.unwrap_or_default();
    state.last_run_ms = Some(run.started_ms);
    state.runs += 1;
    state.failures += u64::from(run.outcome != Outcome::Done);
    state.over_budget += u64::from(run.outcome == Outcome::OverBudget);
    state.matches += findings;
    state.alerts += raised;
    state.elapsed_us = state.elapsed_us.saturating_add(run.elapsed_us);
    state.last_error.clone_from(&run.detail);
    put(&mut rules, rule.id(), &state)?;
    let record = RunV1 {
        number: state.runs,
        version: rule.version.to_string(),
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
