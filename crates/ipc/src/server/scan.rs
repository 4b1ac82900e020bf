//! A scan on behalf of a client: rows are tested, and those that are wanted are sent in batches.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use collector::{Filter, Scan};
use model::{Note, Run, ScanError, Value};

use super::connection::{Connection, push};
use super::running::{NoCredit, Running};
use crate::limits::{BATCH_BYTES, BATCH_ROWS, BATCH_TIME_MAX, FIRST_BATCH_ROWS, NOTES_PER_FRAME_MAX};
use crate::metrics::{add, count, less};
use crate::proto::{self, answer};
use crate::values::Writer;
use crate::wire::{self, Asked};

/// Rows between two looks at the clock and the cancel flag.
const POLL_EVERY: u64 = 64;
/// Bytes of a payload that are no values: ids, lengths, layouts of up to 512 columns.
const ENVELOPE_BYTES: usize = 64 << 10;

/// Runs a scan to its end, whatever that is, and tells the client.
pub(super) fn run(connection: &Arc<Connection>, id: u64, running: &Arc<Running>, asked: &Asked) {
    let counters = &connection.shared.counters;
    count(&counters.scans);
    count(&counters.scans_now);
    let mut sending = Sending {
        connection,
        id,
        running,
        asked,
        columns: (0..asked.query.schema.columns.len()).filter(|c| asked.wanted.has(*c)).collect(),
        writers: Vec::new(),
        noted: HashMap::new(),
        out: Vec::new(),
        rows_sent: 0,
        rows_read: 0,
    };
    let caught = catch_unwind(AssertUnwindSafe(|| sending.stream()));
    let failure = match caught {
        Ok(Ok(())) => None,
        Ok(Err(error)) => {
            count(if matches!(error, ScanError::Stopped(model::Stop::Cancelled)) {
                &counters.cancelled
            } else {
                &counters.failed
            });
            Some(wire::failure(&error))
        }
        Err(_) => {
            count(&counters.panicked);
            let table = &asked.query.schema.name;
            Some(wire::failure(&ScanError::Failed(format!("the table {table} failed within the collector"))))
        }
    };
    sending.finish(failure);
    less(&counters.scans_now);
}

struct Sending<'s> {
    connection: &'s Arc<Connection>,
    id: u64,
    running: &'s Running,
    asked: &'s Asked,
    /// Places of the columns that are sent.
    columns: Vec<usize>,
    writers: Vec<Writer>,
    /// How many of each note the client knows of.
    noted: HashMap<(String, String, String), u64>,
    out: Vec<u8>,
    rows_sent: u64,
    rows_read: u64,
}

/// What became of one row.
enum Step {
    /// It is part of the batch now, with so many bytes.
    Sent(usize),
    Refused,
    /// There was none.
    End,
}

impl Sending<'_> {
    fn run(&self) -> &Run {
        &self.asked.query.run
    }

    fn stream(&mut self) -> Result<(), ScanError> {
        let query = &self.asked.query;
        // It may have waited long for a thread.
        query.run.check()?;
        let filter = Filter::new(&query.schema, &query.constraints);
        let mut scan = self.connection.shared.service.open(&query.schema.name, query)?;
        self.writers.resize_with(self.columns.len(), Writer::default);
        let wanted = query.rows_wanted.map_or(FIRST_BATCH_ROWS, |n| usize::try_from(n).unwrap_or(BATCH_ROWS));
        let mut batch_rows = wanted.clamp(1, BATCH_ROWS);
        loop {
            // Before a row is read: who has enough does not make the table read on.
            self.credit()?;
            let (mut rows, mut bytes, began) = (0, 0, Instant::now());
            let ended = loop {
                match self.step(&mut *scan, &filter) {
                    Ok(Step::Sent(size)) => (rows, bytes) = (rows + 1, bytes + size),
                    Ok(Step::Refused) => {}
                    Ok(Step::End) => break Ok(true),
                    Err(error) => break Err(error),
                }
                let late = || rows > 0 && began.elapsed() > BATCH_TIME_MAX;
                if rows >= batch_rows || bytes >= BATCH_BYTES || late() {
                    break Ok(false);
                }
            };
            // A getter that was stopped in the middle had no way to say so but NULL.
            query.run.check()?;
            // The rows before an error are rows all the same.
            self.batch(rows);
            if ended? {
                return Ok(());
            }
            let sent = self.connection.send_for(self.running, &self.out);
            self.out.clear();
            sent.map_err(|_| ScanError::Stopped(model::Stop::Cancelled))?;
            batch_rows = BATCH_ROWS;
        }
    }

    fn credit(&self) -> Result<(), ScanError> {
        self.running.take_credit(|| self.connection.patience(self.running)).map_err(|why| match why {
            NoCredit::Cancelled(error) => error,
            NoCredit::Stalled(time) => {
                count(&self.connection.shared.counters.stalled);
                ScanError::Failed(format!("nobody took rows for {time:?}"))
            }
        })
    }

    /// Reads one row, and adds it to the batch if it is wanted.
    fn step(&mut self, scan: &mut dyn Scan, filter: &Filter) -> Result<Step, ScanError> {
        if self.rows_read.is_multiple_of(POLL_EVERY) {
            self.run().check()?;
        }
        if !scan.advance()? {
            return Ok(Step::End);
        }
        self.rows_read += 1;
        if !filter.wants(|column| scan.value(column)) {
            return Ok(Step::Refused);
        }
        let most = self.connection.frame_bytes_max().saturating_sub(ENVELOPE_BYTES + BATCH_BYTES);
        let mut bytes = 0;
        for n in 0..self.columns.len() {
            let value: Value<'_> = scan.value(self.columns[n]);
            bytes += size_of::<i64>() + value.heap_bytes();
            if bytes > most {
                self.writers[..n].iter_mut().for_each(Writer::pop);
                let table = &self.asked.query.schema.name;
                return Err(ScanError::Failed(format!("a row of {table} is larger than {most} bytes")));
            }
            self.writers[n].push(&value);
        }
        Ok(Step::Sent(bytes))
    }

    /// Appends the frames of a batch, and before it of what could not be seen so far.
    fn batch(&mut self, rows: usize) {
        self.notes();
        if rows == 0 {
            return;
        }
        let column = |(writer, column): (&mut Writer, &usize)| proto::BatchColumn {
            column: *column as u32,
            values: Some(writer.finish()),
        };
        let columns = self.writers.iter_mut().zip(&self.columns).map(column).collect();
        let batch = proto::Batch { rows: rows as u32, columns };
        push(&mut self.out, self.id, answer::Body::Batch(batch));
        self.rows_sent += rows as u64;
        count(&self.connection.shared.counters.batches_sent);
    }

    fn notes(&mut self) {
        let mut new = Vec::new();
        for Note { table, column, reason, count } in self.run().notes() {
            let known = self.noted.entry((table.clone(), column.clone(), reason.clone())).or_default();
            if count > *known {
                new.push(proto::Note { table, column, reason, count: count - *known });
                *known = count;
            }
        }
        for notes in new.chunks(NOTES_PER_FRAME_MAX) {
            push(&mut self.out, self.id, answer::Body::Notes(proto::Notes { notes: notes.to_vec() }));
        }
    }

    /// Tells the client that this was all, in one write with the last batch.
    fn finish(&mut self, failure: Option<proto::Failure>) {
        self.notes();
        push(&mut self.out, self.id, answer::Body::End(proto::End { rows: self.rows_sent, failure }));
        let counters = &self.connection.shared.counters;
        add(&counters.rows_read, self.rows_read);
        add(&counters.rows_sent, self.rows_sent);
        self.running.end();
        let _ = self.connection.send_for(self.running, &self.out);
        self.connection.done(self.id);
    }
}
