//! One call of a function: its arguments, and what it can lean on.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use model::Value;
use rusqlite::functions::Context;
use rusqlite::limits::Limit;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, params_from_iter};

use super::dates::Clock;
use super::patterns::Patterns;

/// Prepared statements that the inner connection keeps: each date function with a few numbers of arguments.
const STATEMENTS_MAX: usize = 64;

/// How a call ends.
pub(super) type Result = std::result::Result<Value<'static>, Error>;

/// Why a call failed, which ends the statement.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// An argument that cannot be worked with; the message names it.
    #[error("{0}")]
    Argument(String),
    /// SQLite's own refusal, such as a value past the length limit.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
}

impl From<Error> for rusqlite::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Sqlite(error) => error,
            argument @ Error::Argument(_) => rusqlite::Error::UserFunctionError(argument.into()),
        }
    }
}

/// What the functions of one connection share.
pub(super) struct Shared {
    /// SQLite's own functions, untouched: a connection whose functions are replaced cannot call the old ones.
    plain: Mutex<Connection>,
    pub(super) clock: Clock,
    pub(super) patterns: Patterns,
}

impl Shared {
    /// For the functions of `conn`, whose limit on the length of a value holds for results too.
    pub(super) fn new(conn: &Connection, clock: Clock) -> rusqlite::Result<Shared> {
        let plain = Connection::open_in_memory()?;
        plain.set_limit(Limit::SQLITE_LIMIT_LENGTH, conn.limit(Limit::SQLITE_LIMIT_LENGTH)?)?;
        plain.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        Ok(Shared { plain: Mutex::new(plain), clock, patterns: Patterns::default() })
    }

    /// The one value of a SELECT without tables, as SQLite itself computes it.
    pub(super) fn select(&self, sql: &str, arguments: &[ValueRef<'_>]) -> Result {
        let plain = self.plain.lock().unwrap_or_else(PoisonError::into_inner);
        let mut statement = plain.prepare_cached(sql)?;
        let mut rows = statement.query(params_from_iter(arguments.iter().map(|a| Bound(*a))))?;
        let Some(row) = rows.next()? else { return Ok(Value::Null) };
        Ok(match row.get_ref(0)? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(n) => Value::Int(n),
            ValueRef::Real(x) => Value::Real(x),
            ValueRef::Text(bytes) => Value::Text(Cow::Owned(bytes.to_vec())),
            ValueRef::Blob(bytes) => Value::Blob(Cow::Owned(bytes.to_vec())),
        })
    }
}

/// One call of a function.
pub(super) struct Call<'a> {
    /// The function's name, for messages.
    pub(super) name: &'static str,
    context: &'a Context<'a>,
    pub(super) shared: &'a Shared,
}

impl<'a> Call<'a> {
    pub(super) fn new(name: &'static str, context: &'a Context<'a>, shared: &'a Shared) -> Call<'a> {
        Call { name, context, shared }
    }

    /// Number of arguments.
    pub(super) fn len(&self) -> usize {
        self.context.len()
    }

    /// An argument as it is.
    pub(super) fn raw(&self, argument: usize) -> ValueRef<'a> {
        self.context.get_raw(argument)
    }

    pub(super) fn has_null(&self) -> bool {
        (0..self.len()).any(|argument| self.raw(argument) == ValueRef::Null)
    }

    /// The bytes of a text or blob; a number is written out as SQLite does it, a NULL is empty.
    pub(super) fn bytes(&self, argument: usize) -> Cow<'a, [u8]> {
        match self.raw(argument) {
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Cow::Borrowed(bytes),
            ValueRef::Integer(n) => Cow::Owned(n.to_string().into_bytes()),
            real @ ValueRef::Real(_) => match self.shared.select("SELECT CAST(? AS TEXT)", &[real]) {
                Ok(Value::Text(digits)) => digits,
                _ => Cow::Borrowed(b""),
            },
            ValueRef::Null => Cow::Borrowed(b""),
        }
    }

    /// The number that an argument is or spells, with spaces around; `None` for any other text.
    pub(super) fn number(&self, argument: usize) -> Option<f64> {
        match self.raw(argument) {
            ValueRef::Null => None,
            ValueRef::Integer(n) => Some(n as f64),
            ValueRef::Real(x) => Some(x),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                let text = std::str::from_utf8(bytes).ok()?.trim_ascii();
                // Rust also reads `inf` and `nan`, which in SQL are no numbers.
                let plain = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
                plain.then(|| text.parse().ok()).flatten()
            }
        }
    }

    /// An argument that counts pieces from 0; `None` when it is no such place (negative, or not a number).
    pub(super) fn place(&self, argument: usize) -> Option<usize> {
        match self.raw(argument) {
            ValueRef::Integer(n) => usize::try_from(n).ok(),
            _ => self.number(argument).filter(|n| *n > -1.0).map(|n| n as usize),
        }
    }

    /// An integer argument within bounds. No other storage class is converted.
    pub(super) fn integer(&self, argument: usize, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        match self.raw(argument) {
            ValueRef::Integer(n) => Some(n).filter(|n| range.contains(n)),
            _ => None,
        }
    }
}

/// What a function gives to SQLite.
pub(super) struct Owned(pub(super) Value<'static>);

impl Owned {
    pub(super) const NULL: Owned = Owned(Value::Null);
}

impl ToSql for Owned {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match &self.0 {
            Value::Null => ValueRef::Null,
            Value::Int(n) => ValueRef::Integer(*n),
            Value::Real(x) => ValueRef::Real(*x),
            Value::Text(bytes) => ValueRef::Text(bytes),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

struct Bound<'a>(ValueRef<'a>);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(self.0))
    }
}

/// Bytes as they stand in a message: what cannot be printed escaped, what is long cut.
pub(super) fn quoted(bytes: &[u8]) -> String {
    /// Characters of an argument that a message repeats.
    const SHOWN_MAX: usize = 80;
    let text = String::from_utf8_lossy(bytes);
    let shown: String = text.chars().take(SHOWN_MAX).collect();
    let more = if shown.len() < text.len() { "…" } else { "" };
    format!("'{}{more}'", shown.escape_debug())
}
