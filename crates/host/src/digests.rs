//! Digests of files: any of four in one pass, and a cache of those of files that have come to rest.

use std::collections::HashMap;
use std::fs::Metadata;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use collector::Host;
use md5::Md5;
use model::Run;
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// The largest file that is hashed, in bytes.
const HASH_BYTES_MAX: u64 = 2 << 30;
const HASH_TOO_LARGE: &str = "larger than 2 GiB";
/// Bytes read at once; the run is asked whether to stop before each.
const BLOCK_BYTES: usize = 256 << 10;
/// Files whose digests are kept.
const CACHED_FILES_MAX: usize = 4096;
/// A file is cached once it was left alone for so long, in seconds. Writing to a mapped page moves ctime only
/// when the page was clean before, and the kernel cleans pages within 35 s (vm.dirty_expire_centisecs and
/// vm.dirty_writeback_centisecs); ctime itself is as coarse as a clock tick.
const RESTED_SECONDS: i64 = 60;

static CACHE: LazyLock<Mutex<Cache>> = LazyLock::new(|| Mutex::new(Cache::new(CACHED_FILES_MAX)));

/// Which digests are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) md5: bool,
    pub(crate) sha1: bool,
    pub(crate) sha256: bool,
    pub(crate) blake3: bool,
}

/// The digests of one content, as far as they were wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Digests {
    pub(crate) md5: Option<[u8; 16]>,
    pub(crate) sha1: Option<[u8; 20]>,
    pub(crate) sha256: Option<[u8; 32]>,
    pub(crate) blake3: Option<[u8; 32]>,
}

impl Digests {
    fn has(&self, wanted: Wanted) -> bool {
        (self.md5.is_some() || !wanted.md5)
            && (self.sha1.is_some() || !wanted.sha1)
            && (self.sha256.is_some() || !wanted.sha256)
            && (self.blake3.is_some() || !wanted.blake3)
    }

    fn or(self, other: Digests) -> Digests {
        Digests {
            md5: self.md5.or(other.md5),
            sha1: self.sha1.or(other.sha1),
            sha256: self.sha256.or(other.sha256),
            blake3: self.blake3.or(other.blake3),
        }
    }
}

/// The wanted digests of a file's content. `Interrupted` when the run was told to stop; any other error says
/// why the content could not be read.
pub(crate) fn digests(host: &Host, path: &Path, wanted: Wanted, run: &Run) -> io::Result<Digests> {
    let mut contents = host.contents(path)?;
    let stamp = Stamp::of(contents.metadata());
    let known = cache().get(&stamp).unwrap_or_default();
    if known.has(wanted) {
        return Ok(known);
    }
    if contents.metadata().size() > HASH_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, HASH_TOO_LARGE));
    }
    let digests = read(&mut contents, wanted, run)?;
    if stamp.rested(SystemTime::now()) && Stamp::of(&contents.metadata_now()?) == stamp {
        cache().put(stamp, digests.or(known));
    }
    Ok(digests)
}

fn cache() -> std::sync::MutexGuard<'static, Cache> {
    CACHE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read(content: &mut impl Read, wanted: Wanted, run: &Run) -> io::Result<Digests> {
    let mut md5 = wanted.md5.then(Md5::new);
    let mut sha1 = wanted.sha1.then(Sha1::new);
    let mut sha256 = wanted.sha256.then(Sha256::new);
    let mut blake3 = wanted.blake3.then(blake3::Hasher::new);
    let mut block = vec![0; BLOCK_BYTES];
    let mut total = 0;
    loop {
        run.check().map_err(|stop| io::Error::new(io::ErrorKind::Interrupted, stop.to_string()))?;
        let len = match content.read(&mut block) {
            Ok(0) => break,
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        // A file may grow while it is read.
        total += len as u64;
        if total > HASH_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, HASH_TOO_LARGE));
        }
        let block = &block[..len];
        md5.iter_mut().for_each(|h| h.update(block));
        sha1.iter_mut().for_each(|h| h.update(block));
        sha256.iter_mut().for_each(|h| h.update(block));
        if let Some(hasher) = &mut blake3 {
            hasher.update(block);
        }
    }
    Ok(Digests {
        md5: md5.map(|h| h.finalize().into()),
        sha1: sha1.map(|h| h.finalize().into()),
        sha256: sha256.map(|h| h.finalize().into()),
        blake3: blake3.map(|h| h.finalize().into()),
    })
}

/// What tells that a content is still the one that was hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Stamp {
    dev: u64,
    ino: u64,
    size: u64,
    mtime: (i64, i64),
    ctime: (i64, i64),
}

impl Stamp {
    fn of(m: &Metadata) -> Stamp {
        Stamp {
            dev: m.dev(),
            ino: m.ino(),
            size: m.size(),
            mtime: (m.mtime(), m.mtime_nsec()),
            ctime: (m.ctime(), m.ctime_nsec()),
        }
    }

    fn rested(&self, now: SystemTime) -> bool {
        let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
        self.ctime.0.saturating_add(RESTED_SECONDS) < now
    }
}

/// Two generations: what was used since the younger one began survives when the older one is dropped.
struct Cache {
    young: HashMap<Stamp, Digests>,
    old: HashMap<Stamp, Digests>,
    generation_max: usize,
}

impl Cache {
    fn new(files_max: usize) -> Cache {
        Cache { young: HashMap::new(), old: HashMap::new(), generation_max: files_max / 2 }
    }

    fn get(&mut self, stamp: &Stamp) -> Option<Digests> {
        if let Some(digests) = self.young.get(stamp) {
            return Some(*digests);
        }
        let digests = self.old.remove(stamp)?;
        self.put(*stamp, digests);
        Some(digests)
    }

    fn put(&mut self, stamp: Stamp, digests: Digests) {
        if self.young.len() >= self.generation_max && !self.young.contains_key(&stamp) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(stamp, digests);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Wanted = Wanted { md5: true, sha1: true, sha256: true, blake3: true };

    fn stamp(ino: u64) -> Stamp {
        Stamp { dev: 1, ino, size: 0, mtime: (0, 0), ctime: (1000, 0) }
    }

    #[test]
    fn digests_of_abc_are_those_of_the_standards() {
        let digests = read(&mut &b"abc"[..], ALL, &Run::unlimited()).unwrap();
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        assert_eq!(hex(&digests.md5.unwrap()), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(hex(&digests.sha1.unwrap()), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert!(hex(&digests.sha256.unwrap()).starts_with("ba7816bf8f01cfea414140de5dae2223"));
        assert!(hex(&digests.blake3.unwrap()).starts_with("6437b3ac38465133ffb63b75273a8db5"));
    }

    #[test]
    fn only_wanted_digests_are_made_and_a_stopped_run_makes_none() {
        let run = Run::unlimited();
        let wanted = Wanted { sha1: true, ..Wanted::default() };
        let digests = read(&mut &b"abc"[..], wanted, &run).unwrap();
        assert!(digests.sha1.is_some() && digests.md5.is_none() && digests.blake3.is_none());
        assert!(digests.has(wanted) && !digests.has(ALL));
        run.cancel();
        let error = read(&mut io::repeat(0), ALL, &run).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
    }

    #[test]
    fn a_file_that_changed_lately_is_not_trusted() {
        let at = |seconds| UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        assert!(!stamp(1).rested(at(1000)) && !stamp(1).rested(at(1060)) && stamp(1).rested(at(1061)));
        assert!(!stamp(1).rested(at(10)), "a clock that was set back");
    }

    #[test]
    fn only_a_rested_file_is_cached() {
        let host = Host::live();
        let fresh = tempfile::NamedTempFile::new().unwrap();
        for path in [fresh.path(), Path::new("/bin/sh")] {
            let stamp = Stamp::of(&host.stat(path).unwrap());
            let first = digests(&host, path, ALL, &Run::unlimited()).unwrap();
            assert_eq!(cache().get(&stamp).is_some(), stamp.rested(SystemTime::now()));
            assert_eq!(digests(&host, path, ALL, &Run::unlimited()).unwrap(), first);
        }
    }

    #[test]
    fn the_cache_is_bounded_and_keeps_what_is_used() {
        let mut cache = Cache::new(100);
        for n in 0..1000 {
            cache.put(stamp(n), Digests::default());
            assert!(cache.get(&stamp(0)).is_some());
            assert!(cache.young.len() + cache.old.len() <= 100);
        }
        assert!(cache.get(&stamp(500)).is_none());
        assert!(cache.get(&Stamp { size: 1, ..stamp(999) }).is_none());
    }
}
