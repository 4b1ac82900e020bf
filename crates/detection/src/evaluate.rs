//! One run of one rule.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use model::{Budget, Dedup, Finding, NamedRow, Note, Rule, Value};
use vtables::{Engine, Limits, Options, OutputColumn, Sink, SqlError};

/// Findings with different dedup keys that one run of one rule keeps. The rest is counted.
pub const FINDINGS_MAX: usize = 1000;
/// Bytes of values that one run of one rule keeps. The rest is counted.
pub const FINDING_BYTES_MAX: usize = 16 << 20;

/// What one run of a rule found.
#[derive(Debug)]
pub struct Evaluation {
    /// What was found, up to [`FINDINGS_MAX`]: a finding for each dedup key.
    pub findings: Vec<Finding>,
    /// How many rows there were, those past the limit included.
    pub rows: u64,
    /// How many rows are neither a finding nor counted in one.
    pub left_out: u64,
    /// What could not be read: rows may be missing because of it.
    pub notes: Vec<Note>,
    /// Why the run ended early, if it did. What it had found by then stays: who makes a rule slow must not
    /// be able to silence it.
    pub failure: Option<SqlError>,
}

impl Evaluation {
    /// Whether there were more findings than are kept.
    pub fn is_cut(&self) -> bool {
        self.left_out > 0
    }
}

/// Runs a rule once. Its findings carry `options.now`, or the time at which it started.
pub fn evaluate(rule: &Rule, engine: &mut Engine, options: &Options) -> Evaluation {
    let now = options.now.unwrap_or_else(SystemTime::now);
    let limits = within(options.limits.unwrap_or(engine.limits()), &rule.budget);
    let options = Options { now: Some(now), limits: Some(limits), ..options.clone() };
    let mut found = Found::of(&rule.dedup);
    let (notes, failure) = match engine.run(&rule.sql, &options, &mut found) {
        Ok(report) => (report.notes, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let finding = |(row, count): (NamedRow, u64)| Finding {
        rule: rule.id.clone(),
        title: rule.title.clone(),
        severity: rule.severity,
        tags: rule.tags.clone(),
        time: now,
        count,
        row,
    };
    let (rows, left_out) = (found.given, found.left_out);
    Evaluation { findings: found.rows.into_iter().map(finding).collect(), rows, left_out, notes, failure }
}

/// What a run may use: the least of what any rule may and what this one says of itself.
fn within(limits: Limits, budget: &Budget) -> Limits {
    let timeout = limits.timeout.into_iter().chain(budget.timeout).min();
    Limits {
        timeout,
        rows_max: limits.rows_max.min(budget.rows.unwrap_or(u64::MAX)),
        memory_bytes_max: limits.memory_bytes_max.min(budget.memory_bytes.unwrap_or(u64::MAX)),
    }
}

struct Found<'r> {
    dedup: &'r Dedup,
    names: Vec<Arc<str>>,
    rows: Vec<(NamedRow, u64)>,
    /// The place of each dedup key among the rows.
    places: HashMap<Vec<u8>, usize>,
    bytes: usize,
    given: u64,
    left_out: u64,
}

impl Found<'_> {
    fn of(dedup: &Dedup) -> Found<'_> {
        Found {
            dedup,
            names: Vec::new(),
            rows: Vec::new(),
            places: HashMap::new(),
            bytes: 0,
            given: 0,
            left_out: 0,
        }
    }
}

impl Sink for Found<'_> {
    fn columns(&mut self, columns: &[OutputColumn]) -> io::Result<()> {
        self.names = columns.iter().map(|c| c.name.as_str().into()).collect();
        Ok(())
    }

    fn row(&mut self, values: &[Value<'_>]) -> io::Result<()> {
        self.given += 1;
        let key = self.dedup.key(self.names.iter().map(|name| &**name).zip(values));
        if let Some(place) = self.places.get(&key) {
            self.rows[*place].1 += 1;
            return Ok(());
        }
        let bytes = values.iter().map(Value::heap_bytes).sum::<usize>() + key.len();
        if self.left_out == 0 && self.rows.len() < FINDINGS_MAX && self.bytes + bytes <= FINDING_BYTES_MAX {
            self.bytes += bytes;
            self.places.insert(key, self.rows.len());
            let row = self.names.iter().cloned().zip(values.iter().map(Value::to_static)).collect();
            self.rows.push((row, 1));
        } else {
            self.left_out += 1;
        }
        Ok(())
    }
}
