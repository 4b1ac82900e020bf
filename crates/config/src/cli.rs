//! What daemoneye-cli is set up with. It reads where the agent and procmond are from the agent's own settings.

use std::path::{Path, PathBuf};
use std::time::Duration;

use model::duration;

use crate::agent::{self, COLLECTOR, SOCKET, STATE};
use crate::error::ConfigError;
use crate::key::{Key, Known, key};
use crate::layers::{Layers, Origin};
use crate::reading::{Reading, Setting, Shown};
use crate::values::{Collector, collector, number, path, time};

/// The cli's settings, in the order in which they are shown.
pub const KEYS: &[Key] = &[
    STATE,
    SOCKET,
    COLLECTOR,
    key("cli.format", "how rows are printed: one of the formats of `--format`"),
    key("cli.timeout", "what one statement may take, or `none`"),
    key("cli.max_rows", "rows that one statement may give"),
];

/// What the cli knows: the agent looks in the same places.
pub const KNOWN: Known = Known { own: KEYS, others: agent::KEYS };

/// How the cli is set up, which calls its formats `F`.
#[derive(Clone, Debug)]
pub struct Config<F> {
    /// Where the agent keeps everything; the usual place for `None`.
    pub state: Setting<Option<PathBuf>>,
    /// Where the agent listens; the usual place, or one in `state`, for `None`.
    pub socket: Setting<Option<PathBuf>>,
    /// Who reads the machine for the agent.
    pub collector: Setting<Option<Collector>>,
    /// How rows are printed.
    pub format: Setting<F>,
    /// What one statement may take; without an end for `None`.
    pub timeout: Setting<Option<Duration>>,
    /// Rows that one statement may give.
    pub max_rows: Setting<u64>,
    shown: Shown,
}

impl<F> Config<F> {
    /// The typed values of layers. `format` reads the name of a format, or gives what is allowed.
    ///
    /// # Errors
    /// For the first value that is not understood, with what is allowed.
    pub fn of(layers: &Layers, format: impl Fn(&str) -> Result<F, String>) -> Result<Config<F>, ConfigError> {
        let mut reading = Reading::of(layers);
        let it = &mut reading;
        let config = Config {
            state: it.maybe("state", path)?,
            socket: it.maybe("socket", path)?,
            collector: it.maybe("collector", collector)?,
            format: it.one("cli.format", "table", format)?,
            timeout: it.one("cli.timeout", "30s", time_or_none)?,
            max_rows: it.one("cli.max_rows", "10000000", |text| number(text, 1, u64::MAX))?,
            shown: Shown::default(),
        };
        Ok(Config { shown: reading.shown, ..config })
    }

    /// The socket of the collector, if that is one that listens somewhere.
    pub fn collector_socket(&self) -> Option<&Path> {
        match &self.collector.value {
            Some(Collector::At(socket)) => Some(socket),
            Some(Collector::Embedded | Collector::Spawn) | None => None,
        }
    }

    /// Shows what a flag of the cli's own puts in the place of a setting.
    #[must_use]
    pub fn showing(mut self, key: &str, flag: &str, value: String) -> Config<F> {
        self.shown.replace(key, value, Origin::Flag(flag.to_owned()));
        self
    }

    /// Each setting with its value and where that came from, a line each.
    pub fn shown(&self) -> String {
        self.shown.text()
    }
}

fn time_or_none(text: &str) -> Result<Option<Duration>, String> {
    match text {
        "none" => Ok(None),
        text => time(text).map(Some).map_err(|_| format!("{}, or `none`", duration::FORM)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(text: &str) -> Result<&'static str, String> {
        ["table", "json"].into_iter().find(|name| *name == text).ok_or("write `table` or `json`".to_owned())
    }

    fn config(text: &str) -> Result<Config<&'static str>, ConfigError> {
        Config::of(&Layers::new(KNOWN).text(text, "c".as_ref())?, format)
    }

    #[test]
    fn it_reads_where_the_agent_is_and_passes_over_the_rest_that_is_the_agents() {
        let config =
            config("state: /a\ncollector: spawn\nhistory: { every: never }\ncli: { format: json }\n");
        let config = config.unwrap();
        assert_eq!(config.state.value, Some("/a".into()));
        assert_eq!((config.socket.value.as_ref(), config.collector_socket()), (None, None));
        assert_eq!(config.format, Setting { value: "json", origin: Origin::File("c".into(), 4) });
        assert_eq!(config.shown.keys(), KEYS.iter().map(|key| key.name).collect::<Vec<_>>());
        let config = super::tests::config("collector: /run/p.sock\ncli.timeout: none\n").unwrap();
        assert_eq!(config.collector_socket(), Some("/run/p.sock".as_ref()));
        assert_eq!((config.timeout.value, config.max_rows.value), (None, 10_000_000));
    }

    #[test]
    fn the_agent_passes_over_what_is_the_clis() {
        let layers = Layers::new(agent::KNOWN).text("cli: { format: xml }\nworkers: 3\n", "c".as_ref());
        let variables = [("DAEMONEYE_CLI_TIMEOUT".to_owned(), "never".to_owned())];
        let layers = layers.unwrap().variables(variables).unwrap();
        assert_eq!(agent::Config::of(&layers).unwrap().workers.value, 3);
    }

    #[test]
    fn the_settings_of_the_readme_are_understood_by_both() {
        let readme = include_str!("../../../README.md");
        let block = readme.split("```yaml\n").find(|block| block.starts_with("state:")).unwrap();
        let block = block.split("```").next().unwrap();
        let agents = Layers::new(agent::KNOWN).text(block, "README.md".as_ref()).unwrap();
        assert!(agent::Config::of(&agents).is_ok());
        let config = config(block).unwrap();
        assert_eq!((config.format.value, config.max_rows.value), ("json", 1000));
        assert!(config.collector_socket().is_some());
    }

    #[test]
    fn a_later_layer_wins_and_what_a_flag_does_is_shown() {
        let layers = Layers::new(KNOWN).text("cli:\n  max_rows: 5\n  timeout: 1m\n", "a".as_ref()).unwrap();
        let layers = layers.text("cli: { max_rows: 6 }\n", "b".as_ref()).unwrap();
        let variables = [("DAEMONEYE_CLI_TIMEOUT", "2m"), ("DAEMONEYE_WORKERS", "many")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let config = Config::of(&layers.variables(variables).unwrap(), format).unwrap();
        assert_eq!(config.max_rows, Setting { value: 6, origin: Origin::File("b".into(), 1) });
        assert_eq!(config.timeout.value, Some(Duration::from_secs(120)));
        let shown = config.showing("state", "--state", "/b".to_owned()).shown();
        let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["state", "/b", "--state"]);
        assert_eq!(lines[4], ["cli.timeout", "2m", "DAEMONEYE_CLI_TIMEOUT"]);
        assert_eq!(lines[5], ["cli.max_rows", "6", "b:1"]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place_and_what_is_allowed() {
        for (text, place, words) in [
            (
                "workers: 2\ncli:\n  formt: json",
                "c:3:3: there is no setting `cli.formt`",
                "mean `cli.format`? ",
            ),
            ("stat: /x", "c:1:1: there is no setting `stat`", "mean `state`? There are state, socket,"),
            ("max_rows: 1", "c:1:1: ", "mean `cli.max_rows`? "),
            ("histroy.every: 1s", "c:1:1: ", "mean `history.every`? "),
            ("cli: { format: xml }", "c:1:16: `cli.format` is \"xml\"", "`table` or `json`"),
            ("cli.timeout: soon", "c:1:14: ", ", or `none`"),
            ("cli.max_rows: 0", "c:1:15: ", "a number, 1 or more"),
            ("socket: [a, b]", "c:1:9: `socket` is a list", "one value"),
            ("collector: spwan", "c:1:12: ", "`embedded`, `spawn` or the path"),
            ("cli: 5", "c:1:1: there is no setting `cli`", "mean `cli.format`? "),
            (
                "nothing:",
                "c:1:1: there is no setting `nothing`; there are state, ",
                ", cli.max_rows, rules, ",
            ),
        ] {
            let error = config(text).unwrap_err().to_string();
            assert!(error.starts_with(place) && error.contains(words), "{text:?}: {error}");
        }
        let variables = [("DAEMONEYE_CLI_FORMT".to_owned(), "json".to_owned())];
        let error = Layers::new(KNOWN).variables(variables).unwrap_err().to_string();
        assert!(error.contains("DAEMONEYE_CLI_FORMT") && error.contains("mean `cli.format`"), "{error}");
    }
}
