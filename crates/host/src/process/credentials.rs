//! User and group ids of a process from its pidfd (`PIDFD_GET_INFO`, Linux 6.13), which cost a fraction of
//! `status`: the kernel writes no text. And whether the process of a pidfd still runs, which also costs less than
//! to hold its directory open.

use std::io::ErrorKind;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use collector::Status;
use pidfd_util::{PidFd, PidFdExt};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::fs::{Access, AtFlags, Mode, OFlags, accessat, openat};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::parse;
use super::place::Place;

/// Whether, and from whom, credentials are read this way in one scan.
pub(super) struct Credentials {
    /// The `/proc` that is read is the running kernel's.
    live: bool,
    /// Its pids are those of this process's own namespace, so that they may be given to the kernel.
    same_namespace: OnceLock<bool>,
    /// The kernel is too old, or a sandbox is in the way.
    refused: AtomicBool,
}

impl Credentials {
    pub(super) fn new(live: bool) -> Credentials {
        Credentials { live, same_namespace: OnceLock::new(), refused: AtomicBool::new(false) }
    }

    /// Opens the process that has this pid now; `None` when `status` has to tell.
    pub(super) fn open(&self, proc: &OwnedFd, pid: u32) -> Option<PidFd> {
        let usable = self.live
            && !self.refused.load(Ordering::Relaxed)
            && *self.same_namespace.get_or_init(|| is_own_namespace(proc));
        if !usable {
            return None;
        }
        let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => Some(PidFd::from(pidfd)),
            // It is gone.
            Err(rustix::io::Errno::SRCH) => None,
            Err(_) => self.refuse(),
        }
    }

    /// The ids of the process whose files are at `place`; `None` when `status` has to tell.
    pub(super) fn of(&self, proc: &OwnedFd, place: Place<'_>, pid: u32) -> Option<Status> {
        let ids = self.ids(&self.open(proc, pid)?)?;
        // While the process of the directory lives, no other one has its pid: so it was this one's pidfd. (Of a place
        // that goes by the pid this says nothing: there the caller asks the pidfd that it holds.)
        place.at(c".", |dir, path| accessat(dir, path, Access::EXISTS, AtFlags::EACCESS)).ok()?;
        Some(ids)
    }

    /// The ids of an open process; `None` when `status` has to tell.
    pub(super) fn ids(&self, pidfd: &PidFd) -> Option<Status> {
        let ids = match pidfd.get_creds() {
            Ok(ids) => ids,
            Err(error) if error.kind() == ErrorKind::Unsupported => return self.refuse(),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return self.refuse(),
            Err(_) => return None,
        };
        Some(Status {
            uid: Some(ids.ruid),
            euid: Some(ids.euid),
            suid: Some(ids.suid),
            gid: Some(ids.rgid),
            egid: Some(ids.egid),
            sgid: Some(ids.sgid),
            ..Status::default()
        })
    }

    fn refuse<T>(&self) -> Option<T> {
        self.refused.store(true, Ordering::Relaxed);
        None
    }
}

/// Whether an open process has not ended: until then, and until it is reaped, no other one has its pid.
pub(super) fn runs(pidfd: &PidFd) -> bool {
    // Readable once it has ended (pidfd_open(2)).
    let mut ended = [PollFd::new(pidfd, PollFlags::IN)];
    poll(&mut ended, Some(&Timespec::default())).is_ok_and(|ready| ready == 0)
}

/// Whether a `/proc` is mounted in this process's own pid namespace: then `NSpid` has no outer pid to tell.
fn is_own_namespace(proc: &OwnedFd) -> bool {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let Ok(status) = openat(proc, c"self/status", flags, Mode::empty()) else { return false };
    let mut content = Vec::with_capacity(8 << 10);
    let read = rustix::io::read(&status, rustix::buffer::spare_capacity(&mut content));
    let own = std::process::id();
    read.is_ok() && parse::pids_by_namespace(&content).is_some_and(|pids| pids == [own])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "a test starts the process that it asks about")]
    use super::*;

    fn proc() -> OwnedFd {
        openat(rustix::fs::CWD, "/proc", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap()
    }

    fn dir(proc: &OwnedFd, pid: u32) -> OwnedFd {
        openat(proc, pid.to_string(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap()
    }

    #[test]
    fn ids_are_those_of_status() {
        let proc = proc();
        let own = std::process::id();
        let dir = dir(&proc, own);
        let credentials = Credentials::new(true);
        let text = std::fs::read("/proc/self/status").unwrap();
        if let Some(ids) = credentials.of(&proc, Place::own(&dir), own) {
            assert_eq!(ids, Status { tracer_pid: None, ..parse::status(&text, true) });
        }
    }

    #[test]
    fn a_process_that_is_gone_or_of_another_machine_has_none() {
        let proc = proc();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        let dir = dir(&proc, pid);
        child.wait().unwrap();
        let place = Place::own(&dir);
        assert_eq!(Credentials::new(true).of(&proc, place, pid), None);
        assert_eq!(Credentials::new(false).of(&proc, place, std::process::id()), None);
        // The directory of one process and the pid of another.
        assert_eq!(Credentials::new(true).of(&proc, place, std::process::id()), None);
    }

    #[test]
    fn a_process_runs_until_it_has_ended() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let Some(pidfd) = Credentials::new(true).open(&proc(), child.id()) else {
            println!("skipped: needs pidfd_open");
            return drop((child.kill(), child.wait()));
        };
        assert!(runs(&pidfd));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!runs(&pidfd));
    }
}
