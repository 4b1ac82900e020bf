//! A service made of tables and, if there is one, of a runtime of event sources: what most collectors are.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use collector::{AnyTable, RUNTIME_TABLES, Runtime, Scan, SourceRow, SourceState, Task};
use model::{Capabilities, Domain, Query, ScanError, TableSchema};

use super::runtime_events::RuntimeEvents;
use super::{Identity, Offer, Service};
use crate::client::Health;
use crate::events::{EventStream, Interest, SourceFacts};
use crate::frame::FrameError;
use crate::transport::Peer;

type Open = Box<dyn Fn(&Query) -> Result<Box<dyn Scan>, ScanError> + Send + Sync>;
type Admit = Box<dyn Fn(&Peer) -> Result<(), String> + Send + Sync>;
type Act = Box<dyn Fn(&Peer, &str, &[(String, String)]) -> Result<String, String> + Send + Sync>;
type OnError = Box<dyn Fn(&Peer, &FrameError) + Send + Sync>;

/// Serves tables, each over its own source, to the users that are admitted: root and the user of this process,
/// unless [`TableService::admit`] says otherwise.
pub struct TableService {
    identity: Identity,
    tables: Vec<(Arc<TableSchema>, Open)>,
    parts: Vec<Health>,
    runtime: Option<Arc<Runtime>>,
    subscriptions: AtomicU64,
    admit: Admit,
    act: Option<Act>,
    on_error: OnError,
}

impl TableService {
    /// A service without tables.
    pub fn new(identity: Identity) -> TableService {
        let own = rustix::process::geteuid().as_raw();
        TableService {
            identity,
            tables: Vec::new(),
            parts: Vec::new(),
            runtime: None,
            subscriptions: AtomicU64::new(0),
            admit: Box::new(move |peer| match peer.uid {
                Some(uid) if uid == 0 || uid == own => Ok(()),
                _ => Err(format!("{peer}: this collector serves uid {own} and root")),
            }),
            act: None,
            on_error: Box::new(|_, _| {}),
        }
    }

    /// Serves a table over a source, too. Of two tables with one name the first is served.
    pub fn table<S: Send + Sync + 'static>(
        mut self,
        table: &'static dyn AnyTable<S>,
        source: Arc<S>,
    ) -> TableService {
        if !self.tables.iter().any(|(known, _)| known.name == table.name()) {
            let open: Open = Box::new(move |query| table.open(&source, query));
            self.tables.push((Arc::new(table.schema()), open));
        }
        self
    }

    /// Serves the events of a runtime, and the tables that it tells of itself. Who runs it ends it.
    pub fn events(mut self, runtime: Arc<Runtime>) -> TableService {
        for table in RUNTIME_TABLES {
            self = self.table(*table, runtime.clone());
        }
        self.runtime = Some(runtime);
        self
    }

    /// Asks this of each peer that connects. The error is the reason why it is refused, which the peer is told.
    pub fn admit(
        mut self,
        admit: impl Fn(&Peer) -> Result<(), String> + Send + Sync + 'static,
    ) -> TableService {
        self.admit = Box::new(admit);
        self
    }

    /// Makes the changes that peers ask for by a verb and named arguments. The error is why nothing was changed.
    pub fn act(
        mut self,
        act: impl Fn(&Peer, &str, &[(String, String)]) -> Result<String, String> + Send + Sync + 'static,
    ) -> TableService {
        self.act = Some(Box::new(act));
        self
    }

    /// Tells this of each connection that an error of the protocol ended.
    pub fn on_error(mut self, tell: impl Fn(&Peer, &FrameError) + Send + Sync + 'static) -> TableService {
        self.on_error = Box::new(tell);
        self
    }

    /// Adds a part to what it says of its health.
    pub fn part(mut self, part: Health) -> TableService {
        self.parts.push(part);
        self
    }

    fn sources(&self) -> Vec<SourceRow> {
        self.runtime.as_ref().map(|runtime| runtime.sources()).unwrap_or_default()
    }
}

fn domains(capabilities: Capabilities) -> impl Iterator<Item = Domain> {
    Domain::ALL.into_iter().filter(move |domain| capabilities.contains(domain.capability()))
}

impl Service for TableService {
    fn identity(&self) -> Identity {
        self.identity.clone()
    }

    fn peer(&self, peer: &Peer) -> Result<Offer, String> {
        (self.admit)(peer)?;
        let facts = |source: SourceRow| SourceFacts {
            name: source.name.to_string(),
            domain: domains(source.capabilities).next(),
            capabilities: source.capabilities,
        };
        Ok(Offer {
            tables: self.tables.iter().map(|(schema, _)| schema.clone()).collect(),
            sources: self.sources().into_iter().map(facts).collect(),
        })
    }

    fn open(&self, table: &str, query: &Query) -> Result<Box<dyn Scan>, ScanError> {
        match self.tables.iter().find(|(schema, _)| schema.name == table) {
            Some((_, open)) => open(query),
            None => Err(ScanError::Failed(format!("this collector has no table {table}"))),
        }
    }

    fn subscribe(&self, interest: &Interest) -> Result<Box<dyn EventStream>, String> {
        let runtime = self.runtime.as_ref().ok_or("this collector has no event sources")?;
        let named = |source: &SourceRow| interest.sources.iter().any(|name| **name == *source.name);
        let wanted: HashSet<Domain> = match &interest.domains[..] {
            [] => self.sources().iter().filter(|s| named(s)).flat_map(|s| domains(s.capabilities)).collect(),
            some => some.iter().copied().collect(),
        };
        let needs = wanted.iter().fold(Capabilities::empty(), |all, domain| all | domain.capability());
        let number = self.subscriptions.fetch_add(1, Ordering::Relaxed) + 1;
        let task = Task { name: format!("client {number}"), needs };
        let subscription = runtime.subscribe(task).map_err(|refused| refused.to_string())?;
        Ok(Box::new(RuntimeEvents::new(subscription, interest.clone())))
    }

    fn act(&self, peer: &Peer, verb: &str, arguments: &[(String, String)]) -> Result<String, String> {
        match &self.act {
            Some(act) => act(peer, verb, arguments),
            None => Err(format!("this collector changes nothing, so it cannot `{verb}`")),
        }
    }

    fn health(&self) -> Vec<Health> {
        let part = |source: SourceRow| Health {
            name: source.name.to_string(),
            healthy: source.state == SourceState::Running,
            detail: source.reason.unwrap_or_else(|| source.state.name().to_owned()),
        };
        self.parts.iter().cloned().chain(self.sources().into_iter().map(part)).collect()
    }

    fn ended(&self, peer: &Peer, error: &FrameError) {
        (self.on_error)(peer, error);
    }
}
