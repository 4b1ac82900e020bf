//! Files that a query names: opened so that nothing blocks, has an effect, or makes its content up.

use std::fs::{File, FileType, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use crate::Host;

/// Magic numbers of file systems whose files are made up when they are read (statfs(2)).
const PROC_SUPER_MAGIC: i64 = 0x9fa0;
const SYSFS_MAGIC: i64 = 0x6265_6572;

impl Host {
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

#[cfg(test)]
mod tests {
    use super::*;

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
