//! Many rows into a table at once.

use std::ops::Bound;

use redb::{CursorError, Key, Table, Value};

/// Puts rows into a table: in the order of their keys, and as many at once as have none of another between them.
///
/// For keys that follow each other, or do so in a few places. Of others each is a search and a page of its own, which
/// `insert` does with less.
pub(crate) fn fill<'k, 'v, K: Key + 'static, V: Value + 'static>(
    table: &mut Table<'_, K, V>,
    rows: &mut [(K::SelfType<'k>, V::SelfType<'v>)],
) -> Result<(), redb::Error>
where
    K::SelfType<'k>: Ord,
{
    rows.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    let mut rows = rows.iter().peekable();
    while let Some((first, _)) = rows.peek() {
        let mut gap = table.lower_bound_mut(Bound::Included(first))?;
        let mut is_there = true;
        while let Some((key, value)) = rows.peek() {
            match gap.insert_before(key, value) {
                Ok(()) => is_there = false,
                Err(CursorError::UnorderedKey) => break,
                Err(error) => return Err(error.into()),
            }
            rows.next();
        }
        gap.close()?;
        if is_there && let Some((key, value)) = rows.next() {
            table.insert(key, value)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use redb::{ReadableTable, TableDefinition};

    use super::*;

    #[test]
    fn rows_are_there_whatever_was_before_and_the_last_of_a_key_stays() {
        const TABLE: TableDefinition<'_, (u8, u64), u64> = TableDefinition::new("t");
        let database = crate::database::over(crate::faulty::Disk::default(), "/f".as_ref()).ok().unwrap();
        let txn = database.begin_write().unwrap();
        let mut table = txn.open_table(TABLE).unwrap();
        let mut known = BTreeMap::new();
        for round in 0..40u64 {
            let key = |n: u64| ((n * 7 % 3) as u8, n * (1 + round % 5));
            let from = [0, round * 100, 5000 - round * 100][round as usize % 3];
            let mut rows: Vec<_> = (from..from + 200).map(|n| (key(n), n * 1000 + round)).collect();
            known.extend(rows.iter().copied());
            fill(&mut table, &mut rows).unwrap();
            let all: BTreeMap<_, _> = table
                .iter()
                .unwrap()
                .map(|row| row.map(|(key, n)| (key.value(), n.value())).unwrap())
                .collect();
            assert_eq!(all, known, "round {round}");
        }
    }
}
