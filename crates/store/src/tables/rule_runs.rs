//! `rule_runs`: the last runs of each rule.

use collector::{Row, Rows, Table, int, key, real, text, unique};
use model::{Extent, Query, ScanError};

use super::{failed, seconds};
use crate::{RuleRun, StateReader};

pub(crate) static TABLE: Table<Ran, StateReader> = Table {
    name: "rule_runs",
    about: "The last runs of each rule: what they found, what they took, and how they ended.",
    identity: unique(&["rule", "number"]),
    extent: Extent::Whole { rows: 3000 },
    columns: &[
        key(text("rule", "The rule's id.", |r| (&r.0.rule).into())),
        int("number", "Its number among the rule's runs, from 1.", |r| r.0.number.into()),
        int("time", "When it started, in seconds since 1970.", |r| seconds(r.0.started_ms).into()),
        real("elapsed_ms", "How long it took, in ms.", |r| (r.0.elapsed_us as f64 / 1000.0).into()),
        int("rows", "Rows that it gave.", |r| r.0.rows.into()),
        int("alerts", "Alerts that it raised.", |r| r.0.raised.into()),
        text("outcome", "`done`, `failed` or `over budget`.", |r| (&r.0.outcome).into()),
        text("error", "Why it did not end well.", |r| (&r.0.detail).into()),
        int("complete", "1 if everything that it asked for could be read.", |r| r.0.complete.into()),
        text("version", "The rule's version then.", |r| (&r.0.version).into()),
    ],
    scan,
    examples: &["SELECT rule, elapsed_ms, rows, outcome FROM rule_runs ORDER BY elapsed_ms DESC LIMIT 10"],
};

pub(crate) struct Ran(RuleRun);

impl Row for Ran {
    fn heap_bytes(&self) -> usize {
        self.0.rule.len() + self.0.detail.len() + 32
    }
}

fn scan(reader: &StateReader, query: &Query) -> Result<Rows<Ran>, ScanError> {
    let runs = match query.texts("rule") {
        None => reader.rule_runs(&[]),
        Some(rules) => {
            let mut rules: Vec<&str> =
                rules.into_iter().filter_map(|r| std::str::from_utf8(r).ok()).collect();
            rules.sort_unstable();
            rules.dedup();
            if rules.is_empty() { Ok(Vec::new()) } else { reader.rule_runs(&rules) }
        }
    };
    Ok(Box::new(runs.map_err(failed)?.into_iter().map(|run| Ok(Ran(run)))))
}
