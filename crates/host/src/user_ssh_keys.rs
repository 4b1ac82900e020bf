//! `user_ssh_keys`: private keys in `~/.ssh` (ssh-keygen(1), FILES), by their headers. No key material leaves the parser.

use std::io::Read;
use std::path::PathBuf;

use collector::{Host, Row, Rows, Table, int, key, or_note, pid_with_namespace, text, unique};
use model::{Extent, Query, Run, ScanError};

use crate::bytes;
use crate::homes::{self, Home};
use crate::private_key::{PrivateKey, parse};

/// How much of a file is searched for a key, in bytes. The largest RSA key that OpenSSH makes takes 13 KB.
const KEY_BYTES_MAX: u64 = 64 << 10;

pub(crate) static TABLE: Table<UserKey, Host> = Table {
    name: "user_ssh_keys",
    about: "Private keys in the homes of users, and whether a passphrase protects them.",
    identity: unique(&["uid", "path"]),
    extent: Extent::Whole { rows: 20 },
    columns: &[
        key(int("uid", "User ID of the home.", |k| k.uid.into())),
        key(text("path", "Path of the key.", |k| (&k.path).into())),
        int("encrypted", "1 when a passphrase is needed to use the key.", |k| k.key.encrypted.into()),
        text(
            "key_type",
            "`rsa`, `dsa`, `dh`, `ec`, `ed25519` or `ed448`; NULL when that is encrypted too.",
            |k| k.key.kind.into(),
        ),
        text("key_group_name", "Curve: `prime256v1`, `secp384r1` …; NULL without one.", |k| {
            k.key.group.into()
        }),
        int("key_length", "Bits of the key.", |k| k.key.bits.into()),
        int("key_security_bits", "Bits of a symmetric key of equal strength (NIST SP 800-57).", |k| {
            k.key.security_bits().into()
        }),
        pid_with_namespace(),
    ],
    scan,
    examples: &["SELECT uid, path, key_type FROM user_ssh_keys WHERE encrypted = 0"],
};

pub(crate) struct UserKey {
    uid: u32,
    path: PathBuf,
    key: PrivateKey,
}

impl Row for UserKey {
    fn heap_bytes(&self) -> usize {
        self.path.capacity()
    }
}

fn scan(host: &Host, query: &Query) -> Result<Rows<UserKey>, ScanError> {
    let (host, run) = (host.clone(), query.run.clone());
    let wanted: Option<Vec<PathBuf>> =
        query.texts("path").map(|paths| paths.into_iter().map(|p| bytes::path(p).to_owned()).collect());
    let homes = homes::homes(&host, query, TABLE.name);
    let keys = homes.into_iter().flat_map(move |home| {
        let (host, run) = (host.clone(), run.clone());
        let mut files = files(&host, &run, &home);
        if let Some(wanted) = &wanted {
            files.retain(|file| wanted.contains(file));
        }
        files.into_iter().filter_map(move |path| read(&host, &run, &home, path).transpose())
    });
    Ok(Box::new(keys))
}

fn files(host: &Host, run: &Run, home: &Home) -> Vec<PathBuf> {
    let directory = home.directory.join(".ssh");
    let regular =
        |entry: &collector::Entry| entry.kind.is_none_or(|kind| kind.is_file() || kind.is_symlink());
    let entries = or_note(host.list_sorted(&directory), run, TABLE.name, "").unwrap_or_default();
    entries.into_iter().filter(regular).map(|e| directory.join(e.name)).collect()
}

fn read(host: &Host, run: &Run, home: &Home, path: PathBuf) -> Result<Option<UserKey>, ScanError> {
    run.check()?;
    let mut content = Vec::new();
    let contents = homes::open(host, home, &path);
    let read = contents.and_then(|contents| contents.take(KEY_BYTES_MAX).read_to_end(&mut content));
    let key = or_note(read, run, TABLE.name, "").and_then(|_| parse(&content));
    Ok(key.map(|key| UserKey { uid: home.uid, path, key }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    #[test]
    fn only_private_keys_are_listed() {
        let machine = Fixture::new();
        machine.file("/etc/passwd", "a:x:1000:1000::/home/a:/bin/sh\nb:x:1001:1001::/nowhere:/bin/sh\n");
        let key = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        machine
            .file("/home/a/.ssh/id_rsa", key)
            .file("/home/a/.ssh/known_hosts", "host ssh-rsa AAAA\n")
            .file("/home/a/.ssh/sub/id_rsa", key);
        let all = machine.scan(&TABLE).lines();
        assert_eq!(all, ["1000|/home/a/.ssh/id_rsa|1|rsa|NULL|NULL|NULL"]);
        assert_eq!(machine.scan(&TABLE).equal("path", "/home/a/.ssh/id_rsa").lines(), all);
        assert_eq!(machine.scan(&TABLE).equal("uid", 1001).cells().len(), 0);
    }
}
