//! Where values come from, and which of them counts.
#![allow(clippy::disallowed_methods, reason = "a configuration file is the program's own")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::keys::KEYS;
use crate::yaml;

/// Bytes that a file may have.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// What the names in the environment begin with.
const PREFIX: &str = "DAEMONEYE_";
/// Names in the environment that begin so and are no keys.
const OTHERS: &[&str] = &["DAEMONEYE_CRASH_AT", "DAEMONEYE_CRASH_CYCLES", "DAEMONEYE_NEXT_FORM"];

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The program.
    Default,
    /// A file, and the line in it.
    File(PathBuf, u64),
    /// A variable of the environment.
    Environment(String),
    /// A flag on the command line.
    Flag(String),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(path, line) => write!(f, "{}:{line}", path.display()),
            Origin::Environment(name) => f.write_str(name),
            Origin::Flag(name) => f.write_str(name),
        }
    }
}

/// Why a configuration is not used. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read the configuration {}: {error}", path.display())]
    Unread {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file says something that is not understood.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The column, from 1.
        column: u64,
        /// What is wrong, and what is allowed.
        message: String,
    },
    /// A value is not understood.
    #[error("{origin}: `{key}` is {value:?}: {allowed}")]
    Value {
        /// Where it came from.
        origin: Origin,
        /// Its key.
        key: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        allowed: String,
    },
    /// The environment has a name that is no key.
    #[error("{name} in the environment is no setting{hint}")]
    Unknown {
        /// The name.
        name: String,
        /// What was probably meant.
        hint: String,
    },
}

/// Values by key, each from the last layer that has it.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    values: BTreeMap<&'static str, (String, Origin)>,
}

impl Layers {
    /// The values of a file, over those that are there.
    ///
    /// # Errors
    /// Of a file that cannot be read or says what is not understood. One that is not there is no error unless
    /// `wanted`.
    pub fn file(mut self, path: &Path, wanted: bool) -> Result<Layers, ConfigError> {
        let text = match read(path) {
            Ok(text) => text,
            Err(error) if !wanted && is_absent(&error) => return Ok(self),
            Err(error) => return Err(ConfigError::Unread { path: path.to_owned(), error }),
        };
        let wrong =
            |line, column, message| ConfigError::Wrong { path: path.to_owned(), line, column, message };
        for written in yaml::read(&text).map_err(|fault| wrong(fault.line, fault.column, fault.message))? {
            let Some(key) = KEYS.iter().find(|key| key.name == written.key) else {
                let message = format!("there is no setting `{}`{}", written.key, hint(&written.key));
                return Err(wrong(written.line, written.column, message));
            };
            self.values.insert(key.name, (written.value, Origin::File(path.to_owned(), written.line)));
        }
        Ok(self)
    }

    /// The values of an environment, over those that are there.
    ///
    /// # Errors
    /// For a name that begins as ours do and is no key.
    pub fn environment(
        mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Layers, ConfigError> {
        for (name, value) in variables {
            let Some(rest) = name.strip_prefix(PREFIX).filter(|_| !OTHERS.contains(&name.as_str())) else {
                continue;
            };
            let Some(key) = KEYS.iter().find(|key| variable(key.name) == rest) else {
                let hint = hint(&rest.to_lowercase().replace('_', "."));
                return Err(ConfigError::Unknown { name, hint });
            };
            self.values.insert(key.name, (value, Origin::Environment(name)));
        }
        Ok(self)
    }

    /// The value of a flag, over those that are there.
    pub fn flag(mut self, key: &'static str, flag: &str, value: Option<String>) -> Layers {
        if let Some(value) = value {
            self.values.insert(key, (value, Origin::Flag(flag.to_owned())));
        }
        self
    }

    pub(crate) fn get(&self, key: &str) -> Option<&(String, Origin)> {
        self.values.get(key)
    }
}

/// A key as the environment has it, without what all begin with.
fn variable(key: &str) -> String {
    key.replace('.', "_").to_uppercase()
}

/// What is allowed, with the key first that was probably meant.
fn hint(key: &str) -> String {
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let near = KEYS.iter().find(|known| last(known.name) == last(key) || known.name.starts_with(key));
    let all = KEYS.iter().map(|known| known.name).collect::<Vec<_>>().join(", ");
    match near {
        Some(near) => format!("; did you mean `{}`? There are {all}", near.name),
        None => format!("; there are {all}"),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn read(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    match text.len() as u64 > FILE_BYTES_MAX {
        true => Err(io::Error::new(io::ErrorKind::InvalidData, "it is larger than 1 MiB")),
        false => Ok(text),
    }
}
