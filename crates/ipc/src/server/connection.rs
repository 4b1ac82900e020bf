//! One connection: its handshake, its requests, and the one place that writes to it.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::TableSchema;
use prost::Message;

use super::running::Running;
use super::{Offer, Shared, TICK, events, scan};
use crate::frame::{FrameError, FrameReader, append};
use crate::limits::{
    CLIENT_HELLO_BYTES_MAX, FRAME_BYTES_MAX, REQUEST_BYTES_MAX, VERSION_MAJOR, VERSION_MINOR,
};
use crate::metrics::{add, count};
use crate::proto::{self, Answer, answer, request};
use crate::transport::{Peer, ReadHalf, Transport, write_all, write_while};
use crate::wire::{self, Grant};

/// How long a peer that is refused has to take the reason.
const REFUSAL_TIME_MAX: Duration = Duration::from_millis(200);
/// How long a client that was told that the server stops has to close its end.
const LINGER_TIME_MAX: Duration = Duration::from_millis(500);
/// What a client is told when the server is stopped.
pub(super) const STOPS: &str = "the collector stops";

/// Appends an answer as a frame.
pub(super) fn push(out: &mut Vec<u8>, id: u64, body: answer::Body) {
    // Growing a Vec is the only way in which encoding could fail, and a Vec grows.
    append(out, |payload| {
        let _ = Answer { id, body: Some(body) }.encode(payload);
    });
}

/// Tells a peer why its connection ends, and ends it.
pub(super) fn refuse(stream: &dyn Transport, reason: &str) {
    let mut out = Vec::new();
    push(&mut out, 0, answer::Body::Refused(proto::Refused { reason: reason.into() }));
    if stream.set_timeouts(REFUSAL_TIME_MAX, REFUSAL_TIME_MAX).is_ok() {
        let _ = write_all(stream, &out, REFUSAL_TIME_MAX);
    }
    stream.shutdown();
}

/// An open connection, as its scans and subscriptions see it.
pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    stream: Arc<dyn Transport>,
    /// Whose scans these are.
    user: Option<u32>,
    peer: Peer,
    /// One frame after the other: a frame is never torn by another.
    writing: Mutex<()>,
    gone: AtomicBool,
    running: Mutex<HashMap<u64, Arc<Running>>>,
    offer: Offer,
    /// Bytes of the largest payload that the client takes.
    frame_bytes_max: AtomicU32,
}

impl Connection {
    fn running(&self) -> MutexGuard<'_, HashMap<u64, Arc<Running>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes whole frames. The error is that the connection is gone.
    pub(super) fn send(&self, frames: &[u8]) -> Result<(), io::Error> {
        self.send_of(None, frames)
    }

    /// The same, of a request: as long as its rows are wanted, the client may take its time, as one does whose reader
    /// pages.
    pub(super) fn send_for(&self, request: &Running, frames: &[u8]) -> Result<(), io::Error> {
        self.send_of(Some(request), frames)
    }

    fn send_of(&self, request: Option<&Running>, frames: &[u8]) -> Result<(), io::Error> {
        let writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.gone.load(Ordering::Acquire) {
            return Err(io::ErrorKind::NotConnected.into());
        }
        self.write(request, frames)?;
        add(&self.shared.counters.bytes_sent, frames.len() as u64);
        if self.shared.is_stopping() {
            self.say_goodbye(writing);
        }
        Ok(())
    }

    /// Writes whole frames, by whoever holds `writing`, or closes the connection.
    fn write(&self, request: Option<&Running>, frames: &[u8]) -> Result<(), io::Error> {
        let is_wanted = |waited| {
            request.is_some_and(|request| request.run.check().is_ok() && waited <= self.patience(request))
        };
        let time_max = self.shared.limits.write_time_max;
        // What was written of a frame cannot be taken back, so nothing may follow it.
        write_while(&*self.stream, frames, time_max, is_wanted).inspect_err(|_| self.close())
    }

    /// How long a client may take none of the rows that it wants: not long while its scan has a thread for which
    /// another waits.
    pub(super) fn patience(&self, request: &Running) -> Duration {
        let limits = &self.shared.limits;
        let is_lacked = request.is_pooled && self.shared.pool.lacks_threads(self.user);
        if is_lacked { limits.write_time_max } else { limits.stall_time_max }
    }

    fn answer(&self, id: u64, body: answer::Body) {
        let mut out = Vec::new();
        push(&mut out, id, body);
        // A connection that is gone ends in its reader.
        let _ = self.send(&out);
    }

    /// Bytes of the largest payload that the client takes.
    pub(super) fn frame_bytes_max(&self) -> usize {
        self.frame_bytes_max.load(Ordering::Relaxed) as usize
    }

    /// Tells the client that the server stops, and ends what runs for it, if that takes no wait. Otherwise who
    /// writes does so after its frame, or the reader at its next look.
    pub(super) fn leave_now(&self) {
        if let Ok(writing) = self.writing.try_lock()
            && self.stream.takes_more()
        {
            self.say_goodbye(writing);
        }
    }

    /// Does so once the client has taken the frame that is under way, or the connection was closed.
    fn leave(&self) {
        self.say_goodbye(self.writing.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn say_goodbye(&self, writing: MutexGuard<'_, ()>) {
        if !self.gone.load(Ordering::Acquire) {
            let mut out = Vec::new();
            push(&mut out, 0, answer::Body::Refused(proto::Refused { reason: STOPS.into() }));
            // A client that takes nothing finds the end alone.
            let _ = self.write(None, &out);
            self.gone.store(true, Ordering::Release);
        }
        drop(writing);
        // The reader closes the stream, after a while.
        self.cancel_all();
    }

    fn cancel_all(&self) {
        let running: Vec<_> = self.running().values().cloned().collect();
        running.iter().for_each(|request| request.cancel());
    }

    /// Ends the connection and everything that runs for it.
    pub(super) fn close(&self) {
        self.gone.store(true, Ordering::Release);
        self.stream.shutdown();
        self.cancel_all();
    }

    /// Forgets a request that ended.
    pub(super) fn done(&self, id: u64) {
        self.running().remove(&id);
    }

    fn end(&self, id: u64, failure: proto::failure::Kind) {
        let failure = Some(proto::Failure { kind: Some(failure) });
        self.answer(id, answer::Body::End(proto::End { rows: 0, failure }));
    }

    fn busy(&self, id: u64, what: &str) {
        count(&self.shared.counters.busy);
        self.end(id, proto::failure::Kind::Busy(what.into()));
    }

    /// Notes a request as running, unless too many do.
    fn begin(&self, id: u64, request: &Arc<Running>) -> Result<bool, FrameError> {
        let mut running = self.running();
        if running.contains_key(&id) {
            return Err(FrameError::Malformed(format!("the id {id} is in use")));
        }
        let places = running.values().filter(|request| !request.has_ended()).count();
        if places >= self.shared.limits.requests_per_connection_max {
            return Ok(false);
        }
        running.insert(id, request.clone());
        drop(running);
        // `close` may have gone through the list just before.
        if self.gone.load(Ordering::Acquire) {
            request.cancel();
        }
        Ok(true)
    }

    fn dispatch(self: &Arc<Self>, message: proto::Request) -> Result<(), FrameError> {
        use request::Body;
        let id = message.id;
        count(&self.shared.counters.requests);
        match message.body {
            Some(Body::Scan(asked)) => self.scan(id, asked)?,
            Some(Body::Subscribe(asked)) => self.subscribe(id, asked)?,
            Some(Body::Cancel(_)) => {
                let request = self.running().get(&id).cloned();
                request.iter().for_each(|r| r.cancel());
            }
            Some(Body::Credit(more)) => {
                let request = self.running().get(&id).cloned();
                request.iter().for_each(|r| r.grant(more.batches));
            }
            Some(Body::Ping(_)) => self.answer(id, answer::Body::Pong(proto::Pong {})),
            Some(Body::Health(_)) => {
                let parts = self.shared.service.health().into_iter().map(Into::into).collect();
                self.answer(id, answer::Body::Health(proto::Health { parts }));
            }
            Some(Body::Act(asked)) => self.act(id, asked),
            // A second hello says nothing new.
            Some(Body::Hello(_)) => {}
            None => {
                count(&self.shared.counters.unsupported);
                let reason = "this collector does not know this kind of request".into();
                self.answer(id, answer::Body::Unsupported(proto::Unsupported { reason }));
            }
        }
        Ok(())
    }

    fn table(&self, name: &str) -> Option<&Arc<TableSchema>> {
        self.offer.tables.iter().find(|t| t.name == name)
    }

    fn scan(self: &Arc<Self>, id: u64, asked: proto::Scan) -> Result<(), FrameError> {
        let limits = &self.shared.limits;
        let Some(schema) = self.table(&asked.table) else {
            let why = format!("this collector offers no table {}", asked.table);
            self.end(id, proto::failure::Kind::Failed(why));
            return Ok(());
        };
        let grant = Grant { time_max: limits.scan_time_max, memory_bytes_max: limits.scan_memory_bytes_max };
        let asked = wire::query(asked, schema, grant).map_err(FrameError::Malformed)?;
        let running = Running::scan(asked.query.run.clone(), asked.credit);
        if !self.begin(id, &running)? {
            self.busy(id, "too many requests run on this connection");
            return Ok(());
        }
        let job = {
            let connection = self.clone();
            Box::new(move || scan::run(&connection, id, &running, &asked))
        };
        if self.shared.pool.submit(self.user, job).is_err() {
            self.done(id);
            self.busy(id, "too many scans wait");
        }
        Ok(())
    }

    /// A change waits for its disk, so it is made where scans run.
    fn act(self: &Arc<Self>, id: u64, asked: proto::Act) {
        let job = {
            let connection = self.clone();
            Box::new(move || {
                let arguments: Vec<_> = asked.arguments.into_iter().map(|a| (a.name, a.value)).collect();
                let acted = connection.shared.service.act(&connection.peer, &asked.verb, &arguments);
                let done = acted.is_ok();
                let text = acted.unwrap_or_else(|why| why);
                connection.answer(id, answer::Body::Acted(proto::Acted { done, text }));
            })
        };
        if self.shared.pool.submit(self.user, job).is_err() {
            self.busy(id, "too many requests wait");
        }
    }

    fn subscribe(self: &Arc<Self>, id: u64, asked: proto::Subscribe) -> Result<(), FrameError> {
        let running = Running::subscription(asked.credit);
        if !self.begin(id, &running)? {
            self.busy(id, "too many requests run on this connection");
        } else if let Err(why) = events::start(self, id, &running, asked, &self.offer) {
            self.done(id);
            self.end(id, why);
        }
        Ok(())
    }
}

/// Serves one connection until it ends.
pub(super) fn serve(shared: &Arc<Shared>, stream: Arc<dyn Transport>, peer: Peer, number: u64) {
    if let Err(error) = converse(shared, &stream, &peer, number) {
        shared.frames.count(&error);
        if !matches!(error, FrameError::Closed) {
            shared.service.ended(&peer, &error);
            // The peer may be an honest one of another version: it is told.
            refuse(&*stream, &error.to_string());
        }
    }
    stream.shutdown();
}

fn converse(
    shared: &Arc<Shared>,
    stream: &Arc<dyn Transport>,
    peer: &Peer,
    number: u64,
) -> Result<(), FrameError> {
    let limits = &shared.limits;
    stream.set_timeouts(TICK.min(limits.handshake_time_max), TICK.min(limits.write_time_max))?;
    let half = ReadHalf(stream.clone());
    let mut reader = FrameReader::new(half, CLIENT_HELLO_BYTES_MAX, limits.frame_time_max);
    let Some(connection) = handshake(shared, stream, peer, number, &mut reader)? else { return Ok(()) };
    reader.set_most(REQUEST_BYTES_MAX);
    let ended = requests(&connection, &mut reader);
    if shared.is_stopping() {
        connection.leave();
        linger(&mut reader);
    }
    if let Err(error) = &ended
        && !matches!(error, FrameError::Closed)
    {
        let mut out = Vec::new();
        push(&mut out, 0, answer::Body::Refused(proto::Refused { reason: error.to_string() }));
        let _ = connection.send(&out);
    }
    connection.close();
    ended
}

/// Reads on, for nothing, until the client has taken the reason and closed its end: one that is writing would
/// otherwise find a broken pipe before it.
fn linger(reader: &mut FrameReader<ReadHalf>) {
    let began = Instant::now();
    while began.elapsed() < LINGER_TIME_MAX && reader.read().is_ok() {}
}

fn requests(connection: &Arc<Connection>, reader: &mut FrameReader<ReadHalf>) -> Result<(), FrameError> {
    while !connection.gone.load(Ordering::Acquire) && !connection.shared.is_stopping() {
        if let Some(payload) = reader.read()? {
            connection.dispatch(wire::request(payload)?)?;
        }
    }
    Ok(())
}

/// The connection of a peer that is let in.
fn handshake(
    shared: &Arc<Shared>,
    stream: &Arc<dyn Transport>,
    peer: &Peer,
    number: u64,
    reader: &mut FrameReader<ReadHalf>,
) -> Result<Option<Arc<Connection>>, FrameError> {
    let refused = |reason: &str| {
        count(&shared.counters.refused);
        refuse(&**stream, reason);
    };
    let began = Instant::now();
    let payload = loop {
        if let Some(payload) = reader.read()? {
            break payload;
        }
        if shared.is_stopping() {
            refused(STOPS);
            return Ok(None);
        }
        if began.elapsed() > shared.limits.handshake_time_max {
            return Err(FrameError::TooSlow(shared.limits.handshake_time_max));
        }
    };
    let Some(request::Body::Hello(hello)) = wire::request(payload)?.body else {
        return Err(FrameError::Malformed("the first message is no hello".into()));
    };
    if hello.major != VERSION_MAJOR {
        refused(&format!(
            "this collector speaks version {VERSION_MAJOR} of the protocol, not {}",
            hello.major
        ));
        return Ok(None);
    }
    let offer = match shared.service.peer(peer) {
        Ok(offer) => offer,
        Err(reason) => {
            refused(&reason);
            return Ok(None);
        }
    };
    let most = if hello.frame_bytes_max == 0 { FRAME_BYTES_MAX } else { hello.frame_bytes_max };
    let mut out = Vec::new();
    push(&mut out, 0, answer::Body::Hello(server_hello(shared, &offer)));
    let connection = Arc::new(Connection {
        shared: shared.clone(),
        stream: stream.clone(),
        user: peer.uid,
        peer: *peer,
        writing: Mutex::default(),
        gone: AtomicBool::new(false),
        running: Mutex::default(),
        offer,
        frame_bytes_max: AtomicU32::new(most.min(FRAME_BYTES_MAX)),
    });
    shared.connections().open.insert(number, Arc::downgrade(&connection));
    connection.send(&out)?;
    Ok(Some(connection))
}

fn server_hello(shared: &Shared, offer: &Offer) -> proto::ServerHello {
    let identity = shared.service.identity();
    let source = |s: &crate::SourceFacts| proto::Source {
        name: s.name.clone(),
        domain: s.domain.map_or(0, wire::domain_number),
        capabilities: s.capabilities.bits(),
    };
    proto::ServerHello {
        major: VERSION_MAJOR,
        minor: VERSION_MINOR,
        program: Some(proto::Program { name: identity.program, version: identity.version }),
        collector_id: identity.id,
        collector_name: identity.name,
        limits: Some(proto::Limits {
            request_bytes_max: REQUEST_BYTES_MAX,
            requests_max: shared.limits.requests_per_connection_max as u32,
        }),
        tables: offer.tables.iter().map(|t| wire::table(t)).collect(),
        filters: wire::ops(),
        sources: offer.sources.iter().map(source).collect(),
    }
}
