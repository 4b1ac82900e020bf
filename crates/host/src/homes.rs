//! Whose home is where, from `/etc/passwd` (passwd(5)), and which files in it may be shown.

use std::collections::HashSet;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use collector::{Contents, Host, reason, vanished};
use model::Query;

/// A user's home directory.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Home {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) directory: PathBuf,
}

/// The homes of the users that a query asks for by `uid`, each once.
pub(crate) fn homes(table: &'static str, host: &Host, query: &Query) -> Vec<Home> {
    let mut homes = match host.read("/etc/passwd") {
        Ok(content) => parse(&content),
        Err(error) => {
            if !vanished(&error) {
                query.run.note(table, "", reason(&error));
            }
            Vec::new()
        }
    };
    if let Some(uids) = query.ints("uid") {
        homes.retain(|home| uids.binary_search(&i64::from(home.uid)).is_ok());
    }
    homes
}

/// Opens a file in a home, which a privileged reader does only when its user could. Else a link to another
/// user's file would show what that file holds.
pub(crate) fn open(host: &Host, home: &Home, path: &Path) -> io::Result<Contents> {
    let link = host.lstat(path)?;
    let contents = host.contents(path)?;
    if host.is_live() && !may_show(home, &link, contents.metadata()) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not readable by the user whose home it is in",
        ));
    }
    Ok(contents)
}

/// `link` is what the name itself is, `file` what was opened by it.
fn may_show(home: &Home, link: &Metadata, file: &Metadata) -> bool {
    let same = (link.dev(), link.ino()) == (file.dev(), file.ino());
    home.uid == 0 || file.uid() == home.uid || (same && readable(home, file.gid(), file.mode()))
}

fn readable(home: &Home, gid: u32, mode: u32) -> bool {
    mode & 0o004 != 0 || (gid == home.gid && mode & 0o040 != 0)
}

fn parse(content: &[u8]) -> Vec<Home> {
    let (mut homes, mut known) = (Vec::new(), HashSet::new());
    for line in content.split(|b| *b == b'\n') {
        let fields: Vec<&[u8]> = line.split(|b| *b == b':').collect();
        let number = |at: usize| std::str::from_utf8(fields.get(at)?).ok()?.parse().ok();
        let (Some(uid), Some(gid), Some(directory)) = (number(2), number(3), fields.get(5)) else { continue };
        // Two names of one user are one home.
        let directory = crate::bytes_path(directory).to_owned();
        if directory.is_absolute() && known.insert((uid, directory.clone())) {
            homes.push(Home { uid, gid, directory });
        }
    }
    homes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_are_read_from_passwd() {
        let homes = parse(b"root:x:0:0:root:/root:/bin/sh\ntoor::0:0::/root:\n# c\nbad:x:-1:0::/:\nv:x:9:9::/h\xff:\nn:x:5:5:::\n");
        assert_eq!(homes.len(), 2);
        assert_eq!((homes[0].uid, homes[0].directory.as_path()), (0, Path::new("/root")));
        assert_eq!(homes[1].directory, crate::bytes_path(b"/h\xff"));
    }

    #[test]
    fn a_link_to_a_foreign_file_is_not_shown() {
        let here = tempfile::tempdir().unwrap();
        let (file, link) = (here.path().join("file"), here.path().join("link"));
        std::fs::File::create(&file).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let host = Host::live();
        let (name, target) = (host.lstat(&link).unwrap(), host.stat(&link).unwrap());
        let home = |uid| Home { uid, gid: u32::MAX, directory: "/".into() };
        assert!(may_show(&home(target.uid()), &name, &target), "his own, through a link");
        assert!(!may_show(&home(target.uid() + 1), &name, &target), "another's, through a link");
        assert!(may_show(&home(0), &name, &target), "root's link");
        assert!(readable(&home(7), 0, 0o644) && !readable(&home(7), 0, 0o640));
    }
}
