//! Where values come from, and which of them counts.
#![allow(clippy::disallowed_methods, reason = "a configuration file is the program's own")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::error::ConfigError;
use crate::key::{Known, Whose};
use crate::yaml::{self, Value};

/// The system's configuration of the agent and the cli.
const SYSTEM_FILE: &str = "/etc/daemoneye/config.yaml";
/// Bytes that a file may have.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// What the names in the environment begin with.
const PREFIX: &str = "DAEMONEYE_";
/// Names in the environment that begin so and are no keys.
const OTHERS: &[&str] =
    &["DAEMONEYE_CRASH_AT", "DAEMONEYE_CRASH_CYCLES", "DAEMONEYE_NEXT_FORM", "DAEMONEYE_PROPERTY_TIMES"];

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

/// A value as it was given.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) value: Value,
    pub(crate) origin: Origin,
    /// Line and column in a file, from 1.
    place: (u64, u64),
}

impl Given {
    pub(crate) fn usual(text: &str) -> Given {
        Given { value: Value::Text(text.to_owned()), origin: Origin::Default, place: (1, 1) }
    }

    /// The error that what was given is not allowed for a key.
    pub(crate) fn refused(&self, key: &'static str, allowed: &str) -> ConfigError {
        let message = format!("`{key}` is {}: {allowed}", self.value.is());
        self.wrong(self.place.0, self.place.1, message)
    }

    /// The error that something is wrong with it, at this place if it came from a file.
    pub(crate) fn wrong(&self, line: u64, column: u64, message: String) -> ConfigError {
        match &self.origin {
            Origin::File(path, _) => ConfigError::Wrong { path: path.clone(), line, column, message },
            origin => ConfigError::Value { origin: origin.clone(), message },
        }
    }
}

/// Values by key, each from the last layer that has it.
#[derive(Clone, Debug)]
pub struct Layers {
    known: Known,
    values: BTreeMap<&'static str, Given>,
}

impl Layers {
    /// No layer yet, of a program that knows these settings.
    pub fn new(known: Known) -> Layers {
        Layers { known, values: BTreeMap::new() }
    }

    /// The system's file and the user's, as far as they are there, or the one that was named in their place.
    ///
    /// # Errors
    /// Those of [`Layers::file`].
    pub fn files(self, named: Option<&Path>) -> Result<Layers, ConfigError> {
        if let Some(path) = named {
            return self.file(path, true);
        }
        let layers = self.file(SYSTEM_FILE.as_ref(), false)?;
        match user_file() {
            Some(path) => layers.file(&path, false),
            None => Ok(layers),
        }
    }

    /// The values of a file, over those that are there.
    ///
    /// # Errors
    /// Of a file that cannot be read or says what is not understood. One that is not there is no error unless
    /// `wanted`.
    pub fn file(self, path: &Path, wanted: bool) -> Result<Layers, ConfigError> {
        match File::open(path).and_then(read) {
            Ok(text) => self.text(&text, path),
            Err(error) if !wanted && is_absent(&error) => Ok(self),
            Err(error) => Err(ConfigError::Unread { path: path.to_owned(), error }),
        }
    }

    /// The values of a file that was read, over those that are there.
    ///
    /// # Errors
    /// Of one that says what is not understood.
    pub fn text(mut self, text: &str, path: &Path) -> Result<Layers, ConfigError> {
        let wrong =
            |line, column, message| ConfigError::Wrong { path: path.to_owned(), line, column, message };
        for written in yaml::read(text).map_err(|fault| wrong(fault.line, fault.column, fault.message))? {
            let key = match self.known.find(&written.key, str::to_owned) {
                Some(Whose::Own(key)) => key,
                Some(Whose::Passed) => continue,
                // A level without anything below it says nothing.
                None if written.says_nothing() && self.known.is_level(&written.key) => continue,
                None => {
                    let message =
                        format!("there is no setting `{}`{}", written.key, self.known.hint(&written.key));
                    return Err(wrong(written.line, written.column, message));
                }
            };
            if let Some((value, place)) = written.value {
                let origin = Origin::File(path.to_owned(), written.line);
                self.values.insert(key, Given { value, origin, place });
            }
        }
        Ok(self)
    }

    /// The values of this process's environment, over those that are there.
    ///
    /// # Errors
    /// Those of [`Layers::variables`].
    pub fn environment(self) -> Result<Layers, ConfigError> {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        self.variables(std::env::vars_os().filter_map(text))
    }

    /// The values of an environment, over those that are there.
    ///
    /// # Errors
    /// For a name that begins as ours do and is no key.
    pub fn variables(
        mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Layers, ConfigError> {
        for (name, value) in variables {
            let Some(rest) = name.strip_prefix(PREFIX).filter(|_| !OTHERS.contains(&name.as_str())) else {
                continue;
            };
            match self.known.find(rest, variable) {
                Some(Whose::Own(key)) => self.insert(key, value, Origin::Environment(name)),
                Some(Whose::Passed) => {}
                None => {
                    let hint = self.known.hint(&rest.to_lowercase().replace('_', "."));
                    return Err(ConfigError::Unknown { name, hint });
                }
            }
        }
        Ok(self)
    }

    /// The value of a flag, over those that are there.
    pub fn flag(mut self, key: &'static str, flag: &str, value: Option<String>) -> Layers {
        if let Some(value) = value {
            self.insert(key, value, Origin::Flag(flag.to_owned()));
        }
        self
    }

    fn insert(&mut self, key: &'static str, text: String, origin: Origin) {
        self.values.insert(key, Given { value: Value::Text(text), origin, place: (1, 1) });
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Given> {
        self.values.get(key)
    }
}

/// A key as the environment has it, without what all begin with.
fn variable(key: &str) -> String {
    key.replace('.', "_").to_uppercase()
}

/// The user's configuration of the agent and the cli.
fn user_file() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let directory = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")));
    Some(directory?.join("daemoneye/config.yaml"))
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The text of a configuration file that is open.
///
/// # Errors
/// Of a file that is not a regular one, is larger than 1 MiB or no text.
pub fn read(file: File) -> io::Result<String> {
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
