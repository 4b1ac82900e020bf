//! What the store holds, as tables of SQL: declared once, for the agent and for whoever reads the files alone.

mod alert_history;
mod alerts;
mod deliveries;
mod rule_runs;
mod rules;
mod store_stats;

use collector::AnyTable;
use model::ScanError;

use crate::{StateReader, StoreError};

/// The tables of the state file, by name.
pub static STATE_TABLES: &[&(dyn AnyTable<StateReader> + Sync)] = &[
    &alert_history::TABLE,
    &alerts::TABLE,
    &deliveries::TABLE,
    &rule_runs::TABLE,
    &rules::TABLE,
    &store_stats::TABLE,
];

fn failed(error: StoreError) -> ScanError {
    ScanError::Failed(error.to_string())
}

/// Seconds since 1970, as osquery has them.
fn seconds(ms: i64) -> i64 {
    ms.div_euclid(1000)
}
