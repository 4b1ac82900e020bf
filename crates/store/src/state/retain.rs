//! Letting go of what is old, a slice at a time.

use std::collections::{BTreeMap, HashSet};

use model::AlertId;
use redb::ReadableTable;

use super::State;
use super::audit::write_out;
use super::bundle;
use super::find::AGENT;
use super::lookup::{self, Hash};
use super::record::{HeadV1, OutboxV1, TallyV1, WindowV1};
use super::rules::audit;
use super::schema::{self, get, put};
use super::spans::{self, List};
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
    /// Dedup windows that outlived their alerts and are closed.
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
            forget(txn, &old, now_ms)?;
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

/// Time for which a window stays after it closed, since the clock may be set back.
const SLACK_MS: i64 = 24 * 3600 * 1000;

/// An alert that is to go.
struct Going {
    n: u64,
    head: HeadV1,
}

fn names(alerts: &[Going]) -> String {
    alerts.iter().map(|going| AlertId(going.head.id).to_string()).collect::<Vec<_>>().join("\n")
}

/// Windows that outlived their alerts go once they are closed for good.
fn windows(txn: &redb::WriteTransaction, now_ms: i64, slice: usize) -> Inner<u64> {
    let (mut windows, mut ends) = (txn.open_table(schema::WINDOWS)?, txn.open_table(schema::WINDOW_ENDS)?);
    let (mut closed, mut gone) = (Vec::new(), Vec::new());
    for row in ends.range(..(now_ms.saturating_sub(SLACK_MS), 0))?.take(slice) {
        closed.push(row?.0.value());
    }
    for (end, n) in &closed {
        ends.remove((*end, *n))?;
        let window: Option<WindowV1> = get(&windows, n)?;
        gone.extend(window.map(|window| (Hash::of_window(window.hash), *n)));
        windows.remove(n)?;
    }
    lookup::forget(&mut txn.open_table(schema::LOOKUP)?, gone)?;
    Ok(closed.len() as u64)
}

/// Alerts past the limits, oldest first.
fn old(txn: &redb::WriteTransaction, limits: &StateLimits, now_ms: i64, slice: usize) -> Inner<Vec<Going>> {
    let (spans, tallies) = (txn.open_table(schema::SPANS)?, txn.open_table(schema::TALLIES)?);
    let (alerts, outbox) = (txn.open_table(schema::ALERTS)?, txn.open_table(schema::OUTBOX)?);
    let mut waiting = HashSet::new();
    for row in outbox.iter()? {
        let entry: OutboxV1 = codec::decode(row?.1.value())?;
        waiting.extend(entry.times().map(|(place, _)| entry.alert + place));
    }
    let mut surplus = spans::count(&spans, List::All)?.saturating_sub(limits.alerts);
    let old_ms = i64::MIN..=now_ms.saturating_sub(limits.age_ms);
    let (mut old, mut looked) = (Vec::new(), 0);
    for span in spans::from(&spans, List::All, 0)? {
        let span = span?;
        if surplus == 0 && !span.reaches_into(&old_ms) {
            continue;
        }
        for n in span.numbers() {
            // Of those that stay although they are old enough, as many are looked at as may go.
            if old.len() == slice || looked == slice.saturating_mul(4) {
                return Ok(old);
            }
            looked += 1;
            let is_surplus = surplus > 0;
            surplus = surplus.saturating_sub(1);
            let Some(head) = bundle::head(&alerts, n)? else { continue };
            let tally: TallyV1 = get(&tallies, n)?.unwrap_or_else(|| head.tally());
            let is_open = head.window_end_ms > now_ms;
            let is_old = old_ms.contains(&tally.last_ms);
            if (is_surplus || (is_old && !is_open)) && !waiting.contains(&n) {
                old.push(Going { n, head });
            }
        }
    }
    Ok(old)
}

/// Lets go of alerts with all that belongs to them, but for windows that may still be needed.
fn forget(txn: &redb::WriteTransaction, old: &[Going], now_ms: i64) -> Inner<()> {
    if old.is_empty() {
        return Ok(());
    }
    let going: HashSet<u64> = old.iter().map(|going| going.n).collect();
    write_out(txn, &going)?;
    let (mut alerts, mut tallies) = (txn.open_table(schema::ALERTS)?, txn.open_table(schema::TALLIES)?);
    let mut spans = txn.open_table(schema::SPANS)?;
    let (mut of_rules, mut in_states) = (BTreeMap::<_, Vec<u64>>::new(), BTreeMap::<_, Vec<u64>>::new());
    let mut hashes = Vec::new();
    let (mut windows, mut ends) = (txn.open_table(schema::WINDOWS)?, txn.open_table(schema::WINDOW_ENDS)?);
    let mut history = txn.open_table(schema::HISTORY)?;
    for Going { n, head } in old {
        let (n, time) = (*n, head.first_ms);
        let Some(alert) = bundle::alert(&alerts, n)? else { continue };
        let alert = alert.alert(get(&tallies, n)?);
        tallies.remove(n)?;
        of_rules.entry(alert.rule).or_default().push(n);
        in_states.entry(alert.state).or_default().push(n);
        hashes.push((Hash::of_id(&head.id), n));
        let key = model::start_key(&alert.row).and_then(|key| key.as_text());
        hashes.extend(key.map(|key| (Hash::of_start_key(key), n)));
        let end_ms = head.window_end_ms;
        if end_ms < now_ms.saturating_sub(SLACK_MS) {
            hashes.push((Hash::of_window(head.window), n));
        } else {
            let left = WindowV1 { id: head.id, hash: head.window, first_ms: time, end_ms };
            put(&mut windows, n, &left)?;
            ends.insert((end_ms, n), ())?;
        }
        history.retain_in((n, 0)..=(n, u64::MAX), |_, _| false)?;
    }
    spans::remove(&mut spans, List::All, old.iter().map(|going| going.n).collect())?;
    for (rule, gone) in of_rules {
        spans::remove(&mut spans, List::Rule(&rule), gone)?;
    }
    for (state, gone) in in_states {
        spans::remove(&mut spans, List::State(state), gone)?;
    }
    bundle::remove(&mut alerts, old.iter().map(|going| going.n).collect())?;
    lookup::forget(&mut txn.open_table(schema::LOOKUP)?, hashes)?;
    let mut dead = txn.open_table(schema::DEAD)?;
    let mut letters = Vec::new();
    for row in dead.iter()? {
        let (key, bytes) = row?;
        if going.contains(&codec::decode::<OutboxV1>(bytes.value())?.alert) {
            letters.push((key.value().0.to_owned(), key.value().1));
        }
    }
    for (sink, seq) in letters {
        dead.remove((sink.as_str(), seq))?;
    }
    Ok(())
}
