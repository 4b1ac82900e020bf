//! Whether a file can have been changed by anybody but root.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Stat, lstat, readlink};

/// Symbolic links that one path may lead through, as many as the kernel follows (path_resolution(7)).
const LINKS_MAX: usize = 40;
/// Write permission of the group and of others.
const OTHERS_WRITE: u32 = 0o022;

/// Why a path is not trusted.
#[derive(Debug, thiserror::Error)]
pub enum Distrust {
    /// It cannot be looked at.
    #[error("{0}: {1}")]
    Unread(PathBuf, #[source] io::Error),
    /// Somebody else owns it.
    #[error("{0} belongs to uid {1}; make it root's: chown root {0}")]
    Owner(PathBuf, u32),
    /// Somebody else may write to it.
    #[error("{0} can be written by others than root (mode {1:04o}); forbid it: chmod go-w {0}")]
    Writable(PathBuf, u32),
    /// It leads nowhere.
    #[error("{0} leads through more than {LINKS_MAX} symbolic links")]
    Links(PathBuf),
}

/// The real path behind `path`, if root alone can have decided what it leads to: each directory and each
/// symbolic link on the way is root's, and nobody else may write there.
pub(crate) fn roots_path(path: &Path) -> Result<PathBuf, Distrust> {
    let absolute = std::path::absolute(path).map_err(|error| Distrust::Unread(path.to_owned(), error))?;
    let mut left = names(&absolute);
    let mut real = PathBuf::from("/");
    let mut links = 0;
    check(&real, &stat(&real)?)?;
    while let Some(name) = left.pop_front() {
        if name == ".." {
            real.pop();
            continue;
        }
        let next = real.join(&name);
        let found = stat(&next)?;
        check(&next, &found)?;
        if FileType::from_raw_mode(found.st_mode) != FileType::Symlink {
            real = next;
            continue;
        }
        links += 1;
        if links > LINKS_MAX {
            return Err(Distrust::Links(path.to_owned()));
        }
        let target = readlink(&next, Vec::new()).map_err(|error| Distrust::Unread(next, error.into()))?;
        let target = PathBuf::from(OsString::from(String::from_utf8_lossy(target.as_bytes()).as_ref()));
        if target.is_absolute() {
            real = PathBuf::from("/");
        }
        let mut longer = names(&target);
        longer.append(&mut left);
        left = longer;
    }
    Ok(real)
}

/// The same of a file that is open, which nobody can put another in place of.
pub(crate) fn check(path: &Path, found: &Stat) -> Result<(), Distrust> {
    if found.st_uid != 0 {
        return Err(Distrust::Owner(path.to_owned(), found.st_uid));
    }
    // The mode of a symbolic link means nothing.
    let is_link = FileType::from_raw_mode(found.st_mode) == FileType::Symlink;
    if !is_link && found.st_mode & OTHERS_WRITE != 0 {
        return Err(Distrust::Writable(path.to_owned(), found.st_mode & 0o7777));
    }
    Ok(())
}

fn stat(path: &Path) -> Result<Stat, Distrust> {
    lstat(path).map_err(|error| Distrust::Unread(path.to_owned(), error.into()))
}

fn names(path: &Path) -> VecDeque<OsString> {
    let named = path.components().filter(|c| matches!(c, Component::Normal(_) | Component::ParentDir));
    named.map(|component| component.as_os_str().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "a test writes its fixture")]

    use super::*;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    fn is_root() -> bool {
        let root = rustix::process::geteuid().is_root();
        assert!(root || std::env::var_os("CI").is_none_or(|ci| ci != "true"), "needs CAP_CHOWN");
        if !root {
            eprintln!("skipped: needs CAP_CHOWN");
        }
        root
    }

    /// A directory in one that only root may write to.
    fn place() -> tempfile::TempDir {
        tempfile::Builder::new().prefix("daemoneye-trust").tempdir_in("/run").unwrap()
    }

    fn mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn every_step_to_the_file_has_to_be_roots() {
        if !is_root() {
            return;
        }
        let place = place();
        let (directory, file) = (place.path().join("d"), place.path().join("d/f"));
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(&file, "").unwrap();
        assert_eq!(roots_path(&file).unwrap(), file);
        mode(&file, 0o664);
        assert!(matches!(roots_path(&file), Err(Distrust::Writable(path, 0o664)) if path == file));
        mode(&file, 0o644);
        mode(&directory, 0o1777);
        assert!(matches!(roots_path(&file), Err(Distrust::Writable(path, 0o1777)) if path == directory));
        mode(&directory, 0o755);
        chown(&directory, Some(65534), None).unwrap();
        assert!(matches!(roots_path(&file), Err(Distrust::Owner(path, 65534)) if path == directory));
    }

    #[test]
    fn a_link_is_followed_only_if_root_made_it() {
        if !is_root() {
            return;
        }
        let place = place();
        let (file, link) = (place.path().join("f"), place.path().join("l"));
        std::fs::write(&file, "").unwrap();
        symlink("./../../run/./f", &link).unwrap();
        std::fs::remove_file(&link).unwrap();
        symlink("f", &link).unwrap();
        assert_eq!(roots_path(&link).unwrap(), file);
        rustix::fs::chownat(
            rustix::fs::CWD,
            &link,
            Some(rustix::fs::Uid::from_raw(65534)),
            None,
            rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
        )
        .unwrap();
        assert!(matches!(roots_path(&link), Err(Distrust::Owner(path, 65534)) if path == link));
        let round = place.path().join("round");
        symlink("round", &round).unwrap();
        assert!(matches!(roots_path(&round), Err(Distrust::Links(_))));
    }

    #[test]
    fn what_lies_in_the_common_temporary_directory_is_not_trusted() {
        let file = tempfile::NamedTempFile::new_in("/tmp").unwrap();
        assert!(matches!(roots_path(file.path()), Err(Distrust::Writable(..) | Distrust::Owner(..))));
    }
}
