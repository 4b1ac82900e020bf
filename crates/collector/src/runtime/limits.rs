//! How much the runtime holds and how long it waits.

use std::time::Duration;

/// Sources that may be registered at a time.
pub(super) const SOURCES_MAX: usize = 64;
/// Names of sources whose counts are kept after they were removed.
pub(super) const ACCOUNTS_MAX: usize = 256;
/// Subscriptions that may be open at a time.
pub(super) const SUBSCRIPTIONS_MAX: usize = 1024;

/// Limits of a [`Runtime`](super::Runtime).
#[derive(Clone, Copy, Debug)]
pub struct RuntimeLimits {
    /// Events that wait between a source and the runtime.
    pub source_events_max: usize,
    /// Bytes of those events.
    pub source_bytes_max: usize,
    /// Events that wait between the runtime and one subscriber.
    pub subscriber_events_max: usize,
    /// Bytes of those events.
    pub subscriber_bytes_max: usize,
    /// Bytes of the events that wait for all subscribers together, each counted once however many it waits
    /// for. Past it, those who are furthest behind lose their oldest.
    pub subscribers_bytes_max: usize,
    /// Events that are handed on together.
    pub batch_events_max: usize,
    /// How long the first event of a batch waits for others.
    pub batch_delay: Duration,
    /// How long a source waits for room before its event is shed.
    pub backpressure_wait: Duration,
    /// Restarts of a source that fails, before it is given up.
    pub restarts_max: u32,
    /// How long the first restart waits; each further one twice as long.
    pub restart_delay: Duration,
    /// The longest that a restart waits.
    pub restart_delay_max: Duration,
    /// A source that ran so long is given all its restarts again.
    pub restarts_reset: Duration,
}

impl Default for RuntimeLimits {
    fn default() -> Self {
        RuntimeLimits {
            source_events_max: 8192,
            source_bytes_max: 4 << 20,
            subscriber_events_max: 16_384,
            subscriber_bytes_max: 8 << 20,
            subscribers_bytes_max: 32 << 20,
            batch_events_max: 1000,
            batch_delay: Duration::from_millis(5),
            backpressure_wait: Duration::from_millis(50),
            restarts_max: 5,
            restart_delay: Duration::from_millis(200),
            restart_delay_max: Duration::from_secs(30),
            restarts_reset: Duration::from_secs(60),
        }
    }
}
