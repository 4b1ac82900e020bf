//! A scan that goes to another collector as long as that can be done unseen: before its first row.

use std::sync::Arc;

use collector::{Scan, Snapshot};
use model::{Query, ScanError, Value};

use super::collectors::Inner;
use super::endpoint::Known;
use super::scan::RemoteScan;
use crate::metrics::count;

/// A scan of a table that one or several collectors serve.
pub struct CollectorScan {
    collectors: Arc<Inner>,
    query: Query,
    table: String,
    /// Places of the collectors that may still be asked, the next one last.
    left: Vec<usize>,
    current: Option<Current>,
}

struct Current {
    place: usize,
    reused: bool,
    scan: RemoteScan,
    /// It gave a row or its end.
    answered: bool,
}

impl CollectorScan {
    pub(super) fn start(
        collectors: Arc<Inner>,
        table: &str,
        query: &Query,
    ) -> Result<CollectorScan, ScanError> {
        let mut left = collectors.candidates(&query.schema);
        if left.is_empty() {
            return Err(ScanError::Failed(format!(
                "no collector serves the table {table} with these columns"
            )));
        }
        left.reverse();
        let mut scan =
            CollectorScan { collectors, query: query.clone(), table: table.into(), left, current: None };
        scan.ask_next(None)?;
        Ok(scan)
    }

    /// The name of the collector that is asked.
    pub fn collector(&self) -> Option<String> {
        self.current.as_ref().map(|current| self.collectors.known[current.place].name())
    }

    /// Starts the scan at the next collector that can be reached; `before` is the one that failed, and why.
    fn ask_next(&mut self, before: Option<(usize, ScanError)>) -> Result<(), ScanError> {
        self.current = None;
        let mut before = before;
        while let Some(place) = self.left.pop() {
            match self.ask(place) {
                Ok(current) => {
                    if let Some((from, _)) = before {
                        count(&self.collectors.known[from].counters.failed_over);
                    }
                    self.current = Some(current);
                    return Ok(());
                }
                Err(error @ ScanError::Unreachable { .. }) => before = Some((place, error)),
                Err(error) => return Err(error),
            }
        }
        let nobody = || ScanError::Failed(format!("no collector is left for {}", self.table));
        Err(before.map_or_else(nobody, |(_, error)| error))
    }

    fn ask(&self, place: usize) -> Result<Current, ScanError> {
        let known = &self.collectors.known[place];
        loop {
            let connection = known.connection(&self.query.run)?;
            match connection.client.scan(&self.table, &self.query) {
                Ok(scan) => {
                    count(&known.counters.scans);
                    return Ok(Current { place, reused: connection.reused, scan, answered: false });
                }
                // The collector was started again since: a new connection tells whether it is there.
                Err(ScanError::Unreachable { .. }) if connection.reused => {}
                Err(error) => {
                    self.report(known, &error);
                    return Err(error);
                }
            }
        }
    }

    fn report(&self, known: &Known, error: &ScanError) {
        if let ScanError::Unreachable { why, .. } = error {
            count(&known.counters.lost);
            known.failed(why);
        }
    }

    /// What to do about an error: another collector is asked, or the error is final.
    fn recover(&mut self, error: ScanError) -> Result<(), ScanError> {
        let Some(current) = &self.current else { return Err(error) };
        let known = &self.collectors.known[current.place];
        let busy = current.scan.is_busy();
        if busy {
            count(&known.counters.busy);
        }
        let lost = matches!(error, ScanError::Unreachable { .. });
        // An old connection that was closed says little of the collector that is there now: it is asked anew.
        if lost && current.reused && !current.answered && !current.scan.is_silent() {
            self.left.push(current.place);
            return self.ask_next(None);
        }
        self.report(known, &error);
        if current.answered || !(lost || busy) {
            return Err(error);
        }
        let from = current.place;
        self.ask_next(Some((from, error)))
    }

    fn answered(&mut self) {
        if let Some(current) = &mut self.current
            && !std::mem::replace(&mut current.answered, true)
        {
            self.collectors.known[current.place].succeeded();
        }
    }
}

impl Scan for CollectorScan {
    fn advance(&mut self) -> Result<bool, ScanError> {
        loop {
            let Some(current) = &mut self.current else { return Ok(false) };
            match current.scan.advance() {
                Ok(more) => {
                    if !current.answered {
                        self.answered();
                    }
                    return Ok(more);
                }
                Err(error) => self.recover(error)?,
            }
        }
    }

    fn value(&self, column: usize) -> Value<'_> {
        self.current.as_ref().map_or(Value::Null, |current| current.scan.value(column))
    }

    fn keep(mut self: Box<Self>, query: &Query) -> Result<Arc<dyn Snapshot>, ScanError> {
        // The first row decides where the rest comes from.
        let begun = self.current.as_ref().is_some_and(|current| current.answered);
        if !begun {
            self.advance()?;
        }
        let Some(current) = self.current.take() else {
            return Err(ScanError::Failed("the scan is over".into()));
        };
        let known = &self.collectors.known[current.place];
        let kept = if begun { Box::new(current.scan).keep(query) } else { current.scan.keep_all(query) };
        if let Err(error) = &kept {
            self.report(known, error);
        }
        kept
    }
}
