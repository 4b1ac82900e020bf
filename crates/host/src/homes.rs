//! Whose home is where, from `/etc/passwd` (passwd(5)), and which files in it may be shown.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use collector::{Contents, Host, or_note};
use model::{Query, Run};

use crate::lines::Lines;
use crate::passwd::{self, Account};

/// A user's home directory.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Home {
    /// Name of the first account that it belongs to.
    pub(crate) user: Vec<u8>,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) directory: PathBuf,
}

/// A file in a home, which many rows share.
#[derive(Debug)]
pub(crate) struct HomeFile {
    pub(crate) uid: u32,
    pub(crate) path: PathBuf,
}

impl Home {
    pub(crate) fn file(&self, name: &str) -> HomeFile {
        HomeFile { uid: self.uid, path: self.directory.join(name) }
    }
}

/// The homes of the users that a query asks for by `uid`, if it does, each once.
pub(crate) fn homes(host: &Host, query: &Query, table: &'static str) -> Vec<Home> {
    let mut homes = of(passwd::accounts(host, &query.run, table));
    if let Some(uids) = query.ints("uid") {
        homes.retain(|home| uids.binary_search(&i64::from(home.uid)).is_ok());
    }
    homes
}

/// Two names of one user are one home, and a home without an absolute path is none.
fn of(accounts: Vec<Account>) -> Vec<Home> {
    let mut known = HashSet::new();
    let home = |a: Account| {
        let directory = PathBuf::from(OsString::from_vec(a.home));
        Home { user: a.name, uid: a.uid, gid: a.gid, directory }
    };
    let new = |h: &Home| h.directory.is_absolute() && known.insert((h.uid, h.directory.clone()));
    accounts.into_iter().map(home).filter(new).collect()
}

/// The lines of a file in a home, up to so many bytes. `None` when there is no such file and, with a note, when it
/// cannot be read.
pub(crate) fn lines(
    host: &Host,
    run: &Run,
    table: &'static str,
    home: &Home,
    path: &Path,
    bytes_max: u64,
) -> Option<Lines<Contents>> {
    let contents = or_note(open(host, home, path), run, table, "")?;
    Some(Lines::of(contents, run, table, bytes_max))
}

/// Opens a file for the user of a home, which a privileged reader does only when that user could. Else a link to
/// another user's file would show what that file holds.
pub(crate) fn open(host: &Host, home: &Home, path: &Path) -> io::Result<Contents> {
    let link = host.lstat(path)?;
    let contents = host.contents(path)?;
    let file = contents.metadata();
    if host.is_live() && !(may_show(home, &link, file) && (owns(home, file) || reaches(host, home, path)?)) {
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
    owns(home, file) || (same && readable(home, file.gid(), file.mode()))
}

/// Whether a file is the user's own; root may read any.
fn owns(home: &Home, file: &Metadata) -> bool {
    home.uid == 0 || file.uid() == home.uid
}

fn readable(home: &Home, gid: u32, mode: u32) -> bool {
    mode & 0o004 != 0 || (gid == home.gid && mode & 0o040 != 0)
}

/// Whether the user may go through every directory above a file, links resolved.
fn reaches(host: &Host, home: &Home, path: &Path) -> io::Result<bool> {
    for directory in host.real_path(path)?.ancestors().skip(1) {
        let known = host.stat(directory)?;
        let by_owner = known.uid() == home.uid && known.mode() & 0o100 != 0;
        let by_group = known.gid() == home.gid && known.mode() & 0o010 != 0;
        if !(by_owner || by_group || known.mode() & 0o001 != 0) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes;

    #[test]
    fn each_home_of_a_user_is_listed_once() {
        let homes = of(passwd::parse(
            b"root:x:0:0:root:/root:/bin/sh\ntoor::0:0::/root:\n# c\nbad:x:-1:0::/:\nv:x:9:9::/h\xff:\nn:x:5:5:::\n",
        ));
        assert_eq!(homes.len(), 2);
        assert_eq!(
            (homes[0].user.as_slice(), homes[0].directory.as_path()),
            (&b"root"[..], Path::new("/root"))
        );
        assert_eq!(homes[1].directory, bytes::path(b"/h\xff"));
    }

    #[test]
    fn a_link_to_a_foreign_file_is_not_shown() {
        let here = tempfile::tempdir().unwrap();
        let (file, link) = (here.path().join("file"), here.path().join("link"));
        std::fs::File::create(&file).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let host = Host::live();
        let (name, target) = (host.lstat(&link).unwrap(), host.stat(&link).unwrap());
        let home = |uid| Home { user: vec![], uid, gid: u32::MAX, directory: "/".into() };
        assert!(may_show(&home(target.uid()), &name, &target), "his own, through a link");
        assert!(!may_show(&home(target.uid() + 1), &name, &target), "another's, through a link");
        assert!(may_show(&home(0), &name, &target), "root's link");
        assert!(readable(&home(7), 0, 0o644) && !readable(&home(7), 0, 0o640));
    }

    #[test]
    fn a_readable_file_in_a_closed_directory_is_not_shown() {
        use std::os::unix::fs::PermissionsExt;
        let here = tempfile::tempdir().unwrap();
        let directory = here.path().join("closed");
        std::fs::create_dir(&directory).unwrap();
        let file = directory.join("file");
        std::fs::File::create(&file).unwrap();
        let opened = |mode: u32, uid: u32| {
            for path in [here.path(), &directory] {
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
            }
            let home = Home { user: vec![], uid, gid: u32::MAX, directory: "/".into() };
            open(&Host::live(), &home, &file).map(drop).map_err(|error| error.kind())
        };
        let own = Host::live().stat(&file).unwrap().uid();
        assert_eq!(opened(0o755, own + 1), Ok(()));
        assert_eq!(opened(0o700, own + 1), Err(io::ErrorKind::InvalidInput));
        assert_eq!(opened(0o700, own), Ok(()));
    }
}
