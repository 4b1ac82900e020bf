//! New alerts, written with all that belongs to them.
//!
//! Each table is opened once and filled in its own order, so that neighbours share pages that are at hand.

use std::collections::BTreeSet;

use model::AlertState;
use redb::WriteTransaction;

use super::bundle;
use super::lookup::{self, Hash};
use super::record::{Kept, OutboxV1, RaisedV1};
use super::schema::{self, next_of, put};
use super::spans::{self, List};
use crate::file::Inner;

/// Alerts that one record of the outbox names. Taking one out of it writes it anew.
const OUTBOX_ALERTS: usize = 256;

/// Writes new alerts of a rule.
pub(super) fn raise(
    txn: &WriteTransaction,
    rule: &str,
    raised: &[Kept<'_>],
    sinks: &BTreeSet<String>,
) -> Inner<()> {
    let count = raised.len() as u64;
    let (first, queued, told) = {
        let mut counters = txn.open_table(schema::COUNTERS)?;
        let mut next = |name| next_of(&mut counters, name, count);
        (next("alert")?, next("outbox")?, next("pending")?)
    };
    bundle::add(&mut txn.open_table(schema::ALERTS)?, first, raised)?;
    let numbered = || (first..).zip(raised);
    let hashes = numbered().flat_map(|(n, alert)| {
        let key = model::start_key(alert.row).and_then(|key| key.as_text()).map(Hash::of_start_key);
        let hashes = [Some(Hash::of_id(&alert.head.id)), Some(Hash::of_window(alert.head.window)), key];
        hashes.into_iter().flatten().map(move |hash| (hash, n))
    });
    lookup::note(&mut txn.open_table(schema::LOOKUP)?, hashes)?;
    {
        let mut spans = txn.open_table(schema::SPANS)?;
        for list in [List::All, List::Rule(rule), List::State(AlertState::New)] {
            spans::add(&mut spans, list, first, raised.iter().map(|alert| alert.head.first_ms))?;
        }
    }
    {
        let mut outbox = txn.open_table(schema::OUTBOX)?;
        for sink in sinks {
            for (place, alerts) in (0..).step_by(OUTBOX_ALERTS).zip(raised.chunks(OUTBOX_ALERTS)) {
                let times = alerts.iter().map(|alert| alert.head.first_ms);
                put(&mut outbox, (sink.as_str(), queued + place), &OutboxV1::of(first + place, times))?;
            }
        }
    }
    put(&mut txn.open_table(schema::PENDING)?, told, &RaisedV1 { alert: first, count })
}
