//! Hashing: each digest of `hash` over 64 MiB next to the digest's own crate, and what the cache saves.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench or a test ends in a panic when its machine is not as it needs"
)]
#![allow(clippy::disallowed_methods, reason = "the bench writes the file that it hashes")]

mod support;

use std::fs::File;
use std::hint::black_box;
use std::io::{Read, Write};
use std::sync::Arc;

use collector::{AnyTable, Host};
use model::Value;
use sha2::{Digest, Sha256};
use vtables::{Engine, Here, Limits, Options, Route};

const BYTES: usize = 64 << 20;

fn main() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    File::create(&path).unwrap().write_all(&vec![7u8; BYTES]).unwrap();
    let path = path.to_str().unwrap().to_owned();

    let tables = host::TABLES.iter().map(|t| *t as &'static dyn AnyTable<Host>);
    let route: Arc<dyn Route> = Arc::new(Here::new(tables, Host::live()));
    let mut engine = Engine::new(vec![route], Limits::default()).unwrap();
    let mut ask = |columns: &str| {
        let options = Options { params: vec![("p".into(), Value::from(path.clone()))], ..Options::default() };
        let sql = format!("SELECT {columns} FROM hash WHERE path = :p");
        black_box(engine.query(&sql, &options).unwrap().rows.len());
    };
    // A file that was just written is not cached: its next change could bear the same time.
    support::compare(
        "64 MiB, a file that is too new for the cache",
        5,
        &mut [
            ("sha2 alone", &mut || {
                let (mut file, mut block, mut digest) =
                    (File::open(&path).unwrap(), vec![0; 256 << 10], Sha256::new());
                loop {
                    match file.read(&mut block).unwrap() {
                        0 => break,
                        n => digest.update(&block[..n]),
                    }
                }
                black_box(digest.finalize());
            }),
            ("hash.sha256", &mut || ask("sha256")),
        ],
    );
    support::compare("64 MiB, one pass whatever is asked", 5, &mut [("blake3", &mut || ask("blake3"))]);
    support::compare(
        "64 MiB, all four digests",
        3,
        &mut [("md5, sha1, sha256, blake3", &mut || ask("md5, sha1, sha256, blake3"))],
    );
    let mut shell = || {
        let sql = "SELECT sha256 FROM hash WHERE path = '/bin/sh'";
        black_box(engine.query(sql, &Options::default()).unwrap().rows.len());
    };
    support::compare("/bin/sh, cached after the first round", 100, &mut [("hash.sha256", &mut shell)]);
}
