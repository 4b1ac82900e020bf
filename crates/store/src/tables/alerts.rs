//! `alerts`: what rules found, once each.

use std::sync::OnceLock;

use collector::{Row, Rows, Table, int, key, ranged, text, unique};
use model::{Alert, AlertId, AlertState, Extent, NamedRow, Query, ScanError, Value, json};

use super::{failed, range_ms, seconds};
use crate::{AlertFilter, StateReader};

pub(crate) static TABLE: Table<AlertRow, StateReader> = Table {
    name: "alerts",
    about: "Alerts that rules raised, with evidence and what became of them.",
    identity: unique(&["id", "time", "rule", "state", "start_key"]),
    extent: Extent::Whole { rows: 1000 },
    columns: &[
        key(text("id", "The alert's id, 32 hexadecimal digits.", |a| (&a.id).into())),
        ranged(int("time", "When it was first found, in seconds since 1970.", |a| {
            seconds(a.alert.first_ms).into()
        })),
        text("severity", "`low`, `medium`, `high` or `critical`.", |a| a.alert.severity.name().into()),
        text("title", "What was found, in one line.", |a| a.alert.title.as_ref().into()),
        key(text("rule", "The rule's id.", |a| a.alert.rule.as_ref().into())),
        key(text("state", "`new`, `acknowledged`, `closed` or `reopened`.", |a| a.alert.state.name().into())),
        int("count", "Findings that it stands for.", |a| a.alert.count.into()),
        int("last_time", "When it was last found, in seconds since 1970.", |a| {
            seconds(a.alert.last_ms).into()
        }),
        int("window_end", "Until when an equal finding counts here, in seconds since 1970.", |a| {
            seconds(a.alert.window_end_ms).into()
        }),
        key(text("start_key", "The process that the finding names; NULL if none.", |a| {
            a.of_row("start_key")
        })),
        int("pid", "That process's id when it was found; NULL if the rule gives none.", |a| a.of_row("pid")),
        text("path", "The path that the finding names; NULL if the rule gives none.", |a| a.of_row("path")),
        text("row", "The row that was found first, as JSON.", |a| a.json().0.as_str().into()),
        text("evidence", "What else was known then, as JSON: sections of rows.", |a| {
            a.json().1.as_str().into()
        }),
        text("tags", "The rule's tags, with commas between them.", |a| a.alert.tags.join(",").into()),
        text("rule_version", "The rule's version: a hash over its SQL and dedup.", |a| {
            a.alert.rule_version.as_ref().into()
        }),
        text("sql", "The rule's statement.", |a| a.alert.sql.as_ref().into()),
    ],
    scan,
    examples: &[
        "SELECT id, severity, title, count FROM alerts WHERE state = 'new' ORDER BY time DESC",
        "SELECT time, rule, title FROM alerts WHERE time > unixepoch() - 3600",
        "SELECT rule, count(*) AS alerts, sum(count) AS findings FROM alerts GROUP BY rule",
    ],
};

pub(crate) struct AlertRow {
    id: String,
    alert: Alert,
    json: OnceLock<(String, String)>,
}

impl Row for AlertRow {
    fn heap_bytes(&self) -> usize {
        let row = |row: &NamedRow| row.iter().map(|(n, v)| n.len() + v.heap_bytes() + 64).sum::<usize>();
        let evidence = self.alert.evidence.sections.iter().flat_map(|(_, rows)| rows);
        let texts = self.alert.sql.len() + self.alert.title.len();
        // The JSON, once it is asked for, is about as long as what it is made of.
        texts + 2 * (row(&self.alert.row) + evidence.map(row).sum::<usize>())
    }
}

impl AlertRow {
    pub(crate) fn of(alert: Alert) -> AlertRow {
        AlertRow { id: alert.id.to_string(), alert, json: OnceLock::new() }
    }

    fn of_row(&self, name: &str) -> Value<'_> {
        let found = self.alert.row.iter().find(|(column, _)| column.eq_ignore_ascii_case(name));
        found.map_or(Value::Null, |(_, value)| match value {
            Value::Null => Value::Null,
            Value::Int(n) => Value::Int(*n),
            Value::Real(x) => Value::Real(*x),
            Value::Text(bytes) => Value::Text(bytes.as_ref().into()),
            Value::Blob(bytes) => Value::Blob(bytes.as_ref().into()),
        })
    }

    fn json(&self) -> &(String, String) {
        self.json.get_or_init(|| {
            let object = |row: &NamedRow, out: &mut String| {
                json::push_row(row.iter().map(|(name, value)| (&**name, value)), out);
            };
            let (mut row, mut evidence) = (String::new(), String::from("{"));
            object(&self.alert.row, &mut row);
            for (n, (name, rows)) in self.alert.evidence.sections.iter().enumerate() {
                evidence.push_str(if n > 0 { "," } else { "" });
                json::push_string(name, &mut evidence);
                evidence.push_str(":[");
                for (n, row) in rows.iter().enumerate() {
                    evidence.push_str(if n > 0 { "," } else { "" });
                    object(row, &mut evidence);
                }
                evidence.push(']');
            }
            evidence.push('}');
            (row, evidence)
        })
    }
}

fn scan(reader: &StateReader, query: &Query) -> Result<Rows<AlertRow>, ScanError> {
    let texts =
        |name| query.texts(name).map(|texts| texts.into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>());
    let of = |text: &Vec<u8>| String::from_utf8(text.clone()).ok();
    let (from_ms, to_ms) = range_ms(query, "time");
    let mut filter = AlertFilter { from_ms, to_ms, ..AlertFilter::default() };
    // A key that is none finds nothing, which an empty list would not say.
    if let Some(ids) = texts("id") {
        filter.ids = ids.iter().filter_map(|id| AlertId::parse(&of(id)?)).collect();
        if filter.ids.is_empty() {
            return Ok(Box::new(std::iter::empty()));
        }
    }
    if let Some(states) = texts("state") {
        let named =
            |name: &Vec<u8>| AlertState::ALL.into_iter().find(|s| s.name().as_bytes() == name.as_slice());
        filter.states = states.iter().filter_map(named).collect();
        if filter.states.is_empty() {
            return Ok(Box::new(std::iter::empty()));
        }
    }
    filter.rules = texts("rule").unwrap_or_default().iter().filter_map(of).collect();
    filter.start_keys = texts("start_key").unwrap_or_default();
    filter.ids.sort_unstable();
    filter.ids.dedup();
    filter.rules.sort_unstable();
    filter.rules.dedup();
    filter.start_keys.sort_unstable();
    filter.start_keys.dedup();
    let run = query.run.clone();
    Ok(Box::new(reader.alerts(&filter).map(move |alert| {
        run.check()?;
        alert.map(AlertRow::of).map_err(failed)
    })))
}
