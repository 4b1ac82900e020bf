//! The wall clock, in ms since 1970.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now; 0 for a clock before 1970.
pub(crate) fn now_ms() -> i64 {
    ms(SystemTime::now())
}

/// A time of that clock.
pub(crate) fn ms(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
