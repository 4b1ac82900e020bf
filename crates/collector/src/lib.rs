//! How collecting works: a table as a value, and the one handle through which tables reach a machine.
//!
//! A table does not know SQLite, and it opens nothing by itself: it asks [`Host`], which a test points at a
//! fixture directory.

mod contents;
mod event_source;
mod filesystem;
mod filter;
mod host;
mod masking;
mod process;
mod process_record;
#[cfg(target_os = "linux")]
mod rtnetlink;
mod runtime;
mod table;
mod tables;
mod unread;

pub use contents::Contents;
pub use event_source::{EventSource, Observation, SourceError};
pub use filesystem::FilesystemStats;
#[doc(hidden)]
pub use filter::{Case, conformance};
pub use filter::{Filter, regex};
pub use host::{Entries, Entry, FileId, Host};
pub use masking::{MASK, Masked, Masking, mask_arguments, mask_line};
pub use process::{OfAll, Process, ProcessCollector, ProcessQuery, ProcessReader, ProcessRecords, Reads};
pub use process_record::{Exe, Image, Io, Memory, Namespaces, ProcessRecord, Started, Stat, Status};
#[cfg(target_os = "linux")]
pub use rtnetlink::{Rtnetlink, RtnetlinkDump};
pub use runtime::{
    Batch, EventSink, LossRow, Received, Refused, Runtime, RuntimeError, RuntimeLimits, Shutdown, SourceRow,
    SourceState, Subscription, Task,
};
pub use table::{
    AnyTable, Column, Row, Rows, Scan, Snapshot, Table, blob, elsewhere_int, elsewhere_text, hidden, int,
    key, mount_namespace_id, pattern, pid_with_namespace, ranged, real, repeated, required, text, unique,
};
pub use tables::RUNTIME_TABLES;
pub use unread::{note, or_note, reason, vanished};
