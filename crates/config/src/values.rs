//! Values from their texts. What is not understood gives what is allowed.

use std::path::PathBuf;
use std::time::Duration;

use model::duration;

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

/// Who reads the machine for the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Collector {
    /// The agent itself.
    Embedded,
    /// The procmond beside it, started with its own rights.
    Spawn,
    /// The one that listens at this path.
    At(PathBuf),
}

pub(crate) fn path(text: &str) -> Result<PathBuf, String> {
    match text.is_empty() {
        true => Err("write a path".into()),
        false => Ok(text.into()),
    }
}

pub(crate) fn collector(text: &str) -> Result<Collector, String> {
    match text {
        "embedded" => Ok(Collector::Embedded),
        "spawn" => Ok(Collector::Spawn),
        path if path.contains('/') => Ok(Collector::At(path.into())),
        _ => Err("write `embedded`, `spawn` or the path of a socket".into()),
    }
}

pub(crate) fn time(text: &str) -> Result<Duration, String> {
    duration::parse(text).filter(|time| !time.is_zero()).ok_or_else(|| duration::FORM.to_owned())
}

pub(crate) fn number(text: &str, least: u64, most: u64) -> Result<u64, String> {
    // As YAML has them, `100_000` too.
    let number = text.replace('_', "").parse().ok().filter(|n| (least..=most).contains(n));
    number.ok_or_else(|| match most {
        u64::MAX => format!("write a number, {least} or more"),
        _ => format!("write a number from {least} to {most}"),
    })
}

/// Bytes: a number, alone or with KiB, MiB or GiB.
pub(crate) fn size(text: &str, least: u64) -> Result<u64, String> {
    let bytes = model::size::parse(&text.replace('_', "")).filter(|bytes| *bytes >= least);
    bytes.ok_or_else(|| format!("{}, and at least {} KiB", model::size::FORM, least >> 10))
}

pub(crate) fn format(text: &str) -> Result<Format, String> {
    match text {
        "human" => Ok(Format::Human),
        "ndjson" => Ok(Format::Ndjson),
        _ => Err("write `human` or `ndjson`".into()),
    }
}

pub(crate) fn level(text: &str) -> Result<Level, String> {
    let levels = [Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace];
    let names = ["error", "warn", "info", "debug", "trace"];
    let found = names.iter().position(|name| *name == text).and_then(|n| levels.get(n)).copied();
    found.ok_or_else(|| format!("write one of {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_a_word_or_a_path() {
        assert_eq!(collector("embedded"), Ok(Collector::Embedded));
        assert_eq!(collector("spawn"), Ok(Collector::Spawn));
        assert_eq!(collector("/run/x.sock"), Ok(Collector::At("/run/x.sock".into())));
        assert!(collector("embeded").is_err());
    }
}
