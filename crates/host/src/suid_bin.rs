//! `suid_bin`: files that run with the rights of their owner or group, from stat(2).

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use collector::{Host, Row, Rows, Table, or_note, pid_with_namespace, text, unique};
use model::{Extent, Query, ScanError};

use crate::groups::{self, Group};
use crate::passwd::{self, Account};
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
        text("username", "Name of the owner, or the user ID when it has none.", |s| {
            s.names.user(s.metadata.uid()).into()
        }),
        text("groupname", "Name of the group, or the group ID when it has none.", |s| {
            s.names.group(s.metadata.gid()).into()
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
    users: Vec<Account>,
    groups: Vec<Group>,
}

impl Names {
    fn user(&self, uid: u32) -> Vec<u8> {
        name_or_number(self.users.iter().find(|a| a.uid == uid).map(|a| &*a.name), uid)
    }

    fn group(&self, gid: u32) -> Vec<u8> {
        name_or_number(self.groups.iter().find(|g| g.gid == gid).map(|g| &*g.name), gid)
    }
}

impl Row for SuidBin {
    fn heap_bytes(&self) -> usize {
        self.found.heap_bytes()
    }
}

fn scan(host: &Host, query: &Query) -> Result<Rows<SuidBin>, ScanError> {
    let (host, run) = (host.clone(), query.run.clone());
    let names = Arc::new(Names {
        users: passwd::accounts(&host, &run, TABLE.name),
        groups: groups::groups(&host, &run, TABLE.name),
    });
    let mut walks = Vec::new();
    for directory in directories(&host) {
        walks.push(paths::below(&host, query, TABLE.name, directory.as_bytes())?);
    }
    let programs = walks.into_iter().flatten().filter_map(move |found| {
        let found = match found {
            Ok(found) => found,
            Err(error) => return Some(Err(error)),
        };
        if found.kind.is_some_and(|kind| !kind.is_file() && !kind.is_symlink()) {
            return None;
        }
        let metadata = or_note(host.stat(found.path()), &run, TABLE.name, "")?;
        let privileged = metadata.is_file() && metadata.mode() & (SETUID | SETGID) != 0;
        privileged.then(|| Ok(SuidBin { found, metadata, names: names.clone() }))
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

fn name_or_number(name: Option<&[u8]>, number: u32) -> Vec<u8> {
    name.map_or_else(|| number.to_string().into_bytes(), <[u8]>::to_vec)
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
        let users = passwd::parse(b"root:x:0:0::/:\nbroken\ndaemon:x:1:1::/:\n");
        let names = Names { users, groups: vec![] };
        assert_eq!((names.user(1), names.user(4_000_000_000)), (b"daemon".to_vec(), b"4000000000".to_vec()));
        assert_eq!(names.group(0), b"0");
    }
}
