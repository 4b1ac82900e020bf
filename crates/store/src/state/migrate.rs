//! The form of the state file, and how an older one is brought forward: in slices, each a transaction that notes
//! how far it came, so that a process that dies goes on where it was.

use redb::{Database, ReadableDatabase, WriteTransaction};

use super::schema::META;
use crate::codec::Undecodable;
use crate::crash_point;
use crate::file::{Fault, Inner};

/// One slice of a step: from where the last one ended, to where this one did; nothing when the step is done.
pub(super) type Slice = fn(&WriteTransaction, &[u8]) -> Inner<Option<Vec<u8>>>;

/// The steps from form 1 on: the n-th leads from form n to n + 1.
const STEPS: &[Slice] = &[];

/// The steps that this program knows.
pub(super) fn steps() -> Vec<Slice> {
    #[allow(unused_mut, reason = "a release build has no more of them")]
    let mut steps = STEPS.to_vec();
    #[cfg(debug_assertions)]
    if std::env::var_os("DAEMONEYE_NEXT_FORM").is_some() {
        steps.push(rewrite);
    }
    steps
}

/// A step for tests of the whole program, which stands for that of a later version: every alert is written anew.
#[cfg(debug_assertions)]
fn rewrite(txn: &WriteTransaction, place: &[u8]) -> Inner<Option<Vec<u8>>> {
    use super::{bundle, schema};
    use crate::codec;
    let mut alerts = txn.open_table(schema::ALERTS)?;
    let after = place.try_into().map_or(0, u64::from_be_bytes);
    let mut slice = Vec::new();
    bundle::each(&alerts, |n, _| {
        slice.extend((n > after && slice.len() < 3).then_some(n));
        Ok(())
    })?;
    for n in &slice {
        let Some(record) = bundle::alert(&alerts, *n)? else { continue };
        bundle::change(&mut alerts, *n, |m| (m == *n).then(|| codec::encode(&record)))?;
    }
    Ok(slice.last().map(|n| n.to_be_bytes().to_vec()))
}

/// The form that these steps lead to.
pub(super) fn form(steps: &[Slice]) -> u32 {
    1 + steps.len() as u32
}

pub(super) fn set_form(txn: &WriteTransaction, form: u32) -> Inner<()> {
    txn.open_table(META)?.insert("form", form.to_le_bytes().as_slice())?;
    Ok(())
}

/// The form of a file, and how far the step from it has come.
fn found(database: &Database) -> Inner<(u32, Vec<u8>)> {
    let txn = database.begin_read()?;
    let meta = txn.open_table(META)?;
    let bytes = |name| -> Inner<Option<Vec<u8>>> { Ok(meta.get(name)?.map(|b| b.value().to_vec())) };
    let form = bytes("form")?.and_then(|b| Some(u32::from_le_bytes(b.try_into().ok()?)));
    Ok((form.ok_or(Fault::Record(Undecodable::NoRecord))?, bytes("migrating")?.unwrap_or_default()))
}

/// Brings a file to the form that the steps lead to.
pub(super) fn bring_forward(database: &Database, steps: &[Slice]) -> Inner<()> {
    loop {
        let (form, place) = found(database)?;
        let known = self::form(steps);
        if form > known {
            return Err(Fault::Newer { found: form, known });
        }
        let Some(step) = steps.get(form as usize - 1) else { return Ok(()) };
        let txn = database.begin_write()?;
        match step(&txn, &place)? {
            Some(place) => {
                txn.open_table(META)?.insert("migrating", place.as_slice())?;
            }
            None => {
                txn.open_table(META)?.remove("migrating")?;
                set_form(&txn, form + 1)?;
            }
        }
        crash_point("state.migrate.before");
        txn.commit()?;
        crash_point("state.migrate.after");
    }
}

#[cfg(test)]
mod tests {
    use redb::{ReadableTable, TableDefinition};

    use super::*;

    const OLD: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("old");
    const NEW: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("new");

    /// Moves three rows at a time.
    fn step(txn: &WriteTransaction, _: &[u8]) -> Inner<Option<Vec<u8>>> {
        let (mut old, mut new) = (txn.open_table(OLD)?, txn.open_table(NEW)?);
        let mut last = None;
        for _ in 0..3 {
            let Some((key, value)) = old.pop_first()? else { return Ok(None) };
            new.insert(key.value(), [value.value(), b"!"].concat().as_slice())?;
            last = Some(key.value().to_le_bytes().to_vec());
        }
        Ok(last)
    }

    fn old(rows: u64) -> Database {
        let database = crate::database::over(crate::faulty::Disk::default(), "/m".as_ref()).ok().unwrap();
        let txn = database.begin_write().unwrap();
        for n in 0..rows {
            txn.open_table(OLD).unwrap().insert(n, b"v".as_slice()).unwrap();
        }
        assert!(set_form(&txn, 1).is_ok());
        txn.commit().unwrap();
        database
    }

    fn rows(database: &Database) -> usize {
        let txn = database.begin_read().unwrap();
        let table = txn.open_table(NEW).unwrap();
        table.iter().unwrap().filter(|row| row.as_ref().is_ok_and(|(_, v)| v.value() == b"v!")).count()
    }

    #[test]
    fn a_step_that_was_cut_short_goes_on_where_it_was() {
        let database = old(10);
        let txn = database.begin_write().unwrap();
        let place = step(&txn, &[]).ok().flatten().unwrap();
        txn.open_table(META).unwrap().insert("migrating", place.as_slice()).unwrap();
        txn.commit().unwrap();
        assert!(bring_forward(&database, &[step]).is_ok());
        assert_eq!(rows(&database), 10);
        assert!(matches!(found(&database), Ok((2, place)) if place.is_empty()));
        assert!(bring_forward(&database, &[step]).is_ok());
        assert_eq!(rows(&database), 10);
    }

    #[test]
    fn a_later_form_is_left_alone() {
        let database = old(1);
        assert!(bring_forward(&database, &[step]).is_ok());
        assert!(matches!(bring_forward(&database, &[]), Err(Fault::Newer { found: 2, known: 1 })));
    }
}
