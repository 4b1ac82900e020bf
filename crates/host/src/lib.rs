//! What is collected: one file per table. [`TABLES`] is the list of them all.

mod block_devices;
mod kernel_info;
mod kernel_modules;
mod load_average;
mod memory_info;
mod mounts;
mod os_version;
mod system_controls;
mod system_info;
mod time;
mod uptime;

use collector::{AnyTable, Host};

/// Every table that reads the machine, by name.
pub static TABLES: &[&(dyn AnyTable<Host> + Sync)] = &[
    &block_devices::TABLE,
    &kernel_info::TABLE,
    &kernel_modules::TABLE,
    &load_average::TABLE,
    &memory_info::TABLE,
    &mounts::TABLE,
    &os_version::TABLE,
    &system_controls::TABLE,
    &system_info::TABLE,
    &time::TABLE,
    &uptime::TABLE,
];
