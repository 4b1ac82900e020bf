//! Local sockets with a path. Abstract names are never used: anybody may bind one, and no mode guards it.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use interprocess::ConnectWaitMode;
use interprocess::local_socket::prelude::*;
use interprocess::local_socket::{
    self, ConnectOptions, GenericFilePath, ListenerNonblockingMode, ListenerOptions, Stream,
};
use interprocess::os::unix::local_socket::ListenerOptionsExt;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Gid, Mode};

use super::{Listener, Peer, Transport};

/// How long a connect waits for a listener whose queue is full.
const CONNECT_WAIT: Duration = Duration::from_millis(500);
/// How long an accept waits before it looks whether it has to stop.
const ACCEPT_WAIT: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

struct Socket(Stream);

/// Connects to the collector that listens at a path.
///
/// # Errors
/// `NotFound` or `ConnectionRefused` when none does, `PermissionDenied` when the path is not for this user.
pub fn connect(path: &Path) -> io::Result<Arc<dyn Transport>> {
    let name = path.to_fs_name::<GenericFilePath>()?;
    let options = ConnectOptions::new().name(name).wait_mode(ConnectWaitMode::Timeout(CONNECT_WAIT));
    Ok(Arc::new(Socket(options.connect_sync()?)))
}

impl Transport for Socket {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.0).read(buffer)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        (&self.0).write(bytes)
    }

    fn takes_more(&self) -> bool {
        let Stream::UdSocket(stream) = &self.0;
        let mut ready = [PollFd::new(stream, PollFlags::OUT)];
        poll(&mut ready, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|n| n > 0)
    }

    fn set_timeouts(&self, read: Duration, write: Duration) -> io::Result<()> {
        self.0.set_recv_timeout(Some(read))?;
        self.0.set_send_timeout(Some(write))
    }

    fn peer(&self) -> io::Result<Peer> {
        let peer = self.0.peer_creds()?;
        let pid = peer.pid().and_then(|pid| u32::try_from(pid).ok());
        Ok(Peer { uid: peer.euid(), gid: peer.egid(), pid })
    }

    fn shutdown(&self) {
        let Stream::UdSocket(stream) = &self.0;
        // Fails only when the other end has done it already.
        let _ = rustix::net::shutdown(stream.as_fd(), rustix::net::Shutdown::Both);
    }
}

/// Where a collector listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// The socket's path. Its directory must be one in which only the owner of the socket may make names.
    pub path: PathBuf,
    /// Permissions of the socket: who may write to it may connect.
    pub mode: u32,
    /// Its group, where it is not the process's own.
    pub group: Option<u32>,
}

/// A socket that listens. Its path goes when it is dropped, unless it is another one's by then.
#[derive(Debug)]
pub struct SocketListener {
    listener: local_socket::Listener,
    path: PathBuf,
    /// Device and inode of the path.
    bound: (u64, u64),
    stopped: AtomicBool,
}

impl SocketListener {
    /// Listens at a path. A socket there that nobody listens at any more is taken away.
    ///
    /// # Errors
    /// `AddrInUse` when somebody listens there, `AlreadyExists` when what is there is no socket.
    pub fn bind(bind: &Bind) -> io::Result<SocketListener> {
        let path = &bind.path;
        clear(path)?;
        // The owner's alone until the group is right: nobody connects under a wrong one.
        let options = ListenerOptions::new()
            .name(path.as_path().to_fs_name::<GenericFilePath>()?)
            .nonblocking(ListenerNonblockingMode::Accept)
            .reclaim_name(false)
            .mode(0o600);
        let listener = options.create_sync()?;
        if let Some(group) = bind.group {
            rustix::fs::chown(path, None, Some(Gid::from_raw(group)))?;
        }
        // bind(2) takes the umask off the mode, so it is set once more.
        rustix::fs::chmod(path, Mode::from_raw_mode(bind.mode))?;
        let stat = rustix::fs::lstat(path)?;
        Ok(SocketListener {
            listener,
            path: path.clone(),
            bound: (stat.st_dev, stat.st_ino),
            stopped: AtomicBool::new(false),
        })
    }

    /// The socket's path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Takes away what a listener that is gone left at a path.
fn clear(path: &Path) -> io::Result<()> {
    let stat = match rustix::fs::lstat(path) {
        Err(rustix::io::Errno::NOENT) => return Ok(()),
        other => other?,
    };
    if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
        let why = format!("{} is there and is no socket", path.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
    }
    match connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(rustix::fs::unlink(path)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // Also when it could not be told: a listener that is stopped or not ours is still a listener.
        Ok(_) | Err(_) => {
            let why = format!("another collector listens at {}", path.display());
            Err(io::Error::new(io::ErrorKind::AddrInUse, why))
        }
    }
}

impl Listener for SocketListener {
    fn accept(&self) -> io::Result<Arc<dyn Transport>> {
        let local_socket::Listener::UdSocket(listener) = &self.listener;
        if self.stopped.load(Ordering::Acquire) {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let mut ready = [PollFd::new(listener, PollFlags::IN)];
        if poll(&mut ready, Some(&ACCEPT_WAIT))? == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(Arc::new(Socket(self.listener.accept()?)))
    }

    fn stop(&self) {
        let local_socket::Listener::UdSocket(listener) = &self.listener;
        self.stopped.store(true, Ordering::Release);
        // On Linux this wakes who polls; elsewhere the poll ends by its time-out.
        let _ = rustix::net::shutdown(listener.as_fd(), rustix::net::Shutdown::Both);
    }
}

impl Drop for SocketListener {
    fn drop(&mut self) {
        let ours = |stat: rustix::fs::Stat| (stat.st_dev, stat.st_ino) == self.bound;
        if rustix::fs::lstat(&self.path).is_ok_and(ours) {
            // After privileges went the directory may be closed to us; the next start clears the path.
            let _ = rustix::fs::unlink(&self.path);
        }
    }
}
