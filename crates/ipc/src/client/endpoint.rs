//! One collector, as its clients see it: how it is reached, its connections, its breaker, its counts.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{Run, ScanError};

use super::backoff::Backoff;
use super::breaker::{Breaker, BreakerState};
use super::collectors::Settings;
use super::{Client, Clock, ConnectError, Hello};
use crate::metrics::{CollectorCounters, count};
use crate::transport::{Transport, connect};

type Connect = Box<dyn Fn() -> io::Result<Arc<dyn Transport>> + Send + Sync>;

/// How a collector is reached.
pub struct Endpoint {
    name: String,
    connect: Connect,
}

impl Endpoint {
    /// A collector that listens at a path.
    pub fn at(path: impl Into<PathBuf>) -> Endpoint {
        let path = path.into();
        Endpoint::new(path.display().to_string(), move || connect(&path))
    }

    /// A collector that is reached in some other way. The name is used until the collector says its own.
    pub fn new(
        name: impl Into<String>,
        connect: impl Fn() -> io::Result<Arc<dyn Transport>> + Send + Sync + 'static,
    ) -> Endpoint {
        Endpoint { name: name.into(), connect: Box::new(connect) }
    }
}

/// An endpoint with what is known of it.
pub(super) struct Known {
    endpoint: Endpoint,
    settings: Settings,
    clock: Arc<dyn Clock>,
    pub(super) counters: CollectorCounters,
    state: Mutex<State>,
    /// Somebody has finished connecting.
    connected: Condvar,
}

struct State {
    clients: Vec<Client>,
    /// What it said of itself last, also when it is away now.
    hello: Option<Arc<Hello>>,
    /// How often it said something new about what it serves.
    generation: u64,
    breaker: Breaker,
    backoff: Backoff,
    connecting: bool,
    /// Why it could not be reached the last time.
    trouble: Option<String>,
}

/// A connection that was made before, or just now.
pub(super) struct Connection {
    pub(super) client: Client,
    /// It may have been lost since it was used last, through no fault of the collector that is there now.
    pub(super) reused: bool,
}

impl Known {
    pub(super) fn new(endpoint: Endpoint, settings: Settings, clock: Arc<dyn Clock>) -> Known {
        Known {
            endpoint,
            settings,
            clock,
            counters: CollectorCounters::default(),
            state: Mutex::new(State {
                clients: Vec::new(),
                hello: None,
                generation: 0,
                breaker: Breaker::new(settings.breaker),
                backoff: Backoff::default(),
                connecting: false,
                trouble: None,
            }),
            connected: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its own name, or that of the endpoint while it never said one.
    pub(super) fn name(&self) -> String {
        let name = self.state().hello.as_ref().map(|hello| hello.collector_name.clone());
        name.filter(|name| !name.is_empty()).unwrap_or_else(|| self.endpoint.name.clone())
    }

    pub(super) fn hello(&self) -> Option<Arc<Hello>> {
        self.state().hello.clone()
    }

    pub(super) fn generation(&self) -> u64 {
        self.state().generation
    }

    pub(super) fn breaker(&self) -> BreakerState {
        self.state().breaker.state(self.clock.now())
    }

    pub(super) fn trouble(&self) -> Option<String> {
        self.state().trouble.clone()
    }

    /// Requests that run over its connections, and how many connections there are.
    pub(super) fn in_flight(&self) -> (usize, usize) {
        let state = self.state();
        (state.clients.iter().map(Client::in_flight).sum(), state.clients.len())
    }

    pub(super) fn unreachable(&self, why: impl Into<String>) -> ScanError {
        ScanError::Unreachable { collector: self.name(), why: why.into() }
    }

    /// The collector did what was asked.
    pub(super) fn succeeded(&self) {
        let mut state = self.state();
        state.breaker.succeeded();
        state.trouble = None;
    }

    /// The collector was lost.
    pub(super) fn failed(&self, why: &str) {
        let now = self.clock.now();
        let mut state = self.state();
        state.clients.retain(Client::is_alive);
        state.trouble = Some(why.to_owned());
        if state.breaker.failed(now) {
            count(&self.counters.opened);
        }
    }

    /// A connection to it, unless its breaker is open.
    pub(super) fn connection(&self, run: &Run) -> Result<Connection, ScanError> {
        {
            let now = self.clock.now();
            let mut state = self.state();
            if !state.breaker.pass(now) {
                let left = state.breaker.left(now).as_millis();
                let trouble = state.trouble.clone().unwrap_or_default();
                drop(state);
                count(&self.counters.held_back);
                return Err(self.unreachable(format!("{trouble}; it is tried again in {left} ms")));
            }
        }
        self.pooled(run)
    }

    /// The connection with the least to do, or one more while each has much and there may be more.
    fn pooled(&self, run: &Run) -> Result<Connection, ScanError> {
        loop {
            run.check()?;
            let mut state = self.state();
            state.clients.retain(Client::is_alive);
            let least = state.clients.iter().min_by_key(|c| c.in_flight()).cloned();
            let full = state.clients.len() >= self.settings.connections_max || state.connecting;
            if let Some(client) = least
                && (full || client.in_flight() < self.settings.requests_per_connection)
            {
                return Ok(Connection { client, reused: true });
            }
            if state.connecting {
                let every = self.settings.timing.poll_every;
                let waited = self.connected.wait_timeout(state, every);
                drop(waited.unwrap_or_else(PoisonError::into_inner));
                continue;
            }
            let wait = state.backoff.wait(&*self.clock);
            if wait > self.settings.backoff.waited_for_max {
                let trouble = state.trouble.clone().unwrap_or_default();
                drop(state);
                return Err(
                    self.unreachable(format!("{trouble}; it is tried again in {} ms", wait.as_millis()))
                );
            }
            if !wait.is_zero() {
                let wait = wait.min(self.settings.timing.poll_every);
                drop(self.connected.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner));
                continue;
            }
            state.connecting = true;
            drop(state);
            return self.connect(run);
        }
    }

    fn connect(&self, run: &Run) -> Result<Connection, ScanError> {
        let over = |stream| Client::over_unless(stream, self.settings.timing, || run.check());
        let connected = (self.endpoint.connect)().map_err(ConnectError::Io).and_then(over);
        let mut state = self.state();
        state.connecting = false;
        self.connected.notify_all();
        match connected {
            Ok(client) => {
                count(&self.counters.connections);
                state.backoff.succeeded();
                let hello = client.hello();
                if state.hello.as_ref().is_none_or(|before| !before.serves_the_same(hello)) {
                    state.generation += 1;
                }
                state.hello = Some(hello.clone());
                state.clients.push(client.clone());
                Ok(Connection { client, reused: false })
            }
            // The statement ended; of the collector that says nothing.
            Err(ConnectError::Stopped(stop)) => Err(stop.into()),
            Err(error) => {
                count(&self.counters.unreachable);
                state.backoff.failed(&self.settings.backoff, &*self.clock);
                drop(state);
                let why = error.to_string();
                self.failed(&why);
                Err(self.unreachable(why))
            }
        }
    }

    /// Asks it what it serves.
    pub(super) fn refresh(&self, run: &Run) -> Result<(), ScanError> {
        // A ping tells whether a connection that was used before is still there.
        const ANSWER_TIME_MAX: Duration = Duration::from_millis(900);
        loop {
            let connection = self.connection(run)?;
            if !connection.reused {
                self.succeeded();
                return Ok(());
            }
            match connection.client.ping(ANSWER_TIME_MAX) {
                Ok(_) => {
                    self.succeeded();
                    return Ok(());
                }
                // The next round makes a new connection.
                Err(ScanError::Unreachable { .. }) => {}
                Err(error) => {
                    self.failed(&error.to_string());
                    connection.client.abandon();
                    return Err(self.unreachable("it does not answer"));
                }
            }
        }
    }
}
