//! What a collection run sees of one process.

use model::Value;

/// A value of a fact.
#[derive(Clone, Debug, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub enum Datum {
    /// An integer.
    Int(i64),
    /// Text, as the machine's bytes.
    Text(Vec<u8>),
}

impl<'a> From<&'a Datum> for Value<'a> {
    fn from(datum: &'a Datum) -> Self {
        match datum {
            Datum::Int(n) => Value::Int(*n),
            Datum::Text(text) => text.into(),
        }
    }
}

/// A fact about a process, which seldom changes. Its number is what the file holds, and is never given away
/// again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Fact {
    /// Pid of the parent.
    Parent = 0,
    /// Command name.
    Name = 1,
    /// Path of the image.
    Path = 2,
    /// Arguments, masked.
    Cmdline = 3,
    /// Working directory.
    Cwd = 4,
    /// Real user.
    Uid = 5,
    /// Real group.
    Gid = 6,
    /// Effective user.
    Euid = 7,
    /// Effective group.
    Egid = 8,
    /// Pid of the session's leader.
    Session = 9,
    /// Controlling terminal.
    Tty = 10,
    /// User who logged in.
    Loginuid = 11,
    /// Whether the image lost its path.
    ExeDeleted = 12,
    /// Control group.
    Cgroup = 13,
    /// Container.
    ContainerId = 14,
}

impl Fact {
    /// All of them, by number.
    pub const ALL: [Fact; 15] = [
        Fact::Parent,
        Fact::Name,
        Fact::Path,
        Fact::Cmdline,
        Fact::Cwd,
        Fact::Uid,
        Fact::Gid,
        Fact::Euid,
        Fact::Egid,
        Fact::Session,
        Fact::Tty,
        Fact::Loginuid,
        Fact::ExeDeleted,
        Fact::Cgroup,
        Fact::ContainerId,
    ];

    /// The column of table `processes` that tells it.
    pub const fn column(self) -> &'static str {
        match self {
            Fact::Parent => "parent",
            Fact::Name => "name",
            Fact::Path => "path",
            Fact::Cmdline => "cmdline",
            Fact::Cwd => "cwd",
            Fact::Uid => "uid",
            Fact::Gid => "gid",
            Fact::Euid => "euid",
            Fact::Egid => "egid",
            Fact::Session => "session",
            Fact::Tty => "tty",
            Fact::Loginuid => "loginuid",
            Fact::ExeDeleted => "exe_deleted",
            Fact::Cgroup => "cgroup_path",
            Fact::ContainerId => "container_id",
        }
    }

    /// Whether NULL is an answer; of other facts it only says that the process could not be read this time.
    pub const fn may_be_none(self) -> bool {
        matches!(self, Fact::Tty | Fact::Loginuid | Fact::ContainerId)
    }
}

/// The facts about a process at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts([Option<Datum>; Fact::ALL.len()]);

impl Facts {
    /// A fact; `None` for one that is not known.
    pub fn get(&self, fact: Fact) -> Option<&Datum> {
        self.0[fact as usize].as_ref()
    }

    /// Notes a fact.
    pub fn set(&mut self, fact: Fact, datum: Option<Datum>) {
        self.0[fact as usize] = datum;
    }

    /// These facts, and from `known` those that could not be read now.
    #[must_use]
    pub fn over(mut self, known: &Facts) -> Facts {
        for fact in Fact::ALL {
            if self.get(fact).is_none() && !fact.may_be_none() {
                self.set(fact, known.get(fact).cloned());
            }
        }
        self
    }

    /// Bytes of the texts.
    pub fn heap_bytes(&self) -> usize {
        let bytes = |datum: &Option<Datum>| match datum {
            Some(Datum::Text(text)) => text.len(),
            _ => 0,
        };
        self.0.iter().map(bytes).sum()
    }
}

/// A measure that moves while a process works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Meter {
    /// CPU time in user mode, in ms.
    UserTime = 0,
    /// CPU time in the kernel, in ms.
    SystemTime = 1,
    /// Bytes in RAM.
    ResidentSize = 2,
    /// Bytes of address space.
    TotalSize = 3,
    /// Number of threads.
    Threads = 4,
    /// Bytes read from storage.
    DiskRead = 5,
    /// Bytes sent to storage.
    DiskWritten = 6,
    /// The letter of ps(1), as its ASCII code.
    State = 7,
}

impl Meter {
    /// All of them, by number.
    pub const ALL: [Meter; 8] = [
        Meter::UserTime,
        Meter::SystemTime,
        Meter::ResidentSize,
        Meter::TotalSize,
        Meter::Threads,
        Meter::DiskRead,
        Meter::DiskWritten,
        Meter::State,
    ];

    /// The column of table `processes` that tells it.
    pub const fn column(self) -> &'static str {
        match self {
            Meter::UserTime => "user_time",
            Meter::SystemTime => "system_time",
            Meter::ResidentSize => "resident_size",
            Meter::TotalSize => "total_size",
            Meter::Threads => "threads",
            Meter::DiskRead => "disk_bytes_read",
            Meter::DiskWritten => "disk_bytes_written",
            Meter::State => "state",
        }
    }
}

/// What a process did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity(pub(super) [Option<i64>; Meter::ALL.len()]);

impl Activity {
    /// A measure; `None` for one that could not be read.
    pub fn get(&self, meter: Meter) -> Option<i64> {
        self.0[meter as usize]
    }

    /// Notes a measure.
    pub fn set(&mut self, meter: Meter, value: Option<i64>) {
        self.0[meter as usize] = value;
    }
}

/// A process as one run sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Its identity among all processes that ever ran.
    pub start_key: Vec<u8>,
    /// Its number.
    pub pid: i64,
    /// What it is.
    pub facts: Facts,
    /// What it did.
    pub activity: Activity,
}

impl Observed {
    /// The columns of table `processes` that [`Observed::of_row`] reads, in its order.
    pub fn columns() -> impl Iterator<Item = &'static str> {
        let facts = Fact::ALL.into_iter().map(Fact::column);
        ["start_key", "pid"].into_iter().chain(facts).chain(Meter::ALL.into_iter().map(Meter::column))
    }

    /// A process from the values of [`Observed::columns`]; `None` for one without identity, which vanished
    /// while it was read.
    pub fn of_row(row: &[Value<'_>]) -> Option<Observed> {
        let [start_key, pid, rest @ ..] = row else { return None };
        let mut observed =
            Observed { start_key: start_key.as_text()?.to_vec(), pid: pid.as_int()?, ..Observed::default() };
        for (fact, value) in Fact::ALL.into_iter().zip(rest) {
            let datum = match value {
                Value::Int(n) => Some(Datum::Int(*n)),
                Value::Text(text) => Some(Datum::Text(text.to_vec())),
                _ => None,
            };
            observed.facts.set(fact, datum);
        }
        for (meter, value) in Meter::ALL.into_iter().zip(rest.iter().skip(Fact::ALL.len())) {
            let letter = || value.as_text().and_then(|text| text.first()).map(|letter| i64::from(*letter));
            observed.activity.set(meter, value.as_int().or_else(letter));
        }
        Some(observed)
    }
}
