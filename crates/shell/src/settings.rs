//! The settings of this program: from files and the environment. The options of each command win over them.

use std::path::Path;

use clap::ValueEnum;
use config::Layers;
use config::cli::{Config, KNOWN};
use vtables::Limits;

use crate::render::Format;
use crate::say;

/// The settings, with the formats that there are.
pub(crate) type Settings = Config<Format>;

/// Reads the settings: of the file that is named, else of the system's and the user's, and of the environment.
///
/// Who wants to go on whatever the usual files say goes on without those that are not understood.
///
/// # Errors
/// [`crate::Usage`] for what is not understood.
pub(crate) fn read(named: Option<&Path>, whatever_files_say: bool) -> anyhow::Result<Settings> {
    let typed = |layers: Layers| Config::of(&layers.environment()?, format);
    let settings = match Layers::new(KNOWN).files(named).and_then(typed) {
        Err(error) if whatever_files_say && named.is_none() => {
            let without = typed(Layers::new(KNOWN));
            if without.is_ok() {
                say::remark(&format!("note: {error}; no file counts"));
            }
            without
        }
        settings => settings,
    };
    settings.map_err(|error| crate::Usage(error.into()).into())
}

/// The limits of a statement that a person writes.
pub(crate) fn limits(settings: &Settings) -> Limits {
    Limits { timeout: settings.timeout.value, rows_max: settings.max_rows.value, ..Limits::default() }
}

fn format(text: &str) -> Result<Format, String> {
    Format::from_str(text, false).map_err(|_| {
        let names = Format::value_variants().iter().map(|format| format.name());
        format!("write one of {}", names.collect::<Vec<_>>().join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<Settings, String> {
        let layers = Layers::new(KNOWN).text(text, "c".as_ref()).unwrap();
        Config::of(&layers, format).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_usual_are_the_limits_of_the_engine() {
        let usual = settings("").unwrap();
        let (limits, engines) = (limits(&usual), Limits::default());
        assert_eq!((limits.timeout, limits.rows_max), (engines.timeout, engines.rows_max));
        assert_eq!(usual.format.value, Format::Table);
    }

    #[test]
    fn every_format_can_be_the_usual_one() {
        for format in Format::value_variants() {
            let settings = settings(&format!("cli: {{ format: {} }}", format.name())).unwrap();
            assert_eq!(settings.format.value, *format);
        }
        let error = settings("cli: { format: xml }").unwrap_err();
        assert!(
            error.contains("c:1:16") && error.contains("table, json, ndjson, csv, line, markdown"),
            "{error}"
        );
    }
}
