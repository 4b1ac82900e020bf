use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use collector::{AnyTable, Host};
use ipc::Server;
use model::{TableSchema, Value};
use vtables::{Answer, Engine, ErrorKind, Here, Limits, Options, Route};

use crate::served::{self, Place, Tables};

/// Reading every set-user-id file of a large disk takes longer than a query is given.
const LIMITS: Limits =
    Limits { timeout: Some(Duration::from_secs(120)), rows_max: 10_000_000, memory_bytes_max: 1 << 30 };

/// An engine over every table of one machine.
pub(crate) struct Machine {
    engine: Engine,
    /// For a machine behind a collector: the collector, and the same machine without it.
    behind: Option<(Server, Box<Machine>)>,
}

impl Machine {
    pub(crate) fn live() -> Machine {
        Machine::of(Host::live())
    }

    /// This machine as its own programs show it: with the secrets of command lines and environments.
    pub(crate) fn unmasked() -> Machine {
        Machine::of(Host::live().unmasked())
    }

    pub(crate) fn of(host: Host) -> Machine {
        let tables = host::TABLES.iter().map(|t| *t as &'static dyn AnyTable<Host>);
        let route: Arc<dyn Route> = Arc::new(Here::new(tables, host));
        Machine { engine: Engine::new(vec![route], LIMITS).unwrap(), behind: None }
    }

    /// A machine of which a collector tells.
    pub(crate) fn served(host: Host) -> Machine {
        let tables = host::TABLES.iter().map(|t| *t as &'static dyn AnyTable<Host>).collect();
        let place = Place::new();
        let server = place.serve(Tables { name: "served", tables, source: host.clone() });
        let route = served::route(&served::collectors(&[&place]));
        let engine = Engine::new(vec![route], LIMITS).unwrap();
        Machine { engine, behind: Some((server, Box::new(Machine::of(host)))) }
    }

    pub(crate) fn engine(&mut self) -> &mut Engine {
        &mut self.engine
    }

    /// Whether a collector tells of it.
    pub(crate) fn is_served(&self) -> bool {
        self.behind.is_some()
    }

    /// Answers without a collector.
    pub(crate) fn answer_here(&mut self, sql: &str) -> Answer {
        match &mut self.behind {
            Some((_, here)) => here.answer(sql),
            None => self.answer(sql),
        }
    }

    pub(crate) fn schemas(&self) -> Vec<Arc<TableSchema>> {
        self.engine.catalog().iter().cloned().collect()
    }

    pub(crate) fn schema(&self, table: &str) -> Arc<TableSchema> {
        self.engine.catalog().get(table).unwrap().clone()
    }

    pub(crate) fn answer(&mut self, sql: &str) -> Answer {
        self.answer_with(sql, &[])
    }

    /// Runs a statement with values for its parameters.
    pub(crate) fn answer_with(&mut self, sql: &str, params: &[(&str, Value<'static>)]) -> Answer {
        let params = params.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let options = Options { params, ..Options::default() };
        self.engine.query(sql, &options).unwrap_or_else(|error| panic!("{sql}\n{error:?}"))
    }

    /// Whether a statement is refused because it names no value of a required column.
    pub(crate) fn needs_a_column(&mut self, sql: &str) -> bool {
        let error = self.engine.query(sql, &Options::default()).err();
        error.is_some_and(|error| error.kind == ErrorKind::RequiredColumn)
    }

    /// Each row in one line, its values with `|` between them.
    pub(crate) fn lines(&mut self, sql: &str) -> Vec<String> {
        self.answer(sql).rows.iter().map(|row| line(row)).collect()
    }

    /// The only value of the only row, as [`cell`] writes it.
    pub(crate) fn one(&mut self, sql: &str) -> String {
        let lines = self.lines(sql);
        assert_eq!(lines.len(), 1, "{sql}: {lines:?}");
        lines.into_iter().next().unwrap()
    }
}

/// A value as a person would write it; bytes that are not UTF-8 and those of a blob are escaped.
pub(crate) fn cell(value: &Value<'_>) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Int(n) => n.to_string(),
        Value::Real(x) => x.to_string(),
        Value::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => bytes.escape_ascii().to_string(),
        },
        Value::Blob(bytes) => format!("x'{}'", bytes.escape_ascii()),
    }
}

pub(crate) fn line(row: &[Value<'_>]) -> String {
    row.iter().map(cell).collect::<Vec<_>>().join("|")
}

/// Asserts that two lists hold the same lines equally often, in any order; shows only what differs.
#[track_caller]
pub(crate) fn assert_same(ours: &[String], theirs: &[String], what: &str) {
    let differ = differences(ours, theirs);
    assert!(
        differ.is_empty(),
        "{what}: {} of {} rows differ (+ ours, - theirs)\n{}",
        differ.len(),
        ours.len().max(theirs.len()),
        differ[..differ.len().min(20)].join("\n")
    );
}

/// The lines that one list has more often than the other.
pub(crate) fn differences(ours: &[String], theirs: &[String]) -> Vec<String> {
    let mut count: BTreeMap<&str, i64> = BTreeMap::new();
    ours.iter().for_each(|line| *count.entry(line).or_default() += 1);
    theirs.iter().for_each(|line| *count.entry(line).or_default() -= 1);
    let differ = count.into_iter().filter(|(_, n)| *n != 0);
    differ.map(|(line, n)| format!("{}{n:+} {line}", if n > 0 { "ours " } else { "theirs " })).collect()
}
