//! Reading the state, a page at a time.

use std::collections::VecDeque;
use std::path::Path;

use model::{Alert, AlertId, AlertState};
use redb::{ReadOnlyTable, ReadTransaction, ReadableTable};

use super::record::{AlertV1, CardV1, HistoryV1, RuleV1, RunV1, TallyV1};
use super::rules::{RUNS_KEPT, RuleCard};
use super::schema::{self, get};
use super::{STATE_FILE, migrate};
use crate::codec;
use crate::file::{Fault, Inner, Reading};
use crate::{StoreError, TableStats};

/// Alerts that are read in one transaction.
const PAGE_ALERTS: usize = 256;

/// The state, as it can be read while the agent writes it. Clones are handles on the same.
#[derive(Clone)]
pub struct StateReader {
    pub(super) reading: Reading,
}

/// Which alerts to read: those that agree in every list that is not empty. More may come than asked for.
#[derive(Clone, Debug, Default)]
pub struct AlertFilter {
    /// Their ids.
    pub ids: Vec<AlertId>,
    /// Their states.
    pub states: Vec<AlertState>,
    /// Their rules.
    pub rules: Vec<String>,
    /// The processes that they name.
    pub start_keys: Vec<Vec<u8>>,
}

/// What was done about an alert.
#[derive(Clone, Debug)]
pub struct HistoryEntry {
    /// The alert.
    pub alert: AlertId,
    /// Its number among what was done about this alert, from 1.
    pub number: u64,
    /// When, in ms since 1970.
    pub time_ms: i64,
    /// What: `raised`, or the state that it was brought to.
    pub action: String,
    /// By whom.
    pub actor: String,
    /// Why, in the actor's words.
    pub reason: String,
}

/// A rule, and what it has done.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What it is.
    pub card: RuleCard,
    /// Whether it may run.
    pub enabled: bool,
    /// When it last ran, in ms since 1970.
    pub last_run_ms: Option<i64>,
    /// How often it ran.
    pub runs: u64,
    /// How many runs did not end well.
    pub failures: u64,
    /// How many of them were ended at a limit.
    pub over_budget: u64,
    /// Findings.
    pub matches: u64,
    /// Alerts that it raised.
    pub alerts: u64,
    /// What all runs took, in µs.
    pub elapsed_us: u64,
    /// Why the last run did not end well; empty if it did.
    pub last_error: String,
}

/// One run of a rule.
#[derive(Clone, Debug)]
pub struct RuleRun {
    /// The rule's id.
    pub rule: String,
    /// The rule's version then.
    pub version: String,
    /// Its number among the rule's runs, from 1.
    pub number: u64,
    /// When it started, in ms since 1970.
    pub started_ms: i64,
    /// How long it took, in µs.
    pub elapsed_us: u64,
    /// Rows that it gave.
    pub rows: u64,
    /// Alerts that it raised.
    pub raised: u64,
    /// How it ended.
    pub outcome: String,
    /// Why it did not end well.
    pub detail: String,
    /// Whether everything that it asked for could be read.
    pub complete: bool,
}

/// The tables that an alert is put together from.
pub(super) struct Alerts {
    alerts: ReadOnlyTable<&'static [u8; 16], &'static [u8]>,
    tallies: ReadOnlyTable<&'static [u8; 16], &'static [u8]>,
}

impl Alerts {
    pub(super) fn over(txn: &ReadTransaction) -> Inner<Alerts> {
        Ok(Alerts { alerts: txn.open_table(schema::ALERTS)?, tallies: txn.open_table(schema::TALLIES)? })
    }

    pub(super) fn get(&self, id: AlertId) -> Inner<Option<Alert>> {
        let alert: Option<AlertV1> = get(&self.alerts, &id.0)?;
        let tally: Option<TallyV1> = get(&self.tallies, &id.0)?;
        Ok(alert.zip(tally).map(|(alert, tally)| alert.alert(id, &tally)))
    }
}

/// One range of an index.
#[derive(Clone)]
enum Lane {
    Id(AlertId),
    StartKey(Vec<u8>),
    Rule(String),
    State(AlertState),
    Time,
}

/// Where a page of a range ended.
type Place = (i64, [u8; 16]);

impl Lane {
    /// The alerts of this range after a place.
    fn page(&self, txn: &ReadTransaction, after: Option<Place>) -> Inner<Vec<Place>> {
        let (time, id) = after.map_or((i64::MIN, [0; 16]), |(time, id)| (time, id));
        let is_new = |place: &Place| after.is_none_or(|after| *place > after);
        let mut found = Vec::new();
        match self {
            Lane::Id(id) => found.extend(after.is_none().then_some((0, id.0))),
            Lane::StartKey(key) => {
                let table = txn.open_table(schema::BY_START_KEY)?;
                for row in table.range((key.as_slice(), &id)..=(key.as_slice(), &[0xff; 16]))? {
                    let place = (0, *row?.0.value().1);
                    found.extend(is_new(&place).then_some(place));
                    if found.len() == PAGE_ALERTS {
                        break;
                    }
                }
            }
            Lane::Rule(rule) => {
                let table = txn.open_table(schema::BY_RULE)?;
                for row in table.range((rule.as_str(), time, &id)..=(rule.as_str(), i64::MAX, &[0xff; 16]))? {
                    let key = row?.0;
                    let place = (key.value().1, *key.value().2);
                    found.extend(is_new(&place).then_some(place));
                    if found.len() == PAGE_ALERTS {
                        break;
                    }
                }
            }
            Lane::State(state) => {
                let (table, state) = (txn.open_table(schema::BY_STATE)?, *state as u8);
                for row in table.range((state, time, &id)..=(state, i64::MAX, &[0xff; 16]))? {
                    let key = row?.0;
                    let place = (key.value().1, *key.value().2);
                    found.extend(is_new(&place).then_some(place));
                    if found.len() == PAGE_ALERTS {
                        break;
                    }
                }
            }
            Lane::Time => {
                let table = txn.open_table(schema::BY_TIME)?;
                for row in table.range((time, &id)..)? {
                    let key = row?.0;
                    let place = (key.value().0, *key.value().1);
                    found.extend(is_new(&place).then_some(place));
                    if found.len() == PAGE_ALERTS {
                        break;
                    }
                }
            }
        }
        Ok(found)
    }
}

/// Alerts, read a page at a time.
struct Pages {
    reader: StateReader,
    lanes: Vec<Lane>,
    after: Option<Place>,
    page: VecDeque<Alert>,
}

impl Iterator for Pages {
    type Item = Result<Alert, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(alert) = self.page.pop_front() {
                return Some(Ok(alert));
            }
            let lane = self.lanes.last()?.clone();
            let read = self.reader.reading.read(|txn| {
                let (places, alerts) = (lane.page(txn, self.after)?, Alerts::over(txn)?);
                let page: Inner<VecDeque<Alert>> =
                    places.iter().filter_map(|(_, id)| alerts.get(AlertId(*id)).transpose()).collect();
                Ok((places.last().copied(), page?))
            });
            match read {
                Err(error) => {
                    self.lanes.clear();
                    return Some(Err(error));
                }
                Ok((None, _)) => {
                    self.lanes.pop();
                    self.after = None;
                }
                Ok((last, page)) => (self.after, self.page) = (last, page),
            }
        }
    }
}

impl StateReader {
    pub(super) fn over(reading: Reading) -> StateReader {
        StateReader { reading }
    }

    /// The state in a directory, read beside an agent or without one.
    ///
    /// # Errors
    /// [`StoreError::NeedsRepair`] when the agent was killed: only an agent may repair the file.
    pub fn open(directory: &Path) -> Result<StateReader, StoreError> {
        let reading = Reading::open(&directory.join(STATE_FILE))?;
        let known = migrate::form(&migrate::steps());
        reading.read(|txn| {
            let form = txn.open_table(schema::META)?.get("form")?.map(|bytes| bytes.value().to_vec());
            let form = form.and_then(|bytes| Some(u32::from_le_bytes(bytes.try_into().ok()?)));
            match form {
                None => Err(Fault::Record(codec::Undecodable::NoRecord)),
                Some(found) if found > known => Err(Fault::Newer { found, known }),
                Some(found) if found < known => Err(Fault::Refused(
                    "the state was written by an earlier version: start the agent, which brings it forward"
                        .into(),
                )),
                Some(_) => Ok(()),
            }
        })?;
        Ok(StateReader { reading })
    }

    /// One alert.
    pub fn alert(&self, id: AlertId) -> Result<Option<Alert>, StoreError> {
        self.reading.read(|txn| Alerts::over(txn)?.get(id))
    }

    /// Alerts, by when they were raised.
    pub fn alerts(
        &self,
        filter: &AlertFilter,
    ) -> impl Iterator<Item = Result<Alert, StoreError>> + Send + use<> {
        let mut lanes: Vec<Lane> = if !filter.ids.is_empty() {
            filter.ids.iter().copied().map(Lane::Id).collect()
        } else if !filter.start_keys.is_empty() {
            filter.start_keys.iter().cloned().map(Lane::StartKey).collect()
        } else if !filter.rules.is_empty() {
            filter.rules.iter().cloned().map(Lane::Rule).collect()
        } else if !filter.states.is_empty() {
            filter.states.iter().copied().map(Lane::State).collect()
        } else {
            vec![Lane::Time]
        };
        lanes.reverse();
        Pages { reader: self.clone(), lanes, after: None, page: VecDeque::new() }
    }

    /// What was done about one alert, or about all.
    pub fn alert_history(&self, id: Option<AlertId>) -> Result<Vec<HistoryEntry>, StoreError> {
        self.reading.read(|txn| {
            let table = txn.open_table(schema::HISTORY)?;
            let (first, last) = id.map_or(([0; 16], [0xff; 16]), |id| (id.0, id.0));
            let mut entries = Vec::new();
            for row in table.range((&first, 0)..=(&last, u64::MAX))? {
                let (key, bytes) = row?;
                let entry: HistoryV1 = codec::decode(bytes.value())?;
                entries.push(HistoryEntry {
                    alert: AlertId(*key.value().0),
                    number: key.value().1,
                    time_ms: entry.time_ms,
                    action: entry.action,
                    actor: entry.actor,
                    reason: entry.reason,
                });
            }
            Ok(entries)
        })
    }

    /// Every rule that was loaded or refused, by id.
    pub fn rules(&self) -> Result<Vec<Rule>, StoreError> {
        self.reading.read(|txn| {
            let (cards, rules) = (txn.open_table(schema::CARDS)?, txn.open_table(schema::RULES)?);
            let mut all = Vec::new();
            for row in cards.iter()? {
                let (id, bytes) = row?;
                let card: CardV1 = codec::decode(bytes.value())?;
                let rule: RuleV1 = get(&rules, id.value())?.unwrap_or_default();
                all.push(Rule {
                    card: RuleCard::give(id.value(), card),
                    enabled: !rule.disabled,
                    last_run_ms: rule.last_run_ms,
                    runs: rule.runs,
                    failures: rule.failures,
                    over_budget: rule.over_budget,
                    matches: rule.matches,
                    alerts: rule.alerts,
                    elapsed_us: rule.elapsed_us,
                    last_error: rule.last_error,
                });
            }
            Ok(all)
        })
    }

    /// The last runs of these rules, or of all; a rule's newest first.
    pub fn rule_runs(&self, rules: &[&str]) -> Result<Vec<RuleRun>, StoreError> {
        self.reading.read(|txn| {
            let table = txn.open_table(schema::RUNS)?;
            let mut runs = Vec::new();
            let mut take = |rule: &str, bytes: &[u8]| -> Inner<()> {
                let run: RunV1 = codec::decode(bytes)?;
                runs.push(RuleRun {
                    rule: rule.to_owned(),
                    version: run.version,
                    number: run.number,
                    started_ms: run.started_ms,
                    elapsed_us: run.elapsed_us,
                    rows: run.rows,
                    raised: run.raised,
                    outcome: run.outcome,
                    detail: run.detail,
                    complete: run.complete,
                });
                Ok(())
            };
            if rules.is_empty() {
                for row in table.iter()? {
                    let (key, bytes) = row?;
                    take(key.value().0, bytes.value())?;
                }
            }
            for rule in rules {
                for row in table.range((*rule, 0)..(*rule, RUNS_KEPT))? {
                    take(rule, row?.1.value())?;
                }
            }
            runs.sort_by(|a, b| (&a.rule, b.number).cmp(&(&b.rule, a.number)));
            Ok(runs)
        })
    }

    /// What each table of the file holds.
    pub fn stats(&self) -> Result<Vec<TableStats>, StoreError> {
        let file = self.reading.path().file_name().map(|name| name.to_string_lossy().into_owned());
        let file = file.unwrap_or_default();
        self.reading.read(|txn| crate::stats::tables(txn, &file))
    }
}
