//! `alert_history`: what was done about alerts.

use collector::{Row, Rows, Table, int, key, text, unique};
use model::{AlertId, Extent, Query, ScanError};

use super::{failed, seconds};
use crate::{HistoryEntry, StateReader};

pub(crate) static TABLE: Table<Entry, StateReader> = Table {
    name: "alert_history",
    about: "What was done about alerts: raised, acknowledged, closed, reopened, by whom and why.",
    identity: unique(&["alert_id", "number"]),
    extent: Extent::Whole { rows: 2000 },
    columns: &[
        key(text("alert_id", "The alert's id.", |e| (&e.id).into())),
        int("number", "Its number among what was done about this alert, from 1.", |e| e.entry.number.into()),
        int("time", "When, in seconds since 1970.", |e| seconds(e.entry.time_ms).into()),
        text("action", "`raised`, or the state that it was brought to.", |e| (&e.entry.action).into()),
        text("actor", "`agent`, or the user that the kernel named, such as `uid:1000`.", |e| {
            (&e.entry.actor).into()
        }),
        text("reason", "Why, in the actor's words.", |e| (&e.entry.reason).into()),
    ],
    scan,
    examples: &["SELECT time, action, actor, reason FROM alert_history ORDER BY time DESC LIMIT 20"],
};

pub(crate) struct Entry {
    id: String,
    entry: HistoryEntry,
}

impl Row for Entry {
    fn heap_bytes(&self) -> usize {
        self.id.len() + self.entry.action.len() + self.entry.actor.len() + self.entry.reason.len()
    }
}

fn scan(reader: &StateReader, query: &Query) -> Result<Rows<Entry>, ScanError> {
    let entries = match query.texts("alert_id") {
        None => reader.alert_history(None).map_err(failed)?,
        Some(ids) => {
            let parsed = |id: &[u8]| AlertId::parse(std::str::from_utf8(id).ok()?);
            let mut ids: Vec<AlertId> = ids.into_iter().filter_map(parsed).collect();
            ids.sort_unstable();
            ids.dedup();
            let mut entries = Vec::new();
            for id in ids {
                entries.extend(reader.alert_history(Some(id)).map_err(failed)?);
            }
            entries
        }
    };
    Ok(Box::new(entries.into_iter().map(|entry| Ok(Entry { id: entry.alert.to_string(), entry }))))
}
