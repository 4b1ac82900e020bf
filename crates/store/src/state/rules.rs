//! What rules there are, and which of them may run.

use std::time::Duration;

use model::{Rule, Severity};
use redb::ReadableTable;

use super::find::take_in;
use super::record::{CardV1, PendingV1, RuleV1};
use super::schema::{self, get, next, put};
use super::{State, StateReader};
use crate::StoreError;
use crate::file::{Fault, Inner};

/// Runs that are kept of each rule.
pub(super) const RUNS_KEPT: u64 = 32;

/// A rule's version: 16 hexadecimal digits of a hash over what makes its findings what they are.
pub(super) fn version(rule: &Rule) -> String {
    let mut digest = blake3::Hasher::new_derive_key("daemoneye rule version 1");
    take_in(&mut digest, rule.sql.as_bytes());
    take_in(&mut digest, &rule.dedup.window.as_millis().to_be_bytes());
    rule.dedup.keys.iter().for_each(|key| take_in(&mut digest, key.to_ascii_lowercase().as_bytes()));
    digest.finalize().to_hex().as_str()[..16].to_owned()
}

/// A rule as it was loaded, or the file that gave none.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleCard {
    /// The rule's id; of a file that gave no rule its path.
    pub id: String,
    /// The rule's version; empty for a file that gave none.
    pub version: String,
    /// Its title.
    pub title: String,
    /// Its description.
    pub description: String,
    /// Its severity.
    pub severity: Severity,
    /// Its tags.
    pub tags: Vec<String>,
    /// How often it runs.
    pub interval: Duration,
    /// Its statement.
    pub sql: String,
    /// Its dedup keys.
    pub keys: Vec<String>,
    /// Its dedup window.
    pub window: Duration,
    /// The file or pack it comes from.
    pub path: String,
    /// Why it was refused, with the place in the file; empty if it was not.
    pub error: String,
}

impl RuleCard {
    /// The card of a rule that was loaded from `path`.
    pub fn loaded(rule: &Rule, path: String) -> RuleCard {
        RuleCard {
            id: rule.id.clone(),
            version: version(rule),
            title: rule.title.clone(),
            description: rule.description.clone(),
            severity: rule.severity,
            tags: rule.tags.clone(),
            interval: rule.interval,
            sql: rule.sql.clone(),
            keys: rule.dedup.keys.clone(),
            window: rule.dedup.window,
            path,
            error: String::new(),
        }
    }

    /// The card of a file that gave no rule.
    pub fn refused(path: String, error: String) -> RuleCard {
        RuleCard {
            id: path.clone(),
            version: String::new(),
            title: String::new(),
            description: String::new(),
            severity: Severity::Low,
            tags: Vec::new(),
            interval: Duration::ZERO,
            sql: String::new(),
            keys: Vec::new(),
            window: Duration::ZERO,
            path,
            error,
        }
    }

    fn keep(&self) -> CardV1 {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        CardV1 {
            version: self.version.clone(),
            title: self.title.clone(),
            description: self.description.clone(),
            severity: self.severity as u8,
            tags: self.tags.clone(),
            interval_ms: ms(self.interval),
            sql: self.sql.clone(),
            keys: self.keys.clone(),
            window_ms: ms(self.window),
            path: self.path.clone(),
            error: self.error.clone(),
        }
    }

    pub(super) fn give(id: &str, card: CardV1) -> RuleCard {
        RuleCard {
            id: id.to_owned(),
            version: card.version,
            title: card.title,
            description: card.description,
            severity: Severity::ALL.get(usize::from(card.severity)).copied().unwrap_or(Severity::Critical),
            tags: card.tags,
            interval: Duration::from_millis(card.interval_ms),
            sql: card.sql,
            keys: card.keys,
            window: Duration::from_millis(card.window_ms),
            path: card.path,
            error: card.error,
        }
    }
}

/// What is kept of a rule between starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleSwitch {
    /// Whether it may run.
    pub enabled: bool,
    /// When it last ran, in ms since 1970.
    pub last_run_ms: Option<i64>,
}

impl StateReader {
    /// What is kept of a rule; a rule that is not known may run and never did.
    pub fn rule_switch(&self, id: &str) -> Result<RuleSwitch, StoreError> {
        self.reading.read(|txn| {
            let rule: RuleV1 = get(&txn.open_table(schema::RULES)?, id)?.unwrap_or_default();
            Ok(RuleSwitch { enabled: !rule.disabled, last_run_ms: rule.last_run_ms })
        })
    }
}

impl State {
    /// Keeps which rules there are. A change of what is loaded is an audit record.
    pub fn rules_loaded(&self, cards: &[RuleCard], time_ms: i64) -> Result<(), StoreError> {
        self.file.write(|txn| {
            let mut table = txn.open_table(schema::CARDS)?;
            let mut changes: Vec<String> = Vec::new();
            let mut gone: Vec<String> = Vec::new();
            for row in table.iter()? {
                let id = row?.0.value().to_owned();
                if !cards.iter().any(|card| card.id == id) {
                    gone.push(id);
                }
            }
            for id in gone {
                table.remove(id.as_str())?;
                changes.push(format!("- {id}"));
            }
            for card in cards {
                let (new, old): (_, Option<CardV1>) = (card.keep(), get(&table, card.id.as_str())?);
                if old.as_ref() == Some(&new) {
                    continue;
                }
                let sign = if old.is_some() { "~" } else { "+" };
                let what = if new.error.is_empty() { new.version.as_str() } else { "refused" };
                changes.push(format!("{sign} {} {what}", card.id));
                put(&mut table, card.id.as_str(), &new)?;
            }
            if changes.is_empty() {
                return Ok(());
            }
            let loaded = cards.iter().filter(|card| card.error.is_empty()).count();
            audit(
                txn,
                super::find::AGENT,
                "rules.loaded",
                &format!("{loaded} rules"),
                &changes.join("\n"),
                time_ms,
            )
        })
    }

    /// Lets a rule run, or not. Says whether that is a change.
    ///
    /// # Errors
    /// [`StoreError::Refused`] for a rule that is not known.
    pub fn set_rule_enabled(
        &self,
        id: &str,
        enabled: bool,
        actor: &str,
        reason: &str,
        time_ms: i64,
    ) -> Result<bool, StoreError> {
        self.file.write(|txn| {
            let card: Option<CardV1> = get(&txn.open_table(schema::CARDS)?, id)?;
            if card.is_none_or(|card| !card.error.is_empty()) {
                return Err(Fault::Refused(format!("there is no rule `{id}`: see `rules list`")));
            }
            let mut rules = txn.open_table(schema::RULES)?;
            let mut rule: RuleV1 = get(&rules, id)?.unwrap_or_default();
            if rule.disabled != enabled {
                return Ok(false);
            }
            rule.disabled = !enabled;
            put(&mut rules, id, &rule)?;
            let action = if enabled { "rule.enabled" } else { "rule.disabled" };
            audit(txn, actor, action, id, reason, time_ms)?;
            Ok(true)
        })
    }
}

/// Writes an audit record beside the change that it tells of.
pub(super) fn audit(
    txn: &redb::WriteTransaction,
    actor: &str,
    action: &str,
    subject: &str,
    payload: &str,
    time_ms: i64,
) -> Inner<()> {
    let n = next(&mut txn.open_table(schema::COUNTERS)?, "pending")?;
    let record = PendingV1 {
        time_ms,
        actor: actor.to_owned(),
        action: action.to_owned(),
        subject: subject.to_owned(),
        payload: payload.as_bytes().to_vec(),
    };
    put(&mut txn.open_table(schema::PENDING)?, n, &record)
}
