//! Opening a file of redb, the same way everywhere: one writer, any number of readers, a bounded cache.

use std::path::Path;

use redb::{ConcurrencyMode, Database, ReadOnlyDatabase};

use crate::StoreError;

/// Bytes of pages that an open file keeps; redb's own default is 1 GiB.
const CACHE_BYTES: usize = 8 << 20;

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES).set_concurrency_mode(ConcurrencyMode::SingleWriter);
    builder
}

/// The file for writing, made if it is not there.
pub(crate) fn create(path: &Path) -> Result<Database, StoreError> {
    builder().create(path).map_err(|error| StoreError::of(path, error))
}

/// The same after a look at every page, so that what was altered is an error now and no surprise later.
pub(crate) fn create_checked(path: &Path) -> Result<Database, StoreError> {
    let mut builder = builder();
    builder.set_check_integrity_on_open(true);
    builder.create(path).map_err(|error| StoreError::of(path, error))
}

/// The same over a storage of another kind, such as one that fails.
#[cfg(test)]
pub(crate) fn over(backend: impl redb::StorageBackend, path: &Path) -> Result<Database, StoreError> {
    builder().create_with_backend(backend).map_err(|error| StoreError::of(path, error))
}

/// The file for reading, which another program may write to meanwhile.
pub(crate) fn read_only(path: &Path) -> Result<ReadOnlyDatabase, StoreError> {
    builder().open_read_only(path).map_err(|error| StoreError::of(path, error))
}
