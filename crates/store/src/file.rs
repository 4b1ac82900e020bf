//! A file of the store that is written: transactions in it, and how it comes back after a disk that failed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use redb::{Database, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, WriteTransaction};

use crate::StoreError;
use crate::codec::Undecodable;
use crate::crash_point;

/// Bytes that stay free on the disk. Below it nothing is begun, so that a file is rarely left half grown.
const FREE_BYTES_MIN: u64 = 2 << 20;

/// What goes wrong within a transaction.
pub(crate) enum Fault {
    Redb(Box<redb::Error>),
    Record(Undecodable),
    /// What is wrong with records that can be read, each by itself.
    Damaged(&'static str),
    Refused(String),
    Newer {
        found: u32,
        known: u32,
    },
}

pub(crate) type Inner<T> = Result<T, Fault>;

macro_rules! from_redb {
    ($($error:ty),*) => {$(
        impl From<$error> for Fault {
            fn from(error: $error) -> Fault {
                Fault::Redb(Box::new(error.into()))
            }
        }
    )*};
}
from_redb!(
    redb::StorageError,
    redb::TableError,
    redb::TransactionError,
    redb::CommitError,
    redb::CompactionError,
    redb::DatabaseError,
    redb::Error
);

impl From<Undecodable> for Fault {
    fn from(error: Undecodable) -> Fault {
        Fault::Record(error)
    }
}

impl Fault {
    fn at(self, path: &Path) -> StoreError {
        match self {
            Fault::Redb(error) => StoreError::of(path, *error),
            Fault::Record(why) => StoreError::Damaged { path: path.to_owned(), what: why.to_string() },
            Fault::Damaged(what) => StoreError::Damaged { path: path.to_owned(), what: what.into() },
            Fault::Refused(why) => StoreError::Refused(why),
            Fault::Newer { found, known } => StoreError::Newer { path: path.to_owned(), found, known },
        }
    }
}

/// Runs what works on a file. A damaged page may make redb panic, which is damage like any other.
pub(crate) fn guarded<T>(path: &Path, work: impl FnOnce() -> Inner<T>) -> Result<T, StoreError> {
    caught(path, || work().map_err(|fault| fault.at(path)))
}

/// The same for work that tells errors as the store does.
pub(crate) fn caught<T>(path: &Path, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let damaged =
        || StoreError::Damaged { path: path.to_owned(), what: "its pages contradict each other".into() };
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(damaged()))
}

type Reopen = Box<dyn Fn() -> Result<Database, StoreError> + Send + Sync>;

/// A file that this process writes.
pub(crate) struct Writing {
    path: PathBuf,
    /// Nothing after a write failed: redb takes no more writes then, and the file is opened anew.
    database: RwLock<Option<Database>>,
    reopen: Reopen,
}

impl Writing {
    pub(crate) fn new(path: &Path, database: Database, reopen: Reopen) -> Writing {
        Writing { path: path.to_owned(), database: RwLock::new(Some(database)), reopen }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn database(&self) -> Result<RwLockReadGuard<'_, Option<Database>>, StoreError> {
        let open = self.database.read().unwrap_or_else(PoisonError::into_inner);
        if open.is_some() {
            return Ok(open);
        }
        drop(open);
        let mut closed = self.database.write().unwrap_or_else(PoisonError::into_inner);
        if closed.is_none() {
            *closed = Some((self.reopen)()?);
        }
        drop(closed);
        Ok(self.database.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn close_after<T>(&self, done: Result<T, StoreError>) -> Result<T, StoreError> {
        if matches!(done, Err(StoreError::Full(_) | StoreError::Io { .. })) {
            *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
        done
    }

    /// One transaction: all of it is on the disk afterwards, or nothing of it. A file that others may read has no
    /// commit that is less than that.
    pub(crate) fn write<T>(&self, work: impl FnOnce(&WriteTransaction) -> Inner<T>) -> Result<T, StoreError> {
        self.has_room()?;
        let open = self.database()?;
        let done = guarded(&self.path, || {
            let Some(database) = open.as_ref() else {
                return Err(Fault::Refused("the file is being opened; try again".into()));
            };
            let txn = database.begin_write()?;
            let given = work(&txn)?;
            crash_point("state.commit.before");
            txn.commit()?;
            crash_point("state.commit.after");
            Ok(given)
        });
        drop(open);
        self.close_after(done)
    }

    pub(crate) fn read<T>(&self, work: impl FnOnce(&ReadTransaction) -> Inner<T>) -> Result<T, StoreError> {
        let open = self.database()?;
        guarded(&self.path, || match open.as_ref() {
            Some(database) => work(&database.begin_read()?),
            None => Err(Fault::Refused("the file is being opened; try again".into())),
        })
    }

    /// Work that needs the file for itself, such as compaction.
    pub(crate) fn alone<T>(&self, work: impl FnOnce(&mut Database) -> Inner<T>) -> Result<T, StoreError> {
        self.has_room()?;
        drop(self.database()?);
        let mut open = self.database.write().unwrap_or_else(PoisonError::into_inner);
        let done = guarded(&self.path, || match open.as_mut() {
            Some(database) => work(database),
            None => Err(Fault::Refused("the file is being opened; try again".into())),
        });
        drop(open);
        self.close_after(done)
    }

    fn has_room(&self) -> Result<(), StoreError> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        match rustix::fs::statvfs(directory) {
            // A file system without blocks of its own says nothing by having none free.
            Ok(fs) if fs.f_blocks > 0 && fs.f_bavail.saturating_mul(fs.f_frsize) < FREE_BYTES_MIN => {
                Err(StoreError::Full(self.path.clone()))
            }
            _ => Ok(()),
        }
    }
}

/// A file of the store as it is read: through the writer in its own process, by itself in others.
#[derive(Clone)]
pub(crate) enum Reading {
    Shared(Arc<Writing>),
    Alone(Arc<(PathBuf, ReadOnlyDatabase)>),
}

impl Reading {
    pub(crate) fn open(path: &Path) -> Result<Reading, StoreError> {
        let database = caught(path, || crate::database::read_only(path))?;
        Ok(Reading::Alone(Arc::new((path.to_owned(), database))))
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Reading::Shared(file) => file.path(),
            Reading::Alone(file) => &file.0,
        }
    }

    /// One short transaction. Pages are kept from reuse as long as it lasts, so nobody waits within one.
    pub(crate) fn read<T>(&self, work: impl FnOnce(&ReadTransaction) -> Inner<T>) -> Result<T, StoreError> {
        match self {
            Reading::Shared(file) => file.read(work),
            Reading::Alone(file) => guarded(&file.0, || work(&file.1.begin_read()?)),
        }
    }
}
