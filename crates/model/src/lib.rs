//! The nouns of DaemonEye: values, table schemas, queries, the run of a statement, rules, findings and alerts.
//!
//! Nothing here reads the machine, and nothing here waits: every other crate depends on this one.

mod alert;
pub mod clean;
pub mod duration;
mod error;
mod event;
pub mod json;
mod nearest;
mod query;
mod rule;
mod run;
mod schema;
pub mod size;
mod time;
mod value;

pub use alert::{Alert, AlertAction, AlertId, AlertState, Evidence, NamedRow, start_key};
pub use error::ScanError;
pub use event::{Capabilities, Domain, Event};
pub use nearest::nearest;
pub use query::{ColumnMask, Constraint, Op, Query};
pub use rule::{Budget, Dedup, Finding, Rule, Severity};
pub use run::{Note, Run, Stop};
pub use schema::{ColumnSchema, Extent, Identity, Kind, Ops, TableSchema};
pub use time::{date_of, parse_rfc3339, rfc3339};
pub use value::Value;
