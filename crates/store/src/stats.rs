//! What a file holds.

use redb::{ReadTransaction, ReadableTableMetadata, TableHandle};

use crate::file::Inner;

/// What one table of a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableStats {
    /// The file's name.
    pub file: String,
    /// The table's name.
    pub table: String,
    /// Its records.
    pub records: u64,
    /// Bytes of keys and values.
    pub stored_bytes: u64,
    /// Bytes that finding them takes.
    pub metadata_bytes: u64,
    /// Bytes that its pages hold for nothing.
    pub fragmented_bytes: u64,
}

/// What each table holds, by name.
pub(crate) fn tables(txn: &ReadTransaction, file: &str) -> Inner<Vec<TableStats>> {
    let mut all = Vec::new();
    for handle in txn.list_tables()? {
        let name = handle.name().to_owned();
        let table = txn.open_untyped_table(handle)?;
        let stats = table.stats()?;
        all.push(TableStats {
            file: file.to_owned(),
            table: name,
            records: table.len()?,
            stored_bytes: stats.stored_bytes(),
            metadata_bytes: stats.metadata_bytes(),
            fragmented_bytes: stats.fragmented_bytes(),
        });
    }
    all.sort_by(|a, b| a.table.cmp(&b.table));
    Ok(all)
}
