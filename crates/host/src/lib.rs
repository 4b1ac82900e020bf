//! What is collected: one file per table. [`TABLES`] is the list of them all.

mod arp_cache;
mod authorized_keys;
mod block_devices;
mod bytes;
mod crontab;
mod deb_packages;
mod descriptors;
mod digests;
mod dns_resolvers;
mod etc_hosts;
mod etc_services;
mod event_sources;
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
mod last;
mod lines;
mod listening_ports;
mod load_average;
mod logged_in_users;
mod memory_info;
mod mounts;
mod net;
mod os_version;
mod passwd;
mod paths;
mod private_key;
mod process;
mod process_ancestors;
mod process_envs;
mod process_memory_map;
mod process_namespaces;
mod process_open_files;
mod process_open_pipes;
mod process_open_sockets;
mod processes;
mod routes;
mod shadow;
mod shell_history;
mod startup_items;
mod sudoers;
mod suid_bin;
mod system_controls;
mod system_info;
mod text_file;
mod time;
mod uptime;
mod user_groups;
mod user_ssh_keys;
mod users;
mod utmp;

pub use event_sources::ProcessDiff;

use collector::{AnyTable, Host};

/// Every table that reads the machine, by name.
pub static TABLES: &[&(dyn AnyTable<Host> + Sync)] = &[
    &arp_cache::TABLE,
    &authorized_keys::TABLE,
    &block_devices::TABLE,
    &crontab::TABLE,
    &deb_packages::TABLE,
    &dns_resolvers::TABLE,
    &etc_hosts::TABLE,
    &etc_services::TABLE,
    &extended_attributes::TABLE,
    &file::TABLE,
    &file_lines::TABLE,
    &groups::TABLE,
    &hash::TABLE,
    &interface_addresses::TABLE,
    &interface_details::TABLE,
    &kernel_info::TABLE,
    &kernel_modules::TABLE,
    &last::TABLE,
    &listening_ports::TABLE,
    &load_average::TABLE,
    &logged_in_users::TABLE,
    &memory_info::TABLE,
    &mounts::TABLE,
    &os_version::TABLE,
    &process_ancestors::TABLE,
    &process_envs::TABLE,
    &process_memory_map::TABLE,
    &process_namespaces::TABLE,
    &process_open_files::TABLE,
    &process_open_pipes::TABLE,
    &process_open_sockets::TABLE,
    &processes::TABLE,
    &routes::TABLE,
    &shadow::TABLE,
    &shell_history::TABLE,
    &startup_items::TABLE,
    &sudoers::TABLE,
    &suid_bin::TABLE,
    &system_controls::TABLE,
    &system_info::TABLE,
    &time::TABLE,
    &uptime::TABLE,
    &user_groups::TABLE,
    &user_ssh_keys::TABLE,
    &users::TABLE,
];
