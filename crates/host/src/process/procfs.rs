//! Processes from procfs (proc(5)).
//!
//! A pid can be taken by another process between two reads. So a scan that will read more than `stat` holds
//! the process that it stands at. Either it opens the directory `/proc/PID` first and reads through it: once that
//! process is gone, so is all below the descriptor. Or, where a pidfd is wanted for the ids of each row, it opens
//! that alone, reads by pid, and believes what it read while the pidfd tells that the process still runs: until
//! it is reaped, no other one has its pid. An older row, and one whose process has ended, opens the directory again
//! and believes what it read only when the start time there is still its own.

use std::ffi::{CStr, OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use collector::{
    Exe, Host, Image, Io, Memory, Namespaces, Process, ProcessCollector, ProcessQuery, ProcessReader, Reads,
    Rows, Stat, Status, reason,
};
use model::ScanError;
use pidfd_util::PidFd;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir, StatxFlags, openat, readlinkat_raw, statx};
use rustix::io::Errno;
use rustix::path::{Arg, DecInt};

use super::credentials::{self, Credentials};
use super::parse;
use super::place::Place;

/// The largest file of a process that is taken in, in bytes. The arguments and environment of an exec are at
/// most 6 MiB (`_STK_LIM` of fs/exec.c), but prctl(2) can point at more.
const FILE_MAX: usize = 64 << 20;

/// One page: what `stat`, `status` and most command lines fit in, and the longest link text that procfs gives.
const PAGE: usize = 4096;

/// Rows between two looks at the run's limits.
const POLL_EVERY: usize = 64;

const DELETED: &[u8] = b" (deleted)";

/// Reads the `/proc` of a machine.
#[derive(Clone, Debug)]
pub(super) struct Procfs {
    host: Host,
}

impl Procfs {
    /// For the `/proc` of `host`.
    pub(super) fn new(host: Host) -> Procfs {
        Procfs { host }
    }
}

impl ProcessCollector for Procfs {
    fn name(&self) -> &'static str {
        "procfs"
    }

    fn scan(&self, query: ProcessQuery) -> Result<Rows<Process>, ScanError> {
        let proc = self.host.place("/proc".as_ref());
        let opened = openat(CWD, &*proc, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let proc = match opened {
            Ok(proc) => proc,
            Err(Errno::NOENT) => return Ok(Box::new(std::iter::empty())),
            Err(error) => return Err(failed(error)),
        };
        let pids = match &query.pids {
            Some(pids) => pids.clone(),
            None => list(&proc).map_err(failed)?,
        };
        let reader = Arc::new(Reader {
            keyed: query.pids.is_some(),
            query,
            host: self.host.clone(),
            proc,
            current: Mutex::new(None),
            ticks_per_second: rustix::param::clock_ticks_per_second(),
            credentials: Credentials::new(self.host.is_live()),
            boot_id: OnceLock::new(),
            boot_time: OnceLock::new(),
        });
        Ok(Box::new(Scan { reader, pids: pids.into_iter().enumerate() }))
    }
}

fn failed(error: Errno) -> ScanError {
    ScanError::Failed(format!("cannot list /proc ({error}); is procfs mounted there?"))
}

/// The pids in a `/proc`, ascending. All at once, so that a process that starts or ends while rows are read
/// does not move the others.
fn list(proc: &OwnedFd) -> rustix::io::Result<Vec<u32>> {
    let dir = openat(proc, c".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut buffer = [MaybeUninit::uninit(); 8 * PAGE];
    let mut entries = RawDir::new(dir, &mut buffer);
    let mut pids = Vec::new();
    while let Some(entry) = entries.next() {
        pids.extend(parse::pid(entry?.file_name().to_bytes()));
    }
    pids.sort_unstable();
    Ok(pids)
}

struct Scan {
    reader: Arc<Reader>,
    pids: std::iter::Enumerate<std::vec::IntoIter<u32>>,
}

impl Iterator for Scan {
    type Item = Result<Process, ScanError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (reader, pids) = (&self.reader, &mut self.pids);
        let entered = pids.find_map(|(n, pid)| {
            if n % POLL_EVERY == 0
                && let Err(stop) = reader.query.run.check()
            {
                return Some(Err(stop.into()));
            }
            reader.enter(pid).map(Ok)
        });
        if entered.is_none() {
            reader.leave();
        }
        entered
    }
}

impl Drop for Scan {
    fn drop(&mut self) {
        self.reader.leave();
    }
}

/// What the rows of one scan share.
struct Reader {
    query: ProcessQuery,
    keyed: bool,
    host: Host,
    /// `/proc`, so that paths are short and stay in it.
    proc: OwnedFd,
    /// The process that the scan stands at.
    current: Mutex<Option<Current>>,
    ticks_per_second: u64,
    credentials: Credentials,
    boot_id: OnceLock<Option<String>>,
    boot_time: OnceLock<Option<i64>>,
}

/// The process that a scan stands at.
struct Current {
    pid: u32,
    held: Held,
}

/// What makes sure that files are those of one process.
enum Held {
    /// They are below its open directory.
    Dir(OwnedFd),
    /// It ran when they had been read.
    Process(PidFd),
}

impl Reader {
    /// Steps to a process; `None` when it is gone.
    fn enter(self: &Arc<Self>, pid: u32) -> Option<Process> {
        let found = |stat| Process::new(pid, stat, self.clone());
        // A listed pid is a process; one that the query named can be nothing, or a later thread.
        if self.query.reads == Reads::Pid && !self.keyed {
            return Some(found(None));
        }
        let held = match self.query.reads {
            Reads::More => match self.hold(pid) {
                Ok(held) => Some(held),
                Err(Errno::NOENT | Errno::SRCH) => return None,
                // It is there, and no more can be told of it.
                Err(_) => return Some(found(None)),
            },
            Reads::Pid | Reads::Stat => None,
        };
        let place = match &held {
            Some(Held::Dir(dir)) => Place::own(dir),
            Some(Held::Process(_)) | None => Place::of_pid(&self.proc, pid),
        };
        let stat = self.file(place, c"stat", |content| match parse::stat(content, self.ticks_per_second) {
            _ if self.keyed && parse::is_later_thread(content) => Err(Errno::NOENT),
            Some(stat) => Ok(Some(stat)),
            None => Err(Errno::INVAL),
        });
        let process = match stat.and_then(|stat| stat) {
            Ok(stat) => found(stat),
            Err(Errno::NOENT | Errno::SRCH) => return None,
            // Mounted with hidepid=1, procfs tells that there is a process and nothing else.
            Err(_) => found(None),
        };
        if let Some(Held::Process(pidfd)) = &held {
            self.read_together(&process, place, pidfd);
        }
        *self.current() = held.map(|held| Current { pid, held });
        Some(process)
    }

    /// Reads what is wanted of every process. That the kernel still tells ids is the proof that it was this one.
    fn read_together(&self, process: &Process, place: Place<'_>, pidfd: &PidFd) {
        let of_all = self.query.of_all;
        let exe = of_all.exe.then(|| of_image(process, || Ok(self.exe_at(place)?)));
        let cmdline = of_all.cmdline.then(|| of_image(process, || Ok(self.cmdline_at(place)?)));
        if let Some(ids) = self.credentials.ids(pidfd) {
            process.learn(ids, exe, cmdline);
        }
    }

    /// Closes the descriptor of the process that the scan stood at.
    fn leave(&self) {
        *self.current() = None;
    }

    fn current(&self) -> MutexGuard<'_, Option<Current>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds the process that has a pid now.
    fn hold(&self, pid: u32) -> rustix::io::Result<Held> {
        let pidfd = self.query.of_all.ids.then(|| self.credentials.open(&self.proc, pid)).flatten();
        pidfd.map_or_else(|| self.dir(pid).map(Held::Dir), |pidfd| Ok(Held::Process(pidfd)))
    }

    fn dir(&self, pid: u32) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(&self.proc, DecInt::new(pid), flags, Mode::empty())
    }

    /// Reads something below `/proc/PID` that belongs to this very process.
    fn late<T>(&self, process: &Process, read: impl Fn(Place<'_>) -> rustix::io::Result<T>) -> io::Result<T> {
        if let Some(current) = &*self.current()
            && current.pid == process.pid()
        {
            match &current.held {
                Held::Dir(dir) => return Ok(read(Place::own(dir))?),
                Held::Process(pidfd) => {
                    let value = read(Place::of_pid(&self.proc, current.pid));
                    if credentials::runs(pidfd) {
                        return Ok(value?);
                    }
                }
            }
        }
        let dir = self.dir(process.pid())?;
        let place = Place::own(&dir);
        let value = read(place)?;
        let started = |stat: Option<&Stat>| stat.and_then(|stat| stat.start_ticks);
        let now = self.file(place, c"stat", |content| parse::stat(content, self.ticks_per_second))?;
        match started(process.stat_known()) {
            Some(start) if started(now.as_ref()) == Some(start) => Ok(value),
            _ => Err(Errno::SRCH.into()),
        }
    }

    /// Hands over the content of a file. What fits in a page takes one read(2): procfs gives less than was
    /// asked for only at the end of such a file.
    fn file<T>(
        &self,
        place: Place<'_>,
        name: &CStr,
        use_it: impl FnOnce(&[u8]) -> T,
    ) -> rustix::io::Result<T> {
        let file = place.open(name)?;
        let mut page = [MaybeUninit::uninit(); PAGE];
        let (start, rest) = rustix::io::read(&file, &mut page)?;
        if !rest.is_empty() {
            return Ok(use_it(start));
        }
        let content = self.rest(&file, start)?;
        Ok(use_it(&content))
    }

    /// The whole content of a file of which `start` was read. Also for files like `maps`, which come in pieces.
    fn rest(&self, file: &OwnedFd, start: &[u8]) -> rustix::io::Result<Vec<u8>> {
        let mut content = start.to_vec();
        loop {
            content.reserve(16 * PAGE);
            if rustix::io::read(file, rustix::buffer::spare_capacity(&mut content))? == 0 {
                return Ok(content);
            }
            if content.len() > FILE_MAX {
                return Err(Errno::FBIG);
            }
            // The run itself reports why it ends.
            self.query.run.check().map_err(|_| Errno::CANCELED)?;
        }
    }

    fn pieces(&self, place: Place<'_>, name: &CStr) -> rustix::io::Result<Vec<u8>> {
        self.rest(&place.open(name)?, b"")
    }

    /// Notes why something could not be read that all rows share.
    fn once<T>(&self, column: &'static str, read: io::Result<T>) -> Option<T> {
        read.map_err(|error| self.query.run.note(self.query.table, column, reason(&error))).ok()
    }

    fn cmdline_at(&self, place: Place<'_>) -> rustix::io::Result<Vec<u8>> {
        self.file(place, c"cmdline", parse::cmdline)
    }

    fn exe_at(&self, place: Place<'_>) -> rustix::io::Result<Exe> {
        link(place, c"exe", |target| match target.strip_suffix(DELETED) {
            // A file can bear the kernel's mark as a part of its name.
            Some(path) if !self.leads_to_image(place, target) => {
                Exe { path: path.to_vec(), deleted: Some(true) }
            }
            _ => Exe { path: target.to_vec(), deleted: Some(false) },
        })
        .or_else(|error| {
            // Nothing there: either the process is gone, or it has just turned into a zombie.
            let stat = self.file(place, c"stat", |content| parse::stat(content, self.ticks_per_second))?;
            if error == Errno::NOENT && stat.as_ref().is_some_and(has_no_image) {
                return Ok(Exe::default());
            }
            Err(error)
        })
    }

    /// Whether a path leads to the image, as seen from here or from the process's own root directory.
    fn leads_to_image(&self, place: Place<'_>, path: &[u8]) -> bool {
        let Ok((image, links)) = image(place) else { return false };
        let here = self.host.place(Path::new(OsStr::from_bytes(path)));
        let there = OsString::from_vec(place.path(&[b"root", path].concat()));
        let same = |found: rustix::io::Result<(Image, u32)>| found.is_ok_and(|(found, _)| found == image);
        links > 0
            && (same(image_at(CWD, &*here, AtFlags::SYMLINK_NOFOLLOW))
                || same(image_at(place.dir(), there, AtFlags::SYMLINK_NOFOLLOW)))
    }
}

/// Hands over where a symbolic link points.
fn link<T>(place: Place<'_>, name: &CStr, use_it: impl FnOnce(&[u8]) -> T) -> rustix::io::Result<T> {
    let mut page = [MaybeUninit::uninit(); PAGE];
    let (target, _) = place.at(name, |dir, path| readlinkat_raw(dir, path, &mut page))?;
    Ok(use_it(target))
}

/// The image of a process, and how many names it has.
fn image(place: Place<'_>) -> rustix::io::Result<(Image, u32)> {
    place.at(c"exe", |dir, path| image_at(dir, path, AtFlags::empty()))
}

/// The file at a path, and how many names it has. Asks no file server, which could be out of reach.
fn image_at(dir: impl AsFd, path: impl Arg, flags: AtFlags) -> rustix::io::Result<(Image, u32)> {
    let wanted = StatxFlags::INO | StatxFlags::NLINK;
    let found = statx(dir, path, flags | AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT, wanted)?;
    let dev = rustix::fs::makedev(found.stx_dev_major, found.stx_dev_minor);
    Ok((Image { inode: found.stx_ino, dev }, found.stx_nlink))
}

/// Kernel threads and what is left of a dead process have no image and no arguments.
fn has_no_image(stat: &Stat) -> bool {
    stat.kernel_thread || matches!(stat.state, Some(b'Z' | b'X'))
}

fn lacks_image(process: &Process) -> bool {
    process.stat_known().is_some_and(has_no_image)
}

/// What an image has: nothing is read where there is none.
fn of_image<T: Default>(process: &Process, read: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    if lacks_image(process) { Ok(T::default()) } else { read() }
}

impl ProcessReader for Reader {
    fn query(&self) -> &ProcessQuery {
        &self.query
    }

    fn stat(&self, process: &Process) -> io::Result<Stat> {
        let place = Place::of_pid(&self.proc, process.pid());
        let stat = self.file(place, c"stat", |content| parse::stat(content, self.ticks_per_second))?;
        stat.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not understood"))
    }

    fn start_time(&self, process: &Process) -> Option<i64> {
        let ticks = process.stat_known()?.start_ticks?;
        let boot = self
            .boot_time
            .get_or_init(|| parse::boot_time(&self.once("start_time", self.host.read("/proc/stat"))?));
        Some((*boot)?.saturating_add((ticks / self.ticks_per_second.max(1)) as i64))
    }

    fn start_key(&self, process: &Process) -> Option<String> {
        let ticks = process.stat_known()?.start_ticks?;
        let boot = self.boot_id.get_or_init(|| {
            let id = self.host.read_text("/proc/sys/kernel/random/boot_id");
            self.once("start_key", id)?.get(..8).map(str::to_owned)
        });
        Some(format!("{}-{}-{ticks}", boot.as_ref()?, process.pid()))
    }

    fn status(&self, process: &Process) -> io::Result<Status> {
        let ids_alone = self.query.ids_alone;
        self.late(process, |place| {
            let known = ids_alone.then(|| self.credentials.of(&self.proc, place, process.pid())).flatten();
            match known {
                Some(ids) => Ok(ids),
                None => self.file(place, c"status", |content| parse::status(content, ids_alone)),
            }
        })
    }

    fn memory(&self, process: &Process) -> io::Result<Memory> {
        if lacks_image(process) {
            return Ok(Memory { resident: Some(0), total: Some(0) });
        }
        let page_size = rustix::param::page_size() as u64;
        self.late(process, |place| self.file(place, c"statm", |content| parse::statm(content, page_size)))
    }

    fn cmdline(&self, process: &Process) -> io::Result<Vec<u8>> {
        of_image(process, || self.late(process, |place| self.cmdline_at(place)))
    }

    fn exe(&self, process: &Process) -> io::Result<Exe> {
        of_image(process, || self.late(process, |place| self.exe_at(place)))
    }

    fn image(&self, process: &Process) -> io::Result<Image> {
        if lacks_image(process) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.late(process, |place| Ok(image(place)?.0))
    }

    fn cwd(&self, process: &Process) -> io::Result<Vec<u8>> {
        self.late(process, |place| link(place, c"cwd", <[u8]>::to_vec))
    }

    fn root(&self, process: &Process) -> io::Result<Vec<u8>> {
        self.late(process, |place| link(place, c"root", <[u8]>::to_vec))
    }

    fn io(&self, process: &Process) -> io::Result<Io> {
        self.late(process, |place| self.file(place, c"io", parse::io))
    }

    fn cgroup(&self, process: &Process) -> io::Result<Vec<u8>> {
        self.late(process, |place| self.file(place, c"cgroup", <[u8]>::to_vec))
    }

    fn loginuid(&self, process: &Process) -> io::Result<Option<u32>> {
        self.late(process, |place| self.file(place, c"loginuid", parse::loginuid))
    }

    fn namespaces(&self, process: &Process) -> io::Result<Namespaces> {
        self.late(process, |place| {
            let inode = |name| match link(place, name, parse::namespace) {
                Err(Errno::NOENT) => Ok(None), // this kernel has no such namespace
                read => read,
            };
            let namespaces = Namespaces {
                cgroup: inode(c"ns/cgroup")?,
                ipc: inode(c"ns/ipc")?,
                mnt: inode(c"ns/mnt")?,
                net: inode(c"ns/net")?,
                pid: inode(c"ns/pid")?,
                user: inode(c"ns/user")?,
                uts: inode(c"ns/uts")?,
            };
            if namespaces == Namespaces::default() { Err(Errno::NOENT) } else { Ok(namespaces) }
        })
    }

    fn environ(&self, process: &Process) -> io::Result<Vec<u8>> {
        of_image(process, || self.late(process, |place| self.pieces(place, c"environ")))
    }

    fn maps(&self, process: &Process) -> io::Result<Vec<u8>> {
        of_image(process, || self.late(process, |place| self.pieces(place, c"maps")))
    }

    fn tty(&self, device: u32) -> Option<String> {
        let (major, minor) = parse::device(device);
        let listed = || {
            let link = self.host.read_link(format!("/sys/dev/char/{major}:{minor}")).ok()?;
            link.file_name()?.to_str().map(str::to_owned)
        };
        parse::terminal(major, minor).or_else(listed).or_else(|| Some(format!("{major}:{minor}")))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "a test writes its fixture and starts processes")]

    use std::process::Command;
    use std::time::{Duration, Instant};

    use collector::{AnyTable, Masked, Masking, OfAll};
    use model::{Run, Value};

    use super::*;
    use crate::process::fixture::{Machine, kept, query, rows, stat};
    use crate::processes::TABLE;

    fn text(text: &str) -> Value<'static> {
        Value::from(text.to_owned())
    }

    fn live(pid: u32) -> Option<Process> {
        let (pids, run) = (Some(vec![pid]), Run::unlimited());
        let query = ProcessQuery {
            table: "processes",
            pids,
            reads: Reads::More,
            ids_alone: false,
            of_all: OfAll::default(),
            masking: Masking::Off,
            run,
        };
        Procfs::new(Host::live()).scan(query).unwrap().next().map(Result::unwrap)
    }

    #[test]
    fn pids_alone_open_no_file() {
        let machine = Machine::new();
        machine.write("proc/7/stat/a-directory", b"");
        machine.write("proc/8/nothing", b"");
        for columns in [&[][..], &["pid"], &["pid", "wired_size"]] {
            let query = query(&TABLE, columns, None);
            assert_eq!(rows(&TABLE, &machine.host(), &query).len(), 2);
            assert_eq!(query.run.notes(), []);
        }
        // As soon as `stat` is needed, a process without one is gone, and an unreadable one is noted.
        let query = query(&TABLE, &["pid", "name"], None);
        assert_eq!(rows(&TABLE, &machine.host(), &query), [[Value::Int(7), Value::Null]]);
        assert_eq!(query.run.notes()[0].column, "name");
    }

    #[test]
    fn a_process_whose_directory_cannot_be_opened_keeps_its_row() {
        let machine = Machine::new();
        machine.stat(7, &stat(7, 1, 250, 0, 17));
        machine.write("proc/8", b"");
        let query = query(&TABLE, &["pid", "cwd"], None);
        let rows = rows(&TABLE, &machine.host(), &query);
        assert_eq!(rows, [[Value::Int(7), Value::Null], [Value::Int(8), Value::Null]]);
    }

    #[test]
    fn stat_columns_open_nothing_but_stat() {
        let machine = Machine::new();
        machine.stat(7, &stat(7, 1, 250, 0, 17));
        for name in ["cmdline", "status", "statm", "io", "cgroup", "loginuid"] {
            machine.write(&format!("proc/7/{name}/a-directory"), b"");
        }
        let query = query(&TABLE, &["pid", "name", "parent", "user_time", "start_time", "start_key"], None);
        let row = [
            Value::Int(7),
            text("name 7"),
            Value::Int(50),
            Value::Int(1_700_000_002),
            Value::Int(1),
            text("0a1b2c3d-7-250"),
        ];
        assert_eq!(rows(&TABLE, &machine.host(), &query), [row]);
        assert_eq!(query.run.notes(), []);
    }

    #[test]
    fn a_keyed_scan_gives_what_a_full_one_has() {
        let machine = Machine::new();
        machine.process(1, 0, 1, b"init\0");
        machine.process(42, 1, 90, b"sh\0-c\0x\0");
        machine.process(43, 1, 95, b"other\0");
        // The directory of a thread is there for those who ask, though procfs does not list it.
        machine.stat(44, &stat(44, 1, 90, 0, -1));
        for columns in [&["pid"][..], &["pid", "name"], &["pid", "cmdline"]] {
            let ask = |pids| rows(&TABLE, &machine.host(), &query(&TABLE, columns, pids));
            let mut full = ask(None);
            full.retain(|row| matches!(row[0], Value::Int(1 | 42)));
            assert_eq!(ask(Some(&[42, 1, 42, 99_999, -1, -42, 44, 0, i64::MAX, 1 << 32 | 1])), full);
            assert!(ask(Some(&[])).is_empty());
        }
    }

    #[test]
    fn a_kept_row_whose_pid_was_reused_has_no_late_values() {
        let machine = Machine::new();
        machine.process(41, 1, 100, b"same\0");
        machine.process(42, 1, 200, b"old\0");
        machine.process(43, 1, 300, b"ends\0");
        let query = query(&TABLE, &["pid", "name", "cmdline"], None);
        let rows = kept(&TABLE, &machine.host(), &query, || {
            machine.process(42, 1, 201, b"new\0");
            machine.end(43);
        });
        assert_eq!(rows[0], [Value::Int(41), text("name 41"), text("same")]);
        assert_eq!(rows[1], [Value::Int(42), text("name 42"), Value::Null]);
        assert_eq!(rows[2], [Value::Int(43), text("name 43"), Value::Null]);
        assert_eq!(query.run.notes(), []);
    }

    #[test]
    fn the_current_row_reads_the_process_that_it_was_listed_for() {
        let machine = Machine::new();
        machine.process(42, 1, 200, b"old\0");
        let query =
            ProcessQuery::new(&machine.host(), "processes", &query(&TABLE, &["cmdline"], None), Reads::More);
        let mut scan = Procfs::new(machine.host()).scan(query).unwrap();
        let process = scan.next().unwrap().unwrap();
        machine.end(42);
        machine.process(42, 1, 200, b"new\0");
        assert_eq!(process.cmdline("cmdline").unwrap().text, b"old");
    }

    #[test]
    fn kept_rows_hold_no_descriptors() {
        let machine = Machine::new();
        (1..=50).for_each(|pid| machine.process(pid, 0, 1, b"x\0"));
        let root = machine.path("proc").canonicalize().unwrap();
        let open = || {
            let fds = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
            let targets = fds.filter_map(|fd| std::fs::read_link(fd.path()).ok());
            targets.filter(|target| target.starts_with(&root)).count()
        };
        let query = query(&TABLE, &["cmdline"], None);
        let rows = kept(&TABLE, &machine.host(), &query, || assert_eq!(open(), 1));
        assert_eq!((rows.len(), &rows[49][0]), (50, &text("x")));
        assert_eq!(open(), 0);
    }

    #[test]
    fn a_kernel_thread_has_no_image_and_no_memory() {
        let machine = Machine::new();
        machine.stat(2, &stat(2, 0, 1, 0x0020_8040, 0));
        let columns = ["path", "cmdline", "on_disk", "resident_size", "exe_deleted", "exe_inode"];
        let row = [text(""), text(""), Value::Int(-1), Value::Int(0), Value::Null, Value::Null];
        assert_eq!(rows(&TABLE, &machine.host(), &query(&TABLE, &columns, None)), [row]);
    }

    #[test]
    fn a_file_larger_than_a_page_is_read_to_its_end() {
        let machine = Machine::new();
        let long = "x".repeat(100_000);
        machine.process(42, 1, 1, long.as_bytes());
        let query = query(&TABLE, &["cmdline"], None);
        assert_eq!(rows(&TABLE, &machine.host(), &query), [[Value::from(long)]]);
    }

    #[test]
    fn this_process_is_seen_as_it_sees_itself() {
        let this = live(std::process::id()).unwrap();
        let arguments: Vec<_> = std::env::args().collect();
        assert_eq!(this.cmdline("").unwrap().text, arguments.join(" ").as_bytes());
        let exe = std::env::current_exe().unwrap();
        assert_eq!(
            this.exe("").unwrap(),
            &Exe { path: exe.as_os_str().as_bytes().into(), deleted: Some(false) }
        );
        let file = std::fs::metadata(&exe).unwrap();
        let (inode, dev) =
            (std::os::unix::fs::MetadataExt::ino(&file), std::os::unix::fs::MetadataExt::dev(&file));
        assert_eq!(this.image(""), Some(&Image { inode, dev }));
        assert_eq!(this.cwd(""), Some(std::env::current_dir().unwrap().as_os_str().as_bytes()));
        assert_eq!(this.status("").unwrap().euid, Some(rustix::process::geteuid().as_raw()));
        let parent = rustix::process::getppid().map(|pid| pid.as_raw_pid() as u32);
        assert_eq!(this.stat("").unwrap().parent, parent);
        assert!(this.namespaces("").unwrap().mnt.is_some());
    }

    #[test]
    fn a_thread_is_not_a_process() {
        let tid = std::thread::spawn(|| {
            let tid = rustix::thread::gettid().as_raw_pid() as u32;
            (tid, live(tid).is_some())
        });
        let (tid, found) = tid.join().unwrap();
        assert!(tid != std::process::id() && !found);
    }

    #[test]
    fn a_deleted_image_is_told_from_a_name_that_looks_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap().join("x (deleted)");
        std::fs::copy("/bin/sleep", &path).unwrap();
        let mut child = Command::new(&path).arg("60").spawn().unwrap();
        let exe = || live(child.id()).unwrap().exe("").cloned();
        let bytes = path.as_os_str().as_bytes().to_vec();
        let there = exe();
        std::fs::remove_file(&path).unwrap();
        let gone = exe();
        // Another file in its place is not the image.
        std::fs::write(&path, b"other").unwrap();
        let replaced = exe();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(there, Some(Exe { path: bytes.clone(), deleted: Some(false) }));
        assert_eq!(gone, Some(Exe { path: bytes.clone(), deleted: Some(true) }));
        assert_eq!(replaced, Some(Exe { path: bytes, deleted: Some(true) }));
    }

    #[test]
    fn a_zombie_has_no_image_and_a_reaped_process_no_row() {
        let mut child = Command::new("true").spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        let zombie = loop {
            let process = live(child.id()).unwrap();
            if process.stat("").unwrap().state == Some(b'Z') {
                break process;
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::yield_now();
        };
        assert_eq!((zombie.exe(""), zombie.cmdline("")), (Some(&Exe::default()), Some(&Masked::default())));
        child.wait().unwrap();
        assert!(live(child.id()).is_none());
    }

    #[test]
    fn a_process_that_ends_while_the_scan_stands_at_it_keeps_what_was_read() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let run = Run::unlimited();
        let query = ProcessQuery {
            table: "processes",
            pids: Some(vec![child.id()]),
            reads: Reads::More,
            ids_alone: true,
            of_all: OfAll { ids: true, ..OfAll::default() },
            masking: Masking::Off,
            run: run.clone(),
        };
        let mut scan = Procfs::new(Host::live()).scan(query).unwrap();
        let process = scan.next().unwrap().unwrap();
        let path = process.exe("path").cloned();
        assert!(path.is_some() && path == live(child.id()).unwrap().exe("").cloned());
        child.kill().unwrap();
        // Before it is reaped it can still be asked, and has no arguments any more.
        while live(child.id()).unwrap().stat("").unwrap().state != Some(b'Z') {
            std::thread::yield_now();
        }
        assert_eq!(process.cmdline("cmdline"), Some(&Masked::default()));
        child.wait().unwrap();
        assert!(process.status("uid").is_some() && process.cwd("cwd").is_none());
        assert_eq!((process.exe("path").cloned(), run.notes()), (path, vec![]));
    }

    #[test]
    fn what_is_read_together_is_what_is_read_alone() {
        let mut child = Command::new("sh").args(["-c", "sleep 60; :", "two words"]).spawn().unwrap();
        // In the middle of an exec a process has no arguments yet.
        let alone = loop {
            let process = live(child.id()).unwrap();
            if process.cmdline("") != Some(&Masked::default()) {
                break process;
            }
            std::thread::yield_now();
        };
        let query = ProcessQuery {
            table: "processes",
            pids: Some(vec![child.id()]),
            reads: Reads::More,
            ids_alone: true,
            of_all: OfAll { ids: true, exe: true, cmdline: true },
            masking: Masking::Off,
            run: Run::unlimited(),
        };
        let together = Procfs::new(Host::live()).scan(query).unwrap().next().unwrap().unwrap();
        let ids =
            |process: &Process| process.status("").map(|s| (s.uid, s.euid, s.suid, s.gid, s.egid, s.sgid));
        assert!(ids(&together).is_some() && ids(&together) == ids(&alone));
        assert!(together.exe("").is_some() && together.exe("") == alone.exe(""));
        assert_eq!(together.cmdline("").map(|c| &*c.text), Some(&b"sh -c sleep 60; : two words"[..]));
        child.kill().unwrap();
        child.wait().unwrap();
        // What was read ahead needs no process any more.
        assert!(ids(&together).is_some() && together.cmdline("").is_some());
    }

    #[test]
    fn processes_that_come_and_go_make_neither_errors_nor_notes_of_absence() {
        let storm = std::thread::spawn(|| {
            for _ in 0..150 {
                Command::new("true").status().unwrap();
            }
        });
        let schema = TABLE.schema();
        let every: Vec<&str> = schema.columns.iter().map(|c| &*c.name).collect();
        while !storm.is_finished() {
            let query = query(&TABLE, &every, None);
            assert!(!rows(&TABLE, &Host::live(), &query).is_empty());
            assert!(!kept(&TABLE, &Host::live(), &query, || ()).is_empty());
            let absent = |reason: &str| reason.contains("not found") || reason.contains("no such");
            assert!(!query.run.notes().iter().any(|n| absent(&n.reason)), "{:?}", query.run.notes());
        }
        storm.join().unwrap();
    }
}
