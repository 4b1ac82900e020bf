//! `event_loss`: what each hop between an event source and a subscriber handed on and lost.

use model::{Extent, Query, ScanError};

use crate::{LossRow, Row, Rows, Runtime, Table, int, repeated, text};

pub(super) static TABLE: Table<LossRow, Runtime> = Table {
    name: "event_loss",
    about: "What became of events at each hop: offered = delivered + lost + waiting.",
    identity: repeated(&["source", "queue"]),
    extent: Extent::Whole { rows: 10 },
    columns: &[
        text("source", "The event source.", |l| (&*l.source).into()),
        text(
            "queue",
            "The hop: `source` (lost before it saw them), `runtime` (no room for what it raised), or a subscriber's task.",
            |l| (&l.queue).into(),
        ),
        int("offered", "Events that came in.", |l| l.offered.into()),
        int("delivered", "Events that were handed on.", |l| l.delivered.into()),
        int("lost", "Events that were shed or missed here.", |l| l.lost.into()),
        int("waiting", "Events that are still here.", |l| l.waiting.into()),
    ],
    scan,
    examples: &["SELECT source, queue, lost FROM event_loss WHERE lost > 0"],
};

impl Row for LossRow {
    fn heap_bytes(&self) -> usize {
        self.queue.len()
    }
}

fn scan(runtime: &Runtime, _: &Query) -> Result<Rows<LossRow>, ScanError> {
    Ok(Box::new(runtime.loss().into_iter().map(Ok)))
}
