//! Lists of alerts (all, those of a rule, those in a state), each kept as spans: numbers that follow each other without
//! a gap, with the times that the alerts were raised at.
//!
//! A batch of alerts is a few records in each list then, and not one for each alert. A list is in the order of the
//! numbers, which is that in which the alerts were raised, whatever the clock did. Of a time that is looked for only
//! the spans that reach over it are read.

use std::ops::RangeInclusive;

use model::AlertState;
use redb::{ReadableTable, Table};

use crate::file::Inner;

/// Alerts of a span at most: what is read for one that was looked for by its time.
const SPAN_MAX: u64 = 256;

/// Kinds of lists.
const ALL: u8 = 0;
const RULE: u8 = 1;
const STATE: u8 = 2;

/// The kind of a list, its name, and the first number of a span.
pub(super) type Key = (u8, &'static str, u64);
/// The last number of a span, and times from and to which it reaches, in ms since 1970: at least those of its alerts.
pub(super) type Rest = (u64, i64, i64);

/// A list of alerts.
#[derive(Clone, Copy, Debug)]
pub(super) enum List<'l> {
    All,
    Rule(&'l str),
    State(AlertState),
}

impl<'l> List<'l> {
    fn key(self, first: u64) -> (u8, &'l str, u64) {
        match self {
            List::All => (ALL, "", first),
            List::Rule(rule) => (RULE, rule, first),
            List::State(state) => (STATE, state.name(), first),
        }
    }

    fn from(self, first: u64) -> RangeInclusive<(u8, &'l str, u64)> {
        self.key(first)..=self.key(u64::MAX)
    }
}

/// Alerts of a list whose numbers follow each other.
#[derive(Clone, Copy)]
pub(super) struct Span {
    first: u64,
    last: u64,
    earliest_ms: i64,
    latest_ms: i64,
}

impl Span {
    fn of(first: u64, (last, earliest_ms, latest_ms): Rest) -> Span {
        Span { first, last, earliest_ms, latest_ms }
    }

    pub(super) fn count(&self) -> u64 {
        self.last.saturating_add(1).saturating_sub(self.first)
    }

    pub(super) fn numbers(&self) -> RangeInclusive<u64> {
        self.first..=self.last
    }

    /// Whether an alert of it may be of these times.
    pub(super) fn reaches_into(&self, times_ms: &RangeInclusive<i64>) -> bool {
        self.earliest_ms <= *times_ms.end() && self.latest_ms >= *times_ms.start()
    }

    fn put(&self, table: &mut Table<'_, Key, Rest>, list: List<'_>) -> Inner<()> {
        table.insert(list.key(self.first), (self.last, self.earliest_ms, self.latest_ms))?;
        Ok(())
    }
}

/// The last span of a list that begins at a number or before it.
fn before(table: &impl ReadableTable<Key, Rest>, list: List<'_>, n: u64) -> Inner<Option<Span>> {
    let row = table.range(list.key(0)..=list.key(n))?.next_back().transpose()?;
    Ok(row.map(|(key, rest)| Span::of(key.value().2, rest.value())))
}

/// The spans of a list from a number on.
pub(super) fn from(
    table: &impl ReadableTable<Key, Rest>,
    list: List<'_>,
    n: u64,
) -> Inner<impl Iterator<Item = Inner<Span>>> {
    let begun = before(table, list, n)?.filter(|span| span.last >= n);
    let begun = begun.map(|span| Span { first: n, ..span });
    let next = begun.map_or(n, |span| span.last.saturating_add(1));
    let rest = table.range(list.from(next))?.map(|row| {
        let (key, rest) = row?;
        Ok(Span::of(key.value().2, rest.value()))
    });
    Ok(begun.map(Ok).into_iter().chain(rest))
}

/// How many alerts a list has.
pub(super) fn count(table: &impl ReadableTable<Key, Rest>, list: List<'_>) -> Inner<u64> {
    from(table, list, 0)?.try_fold(0, |count, span| Ok(count + span?.count()))
}

/// Whether these numbers, in their order, are those of all alerts in the list of all, and as many are in the lists of
/// rules and of states.
pub(super) fn agree(table: &impl ReadableTable<Key, Rest>, numbers: &[u64]) -> Inner<bool> {
    let (mut rest, mut of_rules, mut in_states) = (numbers, 0u64, 0u64);
    for row in table.iter()? {
        let (key, value) = row?;
        let (kind, _, first) = key.value();
        let span = Span::of(first, value.value());
        match kind {
            ALL => {
                let here = usize::try_from(span.count()).ok().and_then(|count| rest.split_at_checked(count));
                let Some((here, others)) = here else { return Ok(false) };
                if here.first() != Some(&span.first) || here.last() != Some(&span.last) {
                    return Ok(false);
                }
                rest = others;
            }
            RULE => of_rules = of_rules.saturating_add(span.count()),
            _ => in_states = in_states.saturating_add(span.count()),
        }
    }
    Ok(rest.is_empty() && [of_rules, in_states] == [numbers.len() as u64; 2])
}

/// Adds alerts that were raised at these times to a list, numbered from `first` on. None of them is in it.
pub(super) fn add(
    table: &mut Table<'_, Key, Rest>,
    list: List<'_>,
    first: u64,
    times_ms: impl Iterator<Item = i64>,
) -> Inner<()> {
    let mut open = before(table, list, first)?.filter(|span| span.last.saturating_add(1) == first);
    for (n, time) in (first..).zip(times_ms) {
        match &mut open {
            Some(span) if span.count() < SPAN_MAX => {
                span.last = n;
                span.earliest_ms = span.earliest_ms.min(time);
                span.latest_ms = span.latest_ms.max(time);
            }
            _ => {
                let full = open.replace(Span::of(n, (n, time, time)));
                full.map(|span| span.put(table, list)).transpose()?;
            }
        }
    }
    open.map_or(Ok(()), |span| span.put(table, list))
}

/// Removes alerts from a list; those that are not in it are passed over.
pub(super) fn remove(table: &mut Table<'_, Key, Rest>, list: List<'_>, mut gone: Vec<u64>) -> Inner<()> {
    gone.sort_unstable();
    gone.dedup();
    let mut gone = gone.into_iter().peekable();
    while let Some(n) = gone.peek().copied() {
        let Some(span) = before(table, list, n)?.filter(|span| span.last >= n) else {
            gone.next();
            continue;
        };
        table.remove(list.key(span.first))?;
        let mut kept = span.first;
        while let Some(n) = gone.next_if(|n| *n <= span.last) {
            if kept < n {
                Span { first: kept, last: n - 1, ..span }.put(table, list)?;
            }
            kept = n + 1;
        }
        if kept <= span.last {
            Span { first: kept, ..span }.put(table, list)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::state::schema::SPANS;

    #[test]
    fn lists_have_what_was_added_and_not_removed_and_tell_of_every_time() {
        let database = crate::database::over(crate::faulty::Disk::default(), "/s".as_ref()).ok().unwrap();
        let lists = [
            List::All,
            List::Rule("a"),
            List::Rule("ab"),
            List::State(AlertState::New),
            List::State(AlertState::Closed),
        ];
        let mut known: Vec<BTreeMap<u64, i64>> = vec![BTreeMap::new(); lists.len()];
        let txn = database.begin_write().unwrap();
        let mut table = txn.open_table(SPANS).unwrap();
        let mut next = 1u64;
        for round in 0..300u64 {
            let count = [1, 1, 300, 1, 30, 1, 256, 3][round as usize % 8];
            // A clock that goes back now and then.
            let time = |n: u64| (n * 10) as i64 - if n.is_multiple_of(97) { 5_000 } else { 0 };
            for (place, list) in
                lists.into_iter().enumerate().filter(|(place, _)| !(round + *place as u64).is_multiple_of(3))
            {
                assert!(add(&mut table, list, next, (next..next + count).map(time)).is_ok());
                known[place].extend((next..next + count).map(|n| (n, time(n))));
                let gone: Vec<u64> =
                    known[place].keys().copied().filter(|n| (n * 7 + round).is_multiple_of(13)).collect();
                if round % 4 == 1 {
                    assert!(remove(&mut table, list, [&gone[..], &[0, next + count]].concat()).is_ok());
                    known[place].retain(|n, _| !gone.contains(n));
                    // One comes back, as an alert does that is opened again.
                    if let Some(n) = gone.first() {
                        assert!(add(&mut table, list, *n, [time(*n)].into_iter()).is_ok());
                        known[place].insert(*n, time(*n));
                    }
                }
            }
            next += count + round % 2;
        }
        for (list, known) in lists.into_iter().zip(&known) {
            let spans = |n| from(&table, list, n).ok().unwrap().map(|span| span.ok().unwrap());
            for n in [0, 1, 7, 400, next / 2, next, u64::MAX] {
                let found: Vec<u64> = spans(n).flat_map(|span| span.numbers()).collect();
                assert_eq!(found, known.range(n..).map(|(n, _)| *n).collect::<Vec<_>>(), "{list:?} from {n}");
            }
            assert_eq!(count(&table, list).ok().unwrap(), known.len() as u64);
            assert!(spans(0).all(|span| (1..=SPAN_MAX).contains(&span.count())));
            for (n, time) in known.iter().take(200) {
                let reached = spans(0).filter(|span| span.reaches_into(&(*time..=*time)));
                assert!(reached.into_iter().any(|span| span.numbers().contains(n)), "{list:?} {n}");
            }
        }
    }

    #[test]
    fn few_spans_reach_over_a_time() {
        let database = crate::database::over(crate::faulty::Disk::default(), "/s".as_ref()).ok().unwrap();
        let txn = database.begin_write().unwrap();
        let mut table = txn.open_table(SPANS).unwrap();
        for n in 0..10_000 {
            assert!(add(&mut table, List::All, n, [n as i64 / 3].into_iter()).is_ok());
        }
        assert_eq!(table.iter().unwrap().count() as u64, 10_000u64.div_ceil(SPAN_MAX));
        for time in 0..10_000 / 3 {
            let spans = from(&table, List::All, 0).ok().unwrap().map(|span| span.ok().unwrap());
            assert!(
                (1..=2).contains(&spans.filter(|span| span.reaches_into(&(time..=time))).count()),
                "{time}"
            );
        }
    }
}
