//! The handle through which tables reach a machine.
#![allow(clippy::disallowed_methods, reason = "this is the one place that the ban leads to")]

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fs::{File, FileType, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;

use crate::{Masking, ProcessCollector};

/// The largest file that [`Host::read`] takes in whole, in bytes. System files are far smaller.
const READ_MAX: u64 = 64 << 20;

/// A machine that tables read: this one, or a directory that looks like one.
///
/// Clones are handles on the same machine. Paths are given as the machine names them (`/etc/passwd`).
#[derive(Clone, Debug)]
pub struct Host(Arc<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    /// `None` for this machine.
    root: Option<PathBuf>,
    /// `None` for the usual one.
    processes: Option<Arc<dyn ProcessCollector>>,
    masking: Masking,
}

/// One name in a directory.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The name alone.
    pub name: OsString,
    /// What it is, not following a link; `None` when that could not be told.
    pub kind: Option<FileType>,
}

/// The names in a directory, as they are read from it.
#[derive(Debug)]
pub struct Entries(std::fs::ReadDir);

impl Iterator for Entries {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let entry = self.0.find_map(Result::ok)?;
        Some(Entry { kind: entry.file_type().ok(), name: entry.file_name() })
    }
}

/// Which file a path leads to, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    /// Major and minor number of the file system's device.
    pub device: (u32, u32),
    /// Inode number.
    pub inode: u64,
    /// Whether it is a FIFO.
    pub is_fifo: bool,
}

impl Host {
    /// This machine.
    pub fn live() -> Host {
        Host(Arc::new(Inner { root: None, processes: None, masking: Masking::On }))
    }

    /// A directory laid out like a machine: `root/proc/…`, `root/etc/…`.
    ///
    /// What a machine tells through system calls (addresses, statvfs, uname) a directory does not know.
    pub fn at(root: impl Into<PathBuf>) -> Host {
        Host(Arc::new(Inner { root: Some(root.into()), processes: None, masking: Masking::On }))
    }

    /// The same machine, with another way to see its processes.
    pub fn with_processes(&self, collector: Arc<dyn ProcessCollector>) -> Host {
        Host(Arc::new(Inner { processes: Some(collector), ..Inner::clone(&self.0) }))
    }

    /// The way to see processes that was chosen for this machine; `None` for the usual one.
    pub fn processes(&self) -> Option<&Arc<dyn ProcessCollector>> {
        self.0.processes.as_ref()
    }

    /// The same machine, whose command lines and environments are shown with their secrets.
    pub fn unmasked(&self) -> Host {
        Host(Arc::new(Inner { masking: Masking::Off, ..Inner::clone(&self.0) }))
    }

    /// Whether tables mask the secrets in what they show of this machine; they do unless told otherwise.
    pub fn masking(&self) -> Masking {
        self.0.masking
    }

    /// Whether this is the running machine, which system calls can be asked about.
    pub fn is_live(&self) -> bool {
        self.0.root.is_none()
    }

    /// Where a path of the machine is found from here.
    pub fn place<'p>(&self, path: &'p Path) -> Cow<'p, Path> {
        match &self.0.root {
            None => Cow::Borrowed(path),
            // Byte by byte, because a slash at the end means a directory, which `strip_prefix` would drop.
            Some(root) => {
                let slashes = path.as_os_str().as_bytes().iter().take_while(|b| **b == b'/').count();
                Cow::Owned(root.join(OsStr::from_bytes(&path.as_os_str().as_bytes()[slashes..])))
            }
        }
    }

    /// A file's whole content, up to 64 MiB. For files of the system, whose names the tables choose; a path
    /// that a query names goes through [`Host::contents`].
    pub fn read(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        self.read_into(path, &mut content)?;
        Ok(content)
    }

    /// As [`Host::read`], into a buffer that is emptied first.
    pub fn read_into(&self, path: impl AsRef<Path>, buffer: &mut Vec<u8>) -> io::Result<()> {
        buffer.clear();
        let file = self.open(path.as_ref())?;
        file.take(READ_MAX).read_to_end(buffer)?;
        if buffer.len() as u64 == READ_MAX {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 64 MiB"));
        }
        Ok(())
    }

    /// A file's content as text, with bytes that are not UTF-8 replaced.
    pub fn read_text(&self, path: impl AsRef<Path>) -> io::Result<String> {
        Ok(String::from_utf8(self.read(path)?)
            .unwrap_or_else(|not_utf8| String::from_utf8_lossy(not_utf8.as_bytes()).into_owned()))
    }

    /// Opens a file for reading, which never waits for a writer or a terminal.
    pub(crate) fn open(&self, path: &Path) -> io::Result<File> {
        std::fs::OpenOptions::new()
            .read(true)
            .custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC).bits() as i32)
            .open(self.place(path))
    }

    /// The names in a directory, without `.` and `..`, in the order that the file system gives.
    pub fn list(&self, path: impl AsRef<Path>) -> io::Result<Entries> {
        Ok(Entries(std::fs::read_dir(self.place(path.as_ref()))?))
    }

    /// The names in a directory, sorted, so that two scans agree.
    pub fn list_sorted(&self, path: impl AsRef<Path>) -> io::Result<Vec<Entry>> {
        let mut entries: Vec<Entry> = self.list(path)?.collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// What stat(2) says, following links.
    pub fn stat(&self, path: impl AsRef<Path>) -> io::Result<Metadata> {
        std::fs::metadata(self.place(path.as_ref()))
    }

    /// What lstat(2) says of the name itself.
    pub fn lstat(&self, path: impl AsRef<Path>) -> io::Result<Metadata> {
        std::fs::symlink_metadata(self.place(path.as_ref()))
    }

    /// Where a symbolic link points.
    pub fn read_link(&self, path: impl AsRef<Path>) -> io::Result<PathBuf> {
        std::fs::read_link(self.place(path.as_ref()))
    }

    /// A file of one value, as sysfs has them: its content without white space around it.
    pub fn read_value(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        Ok(self.read(path)?.trim_ascii().to_vec())
    }

    /// A path with every symbolic link in it resolved, as the machine names it (realpath(3)).
    pub fn real_path(&self, path: impl AsRef<Path>) -> io::Result<PathBuf> {
        let real = std::fs::canonicalize(self.place(path.as_ref()))?;
        match &self.0.root {
            None => Ok(real),
            Some(root) => match real.strip_prefix(std::fs::canonicalize(root)?) {
                Ok(inside) => Ok(Path::new("/").join(inside)),
                Err(_) => Err(io::Error::new(io::ErrorKind::NotFound, "leads out of the directory")),
            },
        }
    }

    /// The hardware's name, as uname(2) gives it: `x86_64`. In a directory, from `/proc/sys/kernel/arch`.
    pub fn machine(&self) -> io::Result<Vec<u8>> {
        if self.is_live() {
            Ok(rustix::system::uname().machine().to_bytes().to_vec())
        } else {
            self.read_value("/proc/sys/kernel/arch")
        }
    }

    /// The names of a file's extended attributes, not following a link.
    #[cfg(target_os = "linux")]
    pub fn attribute_names(&self, path: impl AsRef<Path>) -> io::Result<Vec<Vec<u8>>> {
        let path = self.place(path.as_ref());
        let mut names = vec![0; 64 << 10]; // XATTR_LIST_MAX
        let len = rustix::fs::llistxattr(&*path, &mut names)?;
        Ok(names[..len].split(|b| *b == 0).filter(|n| !n.is_empty()).map(<[u8]>::to_vec).collect())
    }

    /// The value of an extended attribute, not following a link.
    #[cfg(target_os = "linux")]
    pub fn attribute(&self, path: impl AsRef<Path>, name: &[u8]) -> io::Result<Vec<u8>> {
        let path = self.place(path.as_ref());
        let mut value = vec![0; 64 << 10]; // XATTR_SIZE_MAX
        let len = rustix::fs::lgetxattr(&*path, OsStr::from_bytes(name), &mut value)?;
        value.truncate(len);
        Ok(value)
    }

    /// Which file a path leads to, following links. A network file system is not asked, so one whose server
    /// is gone cannot hold this up (`AT_STATX_DONT_SYNC` of statx(2)).
    #[cfg(target_os = "linux")]
    pub fn file_id(&self, path: impl AsRef<Path>) -> io::Result<FileId> {
        use rustix::fs::{AtFlags, CWD, FileType, StatxFlags, statx};
        let path = self.place(path.as_ref());
        let wanted = StatxFlags::TYPE | StatxFlags::INO;
        let s = statx(CWD, &*path, AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT, wanted)?;
        let is_fifo = FileType::from_raw_mode(s.stx_mode.into()) == FileType::Fifo;
        Ok(FileId { device: (s.stx_dev_major, s.stx_dev_minor), inode: s.stx_ino, is_fifo })
    }

    /// Asks the kernel for its network configuration in the network namespace of this process. Unsupported for
    /// a directory that stands for a machine.
    #[cfg(target_os = "linux")]
    pub fn rtnetlink(&self, what: crate::Rtnetlink) -> io::Result<crate::RtnetlinkDump> {
        if !self.is_live() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        crate::RtnetlinkDump::start(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vanished;

    #[test]
    fn a_real_path_stays_inside_of_a_fixture() {
        let root = tempfile::tempdir().unwrap();
        let dev = root.path().join("dev");
        std::fs::create_dir_all(dev.join("mapper")).unwrap();
        std::fs::write(dev.join("dm-0"), "").unwrap();
        std::os::unix::fs::symlink("../dm-0", dev.join("mapper/root")).unwrap();
        std::os::unix::fs::symlink("/etc", dev.join("out")).unwrap();
        let host = Host::at(root.path());
        assert_eq!(host.real_path("/dev/mapper/root").unwrap(), Path::new("/dev/dm-0"));
        assert!(vanished(&host.real_path("/dev/out").unwrap_err()));
    }

    #[test]
    fn a_fixture_is_read_in_place_of_the_machine() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        std::fs::write(root.path().join("etc/hostname"), "fixture\n").unwrap();
        let host = Host::at(root.path());
        assert_eq!(host.read_text("/etc/hostname").unwrap(), "fixture\n");
        assert_eq!(host.list_sorted("/etc").unwrap()[0].name, "hostname");
        assert!(!host.is_live());
    }
}
