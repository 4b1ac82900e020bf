//! What daemoneye-agent is set up with.

use std::path::PathBuf;
use std::time::Duration;

use crate::cli;
use crate::error::ConfigError;
use crate::key::{Key, Known, key};
use crate::layers::Layers;
use crate::reading::{Reading, Setting, Shown};
use crate::values::{Collector, Format, Level, collector, format, level, number, path, size, time};

pub(crate) const STATE: Key = key("state", "the directory that everything is kept in");
pub(crate) const SOCKET: Key = key("socket", "where daemoneye-cli connects");
pub(crate) const COLLECTOR: Key = key("collector", "`embedded`, `spawn`, or the socket of a procmond");

/// The agent's settings, in the order in which they are shown.
pub const KEYS: &[Key] = &[
    STATE,
    key("rules", "a directory of rules, or one rule file"),
    SOCKET,
    COLLECTOR,
    key("every", "run every rule this often, in place of its own interval"),
    key("timeout", "what one run of a rule may take"),
    key("workers", "rules that run at once, 1 to 16"),
    key("rule.nesting", "subqueries that a rule may have within each other, 0 to 32"),
    key("rule.steps", "rows that a rule is expected to go through at most, as its plan tells"),
    key("format", "how alerts are written to standard output: `human` or `ndjson`"),
    key("file.path", "the file of alerts"),
    key("file.max_size", "bytes of that file before it is put away, such as 32MiB"),
    key("file.max_age", "how old its first line may be"),
    key("file.keep", "files that were put away and are kept"),
    key("alerts.keep_for", "how long an alert is kept after it was last seen"),
    key("alerts.keep", "alerts that are kept at most"),
    key("history.every", "between two looks at all processes"),
    key("history.keep_for", "how long process history is kept"),
    key("history.max_size", "bytes of process history that are kept at most"),
    key("log.level", "`error`, `warn`, `info`, `debug` or `trace`"),
    key("log.format", "how the log is written: `human` or `ndjson`"),
];

/// What the agent knows: the cli looks in the same places.
pub const KNOWN: Known = Known { own: KEYS, others: cli::KEYS };

/// How the agent is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where everything is kept; the usual place for `None`.
    pub state: Setting<Option<PathBuf>>,
    /// Where rules are; the installed or built-in ones for `None`.
    pub rules: Setting<Option<PathBuf>>,
    /// Where daemoneye-cli connects; the usual place for `None`.
    pub socket: Setting<Option<PathBuf>>,
    /// Who reads the machine; whoever is there for `None`.
    pub collector: Setting<Option<Collector>>,
    /// The interval of every rule; its own for `None`.
    pub every: Setting<Option<Duration>>,
    /// What one run of a rule may take.
    pub timeout: Setting<Duration>,
    /// Rules that run at once.
    pub workers: Setting<u64>,
    /// Subqueries within each other.
    pub rule_nesting: Setting<u64>,
    /// Rows that a rule is expected to go through.
    pub rule_steps: Setting<u64>,
    /// How alerts are written to standard output; as fits there for `None`.
    pub format: Setting<Option<Format>>,
    /// The file of alerts; one in the state directory for `None`.
    pub file_path: Setting<Option<PathBuf>>,
    /// Bytes of that file.
    pub file_max_size: Setting<u64>,
    /// How old its first line may be.
    pub file_max_age: Setting<Duration>,
    /// Files that were put away and are kept.
    pub file_keep: Setting<u64>,
    /// How long an alert is kept.
    pub alerts_keep_for: Setting<Duration>,
    /// Alerts that are kept at most.
    pub alerts_keep: Setting<u64>,
    /// Between two looks at all processes.
    pub history_every: Setting<Duration>,
    /// How long process history is kept.
    pub history_keep_for: Setting<Duration>,
    /// Bytes of process history.
    pub history_max_size: Setting<u64>,
    /// What of the log is written.
    pub log_level: Setting<Level>,
    /// How the log is written; as fits there for `None`.
    pub log_format: Setting<Option<Format>>,
    shown: Shown,
}

impl Config {
    /// The typed values of layers.
    ///
    /// # Errors
    /// For the first value that is not understood, with what is allowed.
    pub fn of(layers: &Layers) -> Result<Config, ConfigError> {
        let mut reading = Reading::of(layers);
        let it = &mut reading;
        let config = Config {
            state: it.maybe("state", path)?,
            rules: it.maybe("rules", path)?,
            socket: it.maybe("socket", path)?,
            collector: it.maybe("collector", collector)?,
            every: it.maybe("every", time)?,
            timeout: it.one("timeout", "30s", time)?,
            workers: it.one("workers", "2", |text| number(text, 1, 16))?,
            rule_nesting: it.one("rule.nesting", "3", |text| number(text, 0, 32))?,
            rule_steps: it.one("rule.steps", "100000000", |text| number(text, 1000, u64::MAX))?,
            format: it.maybe("format", format)?,
            file_path: it.maybe("file.path", path)?,
            file_max_size: it.one("file.max_size", "32MiB", |text| size(text, 64 << 10))?,
            file_max_age: it.one("file.max_age", "1d", time)?,
            file_keep: it.one("file.keep", "7", |text| number(text, 1, 1000))?,
            alerts_keep_for: it.one("alerts.keep_for", "180d", time)?,
            alerts_keep: it.one("alerts.keep", "100000", |text| number(text, 1, 100_000_000))?,
            history_every: it.one("history.every", "30s", |text| time(text).and_then(at_least_a_second))?,
            history_keep_for: it.one("history.keep_for", "14d", time)?,
            history_max_size: it.one("history.max_size", "512MiB", |text| size(text, 1 << 20))?,
            log_level: it.one("log.level", "info", level)?,
            log_format: it.maybe("log.format", format)?,
            shown: Shown::default(),
        };
        Ok(Config { shown: reading.shown, ..config })
    }

    /// Each setting with its value and where that came from, a line each.
    pub fn shown(&self) -> String {
        self.shown.text()
    }
}

fn at_least_a_second(time: Duration) -> Result<Duration, String> {
    match time < Duration::from_secs(1) {
        true => Err("it is at least 1s".into()),
        false => Ok(time),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test writes its fixture")]
mod tests {
    use super::*;
    use crate::layers::Origin;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn file(text: &str) -> (tempfile::NamedTempFile, PathBuf) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let path = file.path().to_owned();
        (file, path)
    }

    #[test]
    fn without_a_word_everything_is_as_usual() {
        for text in ["", "# nothing\n", "{}", "rules:\n"] {
            let (_file, path) = file(text);
            let config = Config::of(&Layers::new(KNOWN).file(&path, true).unwrap()).unwrap();
            assert_eq!(
                (config.workers.value, config.timeout.value),
                (2, Duration::from_secs(30)),
                "{text:?}"
            );
            assert_eq!((config.rules.value, config.alerts_keep_for.value), (None, 180 * DAY));
            assert_eq!(config.shown.keys(), KEYS.iter().map(|key| key.name).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_later_layer_wins_and_each_value_knows_where_it_came_from() {
        let (_system, system) = file("timeout: 10s\nworkers: 3\nhistory: { every: 5m }\n");
        let (_user, user) = file("workers: 4\nhistory.keep_for: 2d\n");
        let environment = [("DAEMONEYE_TIMEOUT", "20s"), ("DAEMONEYE_LOG_LEVEL", "debug"), ("PATH", "/bin")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let layers = Layers::new(KNOWN).file(&system, true).unwrap().file(&user, true).unwrap();
        let layers = layers.variables(environment).unwrap().flag("timeout", "--timeout", Some("40s".into()));
        let config = Config::of(&layers.flag("every", "--every", None)).unwrap();
        assert_eq!(
            config.timeout,
            Setting { value: Duration::from_secs(40), origin: Origin::Flag("--timeout".into()) }
        );
        assert_eq!(config.workers, Setting { value: 4, origin: Origin::File(user.clone(), 1) });
        assert_eq!(config.history_every.origin, Origin::File(system, 3));
        assert_eq!(config.history_keep_for.value, 2 * DAY);
        assert_eq!(config.log_level.origin, Origin::Environment("DAEMONEYE_LOG_LEVEL".into()));
        assert!(config.shown().contains("DAEMONEYE_LOG_LEVEL") && config.shown().contains("default"));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place_and_what_is_allowed() {
        for (text, place, words) in [
            ("timeout: 10s\nruls: x", ":2:1:", "there is no setting `ruls`"),
            ("history:\n  evry: 10s", ":2:3:", "history.every"),
            ("workers: 2\nworkers: 3", ":", "workers"),
            ("timeout: fast", ":1:10: `timeout` is \"fast\"", "such as 30s"),
            ("workers: 0", ":1:", "from 1 to 16"),
            ("file: { max_size: 1 }", ":1:", "at least 64 KiB"),
            ("log: { level: loud }", ":1:", "error, warn"),
            ("format: xml", ":1:", "`human` or `ndjson`"),
            ("just text", ":1:1:", "a map"),
            ("a: [1]", ":1:", ""),
            ("a: &a [*a]", ":1:", ""),
        ] {
            let (_file, path) = file(text);
            let error =
                Layers::new(KNOWN).file(&path, true).and_then(|layers| Config::of(&layers)).unwrap_err();
            let error = error.to_string();
            let rest = error
                .strip_prefix(&path.display().to_string())
                .unwrap_or_else(|| panic!("{text:?}: {error}"));
            assert!(rest.starts_with(place) && rest.contains(words), "{text:?}: {error}");
        }
        let environment = [("DAEMONEYE_TIMEOT".to_owned(), "1s".to_owned())];
        let error = Layers::new(KNOWN).variables(environment).unwrap_err().to_string();
        assert!(error.contains("DAEMONEYE_TIMEOT") && error.contains("timeout"), "{error}");
    }

    #[test]
    fn a_file_that_is_not_there_matters_only_if_it_was_named() {
        let path = std::path::Path::new("/no/such/file.yaml");
        assert!(Layers::new(KNOWN).file(path, false).is_ok());
        let error = Layers::new(KNOWN).file(path, true).unwrap_err().to_string();
        assert!(error.contains("/no/such/file.yaml"), "{error}");
    }
}
