//! How collecting works: a table as a value, and the one handle through which tables reach a machine.
//!
//! A table does not know SQLite, and it opens nothing by itself: it asks [`Host`], which a test points at a
//! fixture directory.

mod host;
mod process;
mod table;

pub use host::{Contents, Entries, Entry, FilesystemStats, Host, reason, vanished};
pub use process::{
    Exe, Image, Io, Memory, Namespaces, Process, ProcessCollector, ProcessQuery, ProcessReader,
    ProcessRecord, ProcessRecords, Reads, Started, Stat, Status,
};
pub use table::{
    AnyTable, Column, Row, Rows, Scan, Snapshot, Table, blob, elsewhere_int, elsewhere_text, hidden, int,
    key, pattern, ranged, real, repeated, required, text, unique,
};
