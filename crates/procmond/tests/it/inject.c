/*
 * Makes another process try what it must not be able to do: stops it, puts the registers of a system call in
 * place, lets it run through the kernel, and tells what came back. So it is the process itself that asks, with its
 * own credentials and filter and nothing added to either.
 *
 *     inject PID DIRECTORY
 *
 * prints, for each act, its name, the error number that a fence has to answer and the one that was answered. The
 * arguments are chosen so that no act does harm where it is let through, and so that none is then answered EPERM.
 * DIRECTORY holds a file `victim` that everybody may write to.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODYS_PID 0x3fffffff
#define SCRATCH_BYTES 4096
#define FREE_FD 1023
#define SECONDS_MAX 60

/* What lies in the scratch memory of the other process, which is part of its stack. */
enum { ZEROS = 0, VICTIM = 512, NEW = 1024, DIRECTORY = 1536, OTHERS_MEM = 2048, MISSING = 2304, INET = 2560, UNIX = 2624,
       NAME = 2880 };

/* An argument that points into the scratch memory. */
#define AT(offset) (0x5eaf000000000000ull | (offset))
#define OTHER 0x5eae000000000000ull

struct act {
    const char *name;
    int expected;
    long number;
    uint64_t arguments[6];
    /* Would do harm where it is let through. */
    int only_inside;
};

#define THREAD (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS | \
                CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID)
#define HERE (uint64_t)(int64_t)AT_FDCWD

static const struct act ACTS[] = {
    /* Proof that a call gets through at all. */
    {"getpid", 0, SYS_getpid, {0}, 0},
    {"open for reading", 0, SYS_openat, {HERE, AT(VICTIM), O_RDONLY | O_CLOEXEC}, 0},

    {"open for writing", EPERM, SYS_openat, {HERE, AT(VICTIM), O_WRONLY}, 0},
    {"open for reading and writing", EPERM, SYS_openat, {HERE, AT(VICTIM), O_RDWR}, 0},
    {"open with both access bits", EPERM, SYS_openat, {HERE, AT(VICTIM), O_ACCMODE}, 0},
    {"open for reading, and create", EPERM, SYS_openat, {HERE, AT(NEW), O_RDONLY | O_CREAT, 0600}, 0},
    {"open for reading, and truncate", EPERM, SYS_openat, {HERE, AT(VICTIM), O_RDONLY | O_TRUNC}, 0},
    {"open a nameless file", EPERM, SYS_openat, {HERE, AT(DIRECTORY), O_TMPFILE | O_RDWR, 0600}, 0},
    {"open another's memory for writing", EPERM, SYS_openat, {HERE, AT(OTHERS_MEM), O_WRONLY}, 0},
    {"openat2", EPERM, SYS_openat2, {HERE, AT(VICTIM), AT(ZEROS), 24}, 0},
    {"open_by_handle_at", EPERM, SYS_open_by_handle_at, {HERE, AT(ZEROS), O_RDONLY}, 0},
    {"truncate", EPERM, SYS_truncate, {AT(MISSING), 0}, 0},
    {"ftruncate", EPERM, SYS_ftruncate, {FREE_FD, 0}, 0},
    {"fallocate", EPERM, SYS_fallocate, {FREE_FD, 0, 0, 1}, 0},
    {"pwrite64", EPERM, SYS_pwrite64, {FREE_FD, AT(ZEROS), 1, 0}, 0},
    {"copy_file_range", EPERM, SYS_copy_file_range, {FREE_FD, 0, FREE_FD, 0, 1, 0}, 0},
    {"mkdir", EPERM, SYS_mkdirat, {HERE, AT(NEW), 0700}, 0},
    {"symlink", EPERM, SYS_symlinkat, {AT(VICTIM), HERE, AT(NEW)}, 0},
    {"link", EPERM, SYS_linkat, {HERE, AT(VICTIM), HERE, AT(NEW), 0}, 0},
    {"mknod", EPERM, SYS_mknodat, {HERE, AT(NEW), 0010600, 0}, 0},
    {"chmod", EPERM, SYS_fchmodat, {HERE, AT(VICTIM), 0666}, 0},
    {"chown", EPERM, SYS_fchownat, {HERE, AT(VICTIM), -1, -1, 0}, 0},
    {"utimes", EPERM, SYS_utimensat, {HERE, AT(VICTIM), 0, 0}, 0},
    {"set an attribute", EPERM, SYS_setxattr, {AT(MISSING), AT(NAME), AT(ZEROS), 1, 0}, 0},
    {"remove an attribute", EPERM, SYS_removexattr, {AT(MISSING), AT(NAME)}, 0},
    {"rename", EPERM, SYS_renameat2, {HERE, AT(MISSING), HERE, AT(NEW), 0}, 0},
    {"unlink", EPERM, SYS_unlinkat, {HERE, AT(MISSING), 0}, 0},

    {"execve", EPERM, SYS_execve, {AT(VICTIM), 0, 0}, 0},
    {"execveat", EPERM, SYS_execveat, {HERE, AT(VICTIM), 0, 0, 0}, 0},
    {"memfd_create", EPERM, SYS_memfd_create, {AT(NAME), 0}, 0},
    {"mmap, writable and executable", EPERM, SYS_mmap,
     {0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0}, 0},
    {"mmap, executable", EPERM, SYS_mmap, {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0}, 0},
    {"mprotect to executable", EPERM, SYS_mprotect, {0, 4096, PROT_READ | PROT_EXEC}, 0},
    {"pkey_mprotect", EPERM, SYS_pkey_mprotect, {0, 4096, PROT_READ, -1}, 0},
    {"a process by clone", EPERM, SYS_clone, {CLONE_SIGHAND | SIGCHLD}, 0},
    {"a thread in a new namespace", EPERM, SYS_clone, {THREAD | CLONE_NEWUSER}, 0},
    {"clone3", ENOSYS, SYS_clone3, {0, 0}, 0},

    {"socket of IPv4, stream", EPERM, SYS_socket, {AF_INET, SOCK_STREAM, 0}, 0},
    {"socket of IPv6, datagram", EPERM, SYS_socket, {AF_INET6, SOCK_DGRAM, 0}, 0},
    {"socket of IPv4, raw", EPERM, SYS_socket, {AF_INET, SOCK_RAW, IPPROTO_ICMP}, 0},
    {"socket of packets", EPERM, SYS_socket, {AF_PACKET, SOCK_RAW, 0}, 0},
    {"socket of AF_UNIX", EPERM, SYS_socket, {AF_UNIX, SOCK_STREAM, 0}, 0},
    {"socket of netlink, audit", EPERM, SYS_socket, {AF_NETLINK, SOCK_RAW, 9}, 0},
    {"socketpair", EPERM, SYS_socketpair, {AF_UNIX, SOCK_STREAM, 0, AT(ZEROS)}, 0},
    {"connect to IPv4", EPERM, SYS_connect, {FREE_FD, AT(INET), sizeof(struct sockaddr_in)}, 0},
    {"connect to a Unix socket", EPERM, SYS_connect, {FREE_FD, AT(UNIX), sizeof(struct sockaddr_un)}, 0},
    {"bind to IPv4", EPERM, SYS_bind, {FREE_FD, AT(INET), sizeof(struct sockaddr_in)}, 0},
    {"listen", EPERM, SYS_listen, {FREE_FD, 1}, 0},
    {"send to an address of IPv4", EPERM, SYS_sendto,
     {FREE_FD, AT(ZEROS), 1, 0, AT(INET), sizeof(struct sockaddr_in)}, 0},
    {"take descriptors", EPERM, SYS_recvmsg, {FREE_FD, AT(ZEROS), 0}, 0},
    {"write a vector", EPERM, SYS_writev, {FREE_FD, 0, 0}, 0},
    {"another option of a socket", EPERM, SYS_getsockopt, {FREE_FD, SOL_SOCKET, SO_PEERSEC, 0, 0}, 0},
    {"send descriptors", EPERM, SYS_sendmsg, {FREE_FD, AT(ZEROS), 0}, 0},
    {"attach a filter to a socket", EPERM, SYS_setsockopt, {FREE_FD, SOL_SOCKET, SO_ATTACH_FILTER, AT(ZEROS), 16}, 0},

    {"ptrace attach", EPERM, SYS_ptrace, {PTRACE_SEIZE, NOBODYS_PID, 0, 0}, 0},
    {"process_vm_readv", EPERM, SYS_process_vm_readv, {OTHER, 0, 0, 0, 0, 0}, 0},
    {"process_vm_writev", EPERM, SYS_process_vm_writev, {OTHER, 0, 0, 0, 0, 0}, 0},
    {"pidfd_getfd", EPERM, SYS_pidfd_getfd, {FREE_FD, 0, 0}, 0},
    {"pidfd_send_signal", EPERM, SYS_pidfd_send_signal, {FREE_FD, 0, 0, 0}, 0},
    {"kill another", EPERM, SYS_kill, {OTHER, 0}, 0},
    {"tgkill another", EPERM, SYS_tgkill, {OTHER, OTHER, 0}, 0},
    {"another's limits", EPERM, SYS_prlimit64, {OTHER, 7, 0, AT(ZEROS)}, 0},

    {"setuid", EPERM, SYS_setresuid, {-1, -1, -1}, 0},
    {"setgid", EPERM, SYS_setresgid, {-1, -1, -1}, 0},
    {"setgroups", EPERM, SYS_setgroups, {0, 0}, 0},
    {"capset", EPERM, SYS_capset, {AT(ZEROS), 0}, 0},
    {"become dumpable", EPERM, SYS_prctl, {PR_SET_DUMPABLE, 1}, 0},
    {"change the secure bits", EPERM, SYS_prctl, {PR_SET_SECUREBITS, 0}, 0},
    {"change the ambient set", EPERM, SYS_prctl, {PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0}, 0},
    {"another filter", EPERM, SYS_seccomp, {999, 0, 0}, 0},
    {"personality", EPERM, SYS_personality, {0xffffffff}, 0},

    {"mount", EPERM, SYS_mount, {AT(NAME), AT(DIRECTORY), AT(NAME), 0, 0}, 0},
    {"umount", EPERM, SYS_umount2, {AT(MISSING), 0}, 0},
    {"fsopen", EPERM, SYS_fsopen, {AT(NAME), 0}, 0},
    {"open_tree", EPERM, SYS_open_tree, {HERE, AT(MISSING), 0}, 0},
    {"pivot_root", EPERM, SYS_pivot_root, {AT(MISSING), AT(MISSING)}, 0},
    {"chroot", EPERM, SYS_chroot, {AT(MISSING)}, 0},
    {"unshare", EPERM, SYS_unshare, {0}, 0},
    {"setns", EPERM, SYS_setns, {FREE_FD, 0}, 0},

    {"bpf", EPERM, SYS_bpf, {999, 0, 0}, 0},
    {"perf_event_open", EPERM, SYS_perf_event_open, {AT(ZEROS), 0, -1, -1, ~0ull}, 0},
    {"io_uring_setup", EPERM, SYS_io_uring_setup, {0, AT(ZEROS)}, 0},
    {"io_uring_enter", EPERM, SYS_io_uring_enter, {FREE_FD, 0, 0, 0, 0, 0}, 0},
    {"userfaultfd", EPERM, SYS_userfaultfd, {~0u}, 0},
    {"fanotify_init", EPERM, SYS_fanotify_init, {~0u, 0}, 0},
    {"init_module", EPERM, SYS_init_module, {0, 0, 0}, 0},
    {"finit_module", EPERM, SYS_finit_module, {FREE_FD, 0, 0}, 0},
    {"delete_module", EPERM, SYS_delete_module, {AT(NAME), O_NONBLOCK}, 0},
    {"kexec_load", EPERM, SYS_kexec_load, {0, 999, 0, 0}, 0},
    {"reboot", EPERM, SYS_reboot, {0, 0, 0, 0}, 0},
    {"swapon", EPERM, SYS_swapon, {AT(MISSING), 0}, 0},
    {"swapoff", EPERM, SYS_swapoff, {AT(MISSING)}, 0},
    {"keyctl", EPERM, SYS_keyctl, {999, 0, 0, 0, 0}, 0},
    {"add_key", EPERM, SYS_add_key, {AT(NAME), AT(NAME), 0, 0, 0}, 0},
    {"sethostname", EPERM, SYS_sethostname, {0, -1}, 0},
    {"settimeofday", EPERM, SYS_settimeofday, {0, 0}, 0},
    {"clock_settime", EPERM, SYS_clock_settime, {999, AT(ZEROS)}, 0},
    {"syslog", EPERM, SYS_syslog, {10, 0, 0}, 0},
    {"quotactl", EPERM, SYS_quotactl, {0, AT(MISSING), 0, 0}, 0},
    {"setrlimit", EPERM, SYS_prlimit64, {0, 999, AT(ZEROS), 0}, 0},
    {"inject into a terminal", EPERM, SYS_ioctl, {FREE_FD, 0x5412, AT(ZEROS)}, 0},
    {"take ownership of a descriptor's signals", EPERM, SYS_fcntl, {FREE_FD, F_SETOWN, 0}, 0},
#ifdef __x86_64__
    {"open, the older call, for writing", EPERM, SYS_open, {AT(VICTIM), O_WRONLY}, 0},
    {"creat", EPERM, SYS_creat, {AT(NEW), 0600}, 0},
    {"fork", EPERM, SYS_fork, {0}, 1},
    {"vfork", EPERM, SYS_vfork, {0}, 1},
    {"ioperm", EPERM, SYS_ioperm, {0, 0, 0}, 0},
    {"getpid in the x32 table", EPERM, 0x40000000 | SYS_getpid, {0}, 0},
#endif
};

static void die(const char *what) {
    fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
    exit(2);
}

#ifdef __x86_64__
typedef struct user_regs_struct registers;
#define STACK(r) ((r)->rsp)
/* On entry the program counter is behind `syscall`. Back on it, with the number where a call takes it from. */
static void at_call(registers *r) {
    r->rip -= 2;
    r->rax = r->orig_rax;
    r->orig_rax = -1;
}
static void set(registers *r, long number, const uint64_t a[6]) {
    r->rax = number;
    r->rdi = a[0], r->rsi = a[1], r->rdx = a[2], r->r10 = a[3], r->r8 = a[4], r->r9 = a[5];
}
static long result(const registers *r) { return r->rax; }
#elif defined(__aarch64__)
typedef struct user_regs_struct registers;
#define STACK(r) ((r)->sp)
/* On entry the program counter is behind `svc`. */
static void at_call(registers *r) { r->pc -= 4; }
static void set(registers *r, long number, const uint64_t a[6]) {
    r->regs[8] = number;
    for (int n = 0; n < 6; n++)
        r->regs[n] = a[n];
}
static long result(const registers *r) { return r->regs[0]; }
#else
#error "this processor is not known"
#endif

static void get(pid_t pid, registers *r) {
    struct iovec io = {r, sizeof *r};
    if (ptrace(PTRACE_GETREGSET, pid, (void *)NT_PRSTATUS, &io))
        die("read registers");
}

static void put(pid_t pid, registers *r) {
    struct iovec io = {r, sizeof *r};
    if (ptrace(PTRACE_SETREGSET, pid, (void *)NT_PRSTATUS, &io))
        die("write registers");
}

/* Lets the call that is being entered come to nothing. */
static void skip(pid_t pid, registers *r) {
#ifdef __x86_64__
    registers none = *r;
    none.orig_rax = -1;
    put(pid, &none);
#else
    int none = -1;
    struct iovec io = {&none, sizeof none};
    if (ptrace(PTRACE_SETREGSET, pid, (void *)NT_ARM_SYSTEM_CALL, &io))
        die("skip a call");
    (void)r;
#endif
}

static void memory(pid_t pid, uint64_t at, const unsigned char *bytes) {
    for (size_t n = 0; n < SCRATCH_BYTES; n += sizeof(long)) {
        long word;
        memcpy(&word, bytes + n, sizeof word);
        if (ptrace(PTRACE_POKEDATA, pid, (void *)(at + n), (void *)word))
            die("write memory");
    }
}

/* Lets it run to the next entry into or return from a call. */
static void next_stop(pid_t pid) {
    int status;
    do {
        if (ptrace(PTRACE_SYSCALL, pid, 0, 0) || waitpid(pid, &status, __WALL) != pid)
            die("go on");
        if (!WIFSTOPPED(status)) {
            fprintf(stderr, "inject: it ended (status %#x)\n", status);
            exit(2);
        }
    } while (WSTOPSIG(status) != (SIGTRAP | 0x80));
}

static void fill(unsigned char *scratch, const char *directory) {
    memset(scratch, 0, SCRATCH_BYTES);
    snprintf((char *)scratch + VICTIM, 512, "%s/victim", directory);
    snprintf((char *)scratch + NEW, 512, "%s/new", directory);
    snprintf((char *)scratch + DIRECTORY, 512, "%s", directory);
    snprintf((char *)scratch + OTHERS_MEM, 256, "/proc/%d/mem", getpid());
    snprintf((char *)scratch + MISSING, 256, "/proc/no/such/thing");
    snprintf((char *)scratch + NAME, 64, "no-such-name");
    struct sockaddr_in inet = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(0x7f000001)};
    memcpy(scratch + INET, &inet, sizeof inet);
    struct sockaddr_un local = {.sun_family = AF_UNIX, .sun_path = "/proc/no/such/thing"};
    memcpy(scratch + UNIX, &local, sizeof local);
}

int main(int argc, char **argv) {
    if (argc != 3)
        return 2;
    /* Ended by a signal rather than waiting for ever. */
    alarm(SECONDS_MAX);
    pid_t pid = atoi(argv[1]);
    int status;
    if (ptrace(PTRACE_ATTACH, pid, 0, 0) || waitpid(pid, &status, __WALL) != pid)
        die("attach");
    if (ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD))
        die("set options");
    /* Wherever it was: it goes on to its next call, or begins once more the one that it was waiting in. */
    next_stop(pid);
    registers start, now;
    get(pid, &start);
    skip(pid, &start);
    next_stop(pid);
    at_call(&start);
    /* The page with the end of the stack, which is surely there. */
    uint64_t at = STACK(&start) & ~(SCRATCH_BYTES - 1ull);
    unsigned char kept[SCRATCH_BYTES], scratch[SCRATCH_BYTES];
    for (size_t n = 0; n < SCRATCH_BYTES; n += sizeof(long)) {
        errno = 0;
        long word = ptrace(PTRACE_PEEKDATA, pid, (void *)(at + n), 0);
        if (errno)
            die("read memory");
        memcpy(kept + n, &word, sizeof word);
    }
    fill(scratch, argv[2]);
    for (size_t n = 0; n < sizeof ACTS / sizeof *ACTS; n++) {
        const struct act *act = &ACTS[n];
        uint64_t arguments[6];
        for (int a = 0; a < 6; a++) {
            arguments[a] = act->arguments[a];
            if (arguments[a] >> 48 == AT(0) >> 48)
                arguments[a] = at + (arguments[a] & 0xffff);
            else if (arguments[a] == OTHER)
                arguments[a] = getpid();
        }
        memory(pid, at, scratch);
        now = start;
        set(&now, act->number, arguments);
        if (act->only_inside && getenv("INJECT_UNFENCED"))
            continue;
        put(pid, &now);
        next_stop(pid);
        next_stop(pid);
        get(pid, &now);
        long answer = result(&now);
        printf("%s\t%d\t%ld\n", act->name, act->expected, answer < 0 && answer > -4096 ? -answer : 0);
    }
    /* It makes the call that it was about to make. */
    memory(pid, at, kept);
    put(pid, &start);
    if (ptrace(PTRACE_DETACH, pid, 0, 0))
        die("detach");
    return 0;
}
