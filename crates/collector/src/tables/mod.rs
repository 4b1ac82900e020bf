//! Tables over the runtime itself.

mod event_loss;
mod event_sources;

use crate::{AnyTable, Runtime};

/// Every table that the runtime tells of itself, by name.
pub static RUNTIME_TABLES: &[&(dyn AnyTable<Runtime> + Sync)] = &[&event_loss::TABLE, &event_sources::TABLE];
