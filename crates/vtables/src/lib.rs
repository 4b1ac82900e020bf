//! Tables as SQL: the bridge to SQLite, the guard, the functions, the limits, the engine.

mod error;

pub use error::{ErrorKind, Limit, SqlError, Warning};
