//! A connection within this process, as bounded as a socket's.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Listener, Peer, Transport};

/// Bytes that a direction holds, as many as a socket's buffer.
const PIPE_BYTES_MAX: usize = 128 << 10;
/// Connections that wait to be accepted.
const BACKLOG: usize = 64;
/// How long an accept waits before it looks whether it has to stop.
const ACCEPT_WAIT: Duration = Duration::from_millis(100);

#[derive(Default)]
struct Way {
    state: Mutex<WayState>,
    changed: Condvar,
}

#[derive(Default)]
struct WayState {
    bytes: VecDeque<u8>,
    closed: bool,
}

impl Way {
    fn until<T>(
        &self,
        wait: Duration,
        mut step: impl FnMut(&mut WayState) -> Option<io::Result<T>>,
    ) -> io::Result<T> {
        let deadline = Instant::now() + wait;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(done) = step(&mut state) {
                self.changed.notify_all();
                return done;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.changed.notify_all();
    }
}

/// One end of a pipe. Dropping it closes the pipe.
struct End {
    incoming: Arc<Way>,
    outgoing: Arc<Way>,
    timeouts: Mutex<(Duration, Duration)>,
    peer: Peer,
}

impl End {
    fn timeouts(&self) -> (Duration, Duration) {
        *self.timeouts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transport for End {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.incoming.until(self.timeouts().0, |state| {
            let count = buffer.len().min(state.bytes.len());
            for (place, byte) in buffer.iter_mut().zip(state.bytes.drain(..count)) {
                *place = byte;
            }
            (count > 0 || state.closed).then_some(Ok(count))
        })
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.outgoing.until(self.timeouts().1, |state| {
            if state.closed {
                return Some(Err(io::ErrorKind::BrokenPipe.into()));
            }
            let count = bytes.len().min(PIPE_BYTES_MAX - state.bytes.len());
            state.bytes.extend(&bytes[..count]);
            (count > 0 || bytes.is_empty()).then_some(Ok(count))
        })
    }

    fn takes_more(&self) -> bool {
        let state = self.outgoing.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.bytes.len() <= PIPE_BYTES_MAX / 2
    }

    fn set_timeouts(&self, read: Duration, write: Duration) -> io::Result<()> {
        *self.timeouts.lock().unwrap_or_else(PoisonError::into_inner) = (read, write);
        Ok(())
    }

    fn peer(&self) -> io::Result<Peer> {
        Ok(self.peer)
    }

    fn shutdown(&self) {
        self.incoming.close();
        self.outgoing.close();
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.shutdown();
    }
}

/// Both ends of a connection; each sees the other as `peer`.
pub fn pipe(peer: Peer) -> (Arc<dyn Transport>, Arc<dyn Transport>) {
    let (there, back) = (Arc::new(Way::default()), Arc::new(Way::default()));
    let end = |incoming: &Arc<Way>, outgoing: &Arc<Way>| -> Arc<dyn Transport> {
        let timeouts = Mutex::new((Duration::from_secs(1), Duration::from_secs(1)));
        Arc::new(End { incoming: incoming.clone(), outgoing: outgoing.clone(), timeouts, peer })
    };
    (end(&back, &there), end(&there, &back))
}

/// A listener whose clients are in the same process.
pub struct PipeListener {
    waiting: Mutex<Receiver<Arc<dyn Transport>>>,
    connect: SyncSender<Arc<dyn Transport>>,
    stopped: Mutex<bool>,
}

impl PipeListener {
    /// A listener.
    #[allow(clippy::new_without_default, reason = "a listener without a use is nothing to default to")]
    pub fn new() -> PipeListener {
        let (connect, waiting) = sync_channel(BACKLOG);
        PipeListener { waiting: Mutex::new(waiting), connect, stopped: Mutex::new(false) }
    }

    /// Connects to it as `peer`.
    ///
    /// # Errors
    /// `ConnectionRefused` when it has stopped or too many wait.
    pub fn connect(&self, peer: Peer) -> io::Result<Arc<dyn Transport>> {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        if *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(refused());
        }
        let (client, server) = pipe(peer);
        self.connect.try_send(server).map_err(|_| refused())?;
        Ok(client)
    }
}

impl Listener for PipeListener {
    fn accept(&self) -> io::Result<Arc<dyn Transport>> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.recv_timeout(ACCEPT_WAIT).map_err(|_| io::ErrorKind::TimedOut.into())
    }

    fn stop(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        if let Ok(waiting) = self.waiting.try_lock() {
            waiting.try_iter().for_each(|connection| connection.shutdown());
        }
    }
}
