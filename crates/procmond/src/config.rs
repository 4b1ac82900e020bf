//! What the configuration says, as types.

use std::path::PathBuf;

use rustix::thread::CapabilitySet;
use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::capability::READ_ONLY;

/// Tables that are served only when the configuration names them: they hand out what files hold, or secrets.
pub(crate) const ON_REQUEST: [&str; 4] = ["file_lines", "process_envs", "shadow", "shell_history"];
/// Permissions of the socket: its owner and its group may connect.
const SOCKET_MODE: u32 = 0o660;

/// How procmond is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where clients connect; `None` for [`ipc::default_socket`].
    pub socket: Option<PathBuf>,
    /// Permissions of the socket.
    pub socket_mode: u32,
    /// Group of the socket, by name or number; `None` for that of the process.
    pub socket_group: Option<String>,
    /// Whom root becomes, by name or number; `None` for `daemoneye`, else `nobody`.
    pub user: Option<String>,
    /// Users that are served, by name or number, besides root and the user that procmond started as.
    pub allowed_users: Vec<String>,
    /// Groups whose members are served, by name or number.
    pub allowed_groups: Vec<String>,
    /// Tables that are served, in the order of [`host::TABLES`].
    pub tables: Vec<&'static str>,
    /// Event sources that run.
    pub event_sources: Vec<EventSource>,
    /// Whether secrets in command lines and environments are masked.
    pub masking: bool,
}

/// What raises events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventSource {
    /// Process start, change and exit, from the difference of two scans.
    ProcessDiff,
}

impl EventSource {
    /// The capabilities that it takes beyond [`READ_ONLY`].
    pub const fn capabilities(self) -> CapabilitySet {
        match self {
            EventSource::ProcessDiff => CapabilitySet::empty(),
        }
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            socket: None,
            socket_mode: SOCKET_MODE,
            socket_group: None,
            user: None,
            allowed_users: Vec::new(),
            allowed_groups: Vec::new(),
            tables: names().filter(|name| !ON_REQUEST.contains(name)).collect(),
            event_sources: vec![EventSource::ProcessDiff],
            masking: true,
        }
    }
}

impl Config {
    /// The capabilities that what is enabled needs.
    pub fn capabilities(&self) -> CapabilitySet {
        self.event_sources.iter().fold(READ_ONLY, |all, source| all | source.capabilities())
    }
}

pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    host::TABLES.iter().map(|table| table.name())
}

/// The file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ConfigText {
    pub(crate) socket: SocketText,
    pub(crate) user: Option<Name>,
    pub(crate) allow: AllowText,
    pub(crate) tables: Option<Vec<Spanned<String>>>,
    pub(crate) event_sources: Option<Vec<EventSource>>,
    pub(crate) masking: Option<bool>,
}

/// `socket: { path: …, mode: "0660", group: … }`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SocketText {
    pub(crate) path: Option<Spanned<PathBuf>>,
    pub(crate) mode: Option<Spanned<String>>,
    pub(crate) group: Option<Name>,
}

/// `allow: { users: […], groups: […] }`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AllowText {
    pub(crate) users: Vec<Name>,
    pub(crate) groups: Vec<Name>,
}

/// A user or group: its name, or its number.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Name {
    /// By number.
    Number(u32),
    /// By name.
    Text(String),
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        match name {
            Name::Number(number) => number.to_string(),
            Name::Text(text) => text,
        }
    }
}
