//! The configuration file: who may have written it, and what it says.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use serde_saphyr::Location;

use crate::config::{Config, ConfigText, Name, names};
use crate::trust::{self, Distrust};

/// Read when no other file is named.
pub const DEFAULT_PATH: &str = "/etc/daemoneye/procmond.yaml";
/// Bytes that the file may have.
const CONFIG_BYTES_MAX: u64 = 1 << 20;
/// Levels of lists and maps within each other; the configuration has three.
const DEPTH_MAX: usize = 8;
/// Values, lists and maps in the file.
const NODES_MAX: usize = 10_000;

/// Why a configuration is not used. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {0}: {1}")]
    Unread(PathBuf, #[source] std::io::Error),
    /// Somebody other than root may have written it, and it decides what root's process hands out.
    #[error("the configuration is not root's alone: {0}")]
    Distrusted(#[from] Distrust),
    /// It is no regular file.
    #[error("the configuration {0} is not a regular file; name one")]
    NotRegular(PathBuf),
    /// It is too large.
    #[error("the configuration {0} is larger than 1 MiB")]
    TooLarge(PathBuf),
    /// It says something that is not understood.
    #[error("{path}:{line}:{column}: {message}")]
    Wrong {
        /// The file.
        path: String,
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: u64,
        /// What is wrong.
        message: String,
    },
}

impl Config {
    /// The configuration of a file, or of [`DEFAULT_PATH`] if that is there, or the default one.
    ///
    /// Root reads only a file that nobody else can have written.
    pub fn load(path: Option<&Path>) -> Result<Config, ConfigError> {
        let is_root = rustix::process::geteuid().is_root();
        let text = match path {
            Some(path) => read(path, is_root)?,
            None => match read(Path::new(DEFAULT_PATH), is_root) {
                Ok(text) => text,
                Err(error) if is_missing(&error) => return Ok(Config::default()),
                Err(error) => return Err(error),
            },
        };
        Config::parse(&text, &path.unwrap_or(Path::new(DEFAULT_PATH)).display().to_string())
    }

    /// Reads the content of a configuration file; `path` is its name in errors.
    pub fn parse(text: &str, path: &str) -> Result<Config, ConfigError> {
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! {
                max_depth: DEPTH_MAX,
                max_nodes: NODES_MAX,
                max_events: 4 * NODES_MAX,
                max_aliases: 0,
                max_anchors: 0,
            },
            // A mode is written 0660, and octal numbers are not meant anywhere else.
            leading_zero_numbers_as_strings: true,
            strict_booleans: true,
            with_snippet: false,
        };
        // A file of comments alone is the default.
        let is_empty = text.lines().all(|line| line.trim().is_empty() || line.trim().starts_with('#'));
        let written: ConfigText = match is_empty {
            true => ConfigText::default(),
            false => serde_saphyr::from_str_with_options(text, options).map_err(|error| {
                let message = error.to_string();
                let message = message.rfind(" at line ").map_or(message.as_str(), |at| &message[..at]);
                wrong(path, error.location(), message)
            })?,
        };
        typed(written, path)
    }
}

fn typed(written: ConfigText, path: &str) -> Result<Config, ConfigError> {
    let usual = Config::default();
    let socket_mode = match &written.socket.mode {
        None => usual.socket_mode,
        Some(mode) => match u32::from_str_radix(&mode.value, 8) {
            Ok(bits) if bits <= 0o777 => bits,
            _ => {
                let message = format!("{:?} is no mode; write it as 0660", mode.value);
                return Err(wrong(path, Some(mode.defined), &message));
            }
        },
    };
    if let Some(socket) = written.socket.path.as_ref().filter(|socket| !socket.value.is_absolute()) {
        return Err(wrong(path, Some(socket.defined), "the path of the socket does not begin with /"));
    }
    let tables = match written.tables {
        None => usual.tables,
        Some(wanted) => {
            if let Some(unknown) = wanted.iter().find(|wanted| !names().any(|name| name == wanted.value)) {
                let message =
                    format!("there is no table {:?}; `daemoneye-cli tables` lists them", unknown.value);
                return Err(wrong(path, Some(unknown.defined), &message));
            }
            names().filter(|name| wanted.iter().any(|wanted| wanted.value == *name)).collect()
        }
    };
    let strings = |names: Vec<Name>| names.into_iter().map(String::from).collect();
    Ok(Config {
        socket: written.socket.path.map(|path| path.value),
        socket_mode,
        socket_group: written.socket.group.map(String::from),
        user: written.user.map(String::from),
        allowed_users: strings(written.allow.users),
        allowed_groups: strings(written.allow.groups),
        tables,
        event_sources: written.event_sources.unwrap_or(usual.event_sources),
        masking: written.masking.unwrap_or(usual.masking),
    })
}

fn wrong(path: &str, place: Option<Location>, message: &str) -> ConfigError {
    let (line, column) = place.map_or((1, 1), |place| (place.line().max(1), place.column().max(1)));
    ConfigError::Wrong { path: path.to_owned(), line, column, message: message.to_owned() }
}

fn is_missing(error: &ConfigError) -> bool {
    match error {
        ConfigError::Unread(_, error) | ConfigError::Distrusted(Distrust::Unread(_, error)) => {
            error.kind() == std::io::ErrorKind::NotFound
        }
        _ => false,
    }
}

fn read(path: &Path, trusted_only: bool) -> Result<String, ConfigError> {
    let path = if trusted_only { trust::roots_path(path)? } else { path.to_owned() };
    let unread = |error: std::io::Error| ConfigError::Unread(path.clone(), error);
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file: OwnedFd = open(&path, flags, Mode::empty()).map_err(|error| unread(error.into()))?;
    let found = fstat(&file).map_err(|error| unread(error.into()))?;
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return Err(ConfigError::NotRegular(path));
    }
    if trusted_only {
        trust::check(&path, &found)?;
    }
    let mut text = String::new();
    std::fs::File::from(file).take(CONFIG_BYTES_MAX + 1).read_to_string(&mut text).map_err(unread)?;
    if text.len() as u64 > CONFIG_BYTES_MAX {
        return Err(ConfigError::TooLarge(path));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{EventSource, ON_REQUEST};

    #[test]
    fn without_a_word_everything_is_served_but_what_holds_secrets() {
        for text in ["", "# nothing\n", "tables:\n", "{}"] {
            assert_eq!(Config::parse(text, "c").unwrap(), Config::default(), "{text:?}");
        }
        let tables = Config::default().tables;
        assert_eq!(tables.len(), host::TABLES.len() - ON_REQUEST.len());
        assert!(ON_REQUEST.iter().all(|table| !tables.contains(table) && names().any(|n| n == *table)));
    }

    #[test]
    fn every_key_is_understood() {
        let text = "socket:\n  path: /run/x.sock\n  mode: 0600\n  group: see\nuser: 991\nallow:\n  users: [nobody, 12]\n  \
                    groups: [see]\ntables: [shadow, processes]\nevent_sources: [process_diff]\nmasking: false\n";
        let expected = Config {
            socket: Some("/run/x.sock".into()),
            socket_mode: 0o600,
            socket_group: Some("see".into()),
            user: Some("991".into()),
            allowed_users: vec!["nobody".into(), "12".into()],
            allowed_groups: vec!["see".into()],
            tables: vec!["processes", "shadow"],
            event_sources: vec![EventSource::ProcessDiff],
            masking: false,
        };
        assert_eq!(Config::parse(text, "c").unwrap(), expected);
        assert_eq!(Config::parse("tables: []", "c").unwrap().tables, [""; 0]);
    }

    #[test]
    fn the_configuration_of_the_readme_is_understood() {
        let readme = include_str!("../../../README.md");
        let block = readme.split("```yaml\n").find(|block| block.starts_with("socket:")).unwrap();
        let config = Config::parse(block.split("```").next().unwrap(), "README.md").unwrap();
        assert_eq!((config.socket_mode, config.masking, config.tables.len()), (0o660, true, 3));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (text, place, words) in [
            ("masking: true\ntable: [users]", "c:2:1", "table"),
            ("tables:\n  - users\n  - userz", "c:3:5", "no table \"userz\""),
            ("socket:\n  mode: 0999", "c:2:9", "0660"),
            ("socket: { path: run/x }", "c:1:17", "begin with /"),
            ("event_sources: [bpf]", "c:1:", "bpf"),
            ("masking: 1\n", "c:1:10", ""),
            ("a: &a [*a]", "c:1:", ""),
        ] {
            let error = Config::parse(text, "c").unwrap_err().to_string();
            assert!(error.starts_with(place) && error.contains(words), "{text:?}: {error}");
        }
    }

    #[test]
    fn root_reads_no_configuration_that_others_can_have_written() {
        let file = tempfile::NamedTempFile::new_in("/tmp").unwrap();
        let error = read(file.path(), true).unwrap_err().to_string();
        assert!(error.contains("not root's alone") && error.contains("chmod go-w /tmp"), "{error}");
        assert_eq!(read(file.path(), false).unwrap(), "");
        assert!(matches!(read(Path::new("/dev/null"), false), Err(ConfigError::NotRegular(_))));
        assert!(is_missing(&read(Path::new("/no/such/file"), true).unwrap_err()));
    }
}
