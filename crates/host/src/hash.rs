//! `hash`: digests of what regular files hold: MD5 (RFC 1321), SHA-1 and SHA-256 (FIPS 180-4), BLAKE3.

use std::fs::FileType;
use std::io::ErrorKind;
use std::sync::OnceLock;

use collector::{
    Host, Row, Rows, Table, mount_namespace_id, pattern, pid_with_namespace, reason, required, text, unique,
    vanished,
};
use model::{Extent, Query, Run, ScanError, Value};

use crate::digests::{Digests, Wanted, digests};
use crate::paths::{self, Found};

pub(crate) static TABLE: Table<Hashed, Host> = Table {
    name: "hash",
    about: "Digests of regular files by path or pattern; only those that a query names are made.",
    identity: unique(&["path", "directory"]),
    extent: Extent::PerKey { keys: 100_000, rows: 1 },
    columns: &[
        required(pattern(text("path", "Path, as it was asked for.", |h| h.found.path().into()))),
        required(pattern(text("directory", "Directory of the path.", |h| h.found.directory().into()))),
        text("md5", "MD5 in hexadecimal; NULL when the content cannot be read.", |h| hex(h.digests().md5)),
        text("sha1", "SHA-1 in hexadecimal; NULL when the content cannot be read.", |h| {
            hex(h.digests().sha1)
        }),
        text("sha256", "SHA-256 in hexadecimal; NULL when the content cannot be read.", |h| {
            hex(h.digests().sha256)
        }),
        pid_with_namespace(),
        mount_namespace_id(),
        text("blake3", "BLAKE3 in hexadecimal; NULL when the content cannot be read.", |h| {
            hex(h.digests().blake3)
        }),
    ],
    scan,
    examples: &[
        "SELECT path, sha256 FROM hash WHERE path = '/etc/passwd'",
        "SELECT path, md5 FROM hash WHERE directory = '/etc/ssh'",
    ],
};

pub(crate) struct Hashed {
    found: Found,
    host: Host,
    run: Run,
    wanted: Wanted,
    digests: OnceLock<Digests>,
}

impl Row for Hashed {
    fn heap_bytes(&self) -> usize {
        self.found.heap_bytes()
    }
}

fn scan(host: &Host, query: &Query) -> Result<Rows<Hashed>, ScanError> {
    let wanted = Wanted {
        md5: query.uses(&["md5"]),
        sha1: query.uses(&["sha1"]),
        sha256: query.uses(&["sha256"]),
        blake3: query.uses(&["blake3"]),
    };
    let mut found = paths::asked(host, query, TABLE.name)?;
    // Who names a FIFO or a device is told why it has no digest; a pattern leaves it out, as in osquery.
    let is_named = query.texts("path").is_some();
    let (host, run) = (host.clone(), query.run.clone());
    let mut next = move || -> Result<Option<Hashed>, ScanError> {
        // A getter that was stopped in the middle of a file gave NULL: nothing may follow it.
        run.check()?;
        for found in found.by_ref() {
            let found = found?;
            if is_hashed(&host, &found, is_named) {
                let (host, run) = (host.clone(), run.clone());
                return Ok(Some(Hashed { found, host, run, wanted, digests: OnceLock::new() }));
            }
        }
        Ok(None)
    };
    Ok(Box::new(std::iter::from_fn(move || next().transpose())))
}

/// Whether a path has a row: one that leads to a regular file, or by name to anything but a directory. A link
/// that may not be followed is given the benefit of the doubt.
fn is_hashed(host: &Host, found: &Found, is_named: bool) -> bool {
    let has_row = |kind: FileType| kind.is_file() || is_named && !kind.is_dir();
    match found.kind {
        Some(kind) if !kind.is_symlink() => has_row(kind),
        _ => match host.stat(found.path()) {
            Ok(metadata) => has_row(metadata.file_type()),
            Err(error) => error.kind() == ErrorKind::PermissionDenied,
        },
    }
}

impl Hashed {
    fn digests(&self) -> &Digests {
        self.digests.get_or_init(|| match digests(&self.host, self.found.path(), self.wanted, &self.run) {
            Ok(digests) => digests,
            Err(error) => {
                if !vanished(&error) && error.kind() != ErrorKind::Interrupted {
                    self.note(&reason(&error));
                }
                Digests::default()
            }
        })
    }

    fn note(&self, reason: &str) {
        let Wanted { md5, sha1, sha256, blake3 } = self.wanted;
        for (wanted, column) in [(md5, "md5"), (sha1, "sha1"), (sha256, "sha256"), (blake3, "blake3")] {
            if wanted {
                self.run.note(TABLE.name, column, reason);
            }
        }
    }
}

fn hex<const N: usize>(digest: Option<[u8; N]>) -> Value<'static> {
    let Some(digest) = digest else { return Value::Null };
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let byte = |b: u8| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]];
    digest.into_iter().flat_map(byte).collect::<Vec<u8>>().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Fixture, Scan};
    use model::{Op, Stop};

    const ABC_SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn fifo(machine: &Fixture, path: &str) {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        mknodat(CWD, machine.place(path), FileType::Fifo, Mode::RUSR, 0).unwrap();
    }

    #[test]
    fn only_regular_files_are_hashed() {
        let machine = Fixture::new();
        machine.file("/d/abc", "abc").file("/d/sub/abc", "abc");
        machine.link("/d/link", "abc").link("/d/directory", "sub").link("/d/loop", "loop");
        fifo(&machine, "/d/fifo");
        let mut rows = machine.scan(&TABLE).equal("directory", "/d").texts(&["path", "md5", "sha256"]);
        rows.sort();
        let digests = format!("900150983cd24fb0d6963f7d28e17f72|{ABC_SHA256}");
        assert_eq!(rows, [format!("/d/abc|{digests}"), format!("/d/link|{digests}")]);
        assert_eq!(machine.scan(&TABLE).when("path", Op::Like, ["/d/fi%"]).cells().len(), 0);
        assert_eq!(machine.scan(&TABLE).equal("path", "/d/sub").cells().len(), 0);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_never_ends_is_null_with_a_reason_at_once() {
        /// How long the answer may take before it is no answer.
        const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);
        let machine = Fixture::new();
        machine.file("/sparse", "");
        let sparse = machine.place("/sparse");
        std::fs::File::options().write(true).open(&sparse).unwrap().set_len(100 << 30).unwrap();
        fifo(&machine, "/fifo");
        let text = |path: &str| machine.place(path).into_os_string().into_string().unwrap();
        for (path, reasons) in [
            (text("/fifo"), &["a FIFO"][..]),
            ("/dev/zero".into(), &["a character device"]),
            ("/proc/kmsg".into(), &["a file of procfs or sysfs", "permission denied"]),
            (text("/sparse"), &["larger than 2 GiB"]),
        ] {
            let (answer, answered) = std::sync::mpsc::channel();
            let asked = path.clone();
            std::thread::spawn(move || {
                let scan = Scan::of(&TABLE, Host::live()).equal("path", asked);
                answer.send((scan.texts(&["md5", "sha1", "sha256", "blake3"]), scan.notes())).unwrap();
            });
            let (rows, notes) = answered.recv_timeout(PATIENCE).unwrap();
            assert_eq!(rows, ["NULL|NULL|NULL|NULL"], "{path}");
            assert!(notes.iter().all(|note| reasons.contains(&note.reason.as_str())), "{path}: {notes:?}");
            assert_eq!(notes.len(), 4, "{path}");
        }
    }

    #[test]
    fn a_file_that_is_too_large_is_null_and_noted() {
        let machine = Fixture::new();
        machine.file("/large", "");
        std::fs::File::options()
            .write(true)
            .open(machine.place("/large"))
            .unwrap()
            .set_len(100 << 30)
            .unwrap();
        let scan = machine.scan(&TABLE).equal("path", "/large");
        assert_eq!(scan.texts(&["sha256"]), ["NULL"]);
        assert_eq!(scan.notes().len(), 4);
        assert_eq!(scan.notes()[0].reason, "larger than 2 GiB");
    }

    #[test]
    fn a_digest_follows_the_content_at_once() {
        let machine = Fixture::new();
        let digest = |content: &str| {
            machine.file("/f", content);
            machine.scan(&TABLE).equal("path", "/f").texts(&["sha256"])
        };
        assert_eq!(digest("abc"), [ABC_SHA256]);
        assert_ne!(digest("abd"), [ABC_SHA256]);
        assert_eq!(digest("abc"), [ABC_SHA256]);
    }

    #[test]
    fn a_stopped_run_hashes_nothing_more() {
        let machine = Fixture::new();
        machine.file("/f", "abc");
        let asked = machine.scan(&TABLE).equal("path", "/f");
        let mut rows = scan(&asked.host, &asked.query).unwrap();
        let row = rows.next().unwrap().unwrap();
        asked.query.run.cancel();
        assert_eq!(row.digests(), &Digests::default());
        assert_eq!(rows.next().and_then(Result::err), Some(ScanError::Stopped(Stop::Cancelled)));
        assert_eq!(asked.notes(), [], "being stopped is not a fault of the file");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_running_image_can_be_hashed_and_procfs_cannot() {
        let paths = ["/proc/self/exe", "/proc/version"];
        let scan = Scan::of(&TABLE, Host::live()).when("path", Op::Eq, paths);
        let digests = scan.texts(&["sha256"]);
        assert_eq!((digests[0].len(), digests[1].as_str()), (64, "NULL"));
        assert_eq!(scan.notes()[0].reason, "a file of procfs or sysfs");
    }
}
