//! The engine over this machine.

use std::sync::Arc;

use collector::{AnyTable, Host};
use vtables::{Engine, Here, Limits, SqlError};

/// An engine over every table of this machine.
pub(crate) fn engine(limits: Limits) -> Result<Engine, SqlError> {
    let tables = host::TABLES.iter().map(|table| *table as &'static dyn AnyTable<Host>);
    Engine::new(vec![Arc::new(Here::new(tables, Host::live()))], limits)
}
