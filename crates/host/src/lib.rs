//! What is collected: one file per table. [`TABLES`] is the list of them all.

mod authorized_keys;
mod digests;
#[cfg(target_os = "linux")]
mod extended_attributes;
mod file;
mod file_capabilities;
mod file_lines;
mod hash;
mod history_lines;
mod homes;
mod kernel_modules;
mod lines;
mod paths;
mod private_key;
#[cfg(test)]
mod probe;
mod shell_history;
mod suid_bin;
mod user_ssh_keys;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use collector::{AnyTable, Host};

/// Every table that reads the machine, by name.
pub static TABLES: &[&(dyn AnyTable<Host> + Sync)] = &[
    &authorized_keys::TABLE,
    #[cfg(target_os = "linux")]
    &extended_attributes::TABLE,
    &file::TABLE,
    &file_lines::TABLE,
    &hash::TABLE,
    &kernel_modules::TABLE,
    &shell_history::TABLE,
    &suid_bin::TABLE,
    &user_ssh_keys::TABLE,
];

/// A path of any bytes.
fn bytes_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}
