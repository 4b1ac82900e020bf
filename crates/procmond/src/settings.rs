//! The settings of procmond over the tables and rights that there are.

use std::path::Path;

use config::procmond::{Config, EventSource, KNOWN, Tables};
use config::{ConfigError, Layers};
use rustix::thread::CapabilitySet;

use crate::capability::READ_ONLY;
use crate::config_file;

/// Tables that are served only when the configuration names them: they hand out what files hold, or secrets.
pub(crate) const ON_REQUEST: [&str; 4] = ["file_lines", "process_envs", "shadow", "shell_history"];

/// What the flags say, as text.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--socket`.
    pub socket: Option<String>,
    /// `--user`.
    pub user: Option<String>,
}

/// The settings of a file, or of [`crate::DEFAULT_PATH`] if that is there, and of the flags.
///
/// Nothing else counts, and above all no environment ([`config::procmond`] has why).
///
/// # Errors
/// Of a file that root alone must have written and others can have, and of what is not understood.
pub fn load(file: Option<&Path>, flags: Flags) -> Result<Config, ConfigError> {
    let layers = config_file::layer(Layers::new(KNOWN), file)?;
    typed(&layers.flag("socket.path", "--socket", flags.socket).flag("user", "--user", flags.user))
}

fn typed(layers: &Layers) -> Result<Config, ConfigError> {
    let all: Vec<&'static str> = host::TABLES.iter().map(|table| table.name()).collect();
    Config::of(layers, Tables { all: &all, on_request: &ON_REQUEST })
}

/// The capabilities that what is enabled needs.
pub fn capabilities(config: &Config) -> CapabilitySet {
    config.event_sources.value.iter().fold(READ_ONLY, |all, source| all | beyond(*source))
}

/// The capabilities that an event source takes beyond [`READ_ONLY`].
const fn beyond(source: EventSource) -> CapabilitySet {
    match source {
        EventSource::ProcessDiff => CapabilitySet::empty(),
    }
}

/// The settings of a file with this text, for tests.
#[cfg(test)]
pub(crate) fn of(text: &str) -> Config {
    typed(&Layers::new(KNOWN).text(text, "c".as_ref()).unwrap()).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_word_every_table_is_served_but_those_that_hold_secrets() {
        let tables = of("").tables.value;
        assert_eq!(tables.len(), host::TABLES.len() - ON_REQUEST.len());
        let is_there = |table: &str| host::TABLES.iter().any(|there| there.name() == table);
        assert!(ON_REQUEST.iter().all(|table| !tables.contains(table) && is_there(table)));
        assert_eq!(of("tables: [shadow, processes]").tables.value, ["processes", "shadow"]);
    }

    #[test]
    fn the_configuration_of_the_readme_is_understood() {
        let readme = include_str!("../../../README.md");
        let block = readme.split("```yaml\n").find(|block| block.starts_with("socket:")).unwrap();
        let config = of(block.split("```").next().unwrap());
        let (mode, masking, tables) = (config.socket_mode, config.masking, config.tables);
        assert_eq!((mode.value, masking.value, tables.value.len()), (0o660, true, 3));
    }
}
