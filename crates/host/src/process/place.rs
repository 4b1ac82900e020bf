//! Where the files of one process are opened from.

use std::ffi::CStr;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, openat};
use rustix::path::DecInt;

/// Digits of a pid, a slash, the longest name below a process and its NUL.
const PATH_MAX: usize = 10 + 1 + 12 + 1;

/// The files of a process, as seen from an open directory.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    dir: BorrowedFd<'a>,
    /// The name of the process's directory there; `None` when `dir` is that directory.
    pid: Option<u32>,
}

impl<'a> Place<'a> {
    /// Below the process's own directory, through which no other process is ever seen.
    pub(super) fn own(dir: &'a OwnedFd) -> Place<'a> {
        Place { dir: dir.as_fd(), pid: None }
    }

    /// Below the `/proc` that is open as `proc`: of whatever process has the pid by then.
    pub(super) fn of_pid(proc: &'a OwnedFd, pid: u32) -> Place<'a> {
        Place { dir: proc.as_fd(), pid: Some(pid) }
    }

    /// Opens a file to read it.
    pub(super) fn open(self, name: &CStr) -> rustix::io::Result<OwnedFd> {
        self.at(name, |dir, path| openat(dir, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()))
    }

    /// Hands over the directory and the path that a file has from there. `name` has at most 12 bytes.
    pub(super) fn at<T>(
        self,
        name: &CStr,
        use_it: impl FnOnce(BorrowedFd<'a>, &CStr) -> rustix::io::Result<T>,
    ) -> rustix::io::Result<T> {
        let Some(pid) = self.pid else { return use_it(self.dir, name) };
        let (digits, name) = (DecInt::new(pid), name.to_bytes_with_nul());
        let digits = digits.as_bytes();
        let mut buffer = [0; PATH_MAX];
        let end = digits.len() + 1 + name.len();
        let path = buffer.get_mut(..end).ok_or(rustix::io::Errno::NAMETOOLONG)?;
        let (before, after) = path.split_at_mut(digits.len() + 1);
        before[..digits.len()].copy_from_slice(digits);
        before[digits.len()] = b'/';
        after.copy_from_slice(name);
        use_it(self.dir, CStr::from_bytes_with_nul(path).map_err(|_| rustix::io::Errno::INVAL)?)
    }

    /// The path that a file below the process has from the directory, as bytes.
    pub(super) fn path(self, name: &[u8]) -> Vec<u8> {
        self.pid.map_or_else(|| name.to_vec(), |pid| [DecInt::new(pid).as_bytes(), b"/", name].concat())
    }

    /// The directory that paths begin at.
    pub(super) fn dir(self) -> BorrowedFd<'a> {
        self.dir
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_begins_with_the_pid_only_below_proc() {
        let dir = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let path = |place: Place<'_>, name: &CStr| place.at(name, |_, path| Ok(path.to_owned()));
        assert_eq!(path(Place::own(&dir), c"ns/cgroup").unwrap(), c"ns/cgroup".to_owned());
        for pid in [1, 10, u32::MAX] {
            let expected = format!("{pid}/ns/cgroup");
            let place = Place::of_pid(&dir, pid);
            assert_eq!(path(place, c"ns/cgroup").unwrap().to_bytes(), expected.as_bytes());
            assert_eq!(place.path(b"ns/cgroup"), expected.as_bytes());
        }
        let long = path(Place::of_pid(&dir, u32::MAX), c"a_name_of_16_byt");
        assert_eq!(long, Err(rustix::io::Errno::NAMETOOLONG));
    }
}
