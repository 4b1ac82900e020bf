//! The rule files of a directory. A pack is read as the person who runs it may read it, and not through the
//! handle on the machine, which may be another machine's.
#![allow(
    clippy::disallowed_methods,
    reason = "rules are this program's own files, and nothing else here reads files"
)]

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::RuleFault;
use crate::source::Source;

/// Bytes of one rule file.
pub const FILE_BYTES_MAX: u64 = 1 << 20;
/// Rule files of one pack.
pub const FILES_MAX: usize = 10_000;
/// Directories within each other.
pub const DEPTH_MAX: usize = 16;

/// Why there is no pack at all.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// No such directory or file, or it cannot be read.
    #[error("the rules in {} cannot be read: {error}", path.display())]
    Unreadable {
        /// What was asked for.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A directory in which nothing is a rule. It is more often a slip than meant, and a detector that
    /// watches nothing must say so.
    #[error("{} holds no rule file (*.yaml or *.yml)", .0.display())]
    Empty(PathBuf),
    /// More files or deeper directories than a pack may have.
    #[error("{} holds {what}", path.display())]
    TooLarge {
        /// What was asked for.
        path: PathBuf,
        /// Which limit.
        what: String,
    },
}

/// The files of a pack, sorted by path: every `*.yaml` and `*.yml` that is not hidden, links followed; or the
/// one file that the path names. Directories that cannot be read are faults.
pub(crate) fn find(path: &Path) -> Result<(Vec<PathBuf>, Vec<RuleFault>), PackError> {
    let unreadable = |error| PackError::Unreadable { path: path.to_owned(), error };
    if !std::fs::metadata(path).map_err(unreadable)?.is_dir() {
        return Ok((vec![path.to_owned()], Vec::new()));
    }
    std::fs::read_dir(path).map_err(unreadable)?;
    let mut walk = Walk { files: Vec::new(), faults: Vec::new(), seen: HashSet::new() };
    walk.directory(path, 0).map_err(|what| PackError::TooLarge { path: path.to_owned(), what })?;
    if walk.files.is_empty() && walk.faults.is_empty() {
        return Err(PackError::Empty(path.to_owned()));
    }
    walk.files.sort();
    Ok((walk.files, walk.faults))
}

struct Walk {
    files: Vec<PathBuf>,
    faults: Vec<RuleFault>,
    /// Directories by their real paths, so that a link to an ancestor ends.
    seen: HashSet<PathBuf>,
}

impl Walk {
    fn directory(&mut self, path: &Path, depth: usize) -> Result<(), String> {
        if depth > DEPTH_MAX {
            return Err(format!("more than {DEPTH_MAX} directories within each other"));
        }
        let names = std::fs::canonicalize(path).and_then(|real| {
            let new = self.seen.insert(real);
            let entries = if new { Some(std::fs::read_dir(path)?) } else { None };
            entries.into_iter().flatten().map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()
        });
        let names = match names {
            Ok(names) => names,
            Err(error) => {
                self.faults.push(RuleFault::of_file(path, format!("the directory cannot be read: {error}")));
                return Ok(());
            }
        };
        for name in names {
            let hidden = name.file_name().is_none_or(|n| n.as_encoded_bytes().starts_with(b"."));
            let is_rule = name.extension().is_some_and(|e| e == "yaml" || e == "yml");
            match std::fs::metadata(&name) {
                _ if hidden => {}
                Ok(found) if found.is_dir() => self.directory(&name, depth + 1)?,
                // What is no file, or cannot be looked at, is said when it is read.
                _ if is_rule => self.files.push(name),
                _ => {}
            }
            if self.files.len() > FILES_MAX {
                return Err(format!("more than {FILES_MAX} rule files"));
            }
        }
        Ok(())
    }
}

/// A rule file's text.
pub(crate) fn read(path: &Path) -> Result<Source, Box<RuleFault>> {
    let refused = |message: String| Box::new(RuleFault::of_file(path, message));
    let unreadable = |error: io::Error| refused(format!("the file cannot be read: {error}"));
    // Asked before it is opened: opening a FIFO would wait for its writer.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(refused("not a regular file".to_owned()));
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|f| f.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(refused(format!("the file has more than {FILE_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map(|text| Source { path: path.to_owned(), text }).map_err(|error| {
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let source = Source { path: path.to_owned(), text };
        let place = source.place(error.utf8_error().valid_up_to());
        Box::new(source.fault(place, "the file is not UTF-8").help("write other bytes as {base64: …}"))
    })
}
