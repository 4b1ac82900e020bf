//! `authorized_keys`: who may log in as whom, from `~/.ssh/authorized_keys` (sshd(8), AUTHORIZED_KEYS FILE
//! FORMAT). Other places that sshd_config may name are not read.

use std::sync::Arc;

use collector::{Contents, Host, Masked, Row, Rows, Table, int, key, pid_with_namespace, repeated, text};
use model::{Extent, Query, ScanError};

use crate::bytes;
use crate::homes::{self, HomeFile};
use crate::lines::Lines;

/// How much of a file is read, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 20;
const FILES: &[&str] = &[".ssh/authorized_keys", ".ssh/authorized_keys2"];

pub(crate) static TABLE: Table<Authorized, Host> = Table {
    name: "authorized_keys",
    about: "Keys that may log in to a user's account over SSH.",
    identity: repeated(&["uid", "key_file", "key"]),
    extent: Extent::Whole { rows: 20 },
    columns: &[
        key(int("uid", "User ID of the account.", |a| a.file.uid.into())),
        text("algorithm", "`ssh-ed25519`, `ssh-rsa` …; NULL for a line that is not understood.", |a| {
            a.key.algorithm.as_ref().into()
        }),
        text("key", "The key in base64, or the whole line when it is not understood.", |a| {
            (&a.key.key).into()
        }),
        text("options", "Options that limit the key; `[masked]` in place of a secret, NULL for none.", |a| {
            a.options.as_ref().map(|o| &o.text).into()
        }),
        text("comment", "What follows the key; NULL for nothing.", |a| a.key.comment.as_ref().into()),
        text("key_file", "Path of the file.", |a| (&a.file.path).into()),
        pid_with_namespace(),
        int("masked", "1 if a part of the options is masked.", |a| {
            a.options.as_ref().map(|o| o.masked).into()
        }),
    ],
    scan,
    examples: &["SELECT username, algorithm, comment FROM users JOIN authorized_keys USING (uid)"],
};

pub(crate) struct Authorized {
    file: Arc<HomeFile>,
    /// Its options are in the other field.
    key: Key,
    options: Option<Masked>,
}

#[derive(Debug, Default, PartialEq)]
struct Key {
    options: Option<Vec<u8>>,
    algorithm: Option<Vec<u8>>,
    key: Vec<u8>,
    comment: Option<Vec<u8>>,
}

impl Row for Authorized {
    fn heap_bytes(&self) -> usize {
        let of = |text: &Option<Vec<u8>>| text.as_ref().map_or(0, Vec::capacity);
        self.key.key.capacity()
            + self.options.as_ref().map_or(0, |o| o.text.capacity())
            + of(&self.key.algorithm)
            + of(&self.key.comment)
    }
}

fn scan(host: &Host, query: &Query) -> Result<Rows<Authorized>, ScanError> {
    let (host, run, masking) = (host.clone(), query.run.clone(), host.masking());
    let homes = homes::homes(&host, query, TABLE.name);
    let files = homes.into_iter().flat_map(|home| FILES.iter().map(move |name| (home.clone(), name)));
    Ok(Box::new(files.flat_map(move |(home, name)| {
        let file = Arc::new(home.file(name));
        let mut lines = homes::lines(&host, &run, TABLE.name, &home, &file.path, FILE_BYTES_MAX);
        std::iter::from_fn(move || {
            let key = next(lines.as_mut()?).transpose()?;
            Some(key.map(|mut key| {
                let options = key.options.take().map(|options| masking.line(options));
                Authorized { file: file.clone(), key, options }
            }))
        })
    })))
}

fn next(lines: &mut Lines<Contents>) -> Result<Option<Key>, ScanError> {
    while let Some(line) = lines.read()? {
        if let Some(key) = parse(&line.bytes) {
            return Ok(Some(key));
        }
    }
    Ok(None)
}

/// A line of the file; `None` for an empty one and for a comment.
fn parse(line: &[u8]) -> Option<Key> {
    let line = line.trim_ascii();
    if line.is_empty() || line.starts_with(b"#") {
        return None;
    }
    let plain = key_of(line);
    let key = plain.or_else(|| {
        let end = options_end(line);
        let key = key_of(line[end..].trim_ascii_start())?;
        Some(Key { options: Some(line[..end].to_vec()), ..key })
    });
    Some(key.unwrap_or_else(|| Key { key: line.to_vec(), ..Key::default() }))
}

fn key_of(text: &[u8]) -> Option<Key> {
    let (algorithm, rest) = bytes::first_word(text);
    let known: [&[u8]; 3] = [b"ssh-", b"ecdsa-sha2-", b"sk-"];
    if !known.iter().any(|start| algorithm.starts_with(start)) {
        return None;
    }
    let (key, comment) = bytes::first_word(rest);
    let comment = (!comment.is_empty()).then(|| comment.to_vec());
    (!key.is_empty()).then(|| Key {
        options: None,
        algorithm: Some(algorithm.to_vec()),
        key: key.to_vec(),
        comment,
    })
}

/// Options end at the first blank that is not in quotes; a quote within quotes follows a backslash.
fn options_end(line: &[u8]) -> usize {
    let mut quoted = false;
    let mut escaped = false;
    for (at, byte) in line.iter().enumerate() {
        match byte {
            b'"' if !escaped => quoted = !quoted,
            b' ' | b'\t' if !quoted => return at,
            _ => {}
        }
        escaped = *byte == b'\\' && !escaped;
    }
    line.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    fn key(options: Option<&str>, algorithm: &str, key: &str, comment: Option<&str>) -> Option<Key> {
        let owned = |text: &str| text.as_bytes().to_vec();
        Some(Key {
            options: options.map(owned),
            algorithm: Some(owned(algorithm)),
            key: owned(key),
            comment: comment.map(owned),
        })
    }

    #[test]
    fn a_line_is_options_algorithm_key_and_comment() {
        assert_eq!(
            parse(b"ssh-ed25519 AAAA me@there now\r"),
            key(None, "ssh-ed25519", "AAAA", Some("me@there now"))
        );
        assert_eq!(
            parse(b"sk-ssh-ed25519@openssh.com AAAA"),
            key(None, "sk-ssh-ed25519@openssh.com", "AAAA", None)
        );
        let forced = r#"command="echo \"a b\"",no-pty"#;
        assert_eq!(
            parse(format!("\t{forced} ssh-rsa  AAAB x").as_bytes()),
            key(Some(forced), "ssh-rsa", "AAAB", Some("x"))
        );
        assert_eq!(parse(b" # comment"), None);
        assert_eq!(parse(b""), None);
    }

    #[test]
    fn a_line_that_is_not_understood_is_shown_whole() {
        for line in ["1024 35 1234 old@protocol", "ssh-rsa", "command=\"x ssh-rsa AAAA"] {
            assert_eq!(parse(line.as_bytes()), Some(Key { key: line.into(), ..Key::default() }));
        }
    }

    #[test]
    fn secrets_of_a_forced_command_are_masked() {
        let machine = Fixture::new();
        machine
            .file("/etc/passwd", "a:x:1000:1000::/home/a:/bin/sh\n")
            .file("/home/a/.ssh/authorized_keys", "command=\"mysql -phunter2\",no-pty ssh-rsa AAAA\n");
        let told = machine.scan(&TABLE).texts(&["options", "masked"]);
        assert_eq!(told, ["command=\"mysql -p[masked]\",no-pty|1"]);
    }

    #[test]
    fn a_keyed_scan_has_the_rows_of_the_full_one() {
        let machine = Fixture::new();
        machine
            .file("/etc/passwd", "a:x:1000:1000::/home/a:/bin/sh\nb:x:1001:1001::/home/b:/bin/sh\n")
            .file("/home/a/.ssh/authorized_keys", "ssh-rsa AAAA one\n")
            .file("/home/b/.ssh/authorized_keys2", "ssh-rsa BBBB two\nssh-rsa BBBB two\n");
        let all = machine.scan(&TABLE).lines();
        assert_eq!(all.len(), 3);
        assert_eq!(all[2], "1001|ssh-rsa|BBBB|NULL|two|/home/b/.ssh/authorized_keys2|NULL");
        assert_eq!(machine.scan(&TABLE).equal("uid", 1001).lines(), all[1..]);
    }
}
