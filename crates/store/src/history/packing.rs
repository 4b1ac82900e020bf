//! Counters of many processes in few bytes: variable-length integers over differences.

use std::collections::BTreeMap;

use super::Activity;

/// Counters of the living, by number of life.
pub(super) type Counters = BTreeMap<u64, Activity>;

fn put(out: &mut Vec<u8>, mut n: u128) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u128> {
    let mut n = 0u128;
    for shift in (0..126).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        n |= u128::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(n);
        }
    }
    None
}

/// Numbers in ascending order.
pub(super) fn pack_numbers(numbers: impl Iterator<Item = u64>) -> Vec<u8> {
    let (mut out, mut last) = (Vec::new(), 0);
    for n in numbers {
        put(&mut out, u128::from(n - last));
        last = n;
    }
    out
}

/// The numbers of [`pack_numbers`]; `None` for bytes that are no such thing.
pub(super) fn numbers(mut bytes: &[u8]) -> Option<Vec<u64>> {
    let (mut numbers, mut last) = (Vec::new(), 0u64);
    while !bytes.is_empty() {
        last = last.checked_add(u64::try_from(take(&mut bytes)?).ok()?)?;
        numbers.push(last);
    }
    Some(numbers)
}

/// Entries of a block, which come in ascending order: a life, its counters, and those it is told against
/// (`None`: against nothing).
pub(super) fn pack<'a>(entries: impl Iterator<Item = (u64, &'a Activity, Option<&'a Activity>)>) -> Vec<u8> {
    let (mut out, mut last) = (Vec::new(), 0);
    for (id, now, base) in entries {
        put(&mut out, u128::from(id - last) << 1 | u128::from(base.is_none()));
        last = id;
        let base = base.copied().unwrap_or_default();
        let differ = |n: &usize| now.0[*n] != base.0[*n];
        out.push((0..now.0.len()).filter(differ).fold(0, |mask, n| mask | 1 << n));
        for n in (0..now.0.len()).filter(differ) {
            // 0 is "not known"; a difference is zigzagged, so that small ones of both signs are short.
            let code = now.0[n].map_or(0, |value| {
                let difference = value.wrapping_sub(base.0[n].unwrap_or_default());
                1 + u128::from(((difference << 1) ^ (difference >> 63)) as u64)
            });
            put(&mut out, code);
        }
    }
    out
}

/// Brings counters forward by a block; `None` for bytes that are no block over them.
pub(super) fn apply(counters: &mut Counters, mut bytes: &[u8]) -> Option<()> {
    let mut last = 0u64;
    while !bytes.is_empty() {
        let head = take(&mut bytes)?;
        last = last.checked_add(u64::try_from(head >> 1).ok()?)?;
        if head & 1 == 1 {
            counters.insert(last, Activity::default());
        }
        let activity = counters.get_mut(&last)?;
        let (mask, rest) = bytes.split_first()?;
        bytes = rest;
        for n in (0..activity.0.len()).filter(|n| mask & (1 << n) != 0) {
            activity.0[n] = match take(&mut bytes)? {
                0 => None,
                code => {
                    let zigzag = u64::try_from(code - 1).ok()?;
                    let difference = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
                    Some(activity.0[n].unwrap_or_default().wrapping_add(difference))
                }
            };
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn activity() -> impl Strategy<Value = Activity> {
        let value = prop_oneof![Just(None), any::<i64>().prop_map(Some), (0..300i64).prop_map(Some)];
        proptest::array::uniform8(value).prop_map(Activity)
    }

    proptest! {
        #[test]
        fn counters_come_forward_to_what_was_packed(
            old in proptest::collection::btree_map(any::<u64>(), activity(), 0..8),
            new in proptest::collection::btree_map(0..u64::MAX, activity(), 0..8),
        ) {
            let mut counters = old.clone();
            let packed = pack(new.iter().map(|(id, now)| (*id, now, old.get(id))));
            prop_assert_eq!(apply(&mut counters, &packed), Some(()));
            let mut expected = old;
            expected.extend(new);
            prop_assert_eq!(counters, expected);
        }

        #[test]
        fn garbage_is_refused_or_read_but_never_fatal(bytes: Vec<u8>) {
            let _ = apply(&mut Counters::new(), &bytes);
            if let Some(read) = numbers(&bytes) {
                prop_assert_eq!(numbers(&pack_numbers(read.iter().copied())), Some(read));
            }
        }
    }
}
