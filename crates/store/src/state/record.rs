//! The records of the state file, in their released forms.

use std::sync::Arc;

use bincode::enc::Encoder;
use bincode::enc::write::Writer;
use bincode::error::EncodeError;
use bincode::{Decode, Encode};
use model::{Alert, AlertId, AlertState, Evidence, NamedRow, Rule, Severity, Value};

use crate::codec::{self, Head, Record};

#[derive(Encode, Decode)]
pub(super) enum ValueV1 {
    Null,
    Int(i64),
    Real(f64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

type RowV1 = Vec<(Arc<str>, ValueV1)>;

/// What an alert's record begins with: enough to find it and to count on it.
#[derive(Clone, Encode, Decode)]
pub(super) struct HeadV1 {
    pub(super) id: [u8; 16],
    /// The hash of its window's place.
    pub(super) window: u32,
    pub(super) first_ms: i64,
    pub(super) window_end_ms: i64,
    /// As it was raised, like the count: a tally says what came since.
    pub(super) last_ms: i64,
    pub(super) count: u64,
}

#[derive(Encode, Decode)]
pub(super) struct AlertV1 {
    pub(super) head: HeadV1,
    pub(super) rule: String,
    pub(super) rule_version: String,
    sql: String,
    pub(super) title: String,
    severity: u8,
    tags: Vec<String>,
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

/// The window of an alert that is gone.
#[derive(Encode, Decode)]
pub(super) struct WindowV1 {
    pub(super) id: [u8; 16],
    pub(super) hash: u32,
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

#[derive(Clone, Encode, Decode)]
pub(super) struct PendingV1 {
    pub(super) time_ms: i64,
    pub(super) actor: String,
    pub(super) action: String,
    pub(super) subject: String,
    pub(super) payload: Vec<u8>,
}

/// Audit records of alerts that were raised together, from this number on. They are told from the alerts.
#[derive(Encode, Decode)]
pub(super) struct RaisedV1 {
    pub(super) alert: u64,
    pub(super) count: u64,
}

/// Alerts that a sink has yet to take, from this number on: their places in the queue follow each other too.
#[derive(Clone, Encode, Decode)]
pub(super) struct OutboxV1 {
    pub(super) alert: u64,
    pub(super) attempts: u32,
    /// When the first is due.
    pub(super) due_ms: i64,
    /// How much later each of those that follow is. None follows one that was tried.
    pub(super) later_ms: Vec<i64>,
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
    RaisedV1 = 12,
);

impl Head for HeadV1 {
    type Of = AlertV1;
}

/// What the records of a rule's alerts have in common, as it stands in each.
pub(super) fn part_of_rule(rule: &Rule, version: &str) -> Vec<u8> {
    codec::encode_part(&(&rule.id, version, &rule.sql, &rule.title, rule.severity as u8, &rule.tags))
}

/// An alert on its way into a record: the bytes of [`AlertV1`], without a copy of what it is made of.
pub(super) struct Kept<'a> {
    pub(super) head: HeadV1,
    /// [`part_of_rule`].
    pub(super) of_rule: &'a [u8],
    pub(super) row: &'a NamedRow,
    pub(super) evidence: &'a Evidence,
}

impl Kept<'_> {
    /// Adds its record to these bytes.
    pub(super) fn encode(&self, bytes: &mut Vec<u8>) {
        codec::encode_as(AlertV1::SCHEMA, self, bytes);
    }
}

impl Encode for Kept<'_> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.head.encode(encoder)?;
        encoder.writer().write(self.of_rule)?;
        encode_row(self.row, encoder)?;
        (self.evidence.sections.len() as u64).encode(encoder)?;
        for (name, rows) in &self.evidence.sections {
            name.encode(encoder)?;
            (rows.len() as u64).encode(encoder)?;
            rows.iter().try_for_each(|row| encode_row(row, encoder))?;
        }
        Ok(())
    }
}

/// The bytes of a [`RowV1`].
fn encode_row<E: Encoder>(row: &NamedRow, encoder: &mut E) -> Result<(), EncodeError> {
    /// The bytes of a [`ValueV1`].
    #[derive(Encode)]
    enum Kept<'a> {
        Null,
        Int(i64),
        Real(f64),
        Text(&'a [u8]),
        Blob(&'a [u8]),
    }
    (row.len() as u64).encode(encoder)?;
    for (name, value) in row {
        name.encode(encoder)?;
        let value = match value {
            Value::Null => Kept::Null,
            Value::Int(n) => Kept::Int(*n),
            Value::Real(x) => Kept::Real(*x),
            Value::Text(bytes) => Kept::Text(bytes),
            Value::Blob(bytes) => Kept::Blob(bytes),
        };
        value.encode(encoder)?;
    }
    Ok(())
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

impl HeadV1 {
    /// What the tally of an alert is that is as it was raised.
    pub(super) fn tally(&self) -> TallyV1 {
        TallyV1::new(AlertState::New, self.count, self.last_ms)
    }
}

impl AlertV1 {
    pub(super) fn severity(&self) -> Severity {
        Severity::ALL.get(usize::from(self.severity)).copied().unwrap_or(Severity::Critical)
    }

    /// The alert, with what came since it was raised.
    pub(super) fn alert(self, tally: Option<TallyV1>) -> Alert {
        let section = |(name, rows): (String, Vec<RowV1>)| (name, rows.into_iter().map(give).collect());
        let (severity, tally) = (self.severity(), tally.unwrap_or_else(|| self.head.tally()));
        Alert {
            id: AlertId(self.head.id),
            rule: self.rule.into(),
            rule_version: self.rule_version.into(),
            sql: self.sql.into(),
            title: self.title.into(),
            severity,
            tags: self.tags.into(),
            state: tally.state(),
            first_ms: self.head.first_ms,
            last_ms: tally.last_ms,
            window_end_ms: self.head.window_end_ms,
            count: tally.count,
            row: give(self.row),
            evidence: Evidence { sections: self.evidence.into_iter().map(section).collect() },
        }
    }
}
