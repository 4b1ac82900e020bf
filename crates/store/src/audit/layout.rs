//! The tables of `audit.redb`, and how they are read whoever has the file open.

use std::path::Path;

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, TableDefinition};

use super::Head;
use super::entry::{Hash, genesis};
use super::merkle::{self, Frontier, Nodes, leaf_hash};
use crate::StoreError;

/// The name of the file within the state directory.
pub const FILE_NAME: &str = "audit.redb";
pub(super) const KEY_FILE_NAME: &str = "audit.key";
/// The form of the file that this program writes.
pub(super) const FORM: u32 = 1;

/// Facts about the file: `form`, `ledger`, `key`, `head`.
pub(super) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
/// Stored entries by sequence.
pub(super) const ENTRIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entries");
/// Payloads by sequence.
pub(super) const PAYLOADS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("payloads");
/// Complete subtrees by level (from 1; level 0 is made from the entries) and index.
pub(super) const NODES: TableDefinition<'_, (u8, u64), Hash> = TableDefinition::new("nodes");
/// Sequences by subject.
pub(super) const SUBJECTS: TableDefinition<'_, (&str, u64), ()> = TableDefinition::new("subjects");
/// The last number that was taken in, by epoch of the state file.
pub(super) const DRAINED: TableDefinition<'_, [u8; 16], u64> = TableDefinition::new("drained");
/// Signed checkpoints by size.
pub(super) const CHECKPOINTS: TableDefinition<'_, u64, &str> = TableDefinition::new("checkpoints");

pub(super) fn damaged(path: &Path, what: impl Into<String>) -> StoreError {
    StoreError::Damaged { path: path.to_owned(), what: what.into() }
}

/// Where a ledger stands, as the `head` fact has it: size, hash, root.
pub(super) fn head_bytes(head: &Head) -> Vec<u8> {
    [&head.size.to_le_bytes()[..], &head.hash, &head.root].concat()
}

/// A fact of a given width.
pub(super) fn fact<const N: usize>(
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
    name: &str,
    path: &Path,
) -> Result<[u8; N], StoreError> {
    let value = meta.get(name).map_err(|e| StoreError::of(path, e))?;
    let value = value.and_then(|bytes| <[u8; N]>::try_from(bytes.value()).ok());
    value.ok_or_else(|| damaged(path, format!("it lacks its {name}")))
}

/// The head, from facts that a file of a known form has.
pub(super) fn head(
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
    path: &Path,
) -> Result<Head, StoreError> {
    let form = u32::from_le_bytes(fact(meta, "form", path)?);
    if form > FORM {
        return Err(StoreError::Newer { path: path.to_owned(), found: form, known: FORM });
    }
    let ledger = fact(meta, "ledger", path)?;
    let bytes = fact::<72>(meta, "head", path)?;
    let (size, hashes) = bytes.split_at(8);
    let (hash, root) = hashes.split_at(32);
    let take = |bytes: &[u8]| <[u8; 32]>::try_from(bytes).unwrap_or_default();
    let size = u64::from_le_bytes(<[u8; 8]>::try_from(size).unwrap_or_default());
    Ok(Head { ledger, size, hash: take(hash), root: take(root) })
}

pub(super) fn empty_head(ledger: [u8; 16]) -> Head {
    Head { ledger, size: 0, hash: genesis(&ledger), root: merkle::empty_root() }
}

/// All tables within one read transaction.
pub(super) struct View<'p> {
    pub(super) path: &'p Path,
    pub(super) meta: ReadOnlyTable<&'static str, &'static [u8]>,
    pub(super) entries: ReadOnlyTable<u64, &'static [u8]>,
    pub(super) payloads: ReadOnlyTable<u64, &'static [u8]>,
    pub(super) nodes: ReadOnlyTable<(u8, u64), Hash>,
    pub(super) subjects: ReadOnlyTable<(&'static str, u64), ()>,
    pub(super) drained: ReadOnlyTable<[u8; 16], u64>,
    pub(super) checkpoints: ReadOnlyTable<u64, &'static str>,
}

impl<'p> View<'p> {
    pub(super) fn of(transaction: &ReadTransaction, path: &'p Path) -> Result<View<'p>, StoreError> {
        let open = || -> Result<View<'p>, redb::TableError> {
            Ok(View {
                path,
                meta: transaction.open_table(META)?,
                entries: transaction.open_table(ENTRIES)?,
                payloads: transaction.open_table(PAYLOADS)?,
                nodes: transaction.open_table(NODES)?,
                subjects: transaction.open_table(SUBJECTS)?,
                drained: transaction.open_table(DRAINED)?,
                checkpoints: transaction.open_table(CHECKPOINTS)?,
            })
        };
        open().map_err(|error| StoreError::of(path, error))
    }

    pub(super) fn head(&self) -> Result<Head, StoreError> {
        head(&self.meta, self.path)
    }

    pub(super) fn frontier(&self, size: u64) -> Result<Frontier, StoreError> {
        Frontier::read(self, size)
    }

    /// The stored bytes of an entry.
    pub(super) fn stored(&self, sequence: u64) -> Result<Vec<u8>, StoreError> {
        let bytes = self.entries.get(sequence).map_err(|e| StoreError::of(self.path, e))?;
        let bytes = bytes.map(|bytes| bytes.value().to_vec());
        bytes.ok_or_else(|| damaged(self.path, format!("it lacks entry {sequence}")))
    }
}

impl Nodes for View<'_> {
    type Error = StoreError;

    fn node(&self, level: u8, index: u64) -> Result<Hash, StoreError> {
        if level == 0 {
            return Ok(leaf_hash(&self.stored(index + 1)?));
        }
        let node = self.nodes.get((level, index)).map_err(|e| StoreError::of(self.path, e))?;
        let node = node.map(|node| node.value());
        node.ok_or_else(|| damaged(self.path, format!("it lacks tree node {index} of level {level}")))
    }
}
