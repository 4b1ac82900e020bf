//! Opening the state: made if it is not there, brought forward if it is old, set aside if it is damaged.
#![allow(
    clippy::disallowed_methods,
    reason = "the state's own files are no part of the machine that is watched"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use redb::{Database, ReadableDatabase};

use super::{Found, Opened, STATE_FILE, State, check, migrate, schema};
use crate::database;
use crate::file::{Fault, Inner, Writing, guarded};
use crate::{StoreError, crash_point};

impl State {
    /// Opens the state in a directory. A damaged file is renamed and an empty one made: see [`Found`].
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another process writes it, [`StoreError::Newer`] when a later version wrote it,
    /// [`StoreError::Full`] and [`StoreError::Io`] of the disk.
    pub fn open(directory: &Path) -> Result<Opened, StoreError> {
        let path = directory.join(STATE_FILE);
        if !path.exists() {
            return Ok(Opened { state: State::make(&path)?, found: Found::New });
        }
        match State::existing(&path) {
            Ok(state) => Ok(Opened { state, found: Found::Existing }),
            Err(StoreError::Damaged { what, .. }) => {
                let aside = set_aside(&path)?;
                let found = Found::SetAside { path: aside, why: what };
                Ok(Opened { state: State::make(&path)?, found })
            }
            Err(error) => Err(error),
        }
    }

    fn existing(path: &Path) -> Result<State, StoreError> {
        if fs::metadata(path).map_err(|error| StoreError::io(path, error))?.len() == 0 {
            return Err(StoreError::Damaged { path: path.to_owned(), what: "it is empty".into() });
        }
        let database = checked(path)?;
        let epoch = guarded(path, || epoch(&database))?;
        Ok(State::with(path, database, epoch))
    }

    /// Made beside its place and then renamed to it, so that there is never half a file.
    fn make(path: &Path) -> Result<State, StoreError> {
        let beside = path.with_extension("redb.new");
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::io(&beside, error));
            }
            _ => {}
        }
        let database = database::create(&beside)?;
        guarded(&beside, || prepare(&database))?;
        drop(database);
        crash_point("state.create");
        fs::rename(&beside, path).map_err(|error| StoreError::io(path, error))?;
        sync_directory_of(path)?;
        State::existing(path)
    }

    fn with(path: &Path, database: Database, epoch: [u8; 16]) -> State {
        let again = path.to_owned();
        let file = Writing::new(path, database, Box::new(move || database::create(&again)));
        State { file: Arc::new(file), epoch: Mutex::new(epoch), deferred: Mutex::default() }
    }

    /// A state over a storage of another kind, which `reopen` gives again after a failure.
    #[cfg(test)]
    pub(crate) fn over(
        reopen: impl Fn() -> Result<Database, StoreError> + Send + Sync + 'static,
    ) -> Result<State, StoreError> {
        let path = Path::new("/state.redb");
        let database = reopen()?;
        guarded(path, || match epoch(&database) {
            Ok(_) => Ok(()),
            Err(_) => prepare(&database),
        })?;
        let epoch = guarded(path, || epoch(&database))?;
        let file = Arc::new(Writing::new(path, database, Box::new(reopen)));
        Ok(State { file, epoch: Mutex::new(epoch), deferred: Mutex::default() })
    }
}

/// The database at a path, whole and of the form that this program writes.
fn checked(path: &Path) -> Result<Database, StoreError> {
    let database = crate::file::caught(path, || database::create_checked(path))?;
    guarded(path, || migrate::bring_forward(&database, &migrate::steps()))?;
    guarded(path, || check::records(&database))?;
    Ok(database)
}

/// What a new file begins with.
fn prepare(database: &Database) -> Inner<()> {
    let txn = database.begin_write()?;
    schema::create(&txn)?;
    migrate::set_form(&txn, migrate::form(&migrate::steps()))?;
    txn.open_table(schema::META)?.insert("epoch", crate::random::bytes::<16>().as_slice())?;
    txn.commit()?;
    Ok(())
}

fn epoch(database: &Database) -> Inner<[u8; 16]> {
    let txn = database.begin_read()?;
    let meta = txn.open_table(schema::META)?;
    let epoch = redb::ReadableTable::get(&meta, "epoch")?;
    epoch
        .and_then(|bytes| bytes.value().try_into().ok())
        .ok_or(Fault::Record(crate::codec::Undecodable::NoRecord))
}

fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let aside = path.with_extension(format!("redb.damaged-{now}"));
    fs::rename(path, &aside).map_err(|error| StoreError::io(path, error))?;
    sync_directory_of(path)?;
    Ok(aside)
}

fn sync_directory_of(path: &Path) -> Result<(), StoreError> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::File::open(directory).and_then(|d| d.sync_all()).map_err(|error| StoreError::io(directory, error))
}
