//! Dedup windows: within one, what is found counts on the alert that opened it.
//!
//! A window is told from its alert. Where that went before its window did, a record of its own is left.

use redb::ReadableTable;

use super::bundle;
use super::find::Place;
use super::lookup::{Hash, Lookup};
use super::record::WindowV1;
use super::schema::{self, get};
use crate::file::Inner;

/// The time in which what is found counts on an alert.
pub(super) struct Window {
    /// The alert's number.
    pub(super) alert: u64,
    pub(super) first_ms: i64,
    pub(super) end_ms: i64,
}

impl Window {
    /// Whether it holds a time, also one that a clock set back a little has gone behind.
    pub(super) fn holds(&self, time_ms: i64) -> bool {
        let length = self.end_ms.saturating_sub(self.first_ms);
        time_ms < self.end_ms && time_ms > self.first_ms.saturating_sub(length)
    }
}

/// The tables that tell of windows.
pub(super) struct Windows<'t, T> {
    pub(super) lookup: Lookup<'t>,
    pub(super) alerts: &'t T,
    /// The windows of alerts that are gone.
    pub(super) left: &'t T,
}

impl<T: ReadableTable<u64, &'static [u8]>> Windows<'_, T> {
    /// The newest window of a place.
    pub(super) fn newest(&self, place: &Place) -> Inner<Option<Window>> {
        self.lookup.newest(Hash::of_window(place.window()), |n| {
            let (id, first_ms, end_ms) = match bundle::head(self.alerts, n)? {
                Some(head) => (head.id, head.first_ms, head.window_end_ms),
                None => match get::<_, WindowV1>(self.left, n)? {
                    Some(left) => (left.id, left.first_ms, left.end_ms),
                    None => return Ok(None),
                },
            };
            // No other place has this id at this time.
            let is_it = place.alert_id(first_ms).0 == id;
            Ok(is_it.then_some(Window { alert: n, first_ms, end_ms }))
        })
    }
}

/// What `work` makes of the windows in a transaction that reads.
pub(super) fn reading<R>(
    txn: &redb::ReadTransaction,
    work: impl FnOnce(&Windows<'_, redb::ReadOnlyTable<u64, &'static [u8]>>) -> Inner<R>,
) -> Inner<R> {
    let (alerts, left) = (txn.open_table(schema::ALERTS)?, txn.open_table(schema::WINDOWS)?);
    let lookup = txn.open_table(schema::LOOKUP)?;
    work(&Windows { lookup: Lookup::over(&lookup)?, alerts: &alerts, left: &left })
}

/// The same in a transaction that writes.
pub(super) fn writing<R>(
    txn: &redb::WriteTransaction,
    work: impl FnOnce(&Windows<'_, redb::Table<'_, u64, &'static [u8]>>) -> Inner<R>,
) -> Inner<R> {
    let (alerts, left) = (txn.open_table(schema::ALERTS)?, txn.open_table(schema::WINDOWS)?);
    let lookup = txn.open_table(schema::LOOKUP)?;
    work(&Windows { lookup: Lookup::over(&lookup)?, alerts: &alerts, left: &left })
}
