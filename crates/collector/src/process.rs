//! Processes: who collects them, and one process whose facts are read group by group.

use std::fmt::Debug;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use model::{Query, Run, ScanError};

use crate::process_record::{Exe, Image, Io, Memory, Namespaces, ProcessRecord, Started, Stat, Status};
use crate::{Host, Masked, Masking, Row, Rows, reason, vanished};

/// A way to see the processes of a machine.
pub trait ProcessCollector: Debug + Send + Sync {
    /// Its name, as tables report it.
    fn name(&self) -> &'static str;
    /// The processes, by ascending pid. One that vanishes while it is read is left out.
    fn scan(&self, query: ProcessQuery) -> Result<Rows<Process>, ScanError>;
}

/// How much of a process a statement may read, which decides what a scan does ahead of the getters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// The pid alone.
    Pid,
    /// [`Stat`] and what follows from it.
    Stat,
    /// Other groups too, each when a getter first needs it.
    More,
}

/// Groups that will be read of every process of a scan, which may then read them together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OfAll {
    /// The ids of [`Status`], and nothing else of it.
    pub ids: bool,
    /// [`Exe`].
    pub exe: bool,
    /// See [`ProcessRecord::cmdline`].
    pub cmdline: bool,
}

/// What a scan of processes is asked for.
#[derive(Clone, Debug)]
pub struct ProcessQuery {
    /// The table for which unreadable values are noted.
    pub table: &'static str,
    /// Only these processes, ascending and without repeats; all of them when `None`.
    pub pids: Option<Vec<u32>>,
    /// How much will be read.
    pub reads: Reads,
    /// Whether of [`Status`] the ids alone will be read, which come first and cost half as much.
    pub ids_alone: bool,
    /// What will be read of every process.
    pub of_all: OfAll,
    /// Whether the secrets of command lines are masked.
    pub masking: Masking,
    /// The run of the statement.
    pub run: Run,
}

impl ProcessQuery {
    /// The processes of `host` that a query of `table` can show, by its constraint on the column `pid`.
    pub fn new(host: &Host, table: &'static str, query: &Query, reads: Reads) -> ProcessQuery {
        // `ints` sorts and drops repeats; what is no pid matches nothing.
        let pids = query.ints("pid").map(|pids| pids.iter().filter_map(|p| u32::try_from(*p).ok()).collect());
        ProcessQuery {
            table,
            pids,
            reads,
            ids_alone: false,
            of_all: OfAll::default(),
            masking: host.masking(),
            run: query.run.clone(),
        }
    }
}

/// Reads groups of facts for the processes of one scan, which all share it.
///
/// Each method must be sure that what it read belongs to the process it was given. `NotFound` (the default)
/// means that there is nothing to see, which makes a NULL without a note.
pub trait ProcessReader: Send + Sync {
    /// The scan's query.
    fn query(&self) -> &ProcessQuery;
    /// See [`Stat`].
    fn stat(&self, _: &Process) -> io::Result<Stat> {
        nothing()
    }
    /// See [`Started::unix`].
    fn start_time(&self, _: &Process) -> Option<i64> {
        None
    }
    /// See [`Started::key`].
    fn start_key(&self, _: &Process) -> Option<String> {
        None
    }
    /// See [`Status`].
    fn status(&self, _: &Process) -> io::Result<Status> {
        nothing()
    }
    /// See [`Memory`].
    fn memory(&self, _: &Process) -> io::Result<Memory> {
        nothing()
    }
    /// See [`ProcessRecord::cmdline`].
    fn cmdline(&self, _: &Process) -> io::Result<Vec<u8>> {
        nothing()
    }
    /// See [`Exe`].
    fn exe(&self, _: &Process) -> io::Result<Exe> {
        nothing()
    }
    /// See [`Image`].
    fn image(&self, _: &Process) -> io::Result<Image> {
        nothing()
    }
    /// See [`ProcessRecord::cwd`].
    fn cwd(&self, _: &Process) -> io::Result<Vec<u8>> {
        nothing()
    }
    /// See [`ProcessRecord::root`].
    fn root(&self, _: &Process) -> io::Result<Vec<u8>> {
        nothing()
    }
    /// See [`Io`].
    fn io(&self, _: &Process) -> io::Result<Io> {
        nothing()
    }
    /// See [`ProcessRecord::cgroup`].
    fn cgroup(&self, _: &Process) -> io::Result<Vec<u8>> {
        nothing()
    }
    /// See [`ProcessRecord::loginuid`].
    fn loginuid(&self, _: &Process) -> io::Result<Option<u32>> {
        nothing()
    }
    /// See [`Namespaces`].
    fn namespaces(&self, _: &Process) -> io::Result<Namespaces> {
        nothing()
    }
    /// The environment as it was at exec: `NAME=value`, each ended by a NUL.
    fn environ(&self, _: &Process) -> io::Result<Vec<u8>> {
        nothing()
    }
    /// Content of proc_pid_maps(5).
    fn maps(&self, _: &Process) -> io::Result<Vec<u8>> {
        nothing()
    }
    /// The name of a terminal under `/dev`, by its device number.
    fn tty(&self, _device: u32) -> Option<String> {
        None
    }
}

fn nothing<T>() -> io::Result<T> {
    Err(io::ErrorKind::NotFound.into())
}

/// A group that was read, or why it was not.
type Memo<T> = OnceLock<Result<T, Box<Unseen>>>;

fn memo<T>(known: Option<T>) -> Memo<T> {
    known.map_or_else(OnceLock::new, |value| OnceLock::from(Ok(value)))
}

/// Why a group could not be read.
struct Unseen {
    /// `None` when there was nothing to read.
    reason: Option<String>,
    /// Columns for which this was noted: one note for each, however often its getter runs.
    noted: Mutex<Vec<&'static str>>,
}

impl Unseen {
    fn boxed(error: io::Error) -> Box<Unseen> {
        let reason = (!vanished(&error)).then(|| reason(&error));
        Box::new(Unseen { reason, noted: Mutex::default() })
    }
}

/// One process. Getters take the name of the column that asks, for the note when the value cannot be read.
///
/// Groups are read at different moments: each belongs to this very process, but an execve(2) in between can
/// leave an old command line beside a new image.
pub struct Process {
    pid: u32,
    reader: Arc<dyn ProcessReader>,
    stat: Option<Stat>,
    started: Option<Box<Started>>,
    /// Apart, because most scans ask for none of it, and rows are moved about.
    groups: OnceLock<Box<Groups>>,
}

#[derive(Default)]
struct Groups {
    /// Bytes of lazily read text, counted against the run until the process is dropped.
    held: AtomicUsize,
    stat: Memo<Stat>,
    status: Memo<Status>,
    memory: Memo<Memory>,
    cmdline: Memo<Masked>,
    exe: Memo<Exe>,
    image: Memo<Image>,
    cwd: Memo<Vec<u8>>,
    root: Memo<Vec<u8>>,
    io: Memo<Io>,
    cgroup: Memo<Vec<u8>>,
    loginuid: Memo<Option<u32>>,
    namespaces: Memo<Namespaces>,
}

impl Process {
    /// A process of which `reader` can read what `stat` does not tell.
    pub fn new(pid: u32, stat: Option<Stat>, reader: Arc<dyn ProcessReader>) -> Process {
        Process { pid, reader, stat, started: None, groups: OnceLock::new() }
    }

    /// A process of which `record` is known, and of which `reader` can read the rest.
    pub fn known(record: ProcessRecord, reader: Arc<dyn ProcessReader>) -> Process {
        let groups = Groups {
            status: memo(record.status),
            memory: memo(record.memory),
            cmdline: memo(record.cmdline.map(|arguments| reader.query().masking.arguments(arguments))),
            exe: memo(record.exe),
            image: memo(record.image),
            cwd: memo(record.cwd),
            root: memo(record.root),
            io: memo(record.io),
            cgroup: memo(record.cgroup),
            loginuid: memo(record.loginuid),
            namespaces: memo(record.namespaces),
            ..Groups::default()
        };
        Process {
            pid: record.pid,
            reader,
            stat: record.stat,
            started: record.started.map(Box::new),
            groups: OnceLock::from(Box::new(groups)),
        }
    }

    /// Takes over groups that the scan read ahead. What failed is noted when a getter asks for it.
    pub fn learn(&self, status: Status, exe: Option<io::Result<Exe>>, cmdline: Option<io::Result<Vec<u8>>>) {
        let groups = self.groups();
        let _ = groups.status.set(Ok(status));
        if let Some(exe) = exe {
            let _ = groups.exe.set(self.held_exe(exe).map_err(Unseen::boxed));
        }
        if let Some(cmdline) = cmdline {
            let _ = groups.cmdline.set(self.masked(cmdline).map_err(Unseen::boxed));
        }
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// See [`Stat`].
    pub fn stat(&self, column: &'static str) -> Option<&Stat> {
        match &self.stat {
            Some(stat) => Some(stat),
            None => self.see(|g| &g.stat, column, |r| r.stat(self)),
        }
    }

    /// [`Stat`] as it was when the scan came to this process.
    pub fn stat_known(&self) -> Option<&Stat> {
        self.stat.as_ref()
    }

    /// When it started, in seconds since 1970.
    pub fn start_time(&self) -> Option<i64> {
        self.started.as_ref().map_or_else(|| self.reader.start_time(self), |s| s.unix)
    }

    /// Text that names this process among all that the machine ever ran: boot, pid and start.
    pub fn start_key(&self) -> Option<String> {
        self.started.as_ref().map_or_else(|| self.reader.start_key(self), |s| s.key.clone())
    }

    /// See [`Status`].
    pub fn status(&self, column: &'static str) -> Option<&Status> {
        self.see(|g| &g.status, column, |r| r.status(self))
    }

    /// See [`Memory`].
    pub fn memory(&self, column: &'static str) -> Option<&Memory> {
        match self.groups().status.get() {
            Some(Ok(status)) if status.memory != Memory::default() => Some(&status.memory),
            _ => self.see(|g| &g.memory, column, |r| r.memory(self)),
        }
    }

    /// The arguments with blanks between them, without their secrets where the query masks.
    pub fn cmdline(&self, column: &'static str) -> Option<&Masked> {
        self.see(|g| &g.cmdline, column, |r| self.masked(r.cmdline(self)))
    }

    /// See [`Exe`].
    pub fn exe(&self, column: &'static str) -> Option<&Exe> {
        self.see(|g| &g.exe, column, |r| self.held_exe(r.exe(self)))
    }

    /// See [`Image`].
    pub fn image(&self, column: &'static str) -> Option<&Image> {
        self.see(|g| &g.image, column, |r| r.image(self))
    }

    /// See [`ProcessRecord::cwd`].
    pub fn cwd(&self, column: &'static str) -> Option<&[u8]> {
        self.see(|g| &g.cwd, column, |r| self.hold(r.cwd(self), Vec::len)).map(Vec::as_slice)
    }

    /// See [`ProcessRecord::root`].
    pub fn root(&self, column: &'static str) -> Option<&[u8]> {
        self.see(|g| &g.root, column, |r| self.hold(r.root(self), Vec::len)).map(Vec::as_slice)
    }

    /// See [`Io`].
    pub fn io(&self, column: &'static str) -> Option<&Io> {
        self.see(|g| &g.io, column, |r| r.io(self))
    }

    /// See [`ProcessRecord::cgroup`].
    pub fn cgroup(&self, column: &'static str) -> Option<&[u8]> {
        self.see(|g| &g.cgroup, column, |r| self.hold(r.cgroup(self), Vec::len)).map(Vec::as_slice)
    }

    /// See [`ProcessRecord::loginuid`].
    pub fn loginuid(&self, column: &'static str) -> Option<u32> {
        *self.see(|g| &g.loginuid, column, |r| r.loginuid(self))?
    }

    /// See [`Namespaces`].
    pub fn namespaces(&self, column: &'static str) -> Option<&Namespaces> {
        self.see(|g| &g.namespaces, column, |r| r.namespaces(self))
    }

    /// The controlling terminal's name under `/dev`.
    pub fn tty(&self, column: &'static str) -> Option<String> {
        self.reader.tty(self.stat(column)?.tty?)
    }

    /// See [`ProcessReader::environ`]. Not kept.
    pub fn environ(&self) -> Option<Vec<u8>> {
        self.note_error("", self.reader.environ(self))
    }

    /// See [`ProcessReader::maps`]. Not kept.
    pub fn maps(&self) -> Option<Vec<u8>> {
        self.note_error("", self.reader.maps(self))
    }

    fn groups(&self) -> &Groups {
        self.groups.get_or_init(Box::default)
    }

    fn see<T>(
        &self,
        memo: fn(&Groups) -> &Memo<T>,
        column: &'static str,
        read: impl FnOnce(&dyn ProcessReader) -> io::Result<T>,
    ) -> Option<&T> {
        match memo(self.groups()).get_or_init(|| read(&*self.reader).map_err(Unseen::boxed)) {
            Ok(value) => Some(value),
            Err(unseen) => {
                if let Some(reason) = &unseen.reason {
                    let mut noted = unseen.noted.lock().unwrap_or_else(PoisonError::into_inner);
                    if !noted.contains(&column) {
                        noted.push(column);
                        self.note(column, reason.clone());
                    }
                }
                None
            }
        }
    }

    fn note_error<T>(&self, column: &'static str, result: io::Result<T>) -> Option<T> {
        result
            .map_err(|error| {
                if !vanished(&error) {
                    self.note(column, reason(&error))
                }
            })
            .ok()
    }

    fn note(&self, column: &'static str, reason: String) {
        let query = self.reader.query();
        query.run.note(query.table, column, reason);
    }

    fn held_exe(&self, read: io::Result<Exe>) -> io::Result<Exe> {
        self.hold(read, |exe| exe.path.len())
    }

    fn masked(&self, read: io::Result<Vec<u8>>) -> io::Result<Masked> {
        let masking = self.reader.query().masking;
        self.hold(read, Vec::len).map(|arguments| masking.arguments(arguments))
    }

    /// Counts what was read. A run that now holds too much ends at its next check.
    fn hold<T>(&self, read: io::Result<T>, bytes: fn(&T) -> usize) -> io::Result<T> {
        if let Ok(value) = &read {
            let bytes = bytes(value);
            self.groups().held.fetch_add(bytes, Ordering::Relaxed);
            let _ = self.reader.query().run.hold(bytes);
        }
        read
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let held = self.groups.get_mut().map_or(0, |groups| *groups.held.get_mut());
        if held > 0 {
            self.reader.query().run.release(held);
        }
    }
}

impl Row for Process {
    fn heap_bytes(&self) -> usize {
        // Counted ahead: a kept row reads when it is asked.
        let groups = if self.reader.query().reads == Reads::More { size_of::<Groups>() } else { 0 };
        groups + self.stat.as_ref().map_or(0, |stat| stat.name.capacity())
    }
}

/// Literal records: what a platform gave at once, or what stands for a machine in a test.
#[derive(Clone, Debug, Default)]
pub struct ProcessRecords(pub Vec<ProcessRecord>);

/// Reads nothing: what a record does not hold is not known.
struct Literal(ProcessQuery);

impl ProcessReader for Literal {
    fn query(&self) -> &ProcessQuery {
        &self.0
    }
}

impl ProcessRecords {
    /// The records as the rows of a scan: by ascending pid, and those alone that the query asks for.
    pub fn into_rows(self, query: ProcessQuery) -> Rows<Process> {
        let mut records = self.0;
        records.retain(|r| query.pids.as_ref().is_none_or(|pids| pids.binary_search(&r.pid).is_ok()));
        records.sort_by_key(|r| r.pid);
        let reader: Arc<dyn ProcessReader> = Arc::new(Literal(query));
        Box::new(records.into_iter().map(move |record| Ok(Process::known(record, reader.clone()))))
    }
}

impl ProcessCollector for ProcessRecords {
    fn name(&self) -> &'static str {
        "records"
    }

    fn scan(&self, query: ProcessQuery) -> Result<Rows<Process>, ScanError> {
        Ok(self.clone().into_rows(query))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Refuses every command line, and reads a megabyte of working directory.
    struct Refusing(ProcessQuery);

    impl ProcessReader for Refusing {
        fn query(&self) -> &ProcessQuery {
            &self.0
        }
        fn cmdline(&self, _: &Process) -> io::Result<Vec<u8>> {
            Err(io::ErrorKind::PermissionDenied.into())
        }
        fn cwd(&self, _: &Process) -> io::Result<Vec<u8>> {
            Ok(vec![b'/'; 1 << 20])
        }
    }

    fn query(run: &Run) -> ProcessQuery {
        ProcessQuery {
            table: "processes",
            pids: None,
            reads: Reads::More,
            ids_alone: false,
            of_all: OfAll::default(),
            masking: Masking::On,
            run: run.clone(),
        }
    }

    #[test]
    fn an_unreadable_value_is_noted_once_for_each_column() {
        let run = Run::unlimited();
        let process = Process::new(1, None, Arc::new(Refusing(query(&run))));
        for column in ["cmdline", "cmdline", "masked"] {
            assert_eq!(process.cmdline(column), None);
        }
        let notes: Vec<_> = run.notes().into_iter().map(|n| (n.column, n.reason, n.count)).collect();
        let denied = |column: &str| (column.to_owned(), "permission denied".to_owned(), 1);
        assert_eq!(notes, [denied("cmdline"), denied("masked")]);
        assert_eq!((process.exe("path"), run.notes().len()), (None, 2));
    }

    #[test]
    fn text_counts_against_the_run_while_its_process_is_kept() {
        let run = Run::new(None, 1 << 20, std::time::UNIX_EPOCH);
        let one = Process::new(1, None, Arc::new(Refusing(query(&run))));
        assert!(one.cwd("cwd").is_some() && one.cwd("cwd").is_some());
        assert_eq!((run.held(), run.check()), (1 << 20, Ok(())));
        let two = Process::new(1, None, Arc::new(Refusing(query(&run))));
        assert!(two.cwd("cwd").is_some());
        assert!(run.check().is_err());
        drop((one, two));
        assert_eq!(run.held(), 0);
    }

    #[test]
    fn records_are_narrowed_by_pid() {
        let record = |pid| ProcessRecord { pid, ..ProcessRecord::default() };
        let records = ProcessRecords(vec![record(7), record(1), record(3)]);
        let pids = |pids: Option<Vec<u32>>| -> Vec<u32> {
            let query = ProcessQuery { pids, ..query(&Run::unlimited()) };
            records.scan(query).unwrap().map(|p| p.unwrap().pid()).collect()
        };
        assert_eq!(pids(None), [1, 3, 7]);
        assert_eq!(pids(Some(vec![3, 4])), [3]);
    }
}
