//! Tables as SQL: the bridge to SQLite, the guard, the functions, the limits, the engine.

mod error;
#[cfg_attr(not(test), expect(dead_code, reason = "the engine registers them"))]
mod functions;

pub use error::{ErrorKind, Limit, SqlError, Warning};
