//! What tells of events: one file per source.

mod photograph;
mod process_diff;

pub use process_diff::ProcessDiff;
