//! One run of one rule.

use std::io;
use std::time::SystemTime;

use model::{Finding, Note, Rule, Value};
use vtables::{Engine, Options, OutputColumn, Sink, SqlError};

/// Findings that one run of one rule keeps. The rest is counted.
pub const FINDINGS_MAX: usize = 1000;
/// Bytes of values that one run of one rule keeps. The rest is counted.
pub const FINDING_BYTES_MAX: usize = 16 << 20;

/// What one run of a rule found.
#[derive(Debug)]
pub struct Evaluation {
    /// The rows found, up to [`FINDINGS_MAX`].
    pub findings: Vec<Finding>,
    /// How many rows there were, those past the limit included.
    pub rows: u64,
    /// What could not be read: rows may be missing because of it.
    pub notes: Vec<Note>,
    /// Why the run ended early, if it did. What it had found by then stays: who makes a rule slow must not
    /// be able to silence it.
    pub failure: Option<SqlError>,
}

impl Evaluation {
    /// Whether there were more findings than are kept.
    pub fn is_cut(&self) -> bool {
        self.rows > self.findings.len() as u64
    }
}

/// Runs a rule once. Its findings carry `options.now`, or the time at which it started.
pub fn evaluate(rule: &Rule, engine: &mut Engine, options: &Options) -> Evaluation {
    let now = options.now.unwrap_or_else(SystemTime::now);
    let options = Options { now: Some(now), ..options.clone() };
    let mut found = Found { names: Vec::new(), rows: Vec::new(), bytes: 0, given: 0 };
    let (notes, failure) = match engine.run(&rule.sql, &options, &mut found) {
        Ok(report) => (report.notes, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let finding = |row: Vec<Value<'static>>| Finding {
        rule: rule.id.clone(),
        title: rule.title.clone(),
        severity: rule.severity,
        tags: rule.tags.clone(),
        time: now,
        row: found.names.iter().cloned().zip(row).collect(),
    };
    Evaluation { findings: found.rows.into_iter().map(finding).collect(), rows: found.given, notes, failure }
}

struct Found {
    names: Vec<String>,
    rows: Vec<Vec<Value<'static>>>,
    bytes: usize,
    given: u64,
}

impl Sink for Found {
    fn columns(&mut self, columns: &[OutputColumn]) -> io::Result<()> {
        self.names = columns.iter().map(|c| c.name.clone()).collect();
        Ok(())
    }

    fn row(&mut self, values: &[Value<'_>]) -> io::Result<()> {
        self.given += 1;
        let bytes = values.iter().map(Value::heap_bytes).sum::<usize>();
        let earlier_kept = self.rows.len() as u64 == self.given - 1;
        if earlier_kept && self.rows.len() < FINDINGS_MAX && self.bytes + bytes <= FINDING_BYTES_MAX {
            self.bytes += bytes;
            self.rows.push(values.iter().map(Value::to_static).collect());
        }
        Ok(())
    }
}
