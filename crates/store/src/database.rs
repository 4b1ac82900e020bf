//! Opening a file of redb, the same way everywhere: one writer, any number of readers, a bounded cache.

#![allow(
    clippy::disallowed_methods,
    reason = "the store's own files are no part of the machine that is watched"
)]

use std::fs::File;
use std::path::Path;

use redb::backends::FileBackend;
use redb::{ConcurrencyMode, Database, ReadOnlyDatabase};

use crate::StoreError;
use crate::gathering::Gathering;

/// Bytes of pages that an open file keeps; redb's own default is 1 GiB.
const CACHE_BYTES: usize = 8 << 20;

/// The same where a file is gone through once: no page is asked for again, and few that were let go of are quicker
/// to use for the next ones.
const CACHE_BYTES_ONCE: usize = 256 << 10;

/// A file of which this much, and more than half, is free is worth a compaction.
const FREE_BYTES_MIN: u64 = 16 << 20;

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES).set_concurrency_mode(ConcurrencyMode::SingleWriter);
    builder
}

/// The file for writing, made if it is not there.
pub(crate) fn create(path: &Path) -> Result<Database, StoreError> {
    writing(&builder(), path)
}

fn writing(builder: &redb::Builder, path: &Path) -> Result<Database, StoreError> {
    let open = || -> Result<Database, redb::Error> {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        Ok(builder.create_with_backend(Gathering::over(FileBackend::new(file)?))?)
    };
    open().map_err(|error| StoreError::of(path, error))
}

/// The same after a look at every page, so that what was altered is an error now and no surprise later.
pub(crate) fn create_checked(path: &Path) -> Result<Database, StoreError> {
    let mut builder = builder();
    builder.set_check_integrity_on_open(true);
    writing(&builder, path)
}

/// The same over a storage of another kind, such as one that fails.
#[cfg(test)]
pub(crate) fn over(backend: impl redb::StorageBackend, path: &Path) -> Result<Database, StoreError> {
    builder().create_with_backend(Gathering::over(backend)).map_err(|error| StoreError::of(path, error))
}

/// Gives free pages back to the file system where they are most of the file; whether any were.
///
/// redb gives back only what is free at the end of a file, and retention frees what is old, at its beginning.
pub(crate) fn compact_if_sparse(database: &mut Database, path: &Path) -> Result<bool, redb::Error> {
    let length = || Ok::<_, redb::Error>(std::fs::metadata(path)?.len());
    if length()? < FREE_BYTES_MIN {
        return Ok(false);
    }
    // Where other processes may read, pages that a transaction let go of are free with the next one only.
    database.begin_write()?.commit()?;
    let txn = database.begin_write()?;
    let stats = txn.stats()?;
    txn.abort()?;
    let used = stats.allocated_pages().saturating_mul(stats.page_size() as u64);
    let free = length()?.saturating_sub(used);
    if free < FREE_BYTES_MIN || free < used {
        return Ok(false);
    }
    Ok(database.compact()?)
}

/// The file for reading, which another program may write to meanwhile.
pub(crate) fn read_only(path: &Path) -> Result<ReadOnlyDatabase, StoreError> {
    builder().open_read_only(path).map_err(|error| StoreError::of(path, error))
}

/// The same, to go through it once.
pub(crate) fn read_once(path: &Path) -> Result<ReadOnlyDatabase, StoreError> {
    let mut builder = builder();
    builder.set_cache_size(CACHE_BYTES_ONCE);
    builder.open_read_only(path).map_err(|error| StoreError::of(path, error))
}

#[cfg(test)]
mod tests {
    use redb::TableDefinition;

    use super::*;

    type Blocks<'t> = redb::Table<'t, u64, &'static [u8]>;

    const BLOCKS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("blocks");

    #[test]
    fn a_file_that_is_mostly_free_is_made_smaller_and_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f.redb");
        let mut database = create(&path).unwrap();
        let write = |database: &Database, work: &dyn Fn(&mut Blocks<'_>)| {
            let txn = database.begin_write().unwrap();
            work(&mut txn.open_table(BLOCKS).unwrap());
            txn.commit().unwrap();
        };
        write(&database, &|table| {
            for n in 0..48 {
                table.insert(n, vec![n as u8; 1 << 20].as_slice()).unwrap();
            }
        });
        assert!(!compact_if_sparse(&mut database, &path).unwrap());
        write(&database, &|table| {
            for n in 0..44 {
                table.remove(n).unwrap();
            }
        });
        // Pages are free once a later transaction finds that nobody reads them any more.
        write(&database, &|table| drop(table.insert(99, [0u8; 1].as_slice()).unwrap()));
        let before = std::fs::metadata(&path).unwrap().len();
        assert!(compact_if_sparse(&mut database, &path).unwrap());
        let after = std::fs::metadata(&path).unwrap().len();
        assert!(after < before / 2, "{before} to {after} bytes");
        assert!(!compact_if_sparse(&mut database, &path).unwrap());
        drop(database);
        let reading = read_only(&path).unwrap();
        let table = redb::ReadableDatabase::begin_read(&reading).unwrap().open_table(BLOCKS).unwrap();
        assert_eq!(table.get(47).unwrap().unwrap().value(), vec![47; 1 << 20]);
    }
}
