//! The configuration of the three programs: typed, in layers, each value with where it came from; and the set-up of
//! the log.
//!
//! Layers, of which a later one wins: defaults, the system's file, the user's file, the environment, flags. A key
//! has one name everywhere: `history.every` in a file is `DAEMONEYE_HISTORY_EVERY` in the environment. The agent and
//! the cli share all of these; procmond has its own file and its flags.

pub mod agent;
pub mod cli;
mod error;
mod key;
mod layers;
mod log;
pub mod procmond;
mod reading;
mod values;
mod yaml;

pub use error::ConfigError;
pub use key::{Key, Known};
pub use layers::{Layers, Origin, read};
pub use log::log_to_stderr;
pub use reading::Setting;
pub use values::{Collector, Format, Level};
