//! The one writer of the ledger.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use redb::{Database, ReadableDatabase, ReadableTable};

use super::checkpoint::{self, NoteKey, hex};
use super::entry::{Entry, Hash, PAYLOAD_BYTES_MAX, TEXT_BYTES_MAX};
use super::layout::{
    self, CHECKPOINTS, DRAINED, ENTRIES, FILE_NAME, FORM, KEY_FILE_NAME, META, NODES, PAYLOADS, SUBJECTS,
    View,
};
use super::merkle::{Frontier, leaf_hash};
use super::reader::LedgerReader;
use super::{Head, key};
use crate::fill::fill;
use crate::{PendingEntry, StoreError, crash_point, database};

/// The ledger, open for writing.
pub struct Ledger {
    database: Arc<Database>,
    path: PathBuf,
    key: SigningKey,
    head: Head,
    frontier: Frontier,
}

impl Ledger {
    /// Opens `audit.redb` and `audit.key` in this directory, and makes what is not there.
    ///
    /// Refuses a key that others may read, that is missing, or that is not this ledger's;
    /// [`StoreError::InUse`] if another program writes to the ledger.
    pub fn open(dir: &Path) -> Result<Ledger, StoreError> {
        let path = dir.join(FILE_NAME);
        let key_path = dir.join(KEY_FILE_NAME);
        Ledger::over(database::create(&path)?, path, |public| key::load(&key_path, public))
    }

    pub(super) fn over(
        database: Database,
        path: PathBuf,
        load_key: impl FnOnce(Option<Hash>) -> Result<SigningKey, StoreError>,
    ) -> Result<Ledger, StoreError> {
        let fault = |error: redb::Error| StoreError::of(&path, error);
        let is_new = {
            let reading = database.begin_read().map_err(|e| fault(e.into()))?;
            reading.list_tables().map_err(|e| fault(e.into()))?.next().is_none()
        };
        let key = if is_new {
            let key = load_key(None)?;
            create(&database, key.verifying_key().to_bytes(), &path)?;
            key
        } else {
            let reading = database.begin_read().map_err(|e| fault(e.into()))?;
            let meta = reading.open_table(META).map_err(|e| fault(e.into()))?;
            layout::head(&meta, &path)?;
            load_key(Some(layout::fact(&meta, "key", &path)?))?
        };
        let reading = database.begin_read().map_err(|e| fault(e.into()))?;
        let view = View::of(&reading, &path)?;
        let head = view.head()?;
        let frontier = view.frontier(head.size)?;
        drop(view);
        Ok(Ledger { database: Arc::new(database), path, key, head, frontier })
    }

    /// Takes these in, in one durable transaction. Entries that were taken in before are passed over, so that
    /// a batch may be given again after a crash.
    ///
    /// Refuses, with nothing changed, an entry whose number leaves a gap in its epoch, or that is too long.
    pub fn append(&mut self, pending: &[PendingEntry]) -> Result<Head, StoreError> {
        pending.iter().try_for_each(check)?;
        let path = self.path.clone();
        let (head, frontier) = self.write(pending).map_err(|error| error.into_store(&path))?;
        (self.head, self.frontier) = (head, frontier);
        Ok(head)
    }

    fn write(&self, pending: &[PendingEntry]) -> Result<(Head, Frontier), WriteError> {
        let (mut head, mut frontier) = (self.head, self.frontier.clone());
        let transaction = self.database.begin_write()?;
        {
            let mut subjects = transaction.open_table(SUBJECTS)?;
            let mut drained = transaction.open_table(DRAINED)?;
            let mut last = BTreeMap::<[u8; 16], u64>::new();
            let (mut entries, mut payloads, mut nodes) = (Vec::new(), Vec::new(), Vec::new());
            for one in pending {
                let known = match last.get(&one.epoch) {
                    Some(n) => *n,
                    None => drained.get(one.epoch)?.map_or(0, |n| n.value()),
                };
                if one.n <= known {
                    continue;
                }
                if one.n - known != 1 {
                    return Err(WriteError::Refused(gap(one, known)));
                }
                last.insert(one.epoch, one.n);
                let (entry, stored) = following(&head, one).sealed();
                frontier.append(leaf_hash(&stored), |level, index, hash| nodes.push(((level, index), *hash)));
                entries.push((entry.sequence, stored));
                payloads.push((entry.sequence, one.payload.as_slice()));
                subjects.insert((one.subject.as_str(), entry.sequence), ())?;
                (head.size, head.hash) = (entry.sequence, entry.hash);
            }
            if last.is_empty() {
                return Ok((head, frontier));
            }
            let mut stored: Vec<_> = entries.iter().map(|(n, stored)| (*n, stored.as_slice())).collect();
            fill(&mut transaction.open_table(ENTRIES)?, &mut stored)?;
            fill(&mut transaction.open_table(PAYLOADS)?, &mut payloads)?;
            fill(&mut transaction.open_table(NODES)?, &mut nodes)?;
            for (epoch, n) in last {
                drained.insert(epoch, n)?;
            }
            head.root = frontier.root();
            transaction.open_table(META)?.insert("head", layout::head_bytes(&head).as_slice())?;
        }
        crash_point("ledger.commit.before");
        transaction.commit()?;
        crash_point("ledger.commit.after");
        Ok((head, frontier))
    }

    /// The last number of this epoch that was taken in.
    pub fn last_drained(&self, epoch: [u8; 16]) -> Result<Option<u64>, StoreError> {
        let read = || -> Result<Option<u64>, redb::Error> {
            let drained = self.database.begin_read()?.open_table(DRAINED)?;
            Ok(drained.get(epoch)?.map(|n| n.value()))
        };
        read().map_err(|error| StoreError::of(&self.path, error))
    }

    /// Where the ledger stands.
    pub fn head(&self) -> Head {
        self.head
    }

    /// Signs where the ledger stands, keeps the checkpoint in the file and gives its text.
    pub fn checkpoint(&mut self, time_ms: i64) -> Result<String, StoreError> {
        let text = checkpoint::sign(&self.head, time_ms, &self.key);
        let keep = || -> Result<(), redb::Error> {
            let transaction = self.database.begin_write()?;
            transaction.open_table(CHECKPOINTS)?.insert(self.head.size, text.as_str())?;
            Ok(transaction.commit()?)
        };
        keep().map_err(|error| StoreError::of(&self.path, error))?;
        Ok(text)
    }

    /// The key that checkpoints are verified with.
    pub fn public_key(&self) -> NoteKey {
        NoteKey::new(self.head.ledger, self.key.verifying_key())
    }

    #[cfg(test)]
    pub(super) fn database_for_tests(&self) -> &Database {
        &self.database
    }

    /// The same file with what is remembered of it read anew, after a test has changed it.
    #[cfg(test)]
    pub(super) fn again_for_tests(self) -> Ledger {
        let reading = self.reader();
        let head = reading.head().unwrap();
        let frontier = reading.look(|view| view.frontier(head.size)).unwrap();
        Ledger { head, frontier, ..self }
    }

    /// A reader that shares this open file.
    pub fn reader(&self) -> LedgerReader {
        LedgerReader::sharing(Arc::clone(&self.database), &self.path)
    }
}

fn create(database: &Database, public: Hash, path: &Path) -> Result<(), StoreError> {
    let head = layout::empty_head(key::random(path)?);
    let write = || -> Result<(), redb::Error> {
        let transaction = database.begin_write()?;
        {
            let mut meta = transaction.open_table(META)?;
            meta.insert("form", &FORM.to_le_bytes()[..])?;
            meta.insert("ledger", &head.ledger[..])?;
            meta.insert("key", &public[..])?;
            meta.insert("head", layout::head_bytes(&head).as_slice())?;
            transaction.open_table(ENTRIES)?;
            transaction.open_table(PAYLOADS)?;
            transaction.open_table(NODES)?;
            transaction.open_table(SUBJECTS)?;
            transaction.open_table(DRAINED)?;
            transaction.open_table(CHECKPOINTS)?;
        }
        Ok(transaction.commit()?)
    };
    write().map_err(|error| StoreError::of(path, error))
}

/// What stops a write: the file, or what it was asked for.
enum WriteError {
    Redb(redb::Error),
    Refused(StoreError),
}

impl WriteError {
    fn into_store(self, path: &Path) -> StoreError {
        match self {
            WriteError::Redb(error) => StoreError::of(path, error),
            WriteError::Refused(error) => error,
        }
    }
}

impl<E: Into<redb::Error>> From<E> for WriteError {
    fn from(error: E) -> WriteError {
        WriteError::Redb(error.into())
    }
}

fn following(head: &Head, pending: &PendingEntry) -> Entry {
    Entry {
        sequence: head.size + 1,
        time_ms: pending.time_ms,
        actor: pending.actor.clone(),
        action: pending.action.clone(),
        subject: pending.subject.clone(),
        payload_hash: *blake3::hash(&pending.payload).as_bytes(),
        previous: head.hash,
        hash: [0; 32],
    }
}

fn check(pending: &PendingEntry) -> Result<(), StoreError> {
    let text = pending.actor.len() + pending.action.len() + pending.subject.len();
    if pending.n == 0 {
        return Err(StoreError::Refused("pending audit records are numbered from 1".into()));
    }
    if text > TEXT_BYTES_MAX || pending.payload.len() > PAYLOAD_BYTES_MAX {
        return Err(StoreError::Refused(format!(
            "pending audit record {} is too long: {TEXT_BYTES_MAX} bytes of text and {PAYLOAD_BYTES_MAX} of payload fit",
            pending.n
        )));
    }
    Ok(())
}

fn gap(pending: &PendingEntry, known: u64) -> StoreError {
    StoreError::Refused(format!(
        "pending audit record {} of epoch {} does not follow {known}, the last one that the ledger has",
        pending.n,
        hex(&pending.epoch)
    ))
}
