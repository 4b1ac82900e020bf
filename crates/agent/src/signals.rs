//! The signals that the agent waits for.

use std::io;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To end (`SIGTERM`, `SIGINT`).
    End,
    /// To read rules again and open files anew (`SIGHUP`).
    Reload,
}

/// These signals, kept from every thread that starts later.
#[derive(Debug)]
pub(crate) struct Signals(SignalFd);

impl Signals {
    /// Blocks the signals. To be called before any thread starts, as those inherit what is blocked.
    pub(crate) fn block() -> io::Result<Signals> {
        let mut set = SigSet::empty();
        [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().for_each(|signal| set.add(signal));
        set.thread_block()?;
        Ok(Signals(SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?))
    }

    /// What was asked for since the last look, without waiting.
    pub(crate) fn asked(&self) -> Option<Asked> {
        let signal = self.0.read_signal().ok().flatten()?;
        let is_hangup = i32::try_from(signal.ssi_signo).is_ok_and(|n| n == Signal::SIGHUP as i32);
        Some(if is_hangup { Asked::Reload } else { Asked::End })
    }

    /// Waits for a signal, at most so long.
    pub(crate) fn wait(&self, most: std::time::Duration) -> Option<Asked> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let timeout = Timespec {
            tv_sec: i64::try_from(most.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(most.subsec_nanos()),
        };
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        // An interrupted wait is a short one.
        let _ = poll(&mut fds, Some(&timeout));
        self.asked()
    }
}
