//! Tables as SQL: the bridge to SQLite, the guard, the functions, the limits, the engine.
//!
//! An [`Engine`] is one SQLite connection that holds no data. Each statement is checked by the guard, runs
//! within its [`Limits`] over the tables of its [`Route`]s, and ends with a [`Report`].

mod arguments;
mod bridge;
mod catalog;
mod cursor;
mod engine;
mod error;
mod estimate;
mod failure;
mod functions;
mod guard;
mod kept;
mod keyed_cache;
mod limits;
mod offers;
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

/// For benches.
pub mod testing {
    use std::io;

    use crate::{Sink, bridge, engine};

    /// Hands the rows of a statement to a sink as an engine does, whatever its tables are.
    pub fn run(connection: &rusqlite::Connection, sql: &str, sink: &mut dyn Sink) -> io::Result<()> {
        let mut statement = connection.prepare_cached(sql).map_err(io::Error::other)?;
        let mut rows = bridge::Results::new(connection, &mut statement).map_err(io::Error::other)?;
        let mut buffer = Vec::new();
        while let Some(row) = rows.next().map_err(io::Error::other)? {
            let mut values = std::mem::take(&mut buffer);
            row.read(&mut values).map_err(io::Error::other)?;
            sink.row(&values)?;
            buffer = engine::recycled(values);
        }
        Ok(())
    }
}
