//! The records of the state file, in their released forms.

use bincode::{Decode, Encode};
use model::{Alert, AlertId, AlertState, Evidence, NamedRow, Severity, Value};

use crate::codec::Record;

#[derive(Clone, Encode, Decode)]
pub(super) enum ValueV1 {
    Null,
    Int(i64),
    Real(f64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

type RowV1 = Vec<(String, ValueV1)>;

#[derive(Encode, Decode)]
pub(super) struct AlertV1 {
    pub(super) rule: String,
    pub(super) rule_version: String,
    sql: String,
    title: String,
    severity: u8,
    tags: Vec<String>,
    pub(super) first_ms: i64,
    pub(super) window_end_ms: i64,
    row: RowV1,
    evidence: Vec<(String, Vec<RowV1>)>,
}

/// The part of an alert that changes; apart, so that counting does not rewrite the evidence.
#[derive(Clone, Encode, Decode)]
pub(super) struct TallyV1 {
    state: u8,
    pub(super) count: u64,
    pub(super) last_ms: i64,
}

/// The newest alert of a dedup key.
#[derive(Encode, Decode)]
pub(super) struct WindowV1 {
    pub(super) id: [u8; 16],
    pub(super) first_ms: i64,
    pub(super) end_ms: i64,
}

#[derive(Encode, Decode)]
pub(super) struct HistoryV1 {
    pub(super) time_ms: i64,
    pub(super) action: String,
    pub(super) actor: String,
    pub(super) reason: String,
}

#[derive(Encode, Decode)]
pub(super) struct PendingV1 {
    pub(super) time_ms: i64,
    pub(super) actor: String,
    pub(super) action: String,
    pub(super) subject: String,
    pub(super) payload: Vec<u8>,
}

/// An alert that a sink has yet to take.
#[derive(Clone, Encode, Decode)]
pub(super) struct OutboxV1 {
    pub(super) alert: [u8; 16],
    pub(super) attempts: u32,
    pub(super) due_ms: i64,
    pub(super) error: String,
}

/// What became of an alert at a sink.
#[derive(Encode, Decode)]
pub(super) struct DeliveryV1 {
    pub(super) sink: String,
    pub(super) alert: [u8; 16],
    pub(super) time_ms: i64,
    pub(super) attempts: u32,
    pub(super) outcome: String,
    pub(super) detail: String,
}

#[derive(Encode, Decode)]
pub(super) struct RunV1 {
    pub(super) number: u64,
    pub(super) version: String,
    pub(super) started_ms: i64,
    pub(super) elapsed_us: u64,
    pub(super) rows: u64,
    pub(super) raised: u64,
    pub(super) outcome: String,
    pub(super) detail: String,
    pub(super) complete: bool,
}

/// What a rule is, as it was last loaded.
#[derive(Clone, PartialEq, Encode, Decode)]
pub(super) struct CardV1 {
    pub(super) version: String,
    pub(super) title: String,
    pub(super) description: String,
    pub(super) severity: u8,
    pub(super) tags: Vec<String>,
    pub(super) interval_ms: u64,
    pub(super) sql: String,
    pub(super) keys: Vec<String>,
    pub(super) window_ms: u64,
    pub(super) path: String,
    pub(super) error: String,
}

/// What a rule has done, and whether it may.
#[derive(Clone, Default, Encode, Decode)]
pub(super) struct RuleV1 {
    pub(super) disabled: bool,
    pub(super) last_run_ms: Option<i64>,
    pub(super) runs: u64,
    pub(super) failures: u64,
    pub(super) over_budget: u64,
    pub(super) matches: u64,
    pub(super) alerts: u64,
    pub(super) elapsed_us: u64,
    pub(super) last_error: String,
}

#[derive(Encode, Decode)]
pub(super) struct WitnessV1 {
    pub(super) ledger: [u8; 16],
    pub(super) size: u64,
    pub(super) hash: [u8; 32],
}

macro_rules! records {
    ($($name:ty = $schema:literal),* $(,)?) => {$(
        impl Record for $name {
            const SCHEMA: u16 = $schema;
        }
    )*};
}
records!(
    AlertV1 = 1,
    TallyV1 = 2,
    WindowV1 = 3,
    HistoryV1 = 4,
    PendingV1 = 5,
    OutboxV1 = 6,
    DeliveryV1 = 7,
    RunV1 = 8,
    RuleV1 = 9,
    WitnessV1 = 10,
    CardV1 = 11,
);

fn keep(row: &NamedRow) -> RowV1 {
    let value = |value: &Value<'_>| match value {
        Value::Null => ValueV1::Null,
        Value::Int(n) => ValueV1::Int(*n),
        Value::Real(x) => ValueV1::Real(*x),
        Value::Text(bytes) => ValueV1::Text(bytes.to_vec()),
        Value::Blob(bytes) => ValueV1::Blob(bytes.to_vec()),
    };
    row.iter().map(|(name, v)| (name.clone(), value(v))).collect()
}

fn give(row: RowV1) -> NamedRow {
    let value = |value| match value {
        ValueV1::Null => Value::Null,
        ValueV1::Int(n) => Value::Int(n),
        ValueV1::Real(x) => Value::Real(x),
        ValueV1::Text(bytes) => Value::Text(bytes.into()),
        ValueV1::Blob(bytes) => Value::Blob(bytes.into()),
    };
    row.into_iter().map(|(name, v)| (name, value(v))).collect()
}

impl TallyV1 {
    pub(super) fn new(state: AlertState, count: u64, last_ms: i64) -> TallyV1 {
        TallyV1 { state: state as u8, count, last_ms }
    }

    pub(super) fn state(&self) -> AlertState {
        AlertState::ALL.get(usize::from(self.state)).copied().unwrap_or(AlertState::New)
    }
}

impl AlertV1 {
    pub(super) fn of(alert: &Alert) -> AlertV1 {
        let section =
            |(name, rows): &(String, Vec<NamedRow>)| (name.clone(), rows.iter().map(keep).collect());
        AlertV1 {
            rule: alert.rule.clone(),
            rule_version: alert.rule_version.clone(),
            sql: alert.sql.clone(),
            title: alert.title.clone(),
            severity: alert.severity as u8,
            tags: alert.tags.clone(),
            first_ms: alert.first_ms,
            window_end_ms: alert.window_end_ms,
            row: keep(&alert.row),
            evidence: alert.evidence.sections.iter().map(section).collect(),
        }
    }

    pub(super) fn alert(self, id: AlertId, tally: &TallyV1) -> Alert {
        let section = |(name, rows): (String, Vec<RowV1>)| (name, rows.into_iter().map(give).collect());
        Alert {
            id,
            rule: self.rule,
            rule_version: self.rule_version,
            sql: self.sql,
            title: self.title,
            severity: Severity::ALL.get(usize::from(self.severity)).copied().unwrap_or(Severity::Critical),
            tags: self.tags,
            state: tally.state(),
            first_ms: self.first_ms,
            last_ms: tally.last_ms,
            window_end_ms: self.window_end_ms,
            count: tally.count,
            row: give(self.row),
            evidence: Evidence { sections: self.evidence.into_iter().map(section).collect() },
        }
    }
}
