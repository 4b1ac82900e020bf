//! `suid_bin`: files that run with the rights of their owner or group, from stat(2).

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use collector::{Host, Row, Rows, Table, pid_with_namespace, reason, text, unique, vanished};
use model::{Extent, Query, ScanError};

use crate::paths::{self, Found};

const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;

/// osquery's directories. The real ones come first: where `/bin` is a link to `/usr/bin` it is searched once,
/// as `/usr/bin`.
const DIRECTORIES: &[&str] =
    &["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/bin", "/sbin", "/tmp"];

pub(crate) static TABLE: Table<SuidBin, Host> = Table {
    name: "suid_bin",
    about: "Setuid and setgid files below the directories of programs and `/tmp`, each directory once by its real name.",
    identity: unique(&["path"]),
    extent: Extent::Whole { rows: 20 },
    columns: &[
        text("path", "Path of the file, or of a link to it.", |s| s.found.path().into()),
        text("username", "Name of the owner, or the user id when it has none.", |s| {
            name(&s.names.users, s.metadata.uid()).into()
        }),
        text("groupname", "Name of the group, or the group id when it has none.", |s| {
            name(&s.names.groups, s.metadata.gid()).into()
        }),
        text("permissions", "`S` for setuid, `G` for setgid, `SG` for both.", |s| match s.metadata.mode() {
            mode if mode & SETUID == 0 => "G".into(),
            mode if mode & SETGID == 0 => "S".into(),
            _ => "SG".into(),
        }),
        pid_with_namespace(),
    ],
    scan,
    examples: &["SELECT path, username, permissions FROM suid_bin WHERE path LIKE '/tmp/%'"],
};

pub(crate) struct SuidBin {
    found: Found,
    metadata: Metadata,
    names: Arc<Names>,
}

struct Names {
    users: Vec<(u32, Vec<u8>)>,
    groups: Vec<(u32, Vec<u8>)>,
}

impl Row for SuidBin {
    fn heap_bytes(&self) -> usize {
        self.found.heap_bytes()
    }
}

fn scan(host: &Host, query: &Query) -> Result<Rows<SuidBin>, ScanError> {
    let (host, run) = (host.clone(), query.run.clone());
    let names = |path: &str, column| match host.read(path) {
        Ok(content) => parse(&content),
        Err(error) => {
            run.note(TABLE.name, column, reason(&error));
            Vec::new()
        }
    };
    let names =
        Arc::new(Names { users: names("/etc/passwd", "username"), groups: names("/etc/group", "groupname") });
    let mut walks = Vec::new();
    for directory in directories(&host) {
        walks.push(paths::below(TABLE.name, &host, query, directory.as_bytes())?);
    }
    let programs = walks.into_iter().flatten().filter_map(move |found| {
        let found = match found {
            Ok(found) => found,
            Err(error) => return Some(Err(error)),
        };
        if found.kind.is_some_and(|kind| !kind.is_file() && !kind.is_symlink()) {
            return None;
        }
        match host.stat(found.path()) {
            Ok(metadata) if metadata.is_file() && metadata.mode() & (SETUID | SETGID) != 0 => {
                Some(Ok(SuidBin { found, metadata, names: names.clone() }))
            }
            Ok(_) => None,
            Err(error) => {
                if !vanished(&error) {
                    run.note(TABLE.name, "", reason(&error));
                }
                None
            }
        }
    });
    Ok(Box::new(programs))
}

/// The directories that exist, each once.
fn directories(host: &Host) -> Vec<&'static str> {
    let mut seen = Vec::new();
    let mut directories = DIRECTORIES.to_vec();
    let is_link = |directory: &str| host.lstat(directory).is_ok_and(|m| m.is_symlink());
    directories.sort_by_cached_key(|directory| is_link(directory));
    directories.retain(|directory| {
        let Ok(metadata) = host.stat(directory) else { return false };
        let place = (metadata.dev(), metadata.ino());
        let new = !seen.contains(&place);
        seen.push(place);
        new
    });
    directories
}

/// Names by number, from `/etc/passwd` or `/etc/group`: both have the name first and the number third.
fn parse(content: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let name = |line: &[u8]| {
        let mut fields = line.split(|b| *b == b':');
        let name = fields.next()?;
        let number = std::str::from_utf8(fields.nth(1)?).ok()?.parse().ok()?;
        Some((number, name.to_vec()))
    };
    content.split(|b| *b == b'\n').filter_map(name).collect()
}

fn name(names: &[(u32, Vec<u8>)], number: u32) -> Vec<u8> {
    let found = names.iter().find(|(n, _)| *n == number);
    found.map_or_else(|| number.to_string().into_bytes(), |(_, name)| name.clone())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::fixture::Fixture;

    fn program(machine: &Fixture, path: &str, mode: u32) {
        machine.file(path, "");
        std::fs::set_permissions(machine.place(path), std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_directory_with_two_names_is_searched_once() {
        let machine = Fixture::new();
        program(&machine, "/usr/bin/su", 0o4755);
        program(&machine, "/usr/bin/wall", 0o2755);
        program(&machine, "/usr/bin/ls", 0o755);
        program(&machine, "/tmp/deep/er/both", 0o6755);
        machine.link("/bin", "usr/bin").link("/usr/bin/sudoedit", "su").link("/tmp/loop", ".");
        std::fs::create_dir(machine.place("/usr/bin/shared")).unwrap();
        std::fs::set_permissions(machine.place("/usr/bin/shared"), std::fs::Permissions::from_mode(0o2755))
            .unwrap();
        let mut rows = machine.scan(&TABLE).texts(&["path", "permissions"]);
        rows.sort();
        assert_eq!(rows, ["/tmp/deep/er/both|SG", "/usr/bin/sudoedit|S", "/usr/bin/su|S", "/usr/bin/wall|G"]);
    }

    #[test]
    fn owners_have_names_or_else_numbers() {
        let users = parse(b"root:x:0:0::/:\nbroken\ndaemon:x:1:1::/:\n");
        assert_eq!(name(&users, 1), b"daemon");
        assert_eq!(name(&users, 4_000_000_000), b"4000000000");
    }
}
