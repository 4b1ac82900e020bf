//! The signals that end the program, as something to wait for.

use std::io;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// `SIGTERM` and `SIGINT`, kept from every thread that starts later.
#[derive(Debug)]
pub struct Signals(SignalFd);

impl Signals {
    /// Blocks the signals. To be called before any thread starts, as those inherit what is blocked.
    pub fn block() -> io::Result<Signals> {
        let mut ending = SigSet::empty();
        ending.add(Signal::SIGTERM);
        ending.add(Signal::SIGINT);
        ending.thread_block()?;
        Ok(Signals(SignalFd::with_flags(&ending, SfdFlags::SFD_CLOEXEC)?))
    }

    /// Waits until the program is told to end, and gives the signal's name.
    pub fn wait(&self) -> io::Result<&'static str> {
        loop {
            match self.0.read_signal() {
                Ok(Some(signal)) => {
                    let number = i32::try_from(signal.ssi_signo).ok();
                    let signal = number.and_then(|n| Signal::try_from(n).ok());
                    return Ok(signal.map_or("a signal", Signal::as_str));
                }
                Ok(None) | Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
