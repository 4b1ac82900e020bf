//! Letting go of what is old, a slice at a time.

use redb::{ReadableTable, ReadableTableMetadata};

use super::State;
use super::find::AGENT;
use super::record::{AlertV1, OutboxV1, TallyV1};
use super::rules::audit;
use super::schema::{self, get};
use crate::codec;
use crate::file::Inner;
use crate::{StoreError, crash_point, database};

/// How much of the past the state keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateLimits {
    /// Since an alert was last seen, in ms.
    pub age_ms: i64,
    /// Alerts that are kept at most; the oldest go first.
    pub alerts: u64,
}

impl Default for StateLimits {
    fn default() -> StateLimits {
        StateLimits { age_ms: 180 * 24 * 3600 * 1000, alerts: 100_000 }
    }
}

/// What went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retained {
    /// Alerts, with what belongs to them.
    pub alerts: u64,
    /// Dedup windows that are closed.
    pub windows: u64,
    /// Whether there is more to let go of.
    pub more: bool,
}

impl State {
    /// Lets go of at most `slice` alerts and windows that are past the limits. An alert that a sink is still to be
    /// given stays, and so does one whose window is open.
    pub fn retain(&self, limits: &StateLimits, now_ms: i64, slice: usize) -> Result<Retained, StoreError> {
        self.file.write(|txn| {
            let windows = windows(txn, now_ms, slice)?;
            let old = old(txn, limits, now_ms, slice)?;
            for (time, id) in &old {
                forget(txn, *time, id)?;
            }
            if !old.is_empty() {
                crash_point("state.retain");
            }
            let alerts = old.len() as u64;
            let went = Retained { alerts, windows, more: alerts.max(windows) >= slice as u64 };
            if went.alerts > 0 {
                audit(
                    txn,
                    AGENT,
                    "alerts.retired",
                    &format!("{} alerts", went.alerts),
                    &names(&old),
                    now_ms,
                )?;
            }
            Ok(went)
        })
    }

    /// Gives the disk back what the file no longer needs, once that is most of it. Everybody waits meanwhile.
    pub fn compact_if_sparse(&self) -> Result<bool, StoreError> {
        let path = self.file.path();
        self.file.alone(|database| Ok(database::compact_if_sparse(database, path)?))
    }
}

fn names(alerts: &[(i64, [u8; 16])]) -> String {
    alerts.iter().map(|(_, id)| model::AlertId(*id).to_string()).collect::<Vec<_>>().join("\n")
}

/// Closed windows go once the clock is past them by their own length, for it may be set back.
fn windows(txn: &redb::WriteTransaction, now_ms: i64, slice: usize) -> Inner<u64> {
    const SLACK_MS: i64 = 24 * 3600 * 1000;
    let (mut windows, mut ends) = (txn.open_table(schema::WINDOWS)?, txn.open_table(schema::WINDOW_ENDS)?);
    let mut closed = Vec::new();
    for row in ends.range(..(now_ms.saturating_sub(SLACK_MS), &[0; 32]))?.take(slice) {
        let key = row?.0;
        closed.push((key.value().0, *key.value().1));
    }
    for (end, place) in &closed {
        ends.remove((*end, place))?;
        windows.remove(place)?;
    }
    Ok(closed.len() as u64)
}

/// Alerts past the limits, oldest first.
fn old(
    txn: &redb::WriteTransaction,
    limits: &StateLimits,
    now_ms: i64,
    slice: usize,
) -> Inner<Vec<(i64, [u8; 16])>> {
    let (by_time, tallies) = (txn.open_table(schema::BY_TIME)?, txn.open_table(schema::TALLIES)?);
    let (alerts, outbox) = (txn.open_table(schema::ALERTS)?, txn.open_table(schema::OUTBOX)?);
    let mut waiting = std::collections::HashSet::new();
    for row in outbox.iter()? {
        waiting.insert(codec::decode::<OutboxV1>(row?.1.value())?.alert);
    }
    let surplus = by_time.len()?.saturating_sub(limits.alerts);
    let mut old = Vec::new();
    // Of those that stay although they are old enough, as many are looked at as may go.
    for (place, row) in by_time.iter()?.take(slice.saturating_mul(4)).enumerate() {
        let key = row?.0;
        let (first_ms, id) = (key.value().0, *key.value().1);
        let is_surplus = (place as u64) < surplus;
        if !is_surplus && first_ms > now_ms.saturating_sub(limits.age_ms) {
            break;
        }
        let tally: Option<TallyV1> = get(&tallies, &id)?;
        let alert: Option<AlertV1> = get(&alerts, &id)?;
        let last_ms = tally.map_or(first_ms, |tally| tally.last_ms);
        let is_open = alert.is_some_and(|alert| alert.window_end_ms > now_ms);
        let is_old = last_ms <= now_ms.saturating_sub(limits.age_ms);
        if (is_surplus || (is_old && !is_open)) && !waiting.contains(&id) {
            old.push((first_ms, id));
        }
        if old.len() == slice {
            break;
        }
    }
    Ok(old)
}

fn forget(txn: &redb::WriteTransaction, time: i64, id: &[u8; 16]) -> Inner<()> {
    let mut alerts = txn.open_table(schema::ALERTS)?;
    let alert: Option<AlertV1> = get(&alerts, id)?;
    alerts.remove(id)?;
    let mut tallies = txn.open_table(schema::TALLIES)?;
    let tally: Option<TallyV1> = get(&tallies, id)?;
    tallies.remove(id)?;
    txn.open_table(schema::BY_TIME)?.remove((time, id))?;
    if let Some(tally) = tally {
        txn.open_table(schema::BY_STATE)?.remove((tally.state() as u8, time, id))?;
    }
    if let Some(alert) = alert {
        txn.open_table(schema::BY_RULE)?.remove((alert.rule.as_str(), time, id))?;
        let alert = alert.alert(model::AlertId(*id), &TallyV1::new(model::AlertState::New, 0, 0));
        if let Some(key) = alert.start_key().and_then(|key| key.as_text()) {
            txn.open_table(schema::BY_START_KEY)?.remove((key, id))?;
        }
    }
    let mut history = txn.open_table(schema::HISTORY)?;
    let mut entries = Vec::new();
    for row in history.range((id, 0)..=(id, u64::MAX))? {
        entries.push(row?.0.value().1);
    }
    for n in entries {
        history.remove((id, n))?;
    }
    let mut dead = txn.open_table(schema::DEAD)?;
    let mut letters = Vec::new();
    for row in dead.iter()? {
        let (key, bytes) = row?;
        if codec::decode::<OutboxV1>(bytes.value())?.alert == *id {
            letters.push((key.value().0.to_owned(), key.value().1));
        }
    }
    for (sink, seq) in letters {
        dead.remove((sink.as_str(), seq))?;
    }
    Ok(())
}
