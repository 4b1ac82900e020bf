//! `process_changes`: facts about processes that did not stay as they were.

use collector::{Row, Rows, Table, int, key, repeated, text};
use model::{Extent, Query, ScanError, Value};

use super::{pages, seconds};
use crate::history::{Changed, ChangesCursor, Datum, HistoryReader};

pub(crate) static TABLE: Table<Changed, HistoryReader> = Table {
    name: "process_changes",
    about: "Facts about processes that changed between two collection runs, such as the path after an exec.",
    identity: repeated(&["start_key", "column"]),
    extent: Extent::PerKey { keys: 10_000, rows: 3 },
    columns: &[
        key(text("start_key", "Names this process among all that ever ran.", |c| (&c.start_key).into())),
        int("pid", "Process id.", |c| c.pid.into()),
        int("time", "Time of the run that saw it, in seconds since 1970.", |c| seconds(c.time_ms).into()),
        text("column", "What changed: a column of processes.", |c| c.fact.column().into()),
        text("old", "What it was, as text; NULL for nothing.", |c| shown(c.old.as_ref())),
        text("new", "What it became, as text; NULL for nothing.", |c| shown(c.new.as_ref())),
    ],
    scan,
    examples: &["SELECT time, pid, old, new FROM process_changes WHERE column = 'euid'"],
};

impl Row for Changed {
    fn heap_bytes(&self) -> usize {
        let bytes = |datum: &Option<Datum>| match datum {
            Some(Datum::Text(text)) => text.len(),
            _ => 0,
        };
        self.start_key.len() + bytes(&self.old) + bytes(&self.new)
    }
}

fn shown(datum: Option<&Datum>) -> Value<'_> {
    match datum {
        Some(Datum::Int(n)) => n.to_string().into(),
        Some(text) => text.into(),
        None => Value::Null,
    }
}

fn scan(reader: &HistoryReader, query: &Query) -> Result<Rows<Changed>, ScanError> {
    let Some(keys) = query.texts("start_key") else {
        let reader = reader.clone();
        return Ok(Box::new(pages(move |after: Option<ChangesCursor>| reader.changes(None, after))));
    };
    let keys: Vec<Vec<u8>> = keys.into_iter().map(<[u8]>::to_vec).collect();
    let reader = reader.clone();
    Ok(Box::new(keys.into_iter().flat_map(move |key| {
        let reader = reader.clone();
        pages(move |after: Option<ChangesCursor>| reader.changes(Some(&key), after))
    })))
}
