//! What one statement may use. Every limit has a name and a unit.

use std::time::Duration;

/// What one statement may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long it may run.
    pub timeout: Option<Duration>,
    /// Rows that it may give.
    pub rows_max: u64,
    /// Bytes that the bridge may hold for it: kept rows, indexes, row numbers.
    pub memory_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { timeout: Some(Duration::from_secs(30)), rows_max: 10_000_000, memory_bytes_max: 128 << 20 }
    }
}

/// Bytes of one value: a text or a blob, and also one row on its way through a sorter. It bounds how long a
/// single function call can run between two looks at the clock.
pub(crate) const VALUE_BYTES_MAX: i32 = 16 << 20;
/// Bytes of a statement's text.
pub(crate) const SQL_BYTES_MAX: i32 = 1 << 20;
/// Columns of a result or an ORDER BY.
pub(crate) const COLUMNS_MAX: i32 = 500;
/// Depth of an expression.
pub(crate) const EXPRESSION_DEPTH_MAX: i32 = 200;
/// Terms of a UNION.
pub(crate) const COMPOUND_TERMS_MAX: i32 = 100;
/// Arguments of a function.
pub(crate) const ARGUMENTS_MAX: i32 = 100;
/// Bytes of a LIKE or GLOB pattern, whose matching takes time in the square of it.
pub(crate) const PATTERN_BYTES_MAX: i32 = 1000;
/// Parameters of a statement.
pub(crate) const PARAMETERS_MAX: i32 = 1000;
/// Instructions of SQLite's machine between two looks at the clock: about 0.1 ms.
pub(crate) const PROGRESS_EVERY: i32 = 2000;
/// Bytes of rows that are kept key by key within one statement.
pub(crate) const KEYED_CACHE_BYTES_MAX: usize = 16 << 20;
/// How long the routes together may take to say which tables they have.
pub(crate) const REFRESH_TIME_MAX: Duration = Duration::from_secs(1);
/// Prepared statements that an engine keeps.
pub(crate) const STATEMENTS_KEPT: usize = 64;
