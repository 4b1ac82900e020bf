//! The serving end: a thread per connection that reads, and a bounded pool of threads that scan.

mod connection;
mod events;
mod pool;
mod running;
mod runtime_events;
mod scan;
mod tables;

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use collector::Scan;
use model::{Query, ScanError, TableSchema};

use crate::client::Health;
use crate::events::{EventStream, Interest, SourceFacts};
use crate::frame::FrameError;
use crate::limits::{FRAME_TIME_MAX, HANDSHAKE_TIME_MAX};
use crate::metrics::{FrameCounters, FrameCounts, ServerCounters, ServerCounts, count, less};
use crate::transport::{Listener, Peer, Transport};
use connection::Connection;
use pool::Pool;
pub use tables::TableService;

/// Which collector a program is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The program's name.
    pub program: String,
    /// The program's version.
    pub version: String,
    /// Stays the same when the collector is started again; no other collector has it.
    pub id: String,
    /// What people call it, in errors too.
    pub name: String,
}

/// What one peer may use.
#[derive(Clone, Debug, Default)]
pub struct Offer {
    /// The tables that it may scan; no other table is there for it.
    pub tables: Vec<Arc<TableSchema>>,
    /// The event sources that it may subscribe to.
    pub sources: Vec<SourceFacts>,
}

/// What a collector serves. Its functions are called from many threads at once.
pub trait Service: Send + Sync + 'static {
    /// Which collector this is.
    fn identity(&self) -> Identity;

    /// What a peer may use, asked once for each connection; the error is the reason why it is refused, which
    /// the peer is told.
    fn peer(&self, peer: &Peer) -> Result<Offer, String>;

    /// Starts a scan of a table that the peer was offered. The query is advice: the server tests each row.
    fn open(&self, table: &str, query: &Query) -> Result<Box<dyn Scan>, ScanError>;

    /// Starts a subscription; the error is the reason why there is none.
    fn subscribe(&self, interest: &Interest) -> Result<Box<dyn EventStream>, String> {
        let _ = interest;
        Err("this collector has no event sources".into())
    }

    /// Makes a change that a peer asks for, and gives what there is to say of it; the error is why nothing was
    /// changed.
    fn act(&self, peer: &Peer, verb: &str, arguments: &[(String, String)]) -> Result<String, String> {
        let _ = (peer, arguments);
        Err(format!("this collector changes nothing, so it cannot `{verb}`"))
    }

    /// How its parts are.
    fn health(&self) -> Vec<Health> {
        Vec::new()
    }

    /// Is told of a connection that was refused for its version or ended by an error of the protocol.
    fn ended(&self, peer: &Peer, error: &FrameError) {
        let _ = (peer, error);
    }
}

/// What a server may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Connections at once.
    pub connections_max: usize,
    /// Connections of one user at once, so that one cannot keep all others out.
    pub connections_per_user_max: usize,
    /// Scans at once, each of which has a thread. One user has at most three in four, here and among those that wait.
    pub scans_at_once_max: usize,
    /// Scans that wait for a thread.
    pub scans_waiting_max: usize,
    /// Scans and subscriptions of one connection at once, running or waiting.
    pub requests_per_connection_max: usize,
    /// Subscriptions at once, each of which has a thread.
    pub subscriptions_max: usize,
    /// How long one scan may run.
    pub scan_time_max: Duration,
    /// Bytes that one scan may hold.
    pub scan_memory_bytes_max: u64,
    /// From the first byte of a frame to its last.
    pub frame_time_max: Duration,
    /// From a connection to its hello.
    pub handshake_time_max: Duration,
    /// How long the write of a short answer, or of rows that nobody wants any more, may take before the connection is
    /// given up; and how long a client may take none of its rows while another scan waits for the thread.
    pub write_time_max: Duration,
    /// How long a client may take none of its rows or events otherwise.
    pub stall_time_max: Duration,
    /// Stack of a thread that scans, in bytes.
    pub scan_stack_bytes: usize,
}

impl Default for ServerLimits {
    fn default() -> Self {
        ServerLimits {
            connections_max: 512,
            connections_per_user_max: 256,
            scans_at_once_max: 32,
            scans_waiting_max: 512,
            requests_per_connection_max: 64,
            subscriptions_max: 32,
            scan_time_max: Duration::from_secs(300),
            scan_memory_bytes_max: 128 << 20,
            frame_time_max: FRAME_TIME_MAX,
            handshake_time_max: HANDSHAKE_TIME_MAX,
            write_time_max: Duration::from_secs(5),
            stall_time_max: Duration::from_secs(300),
            scan_stack_bytes: 2 << 20,
        }
    }
}

/// Stack of a thread that only reads requests or sends events, in bytes.
const STACK_BYTES: usize = 256 << 10;
/// How often a waiting thread looks whether the server stops.
const TICK: Duration = Duration::from_millis(500);

/// What all connections of a server share.
struct Shared {
    service: Arc<dyn Service>,
    limits: ServerLimits,
    pool: Arc<Pool>,
    counters: ServerCounters,
    frames: FrameCounters,
    stopping: AtomicBool,
    subscriptions: AtomicU64,
    connections: Mutex<Connections>,
    /// A connection ended.
    ended: Condvar,
}

#[derive(Default)]
struct Connections {
    open: HashMap<u64, Weak<Connection>>,
    by_user: HashMap<Option<u32>, usize>,
    threads: usize,
    next: u64,
}

impl Shared {
    fn connections(&self) -> std::sync::MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// The connections whose handshake is done.
    fn open(&self) -> Vec<Arc<Connection>> {
        self.connections().open.values().filter_map(Weak::upgrade).collect()
    }

    /// Waits until no connection is left, at most until the deadline; whether none is.
    fn wait_for_connections(&self, deadline: Instant) -> bool {
        let mut connections = self.connections();
        while connections.threads > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            connections =
                self.ended.wait_timeout(connections, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

/// A collector's serving end, until it is stopped or dropped.
pub struct Server {
    shared: Arc<Shared>,
    listener: Arc<dyn Listener>,
    accepting: Option<thread::JoinHandle<()>>,
}

impl Server {
    /// Serves whoever connects.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(
        listener: Arc<dyn Listener>,
        service: Arc<dyn Service>,
        limits: ServerLimits,
    ) -> io::Result<Server> {
        let shared = Arc::new(Shared {
            service,
            limits,
            pool: Arc::new(Pool::new(
                limits.scans_at_once_max,
                limits.scans_waiting_max,
                limits.scan_stack_bytes,
            )),
            counters: ServerCounters::default(),
            frames: FrameCounters::default(),
            stopping: AtomicBool::new(false),
            subscriptions: AtomicU64::new(0),
            connections: Mutex::default(),
            ended: Condvar::new(),
        });
        let accepting = {
            let (shared, listener) = (shared.clone(), listener.clone());
            let thread = thread::Builder::new().name("ipc-accept".into()).stack_size(STACK_BYTES);
            thread.spawn(move || accept(&shared, &*listener))?
        };
        Ok(Server { shared, listener, accepting: Some(accepting) })
    }

    /// What it did so far.
    pub fn counts(&self) -> ServerCounts {
        self.shared.counters.counts()
    }

    /// The errors that ended connections so far.
    pub fn frame_counts(&self) -> FrameCounts {
        self.shared.frames.counts()
    }

    /// Takes no more connections, tells those that are open that the collector stops, ends them and cancels
    /// their scans. Whether all came to their end within `time_max`.
    pub fn stop(&mut self, time_max: Duration) -> bool {
        let began = Instant::now();
        let deadline = began + time_max;
        self.shared.stopping.store(true, Ordering::Release);
        self.listener.stop();
        self.shared.open().iter().for_each(|connection| connection.leave_now());
        // A client has most of the time to take the frame that it is being sent, and is cut off then.
        if !self.shared.wait_for_connections(began + time_max * 2 / 3) {
            self.shared.open().iter().for_each(|connection| connection.close());
            if !self.shared.wait_for_connections(deadline) {
                return false;
            }
        }
        let done = self.shared.pool.stop(deadline);
        if done && let Some(accepting) = self.accepting.take() {
            return accepting.join().is_ok();
        }
        done
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.shared.is_stopping() {
            self.stop(Duration::from_secs(2));
        }
    }
}

fn accept(shared: &Arc<Shared>, listener: &dyn Listener) {
    /// After an accept that failed: descriptors or memory may be short for a while.
    const PAUSE: Duration = Duration::from_millis(50);
    while !shared.is_stopping() {
        match listener.accept() {
            Ok(stream) => admit(shared, stream),
            Err(error) => match error.kind() {
                io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
                _ if shared.is_stopping() => {}
                _ => thread::sleep(PAUSE),
            },
        }
    }
}

/// Starts the thread of a connection, if there may be one more.
fn admit(shared: &Arc<Shared>, stream: Arc<dyn Transport>) {
    let peer = stream.peer().unwrap_or_default();
    let limits = &shared.limits;
    let number = {
        let mut connections = shared.connections();
        let of_user = connections.by_user.get(&peer.uid).copied().unwrap_or(0);
        let full = connections.threads >= limits.connections_max;
        let stopping = shared.is_stopping();
        if stopping || full || of_user >= limits.connections_per_user_max {
            drop(connections);
            count(&shared.counters.refused);
            let full = "too many connections are open; try again later";
            connection::refuse(&*stream, if stopping { connection::STOPS } else { full });
            return;
        }
        connections.threads += 1;
        *connections.by_user.entry(peer.uid).or_default() += 1;
        connections.next += 1;
        connections.next
    };
    count(&shared.counters.connections);
    count(&shared.counters.connections_now);
    let admitted = Admitted { shared: shared.clone(), number, user: peer.uid };
    let thread = thread::Builder::new().name("ipc-connection".into()).stack_size(STACK_BYTES);
    let started = thread.spawn({
        let stream = stream.clone();
        move || connection::serve(&admitted.shared, stream, peer, admitted.number)
    });
    if started.is_err() {
        connection::refuse(&*stream, "no thread can be started; try again later");
    }
}

/// The place that a connection takes, given back when its thread ends, however it does.
struct Admitted {
    shared: Arc<Shared>,
    number: u64,
    user: Option<u32>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut connections = self.shared.connections();
        connections.threads -= 1;
        connections.open.remove(&self.number);
        if let Some(of_user) = connections.by_user.get_mut(&self.user) {
            *of_user -= 1;
            if *of_user == 0 {
                connections.by_user.remove(&self.user);
            }
        }
        drop(connections);
        less(&self.shared.counters.connections_now);
        self.shared.ended.notify_all();
    }
}
