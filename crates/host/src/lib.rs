//! What is collected: one file per table. [`TABLES`] is the list of them all.

mod kernel_modules;
mod process;
mod process_ancestors;
mod process_envs;
mod process_memory_map;
mod process_namespaces;
mod processes;

use collector::{AnyTable, Host};

/// Every table that reads the machine, by name.
pub static TABLES: &[&(dyn AnyTable<Host> + Sync)] = &[
    &kernel_modules::TABLE,
    &process_ancestors::TABLE,
    &process_envs::TABLE,
    &process_memory_map::TABLE,
    &process_namespaces::TABLE,
    &processes::TABLE,
];
