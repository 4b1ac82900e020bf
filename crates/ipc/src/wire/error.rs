//! How a scan ended.

use std::time::Duration;

use model::{ScanError, Stop};

use crate::proto::{Failure, Stopped, failure::Kind};

/// An error as a message.
pub(crate) fn failure(error: &ScanError) -> Failure {
    let kind = match error {
        ScanError::Stopped(Stop::Cancelled) => Kind::Cancelled(Stopped {}),
        ScanError::Stopped(Stop::Deadline(limit)) => {
            Kind::DeadlineMs(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX))
        }
        ScanError::Stopped(Stop::Memory(bytes)) => Kind::MemoryBytes(*bytes),
        ScanError::Failed(why) => Kind::Failed(why.clone()),
        unreachable @ ScanError::Unreachable { .. } => Kind::Failed(unreachable.to_string()),
    };
    Failure { kind: Some(kind) }
}

/// The error of a message. One of a kind that this program does not know is a failure.
pub(crate) fn scan_error(failure: Failure) -> ScanError {
    match failure.kind {
        Some(Kind::Cancelled(_)) => ScanError::Stopped(Stop::Cancelled),
        Some(Kind::DeadlineMs(ms)) => ScanError::Stopped(Stop::Deadline(Duration::from_millis(ms))),
        Some(Kind::MemoryBytes(bytes)) => ScanError::Stopped(Stop::Memory(bytes)),
        Some(Kind::Failed(why) | Kind::Busy(why)) => ScanError::Failed(why),
        None => ScanError::Failed("the collector ended the scan for a reason that is not known here".into()),
    }
}
