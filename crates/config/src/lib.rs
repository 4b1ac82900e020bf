//! The agent's configuration: typed, in layers, each value with where it came from; and the set-up of the log.
//!
//! Layers, of which a later one wins: defaults, the system's file, the user's file, the environment, flags. A key
//! has one name everywhere: `history.every` in a file is `DAEMONEYE_HISTORY_EVERY` in the environment.

mod keys;
mod layers;
mod log;
mod yaml;

pub use keys::{Config, Format, KEYS, Key, Level, Setting};
pub use layers::{ConfigError, Layers, Origin};
pub use log::log_to_stderr;
