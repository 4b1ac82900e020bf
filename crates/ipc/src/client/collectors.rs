//! All collectors that a program knows, as one source of tables.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use model::{Op, Query, Run, ScanError, TableSchema};

use super::backoff::BackoffSettings;
use super::breaker::{BreakerSettings, BreakerState};
use super::endpoint::{Endpoint, Known};
use super::failover::CollectorScan;
use super::{Clock, SystemClock, Timing, same_columns};
use crate::events::Interest;
use crate::metrics::CollectorCounts;

/// How collectors are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Waiting for answers.
    pub timing: Timing,
    /// Waiting between tries to connect.
    pub backoff: BackoffSettings,
    /// When a collector is left alone.
    pub breaker: BreakerSettings,
    /// Connections to one collector.
    pub connections_max: usize,
    /// Requests on a connection beyond which another is made.
    pub requests_per_connection: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            timing: Timing::default(),
            backoff: BackoffSettings::default(),
            breaker: BreakerSettings::default(),
            connections_max: 4,
            requests_per_connection: 8,
        }
    }
}

/// How one collector is, seen from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectorStatus {
    /// Its name.
    pub name: String,
    /// Its id, once it said so.
    pub id: Option<String>,
    /// What its breaker does with requests.
    pub breaker: BreakerState,
    /// Connections that are open, as far as is known.
    pub connections: usize,
    /// Requests that run.
    pub in_flight: usize,
    /// Why it could not be reached the last time, if that was its last answer.
    pub trouble: Option<String>,
    /// What became of the requests to it.
    pub counts: CollectorCounts,
}

/// The collectors that a program knows. Clones are handles on the same.
#[derive(Clone)]
pub struct Collectors(Arc<Inner>);

pub(super) struct Inner {
    pub(super) known: Vec<Known>,
    /// Which of two that have equally little to do comes first.
    turn: AtomicUsize,
}

impl Collectors {
    /// Collectors at these endpoints. Nothing is connected yet.
    pub fn new(endpoints: impl IntoIterator<Item = Endpoint>, settings: Settings) -> Collectors {
        Collectors::with_clock(endpoints, settings, Arc::new(SystemClock::default()))
    }

    /// Collectors whose waiting times follow another clock.
    pub fn with_clock(
        endpoints: impl IntoIterator<Item = Endpoint>,
        settings: Settings,
        clock: Arc<dyn Clock>,
    ) -> Collectors {
        let known = endpoints.into_iter().map(|e| Known::new(e, settings, clock.clone())).collect();
        Collectors(Arc::new(Inner { known, turn: AtomicUsize::new(0) }))
    }

    /// Asks each collector what it serves. Those that could not be asked are listed with the reason; what they
    /// said before still counts.
    pub fn refresh(&self, run: &Run) -> Vec<(String, ScanError)> {
        let trouble = |known: &Known| known.refresh(run).err().map(|error| (known.name(), error));
        self.0.known.iter().filter_map(trouble).collect()
    }

    /// The tables of all collectors that said what they serve, by name. Of two tables of one name with other
    /// columns, that of the earlier endpoint counts.
    pub fn tables(&self) -> Vec<Arc<TableSchema>> {
        let mut tables: Vec<Arc<TableSchema>> = Vec::new();
        for hello in self.0.known.iter().filter_map(Known::hello) {
            for table in &hello.tables {
                if !tables.iter().any(|known| known.name == table.name) {
                    tables.push(table.clone());
                }
            }
        }
        tables.sort_by(|a, b| a.name.cmp(&b.name));
        tables
    }

    /// Grows whenever a collector says that it serves something else than before.
    pub fn generation(&self) -> u64 {
        self.0.known.iter().map(Known::generation).sum()
    }

    /// Whether each collector that serves a table tests its rows by this operation, on whatever column.
    pub fn filters(&self, schema: &TableSchema, op: Op) -> bool {
        self.0.serving(schema).all(|(_, known)| known.hello().is_some_and(|hello| hello.filters(op)))
    }

    /// Names of the collectors that serve a table.
    pub fn serving(&self, schema: &TableSchema) -> Vec<String> {
        self.0.serving(schema).map(|(_, known)| known.name()).collect()
    }

    /// Starts a scan at the collector that has the least to do.
    ///
    /// # Errors
    /// [`ScanError::Unreachable`] names the collector when none that serves the table can be reached.
    pub fn scan(&self, table: &str, query: &Query) -> Result<CollectorScan, ScanError> {
        CollectorScan::start(self.0.clone(), table, query)
    }

    /// Subscribes to events at every collector that has sources and can be reached.
    pub fn subscribe(&self, interest: &Interest, run: &Run) -> Vec<(String, super::Subscription)> {
        let subscribe = |known: &Known| {
            let client = known.connection(run).ok()?.client;
            let has = !client.hello().sources.is_empty();
            let subscription = client.subscribe(interest).ok().filter(|_| has)?;
            Some((known.name(), subscription))
        };
        self.0.known.iter().filter_map(subscribe).collect()
    }

    /// How each collector is.
    pub fn status(&self) -> Vec<CollectorStatus> {
        let status = |known: &Known| {
            let (in_flight, connections) = known.in_flight();
            CollectorStatus {
                name: known.name(),
                id: known.hello().map(|hello| hello.collector_id.clone()),
                breaker: known.breaker(),
                connections,
                in_flight,
                trouble: known.trouble(),
                counts: known.counters.counts(),
            }
        };
        self.0.known.iter().map(status).collect()
    }
}

impl Inner {
    /// Collectors that serve a table with the columns of this schema, by place.
    fn serving<'k>(&'k self, schema: &TableSchema) -> impl Iterator<Item = (usize, &'k Known)> {
        let serves = move |known: &Known| {
            let hello = known.hello();
            let table = hello.as_ref().and_then(|hello| hello.table(&schema.name));
            table.is_some_and(|table| same_columns(table, schema))
        };
        self.known.iter().enumerate().filter(move |(_, known)| serves(known)).collect::<Vec<_>>().into_iter()
    }

    /// Those that serve a table, in the order in which to ask them: open breakers last, then by what they
    /// have to do.
    pub(super) fn candidates(&self, schema: &TableSchema) -> Vec<usize> {
        let mut places: Vec<usize> = self.serving(schema).map(|(place, _)| place).collect();
        if places.len() > 1 {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % places.len();
            places.rotate_left(turn);
            places.sort_by_key(|place| {
                let known = &self.known[*place];
                (known.breaker() == BreakerState::Open, known.in_flight().0)
            });
        }
        places
    }
}
