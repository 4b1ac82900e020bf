//! The capabilities of a program file: `struct vfs_cap_data` (linux/capability.h), told as `getcap` tells them.

/// By number (linux/capability.h).
const NAMES: [&str; 41] = [
    "cap_chown",
    "cap_dac_override",
    "cap_dac_read_search",
    "cap_fowner",
    "cap_fsetid",
    "cap_kill",
    "cap_setgid",
    "cap_setuid",
    "cap_setpcap",
    "cap_linux_immutable",
    "cap_net_bind_service",
    "cap_net_broadcast",
    "cap_net_admin",
    "cap_net_raw",
    "cap_ipc_lock",
    "cap_ipc_owner",
    "cap_sys_module",
    "cap_sys_rawio",
    "cap_sys_chroot",
    "cap_sys_ptrace",
    "cap_sys_pacct",
    "cap_sys_admin",
    "cap_sys_boot",
    "cap_sys_nice",
    "cap_sys_resource",
    "cap_sys_time",
    "cap_sys_tty_config",
    "cap_mknod",
    "cap_lease",
    "cap_audit_write",
    "cap_audit_control",
    "cap_setfcap",
    "cap_mac_override",
    "cap_mac_admin",
    "cap_syslog",
    "cap_wake_alarm",
    "cap_block_suspend",
    "cap_audit_read",
    "cap_perfmon",
    "cap_bpf",
    "cap_checkpoint_restore",
];
const EFFECTIVE: u32 = 1;

/// The value of `security.capability` as text: `cap_net_admin,cap_net_raw=ep`, or `cap_chown=ip cap_kill=p`.
/// `None` when it has another form than revision 1, 2 or 3.
pub(crate) fn text(value: &[u8]) -> Option<String> {
    let (words, []) = value.as_chunks::<4>() else { return None };
    let words: Vec<u32> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
    let (permitted, inheritable, root) = match (words.first()? >> 24, words.as_slice()) {
        (1, [_, p, i]) => (u64::from(*p), u64::from(*i), None),
        (2, [_, p, i, p2, i2]) => (wide(*p, *p2), wide(*i, *i2), None),
        (3, [_, p, i, p2, i2, root]) => (wide(*p, *p2), wide(*i, *i2), Some(root)),
        _ => return None,
    };
    let effective = words[0] & EFFECTIVE != 0;
    let set = |bits: u64, flags: &str| {
        let names: Vec<String> = (0..64).filter(|n| bits & 1 << n != 0).map(name).collect();
        let names = if bits == ALL { String::new() } else { names.join(",") };
        (bits != 0).then(|| format!("{names}={}{flags}", if effective { "e" } else { "" }))
    };
    let mut sets: Vec<String> = [
        set(permitted & inheritable, "ip"),
        set(permitted & !inheritable, "p"),
        set(inheritable & !permitted, "i"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if sets.is_empty() {
        sets.push("=".into());
    }
    if let Some(root) = root {
        sets.push(format!("[rootid={root}]"));
    }
    Some(sets.join(" "))
}

const ALL: u64 = (1 << NAMES.len()) - 1;

fn wide(low: u32, high: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn name(number: usize) -> String {
    NAMES.get(number).map_or_else(|| number.to_string(), |name| (*name).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn capabilities_read_as_getcap_prints_them() {
        assert_eq!(text(&value(&[0x0200_0001, 1 << 13, 0, 0, 0])).unwrap(), "cap_net_raw=ep");
        assert_eq!(
            text(&value(&[0x0200_0000, 3, 2, 1 << 7, 0])).unwrap(),
            "cap_dac_override=ip cap_chown,cap_bpf=p"
        );
        assert_eq!(text(&value(&[0x0300_0001, u32::MAX, 0, 0x1ff, 0, 1000])).unwrap(), "=ep [rootid=1000]");
        assert_eq!(text(&value(&[0x0200_0000, 0, 0, 0, 0])).unwrap(), "=");
        assert_eq!(text(b"short"), None);
        assert_eq!(text(&value(&[0x0200_0001])), None);
        assert_eq!(text(b""), None);
    }
}
