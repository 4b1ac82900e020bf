//! How a scan fails.

use crate::Stop;

/// Why a scan ended early. A row that vanished or a value that cannot be read is not an error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// The run was told to stop; give up at once.
    #[error("{0}")]
    Stopped(Stop),
    /// The table could not be read at all; the message says what to do about it.
    #[error("{0}")]
    Failed(String),
    /// The collector that serves the table cannot be reached, or was lost before the scan ended.
    #[error("the collector {collector} cannot be reached: {why}")]
    Unreachable {
        /// Its name.
        collector: String,
        /// What happened.
        why: String,
    },
}

impl From<Stop> for ScanError {
    fn from(stop: Stop) -> Self {
        ScanError::Stopped(stop)
    }
}
