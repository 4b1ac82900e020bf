//! Something that happened on the machine, as an event source tells it.

use std::borrow::Cow;

use crate::Value;

bitflags::bitflags! {
    /// What an event source can do, and what a task needs.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Capabilities: u32 {
        /// Tells of processes.
        const PROCESS = 1;
        /// Tells of connections and sockets.
        const NETWORK = 1 << 1;
        /// Tells of files.
        const FILESYSTEM = 1 << 2;
        /// Tells of load and resources.
        const PERFORMANCE = 1 << 3;
        /// Tells of an event when it happens, not at the next look.
        const REALTIME = 1 << 4;
        /// Is fed by the kernel, so that nothing between two looks is missed.
        const KERNEL_LEVEL = 1 << 5;
        /// Sees the whole machine, not only the user's own part.
        const SYSTEM_WIDE = 1 << 6;
    }
}

/// The part of the machine that an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Domain {
    /// Processes.
    Process,
    /// Connections and sockets.
    Network,
    /// Files.
    Filesystem,
    /// Load and resources.
    Performance,
}

impl Domain {
    /// Every domain.
    pub const ALL: [Domain; 4] = [Domain::Process, Domain::Network, Domain::Filesystem, Domain::Performance];

    /// Its name in configuration, tables and output.
    pub const fn name(self) -> &'static str {
        match self {
            Domain::Process => "process",
            Domain::Network => "network",
            Domain::Filesystem => "filesystem",
            Domain::Performance => "performance",
        }
    }

    /// The capability that a source of such events has.
    pub const fn capability(self) -> Capabilities {
        match self {
            Domain::Process => Capabilities::PROCESS,
            Domain::Network => Capabilities::NETWORK,
            Domain::Filesystem => Capabilities::FILESYSTEM,
            Domain::Performance => Capabilities::PERFORMANCE,
        }
    }
}

/// One event. What it says beyond the common part are named values, so that a new source needs no new type.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The source's name.
    pub source: Cow<'static, str>,
    /// The source's number of the event, from 1, without gaps: a gap is a loss.
    pub sequence: u64,
    /// What it is about.
    pub domain: Domain,
    /// What happened: `start`, `exit`, `change` …
    pub kind: Cow<'static, str>,
    /// When, in ns since 1970 (UTC).
    pub time_ns: i64,
    /// What is known of it, by column name.
    pub fields: Vec<(Cow<'static, str>, Value<'static>)>,
}

impl Event {
    /// A field's value.
    pub fn field(&self, name: &str) -> Option<&Value<'static>> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}
