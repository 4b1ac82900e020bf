//! The door: each peer is asked for, and who is refused is a line of the log.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ipc::{FrameError, Peer};

use crate::peers::Peers;

/// Lines about refused peers and broken connections within [`LOG_WINDOW`]; who may connect cannot fill the log.
const LINES_MAX: u32 = 60;
const LOG_WINDOW: Duration = Duration::from_secs(60);

/// Admits peers and logs.
#[derive(Debug)]
pub(crate) struct Admission {
    peers: Peers,
    lines: Mutex<Lines>,
}

#[derive(Debug)]
struct Lines {
    window: Instant,
    written: u32,
    left_out: u64,
}

impl Lines {
    /// How many lines were left out before the one to be written now; `None` when this one is left out.
    fn next(&mut self, now: Instant) -> Option<u64> {
        if now.duration_since(self.window) >= LOG_WINDOW {
            (self.window, self.written) = (now, 0);
        }
        if self.written >= LINES_MAX {
            self.left_out += 1;
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

impl Admission {
    pub(crate) fn new(peers: Peers) -> Admission {
        let lines = Lines { window: Instant::now(), written: 0, left_out: 0 };
        Admission { peers, lines: Mutex::new(lines) }
    }

    /// Whether a peer is served; the error is what it is told.
    pub(crate) fn admit(&self, peer: &Peer) -> Result<(), String> {
        if let Peer { uid: Some(uid), gid: Some(gid), .. } = *peer
            && self.peers.admit(uid, gid)
        {
            return Ok(());
        }
        let Peer { uid, gid, pid } = *peer;
        if let Some(left_out) = self.next_line() {
            let action = "admit client";
            tracing::warn!(target: "audit", action, uid, gid, pid, result = "refused", left_out);
        }
        Err(format!("{peer}: not allowed by `allow` in the configuration of procmond"))
    }

    /// Logs that an error of the protocol ended a connection.
    pub(crate) fn broke(&self, peer: &Peer, error: &FrameError) {
        let Peer { uid, gid, pid } = *peer;
        if let Some(left_out) = self.next_line() {
            tracing::warn!(uid, gid, pid, %error, left_out, "a connection ended by an error");
        }
    }

    fn next_line(&self) -> Option<u64> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).next(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_and_those_left_out_are_counted() {
        let start = Instant::now();
        let mut lines = Lines { window: start, written: 0, left_out: 0 };
        for _ in 0..LINES_MAX {
            assert_eq!(lines.next(start), Some(0));
        }
        assert_eq!((lines.next(start), lines.next(start)), (None, None));
        assert_eq!(lines.next(start + LOG_WINDOW), Some(2));
        assert_eq!(lines.next(start + LOG_WINDOW), Some(0));
    }
}
