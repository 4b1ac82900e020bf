//! The collector that may read everything, behind a fence: what it holds of root's rights, what it gives up,
//! and what the kernel then refuses it.
//!
//! The order is a type: a [`Plan`] says what will be held, [`Plan::prepare`] opens what needs root, and only
//! [`Prepared::confine`] hands out what was opened, after the kernel was asked that the rest is gone.
#![cfg(target_os = "linux")]

mod account;
mod admission;
mod audit;
mod capability;
mod config_file;
mod peers;
mod privileges;
mod seccomp;
mod serve;
mod settings;
mod signals;
mod socket;
mod status;
mod trust;

pub use account::{Account, AccountError};
pub use capability::{READ_ONLY, names};
pub use config_file::DEFAULT_PATH;
pub use peers::Peers;
pub use privileges::{Confined, Plan, Prepared, PrivilegeError};
pub use seccomp::{Filter, FilterError};
pub use serve::{Collector, Sources, attach};
pub use settings::{Flags, capabilities, load};
pub use signals::Signals;
pub use socket::{SocketError, bind};
pub use status::{Matrix, StatusError};
