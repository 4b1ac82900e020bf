//! What is known of a process, group by group: one group is what one read of the machine gives.

/// The group of facts that identifies a process and places it among others.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stat {
    /// The command name: what the kernel calls the process, and what it may call itself.
    pub name: Vec<u8>,
    /// One letter, as in proc_pid_stat(5): `R`, `S`, `Z` …
    pub state: Option<u8>,
    /// The parent's pid; 0 for none.
    pub parent: Option<u32>,
    /// Process group.
    pub group: Option<i32>,
    /// Session.
    pub session: Option<i32>,
    /// Device number of the controlling terminal, as the kernel encodes it.
    pub tty: Option<u32>,
    /// Milliseconds of CPU time in user mode.
    pub user_ms: Option<u64>,
    /// Milliseconds of CPU time in the kernel.
    pub system_ms: Option<u64>,
    /// Nice value.
    pub nice: Option<i32>,
    /// Number of threads.
    pub threads: Option<u32>,
    /// Start in clock ticks since boot.
    pub start_ticks: Option<u64>,
    /// Whether it is a thread of the kernel, which has no image and no arguments.
    pub kernel_thread: bool,
}

/// When a process started, for people and for joins over time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Started {
    /// Seconds since 1970.
    pub unix: Option<i64>,
    /// Text that names this process among all that the machine ever ran: boot, pid and start.
    pub key: Option<String>,
}

/// Credentials and security state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// Real user.
    pub uid: Option<u32>,
    /// Effective user.
    pub euid: Option<u32>,
    /// Saved user.
    pub suid: Option<u32>,
    /// Real group.
    pub gid: Option<u32>,
    /// Effective group.
    pub egid: Option<u32>,
    /// Saved group.
    pub sgid: Option<u32>,
    /// Effective capabilities, one bit each.
    pub cap_effective: Option<u64>,
    /// Pid of the tracer; 0 for none.
    pub tracer_pid: Option<u32>,
    /// Whether execve(2) can no longer grant privileges.
    pub no_new_privs: Option<u8>,
    /// Seccomp mode: 0 off, 1 strict, 2 filter.
    pub seccomp: Option<u8>,
    /// Memory, where it comes with the rest of this group.
    pub memory: Memory,
}

/// Memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// In RAM.
    pub resident: Option<u64>,
    /// Address space.
    pub total: Option<u64>,
}

/// The image that a process runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exe {
    /// Where it was found; empty for a process without an image.
    pub path: Vec<u8>,
    /// Whether that name no longer leads to the image.
    pub deleted: Option<bool>,
}

/// The file behind an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its inode number.
    pub inode: u64,
    /// Its device, as `st_dev` of stat(2).
    pub dev: u64,
}

/// Bytes moved from and to storage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Io {
    /// Read from storage.
    pub read: Option<i64>,
    /// Sent to storage, without what was truncated before it got there.
    pub written: Option<i64>,
}

/// Inode numbers of namespaces (namespaces(7)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// `cgroup`.
    pub cgroup: Option<u64>,
    /// `ipc`.
    pub ipc: Option<u64>,
    /// `mnt`.
    pub mnt: Option<u64>,
    /// `net`.
    pub net: Option<u64>,
    /// `pid`.
    pub pid: Option<u64>,
    /// `user`.
    pub user: Option<u64>,
    /// `uts`.
    pub uts: Option<u64>,
}

/// What is known of a process from the start; a reader is asked for the rest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProcessRecord {
    /// Its pid.
    pub pid: u32,
    /// See [`Stat`].
    pub stat: Option<Stat>,
    /// See [`Started`].
    pub started: Option<Started>,
    /// See [`Status`].
    pub status: Option<Status>,
    /// See [`Memory`].
    pub memory: Option<Memory>,
    /// Arguments, each ended by a NUL; the last NUL may be missing.
    pub cmdline: Option<Vec<u8>>,
    /// See [`Exe`].
    pub exe: Option<Exe>,
    /// See [`Image`].
    pub image: Option<Image>,
    /// Working directory.
    pub cwd: Option<Vec<u8>>,
    /// Root directory.
    pub root: Option<Vec<u8>>,
    /// See [`Io`].
    pub io: Option<Io>,
    /// Content of cgroups(7)'s `/proc/PID/cgroup`.
    pub cgroup: Option<Vec<u8>>,
    /// User who logged in; inner `None` when nobody did.
    pub loginuid: Option<Option<u32>>,
    /// See [`Namespaces`].
    pub namespaces: Option<Namespaces>,
}
