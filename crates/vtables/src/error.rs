//! What a person or a program is told when a statement is refused or ended.

use std::ops::Range;

/// The limit that ended a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// It took longer than it was given.
    Deadline,
    /// It gave more rows than it may.
    Rows,
    /// It needed more memory than it may hold.
    Memory,
    /// A text or a blob grew past the length that a value may have.
    Length,
    /// SQLite's own limit on a statement's size (columns, terms, depth).
    Complexity,
}

impl Limit {
    /// Its name in messages, in JSON and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Limit::Deadline => "deadline",
            Limit::Rows => "rows",
            Limit::Memory => "memory",
            Limit::Length => "length",
            Limit::Complexity => "complexity",
        }
    }
}

/// What went wrong, as far as a caller acts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Not SQL.
    Syntax,
    /// SQL that is refused: a write, ATTACH, two statements, a function outside the list.
    Refused,
    /// No such table.
    UnknownTable,
    /// No such column, or one that two tables have.
    UnknownColumn,
    /// No such function.
    UnknownFunction,
    /// A table needs a value in WHERE and got none.
    RequiredColumn,
    /// A parameter that was not given, or one that the statement does not have.
    Parameter,
    /// Ended at a limit.
    Limit(Limit),
    /// Ended because somebody asked for it.
    Cancelled,
    /// A table failed while it was read.
    Table,
    /// The collector that serves a table cannot be reached, or was lost.
    Unreachable,
    /// An expression failed on a value, such as a malformed regular expression or JSON.
    Value,
    /// The rows could not be handed on (a closed pipe, a full disk).
    Output(std::io::ErrorKind),
    /// A fault of ours.
    Internal,
}

impl ErrorKind {
    /// Whether the statement itself is at fault, so that running it again cannot help.
    pub const fn is_refusal(self) -> bool {
        use ErrorKind::*;
        matches!(
            self,
            Syntax | Refused | UnknownTable | UnknownColumn | UnknownFunction | RequiredColumn | Parameter
        )
    }
}

/// Why a statement was refused or ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SqlError {
    /// What a caller can act on.
    pub kind: ErrorKind,
    /// What happened, in one sentence without a full stop.
    pub message: String,
    /// Where, as bytes of the SQL text.
    pub place: Option<Range<usize>>,
    /// What to write or do instead.
    pub help: Option<String>,
}

impl SqlError {
    /// An error without a place.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> SqlError {
        SqlError { kind, message: message.into(), place: None, help: None }
    }

    /// The same error with its place in the SQL text.
    #[must_use]
    pub fn at(mut self, place: Range<usize>) -> SqlError {
        self.place = Some(place);
        self
    }

    /// The same error with advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> SqlError {
        self.help = Some(help.into());
        self
    }
}

/// Something that is allowed and probably not meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What looks wrong.
    pub message: String,
    /// Where, as bytes of the SQL text.
    pub place: Option<Range<usize>>,
    /// What was probably meant.
    pub help: Option<String>,
}
