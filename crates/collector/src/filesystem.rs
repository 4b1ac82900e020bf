//! How full file systems are (statvfs(3)), also those whose server does not answer.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::Host;

/// How long [`Host::filesystem_while`] waits for an answer, and how often it asks whether to go on.
const FILESYSTEM_WAIT: Duration = Duration::from_secs(1);
const FILESYSTEM_POLL: Duration = Duration::from_millis(50);
/// Questions about file systems that may be without an answer at a time, in this process.
const FILESYSTEM_ASKING_MAX: usize = 32;
/// Bytes of stack for a thread that makes one system call.
const FILESYSTEM_STACK: usize = 64 << 10;

/// What `statvfs` tells of a mounted file system.
#[derive(Clone, Copy, Debug)]
pub struct FilesystemStats {
    /// Bytes in a block, the unit in which the file system counts.
    pub block_size: u64,
    /// Blocks in all.
    pub blocks: u64,
    /// Blocks that are free.
    pub blocks_free: u64,
    /// Blocks that are free to an ordinary user.
    pub blocks_available: u64,
    /// Inodes in all.
    pub inodes: u64,
    /// Inodes that are free.
    pub inodes_free: u64,
}

impl Host {
    /// How full the file system of a path is. Unsupported for a directory that stands for a machine.
    pub fn filesystem(&self, path: impl AsRef<Path>) -> io::Result<FilesystemStats> {
        if !self.is_live() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let s = rustix::fs::statvfs(path.as_ref())?;
        Ok(FilesystemStats {
            block_size: s.f_frsize,
            blocks: s.f_blocks,
            blocks_free: s.f_bfree,
            blocks_available: s.f_bavail,
            inodes: s.f_files,
            inodes_free: s.f_ffree,
        })
    }

    /// As [`Host::filesystem`], for at most a second and only while `wait` says so.
    ///
    /// A file system whose server is gone may never answer, and nothing can interrupt the system call; its
    /// thread is then left behind, of which there are never more than a few.
    pub fn filesystem_while(
        &self,
        path: impl Into<PathBuf>,
        wait: impl Fn() -> bool,
    ) -> io::Result<FilesystemStats> {
        static ASKING: AtomicUsize = AtomicUsize::new(0);
        struct Asking;
        impl Drop for Asking {
            fn drop(&mut self) {
                ASKING.fetch_sub(1, Ordering::Relaxed);
            }
        }

        let asking = (ASKING.fetch_add(1, Ordering::Relaxed), Asking);
        if asking.0 >= FILESYSTEM_ASKING_MAX {
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, "too many file systems do not answer"));
        }
        let (answer, answered) = mpsc::sync_channel(1);
        let (host, path) = (self.clone(), path.into());
        std::thread::Builder::new().name("statvfs".into()).stack_size(FILESYSTEM_STACK).spawn(move || {
            let _asking = asking;
            // Nobody listens any more when the wait was over first.
            let _ = answer.send(host.filesystem(path));
        })?;
        let started = Instant::now();
        loop {
            match answered.recv_timeout(FILESYSTEM_POLL) {
                Ok(stats) => return stats,
                Err(mpsc::RecvTimeoutError::Timeout) if started.elapsed() < FILESYSTEM_WAIT && wait() => {}
                Err(_) => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "the file system does not answer"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_answers_or_the_wait_ends() {
        let stats = Host::live().filesystem_while("/", || true).unwrap();
        assert!(stats.block_size > 0 && stats.blocks >= stats.blocks_free);
        assert!(Host::live().filesystem_while("/no/such/place", || true).is_err());
    }
}
