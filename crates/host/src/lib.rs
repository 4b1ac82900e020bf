//! What is collected: one file per table. [`TABLES`] is the list of them all.

mod arp_cache;
mod authorized_keys;
mod block_devices;
mod crontab;
mod deb_packages;
mod descriptors;
mod digests;
mod dns_resolvers;
mod etc_hosts;
mod etc_services;
#[cfg(target_os = "linux")]
mod extended_attributes;
mod file;
mod file_capabilities;
mod file_lines;
#[cfg(test)]
mod fixture;
mod groups;
mod hash;
mod held;
mod history_lines;
mod homes;
mod interface_addresses;
mod interface_details;
mod kernel_info;
mod kernel_modules;
mod process;
mod process_ancestors;
mod process_envs;
mod process_memory_map;
mod process_namespaces;
mod processes;

use collector::{AnyTable, Host};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Every table that reads the machine, by name.
pub static TABLES: &[&(dyn AnyTable<Host> + Sync)] = &[
    &kernel_modules::TABLE,
    &process_ancestors::TABLE,
    &process_envs::TABLE,
    &process_memory_map::TABLE,
    &process_namespaces::TABLE,
    &processes::TABLE,
];
