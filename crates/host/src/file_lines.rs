//! `file_lines`: a text file as rows, also as a function: `SELECT line FROM file_lines('/etc/hosts')`.

use std::sync::Arc;

use collector::{Contents, Host, Row, Rows, Table, hidden, int, or_note, required, text, unique};
use model::{Extent, Query, Run, ScanError};

use crate::lines::Lines;
use crate::{bytes, paths};

/// How much of a file is read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 30;

pub(crate) static TABLE: Table<FileLine, Host> = Table {
    name: "file_lines",
    about: "The lines of a regular file, as a table or as a function of its path.",
    identity: unique(&["path", "line_number"]),
    extent: Extent::PerKey { keys: 100_000, rows: 100 },
    columns: &[
        int("line_number", "Number of the line, from 1.", |l| l.number.into()),
        text("line", "The line without its newline, at most 1 MiB of it.", |l| (&l.line).into()),
        // SQLite gives the arguments of a table-valued function to the hidden columns in their order.
        hidden(required(text("path", "Path of the file.", |l| l.path.as_slice().into()))),
    ],
    scan,
    examples: &[
        "SELECT line FROM file_lines('/etc/passwd') WHERE line LIKE 'root:%'",
        "SELECT line_number, line FROM file_lines WHERE path = '/etc/hosts'",
    ],
};

pub(crate) struct FileLine {
    path: Arc<Vec<u8>>,
    number: i64,
    line: Vec<u8>,
}

impl Row for FileLine {
    fn heap_bytes(&self) -> usize {
        self.line.capacity()
    }
}

fn scan(host: &Host, query: &Query) -> Result<Rows<FileLine>, ScanError> {
    let Some(paths) = query.texts("path") else {
        return Err(ScanError::Failed("file_lines needs a path: file_lines('/etc/hosts')".into()));
    };
    let paths: Vec<Vec<u8>> = paths.into_iter().map(<[u8]>::to_vec).collect();
    let (host, run) = (host.clone(), query.run.clone());
    Ok(Box::new(paths.into_iter().flat_map(move |path| {
        let mut file = open(&host, &run, path);
        let run = run.clone();
        std::iter::from_fn(move || read(file.as_mut()?, &run).transpose())
    })))
}

struct File {
    path: Arc<Vec<u8>>,
    lines: Lines<Contents>,
    number: i64,
}

fn open(host: &Host, run: &Run, path: Vec<u8>) -> Option<File> {
    if !paths::usable(run, TABLE.name, &path) {
        return None;
    }
    let contents = or_note(host.contents(bytes::path(&path)), run, TABLE.name, "")?;
    let lines = Lines::of(contents, run, TABLE.name, FILE_BYTES_MAX);
    Some(File { path: Arc::new(path), lines, number: 0 })
}

fn read(file: &mut File, run: &Run) -> Result<Option<FileLine>, ScanError> {
    let Some(line) = file.lines.read()? else { return Ok(None) };
    if line.cut {
        run.note(TABLE.name, "line", "longer than 1 MiB");
    }
    file.number += 1;
    Ok(Some(FileLine { path: file.path.clone(), number: file.number, line: line.bytes }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Fixture, Scan};
    use model::Op;

    #[test]
    fn each_path_of_a_list_is_read_once() {
        let machine = Fixture::new();
        machine.file("/a", b"one\n\n\xfftwo").file("/b", "three\n");
        let paths = ["/b", "/a", "/b", "/missing", "relative", "/a\0b", ""];
        let scan = machine.scan(&TABLE).when("path", Op::Eq, paths);
        let expected = ["/b|1|three", "/a|1|one", "/a|2|", "/a|3|\\xfftwo"];
        assert_eq!(scan.texts(&["path", "line_number", "line"]), expected);
        let notes = scan.notes();
        assert_eq!((notes.len(), notes[0].reason.as_str()), (1, "not an absolute path"));
    }

    #[test]
    fn a_stopped_run_ends_the_scan_with_its_reason() {
        let machine = Fixture::new();
        machine.file("/a", "x\n".repeat(100_000));
        let asked = machine.scan(&TABLE).equal("path", "/a");
        let mut rows = scan(&asked.host, &asked.query).unwrap();
        assert!(rows.next().unwrap().is_ok());
        asked.query.run.cancel();
        assert_eq!(rows.find_map(Result::err), Some(ScanError::Stopped(model::Stop::Cancelled)));
    }

    #[test]
    fn what_has_no_lines_is_noted() {
        let paths = ["/dev/zero", "/proc/self/environ", "/etc"];
        let scan = Scan::of(&TABLE, Host::live()).when("path", Op::Eq, paths);
        assert_eq!(scan.cells().len(), 0);
        assert_eq!(scan.notes().len(), 3);
    }
}
