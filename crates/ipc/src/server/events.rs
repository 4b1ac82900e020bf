//! A subscription: a thread that passes events on as long as its client takes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use model::Event;

use super::connection::{Connection, push};
use super::running::{NoCredit, Running};
use super::{Offer, STACK_BYTES, Shared};
use crate::events::{EventStream, Interest};
use crate::limits::{BATCH_BYTES, EVENT_FIELDS_MAX, EVENTS_PER_FRAME_MAX};
use crate::metrics::{add, count};
use crate::proto::{self, answer, failure::Kind};
use crate::wire;

/// How long a subscription waits for an event before it looks whether it is cancelled.
const WAIT: Duration = Duration::from_millis(200);

/// Starts a subscription, or says why there is none.
pub(super) fn start(
    connection: &Arc<Connection>,
    id: u64,
    running: &Arc<Running>,
    asked: proto::Subscribe,
    offer: &Offer,
) -> Result<(), Kind> {
    let domains: Vec<_> = asked.domains.iter().filter_map(|d| wire::domain(*d)).collect();
    if domains.is_empty() && !asked.domains.is_empty() {
        return Err(Kind::Failed("this collector knows none of these domains".into()));
    }
    let offered: Vec<String> = offer.sources.iter().map(|s| s.name.clone()).collect();
    if let Some(other) = asked.sources.iter().find(|s| !offered.contains(s)) {
        return Err(Kind::Failed(format!("this collector offers no event source {other}")));
    }
    // Named one by one, so that a source that this peer was not offered stays hidden.
    let sources = if asked.sources.is_empty() { offered } else { asked.sources };
    if sources.is_empty() {
        return Err(Kind::Failed("this collector offers no event sources".into()));
    }
    let busy = || {
        count(&connection.shared.counters.busy);
        Kind::Busy("too many subscriptions run".into())
    };
    let place = Place::take(&connection.shared).ok_or_else(busy)?;
    let stream = connection.shared.service.subscribe(&Interest { domains, sources }).map_err(Kind::Failed)?;
    let thread = thread::Builder::new().name("ipc-events".into()).stack_size(STACK_BYTES);
    let (connection, running) = (connection.clone(), running.clone());
    let started = thread.spawn(move || {
        let failure = pass_on(&connection, id, &running, stream).err();
        drop(place);
        connection.done(id);
        let mut out = Vec::new();
        push(&mut out, id, answer::Body::End(proto::End { rows: 0, failure }));
        let _ = connection.send(&out);
    });
    started.map(drop).map_err(|_| Kind::Busy("no thread can be started".into()))
}

/// One of the subscriptions that there may be.
struct Place(Arc<Shared>);

impl Place {
    fn take(shared: &Arc<Shared>) -> Option<Place> {
        let most = shared.limits.subscriptions_max as u64;
        let one_more = |n: u64| (n < most).then_some(n + 1);
        let taken: Result<u64, u64> =
            AtomicU64::fetch_update(&shared.subscriptions, Ordering::AcqRel, Ordering::Acquire, one_more);
        taken.ok().map(|_| Place(shared.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.subscriptions.fetch_sub(1, Ordering::AcqRel);
    }
}

fn pass_on(
    connection: &Connection,
    id: u64,
    running: &Running,
    mut stream: Box<dyn EventStream>,
) -> Result<(), proto::Failure> {
    let counters = &connection.shared.counters;
    // A queue that nobody empties sheds and counts; so a slow client loses events, and nobody waits for it.
    let credit = || {
        running.take_credit(|| connection.patience(running)).map_err(|why| match why {
            NoCredit::Cancelled(error) => wire::failure(&error),
            NoCredit::Stalled(time) => {
                count(&counters.stalled);
                let why = format!("nobody took events for {time:?}");
                proto::Failure { kind: Some(Kind::Failed(why)) }
            }
        })
    };
    let (mut shed, mut out) = (0, Vec::new());
    loop {
        credit()?;
        let Some(delivery) = stream.next(EVENTS_PER_FRAME_MAX, WAIT) else {
            if shed > 0 {
                // Losses with no event after them.
                out.clear();
                push(&mut out, id, answer::Body::Events(wire::delivery(&[], shed)));
                let _ = connection.send(&out);
            }
            return Ok(());
        };
        let mut events = delivery.events;
        let before = events.len();
        events.retain(|e| e.fields.len() <= EVENT_FIELDS_MAX && bytes_of(e) <= EVENT_BYTES_MAX);
        let lost = delivery.shed + (before - events.len()) as u64;
        add(&counters.events_shed, lost);
        shed += lost;
        if events.is_empty() {
            running.return_credit();
            continue;
        }
        for (n, frame) in frames(&events).enumerate() {
            if n > 0 {
                credit()?;
            }
            out.clear();
            push(&mut out, id, answer::Body::Events(wire::delivery(frame, std::mem::take(&mut shed))));
            let gone = |_| wire::failure(&model::ScanError::Stopped(model::Stop::Cancelled));
            connection.send_for(running, &out).map_err(gone)?;
            add(&counters.events_sent, frame.len() as u64);
        }
    }
}

/// Bytes of an event's fields; one that is larger is shed.
const EVENT_BYTES_MAX: usize = 1 << 20;

fn bytes_of(event: &Event) -> usize {
    event.fields.iter().map(|(name, v)| name.len() + v.heap_bytes() + 16).sum()
}

/// The events in parts that fit into a frame each.
fn frames(events: &[Event]) -> impl Iterator<Item = &[Event]> {
    let mut rest = events;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |e: &&Event| {
            bytes += bytes_of(e);
            bytes <= BATCH_BYTES
        };
        let count = rest.iter().take(EVENTS_PER_FRAME_MAX).take_while(fits).count();
        // One that is larger by itself goes alone.
        let (part, after) = rest.split_at_checked(count.max(1))?;
        rest = after;
        Some(part)
    })
}
