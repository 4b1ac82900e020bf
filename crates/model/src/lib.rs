//! The nouns of DaemonEye: values, table schemas, queries, and the run of a statement.
//!
//! Nothing here reads the machine, and nothing here waits: every other crate depends on this one.

mod error;
mod query;
mod run;
mod schema;
mod value;

pub use error::ScanError;
pub use query::{ColumnMask, Constraint, Op, Query};
pub use run::{Note, Run, Stop};
pub use schema::{ColumnSchema, Extent, Identity, Kind, Ops, TableSchema};
pub use value::Value;
