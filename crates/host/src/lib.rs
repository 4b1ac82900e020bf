//! What is collected: one file per table. [`TABLES`] is the list of them all.

mod kernel_modules;

use collector::{AnyTable, Host};

/// Every table that reads the machine, by name.
pub static TABLES: &[&(dyn AnyTable<Host> + Sync)] = &[&kernel_modules::TABLE];
