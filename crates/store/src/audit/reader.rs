//! Reading the ledger, while it is written or not.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Database, ReadOnlyDatabase, ReadableDatabase, ReadableTable};

use super::checkpoint::NoteKey;
use super::entry::{Entry, Hash};
use super::layout::{self, FILE_NAME, View, damaged};
use super::proof::Proof;
use super::{Checkpoint, Head, merkle};
use crate::{StoreError, database};

/// Rows of one read transaction: a longer one would keep the writer from reusing pages.
pub const ROWS_PER_READ_MAX: usize = 1_000;

#[derive(Clone)]
enum Handle {
    Shared(Arc<Database>),
    Own(Arc<ReadOnlyDatabase>),
}

/// The ledger, open for reading; a clone shares the open file.
#[derive(Clone)]
pub struct LedgerReader {
    handle: Handle,
    path: Arc<PathBuf>,
}

impl LedgerReader {
    /// Opens the ledger in this directory, whether an agent runs or not.
    pub fn open(dir: &Path) -> Result<LedgerReader, StoreError> {
        let path = dir.join(FILE_NAME);
        Ok(LedgerReader::of(database::read_only(&path)?, &path))
    }

    /// Opens this file to go through it once.
    pub(super) fn once(path: &Path) -> Result<LedgerReader, StoreError> {
        Ok(LedgerReader::of(database::read_once(path)?, path))
    }

    fn of(database: ReadOnlyDatabase, path: &Path) -> LedgerReader {
        LedgerReader { handle: Handle::Own(Arc::new(database)), path: Arc::new(path.to_owned()) }
    }

    pub(super) fn sharing(database: Arc<Database>, path: &Path) -> LedgerReader {
        LedgerReader { handle: Handle::Shared(database), path: Arc::new(path.to_owned()) }
    }

    /// One look at the file as it is now.
    pub(super) fn look<T>(
        &self,
        with: impl FnOnce(&View<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let transaction = match &self.handle {
            Handle::Shared(database) => database.begin_read(),
            Handle::Own(database) => database.begin_read(),
        };
        let transaction = transaction.map_err(|error| StoreError::of(&self.path, error))?;
        let view = View::of(&transaction, &self.path)?;
        // A form of a later version may have tables that mean something else.
        view.head()?;
        with(&view)
    }

    /// Where the ledger stands.
    pub fn head(&self) -> Result<Head, StoreError> {
        self.look(|view| view.head())
    }

    /// The key that the ledger says is its own; only one that was kept elsewhere proves anything.
    pub fn public_key(&self) -> Result<NoteKey, StoreError> {
        self.look(|view| {
            let key = ed25519_dalek::VerifyingKey::from_bytes(&layout::fact(&view.meta, "key", view.path)?);
            let key = key.map_err(|_| damaged(view.path, "its key is none"))?;
            Ok(NoteKey::new(view.head()?.ledger, key))
        })
    }

    /// Entries of these sequences in their order, at most [`ROWS_PER_READ_MAX`]: ask again from the next one.
    pub fn entries(&self, sequences: RangeInclusive<u64>) -> Result<Vec<Entry>, StoreError> {
        self.look(|view| {
            let found = view.entries.range(sequences).map_err(|e| StoreError::of(view.path, e))?;
            let parse = |item: Result<(redb::AccessGuard<'_, u64>, redb::AccessGuard<'_, &[u8]>), _>| {
                let (sequence, bytes) = item.map_err(|e: redb::StorageError| StoreError::of(view.path, e))?;
                parsed(view.path, sequence.value(), bytes.value())
            };
            found.take(ROWS_PER_READ_MAX).map(parse).collect()
        })
    }

    /// One entry; none beyond the end.
    pub fn entry(&self, sequence: u64) -> Result<Option<Entry>, StoreError> {
        Ok(self.entries(sequence..=sequence)?.pop())
    }

    /// Entries about a subject after this sequence, at most [`ROWS_PER_READ_MAX`].
    pub fn about(&self, subject: &str, after: u64) -> Result<Vec<Entry>, StoreError> {
        self.look(|view| {
            let Some(first) = after.checked_add(1) else { return Ok(Vec::new()) };
            let found = view.subjects.range((subject, first)..=(subject, u64::MAX));
            let found = found.map_err(|e| StoreError::of(view.path, e))?.take(ROWS_PER_READ_MAX);
            found
                .map(|item| {
                    let (key, ()) = item.map(|(k, _)| (k, ())).map_err(|e| StoreError::of(view.path, e))?;
                    let sequence = key.value().1;
                    parsed(view.path, sequence, &view.stored(sequence)?)
                })
                .collect()
        })
    }

    /// What an entry's payload hash is over.
    pub fn payload(&self, sequence: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.look(|view| {
            let payload = view.payloads.get(sequence).map_err(|e| StoreError::of(view.path, e))?;
            Ok(payload.map(|bytes| bytes.value().to_vec()))
        })
    }

    /// The audit path of an entry in the tree over the first `size` entries.
    pub fn inclusion(&self, sequence: u64, size: u64) -> Result<Vec<Hash>, StoreError> {
        self.look(|view| {
            within(sequence, size)?;
            within(size, view.head()?.size)?;
            merkle::inclusion(view, sequence - 1, size)
        })
    }

    /// That the ledger of `old` entries is the beginning of the one of `new`.
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, StoreError> {
        self.look(|view| {
            within(old, new)?;
            within(new, view.head()?.size)?;
            merkle::consistency(view, old, new)
        })
    }

    /// Root of the tree over the first `size` entries.
    pub fn root(&self, size: u64) -> Result<Hash, StoreError> {
        self.look(|view| match size {
            0 => Ok(merkle::empty_root()),
            _ => within(size, view.head()?.size).and_then(|()| merkle::root(view, size)),
        })
    }

    /// Checkpoints over at least `size` entries, at most [`ROWS_PER_READ_MAX`].
    pub fn checkpoints(&self, size: u64) -> Result<Vec<String>, StoreError> {
        self.look(|view| {
            let found = view.checkpoints.range(size..).map_err(|e| StoreError::of(view.path, e))?;
            let text = |item: Result<(_, redb::AccessGuard<'_, &str>), redb::StorageError>| {
                item.map(|(_, text): (redb::AccessGuard<'_, u64>, _)| text.value().to_owned())
            };
            let texts = found.take(ROWS_PER_READ_MAX).map(text).collect::<Result<Vec<_>, _>>();
            texts.map_err(|e| StoreError::of(view.path, e))
        })
    }

    /// That an entry stands in the ledger, under the latest checkpoint that covers it.
    ///
    /// Refused if there is no such entry, or no checkpoint since: sign one and ask again.
    pub fn prove(&self, sequence: u64) -> Result<Proof, StoreError> {
        self.look(|view| {
            within(sequence, view.head()?.size)?;
            let last = view.checkpoints.last().map_err(|e| StoreError::of(view.path, e))?;
            let (size, text) =
                last.map(|(size, text)| (size.value(), text.value().to_owned())).unwrap_or_default();
            if size < sequence {
                return Err(StoreError::Refused(format!(
                    "no checkpoint covers entry {sequence} yet: sign one first"
                )));
            }
            within(size, view.head()?.size)?;
            let path = merkle::inclusion(view, sequence - 1, size)?;
            let checkpoint = Checkpoint::parse(&text)?;
            Ok(Proof { stored: view.stored(sequence)?, index: sequence - 1, path, checkpoint, text })
        })
    }
}

fn within(n: u64, size: u64) -> Result<(), StoreError> {
    match (1..=size).contains(&n) {
        true => Ok(()),
        false => Err(StoreError::Refused(format!("{n} is not in the ledger, or not in 1..={size}"))),
    }
}

fn parsed(path: &Path, sequence: u64, bytes: &[u8]) -> Result<Entry, StoreError> {
    Entry::from_stored(bytes).map_err(|why| damaged(path, format!("entry {sequence}: {why}")))
}
