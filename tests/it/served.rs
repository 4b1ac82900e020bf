//! Collectors within this process, which engines reach over a pipe or a socket.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{io, thread};

use collector::{AnyTable, Scan};
use ipc::{
    Collectors, Endpoint, Identity, Listener, Offer, Peer, PipeListener, Server, ServerLimits, Service,
    Settings, Transport,
};
use model::{Query, Run, ScanError};
use vtables::{Remote, Route};

/// Tables over one source, served under a name.
pub(crate) struct Tables<S: 'static> {
    pub(crate) name: &'static str,
    pub(crate) tables: Vec<&'static dyn AnyTable<S>>,
    pub(crate) source: S,
}

impl<S: Send + Sync + 'static> Service for Tables<S> {
    fn identity(&self) -> Identity {
        let name = self.name.to_owned();
        Identity { program: "test".into(), version: "1".into(), id: name.clone(), name }
    }

    fn peer(&self, _: &Peer) -> Result<Offer, String> {
        let tables = self.tables.iter().map(|table| Arc::new(table.schema())).collect();
        Ok(Offer { tables, sources: Vec::new() })
    }

    fn open(&self, table: &str, query: &Query) -> Result<Box<dyn Scan>, ScanError> {
        let table = self.tables.iter().find(|t| t.name() == table);
        table.expect("only tables that are offered are opened").open(&self.source, query)
    }
}

/// A place where one collector after the other can be.
#[derive(Clone)]
pub(crate) struct Place {
    listener: Arc<Mutex<Arc<PipeListener>>>,
    frozen: Arc<AtomicBool>,
}

impl Place {
    pub(crate) fn new() -> Place {
        let listener = Arc::new(PipeListener::new());
        listener.stop();
        Place { listener: Arc::new(Mutex::new(listener)), frozen: Arc::default() }
    }

    /// Starts a collector there.
    pub(crate) fn serve<S: Send + Sync + 'static>(&self, tables: Tables<S>) -> Server {
        let listener = Arc::new(PipeListener::new());
        *self.listener.lock().unwrap() = listener.clone();
        serve(listener, tables)
    }

    /// Whether nothing comes from there and nothing is taken, as from a process that was stopped.
    pub(crate) fn freeze(&self, frozen: bool) {
        self.frozen.store(frozen, Ordering::Relaxed);
    }

    pub(crate) fn endpoint(&self, name: &str) -> Endpoint {
        let place = self.clone();
        Endpoint::new(name, move || {
            let inner = place.listener.lock().unwrap().connect(Peer::default())?;
            Ok(Arc::new(Freezing { inner, frozen: place.frozen.clone() }))
        })
    }
}

pub(crate) fn serve<S: Send + Sync + 'static>(listener: Arc<dyn Listener>, tables: Tables<S>) -> Server {
    Server::start(listener, Arc::new(tables), ServerLimits::default()).unwrap()
}

/// The collectors at these places, asked what they serve.
pub(crate) fn collectors(places: &[&Place]) -> Collectors {
    let endpoint = |(n, place): (usize, &&Place)| place.endpoint(&format!("place {n}"));
    let collectors = Collectors::new(places.iter().enumerate().map(endpoint), Settings::default());
    collectors.refresh(&Run::unlimited());
    collectors
}

pub(crate) fn route(collectors: &Collectors) -> Arc<dyn Route> {
    Arc::new(Remote::new(collectors.clone()))
}

struct Freezing {
    inner: Arc<dyn Transport>,
    frozen: Arc<AtomicBool>,
}

impl Freezing {
    fn thawed(&self) -> io::Result<()> {
        if self.frozen.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(10));
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }
}

impl Transport for Freezing {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.thawed()?;
        let read = self.inner.read(buffer);
        self.thawed().and(read)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.thawed()?;
        self.inner.write(bytes)
    }

    fn takes_more(&self) -> bool {
        self.inner.takes_more()
    }

    fn set_timeouts(&self, read: Duration, write: Duration) -> io::Result<()> {
        self.inner.set_timeouts(read, write)
    }

    fn peer(&self) -> io::Result<Peer> {
        self.inner.peer()
    }

    fn shutdown(&self) {
        self.inner.shutdown();
    }
}
