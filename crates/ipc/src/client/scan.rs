//! A scan whose rows come over the wire.

use std::sync::Arc;

use collector::{Scan, Snapshot};
use model::{Query, Run, ScanError, Stop, Value};

use super::batch::{Batch, Batches};
use super::link::{Incoming, Link, is_busy};
use crate::proto::{self, request};
use crate::wire;

/// A scan at a collector. Dropping it ends the scan there.
pub struct RemoteScan {
    link: Arc<Link>,
    id: u64,
    run: Run,
    batch: Option<Batch>,
    row: usize,
    /// The collector sent its end.
    ended: bool,
    busy: bool,
    begun: bool,
}

impl RemoteScan {
    pub(super) fn new(link: Arc<Link>, id: u64, run: Run) -> RemoteScan {
        RemoteScan { link, id, run, batch: None, row: 0, ended: false, busy: false, begun: false }
    }

    /// Whether it failed because the collector had too much to do.
    pub fn is_busy(&self) -> bool {
        self.busy
    }

    /// Whether it failed because the collector gave no sign of life.
    pub(super) fn is_silent(&self) -> bool {
        self.link.is_silent()
    }

    /// [`Scan::keep`], with the current row too.
    pub(super) fn keep_all(self, query: &Query) -> Result<Arc<dyn Snapshot>, ScanError> {
        let given = self.row;
        self.keep_from(given, query)
    }

    /// Keeps what is left, from a row of the current batch on.
    fn keep_from(mut self, row: usize, query: &Query) -> Result<Arc<dyn Snapshot>, ScanError> {
        let mut kept = Batches::default();
        if let Some(batch) = self.batch.take() {
            query.run.hold(batch.bytes())?;
            kept = Batches::begin(batch, row);
        }
        while let Some(batch) = self.next_batch()? {
            query.run.hold(batch.bytes())?;
            kept.push(batch);
        }
        Ok(kept.shared())
    }

    fn next_batch(&mut self) -> Result<Option<Batch>, ScanError> {
        if self.ended {
            return Ok(None);
        }
        // Not before the first: what was granted at the start is all that a LIMIT may need.
        if std::mem::replace(&mut self.begun, true) {
            self.link.replenish(self.id)?;
        }
        loop {
            let run = &self.run;
            match self.link.next(self.id, || Ok(run.check()?))? {
                Incoming::Batch(batch) => return Ok(Some(batch)),
                Incoming::Notes(notes) => {
                    for note in notes {
                        run.note_many(note.table, note.column, note.reason, note.count);
                    }
                }
                Incoming::End(failure) => {
                    self.ended = true;
                    return match failure {
                        None => Ok(None),
                        Some(failure) => Err(self.failed(failure)),
                    };
                }
                other => return Err(self.link.unexpected(&other)),
            }
        }
    }

    fn failed(&mut self, failure: proto::Failure) -> ScanError {
        self.busy = is_busy(&failure);
        // The statement's own limit, in its own words, when it was that.
        if let Err(stop) = self.run.check() {
            return stop.into();
        }
        match wire::scan_error(failure) {
            // Not asked for here: the collector stops, or gave the scan up.
            ScanError::Stopped(Stop::Cancelled) => self.link.lost("it ended the scan"),
            ScanError::Failed(why) if self.busy => {
                ScanError::Failed(format!("the collector {} is busy: {why}", self.link.name()))
            }
            other => other,
        }
    }
}

impl Scan for RemoteScan {
    fn advance(&mut self) -> Result<bool, ScanError> {
        // Of the current batch a row more; a row that was given costs no look at the clock.
        if self.batch.as_ref().is_some_and(|batch| self.row + 1 < batch.rows()) {
            self.row += 1;
            return Ok(true);
        }
        self.row = 0;
        self.batch = None;
        while let Some(batch) = self.next_batch()? {
            if batch.rows() > 0 {
                self.batch = Some(batch);
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn value(&self, column: usize) -> Value<'_> {
        self.batch.as_ref().map_or(Value::Null, |batch| batch.value(self.row, column))
    }

    fn keep(self: Box<Self>, query: &Query) -> Result<Arc<dyn Snapshot>, ScanError> {
        let given = if self.batch.is_some() { self.row + 1 } else { 0 };
        self.keep_from(given, query)
    }
}

impl Drop for RemoteScan {
    fn drop(&mut self) {
        self.link.forget(self.id);
        if !self.ended {
            // A connection that is gone has ended the scan already.
            let _ = self.link.tell(self.id, request::Body::Cancel(proto::Cancel {}));
        }
    }
}
