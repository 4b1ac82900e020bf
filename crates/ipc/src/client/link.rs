//! One connection, shared by all who ask over it.
//!
//! Who waits for an answer reads frames itself and hands those of others on; all others sleep until there is
//! something for them, or until the reader has what it wanted and one of them reads in its place. So an
//! answer needs no further thread to wake up, and a client that is not waiting costs nothing.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::ScanError;
use prost::Message;

use super::batch::Batch;
use super::{Health, Timing};
use crate::events::Delivery;
use crate::frame::{FrameError, FrameReader, append};
use crate::limits::CREDIT;
use crate::proto::{self, Request, answer, failure, request};
use crate::transport::{ReadHalf, Transport, write_some};
use crate::wire;

/// Answers of one request that are no batches: notes come before each batch, and a few more at the end.
const NOTES_WAITING_MAX: usize = 64;

/// Appends a request as a frame.
pub(super) fn push(out: &mut Vec<u8>, id: u64, body: request::Body) {
    append(out, |payload| {
        let _ = Request { id, body: Some(body) }.encode(payload);
    });
}

/// An answer to one request.
#[derive(Debug)]
pub(super) enum Incoming {
    Batch(Batch),
    Notes(Vec<proto::Note>),
    Events(Delivery),
    Health(Vec<Health>),
    Pong,
    End(Option<proto::Failure>),
    Unsupported(String),
    Acted(Result<String, String>),
}

impl Incoming {
    fn takes_credit(&self) -> bool {
        matches!(self, Incoming::Batch(_) | Incoming::Events(_))
    }

    fn bytes(&self) -> usize {
        match self {
            Incoming::Batch(batch) => batch.bytes(),
            _ => 0,
        }
    }
}

#[derive(Default)]
struct Slot {
    waiting: VecDeque<Incoming>,
    /// Batches that were granted and did not come yet.
    granted: u32,
}

struct State {
    slots: HashMap<u64, Slot>,
    /// Somebody reads.
    reading: bool,
    /// Why the connection is of no use any more.
    dead: Option<Dead>,
    heard: Instant,
    pinged: Option<Instant>,
    /// When somebody last read.
    read: Instant,
    /// The longest time in which something was waited for and nobody read.
    pause: Duration,
}

struct Dead {
    why: String,
    /// It did not close the connection, it just did not answer.
    silent: bool,
}

pub(super) struct Link {
    stream: Arc<dyn Transport>,
    name: String,
    timing: Timing,
    writing: Mutex<()>,
    frames: Mutex<FrameReader<ReadHalf>>,
    state: Mutex<State>,
    changed: Condvar,
    next_id: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    pub(super) fn new(
        stream: Arc<dyn Transport>,
        frames: FrameReader<ReadHalf>,
        name: String,
        timing: Timing,
    ) -> Link {
        let now = Instant::now();
        Link {
            stream,
            name,
            timing,
            writing: Mutex::default(),
            frames: Mutex::new(frames),
            state: Mutex::new(State {
                slots: HashMap::new(),
                reading: false,
                dead: None,
                heard: now,
                pinged: None,
                read: now,
                pause: Duration::ZERO,
            }),
            changed: Condvar::new(),
            next_id: AtomicU64::new(1),
        }
    }

    pub(super) fn is_alive(&self) -> bool {
        lock(&self.state).dead.is_none()
    }

    /// Whether the connection was given up because nothing came over it.
    pub(super) fn is_silent(&self) -> bool {
        lock(&self.state).dead.as_ref().is_some_and(|dead| dead.silent)
    }

    pub(super) fn in_flight(&self) -> usize {
        lock(&self.state).slots.len()
    }

    pub(super) fn held(&self) -> usize {
        let begun = self.frames.try_lock().map_or(0, |frames| frames.held());
        let waiting = |slot: &Slot| slot.waiting.iter().map(Incoming::bytes).sum::<usize>();
        begun + lock(&self.state).slots.values().map(waiting).sum::<usize>()
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn lost(&self, why: impl Into<String>) -> ScanError {
        ScanError::Unreachable { collector: self.name.clone(), why: why.into() }
    }

    /// An answer that does not belong to its request.
    pub(super) fn unexpected(&self, answer: &Incoming) -> ScanError {
        match answer {
            Incoming::End(Some(failure)) => wire::scan_error(failure.clone()),
            Incoming::Unsupported(why) => ScanError::Failed(format!("{}: {why}", self.name)),
            _ => ScanError::Failed(format!("the collector {} gave an answer of the wrong kind", self.name)),
        }
    }

    /// Sends a request; its answers are kept until they are asked for or the id is forgotten.
    /// While the collector takes nothing, `check` is asked every few ms, and its error ends the wait.
    pub(super) fn begin(
        &self,
        body: request::Body,
        credit: u32,
        check: impl Fn() -> Result<(), ScanError>,
    ) -> Result<u64, ScanError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        {
            let mut state = lock(&self.state);
            if let Some(dead) = &state.dead {
                return Err(self.lost(&dead.why));
            }
            if state.slots.is_empty() {
                // Nobody listened until now, so silence says nothing.
                (state.heard, state.pinged, state.pause) = (Instant::now(), None, Duration::ZERO);
            }
            state.slots.insert(id, Slot { waiting: VecDeque::new(), granted: credit });
        }
        let mut out = Vec::new();
        push(&mut out, id, body);
        self.write(&out, check).inspect_err(|_| self.forget(id))?;
        Ok(id)
    }

    /// Sends what needs no answer.
    pub(super) fn tell(&self, id: u64, body: request::Body) -> Result<(), ScanError> {
        let mut out = Vec::new();
        push(&mut out, id, body);
        self.write(&out, || Ok(()))
    }

    fn write(&self, frames: &[u8], check: impl Fn() -> Result<(), ScanError>) -> Result<(), ScanError> {
        let writing = lock(&self.writing);
        let began = Instant::now();
        let mut left = frames;
        let written = loop {
            // One write time-out long, so that somebody who waits notices soon that nobody needs it any more.
            match write_some(&*self.stream, &mut left) {
                Ok(()) if left.is_empty() => break Ok(()),
                Ok(()) => {}
                Err(error) => break Err(error),
            }
            if let Err(stop) = check() {
                if left.len() < frames.len() {
                    // What was written of a frame cannot be taken back, so nothing may follow it.
                    self.die("a request was given up half-way");
                }
                return Err(stop);
            }
            if began.elapsed() > self.timing.silence_max {
                break Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes nothing"));
            }
        };
        drop(writing);
        written.map_err(|error| {
            if has_gone(&error) {
                // What it sent before it closed its end is still to be read, and the last of that is why it did.
                while self.is_alive() && check().is_ok() && began.elapsed() <= self.timing.silence_max {
                    self.take_turn(lock(&self.state));
                }
            }
            self.die(&format!("it takes no requests: {error}"))
        })
    }

    /// Drops the answers of a request.
    pub(super) fn forget(&self, id: u64) {
        lock(&self.state).slots.remove(&id);
    }

    /// Allows the collector to send ahead again, when it may send little more.
    pub(super) fn replenish(&self, id: u64) -> Result<(), ScanError> {
        let more = {
            let mut state = lock(&self.state);
            let Some(slot) = state.slots.get_mut(&id) else { return Ok(()) };
            let ahead = slot.granted + slot.waiting.iter().filter(|i| i.takes_credit()).count() as u32;
            let more = if ahead > CREDIT / 2 { 0 } else { CREDIT - ahead };
            slot.granted += more;
            more
        };
        if more == 0 {
            return Ok(());
        }
        self.tell(id, request::Body::Credit(proto::Credit { batches: more }))
    }

    /// Ends the connection. The first reason is the one that is told.
    pub(super) fn die(&self, why: &str) -> ScanError {
        self.end(Dead { why: why.to_owned(), silent: false })
    }

    fn end(&self, dead: Dead) -> ScanError {
        let lost = self.lost(&lock(&self.state).dead.get_or_insert(dead).why);
        self.stream.shutdown();
        self.changed.notify_all();
        lost
    }

    /// The next answer to a request, or the first error of `check`, which is asked every few ms.
    pub(super) fn next(
        &self,
        id: u64,
        check: impl Fn() -> Result<(), ScanError>,
    ) -> Result<Incoming, ScanError> {
        loop {
            let mut state = lock(&self.state);
            if let Some(answer) = state.slots.get_mut(&id).and_then(|slot| slot.waiting.pop_front()) {
                return Ok(answer);
            }
            if let Some(dead) = &state.dead {
                return Err(self.lost(&dead.why));
            }
            if self.take_turn(state) {
                check()?;
                self.listen()?;
            }
        }
    }

    /// Reads a frame, or waits for a moment while another thread does; whether the connection still serves.
    fn take_turn(&self, mut state: MutexGuard<'_, State>) -> bool {
        if state.reading {
            let every = self.timing.poll_every;
            drop(self.changed.wait_timeout(state, every).unwrap_or_else(PoisonError::into_inner));
            return true;
        }
        state.reading = true;
        let unread = state.read.elapsed();
        state.pause = state.pause.max(unread.min(state.heard.elapsed()));
        drop(state);
        let turn = Turn(self);
        let read = self.read(unread);
        drop(turn);
        read.map_err(|error| self.die(&self.reason(&error))).is_ok()
    }

    /// Why the connection is of no use any more: a collector that is not read from for long cuts a frame off.
    fn reason(&self, error: &FrameError) -> String {
        let pause = lock(&self.state).pause;
        match error {
            FrameError::Truncated if pause > self.timing.silence_max => {
                format!("{error}; for {} s nothing had been read from it", pause.as_secs())
            }
            _ => error.to_string(),
        }
    }

    /// Reads one frame, if one comes, and puts it where it belongs.
    fn read(&self, unread: Duration) -> Result<(), FrameError> {
        let mut frames = lock(&self.frames);
        // Nobody may have read for long, for which the collector is not to blame.
        if unread > 4 * self.timing.poll_every {
            frames.resume();
        }
        let payload = frames.read();
        drop(frames);
        let Some(payload) = payload? else { return Ok(()) };
        let answer = wire::answer(payload)?;
        self.place(answer.id, answer.body)
    }

    fn place(&self, id: u64, body: Option<answer::Body>) -> Result<(), FrameError> {
        let incoming = incoming(body)?;
        let mut state = lock(&self.state);
        (state.heard, state.pinged) = (Instant::now(), None);
        let Some(incoming) = incoming else { return Ok(()) };
        // Of a request that was given up, or the answer to a heartbeat.
        let Some(slot) = state.slots.get_mut(&id) else { return Ok(()) };
        if incoming.takes_credit() {
            let left = slot.granted.checked_sub(1);
            slot.granted = left.ok_or_else(|| malformed("it sent more batches than were asked for"))?;
        } else if slot.waiting.len() >= NOTES_WAITING_MAX {
            return Err(malformed("it sent more answers than were asked for"));
        }
        slot.waiting.push_back(incoming);
        Ok(())
    }

    /// Asks a silent collector whether it lives; an error when it did not answer that.
    fn listen(&self) -> Result<(), ScanError> {
        let mut state = lock(&self.state);
        match state.pinged {
            Some(pinged) if pinged.elapsed() >= self.timing.silence_max => {
                let silence: Duration = state.heard.elapsed();
                drop(state);
                let why = format!("it gave no sign of life for {} ms", silence.as_millis());
                Err(self.end(Dead { why, silent: true }))
            }
            None if state.heard.elapsed() >= self.timing.ping_after => {
                state.pinged = Some(Instant::now());
                drop(state);
                self.tell(self.next_id.fetch_add(1, Ordering::Relaxed), request::Body::Ping(proto::Ping {}))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a write failed because the peer closed its end.
fn has_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionReset | ConnectionAborted)
}

fn malformed(why: &str) -> FrameError {
    FrameError::Malformed(why.to_owned())
}

/// What a message says to the request that it answers; `None` for what is of no concern to any.
pub(super) fn incoming(body: Option<answer::Body>) -> Result<Option<Incoming>, FrameError> {
    use answer::Body;
    let health = |p: proto::Part| Health { name: p.name, healthy: p.healthy, detail: p.detail };
    Ok(Some(match body {
        Some(Body::Batch(batch)) => Incoming::Batch(Batch::new(batch).map_err(malformed)?),
        Some(Body::Notes(notes)) => Incoming::Notes(notes.notes),
        Some(Body::Events(events)) => Incoming::Events(wire::delivered(events).map_err(malformed)?),
        Some(Body::Health(parts)) => Incoming::Health(parts.parts.into_iter().map(health).collect()),
        Some(Body::Pong(_)) => Incoming::Pong,
        Some(Body::End(end)) => Incoming::End(end.failure),
        Some(Body::Acted(acted)) if acted.done => Incoming::Acted(Ok(acted.text)),
        Some(Body::Acted(acted)) => Incoming::Acted(Err(acted.text)),
        Some(Body::Unsupported(why)) => Incoming::Unsupported(why.reason),
        Some(Body::Refused(refused)) => {
            return Err(FrameError::Ended(refused.reason));
        }
        // A second hello, or something newer than this program.
        Some(Body::Hello(_)) | None => return Ok(None),
    }))
}

/// Whether a failure says that the collector had too much to do.
pub(super) fn is_busy(failure: &proto::Failure) -> bool {
    matches!(failure.kind, Some(failure::Kind::Busy(_)))
}

/// The turn of one thread to read for all.
struct Turn<'l>(&'l Link);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        (state.reading, state.read) = (false, Instant::now());
        drop(state);
        self.0.changed.notify_all();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.stream.shutdown();
    }
}
