//! The contents of `/proc/PID/*` (proc(5)), as bytes.

use collector::{Io, Memory, Stat, Status};

/// `PF_KTHREAD` of include/linux/sched.h.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// The pid that a name in `/proc` is.
pub(super) fn pid(name: &[u8]) -> Option<u32> {
    u32::try_from(number(name)?).ok()
}

/// A decimal number that is the whole of `digits`, perhaps negative.
fn number(digits: &[u8]) -> Option<i64> {
    let (negative, digits) = match digits {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut n: i64 = 0;
    for digit in digits {
        n = n.checked_mul(10)?.checked_add(i64::from(digit.wrapping_sub(b'0')))?;
        if !digit.is_ascii_digit() {
            return None;
        }
    }
    Some(if negative { -n } else { n })
}

/// The longest command name, in bytes: that of a kernel worker (`proc_task_name` of fs/proc/array.c).
const NAME_MAX: usize = 64;

/// The command name in a `stat` line, and the fields after it. The name may itself hold `)`, blanks and
/// newlines; no field after it can hold a `)`, so that the last one ends the name.
fn after_name(stat: &[u8]) -> Option<(&[u8], &[u8])> {
    let open = stat.iter().take(NAME_MAX).position(|b| *b == b'(')?;
    let head = stat.get(open + 1..stat.len().min(open + 2 + NAME_MAX))?;
    // Names of programs are short; `contains` looks at many bytes at once.
    let (short, long) = head.split_at(head.len().min(16));
    let last = |bytes: &[u8]| bytes.iter().rposition(|b| *b == b')');
    let close = if long.contains(&b')') { short.len() + last(long)? } else { last(short)? };
    Some((&head[..close], stat.get(open + close + 3..)?))
}

/// proc_pid_stat(5). CPU times come in ticks, of which there are `ticks_per_second`.
pub(super) fn stat(content: &[u8], ticks_per_second: u64) -> Option<Stat> {
    let (name, fields) = after_name(content)?;
    let (state, fields) = (*fields.first()?, fields.get(2..)?);
    // Fields 4 to 22; the state was the third. Others follow, so that a blank ends each.
    let mut rest = [0i64; 19];
    let (mut field, mut n, mut negative) = (0, 0i64, false);
    for byte in fields {
        match byte {
            b'0'..=b'9' => n = n.wrapping_mul(10).wrapping_add(i64::from(byte - b'0')),
            b'-' => negative = true,
            b' ' => {
                *rest.get_mut(field)? = if negative { n.wrapping_neg() } else { n };
                (field, n, negative) = (field + 1, 0, false);
                if field == rest.len() {
                    break;
                }
            }
            _ => return None,
        }
    }
    if field < rest.len() {
        return None;
    }
    let [parent, group, session, tty, _, flags, _, _, _, _, user, system, _, _, _, nice, threads, _, start] =
        rest;
    let ms = |ticks: i64| Some((ticks as u64).saturating_mul(1000) / ticks_per_second.max(1));
    Some(Stat {
        name: name.to_vec(),
        state: Some(state),
        parent: u32::try_from(parent).ok(),
        group: i32::try_from(group).ok(),
        session: i32::try_from(session).ok(),
        // A signed number in the file; 0 stands for no terminal.
        tty: Some(tty as u32).filter(|device| *device != 0),
        user_ms: ms(user),
        system_ms: ms(system),
        nice: i32::try_from(nice).ok(),
        threads: u32::try_from(threads).ok(),
        start_ticks: u64::try_from(start).ok(),
        kernel_thread: flags as u64 & KERNEL_THREAD != 0,
    })
}

/// Whether a `stat` line is of a thread other than its process's first. `/proc/TID` exists for those too,
/// though a listing leaves them out. They alone have no exit signal (kernel/fork.c), which is field 38.
pub(super) fn is_later_thread(stat: &[u8]) -> bool {
    after_name(stat).is_some_and(|(_, fields)| fields.split(|b| *b == b' ').nth(35) == Some(b"-1"))
}

/// How the lines of `status` start that are needed.
const STATUS_KEYS: [&[u8; 4]; 8] = [b"Trac", b"Uid:", b"Gid:", b"VmSi", b"VmRS", b"CapE", b"NoNe", b"Secc"];

/// Whether a line of `status` is needed. Most are not: told without branches, which a `match` would have
/// and a processor cannot predict.
fn is_needed(key: &[u8; 4]) -> bool {
    let key = u32::from_ne_bytes(*key);
    STATUS_KEYS.iter().fold(false, |any, needed| any | (u32::from_ne_bytes(**needed) == key))
}

/// proc_pid_status(5), up to the last line that is needed. Lines that a kernel does not have stay `None`.
/// With `ids_alone` that is the group ids.
pub(super) fn status(content: &[u8], ids_alone: bool) -> Status {
    let mut status = Status::default();
    let mut rest = content;
    while let Some((key, value)) = rest.split_first_chunk() {
        if is_needed(key) {
            match key {
                b"Trac" => status.tracer_pid = first(value, b"erPid:"),
                b"Uid:" => [status.uid, status.euid, status.suid] = three(value),
                b"Gid:" => {
                    [status.gid, status.egid, status.sgid] = three(value);
                    if ids_alone {
                        break;
                    }
                }
                b"VmSi" => status.memory.total = kilobytes(value, b"ze:"),
                b"VmRS" => status.memory.resident = kilobytes(value, b"S:"),
                b"CapE" => status.cap_effective = hexadecimal(value, b"ff:"),
                b"NoNe" => status.no_new_privs = first(value, b"wPrivs:"),
                _ => {
                    status.seccomp = first(value, b"omp:");
                    break; // What follows are masks of CPUs and memory nodes, as long as all before.
                }
            }
        }
        let Some(end) = newline(value) else { break };
        rest = &value[end + 1..];
    }
    status
}

/// The pids that a process has: in the pid namespace of the `/proc` that told `status`, then in each one below.
pub(super) fn pids_by_namespace(status: &[u8]) -> Option<Vec<u32>> {
    let line = std::str::from_utf8(status).ok()?.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_ascii_whitespace().map(|pid| pid.parse().ok()).collect()
}

/// Where the first newline is, eight bytes at a time: in a full scan nothing else of our own takes as long as
/// finding the lines of `status`.
fn newline(content: &[u8]) -> Option<usize> {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let (chunks, tail) = content.as_chunks::<8>();
    for (n, chunk) in chunks.iter().enumerate() {
        let x = u64::from_le_bytes(*chunk) ^ (EACH * b'\n' as u64);
        // The lowest bit that this sets is in the first byte of `x` that is zero.
        let found = x.wrapping_sub(EACH) & !x & (EACH << 7);
        if found != 0 {
            return Some(n * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    Some(chunks.len() * 8 + tail.iter().position(|b| *b == b'\n')?)
}

/// Takes the next decimal number of a line from the front.
fn take_number(line: &mut &[u8]) -> Option<u64> {
    let mut n = None;
    while let Some((byte, rest)) = line.split_first() {
        match byte {
            b'0'..=b'9' => {
                n = Some(n.unwrap_or(0u64).checked_mul(10)?.checked_add(u64::from(byte - b'0'))?);
            }
            b'\n' => break,
            _ if n.is_some() => break,
            _ => {}
        }
        *line = rest;
    }
    n
}

/// The first number of a line whose key ends in `key`.
fn first<T: TryFrom<u64>>(line: &[u8], key: &[u8]) -> Option<T> {
    T::try_from(take_number(&mut line.strip_prefix(key)?)?).ok()
}

fn three(mut line: &[u8]) -> [Option<u32>; 3] {
    std::array::from_fn(|_| u32::try_from(take_number(&mut line)?).ok())
}

fn kilobytes(line: &[u8], key: &[u8]) -> Option<u64> {
    first::<u64>(line, key)?.checked_mul(1024)
}

/// The number of a line of 16 hexadecimal digits.
fn hexadecimal(line: &[u8], key: &[u8]) -> Option<u64> {
    let digits = line.strip_prefix(key)?.trim_ascii_start().get(..16)?;
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// proc_pid_statm(5), which counts pages.
pub(super) fn statm(content: &[u8], page_size: u64) -> Memory {
    let mut line = content;
    let mut bytes = || take_number(&mut line)?.checked_mul(page_size);
    let (total, resident) = (bytes(), bytes());
    Memory { resident, total }
}

/// proc_pid_cmdline(5): arguments end in NUL, of which none is kept at the end.
pub(super) fn cmdline(content: &[u8]) -> Vec<u8> {
    let end = content.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
    content[..end].to_vec()
}

/// proc_pid_io(5).
pub(super) fn io(content: &[u8]) -> Io {
    let value = |key: &[u8]| {
        content.split(|b| *b == b'\n').find_map(|line| number(line.strip_prefix(key)?.trim_ascii()))
    };
    let cancelled = value(b"cancelled_write_bytes:").unwrap_or(0);
    Io { read: value(b"read_bytes:"), written: value(b"write_bytes:").map(|n| n.saturating_sub(cancelled)) }
}

/// proc_pid_loginuid(5); all ones when nobody logged in.
pub(super) fn loginuid(content: &[u8]) -> Option<u32> {
    u32::try_from(number(content.trim_ascii())?).ok().filter(|uid| *uid != u32::MAX)
}

/// The inode in the text of a namespace link: `mnt:[4026531841]`.
pub(super) fn namespace(link: &[u8]) -> Option<u64> {
    let open = link.iter().position(|b| *b == b'[')?;
    u64::try_from(number(link.get(open + 1..)?.strip_suffix(b"]")?)?).ok()
}

/// When the machine booted, in seconds since 1970: `btime` of proc_stat(5).
pub(super) fn boot_time(stat: &[u8]) -> Option<i64> {
    stat.split(|b| *b == b'\n').find_map(|line| number(line.strip_prefix(b"btime ")?.trim_ascii()))
}

/// Major and minor of a device number as `stat` encodes it (`new_encode_dev` of include/linux/kdev_t.h).
pub(super) fn device(number: u32) -> (u32, u32) {
    (number >> 8 & 0xfff, number & 0xff | number >> 12 & 0xf_ff00)
}

/// The name of a terminal whose device numbers are fixed (Documentation/admin-guide/devices.txt).
pub(super) fn terminal(major: u32, minor: u32) -> Option<String> {
    match (major, minor) {
        (136..=143, _) => Some(format!("pts/{}", (major - 136) * 256 + minor)),
        (4, 0..64) => Some(format!("tty{minor}")),
        (4, _) => Some(format!("ttyS{}", minor - 64)),
        (5, 1) => Some("console".into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &str = "S 1 42 41 34817 42 4194560 1 2 3 4 150 25 0 0 20 -5 3 0 8754 1000 20 18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 1 0 0 0 0 0\n";

    fn line(name: &[u8]) -> Vec<u8> {
        [b"42 (", name, b") ", FIELDS.as_bytes()].concat()
    }

    #[test]
    fn a_process_has_a_pid_in_each_namespace() {
        let pids = |status: &str| pids_by_namespace(status.as_bytes());
        assert_eq!(pids("Name:\tx\nNSpid:\t7\nVmRSS:\t1 kB\n"), Some(vec![7]));
        assert_eq!(pids("Name:\tx\nNSpid:\t4711\t7\n"), Some(vec![4711, 7]));
        assert_eq!(pids("Name:\tx\n"), None);
        assert_eq!(pids("NSpid:\tmany\n"), None);
    }

    #[test]
    fn a_hostile_command_name_cannot_shift_the_fields() {
        for name in
            [&b"sshd"[..], b"a) R 0 0", b") S 1 (", b"", b"tab\there\nnew line)", b"\xff\xfe)", b"((("]
        {
            let stat = stat(&line(name), 100).unwrap();
            assert_eq!(stat.name, name);
            assert_eq!((stat.state, stat.parent, stat.group), (Some(b'S'), Some(1), Some(42)));
            assert_eq!((stat.session, stat.nice, stat.threads), (Some(41), Some(-5), Some(3)));
            assert_eq!((stat.user_ms, stat.system_ms), (Some(1500), Some(250)));
            assert_eq!((stat.start_ticks, stat.kernel_thread), (Some(8754), false));
        }
    }

    #[test]
    fn a_damaged_stat_line_is_refused() {
        for content in [&b""[..], b"42", b"42 (x", b"42 )x(", b"42 (x)", b"42 (x) ", b"42 (x) S 1 2", b")("] {
            assert_eq!(stat(content, 100), None);
            assert!(!is_later_thread(content));
        }
        let cut = line(b"x");
        for end in 0..cut.len() {
            let _ = stat(&cut[..end], 100);
        }
    }

    #[test]
    fn a_later_thread_is_known_by_its_exit_signal() {
        assert!(!is_later_thread(&line(b"x")));
        let thread = String::from_utf8(line(b"x")).unwrap().replace(" 17 1 0", " -1 1 0");
        assert!(is_later_thread(thread.as_bytes()));
    }

    #[test]
    fn status_gives_ids_memory_and_security_state() {
        let content = b"Name:\tx\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t42\nTracerPid:\t7\nUid:\t1000\t0\t4294967295\t0\nGid:\t100\t101\t102\t103\nGroups:\t1 2 \nVmPeak:\t 9 kB\nVmSize:\t    2048 kB\nVmRSS:\t     512 kB\nThreads:\t1\nCapEff:\t000001ffffffffff\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t9\n";
        let ids = super::status(content, true);
        let status = status(content, false);
        assert_eq!((ids.uid, ids.sgid, ids.seccomp), (status.uid, status.sgid, None));
        assert_eq!((status.uid, status.euid, status.suid), (Some(1000), Some(0), Some(u32::MAX)));
        assert_eq!((status.gid, status.egid, status.sgid), (Some(100), Some(101), Some(102)));
        assert_eq!((status.tracer_pid, status.no_new_privs, status.seccomp), (Some(7), Some(1), Some(2)));
        assert_eq!(status.cap_effective, Some(0x1ff_ffff_ffff));
        assert_eq!(status.memory, Memory { resident: Some(512 << 10), total: Some(2 << 20) });
        assert_eq!(super::status(b"Uid:\nGid: x y\nSeccomp", false), Status::default());
    }

    #[test]
    fn statm_counts_pages() {
        assert_eq!(statm(b"10 3 1 1 0 1 0\n", 4096), Memory { resident: Some(12288), total: Some(40960) });
        assert_eq!(statm(b"", 4096), Memory::default());
    }

    #[test]
    fn arguments_keep_their_places() {
        assert_eq!(cmdline(b"sh\0-c\0a  b\0"), b"sh\0-c\0a  b");
        assert_eq!(cmdline(b"x\0\0y\0\0\0"), b"x\0\0y");
        assert_eq!(cmdline(b"\xff title"), b"\xff title");
        assert_eq!(cmdline(b"\0\0"), b"");
    }

    #[test]
    fn bytes_that_were_cancelled_were_not_written() {
        let content =
            b"rchar: 9\nwchar: 9\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 12288\n";
        assert_eq!(io(content), Io { read: Some(4096), written: Some(-4096) });
        assert_eq!(io(b""), Io::default());
    }

    #[test]
    fn small_files_are_understood() {
        assert_eq!((loginuid(b"1000"), loginuid(b"4294967295"), loginuid(b"")), (Some(1000), None, None));
        assert_eq!((namespace(b"mnt:[4026531841]"), namespace(b"mnt:[")), (Some(4_026_531_841), None));
        assert_eq!(boot_time(b"cpu 1 2\nbtime 1700000000\nprocesses 1\n"), Some(1_700_000_000));
    }

    #[test]
    fn terminals_have_the_names_that_ps_shows() {
        let name = |number| {
            let (major, minor) = device(number);
            terminal(major, minor)
        };
        assert_eq!(name(34816 + 3).as_deref(), Some("pts/3"));
        // The minor's upper bits stand above the major.
        assert_eq!(name(136 << 8 | 0x2c | 1 << 20).as_deref(), Some("pts/300"));
        assert_eq!(name(4 << 8 | 1).as_deref(), Some("tty1"));
        assert_eq!(name(4 << 8 | 65).as_deref(), Some("ttyS1"));
        assert_eq!(name(5 << 8 | 1).as_deref(), Some("console"));
        assert_eq!(name(204 << 8 | 64), None);
    }
}
