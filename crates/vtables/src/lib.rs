//! Tables as SQL: the bridge to SQLite, the guard, the functions, the limits, the engine.
//!
//! An [`Engine`] is one SQLite connection that holds no data. Each statement is checked by the guard, runs
//! within its [`Limits`] over the tables of its [`Route`]s, and ends with a [`Report`].

mod bridge;
mod catalog;
mod engine;
mod error;
mod estimate;
mod functions;
mod guard;
mod kept;
mod keyed_cache;
mod limits;
mod plan;
mod remote;
mod report;
mod route;
mod sample;
mod scope;
mod tables;

pub use catalog::Catalog;
pub use engine::{Answer, Canceller, Engine, Options, OutputColumn, Sink, Validated, human_duration};
pub use error::{ErrorKind, Limit, SqlError, Warning};
pub use estimate::{Estimate, Loop};
pub use functions::{Function, Kind as FunctionKind};
pub use guard::nearest;
pub use limits::Limits;
pub use remote::Remote;
pub use report::{Report, TableReport};
pub use route::{Here, Route};
pub use sample::{Sample, SampleError};

/// The functions that statements may call.
pub fn functions() -> impl Iterator<Item = &'static Function> {
    functions::FUNCTIONS.iter()
}
