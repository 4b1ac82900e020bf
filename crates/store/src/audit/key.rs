//! The file with the signing key: 32 bytes of an Ed25519 seed, for the owner alone.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use ed25519_dalek::SigningKey;

use super::entry::Hash;
use crate::StoreError;

const SEED_BYTES: usize = 32;
const OWNER_ONLY: u32 = 0o600;
const OTHERS: u32 = 0o077;

/// Bytes that nobody can guess.
pub(super) fn random<const N: usize>(path: &Path) -> Result<[u8; N], StoreError> {
    let (mut bytes, mut filled) = ([0; N], 0);
    while filled < N {
        let count = rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())
            .map_err(|error| StoreError::io(path, error.into()))?;
        filled += count;
    }
    Ok(bytes)
}

/// The key of a ledger whose public key is `public`; of a ledger that has none yet, the one in the file or a
/// new one. The caller holds the ledger's lock, so nobody else makes one meanwhile.
pub(super) fn load(path: &Path, public: Option<Hash>) -> Result<SigningKey, StoreError> {
    let key = match read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => match public {
            None => return create(path),
            Some(_) => {
                return Err(StoreError::Refused(format!(
                    "{} is missing, and the ledger beside it is signed with it: put the key back",
                    path.display()
                )));
            }
        },
        other => other.map_err(|error| StoreError::io(path, error))??,
    };
    if public.is_some_and(|public| public != key.verifying_key().to_bytes()) {
        return Err(StoreError::Refused(format!(
            "{} is not the key of the ledger beside it: put the right one back",
            path.display()
        )));
    }
    Ok(key)
}

fn read(path: &Path) -> io::Result<Result<SigningKey, StoreError>> {
    let file = OpenOptions::new().read(true).open(path)?;
    let mode = file.metadata()?.mode();
    if mode & OTHERS != 0 {
        return Ok(Err(StoreError::Refused(format!(
            "{} is open to others (mode {:03o}): chmod 600 it, and think about who may have read it",
            path.display(),
            mode & 0o777
        ))));
    }
    let mut seed = Vec::new();
    file.take(SEED_BYTES as u64 + 1).read_to_end(&mut seed)?;
    Ok(match <[u8; SEED_BYTES]>::try_from(seed) {
        Ok(seed) => Ok(SigningKey::from_bytes(&seed)),
        Err(_) => Err(StoreError::Damaged {
            path: path.to_owned(),
            what: format!("a signing key has {SEED_BYTES} bytes"),
        }),
    })
}

fn create(path: &Path) -> Result<SigningKey, StoreError> {
    let seed = random::<SEED_BYTES>(path)?;
    write(path, &seed).map_err(|error| StoreError::io(path, error))?;
    Ok(SigningKey::from_bytes(&seed))
}

/// The whole file appears under its name, or nothing does: a link is made last, and never over another file.
fn write(path: &Path, seed: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("key.new");
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(&unfinished)?;
    // An odd umask may have taken the owner's own rights away.
    file.set_permissions(Permissions::from_mode(OWNER_ONLY))?;
    file.write_all(seed)?;
    file.sync_all()?;
    fs::hard_link(&unfinished, path)?;
    fs::remove_file(&unfinished)?;
    path.parent().map_or(Ok(()), sync_directory)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    let directory: File = OpenOptions::new().read(true).open(path)?;
    directory.sync_all()
}
