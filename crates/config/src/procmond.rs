//! What procmond is set up with.
//!
//! Only its file and its flags count, never a user's file and never the environment: what it reads with root's rights
//! it hands out by these settings, and whoever starts it through sudo may keep an environment of his own making. Of
//! the file, procmond itself sees to it that root alone can have written it.

use std::path::PathBuf;

use crate::error::ConfigError;
use crate::key::{Key, Known, choice, key};
use crate::layers::Layers;
use crate::reading::{Reading, Setting, Shown};
use crate::values::path;

/// The settings of procmond, in the order in which they are shown.
pub const KEYS: &[Key] = &[
    key("socket.path", "where clients connect, from /"),
    key("socket.mode", "permissions of the socket, such as 0660"),
    key("socket.group", "group of the socket, by name or number"),
    key("user", "whom root becomes, by name or number"),
    key("allow.users", "users that are served, by name or number"),
    key("allow.groups", "groups whose members are served, by name or number"),
    key("tables", "tables that are served"),
    key("event_sources", "what raises events: `process_diff`"),
    key("masking", "whether secrets in command lines and environments are masked: `true` or `false`"),
];

/// What procmond knows: nobody else looks in its file.
pub const KNOWN: Known = Known { own: KEYS, others: &[] };

/// What raises events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventSource {
    /// Process start, change and exit, from the difference of two scans.
    ProcessDiff,
}

impl EventSource {
    /// All of them.
    pub const ALL: &[EventSource] = &[EventSource::ProcessDiff];

    /// What the configuration calls it.
    pub const fn name(self) -> &'static str {
        match self {
            EventSource::ProcessDiff => "process_diff",
        }
    }
}

/// The tables that there are, which procmond knows.
#[derive(Clone, Copy, Debug)]
pub struct Tables<'t> {
    /// The names of all, in their order.
    pub all: &'t [&'static str],
    /// Those that are served only when they are named.
    pub on_request: &'t [&'static str],
}

/// How procmond is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where clients connect; the usual place for `None`.
    pub socket: Setting<Option<PathBuf>>,
    /// Permissions of the socket.
    pub socket_mode: Setting<u32>,
    /// Group of the socket, by name or number; that of the process for `None`.
    pub socket_group: Setting<Option<String>>,
    /// Whom root becomes, by name or number; `daemoneye`, else `nobody`, for `None`.
    pub user: Setting<Option<String>>,
    /// Users that are served, by name or number, besides root and the user that procmond started as.
    pub allowed_users: Setting<Vec<String>>,
    /// Groups whose members are served, by name or number.
    pub allowed_groups: Setting<Vec<String>>,
    /// Tables that are served, in the order of all.
    pub tables: Setting<Vec<&'static str>>,
    /// Event sources that run.
    pub event_sources: Setting<Vec<EventSource>>,
    /// Whether secrets in command lines and environments are masked.
    pub masking: Setting<bool>,
    shown: Shown,
}

impl Config {
    /// The typed values of layers, where there are these tables.
    ///
    /// # Errors
    /// For the first value that is not understood, with what is allowed.
    pub fn of(layers: &Layers, tables: Tables<'_>) -> Result<Config, ConfigError> {
        let mut reading = Reading::of(layers);
        let it = &mut reading;
        let usual = tables.all.iter().copied().filter(|table| !tables.on_request.contains(table));
        let mut config = Config {
            socket: it.maybe("socket.path", absolute)?,
            // Its owner and its group may connect.
            socket_mode: it.one("socket.mode", "0660", mode)?,
            socket_group: it.maybe("socket.group", name)?,
            user: it.maybe("user", name)?,
            allowed_users: it.each("allow.users", [], |name| name, name)?,
            allowed_groups: it.each("allow.groups", [], |name| name, name)?,
            tables: it.each("tables", usual, |table| table, |text| table(tables.all, text))?,
            event_sources: it.each(
                "event_sources",
                EventSource::ALL.iter().copied(),
                |source| source.name(),
                event_source,
            )?,
            masking: it.one("masking", "true", truth)?,
            shown: Shown::default(),
        };
        let wanted = std::mem::take(&mut config.tables.value);
        config.tables.value = tables.all.iter().copied().filter(|table| wanted.contains(table)).collect();
        Ok(Config { shown: reading.shown, ..config })
    }

    /// Each setting with its value and where that came from, a line each.
    pub fn shown(&self) -> String {
        self.shown.text()
    }
}

fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = path(text)?;
    match path.is_absolute() {
        true => Ok(path),
        false => Err("the path of the socket does not begin with /".into()),
    }
}

fn mode(text: &str) -> Result<u32, String> {
    let bits = u32::from_str_radix(text, 8).ok().filter(|bits| *bits <= 0o777);
    bits.ok_or_else(|| "it is no mode; write it as 0660".to_owned())
}

fn name(text: &str) -> Result<String, String> {
    match text.is_empty() {
        true => Err("write a name or a number".into()),
        false => Ok(text.to_owned()),
    }
}

fn table(all: &[&'static str], text: &str) -> Result<&'static str, String> {
    all.iter().copied().find(|name| *name == text).ok_or_else(|| {
        let near = model::nearest(text, all.iter().copied());
        format!("there is no table {text:?}{}", choice(near, all.iter().copied()))
    })
}

fn event_source(text: &str) -> Result<EventSource, String> {
    EventSource::ALL.iter().copied().find(|source| source.name() == text).ok_or_else(|| {
        let all = EventSource::ALL.iter().map(|source| source.name());
        format!("there is no event source {text:?}{}", choice(model::nearest(text, all.clone()), all))
    })
}

fn truth(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "write `true` or `false`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::Origin;

    const TABLES: Tables<'_> = Tables { all: &["processes", "shadow", "users"], on_request: &["shadow"] };

    fn config(text: &str) -> Result<Config, ConfigError> {
        Config::of(&Layers::new(KNOWN).text(text, "c".as_ref())?, TABLES)
    }

    #[test]
    fn without_a_word_everything_is_served_but_what_is_served_on_request() {
        let usual = Config::of(&Layers::new(KNOWN), TABLES).unwrap();
        for text in ["", "# nothing\n", "tables:\n", "{}", "allow:\n", "allow: { users: }"] {
            assert_eq!(config(text).unwrap().shown(), usual.shown(), "{text:?}");
        }
        assert_eq!(usual.tables, Setting { value: vec!["processes", "users"], origin: Origin::Default });
        assert_eq!((usual.socket_mode.value, usual.masking.value), (0o660, true));
        assert_eq!(usual.event_sources.value, [EventSource::ProcessDiff]);
        assert_eq!(usual.shown.keys(), KEYS.iter().map(|key| key.name).collect::<Vec<_>>());
    }

    #[test]
    fn every_key_is_understood_and_knows_its_line() {
        let text = "socket:\n  path: /run/x.sock\n  mode: 0600\n  group: see\nuser: 991\nallow:\n  users: [nobody, 12]\n  \
                    groups: [see]\ntables: [shadow, processes]\nevent_sources: [process_diff]\nmasking: false\n";
        let config = config(text).unwrap();
        let at = |line| Origin::File("c".into(), line);
        assert_eq!(config.socket, Setting { value: Some("/run/x.sock".into()), origin: at(2) });
        assert_eq!(config.socket_mode, Setting { value: 0o600, origin: at(3) });
        assert_eq!(config.socket_group, Setting { value: Some("see".into()), origin: at(4) });
        assert_eq!(config.user, Setting { value: Some("991".into()), origin: at(5) });
        let users = vec!["nobody".to_owned(), "12".to_owned()];
        assert_eq!(config.allowed_users, Setting { value: users, origin: at(7) });
        assert_eq!(config.allowed_groups, Setting { value: vec!["see".to_owned()], origin: at(8) });
        assert_eq!(config.tables, Setting { value: vec!["processes", "shadow"], origin: at(9) });
        assert_eq!(config.event_sources.origin, at(10));
        assert_eq!(config.masking, Setting { value: false, origin: at(11) });
        assert_eq!(super::tests::config("tables: []").unwrap().tables.value, [""; 0]);
    }

    #[test]
    fn a_flag_wins_over_the_file() {
        let layers = Layers::new(KNOWN).text("user: ann\n", "c".as_ref()).unwrap();
        let config = Config::of(&layers.flag("user", "--user", Some("bob".to_owned())), TABLES).unwrap();
        assert_eq!(config.user, Setting { value: Some("bob".into()), origin: Origin::Flag("--user".into()) });
    }

    #[test]
    fn a_mode_is_what_is_written_and_no_number() {
        for (text, mode) in [("0640", 0o640), ("640", 0o640), ("\"0640\"", 0o640), ("00640", 0o640)] {
            assert_eq!(config(&format!("socket.mode: {text}")).unwrap().socket_mode.value, mode, "{text}");
        }
        for text in ["0o640", "0x1a0", "1e2", "640.0", "-1", "01000", "rw", "!!int 640x"] {
            assert!(config(&format!("socket: {{ mode: {text} }}")).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place_and_what_is_allowed() {
        for (text, place, words) in [
            (
                "masking: true\ntable: [users]",
                "c:2:1: there is no setting `table`",
                "mean `tables`? There are socket.path,",
            ),
            (
                "tables:\n  - users\n  - userz",
                "c:3:5: there is no table \"userz\"",
                "mean `users`? There are processes,",
            ),
            ("tables: [users, [shadow]]", "c:1:17: ", "single values"),
            ("tables: users", "c:1:9: `tables` is \"users\"", "a list"),
            ("tables: {}", "c:1:9: `tables` is a map", "a list"),
            ("socket:\n  mode: 0999", "c:2:9: `socket.mode` is \"0999\"", "0660"),
            ("socket: { path: run/x }", "c:1:17", "begin with /"),
            ("socket: /run/x", "c:1:1: there is no setting `socket`", "mean `socket.path`?"),
            ("allow: { users: [ann, ''] }", "c:1:23", "a name or a number"),
            ("allow: { user: [ann] }", "c:1:10", "mean `allow.users`?"),
            ("event_sources: [bpf]", "c:1:17: there is no event source \"bpf\"", "process_diff"),
            ("masking: 1\n", "c:1:10", "`true` or `false`"),
            ("masking: yes\n", "c:1:10", "`true` or `false`"),
            ("history.every: 1s", "c:1:1: there is no setting `history.every`; there are socket.path", ""),
            ("nothing:\n", "c:1:1: there is no setting `nothing`", ""),
            ("user: a\nuser: b", "c:", "user"),
            ("a: &a [*a]", "c:1:", ""),
        ] {
            let error = config(text).unwrap_err().to_string();
            assert!(error.starts_with(place) && error.contains(words), "{text:?}: {error}");
        }
    }
}
