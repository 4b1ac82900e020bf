//! The calls that are let through, and the arguments that some of them are held to.

/// A call that is let through when all of its conditions hold. Several for one number: any of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) number: i64,
    pub(super) arguments: &'static [Argument],
}

/// A condition: of this argument, the bits of the mask have this value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Argument {
    pub(super) index: u8,
    pub(super) mask: u64,
    pub(super) value: u64,
}

/// Calls that serve one purpose.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: &'static str,
    pub(super) when: When,
    pub(super) calls: &'static [Call],
}

/// What has to be enabled for a group to be let through.
#[derive(Clone, Copy, Debug)]
pub(super) enum When {
    /// Nothing.
    Always,
    /// One of these tables.
    Tables(&'static [&'static str]),
}

/// Stands for this process' own id, which is not known when the list is written.
pub(super) const ARG_OWN_PID: u64 = u64::MAX;

/// An `int` takes the lower half of a register; what stands in the upper one is left open by the caller.
const INT: u64 = 0xffff_ffff;
const POINTER: u64 = u64::MAX;

const fn free(number: i64) -> Call {
    Call { number, arguments: &[] }
}

const fn held(number: i64, arguments: &'static [Argument]) -> Call {
    Call { number, arguments }
}

const fn is(index: u8, mask: u64, value: u64) -> Argument {
    Argument { index, mask, value }
}

const fn int(index: u8, value: i32) -> Argument {
    is(index, INT, value as u32 as u64)
}

const fn without(index: u8, bits: i32) -> Argument {
    is(index, bits as u32 as u64, 0)
}

/// Flags of open(2) that create, empty or write. `O_TMPFILE` contains `O_DIRECTORY`, which is harmless.
const WRITING: i32 =
    libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | libc::O_APPEND | (libc::O_TMPFILE & !libc::O_DIRECTORY);

/// What pthread_create asks clone for in glibc; musl adds the last one, which the kernel ignores. A fork, a
/// vfork and any new namespace differ from it.
const THREAD: i32 = libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD
    | libc::CLONE_SYSVSEM
    | libc::CLONE_SETTLS
    | libc::CLONE_PARENT_SETTID
    | libc::CLONE_CHILD_CLEARTID;
const THREAD_MASK: u64 = INT & !(libc::CLONE_DETACHED as u64);

/// The timeouts with 64 bits of time on every processor (asm-generic/socket.h).
const SO_RCVTIMEO_NEW: i32 = 66;
const SO_SNDTIMEO_NEW: i32 = 67;

/// `_IOWR(0xFF, 11, struct pidfd_info)` in its first size (linux/pidfd.h).
const PIDFD_GET_INFO: u64 = 0xc040_ff0b;

pub(super) const GROUPS: &[Group] = &[
    Group {
        name: "memory",
        when: When::Always,
        calls: &[
            free(libc::SYS_brk),
            free(libc::SYS_munmap),
            free(libc::SYS_mremap),
            free(libc::SYS_madvise),
            held(libc::SYS_mmap, &[without(2, libc::PROT_EXEC)]),
            held(libc::SYS_mprotect, &[without(2, libc::PROT_EXEC)]),
        ],
    },
    Group {
        name: "threads",
        when: When::Always,
        calls: &[
            held(libc::SYS_clone, &[is(0, THREAD_MASK, THREAD as u64)]),
            // Let through here and refused with ENOSYS before: EPERM would make pthread_create fail.
            free(libc::SYS_clone3),
            free(libc::SYS_futex),
            free(libc::SYS_set_robust_list),
            free(libc::SYS_rseq),
            free(libc::SYS_sched_yield),
            free(libc::SYS_sched_getaffinity),
            free(libc::SYS_gettid),
            free(libc::SYS_getpid),
            free(libc::SYS_getppid),
            held(libc::SYS_prctl, &[int(0, libc::PR_SET_NAME)]),
            // Asked when the fence is checked.
            held(libc::SYS_prctl, &[int(0, libc::PR_GET_DUMPABLE)]),
            held(libc::SYS_prctl, &[int(0, libc::PR_GET_SECUREBITS)]),
            // glibc asks for the limit of the stack; a new limit (the third argument) is none.
            held(libc::SYS_prlimit64, &[int(0, 0), is(2, POINTER, 0)]),
            free(libc::SYS_exit),
            free(libc::SYS_exit_group),
        ],
    },
    Group {
        name: "signals",
        when: When::Always,
        calls: &[
            free(libc::SYS_rt_sigaction),
            free(libc::SYS_rt_sigprocmask),
            free(libc::SYS_rt_sigreturn),
            free(libc::SYS_sigaltstack),
            free(libc::SYS_restart_syscall),
            // abort(3).
            held(libc::SYS_tgkill, &[is(0, INT, ARG_OWN_PID)]),
        ],
    },
    Group {
        name: "time and chance",
        when: When::Always,
        calls: &[
            free(libc::SYS_clock_gettime),
            free(libc::SYS_clock_getres),
            free(libc::SYS_clock_nanosleep),
            free(libc::SYS_nanosleep),
            free(libc::SYS_gettimeofday),
            free(libc::SYS_getrandom),
        ],
    },
    Group {
        name: "ids and machine",
        when: When::Always,
        calls: &[
            free(libc::SYS_getuid),
            free(libc::SYS_geteuid),
            free(libc::SYS_getgid),
            free(libc::SYS_getegid),
            free(libc::SYS_uname),
            free(libc::SYS_sysinfo),
        ],
    },
    Group {
        name: "files, read only",
        when: When::Always,
        calls: &[
            held(libc::SYS_openat, &[without(2, WRITING)]),
            free(libc::SYS_close),
            free(libc::SYS_read),
            free(libc::SYS_readv),
            free(libc::SYS_pread64),
            free(libc::SYS_lseek),
            free(libc::SYS_fstat),
            free(libc::SYS_newfstatat),
            free(libc::SYS_statx),
            free(libc::SYS_statfs),
            free(libc::SYS_fstatfs),
            free(libc::SYS_readlinkat),
            free(libc::SYS_getdents64),
            held(libc::SYS_fcntl, &[int(1, libc::F_GETFD)]),
            held(libc::SYS_fcntl, &[int(1, libc::F_SETFD)]),
            held(libc::SYS_fcntl, &[int(1, libc::F_GETFL)]),
            held(libc::SYS_fcntl, &[int(1, libc::F_SETFL)]),
            held(libc::SYS_fcntl, &[int(1, libc::F_DUPFD_CLOEXEC)]),
        ],
    },
    #[cfg(target_arch = "x86_64")]
    Group {
        name: "files, read only, by their older calls",
        when: When::Always,
        calls: &[
            held(libc::SYS_open, &[without(1, WRITING)]),
            free(libc::SYS_stat),
            free(libc::SYS_lstat),
            free(libc::SYS_readlink),
            free(libc::SYS_time),
            free(libc::SYS_poll),
        ],
    },
    Group {
        name: "clients that connected, and the log",
        when: When::Always,
        calls: &[
            // The listener waits, takes a client, and is shut when the program ends; no socket can be bound.
            free(libc::SYS_ppoll),
            free(libc::SYS_accept4),
            free(libc::SYS_shutdown),
            // Who the client is.
            held(libc::SYS_getsockopt, &[int(1, libc::SOL_SOCKET), int(2, libc::SO_PEERCRED)]),
            // std receives and sends on a socket by these two. No recvmsg: it would take descriptors too.
            free(libc::SYS_recvfrom),
            // To the other end of a socket that is connected, not to an address.
            held(libc::SYS_sendto, &[is(4, POINTER, 0)]),
            // The log. Of what is open, standard error and sockets alone can be written to.
            free(libc::SYS_write),
            // How long a client may keep a thread.
            held(libc::SYS_setsockopt, &[int(1, libc::SOL_SOCKET), int(2, libc::SO_RCVTIMEO)]),
            held(libc::SYS_setsockopt, &[int(1, libc::SOL_SOCKET), int(2, libc::SO_SNDTIMEO)]),
            held(libc::SYS_setsockopt, &[int(1, libc::SOL_SOCKET), int(2, SO_RCVTIMEO_NEW)]),
            held(libc::SYS_setsockopt, &[int(1, libc::SOL_SOCKET), int(2, SO_SNDTIMEO_NEW)]),
        ],
    },
    Group {
        name: "ids of a process by its pidfd, and whether it is still there",
        when: When::Always,
        calls: &[
            // To ask: what a pidfd could do (signals, descriptors, namespaces) are calls of their own.
            held(libc::SYS_pidfd_open, &[int(1, 0)]),
            held(libc::SYS_ioctl, &[is(1, INT, PIDFD_GET_INFO)]),
            held(libc::SYS_faccessat2, &[int(2, libc::F_OK)]),
        ],
    },
    Group {
        name: "extended attributes, read only",
        when: When::Tables(&["extended_attributes"]),
        calls: &[free(libc::SYS_lgetxattr), free(libc::SYS_llistxattr)],
    },
    Group {
        name: "network configuration",
        when: When::Tables(&["interface_addresses", "interface_details", "routes"]),
        calls: &[
            held(libc::SYS_socket, &[int(0, libc::AF_NETLINK), int(2, libc::NETLINK_ROUTE)]),
            // An address of `struct sockaddr_nl`, which no other socket of this process takes.
            held(libc::SYS_sendto, &[int(5, size_of::<libc::sockaddr_nl>() as i32)]),
        ],
    },
];
