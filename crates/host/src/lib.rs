//! What is collected: one file per table. [`TABLES`] is the list of them all.

mod arp_cache;
mod descriptors;
mod dns_resolvers;
mod etc_hosts;
mod etc_services;
mod held;
mod interface_addresses;
mod interface_details;
mod kernel_modules;
mod listening_ports;
mod net;
mod process_open_files;
mod process_open_pipes;
mod process_open_sockets;
mod routes;
#[cfg(test)]
mod testing;

use collector::{AnyTable, Host};

/// Every table that reads the machine, by name.
pub static TABLES: &[&(dyn AnyTable<Host> + Sync)] = &[
    &arp_cache::TABLE,
    &dns_resolvers::TABLE,
    &etc_hosts::TABLE,
    &etc_services::TABLE,
    &interface_addresses::TABLE,
    &interface_details::TABLE,
    &kernel_modules::TABLE,
    &listening_ports::TABLE,
    &process_open_files::TABLE,
    &process_open_pipes::TABLE,
    &process_open_sockets::TABLE,
    &routes::TABLE,
];
