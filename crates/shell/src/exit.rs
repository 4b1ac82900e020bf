//! The program's exit codes.

use std::process::ExitCode;

use vtables::{ErrorKind, Limit, SqlError};

/// How the program ended. The numbers are a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// Ran, and failed or found something.
    Failed = 1,
    /// Wrong usage, or SQL that is refused.
    Usage = 2,
    /// A collector cannot be reached, or was lost.
    Unreachable = 3,
    /// Took longer than it was given.
    TimedOut = 4,
    /// Stopped with Ctrl-C.
    Interrupted = 130,
}

impl Exit {
    /// What an error of a statement means for the program.
    pub(crate) fn of(error: &SqlError) -> Exit {
        match error.kind {
            kind if kind.is_refusal() => Exit::Usage,
            ErrorKind::Unreachable => Exit::Unreachable,
            ErrorKind::Limit(Limit::Deadline) => Exit::TimedOut,
            ErrorKind::Cancelled => Exit::Interrupted,
            // `… | head` got what it wanted.
            ErrorKind::Output(std::io::ErrorKind::BrokenPipe) => Exit::Done,
            _ => Exit::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}
