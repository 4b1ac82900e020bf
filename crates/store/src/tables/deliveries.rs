//! `deliveries`: which sink has which alert.

use collector::{Row, Rows, Table, int, repeated, text};
use model::{Extent, Query, ScanError};

use super::{failed, seconds};
use crate::{Delivery, StateReader};

pub(crate) static TABLE: Table<Sent, StateReader> = Table {
    name: "deliveries",
    about: "Alerts on their way to sinks: those that wait, those that were given up, and the last receipts.",
    identity: repeated(&["sink", "alert_id", "status", "time"]),
    extent: Extent::Whole { rows: 2000 },
    columns: &[
        text("sink", "The sink's name.", |d| (&d.0.sink).into()),
        text("alert_id", "The alert's id.", |d| d.0.alert.to_string().into()),
        text("status", "`pending`, `delivered` or `dead`.", |d| d.0.status.name().into()),
        int("attempts", "How often it was tried.", |d| d.0.attempts.into()),
        int("time", "When it is tried next, or was delivered or given up, in seconds since 1970.", |d| {
            seconds(d.0.time_ms).into()
        }),
        text("error", "Why the last try failed.", |d| (&d.0.error).into()),
    ],
    scan,
    examples: &["SELECT sink, status, count(*) AS alerts FROM deliveries GROUP BY sink, status"],
};

pub(crate) struct Sent(Delivery);

impl Row for Sent {
    fn heap_bytes(&self) -> usize {
        self.0.sink.len() + self.0.error.len()
    }
}

fn scan(reader: &StateReader, _: &Query) -> Result<Rows<Sent>, ScanError> {
    let deliveries = reader.deliveries().map_err(failed)?;
    Ok(Box::new(deliveries.into_iter().map(|delivery| Ok(Sent(delivery)))))
}
