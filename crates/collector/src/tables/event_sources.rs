//! `event_sources`: what tells of events, and how it fares.

use model::{Extent, Query, ScanError};

use crate::{Row, Rows, Runtime, SourceRow, Table, int, text, unique};

pub(super) static TABLE: Table<SourceRow, Runtime> = Table {
    name: "event_sources",
    about: "What tells of events, and how it fares.",
    identity: unique(&["name"]),
    extent: Extent::Whole { rows: 3 },
    columns: &[
        text("name", "Its name, which is that of its events.", |s| (&*s.name).into()),
        text("capabilities", "What it can do: `PROCESS | SYSTEM_WIDE`.", |s| s.capability_names().into()),
        text(
            "state",
            "`running`, `waiting` (failed, will start again), `ended`, `failed` (given up), `stopping` or `stopped`.",
            |s| s.state.name().into(),
        ),
        text("reason", "Why it failed last, or what it complains of; NULL for nothing.", |s| {
            s.reason.as_ref().into()
        }),
        int("restarts", "How often it was started again.", |s| s.restarts.into()),
        int("raised", "Events that it raised: the number of its last one.", |s| s.raised.into()),
        int("lost", "Of those, events that were lost before any subscriber could get them.", |s| {
            s.lost.into()
        }),
        int("last_time", "Time of its last event, in ns since 1970; NULL before the first.", |s| {
            s.last_ns.into()
        }),
    ],
    scan,
    examples: &["SELECT name, state, reason FROM event_sources WHERE state <> 'running'"],
};

impl Row for SourceRow {
    fn heap_bytes(&self) -> usize {
        self.reason.as_ref().map_or(0, String::len)
    }
}

fn scan(runtime: &Runtime, _: &Query) -> Result<Rows<SourceRow>, ScanError> {
    Ok(Box::new(runtime.sources().into_iter().map(Ok)))
}
