//! What is collected: one file per table. [`TABLES`] is the list of them all.

mod crontab;
mod deb_packages;
#[cfg(test)]
mod fixture;
mod groups;
mod kernel_modules;
mod last;
mod logged_in_users;
mod passwd;
mod shadow;
mod startup_items;
mod sudoers;
mod text_file;
mod user_groups;
mod users;
mod utmp;

use collector::{AnyTable, Host};

/// Every table that reads the machine, by name.
pub static TABLES: &[&(dyn AnyTable<Host> + Sync)] = &[
    &crontab::TABLE,
    &deb_packages::TABLE,
    &groups::TABLE,
    &kernel_modules::TABLE,
    &last::TABLE,
    &logged_in_users::TABLE,
    &shadow::TABLE,
    &startup_items::TABLE,
    &sudoers::TABLE,
    &user_groups::TABLE,
    &users::TABLE,
];
