//! What a connection may use. Every limit has a name and a unit.

use std::time::Duration;

/// The protocol's version: another major one is refused.
pub const VERSION_MAJOR: u32 = 1;
/// Grows with each addition that an older peer can ignore.
pub const VERSION_MINOR: u32 = 0;

/// Bytes of the largest payload of a frame, in either direction.
pub const FRAME_BYTES_MAX: u32 = 32 << 20;
/// Bytes of the largest payload that a collector takes from a client: room for an IN list of 10,000 paths.
pub const REQUEST_BYTES_MAX: u32 = 4 << 20;
/// Bytes of the first payload from a client, before anything is known of it.
pub const CLIENT_HELLO_BYTES_MAX: u32 = 4 << 10;
/// Bytes that a reader takes from the stream at once, and the step by which a body grows as it arrives.
pub(crate) const READ_BYTES: usize = 64 << 10;
/// From the first byte of a frame to its last.
pub const FRAME_TIME_MAX: Duration = Duration::from_secs(5);
/// From the connection to the end of the handshake.
pub const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(2);

/// Constraints of one scan.
pub const CONSTRAINTS_MAX: usize = 64;
/// Values of all constraints of one scan.
pub const CONSTRAINT_VALUES_MAX: usize = 128 << 10;
/// Rows of one batch that a client takes.
pub const BATCH_ROWS_MAX: u32 = 64 << 10;
/// Columns of one table.
pub const COLUMNS_MAX: usize = 512;
/// Tables of one collector.
pub const TABLES_MAX: usize = 1024;
/// Events of one frame.
pub const EVENTS_PER_FRAME_MAX: usize = 1000;
/// Fields of one event.
pub const EVENT_FIELDS_MAX: usize = 64;
/// Notes of one frame; a run keeps no more kinds of note than this.
pub const NOTES_PER_FRAME_MAX: usize = 1024;

/// Rows of the first batch, so that the first row is there early.
pub(crate) const FIRST_BATCH_ROWS: usize = 128;
/// Rows of a later batch.
pub(crate) const BATCH_ROWS: usize = 1000;
/// Bytes of values after which a batch is sent.
pub(crate) const BATCH_BYTES: usize = 256 << 10;
/// How long a row waits for others before its batch is sent.
pub(crate) const BATCH_TIME_MAX: Duration = Duration::from_millis(50);
/// Batches that a client lets a collector send ahead.
pub(crate) const CREDIT: u32 = 4;
/// The most that a collector counts as granted.
pub(crate) const CREDIT_MAX: u32 = 64;
