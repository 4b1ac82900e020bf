//! `collection_runs`: when the agent looked at all processes, and how that went.

use collector::{Row, Rows, Table, int, unique};
use model::{Extent, Query, ScanError};

use super::{pages, seconds};
use crate::history::{CollectionRun, HistoryReader, PAGE_ROWS_MAX};

pub(crate) static TABLE: Table<CollectionRun, HistoryReader> = Table {
    name: "collection_runs",
    about: "Runs that collected all processes; a gap between two is a time without sight.",
    identity: unique(&["run"]),
    extent: Extent::Whole { rows: 20_000 },
    columns: &[
        int("run", "Its number, from 1, without gaps.", |r| r.run.into()),
        int("time", "When, in seconds since 1970.", |r| seconds(r.time_ms).into()),
        int("processes", "Processes that it listed.", |r| r.processes.into()),
        int("began", "Processes that were new.", |r| r.began.into()),
        int("changed", "Processes of which a fact changed.", |r| r.changed.into()),
        int("ended", "Processes that were gone.", |r| r.ended.into()),
        int("elapsed", "How long it took, in ms.", |r| r.elapsed_ms.into()),
        int("complete", "1 if it saw all processes.", |r| r.complete.into()),
        int("lost", "Processes that it knows to have missed.", |r| r.lost.into()),
    ],
    scan,
    examples: &["SELECT time, processes, elapsed FROM collection_runs WHERE complete = 0"],
};

impl Row for CollectionRun {}

fn scan(reader: &HistoryReader, _: &Query) -> Result<Rows<CollectionRun>, ScanError> {
    let reader = reader.clone();
    Ok(Box::new(pages(move |after: Option<u64>| {
        let runs = reader.runs(after.unwrap_or(0))?;
        let next = runs.last().filter(|_| runs.len() == PAGE_ROWS_MAX).map(|run| run.run);
        Ok((runs, next))
    })))
}
