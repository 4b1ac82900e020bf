//! Alerts in bundles: those that were raised one after the other are one record, under the number of the first.
//!
//! A page for every seven alerts is allocated, summed and written one by one, which is a sixth of what a batch takes.
//! So a batch fills bundles of eight pages. Alerts that come singly fill one of one page, as its rewriting costs no more
//! than that of the page that they would be put into.
//!
//! A bundle is: the records, where the record of each alert ends among them (u32, little endian, each), how many alerts
//! it has (u32). Of an alert that went the record is empty.

use redb::{ReadableTable, Table};

use super::record::{AlertV1, HeadV1, Kept};
use crate::codec::{self, Undecodable};
use crate::file::{Fault, Inner};

/// Bytes of a bundle at most, unless one alert has more: with what redb adds, eight pages.
const BYTES_MAX: usize = 32_700;
/// Bytes up to which a bundle is added to by a later transaction: one page.
const GROWING_MAX: usize = 4_064;
const NUMBER_BYTES: usize = 4;

/// A bundle's bytes, taken apart.
struct Bundle<'b> {
    ends: &'b [[u8; NUMBER_BYTES]],
    records: &'b [u8],
}

impl<'b> Bundle<'b> {
    fn of(bytes: &'b [u8]) -> Inner<Bundle<'b>> {
        let parts = || {
            let (rest, count) = bytes.split_last_chunk()?;
            let ends_bytes = (u32::from_le_bytes(*count) as usize).checked_mul(NUMBER_BYTES)?;
            let (records, ends) = rest.split_at_checked(rest.len().checked_sub(ends_bytes)?)?;
            Some(Bundle { ends: ends.as_chunks().0, records })
        };
        parts().ok_or(Fault::Record(Undecodable::NoRecord))
    }

    fn count(&self) -> u64 {
        self.ends.len() as u64
    }

    /// Where the record of a place ends.
    fn end(&self, place: usize) -> usize {
        u32::from_le_bytes(self.ends[place]) as usize
    }

    /// The record of a place, empty where there is none.
    fn record(&self, place: u64) -> Inner<&'b [u8]> {
        let Some(place) = usize::try_from(place).ok().filter(|place| *place < self.ends.len()) else {
            return Ok(&[]);
        };
        let start = place.checked_sub(1).map_or(0, |before| self.end(before));
        self.records.get(start..self.end(place)).ok_or(Fault::Record(Undecodable::NoRecord))
    }
}

/// A bundle that is put together.
#[derive(Default)]
struct Growing {
    ends: Vec<u8>,
    records: Vec<u8>,
}

impl Growing {
    fn len(&self) -> usize {
        self.records.len() + self.ends.len() + NUMBER_BYTES
    }

    /// What was added to the records since the last one is one more.
    fn end_record(&mut self) {
        // A record has 16 MiB at most, and with more than that a bundle has no second one.
        self.ends.extend_from_slice(&(self.records.len() as u32).to_le_bytes());
    }

    fn push(&mut self, record: &[u8]) {
        self.records.extend_from_slice(record);
        self.end_record();
    }

    /// Its bytes.
    fn bundle(&mut self) -> &[u8] {
        let count = (self.ends.len() / NUMBER_BYTES) as u32;
        self.records.append(&mut self.ends);
        self.records.extend_from_slice(&count.to_le_bytes());
        &self.records
    }

    /// Puts it into the table. It is empty then.
    fn put(&mut self, table: &mut Table<'_, u64, &'static [u8]>, first: u64) -> Inner<()> {
        table.insert(first, self.bundle())?;
        self.records.clear();
        Ok(())
    }
}

/// What `look` makes of the record of an alert, where there is one.
pub(super) fn find<R>(
    table: &impl ReadableTable<u64, &'static [u8]>,
    n: u64,
    look: impl FnOnce(&[u8]) -> Inner<R>,
) -> Inner<Option<R>> {
    let Some((first, bytes)) = table.range(..=n)?.next_back().transpose()? else { return Ok(None) };
    match Bundle::of(bytes.value())?.record(n - first.value())? {
        [] => Ok(None),
        record => look(record).map(Some),
    }
}

/// An alert, where there is one.
pub(super) fn alert(table: &impl ReadableTable<u64, &'static [u8]>, n: u64) -> Inner<Option<AlertV1>> {
    find(table, n, |record| Ok(codec::decode(record)?))
}

/// What the record of an alert begins with, where there is one.
pub(super) fn head(table: &impl ReadableTable<u64, &'static [u8]>, n: u64) -> Inner<Option<HeadV1>> {
    find(table, n, |record| Ok(codec::decode_head(record)?))
}

/// Shows the record of each alert, in the order of their numbers.
pub(super) fn each(
    table: &impl ReadableTable<u64, &'static [u8]>,
    mut look: impl FnMut(u64, &[u8]) -> Inner<()>,
) -> Inner<()> {
    for row in table.iter()? {
        let (first, bytes) = row?;
        let bundle = Bundle::of(bytes.value())?;
        for place in 0..bundle.count() {
            match bundle.record(place)? {
                [] => {}
                record => look(first.value() + place, record)?,
            }
        }
    }
    Ok(())
}

/// Adds alerts, which are numbered from `first` on, after all that are there.
pub(super) fn add(table: &mut Table<'_, u64, &'static [u8]>, first: u64, alerts: &[Kept<'_>]) -> Inner<()> {
    let (mut at, mut growing) = begun(table, first)?.unwrap_or((first, Growing::default()));
    for (n, alert) in (first..).zip(alerts) {
        let before = growing.records.len();
        alert.encode(&mut growing.records);
        // One that was begun is added to where its page has room for the first of these.
        let max = if n == first { GROWING_MAX } else { BYTES_MAX };
        if !growing.ends.is_empty() && growing.len() + NUMBER_BYTES > max {
            let record = growing.records.split_off(before);
            if n > first {
                growing.put(table, at)?;
            } else {
                growing = Growing::default();
            }
            growing.records.extend_from_slice(&record);
            at = n;
        }
        growing.end_record();
    }
    if growing.ends.is_empty() { Ok(()) } else { growing.put(table, at) }
}

/// The last bundle, where alerts from `first` on follow those that it has, and its page has room.
fn begun(table: &Table<'_, u64, &'static [u8]>, first: u64) -> Inner<Option<(u64, Growing)>> {
    let Some((at, bytes)) = table.last()? else { return Ok(None) };
    let (at, bytes) = (at.value(), bytes.value());
    let bundle = Bundle::of(bytes)?;
    if bytes.len() >= GROWING_MAX || at + bundle.count() != first {
        return Ok(None);
    }
    let (ends, records) = (bundle.ends.as_flattened().to_vec(), bundle.records.to_vec());
    Ok(Some((at, Growing { ends, records })))
}

/// Removes alerts.
pub(super) fn remove(table: &mut Table<'_, u64, &'static [u8]>, mut gone: Vec<u64>) -> Inner<()> {
    gone.sort_unstable();
    gone.dedup();
    let mut gone = gone.into_iter().peekable();
    while let Some(n) = gone.peek().copied() {
        let goes = |n| gone.next_if_eq(&n).map(|_| Vec::new());
        if !change(table, n, goes)? {
            gone.next();
        }
    }
    Ok(())
}

/// Changes the bundle that has a place for this number: puts what `change` gives in place of the record of each number
/// of it for which there is something. Whether there is such a bundle.
pub(super) fn change(
    table: &mut Table<'_, u64, &'static [u8]>,
    n: u64,
    mut change: impl FnMut(u64) -> Option<Vec<u8>>,
) -> Inner<bool> {
    let (first, mut changed) = {
        let held = table.range(..=n)?.next_back().transpose()?;
        let held = held.as_ref().map(|(first, bytes)| (first.value(), bytes.value()));
        let Some((first, bytes)) = held else { return Ok(false) };
        let (bundle, mut changed) = (Bundle::of(bytes)?, Growing::default());
        if n - first >= bundle.count() {
            return Ok(false);
        }
        for place in 0..bundle.count() {
            match change(first + place) {
                Some(record) => changed.push(&record),
                None => changed.push(bundle.record(place)?),
            }
        }
        (first, changed)
    };
    if changed.records.is_empty() {
        table.remove(first)?;
    } else {
        changed.put(table, first)?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use model::{Evidence, NamedRow};

    use super::*;
    use crate::state::schema::ALERTS;

    fn sample(n: u64, bytes: usize) -> NamedRow {
        vec![("n".into(), n.into()), ("text".into(), "x".repeat(bytes).into())]
    }

    fn kept(row: &NamedRow) -> Kept<'_> {
        const NOTHING: &Evidence = &Evidence { sections: Vec::new() };
        let head = HeadV1 { id: [1; 16], window: 2, first_ms: 3, window_end_ms: 4, last_ms: 3, count: 1 };
        Kept { head, of_rule: b"", row, evidence: NOTHING }
    }

    #[test]
    fn alerts_are_found_however_they_came_and_went() {
        let database = crate::database::over(crate::faulty::Disk::default(), "/b".as_ref()).ok().unwrap();
        let (mut next, mut known) = (1u64, BTreeMap::new());
        for round in 0..80u64 {
            let txn = database.begin_write().unwrap();
            {
                let mut table = txn.open_table(ALERTS).unwrap();
                let count = [1, 1, 1, 40, 1, 300, 2][round as usize % 7];
                let bytes =
                    |n: u64| if n.is_multiple_of(50) { 50_000 } else { [10, 500, 3_000][n as usize * 7 % 3] };
                let rows: Vec<_> = (next..next + count).map(|n| sample(n, bytes(n))).collect();
                let alerts: Vec<_> = rows.iter().map(kept).collect();
                assert!(add(&mut table, next, &alerts).is_ok());
                for (n, alert) in (next..).zip(&alerts) {
                    let mut bytes = Vec::new();
                    alert.encode(&mut bytes);
                    known.insert(n, bytes);
                }
                // A number that is never used, now and then: there is no alert for each.
                next += count + u64::from(round % 11 == 10);
                if round % 3 == 2 {
                    let mut gone: Vec<u64> =
                        known.keys().copied().filter(|n| (n ^ round) % 5 != 0).take(100).collect();
                    gone.extend([0, next + 7, gone[0]]);
                    assert!(remove(&mut table, gone.clone()).is_ok());
                    gone.iter().for_each(|n| drop(known.remove(n)));
                }
            }
            txn.commit().unwrap();
        }
        let txn = redb::ReadableDatabase::begin_read(&database).unwrap();
        let table = txn.open_table(ALERTS).unwrap();
        for n in 0..next + 20 {
            let found = find(&table, n, |record| Ok(record.to_vec())).ok().unwrap();
            assert_eq!(found.as_ref(), known.get(&n), "{n}");
        }
        let mut all = BTreeMap::new();
        let take = |n: u64, record: &[u8]| {
            all.insert(n, record.to_vec());
            Ok(())
        };
        assert!(each(&table, take).is_ok());
        assert_eq!(all, known);
        for row in table.iter().unwrap() {
            let (_, bytes) = row.unwrap();
            let bundle = Bundle::of(bytes.value()).ok().unwrap();
            assert!(bytes.value().len() <= BYTES_MAX || bundle.count() == 1, "{} bytes", bytes.value().len());
            assert!((0..bundle.count()).any(|place| !bundle.record(place).ok().unwrap().is_empty()));
        }
    }

    #[test]
    fn single_alerts_share_a_page() {
        let database = crate::database::over(crate::faulty::Disk::default(), "/b".as_ref()).ok().unwrap();
        let txn = database.begin_write().unwrap();
        let mut table = txn.open_table(ALERTS).unwrap();
        for n in 1..=100 {
            assert!(add(&mut table, n, &[kept(&sample(n, 400))]).is_ok());
        }
        let lengths: Vec<usize> = table.iter().unwrap().map(|row| row.unwrap().1.value().len()).collect();
        assert!(lengths.len() < 15 && lengths.iter().all(|length| *length <= GROWING_MAX), "{lengths:?}");
    }

    #[test]
    fn damaged_bytes_are_no_bundle() {
        let mut growing = Growing::default();
        growing.push(b"one");
        growing.push(b"");
        growing.push(b"three");
        let bytes = growing.bundle().to_vec();
        let read = |bytes: &[u8]| {
            let bundle = Bundle::of(bytes)?;
            (0..bundle.count() + 2)
                .map(|place| bundle.record(place).map(<[u8]>::to_vec))
                .collect::<Inner<Vec<_>>>()
        };
        assert_eq!(read(&bytes).ok().unwrap(), [&b"one"[..], b"", b"three", b"", b""]);
        for end in 0..bytes.len() {
            assert!(read(&bytes[..end]).is_err(), "{end}");
        }
        for place in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[place] ^= 1 << bit;
                let _ = read(&flipped);
            }
        }
    }
}
