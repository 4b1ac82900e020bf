//! The handle through which tables reach a machine.
#![allow(clippy::disallowed_methods, reason = "this is the one place that the ban leads to")]

use std::borrow::Cow;
use std::ffi::OsString;
use std::fs::{File, FileType, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;

use crate::ProcessCollector;

/// The largest file that [`Host::read`] takes in whole, in bytes. System files are far smaller.
const READ_MAX: u64 = 64 << 20;

/// Magic numbers of file systems whose files are made up when they are read (statfs(2)).
const PROC_SUPER_MAGIC: i64 = 0x9fa0;
const SYSFS_MAGIC: i64 = 0x6265_6572;

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

/// What `statvfs` tells of a mounted file system.
#[derive(Clone, Copy, Debug)]
pub struct FilesystemStats {
    /// Bytes in a block.
    pub block_size: u64,
    /// Blocks in all.
    pub blocks: u64,
    /// Blocks that are free.
    pub blocks_free: u64,
    /// Blocks that are free to an ordinary user.
    pub blocks_available: u64,
    /// Inodes in all.
    pub inodes: u64,
    /// Inodes that are free.
    pub inodes_free: u64,
}

impl Host {
    /// This machine.
    pub fn live() -> Host {
        Host(Arc::new(Inner { root: None, processes: None }))
    }

    /// A directory laid out like a machine: `root/proc/…`, `root/etc/…`.
    ///
    /// What a machine tells through system calls (addresses, statvfs, uname) a directory does not know.
    pub fn at(root: impl Into<PathBuf>) -> Host {
        Host(Arc::new(Inner { root: Some(root.into()), processes: None }))
    }

    /// The same machine, with another way to see its processes.
    pub fn with_processes(&self, collector: Arc<dyn ProcessCollector>) -> Host {
        Host(Arc::new(Inner { processes: Some(collector), ..Inner::clone(&self.0) }))
    }

    /// The way to see processes that was chosen for this machine; `None` for the usual one.
    pub fn processes(&self) -> Option<&Arc<dyn ProcessCollector>> {
        self.0.processes.as_ref()
    }

    /// Whether this is the running machine, which system calls can be asked about.
    pub fn is_live(&self) -> bool {
        self.0.root.is_none()
    }

    /// Where a path of the machine is found from here.
    pub fn place<'p>(&self, path: &'p Path) -> Cow<'p, Path> {
        match &self.0.root {
            None => Cow::Borrowed(path),
            Some(root) => Cow::Owned(root.join(path.strip_prefix("/").unwrap_or(path))),
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

    fn open(&self, path: &Path) -> io::Result<File> {
        std::fs::OpenOptions::new()
            .read(true)
            .custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC).bits() as i32)
            .open(self.place(path))
    }

    /// Opens a file whose path a query named, to read what it holds.
    ///
    /// Never blocks and never has an effect: a FIFO, a device, a directory and a file of procfs or sysfs are
    /// refused with a reason (`/proc/PID/exe`, which leads to a real file, is not).
    pub fn contents(&self, path: impl AsRef<Path>) -> io::Result<Contents> {
        let path = path.as_ref();
        // Asked before it is opened, because opening a device can have an effect.
        let kind = self.stat(path)?.file_type();
        if !kind.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, not_regular(kind)));
        }
        let file = self.open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, not_regular(metadata.file_type())));
        }
        #[cfg(target_os = "linux")]
        {
            let magic = rustix::fs::fstatfs(&file)?.f_type as i64;
            if magic == PROC_SUPER_MAGIC || magic == SYSFS_MAGIC {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "a file of procfs or sysfs"));
            }
        }
        Ok(Contents { file, metadata })
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
        let len = rustix::fs::lgetxattr(&*path, std::ffi::OsStr::from_bytes(name), &mut value)?;
        value.truncate(len);
        Ok(value)
    }

    /// How full the file system of a path is. Unsupported for a directory that stands for a machine.
    pub fn filesystem(&self, path: impl AsRef<Path>) -> io::Result<FilesystemStats> {
        if !self.is_live() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let s = rustix::fs::statvfs(path.as_ref())?;
        Ok(FilesystemStats {
            block_size: s.f_bsize,
            blocks: s.f_blocks,
            blocks_free: s.f_bfree,
            blocks_available: s.f_bavail,
            inodes: s.f_files,
            inodes_free: s.f_ffree,
        })
    }
}

/// A regular file that is open for reading.
#[derive(Debug)]
pub struct Contents {
    file: File,
    metadata: Metadata,
}

impl Contents {
    /// What fstat(2) said of it when it was opened.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// What fstat(2) says now: differs from [`Contents::metadata`] when the file changed while it was read.
    pub fn metadata_now(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    /// Whether the file changed since it was opened, by size, modification or change time.
    pub fn changed(&self) -> io::Result<bool> {
        let stamp = |m: &Metadata| (m.size(), m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec());
        Ok(stamp(&self.metadata) != stamp(&self.metadata_now()?))
    }
}

impl Read for Contents {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

fn not_regular(kind: FileType) -> &'static str {
    match kind {
        k if k.is_dir() => "a directory",
        k if k.is_fifo() => "a FIFO",
        k if k.is_socket() => "a socket",
        k if k.is_char_device() => "a character device",
        k if k.is_block_device() => "a block device",
        _ => "not a regular file",
    }
}

/// Whether an error only says that the thing is gone, which makes a skipped row and not a note.
pub fn vanished(error: &io::Error) -> bool {
    const ESRCH: i32 = rustix::io::Errno::SRCH.raw_os_error();
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(ESRCH)
}

/// An error in a few words, for a note: `permission denied`.
pub fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::NotFound => "not found".into(),
        _ if error.raw_os_error().is_none() => error.to_string(),
        kind => kind.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn contents_refuses_what_is_not_a_regular_file() {
        let refused = |path: &str| Host::live().contents(path).map(drop).unwrap_err().to_string();
        assert_eq!(refused("/dev/zero"), "a character device");
        assert_eq!(refused("/tmp"), "a directory");
        if cfg!(target_os = "linux") {
            assert_eq!(refused("/proc/version"), "a file of procfs or sysfs");
        }
    }
}
