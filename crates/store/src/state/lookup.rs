//! Alerts by what is in no order: their ids, the places of their windows, the processes that they name.
//!
//! Of each 32 bits of a hash are kept with the alert's number. So a hash may be that of several things: what it leads
//! to is compared with what was looked for, and one that only collides costs a look.
//!
//! The hashes of alerts that were raised one after the other are one record, a sorted run, under the number of the
//! first: a tree with a place for each would change as many pages as there are new hashes. Small runs are merged.

use std::cell::Cell;
use std::collections::HashSet;

use redb::{AccessGuard, ReadableTable, Table};

use crate::codec::Undecodable;
use crate::file::{Fault, Inner};

/// Hashes of a run at most, 125 KiB.
const RUN_MAX: usize = 16_000;
const ENTRY_BYTES: usize = 8;
/// Entries of the first step away from where a place is looked for.
const STEP_MIN: usize = 8;
/// Bits of an entry below those of the hash, and of the kind below those of the place in the run.
const PLACE_BITS: u32 = 32;
const KIND_BITS: u32 = 2;
/// Numbers from the first of a run on that it can name.
const SPAN_MAX: u64 = 1 << (PLACE_BITS - KIND_BITS);

/// A hash by which alerts are found.
#[derive(Clone, Copy)]
pub(super) struct Hash {
    hash: u32,
    /// Without it two hashes of one alert could be one, and going for one reason take the other along.
    kind: u8,
}

impl Hash {
    /// That of an alert's id, which is one already.
    pub(super) fn of_id(id: &[u8; 16]) -> Hash {
        Hash { hash: first(id), kind: 0 }
    }

    /// That of a window, as its place gives it.
    pub(super) fn of_window(hash: u32) -> Hash {
        Hash { hash, kind: 1 }
    }

    /// That of the process that an alert names.
    pub(super) fn of_start_key(key: &[u8]) -> Hash {
        Hash { hash: crc32fast::hash(key), kind: 2 }
    }

    /// The first entry that this hash could have in a run.
    fn least(self) -> u64 {
        u64::from(self.hash) << PLACE_BITS
    }

    /// The entry of an alert, `place` numbers after the first of its run.
    fn entry(self, place: u64) -> u64 {
        self.least() | place << KIND_BITS | u64::from(self.kind)
    }

    /// The place in an entry, if that is of this kind.
    fn place(self, entry: u64) -> Option<u64> {
        let place = entry & ((1 << PLACE_BITS) - 1);
        (place & ((1 << KIND_BITS) - 1) == u64::from(self.kind)).then_some(place >> KIND_BITS)
    }
}

/// The bits of a digest that are kept.
pub(super) fn first(digest: &[u8]) -> u32 {
    digest.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

type Runs<'t> = Table<'t, u64, &'static [u8]>;

/// The entries of a run's bytes.
fn entries(bytes: &[u8]) -> &[[u8; ENTRY_BYTES]] {
    bytes.as_chunks().0
}

/// A place in a run: how many of its entries lie before one that was looked for.
#[derive(Clone, Copy, Default)]
struct Place {
    least: u64,
    before: usize,
}

impl Place {
    /// That of another. Hashes lie evenly, so it is looked for near where it would be if they lay quite so on the way
    /// from here: who looks for many in their order finds each in a step or two.
    fn moved(self, run: &[[u8; ENTRY_BYTES]], least: u64) -> Place {
        let is_before = |entry: &[u8; ENTRY_BYTES]| u64::from_le_bytes(*entry) < least;
        let way = ((i128::from(least) - i128::from(self.least)) * run.len() as i128) >> 64;
        let guess = (self.before as i128 + way).clamp(0, run.len() as i128) as usize;
        let (mut from, mut to, mut step) = (guess, guess, STEP_MIN);
        while from > 0 && !is_before(&run[from - 1]) {
            (to, from) = (from - 1, from.saturating_sub(step));
            step *= 2;
        }
        step = STEP_MIN;
        while to < run.len() && is_before(&run[to]) {
            (from, to) = (to + 1, (to + step).min(run.len()));
            step *= 2;
        }
        Place { least, before: from + run[from..to].partition_point(is_before) }
    }
}

/// Whether bytes are a run.
pub(super) fn check(bytes: &[u8]) -> Inner<()> {
    let (entries, rest) = bytes.as_chunks::<ENTRY_BYTES>();
    let is_run = rest.is_empty() && entries.iter().map(|entry| u64::from_le_bytes(*entry)).is_sorted();
    is_run.then_some(()).ok_or(Fault::Record(Undecodable::NoRecord))
}

fn put(table: &mut Runs<'_>, first: u64, run: &[u64]) -> Inner<()> {
    let mut bytes = Vec::with_capacity(run.len() * ENTRY_BYTES);
    run.iter().for_each(|entry| bytes.extend_from_slice(&entry.to_le_bytes()));
    table.insert(first, bytes.as_slice())?;
    Ok(())
}

/// The run before a number, with its first.
fn before(table: &Runs<'_>, first: u64) -> Inner<Option<(u64, Vec<u64>)>> {
    let row = table.range(..first)?.next_back().transpose()?;
    Ok(row.map(|(first, bytes)| {
        (first.value(), entries(bytes.value()).iter().map(|entry| u64::from_le_bytes(*entry)).collect())
    }))
}

/// Two runs in one; the entries of the second are moved on by `later`.
fn merged(run: &[[u8; ENTRY_BYTES]], other: &[u64], later: u64) -> Vec<u64> {
    let mut merged = Vec::with_capacity(run.len() + other.len());
    let mut run = run.iter().map(|entry| u64::from_le_bytes(*entry)).peekable();
    for entry in other.iter().map(|entry| entry + later) {
        while let Some(before) = run.next_if(|before| *before < entry) {
            merged.push(before);
        }
        merged.push(entry);
    }
    merged.extend(run);
    merged
}

/// A run merged with the one before it, with the first number of that; nothing if `small` does not find it small
/// enough beside this one, or no run spans that much.
fn merged_with_before(
    table: &Runs<'_>,
    first: u64,
    run: &[u64],
    small: impl Fn(usize, usize) -> bool,
) -> Inner<Option<(u64, Vec<u64>)>> {
    let Some((earlier, others)) = table.range(..first)?.next_back().transpose()? else { return Ok(None) };
    let (earlier, others) = (earlier.value(), entries(others.value()));
    let place = |entry: &u64| (entry & u64::from(u32::MAX)) >> KIND_BITS;
    let last = run.iter().map(place).max().unwrap_or(0);
    let may = small(others.len(), run.len()) && first - earlier + last < SPAN_MAX;
    Ok(may.then(|| (earlier, merged(others, run, (first - earlier) << KIND_BITS))))
}

/// Puts a run, merged with those before it that `small` finds small enough beside it.
fn put_merged(
    table: &mut Runs<'_>,
    mut first: u64,
    mut run: Vec<u64>,
    small: impl Fn(usize, usize) -> bool,
) -> Inner<()> {
    while let Some((earlier, merged)) = merged_with_before(table, first, &run, &small)? {
        table.remove(first)?;
        (first, run) = (earlier, merged);
    }
    put(table, first, &run)
}

/// Notes hashes of alerts, which come in the order of their numbers.
pub(super) fn note(table: &mut Runs<'_>, hashes: impl Iterator<Item = (Hash, u64)>) -> Inner<()> {
    let (mut first, mut last, mut run) = (0, 0, Vec::new());
    // A run is merged once it would more than double or nearly, so that each hash is seldom written again.
    let small = |earlier: usize, run: usize| earlier <= 2 * run && earlier + run <= RUN_MAX;
    let mut end = |first: u64, mut run: Vec<u64>| -> Inner<()> {
        run.sort_unstable();
        put_merged(table, first, run, small)
    };
    for (hash, n) in hashes {
        // The hashes of one alert stay together.
        if run.len() + (1 << KIND_BITS) > RUN_MAX && n != last {
            end(first, std::mem::take(&mut run))?;
        }
        if run.is_empty() {
            first = n;
        }
        run.push(hash.entry(n - first));
        last = n;
    }
    if run.is_empty() { Ok(()) } else { end(first, run) }
}

/// Forgets hashes of alerts.
pub(super) fn forget(table: &mut Runs<'_>, mut gone: Vec<(Hash, u64)>) -> Inner<()> {
    gone.sort_unstable_by_key(|(_, n)| *n);
    let mut gone = gone.into_iter().peekable();
    while let Some((_, n)) = gone.peek() {
        let Some((first, mut run)) = before(table, n.saturating_add(1))? else {
            gone.next();
            continue;
        };
        let next = table.range(first + 1..)?.next().transpose()?.map_or(u64::MAX, |(next, _)| next.value());
        let mut out = HashSet::new();
        while let Some((hash, n)) = gone.next_if(|(_, n)| *n < next) {
            out.insert(hash.entry(n - first));
        }
        run.retain(|entry| !out.contains(entry));
        table.remove(first)?;
        if !run.is_empty() {
            // Far from full, so that what is left of old runs does not stay in many of them.
            put_merged(table, first, run, |earlier, run| earlier + run <= RUN_MAX / 2)?;
        }
    }
    Ok(())
}

/// The table as it is searched.
pub(super) struct Lookup<'t> {
    runs: Vec<Run<'t>>,
}

struct Run<'t> {
    /// The number of its first alert.
    first: u64,
    entries: AccessGuard<'t, &'static [u8]>,
    /// Where it was looked into last.
    at: Cell<Place>,
}

impl<'t> Lookup<'t> {
    pub(super) fn over(table: &'t impl ReadableTable<u64, &'static [u8]>) -> Inner<Lookup<'t>> {
        let runs = table.iter()?.map(|row| {
            row.map(|(first, entries)| Run { first: first.value(), entries, at: Cell::default() })
        });
        Ok(Lookup { runs: runs.collect::<Result<_, _>>()? })
    }

    /// The alerts of a hash, the newest first.
    fn newest_first(&self, hash: Hash) -> impl Iterator<Item = u64> {
        self.runs.iter().rev().flat_map(move |run| {
            let entries = entries(run.entries.value());
            run.at.set(run.at.get().moved(entries, hash.least()));
            let from = &entries[run.at.get().before..];
            let is_it =
                |entry: &[u8; ENTRY_BYTES]| u64::from_le_bytes(*entry) >> PLACE_BITS == u64::from(hash.hash);
            let found = from.iter().take_while(|entry| is_it(entry)).count();
            let places =
                from[..found].iter().rev().filter_map(move |entry| hash.place(u64::from_le_bytes(*entry)));
            places.map(move |place| run.first + place)
        })
    }

    /// What `look` makes of the newest alert of a hash of which it makes something.
    pub(super) fn newest<R>(
        &self,
        hash: Hash,
        look: impl FnMut(u64) -> Inner<Option<R>>,
    ) -> Inner<Option<R>> {
        self.newest_first(hash).map(look).find_map(Result::transpose).transpose()
    }

    /// The alerts of a hash from a number on, in their order, at most so many.
    pub(super) fn from(&self, hash: Hash, first: u64, max: usize) -> Vec<u64> {
        let mut found: Vec<u64> = self.newest_first(hash).take_while(|n| *n >= first).collect();
        found.reverse();
        found.truncate(max);
        found
    }
}

/// Lets a hash lead to an alert that it is not of, as one that collides does.
#[cfg(test)]
pub(super) fn collide(table: &mut Runs<'_>, hash: Hash, n: u64) -> Inner<()> {
    let Some((first, mut run)) = before(table, n + 1)? else { return Ok(()) };
    run.push(hash.entry(n - first));
    run.sort_unstable();
    put(table, first, &run)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::state::schema::LOOKUP;

    /// A few hashes, so that many alerts share one.
    fn hashes(n: u64) -> [Hash; 3] {
        let hash = (n.wrapping_mul(0x9E37_79B9) % 97) as u32 * 40_000_000;
        [0, 1, 2].map(|kind| Hash { hash: hash.wrapping_add(u32::from(kind) % 2), kind })
    }

    #[test]
    fn a_place_in_a_run_is_found_however_its_hashes_lie() {
        let even: Vec<u64> = (0..5_000u64).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect();
        let runs = [
            vec![],
            vec![7],
            even,
            vec![3; 900],
            (0..900).collect(),
            (0..900).map(|n| u64::MAX - n).collect(),
        ];
        for mut run in runs {
            run.sort_unstable();
            let bytes: Vec<[u8; ENTRY_BYTES]> = run.iter().map(|entry| entry.to_le_bytes()).collect();
            let near =
                run.iter().flat_map(|entry| [entry.saturating_sub(1), *entry, entry.saturating_add(1)]);
            let mut at = Place::default();
            for least in near.chain([0, u64::MAX, 1 << 40, 1 << 63, 0, 1]) {
                at = at.moved(&bytes, least);
                assert_eq!(at.before, run.partition_point(|entry| *entry < least));
            }
        }
    }

    #[test]
    fn runs_find_what_was_noted_and_not_forgotten_however_it_came() {
        let database = crate::database::over(crate::faulty::Disk::default(), "/l".as_ref()).ok().unwrap();
        let (mut next, mut known) = (1u64, BTreeSet::new());
        for round in 0..120u64 {
            let txn = database.begin_write().unwrap();
            {
                let mut table = txn.open_table(LOOKUP).unwrap();
                let count = [1, 1, 700, 1, 30, 1, 12_000, 3][round as usize % 8];
                let new = next..next + count;
                assert!(note(&mut table, new.clone().flat_map(|n| hashes(n).map(|hash| (hash, n)))).is_ok());
                known.extend(new);
                next += count;
                if round % 5 == 4 {
                    let old: Vec<u64> = known.iter().copied().filter(|n| n % 7 != 0).take(9_000).collect();
                    let gone = old.iter().flat_map(|n| hashes(*n).map(|hash| (hash, *n)));
                    assert!(forget(&mut table, gone.collect()).is_ok());
                    old.iter().for_each(|n| assert!(known.remove(n)));
                }
                for row in table.iter().unwrap() {
                    let entries = entries(row.unwrap().1.value()).len();
                    assert!(entries > 0 && entries <= RUN_MAX);
                }
            }
            txn.commit().unwrap();
            if round % 20 == 19 {
                let txn = redb::ReadableDatabase::begin_read(&database).unwrap();
                let table = txn.open_table(LOOKUP).unwrap();
                let lookup = Lookup::over(&table).ok().unwrap();
                assert!(lookup.runs.len() < 40, "{} runs", lookup.runs.len());
                for like in 0..97 {
                    for hash in hashes(like) {
                        let is_it =
                            |n: &&u64| hashes(**n).iter().any(|h| (h.hash, h.kind) == (hash.hash, hash.kind));
                        let mut all: Vec<u64> = known.iter().filter(is_it).copied().collect();
                        assert_eq!(lookup.from(hash, 0, usize::MAX), all);
                        all.reverse();
                        assert_eq!(lookup.newest(hash, |n| Ok(Some(n))).ok().unwrap(), all.first().copied());
                    }
                }
            }
        }
    }
}
