//! The asking end of one connection.

mod backoff;
mod batch;
mod breaker;
mod clock;
mod collectors;
mod endpoint;
mod failover;
mod link;
mod scan;
mod subscription;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{Capabilities, Op, Query, ScanError, Stop, TableSchema};

use crate::events::{Interest, SourceFacts};
use crate::frame::{FrameError, FrameReader};
use crate::limits::{CREDIT, FRAME_BYTES_MAX, FRAME_TIME_MAX, VERSION_MAJOR, VERSION_MINOR};
use crate::proto::{self, answer, request};
use crate::transport::{ReadHalf, Transport, connect, write_all};
use crate::wire;
pub use backoff::BackoffSettings;
pub use breaker::{BreakerSettings, BreakerState};
pub use clock::{Clock, SystemClock};
pub use collectors::{CollectorStatus, Collectors, Settings};
pub use endpoint::Endpoint;
pub use failover::CollectorScan;
use link::{Incoming, Link};
pub use scan::RemoteScan;
pub use subscription::Subscription;

/// How long a client waits for signs of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// From the connection to the collector's hello.
    pub handshake_time_max: Duration,
    /// How often somebody who waits looks whether to stop.
    pub poll_every: Duration,
    /// Silence after which the collector is asked whether it lives.
    pub ping_after: Duration,
    /// How long it has to answer that.
    pub silence_max: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Timing {
            handshake_time_max: Duration::from_millis(900),
            poll_every: Duration::from_millis(50),
            ping_after: Duration::from_millis(200),
            silence_max: Duration::from_millis(650),
        }
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody listens there, or this user may not connect.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The collector does not want this client.
    #[error("refused: {0}")]
    Refused(String),
    /// What answers does not keep to the protocol.
    #[error("{0}")]
    Protocol(FrameError),
    /// Nothing answered in time.
    #[error("it did not answer within {0:?}")]
    Silent(Duration),
    /// The statement that wanted the connection was told to stop.
    #[error("{0}")]
    Stopped(Stop),
}

/// How one part of a collector is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The part: an event source, a table, the server.
    pub name: String,
    /// Whether it works.
    pub healthy: bool,
    /// What there is to say of it.
    pub detail: String,
}

impl From<Health> for proto::Part {
    fn from(health: Health) -> Self {
        proto::Part { name: health.name, healthy: health.healthy, detail: health.detail }
    }
}

/// What a collector said of itself.
#[derive(Clone, Debug)]
pub struct Hello {
    /// The collector's program and its version.
    pub program: (String, String),
    /// Stays the same when the collector is started again.
    pub collector_id: String,
    /// What people call it.
    pub collector_name: String,
    /// The protocol's version that it speaks, major and minor.
    pub version: (u32, u32),
    /// The tables that it serves to this client.
    pub tables: Vec<Arc<TableSchema>>,
    /// The event sources that this client may subscribe to.
    pub sources: Vec<SourceFacts>,
    /// What it filters by, as messages number it.
    pub(crate) filters: Vec<i32>,
    /// Bytes of the largest request that it takes.
    pub(crate) request_bytes_max: usize,
}

impl Hello {
    fn new(hello: proto::ServerHello) -> Result<Hello, String> {
        let program = hello.program.unwrap_or_default();
        let source = |s: proto::Source| SourceFacts {
            domain: wire::domain(s.domain),
            name: s.name,
            capabilities: Capabilities::from_bits_retain(s.capabilities),
        };
        let mut tables: Vec<Arc<TableSchema>> = Vec::with_capacity(hello.tables.len());
        for table in hello.tables {
            let table = wire::schema(table)?;
            if tables.iter().any(|known| known.name == table.name) {
                return Err(format!("the table {} is there twice", table.name));
            }
            tables.push(Arc::new(table));
        }
        let limits = hello.limits.unwrap_or_default();
        Ok(Hello {
            program: (program.name, program.version),
            collector_id: hello.collector_id,
            collector_name: hello.collector_name,
            version: (hello.major, hello.minor),
            tables,
            sources: hello.sources.into_iter().map(source).collect(),
            filters: hello.filters,
            request_bytes_max: match limits.request_bytes_max {
                0 => crate::REQUEST_BYTES_MAX as usize,
                most => most as usize,
            },
        })
    }

    /// The schema of a table.
    pub fn table(&self, name: &str) -> Option<&Arc<TableSchema>> {
        self.tables.iter().find(|t| t.name.eq_ignore_ascii_case(name))
    }

    /// Whether the collector tests every row by this operation, on whatever column.
    pub fn filters(&self, op: Op) -> bool {
        self.filters.contains(&wire::op(op))
    }

    /// Whether the other says the same of what is served.
    fn serves_the_same(&self, other: &Hello) -> bool {
        let tables = |hello: &Hello| hello.tables.iter().map(|t| wire::table(t)).collect::<Vec<_>>();
        self.filters == other.filters && tables(self) == tables(other)
    }
}

/// A connection to one collector, for many requests at once.
///
/// It has no thread of its own: of those who wait for an answer, one reads for all.
#[derive(Clone)]
pub struct Client {
    link: Arc<Link>,
    hello: Arc<Hello>,
}

impl Client {
    /// Connects to the collector that listens at a path.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub fn connect(path: &Path, timing: Timing) -> Result<Client, ConnectError> {
        Client::over(connect(path)?, timing)
    }

    /// Says hello over a stream that is connected.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub fn over(stream: Arc<dyn Transport>, timing: Timing) -> Result<Client, ConnectError> {
        Client::over_unless(stream, timing, || Ok(()))
    }

    /// [`Client::over`], given up as soon as `check` fails.
    pub(crate) fn over_unless(
        stream: Arc<dyn Transport>,
        timing: Timing,
        check: impl Fn() -> Result<(), Stop>,
    ) -> Result<Client, ConnectError> {
        let greeted = greet(&stream, timing, check);
        let (hello, reader) = greeted.inspect_err(|_| stream.shutdown())?;
        let link = Link::new(stream, reader, hello.collector_name.clone(), timing);
        Ok(Client { link: Arc::new(link), hello: Arc::new(hello) })
    }

    /// What the collector said of itself.
    pub fn hello(&self) -> &Arc<Hello> {
        &self.hello
    }

    /// The tables that it serves.
    pub fn tables(&self) -> &[Arc<TableSchema>] {
        &self.hello.tables
    }

    /// Whether the connection still stands, as far as is known.
    pub fn is_alive(&self) -> bool {
        self.link.is_alive()
    }

    /// Requests that run over this connection.
    pub fn in_flight(&self) -> usize {
        self.link.in_flight()
    }

    /// Bytes that wait to be read by their requests, or were begun to be received.
    pub fn held(&self) -> usize {
        self.link.held()
    }

    /// Ends the connection at once; what runs over it fails.
    pub fn abandon(&self) {
        self.link.die("it was given up");
    }

    /// Starts a scan. The query's run stops it, and its clock, deadline and notes are the scan's.
    ///
    /// # Errors
    /// [`ScanError::Unreachable`] when the connection is gone, [`ScanError::Failed`] when the table is not there
    /// or is not the one that the query was made for.
    pub fn scan(&self, table: &str, query: &Query) -> Result<RemoteScan, ScanError> {
        let name = &self.hello.collector_name;
        let Some(schema) = self.hello.table(table) else {
            return Err(ScanError::Failed(format!("the collector {name} has no table {table}")));
        };
        if !Arc::ptr_eq(schema, &query.schema) && !same_columns(schema, &query.schema) {
            let why = format!("the table {table} of the collector {name} has other columns now; ask anew");
            return Err(ScanError::Failed(why));
        }
        query.run.check()?;
        let scan = wire::scan(&schema.name, query, &self.hello.filters, self.hello.request_bytes_max);
        let credit = scan.credit;
        let id = self.link.begin(request::Body::Scan(scan), credit, || Ok(query.run.check()?))?;
        Ok(RemoteScan::new(self.link.clone(), id, query.run.clone()))
    }

    /// Subscribes to events.
    ///
    /// # Errors
    /// [`ScanError::Unreachable`] when the connection is gone; what the collector has against it comes with the
    /// first delivery.
    pub fn subscribe(&self, interest: &Interest) -> Result<Subscription, ScanError> {
        let asked = proto::Subscribe {
            domains: interest.domains.iter().map(|d| wire::domain_number(*d)).collect(),
            sources: interest.sources.clone(),
            credit: CREDIT,
        };
        let id = self.link.begin(request::Body::Subscribe(asked), CREDIT, || Ok(()))?;
        Ok(Subscription::new(self.link.clone(), id))
    }

    /// Asks how the collector's parts are.
    ///
    /// # Errors
    /// [`ScanError::Unreachable`] when it does not answer within `time_max`.
    pub fn health(&self, time_max: Duration) -> Result<Vec<Health>, ScanError> {
        match self.ask(request::Body::Health(proto::HealthRequest {}), time_max)? {
            Incoming::Health(parts) => Ok(parts),
            other => Err(self.link.unexpected(&other)),
        }
    }

    /// Asks for a change, and gives what the collector says of it; the inner error is why nothing was changed.
    ///
    /// # Errors
    /// [`ScanError::Unreachable`] when it does not answer within `time_max`: whether the change was made is not
    /// known then.
    pub fn act(
        &self,
        verb: &str,
        arguments: &[(&str, &str)],
        time_max: Duration,
    ) -> Result<Result<String, String>, ScanError> {
        let argument =
            |(name, value): &(&str, &str)| proto::Argument { name: (*name).into(), value: (*value).into() };
        let arguments = arguments.iter().map(argument).collect();
        match self.ask(request::Body::Act(proto::Act { verb: verb.into(), arguments }), time_max)? {
            Incoming::Acted(acted) => Ok(acted),
            Incoming::Unsupported(why) => Ok(Err(why)),
            other => Err(self.link.unexpected(&other)),
        }
    }

    /// The time that a request takes to the collector and back.
    ///
    /// # Errors
    /// [`ScanError::Unreachable`] when it does not answer within `time_max`.
    pub fn ping(&self, time_max: Duration) -> Result<Duration, ScanError> {
        let began = Instant::now();
        match self.ask(request::Body::Ping(proto::Ping {}), time_max)? {
            Incoming::Pong => Ok(began.elapsed()),
            other => Err(self.link.unexpected(&other)),
        }
    }

    fn ask(&self, body: request::Body, time_max: Duration) -> Result<Incoming, ScanError> {
        let began = Instant::now();
        let late = || match began.elapsed() >= time_max {
            true => Err(ScanError::Stopped(model::Stop::Deadline(time_max))),
            false => Ok(()),
        };
        let id = self.link.begin(body, 1, late)?;
        let answer = self.link.next(id, late);
        self.link.forget(id);
        answer
    }
}

/// Whether two schemas number the same columns alike.
pub(crate) fn same_columns(a: &TableSchema, b: &TableSchema) -> bool {
    let pairs = || a.columns.iter().zip(&b.columns);
    a.columns.len() == b.columns.len() && pairs().all(|(a, b)| a.name == b.name && a.kind == b.kind)
}

type Greeted = (Hello, FrameReader<ReadHalf>);

fn greet(
    stream: &Arc<dyn Transport>,
    timing: Timing,
    check: impl Fn() -> Result<(), Stop>,
) -> Result<Greeted, ConnectError> {
    let began = Instant::now();
    stream.set_timeouts(timing.poll_every, timing.poll_every)?;
    let hello = proto::ClientHello {
        major: VERSION_MAJOR,
        minor: VERSION_MINOR,
        program: Some(proto::Program {
            name: env!("CARGO_PKG_NAME").into(),
            version: env!("CARGO_PKG_VERSION").into(),
        }),
        frame_bytes_max: FRAME_BYTES_MAX,
    };
    let mut out = Vec::new();
    link::push(&mut out, 0, request::Body::Hello(hello));
    // A collector that refuses before it reads has closed its end: its reason is still there to be read.
    let written = write_all(&**stream, &out, timing.handshake_time_max);
    let mut reader = FrameReader::new(ReadHalf(stream.clone()), FRAME_BYTES_MAX, FRAME_TIME_MAX);
    let payload = loop {
        match reader.read() {
            Ok(Some(payload)) => break payload,
            Ok(None) if began.elapsed() < timing.handshake_time_max => {
                check().map_err(ConnectError::Stopped)?
            }
            Ok(None) => return Err(ConnectError::Silent(timing.handshake_time_max)),
            Err(_) if written.is_err() => return Err(written.err().map_or_else(closed, ConnectError::Io)),
            Err(FrameError::Io(error)) => return Err(error.into()),
            Err(error) => return Err(ConnectError::Protocol(error)),
        }
    };
    let malformed = |why: String| ConnectError::Protocol(FrameError::Malformed(why));
    let answer = wire::answer(payload).map_err(ConnectError::Protocol)?;
    match answer.body {
        Some(answer::Body::Hello(hello)) if hello.major != VERSION_MAJOR => {
            let theirs = hello.major;
            Err(malformed(format!("it speaks version {theirs} of the protocol, not {VERSION_MAJOR}")))
        }
        Some(answer::Body::Hello(hello)) => Ok((Hello::new(hello).map_err(malformed)?, reader)),
        Some(answer::Body::Refused(refused)) => Err(ConnectError::Refused(refused.reason)),
        _ => Err(malformed("the first answer is no hello".into())),
    }
}

/// Reads all that an answer holds, as tests of hostile answers want it.
pub(crate) fn decoded(answer: proto::Answer) -> Result<(), FrameError> {
    let malformed = |why: String| FrameError::Malformed(why);
    if let Some(answer::Body::Hello(hello)) = answer.body {
        return Hello::new(hello).map(drop).map_err(malformed);
    }
    if let Some(Incoming::Batch(batch)) = link::incoming(answer.body)? {
        let places = (0..batch.rows()).flat_map(|row| (0..64).map(move |column| (row, column)));
        places.for_each(|(row, column)| drop(batch.value(row, column).into_owned()));
    }
    Ok(())
}

fn closed() -> ConnectError {
    ConnectError::Protocol(FrameError::Closed)
}
