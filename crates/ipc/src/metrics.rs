//! Counts of what happened on the wire.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::frame::FrameError;

/// A struct of counters, and what it showed at one moment.
macro_rules! counters {
    ($(#[$about:meta])* $counters:ident, $counts:ident { $($(#[$doc:meta])* $name:ident,)* }) => {
        #[derive(Debug, Default)]
        pub(crate) struct $counters {
            $(pub(crate) $name: AtomicU64,)*
        }

        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $counts {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl $counters {
            pub(crate) fn counts(&self) -> $counts {
                $counts { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

/// One more.
pub(crate) fn count(counter: &AtomicU64) {
    add(counter, 1);
}

/// So many more.
pub(crate) fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

/// One less, of a counter that tells how many there are now.
pub(crate) fn less(counter: &AtomicU64) {
    counter.fetch_sub(1, Ordering::Relaxed);
}

counters! {
    /// Why connections ended, by the name of the error.
    FrameCounters, FrameCounts {
        /// Frames above the limit.
        too_large,
        /// Frames that were damaged.
        checksum,
        /// Connections that ended within a frame.
        truncated,
        /// Payloads that were no message, or broke a rule of the protocol.
        malformed,
        /// Frames that did not arrive in time.
        too_slow,
        /// Streams that failed.
        io,
    }
}

impl FrameCounters {
    pub(crate) fn count(&self, error: &FrameError) {
        count(match error {
            FrameError::TooLarge { .. } => &self.too_large,
            FrameError::Checksum => &self.checksum,
            FrameError::Truncated => &self.truncated,
            FrameError::Malformed(_) => &self.malformed,
            FrameError::TooSlow(_) => &self.too_slow,
            FrameError::Io(_) => &self.io,
            // How every good connection ends.
            FrameError::Closed | FrameError::Ended(_) => return,
        });
    }
}

counters! {
    /// What a server did since it started.
    ServerCounters, ServerCounts {
        /// Connections that were accepted.
        connections,
        /// Connections that there are now.
        connections_now,
        /// Connections that were refused, with a reason.
        refused,
        /// Requests that came.
        requests,
        /// Requests of a kind that is not known here.
        unsupported,
        /// Scans that were begun.
        scans,
        /// Scans that run now.
        scans_now,
        /// Requests that were turned away because too many ran.
        busy,
        /// Scans that were ended early by their client, or because it was gone.
        cancelled,
        /// Scans that ended with an error of their table.
        failed,
        /// Scans whose table panicked.
        panicked,
        /// Scans and subscriptions that were ended because their client took nothing for too long.
        stalled,
        /// Rows that tables gave.
        rows_read,
        /// Rows that were sent.
        rows_sent,
        /// Batches that were sent.
        batches_sent,
        /// Events that were sent.
        events_sent,
        /// Events that subscribers were told were shed.
        events_shed,
        /// Bytes that were sent.
        bytes_sent,
    }
}

counters! {
    /// What became of the requests to one collector.
    CollectorCounters, CollectorCounts {
        /// Connections that were made.
        connections,
        /// Connections that could not be made.
        unreachable,
        /// Scans that were begun.
        scans,
        /// Scans that lost their connection.
        lost,
        /// Scans that the collector turned away because it had too much to do.
        busy,
        /// Scans that another collector did in its place.
        failed_over,
        /// Times that its breaker opened.
        opened,
        /// Requests that the open breaker held back.
        held_back,
    }
}
