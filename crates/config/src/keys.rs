//! The settings: their names, what they mean, and their types.

use std::path::PathBuf;
use std::time::Duration;

use model::duration;

use crate::layers::{ConfigError, Layers, Origin};

/// A setting.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name, with dots between its levels.
    pub name: &'static str,
    /// What it means.
    pub about: &'static str,
}

const fn key(name: &'static str, about: &'static str) -> Key {
    Key { name, about }
}

/// All settings, in the order in which they are shown.
pub const KEYS: &[Key] = &[
    key("state", "the directory that everything is kept in"),
    key("rules", "a directory of rules, or one rule file"),
    key("socket", "where daemoneye-cli connects"),
    key("collector", "`embedded`, `spawn`, or the socket of a procmond"),
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

/// A value, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Where it came from.
    pub origin: Origin,
}

/// How something is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For a person.
    Human,
    /// A JSON object a line.
    Ndjson,
}

/// What of the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// What failed.
    Error,
    /// What may lead to that, too.
    Warn,
    /// What happens, too.
    Info,
    /// What it takes to find a fault, too.
    Debug,
    /// Everything.
    Trace,
}

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
    pub collector: Setting<Option<String>>,
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
    shown: Vec<(&'static str, String, Origin)>,
}

impl Config {
    /// The typed values of layers.
    ///
    /// # Errors
    /// [`ConfigError::Value`] for the first value that is not understood, with what is allowed.
    pub fn of(layers: &Layers) -> Result<Config, ConfigError> {
        let mut reading = Reading { layers, shown: Vec::new() };
        let it = &mut reading;
        let config = Config {
            state: it.maybe("state", "", path)?,
            rules: it.maybe("rules", "", path)?,
            socket: it.maybe("socket", "", path)?,
            collector: it.maybe("collector", "", |text| Ok(text.to_owned()))?,
            every: it.maybe("every", "", time)?,
            timeout: it.one("timeout", "30s", time)?,
            workers: it.one("workers", "2", |text| number(text, 1, 16))?,
            rule_nesting: it.one("rule.nesting", "3", |text| number(text, 0, 32))?,
            rule_steps: it.one("rule.steps", "100000000", |text| number(text, 1000, u64::MAX))?,
            format: it.maybe("format", "", format)?,
            file_path: it.maybe("file.path", "", path)?,
            file_max_size: it.one("file.max_size", "32MiB", |text| size(text, 64 << 10))?,
            file_max_age: it.one("file.max_age", "1d", time)?,
            file_keep: it.one("file.keep", "7", |text| number(text, 1, 1000))?,
            alerts_keep_for: it.one("alerts.keep_for", "180d", time)?,
            alerts_keep: it.one("alerts.keep", "100000", |text| number(text, 1, 100_000_000))?,
            history_every: it.one("history.every", "30s", |text| time(text).and_then(at_least_a_second))?,
            history_keep_for: it.one("history.keep_for", "14d", time)?,
            history_max_size: it.one("history.max_size", "512MiB", |text| size(text, 1 << 20))?,
            log_level: it.one("log.level", "info", level)?,
            log_format: it.maybe("log.format", "", format)?,
            shown: Vec::new(),
        };
        Ok(Config { shown: reading.shown, ..config })
    }

    /// Each setting with its value and where that came from, a line each.
    pub fn shown(&self) -> String {
        let mut text = String::new();
        for (key, value, origin) in &self.shown {
            let value = if value.is_empty() { "(usual)" } else { value };
            text.push_str(&format!("{key:<18} {value:<24} {origin}\n"));
        }
        text
    }
}

struct Reading<'l> {
    layers: &'l Layers,
    shown: Vec<(&'static str, String, Origin)>,
}

impl Reading<'_> {
    fn one<T>(
        &mut self,
        key: &'static str,
        usual: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Setting<T>, ConfigError> {
        let usual = (usual.to_owned(), Origin::Default);
        let (value, origin) = self.layers.get(key).unwrap_or(&usual).clone();
        let parsed = parse(&value).map_err(|allowed| ConfigError::Value {
            origin: origin.clone(),
            key,
            value: value.clone(),
            allowed,
        })?;
        self.shown.push((key, value, origin.clone()));
        Ok(Setting { value: parsed, origin })
    }

    fn maybe<T>(
        &mut self,
        key: &'static str,
        usual: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Setting<Option<T>>, ConfigError> {
        let given = self.layers.get(key).is_some();
        self.one(key, usual, |text| if given { parse(text).map(Some) } else { Ok(None) })
    }
}

fn path(text: &str) -> Result<PathBuf, String> {
    match text.is_empty() {
        true => Err("write a path".into()),
        false => Ok(text.into()),
    }
}

fn time(text: &str) -> Result<Duration, String> {
    duration::parse(text).filter(|time| !time.is_zero()).ok_or_else(|| duration::FORM.to_owned())
}

fn at_least_a_second(time: Duration) -> Result<Duration, String> {
    match time < Duration::from_secs(1) {
        true => Err("it is at least 1s".into()),
        false => Ok(time),
    }
}

fn number(text: &str, least: u64, most: u64) -> Result<u64, String> {
    let number = text.parse().ok().filter(|n| (least..=most).contains(n));
    number.ok_or_else(|| format!("write a number from {least} to {most}"))
}

/// Bytes: a number, alone or with KiB, MiB or GiB.
fn size(text: &str, least: u64) -> Result<u64, String> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("", 0)];
    let bytes = units.iter().find_map(|(unit, shift)| {
        let number: u64 = text.strip_suffix(unit)?.trim_end().parse().ok()?;
        number.checked_mul(1 << shift)
    });
    let bytes = bytes.filter(|bytes| *bytes >= least);
    bytes.ok_or_else(|| format!("write bytes, such as 32MiB, and at least {} KiB", least >> 10))
}

fn format(text: &str) -> Result<Format, String> {
    match text {
        "human" => Ok(Format::Human),
        "ndjson" => Ok(Format::Ndjson),
        _ => Err("write `human` or `ndjson`".into()),
    }
}

fn level(text: &str) -> Result<Level, String> {
    let levels = [Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace];
    let names = ["error", "warn", "info", "debug", "trace"];
    let found = names.iter().position(|name| *name == text).and_then(|n| levels.get(n)).copied();
    found.ok_or_else(|| format!("write one of {}", names.join(", ")))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test writes its fixture")]
mod tests {
    use super::*;

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
            let config = Config::of(&Layers::default().file(&path, true).unwrap()).unwrap();
            assert_eq!(
                (config.workers.value, config.timeout.value),
                (2, Duration::from_secs(30)),
                "{text:?}"
            );
            assert_eq!((config.rules.value, config.alerts_keep_for.value), (None, 180 * DAY));
            assert_eq!(config.shown.len(), KEYS.len());
        }
    }

    #[test]
    fn a_later_layer_wins_and_each_value_knows_where_it_came_from() {
        let (_system, system) = file("timeout: 10s\nworkers: 3\nhistory: { every: 5m }\n");
        let (_user, user) = file("workers: 4\nhistory.keep_for: 2d\n");
        let environment = [("DAEMONEYE_TIMEOUT", "20s"), ("DAEMONEYE_LOG_LEVEL", "debug"), ("PATH", "/bin")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let layers = Layers::default().file(&system, true).unwrap().file(&user, true).unwrap();
        let layers =
            layers.environment(environment).unwrap().flag("timeout", "--timeout", Some("40s".into()));
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
            ("timeout: fast", ":1: `timeout` is \"fast\"", "such as 30s"),
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
                Layers::default().file(&path, true).and_then(|layers| Config::of(&layers)).unwrap_err();
            let error = error.to_string();
            let rest = error
                .strip_prefix(&path.display().to_string())
                .unwrap_or_else(|| panic!("{text:?}: {error}"));
            assert!(rest.starts_with(place) && rest.contains(words), "{text:?}: {error}");
        }
        let environment = [("DAEMONEYE_TIMEOT".to_owned(), "1s".to_owned())];
        let error = Layers::default().environment(environment).unwrap_err().to_string();
        assert!(error.contains("DAEMONEYE_TIMEOT") && error.contains("timeout"), "{error}");
    }

    #[test]
    fn a_file_that_is_not_there_matters_only_if_it_was_named() {
        let path = std::path::Path::new("/no/such/file.yaml");
        assert!(Layers::default().file(path, false).is_ok());
        let error = Layers::default().file(path, true).unwrap_err().to_string();
        assert!(error.contains("/no/such/file.yaml"), "{error}");
    }
}
