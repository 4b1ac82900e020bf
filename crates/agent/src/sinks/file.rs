//! `file`: a line of JSON per alert, in a file that is rotated by size and age.
#![allow(
    clippy::disallowed_methods,
    reason = "the agent's own output is no part of the machine that is watched"
)]

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use model::Alert;
use store::crash_point;

use super::Sink;
use super::line::line;

/// When a file is put away, and how many of those are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rotation {
    /// Bytes that a file has at most.
    pub(crate) bytes_max: u64,
    /// How old its first line may be.
    pub(crate) age_max: Duration,
    /// Files that were put away and are kept: `alerts.ndjson.1` is the newest of them.
    pub(crate) kept: u32,
}

impl Default for Rotation {
    fn default() -> Rotation {
        Rotation { bytes_max: 32 << 20, age_max: Duration::from_secs(24 * 3600), kept: 7 }
    }
}

pub(crate) struct AlertFile {
    path: PathBuf,
    rotation: Rotation,
    open: Option<Open>,
}

struct Open {
    file: File,
    bytes: u64,
    since: SystemTime,
}

impl AlertFile {
    pub(crate) fn new(path: PathBuf, rotation: Rotation) -> AlertFile {
        AlertFile { path, rotation, open: None }
    }

    fn open(&mut self) -> io::Result<&mut Open> {
        if self.open.as_ref().is_some_and(|open| !is_still(&open.file, &self.path)) {
            self.open = None;
        }
        match self.open {
            Some(ref mut open) => Ok(open),
            None => Ok(self.open.insert(Open::at(&self.path)?)),
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.open = None;
        let name = |n: u32| {
            let mut name = self.path.clone().into_os_string();
            if n > 0 {
                name.push(format!(".{n}"));
            }
            PathBuf::from(name)
        };
        for n in (0..self.rotation.kept).rev() {
            crash_point("file.rotate");
            match fs::rename(name(n), name(n + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether the file is what the path leads to: logrotate may have moved it.
fn is_still(file: &File, path: &Path) -> bool {
    let same = |a: &fs::Metadata, b: &fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    matches!((file.metadata(), fs::metadata(path)), (Ok(a), Ok(b)) if same(&a, &b))
}

impl Open {
    fn at(path: &Path) -> io::Result<Open> {
        let mut options = File::options();
        options.create(true).read(true).append(true).mode(0o640).custom_flags(no_link());
        let mut file = options.open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        let mut bytes = metadata.len();
        // A line that a crash tore is ended, so that the next one is whole.
        if bytes > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
                bytes += 1;
            }
        }
        let since =
            if bytes == 0 { SystemTime::now() } else { metadata.created().unwrap_or(SystemTime::now()) };
        Ok(Open { file, bytes, since })
    }
}

/// O_NOFOLLOW: whoever can put a link there must not choose what is written to.
fn no_link() -> i32 {
    i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0)
}

impl Sink for AlertFile {
    fn take(&mut self, alerts: &[Alert]) -> io::Result<()> {
        for alert in alerts {
            let line = line(alert);
            let rotation = self.rotation;
            let open = self.open()?;
            let old = open.since.elapsed().is_ok_and(|age| age > rotation.age_max);
            if open.bytes > 0 && (old || open.bytes + line.len() as u64 > rotation.bytes_max) {
                self.rotate()?;
            }
            let open = self.open()?;
            // Half a line, of a disk that is full, is taken back: nobody shall read it as one.
            if let Err(error) = open.file.write_all(line.as_bytes()) {
                let _ = open.file.set_len(open.bytes);
                return Err(error);
            }
            open.bytes += line.len() as u64;
        }
        crash_point("file.sync");
        self.open()?.file.sync_data()
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.open = None;
        self.open().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::tests::alert;
    use super::*;
    use model::Evidence;

    fn lines(path: &Path) -> Vec<String> {
        fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    fn some(n: usize) -> Vec<Alert> {
        (0..n).map(|n| alert(vec![("n".into(), n.into())], Evidence::default())).collect()
    }

    #[test]
    fn a_full_file_is_put_away_and_the_oldest_goes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("alerts.ndjson");
        let rotation = Rotation { bytes_max: 1000, kept: 2, ..Rotation::default() };
        let mut sink = AlertFile::new(path.clone(), rotation);
        for alert in some(40) {
            sink.take(&[alert]).unwrap();
        }
        let name = |n: u32| directory.path().join(format!("alerts.ndjson.{n}"));
        let all = [lines(&name(2)), lines(&name(1)), lines(&path)].concat();
        assert!(all.last().unwrap().contains("{\"n\":39}") && !name(3).exists());
        assert!(all.iter().all(|line| line.starts_with('{') && line.ends_with('}')));
        assert!([name(1), name(2), path].iter().all(|path| fs::metadata(path).unwrap().len() <= 1000));
    }

    #[test]
    fn a_file_that_was_moved_away_is_made_anew_and_a_torn_line_ended() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("alerts.ndjson");
        fs::write(&path, "{\"torn").unwrap();
        let mut sink = AlertFile::new(path.clone(), Rotation::default());
        sink.take(&some(1)).unwrap();
        assert_eq!(lines(&path).len(), 2);
        fs::rename(&path, directory.path().join("away")).unwrap();
        sink.take(&some(1)).unwrap();
        assert_eq!(lines(&path).len(), 1);
        sink.reopen().unwrap();
    }

    #[test]
    fn a_link_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("alerts.ndjson");
        std::os::unix::fs::symlink(directory.path().join("target"), &path).unwrap();
        assert!(AlertFile::new(path, Rotation::default()).take(&some(1)).is_err());
        assert!(!directory.path().join("target").exists());
    }
}
