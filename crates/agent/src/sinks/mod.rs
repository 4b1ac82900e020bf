//! Where alerts go: one file per sink.

mod file;
mod line;
mod stdout;

use std::io;

use model::Alert;

pub(crate) use file::{AlertFile, Rotation};
pub(crate) use stdout::Stdout;

/// A place that alerts are given to. It may be given an alert twice, after a crash between having it and saying so.
pub(crate) trait Sink: Send {
    /// Takes alerts. When this comes back well, it has all of them for good.
    fn take(&mut self, alerts: &[Alert]) -> io::Result<()>;

    /// Opens anew what it writes to.
    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }
}
