//! `store_stats`: what the state file holds.

use collector::{Row, Rows, Table, int, text, unique};
use model::{Extent, Query, ScanError};

use super::failed;
use crate::{StateReader, TableStats};

pub(crate) static TABLE: Table<Stats, StateReader> = Table {
    name: "store_stats",
    about: "What each table of the agent's state file holds.",
    identity: unique(&["file", "table_name"]),
    extent: Extent::Whole { rows: 30 },
    columns: &[
        text("file", "The file's name.", |s| (&s.0.file).into()),
        text("table_name", "The table within the file.", |s| (&s.0.table).into()),
        int("records", "Its records.", |s| s.0.records.into()),
        int("stored_bytes", "Bytes of keys and values.", |s| s.0.stored_bytes.into()),
        int("metadata_bytes", "Bytes that finding them takes.", |s| s.0.metadata_bytes.into()),
        int("fragmented_bytes", "Bytes that its pages hold for nothing.", |s| s.0.fragmented_bytes.into()),
    ],
    scan,
    examples: &["SELECT table_name, records, stored_bytes FROM store_stats ORDER BY stored_bytes DESC"],
};

pub(crate) struct Stats(TableStats);

impl Row for Stats {
    fn heap_bytes(&self) -> usize {
        self.0.file.len() + self.0.table.len()
    }
}

fn scan(reader: &StateReader, _: &Query) -> Result<Rows<Stats>, ScanError> {
    Ok(Box::new(reader.stats().map_err(failed)?.into_iter().map(|stats| Ok(Stats(stats)))))
}
