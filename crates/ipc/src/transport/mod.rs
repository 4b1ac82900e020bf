//! The stream below the frames: a local socket, or a pipe in memory.

mod pipe;
mod socket;

use std::io::{self, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use pipe::{PipeListener, pipe};
pub use socket::{Bind, SocketListener, connect};

/// Who is at the other end, as the system tells it and not as the peer claims.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Effective user id when it connected; `None` where the system does not tell.
    pub uid: Option<u32>,
    /// Effective group id when it connected.
    pub gid: Option<u32>,
    /// Process id.
    pub pid: Option<u32>,
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let part = |id: Option<u32>| id.map_or_else(|| "unknown".into(), |id| id.to_string());
        write!(f, "uid {}, gid {}, pid {}", part(self.uid), part(self.gid), part(self.pid))
    }
}

/// A connected stream of bytes, both halves of which are used by reference.
pub trait Transport: Send + Sync {
    /// Reads what there is, waiting at most for the read time-out (`WouldBlock` or `TimedOut` then). 0: the end.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;
    /// Writes what fits, waiting at most for the write time-out.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;
    /// Whether a write of a short frame would not have to wait.
    fn takes_more(&self) -> bool;
    /// How long a read and a write wait.
    fn set_timeouts(&self, read: Duration, write: Duration) -> io::Result<()>;
    /// Who is at the other end.
    fn peer(&self) -> io::Result<Peer>;
    /// Ends both directions; whoever waits in a read or write comes back.
    fn shutdown(&self);
}

/// Where connections come from.
pub trait Listener: Send + Sync {
    /// The next connection; `WouldBlock` or `TimedOut` when none came for a while.
    fn accept(&self) -> io::Result<Arc<dyn Transport>>;
    /// Lets a waiting [`Listener::accept`] come back, and refuses what connects from now on.
    fn stop(&self);
}

/// The reading half, for a frame reader.
#[derive(Clone)]
pub(crate) struct ReadHalf(pub(crate) Arc<dyn Transport>);

impl Read for ReadHalf {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

/// Writes what the peer takes within the write time-out, and shortens `bytes` by it.
pub(crate) fn write_some(stream: &dyn Transport, bytes: &mut &[u8]) -> io::Result<()> {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    match stream.write(bytes) {
        Ok(0) => Err(io::ErrorKind::WriteZero.into()),
        Ok(written) => {
            *bytes = &bytes[written..];
            Ok(())
        }
        Err(error) if matches!(error.kind(), Interrupted | TimedOut | WouldBlock) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Writes all of it within `time_max`, however slowly the peer takes it.
pub(crate) fn write_all(stream: &dyn Transport, bytes: &[u8], time_max: Duration) -> io::Result<()> {
    write_while(stream, bytes, time_max, |_| false)
}

/// Writes all of it within `time_max` of the last time at which it was still wanted, of which `is_wanted` is asked
/// after each wait, with the time since the beginning.
pub(crate) fn write_while(
    stream: &dyn Transport,
    mut bytes: &[u8],
    time_max: Duration,
    is_wanted: impl Fn(Duration) -> bool,
) -> io::Result<()> {
    // The usual write is whole at the first try, and needs no clock.
    write_some(stream, &mut bytes)?;
    let began = Instant::now();
    let mut wanted = began;
    while !bytes.is_empty() {
        write_some(stream, &mut bytes)?;
        if is_wanted(began.elapsed()) {
            wanted = Instant::now();
        } else if !bytes.is_empty() && wanted.elapsed() > time_max {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes nothing"));
        }
    }
    Ok(())
}
