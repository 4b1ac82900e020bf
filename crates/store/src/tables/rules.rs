//! `rules`: what is loaded, what was refused, and how each rule fares.

use collector::{Row, Rows, Table, int, real, text, unique};
use model::{Extent, Query, ScanError, Value};

use super::{failed, seconds};
use crate::{RuleRow, StateReader};

pub(crate) static TABLE: Table<Known, StateReader> = Table {
    name: "rules",
    about: "Detection rules that the agent loaded or refused, and how each fares.",
    identity: unique(&["id"]),
    extent: Extent::Whole { rows: 100 },
    columns: &[
        text("id", "The rule's id; of a file that gave no rule its path.", |r| (&r.0.card.id).into()),
        text("status", "`loaded` or `refused`.", |r| {
            if r.0.card.error.is_empty() { "loaded".into() } else { "refused".into() }
        }),
        int("enabled", "1 if it may run.", |r| r.0.enabled.into()),
        text("severity", "`low`, `medium`, `high` or `critical`; NULL if refused.", |r| {
            if r.0.card.error.is_empty() { r.0.card.severity.name().into() } else { Value::Null }
        }),
        text("title", "What a finding says.", |r| (&r.0.card.title).into()),
        int("interval", "How often it runs, in seconds.", |r| r.0.card.interval.as_secs().into()),
        int("last_run", "When it last ran, in seconds since 1970; NULL if never.", |r| {
            r.0.last_run_ms.map(seconds).into()
        }),
        int("runs", "How often it ran.", |r| r.0.runs.into()),
        int("failures", "Runs that did not end well.", |r| r.0.failures.into()),
        int("over_budget", "Runs that were ended at a limit.", |r| r.0.over_budget.into()),
        int("findings", "Findings of all runs.", |r| r.0.matches.into()),
        int("alerts", "Alerts that it raised.", |r| r.0.alerts.into()),
        real("average_ms", "What a run takes on average, in ms; NULL if it never ran.", |r| {
            (r.0.runs > 0).then(|| r.0.elapsed_us as f64 / 1000.0 / r.0.runs as f64).into()
        }),
        text("error", "Why it was refused, or why its last run did not end well.", |r| {
            if r.0.card.error.is_empty() { (&r.0.last_error).into() } else { (&r.0.card.error).into() }
        }),
        text("path", "Where it comes from.", |r| (&r.0.card.path).into()),
        text("version", "A hash over its SQL and dedup.", |r| (&r.0.card.version).into()),
        text("tags", "Its tags, with commas between them.", |r| r.0.card.tags.join(",").into()),
        text("description", "Why a finding matters.", |r| (&r.0.card.description).into()),
        text("sql", "Its statement.", |r| (&r.0.card.sql).into()),
    ],
    scan,
    examples: &[
        "SELECT id, runs, average_ms, alerts FROM rules ORDER BY average_ms DESC",
        "SELECT path, error FROM rules WHERE status = 'refused'",
    ],
};

pub(crate) struct Known(RuleRow);

impl Row for Known {
    fn heap_bytes(&self) -> usize {
        self.0.card.sql.len() + self.0.card.description.len() + self.0.card.error.len() + 256
    }
}

fn scan(reader: &StateReader, _: &Query) -> Result<Rows<Known>, ScanError> {
    let rules = reader.rules().map_err(failed)?;
    Ok(Box::new(rules.into_iter().map(|rule| Ok(Known(rule)))))
}
