//! Tables as SQL: the bridge to SQLite, the guard, the functions, the limits, the engine.

mod catalog;
mod error;
#[cfg_attr(not(test), expect(dead_code, reason = "the engine is to call it"))]
mod guard;

pub use catalog::Catalog;
pub use error::{ErrorKind, Limit, SqlError, Warning};
