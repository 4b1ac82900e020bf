//! A batch of rows as it arrived: values are read where they lie in the frame.

use std::sync::Arc;

use collector::Snapshot;
use model::Value;

use crate::limits::{BATCH_ROWS_MAX, COLUMNS_MAX};
use crate::proto;
use crate::values::Column;

#[derive(Debug)]
pub(crate) struct Batch {
    rows: usize,
    /// By place in the schema.
    columns: Vec<Option<Column>>,
    bytes: usize,
}

impl Batch {
    /// The batch of a message. The error says what is wrong with it.
    pub(crate) fn new(batch: proto::Batch) -> Result<Batch, &'static str> {
        if batch.rows > BATCH_ROWS_MAX {
            return Err("a batch with too many rows");
        }
        let rows = batch.rows as usize;
        let mut columns: Vec<Option<Column>> = Vec::new();
        let mut bytes = size_of::<Batch>();
        for sent in batch.columns {
            let place = sent.column as usize;
            if place >= COLUMNS_MAX {
                return Err("a batch with too many columns");
            }
            if columns.len() <= place {
                columns.resize_with(place + 1, || None);
            }
            let column = Column::new(sent.values.unwrap_or_default(), rows)?;
            bytes += column.wire_bytes();
            columns[place] = Some(column);
        }
        bytes += columns.capacity() * size_of::<Option<Column>>();
        Ok(Batch { rows, columns, bytes })
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of memory that it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A value, which borrows from the frame; NULL where there is no such row or column.
    pub(crate) fn value(&self, row: usize, column: usize) -> Value<'_> {
        match self.columns.get(column) {
            Some(Some(column)) => column.get(row),
            _ => Value::Null,
        }
    }
}

/// Batches that were kept, as one list of rows.
#[derive(Default)]
pub(super) struct Batches {
    batches: Vec<Batch>,
    /// The row at which each batch ends.
    ends: Vec<usize>,
    /// Rows of the first batch that were given before.
    skipped: usize,
    bytes: usize,
}

impl Batches {
    /// Begins with a batch of which some rows were given before.
    pub(super) fn begin(batch: Batch, skipped: usize) -> Batches {
        let mut batches = Batches { skipped: skipped.min(batch.rows()), ..Batches::default() };
        batches.push(batch);
        batches
    }

    pub(super) fn push(&mut self, batch: Batch) {
        let before = self.ends.last().copied().unwrap_or(0);
        self.ends.push(before + batch.rows());
        self.bytes += batch.bytes();
        self.batches.push(batch);
    }

    pub(super) fn shared(self) -> Arc<dyn Snapshot> {
        Arc::new(self)
    }
}

impl Snapshot for Batches {
    fn len(&self) -> usize {
        self.ends.last().copied().unwrap_or(0) - self.skipped
    }

    fn value(&self, row: usize, column: usize) -> Value<'_> {
        let Some(row) = row.checked_add(self.skipped) else { return Value::Null };
        let place = self.ends.partition_point(|end| *end <= row);
        let Some(batch) = self.batches.get(place) else { return Value::Null };
        let start = if place == 0 { 0 } else { self.ends[place - 1] };
        batch.value(row - start, column)
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}
