//! Names on the disk, as readdir(3) and lstat(2) tell of them.

use std::fs::FileType;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use collector::{Entries, Host, note, or_note};
use model::{Run, ScanError};

use super::pattern::{Step, Token, matches};
use crate::bytes;
use crate::held::Held;

/// How deep `%%` goes below the directory it starts in. No path that a program can open is deeper.
const DEPTH_MAX: usize = 2048;
/// A run is asked whether to stop once for so many names.
const POLL_EVERY: u32 = 64;

/// A path that exists, or did when its directory was read.
#[derive(Debug)]
pub(crate) struct Found {
    path: Vec<u8>,
    directory: usize,
    /// What the name itself is, not following a link; `None` when the directory did not tell.
    pub(crate) kind: Option<FileType>,
}

impl Found {
    fn at(path: Vec<u8>, kind: Option<FileType>) -> Found {
        Found { directory: parent(&path), path, kind }
    }

    /// The path as it was asked for.
    pub(crate) fn path(&self) -> &Path {
        bytes::path(&self.path)
    }

    /// The directory it is in, as it was asked for.
    pub(crate) fn directory(&self) -> &[u8] {
        &self.path[..self.directory]
    }

    /// The last name; `/` for the root.
    pub(crate) fn filename(&self) -> &[u8] {
        let path = trimmed(&self.path);
        match path.iter().rposition(|b| *b == b'/') {
            Some(slash) if slash + 1 < path.len() => &path[slash + 1..],
            _ => path,
        }
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.path.capacity()
    }
}

/// A path without the slashes at its end; the root keeps one.
fn trimmed(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|b| *b != b'/').map_or(1, |last| last + 1);
    &path[..end.min(path.len())]
}

/// How many bytes of a path are its directory: none for the root, which is in no directory.
fn parent(path: &[u8]) -> usize {
    let path = trimmed(path);
    match path.iter().rposition(|b| *b == b'/') {
        Some(slash) if path.len() > 1 => trimmed(&path[..=slash]).len(),
        _ => 0,
    }
}

/// Work that is left: the steps to take from a directory.
#[derive(Debug)]
struct Task {
    base: Vec<u8>,
    steps: Arc<[Step]>,
    at: usize,
    /// Levels below the directory where `Below` began.
    depth: usize,
}

impl Task {
    fn bytes(&self) -> usize {
        size_of::<Task>() + self.base.capacity()
    }
}

/// The paths that a query asks for. Reads one directory at a time and never follows a link downwards.
pub(crate) struct Walk {
    table: &'static str,
    host: Host,
    run: Run,
    tasks: Vec<Task>,
    open: Option<(Task, Entries)>,
    held: Held,
    seen: u32,
}

impl Walk {
    pub(super) fn new(host: &Host, run: &Run, table: &'static str) -> Walk {
        Walk {
            table,
            host: host.clone(),
            run: run.clone(),
            tasks: Vec::new(),
            open: None,
            held: Held::new(run),
            seen: 0,
        }
    }

    /// Adds a start, which comes before those added earlier.
    pub(super) fn start(&mut self, base: &[u8], steps: Vec<Step>) -> Result<(), ScanError> {
        self.push(Task { base: base.to_vec(), steps: steps.into(), at: 0, depth: 0 })
    }

    fn push(&mut self, task: Task) -> Result<(), ScanError> {
        let bytes = task.bytes();
        self.tasks.push(task);
        Ok(self.held.grow(bytes)?)
    }

    fn pop(&mut self) -> Option<Task> {
        let task = self.tasks.pop()?;
        self.held.shrink(task.bytes());
        Some(task)
    }

    /// Goes on with a task: to the path itself when no wildcard is left, else to the next directory.
    fn begin(&mut self, mut task: Task) -> Result<Option<Found>, ScanError> {
        while let Some(Step::Name(name)) = task.steps.get(task.at) {
            task.base.push(b'/');
            task.base.extend_from_slice(name);
            task.at += 1;
        }
        let base = bytes::path(&task.base);
        let Some(step) = task.steps.get(task.at) else {
            let metadata = or_note(self.host.lstat(base), &self.run, self.table, "");
            return Ok(metadata.map(|metadata| Found::at(task.base, Some(metadata.file_type()))));
        };
        match self.host.list(if task.base.is_empty() { Path::new("/") } else { base }) {
            Ok(entries) => self.open = Some((task, entries)),
            Err(error) => {
                // `_` in a path is nearly always meant as itself, and looking up needs fewer rights.
                if let Step::Match(tokens) = step
                    && let Some(name) = written(tokens)
                {
                    let base = [&task.base, &b"/"[..], &name].concat();
                    self.push(Task { base, at: task.at + 1, ..task })?;
                } else {
                    note(&self.run, self.table, "", &error);
                }
            }
        }
        Ok(None)
    }

    /// The next name of the directory that is open. `None` when it is done.
    fn step(&mut self) -> Result<Option<Found>, ScanError> {
        while let Some((task, entries)) = &mut self.open {
            let Some(entry) = entries.next() else {
                self.open = None;
                break;
            };
            self.seen = self.seen.wrapping_add(1);
            if self.seen.is_multiple_of(POLL_EVERY) {
                self.run.check()?;
            }
            let name = entry.name.as_bytes();
            let mut path = Vec::with_capacity(task.base.len() + 1 + name.len());
            path.extend_from_slice(&task.base);
            let step = task.steps.get(task.at);
            if !matches!(step, Some(Step::Entries) if path.ends_with(b"/")) {
                path.push(b'/');
            }
            path.extend_from_slice(name);
            match step {
                Some(Step::Entries) => {
                    let directory = task.base.len();
                    return Ok(Some(Found { path, directory, kind: entry.kind }));
                }
                Some(Step::Match(tokens)) if matches(tokens, name) => {
                    if task.at + 1 == task.steps.len() {
                        return Ok(Some(Found::at(path, entry.kind)));
                    }
                    if entry.kind.is_none_or(|kind| kind.is_dir() || kind.is_symlink()) {
                        let next = Task { base: path, steps: task.steps.clone(), at: task.at + 1, depth: 0 };
                        self.push(next)?;
                    }
                }
                Some(Step::Below(tokens)) if task.depth > 0 || matches(tokens, name) => {
                    let next =
                        Task { base: path, steps: task.steps.clone(), at: task.at, depth: task.depth + 1 };
                    return self.below(next, entry.kind).map(Some);
                }
                _ => {}
            }
        }
        Ok(None)
    }

    fn below(&mut self, task: Task, kind: Option<FileType>) -> Result<Found, ScanError> {
        let found = Found::at(task.base.clone(), kind);
        let kind = kind.or_else(|| self.host.lstat(found.path()).ok().map(|m| m.file_type()));
        if kind.is_some_and(|kind| kind.is_dir()) {
            if task.depth < DEPTH_MAX {
                self.push(task)?;
            } else {
                self.run.note(self.table, "", format!("directories deeper than {DEPTH_MAX}"));
            }
        }
        Ok(found)
    }

    fn advance(&mut self) -> Result<Option<Found>, ScanError> {
        loop {
            if let Some(found) = self.step()? {
                return Ok(Some(found));
            }
            self.run.check()?;
            let Some(task) = self.pop() else { return Ok(None) };
            if let Some(found) = self.begin(task)? {
                return Ok(Some(found));
            }
        }
    }
}

/// The name that tokens without a `%` were written as.
fn written(tokens: &[Token]) -> Option<Vec<u8>> {
    let byte = |token: &Token| match token {
        Token::Byte(b) => Some(*b),
        Token::One => Some(b'_'),
        Token::Run => None,
    };
    tokens.iter().map(byte).collect()
}

impl Iterator for Walk {
    type Item = Result<Found, ScanError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_split_into_directory_and_name() {
        let split = |path: &str| {
            let found = Found::at(path.into(), None);
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            (text(found.directory()), text(found.filename()))
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(split("/etc/passwd"), pair("/etc", "passwd"));
        assert_eq!(split("/etc//ssh//"), pair("/etc", "ssh"));
        assert_eq!(split("/etc"), pair("/", "etc"));
        assert_eq!(split("/etc/.."), pair("/etc", ".."));
        assert_eq!(split("/"), pair("", "/"));
        assert_eq!(split("//"), pair("", "/"));
    }
}
