//! Reading the state, a page at a time.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::path::Path;

use model::{Alert, AlertId, AlertState};
use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, TableHandle};

use super::find::AGENT;
use super::lookup::{Hash, Lookup};
use super::record::{CardV1, HeadV1, HistoryV1, RuleV1, RunV1};
use super::rules::{RUNS_KEPT, RuleCard};
use super::schema::{self, get};
use super::spans::{self, List};
use super::{STATE_FILE, bundle, migrate};
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

/// Which alerts to read: those that agree in every list that is not empty and are of these times. More may come than
/// asked for.
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
    /// When they were raised at the earliest, in ms since 1970.
    pub from_ms: Option<i64>,
    /// And at the latest.
    pub to_ms: Option<i64>,
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

/// The number of an alert, and what its record begins with.
pub(super) fn numbered(
    lookup: &Lookup<'_>,
    alerts: &impl ReadableTable<u64, &'static [u8]>,
    id: AlertId,
) -> Inner<Option<(u64, HeadV1)>> {
    lookup.newest(Hash::of_id(&id.0), |n| {
        Ok(bundle::head(alerts, n)?.filter(|head| head.id == id.0).map(|head| (n, head)))
    })
}

/// The tables that an alert is put together from.
pub(super) struct Alerts {
    pub(super) alerts: ReadOnlyTable<u64, &'static [u8]>,
    tallies: ReadOnlyTable<u64, &'static [u8]>,
}

impl Alerts {
    pub(super) fn over(txn: &ReadTransaction) -> Inner<Alerts> {
        Ok(Alerts { alerts: txn.open_table(schema::ALERTS)?, tallies: txn.open_table(schema::TALLIES)? })
    }

    /// The alert of a number.
    pub(super) fn get(&self, n: u64) -> Inner<Option<Alert>> {
        let Some(alert) = bundle::alert(&self.alerts, n)? else { return Ok(None) };
        Ok(Some(alert.alert(get(&self.tallies, n)?)))
    }

    /// The id of the alert of a number.
    pub(super) fn id(&self, n: u64) -> Inner<Option<AlertId>> {
        Ok(bundle::head(&self.alerts, n)?.map(|head| AlertId(head.id)))
    }

    fn of_id(&self, txn: &ReadTransaction, id: AlertId) -> Inner<Option<Alert>> {
        let lookup = txn.open_table(schema::LOOKUP)?;
        match numbered(&Lookup::over(&lookup)?, &self.alerts, id)? {
            Some((n, _)) => self.get(n),
            None => Ok(None),
        }
    }
}

/// Alerts that an index finds.
#[derive(Clone)]
enum Lane {
    Id(AlertId),
    StartKey(Vec<u8>),
    Rule(String),
    State(AlertState),
    All,
}

impl Lane {
    /// The numbers of alerts of this lane from one on, among them all of these times.
    fn page(&self, txn: &ReadTransaction, n: u64, times_ms: &RangeInclusive<i64>) -> Inner<Vec<u64>> {
        let list = match self {
            Lane::Id(id) => {
                let (alerts, lookup) = (txn.open_table(schema::ALERTS)?, txn.open_table(schema::LOOKUP)?);
                let alert = numbered(&Lookup::over(&lookup)?, &alerts, *id)?;
                return Ok(alert.map(|(found, _)| found).filter(|found| *found >= n).into_iter().collect());
            }
            Lane::StartKey(key) => {
                let lookup = txn.open_table(schema::LOOKUP)?;
                return Ok(Lookup::over(&lookup)?.from(Hash::of_start_key(key), n, PAGE_ALERTS));
            }
            Lane::Rule(rule) => List::Rule(rule),
            Lane::State(state) => List::State(*state),
            Lane::All => List::All,
        };
        let (spans, mut found) = (txn.open_table(schema::SPANS)?, Vec::new());
        for span in spans::from(&spans, list, n)? {
            let span = span?;
            if span.reaches_into(times_ms) {
                found.extend(span.numbers().take(PAGE_ALERTS - found.len()));
            }
            if found.len() == PAGE_ALERTS {
                break;
            }
        }
        Ok(found)
    }

    /// Whether an alert that the range led to is one of it: a hash leads to others too.
    fn has(&self, alert: &Alert) -> bool {
        match self {
            Lane::StartKey(key) => {
                model::start_key(&alert.row).and_then(|key| key.as_text()) == Some(key.as_slice())
            }
            _ => true,
        }
    }
}

/// Alerts, read a page at a time.
struct Pages {
    reader: StateReader,
    lanes: Vec<Lane>,
    times_ms: RangeInclusive<i64>,
    from: u64,
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
                let (numbers, alerts) = (lane.page(txn, self.from, &self.times_ms)?, Alerts::over(txn)?);
                let mut page = VecDeque::new();
                for n in &numbers {
                    page.extend(alerts.get(*n)?.filter(|alert| lane.has(alert)));
                }
                Ok((numbers.last().copied(), page))
            });
            match read {
                Err(error) => {
                    self.lanes.clear();
                    return Some(Err(error));
                }
                Ok((None, _)) => {
                    self.lanes.pop();
                    self.from = 0;
                }
                // Numbers end long before their type does.
                Ok((Some(n), page)) => (self.from, self.page) = (n + 1, page),
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
        self.reading.read(|txn| Alerts::over(txn)?.of_id(txn, id))
    }

    /// Alerts, in the order in which they were raised.
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
            vec![Lane::All]
        };
        lanes.reverse();
        let times_ms = filter.from_ms.unwrap_or(i64::MIN)..=filter.to_ms.unwrap_or(i64::MAX);
        Pages { reader: self.clone(), lanes, times_ms, from: 0, page: VecDeque::new() }
    }

    /// What was done about one alert, or about all.
    pub fn alert_history(&self, id: Option<AlertId>) -> Result<Vec<HistoryEntry>, StoreError> {
        self.reading.read(|txn| {
            let (alerts, table) = (txn.open_table(schema::ALERTS)?, txn.open_table(schema::HISTORY)?);
            let lookup = txn.open_table(schema::LOOKUP)?;
            let mut entries = Vec::new();
            let mut tell = |n: u64, head: HeadV1| -> Inner<()> {
                let alert = AlertId(head.id);
                entries.push(HistoryEntry {
                    alert,
                    number: 1,
                    time_ms: head.first_ms,
                    action: "raised".into(),
                    actor: AGENT.into(),
                    reason: String::new(),
                });
                for row in table.range((n, 0)..=(n, u64::MAX))? {
                    let (key, bytes) = row?;
                    let entry: HistoryV1 = codec::decode(bytes.value())?;
                    entries.push(HistoryEntry {
                        alert,
                        number: key.value().1,
                        time_ms: entry.time_ms,
                        action: entry.action,
                        actor: entry.actor,
                        reason: entry.reason,
                    });
                }
                Ok(())
            };
            match id {
                Some(id) => {
                    if let Some((n, head)) = numbered(&Lookup::over(&lookup)?, &alerts, id)? {
                        tell(n, head)?;
                    }
                }
                None => bundle::each(&alerts, |n, record| tell(n, codec::decode_head(record)?))?,
            }
            entries.sort_by_key(|entry| (entry.alert, entry.number));
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
        self.reading.read(|txn| {
            let mut stats = crate::stats::tables(txn, &file)?;
            // Of alerts there are many in a record.
            let alerts = spans::count(&txn.open_table(schema::SPANS)?, List::All)?;
            stats
                .iter_mut()
                .filter(|table| table.table == schema::ALERTS.name())
                .for_each(|t| t.records = alerts);
            Ok(stats)
        })
    }
}
