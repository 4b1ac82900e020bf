//! `system_controls`: the files below `/proc/sys` (proc_sys(5)), and what sysctl.d(5) wants in them.

mod config;

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use collector::{Host, Row, Rows, Table, elsewhere_text, key, or_note, text, unique};
use config::Config;
use model::{Extent, Query, Run, ScanError, Value};

use crate::bytes;

pub(crate) static TABLE: Table<Control, Host> = Table {
    name: "system_controls",
    about: "Settings of the kernel, as sysctl(8) shows them.",
    identity: unique(&["name", "subsystem"]),
    extent: Extent::Whole { rows: 1500 },
    columns: &[
        key(text(
            "name",
            "Name with dots: `kernel.ostype`; a dot inside of a part is a slash, as in `eth0/1`.",
            |c| swapped(&c.path).into(),
        )),
        text("oid", "NULL: Linux has had no numbers for them since 5.5.", |_| Value::Null),
        key(text("subsystem", "First part of the name: `net`.", |c| swapped(subsystem(&c.path)).into())),
        text("current_value", "The value now, without white space around it; NULL when it has none.", |c| {
            c.current_value().into()
        }),
        text("config_value", "The value that the files of sysctl.d(5) give it.", |c| c.config_value().into()),
        text("type", "`string`: Linux does not tell.", |_| "string".into()),
        elsewhere_text("field_name"),
    ],
    scan,
    examples: &[
        "SELECT current_value FROM system_controls WHERE name = 'kernel.randomize_va_space'",
        "SELECT name, current_value, config_value FROM system_controls WHERE current_value != config_value",
    ],
};

const ROOT: &str = "/proc/sys";

/// Reading it makes every processor flush its counters (Documentation/admin-guide/sysctl/vm.rst).
const READ_TRIGGER: &[u8] = b"vm/stat_refresh";

pub(crate) struct Control {
    /// Below `/proc/sys`, with slashes.
    path: Vec<u8>,
    scan: Arc<Shared>,
    current: OnceLock<Option<Vec<u8>>>,
}

/// What the rows of a scan have in common.
struct Shared {
    host: Host,
    run: Run,
    config: OnceLock<Config>,
}

impl Row for Control {
    fn heap_bytes(&self) -> usize {
        // Most values are shorter than the name.
        2 * self.path.len()
    }
}

impl Control {
    fn current_value(&self) -> Option<&Vec<u8>> {
        // A `stable_secret` that nobody has set answers so (net/ipv6/addrconf.c).
        const EIO: i32 = 5;
        let read = || match self.scan.host.read_value(place(&self.path)) {
            Err(error) if error.raw_os_error() == Some(EIO) => None,
            read => or_note(read, &self.scan.run, TABLE.name, "current_value"),
        };
        self.current.get_or_init(read).as_ref()
    }

    fn config_value(&self) -> Option<&[u8]> {
        self.scan.config.get_or_init(|| Config::read(&self.scan.host, &self.scan.run)).value(&self.path)
    }
}

fn place(path: &[u8]) -> PathBuf {
    Path::new(ROOT).join(bytes::path(path))
}

fn subsystem(path: &[u8]) -> &[u8] {
    path.split(|b| *b == b'/').next().unwrap_or_default()
}

/// From a path to a name and back: sysctl(8) writes `net/ipv4/conf/eth0.1` as `net.ipv4.conf.eth0/1`.
fn swapped(name: &[u8]) -> Vec<u8> {
    let swap = |b: &u8| match b {
        b'.' => b'/',
        b'/' => b'.',
        other => *other,
    };
    name.iter().map(swap).collect()
}

/// The path that a name stands for, unless no walk could ever come to it (`/.etc`).
fn path_of(name: &[u8]) -> Option<Vec<u8>> {
    let path = swapped(name);
    let walked = |part: &[u8]| !matches!(part, b"" | b"." | b"..");
    (path.split(|b| *b == b'/').all(walked) && !path.contains(&0)).then_some(path)
}

fn scan(host: &Host, query: &Query) -> Result<Rows<Control>, ScanError> {
    let shared = Arc::new(Shared { host: host.clone(), run: query.run.clone(), config: OnceLock::new() });
    // The next path is the last one.
    let keyed = |names: Vec<&[u8]>| -> Vec<Vec<u8>> { names.into_iter().rev().filter_map(path_of).collect() };
    let (mut pending, mut descend) = (vec![Vec::new()], true);
    if let Some(names) = query.texts("name") {
        (pending, descend) = (keyed(names), false);
    } else if let Some(names) = query.texts("subsystem") {
        pending = keyed(names);
        pending.retain(|path| !path.contains(&b'/'));
    }
    Ok(Box::new(Walk { pending, descend, steps: 0, shared }))
}

/// Goes through paths depth first, each directory in order of names.
struct Walk {
    /// What is left, the next one last.
    pending: Vec<Vec<u8>>,
    /// Whether directories are entered.
    descend: bool,
    steps: usize,
    shared: Arc<Shared>,
}

impl Iterator for Walk {
    type Item = Result<Control, ScanError>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(path) = self.pending.pop() {
            self.steps += 1;
            if self.steps.is_multiple_of(64)
                && let Err(stop) = self.shared.run.check()
            {
                return Some(Err(stop.into()));
            }
            let place = place(&path);
            let Some(found) = or_note(self.shared.host.lstat(&place), &self.shared.run, TABLE.name, "")
            else {
                continue;
            };
            if found.is_dir() && self.descend {
                self.enter(&path, &place);
            } else if found.is_file() && found.mode() & 0o444 != 0 && path != READ_TRIGGER {
                // What nobody may read is a trigger, not a setting: sysctl(8) leaves those out too.
                return Some(Ok(Control { path, scan: self.shared.clone(), current: OnceLock::new() }));
            }
        }
        None
    }
}

impl Walk {
    fn enter(&mut self, path: &[u8], place: &Path) {
        let names = or_note(self.shared.host.list_sorted(place), &self.shared.run, TABLE.name, "");
        let child = |name: &[u8]| if path.is_empty() { name.to_vec() } else { [path, name].join(&b'/') };
        self.pending.extend(names.unwrap_or_default().iter().rev().map(|e| child(e.name.as_bytes())));
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    use model::Op;

    use super::*;
    use crate::fixture::{Fixture, Scan};

    #[test]
    fn names_lead_to_paths_that_a_walk_finds() {
        assert_eq!(swapped(b"net/ipv4/conf/eth0.1/forwarding"), b"net.ipv4.conf.eth0/1.forwarding");
        assert_eq!(path_of(b"net.ipv4.conf.eth0/1.forwarding").unwrap(), b"net/ipv4/conf/eth0.1/forwarding");
        for name in ["", "//.etc.passwd", "kernel.", ".kernel", "kernel./.x", "a..b", "a\0"] {
            assert_eq!(path_of(name.as_bytes()), None, "{name}");
        }
    }

    fn fixture() -> Fixture {
        let machine = Fixture::new();
        machine
            .file("/proc/sys/kernel/ostype", "Linux\n")
            .file("/proc/sys/net/ipv4/conf/eth0.1/rp_filter", "1\n")
            .file("/proc/sys/net/ipv4/tcp_mem", "1\t2\t3\n")
            .file("/proc/sys/vm/stat_refresh", "")
            .file("/proc/sys/vm/drop_caches", "");
        set_permissions(machine.place("/proc/sys/vm/drop_caches"), Permissions::from_mode(0o200)).unwrap();
        machine.file("/etc/sysctl.d/10-net.conf", "net.ipv4.conf.*.rp_filter = 2\n");
        machine
    }

    fn rows(scan: Scan) -> Vec<String> {
        let rows = scan.texts(&["name", "current_value", "config_value"]);
        assert_eq!(scan.notes(), []);
        rows
    }

    #[test]
    fn a_keyed_scan_finds_what_a_full_one_finds() {
        let machine = fixture();
        let expected = [
            "kernel.ostype|Linux|NULL",
            "net.ipv4.conf.eth0/1.rp_filter|1|2",
            "net.ipv4.tcp_mem|1\t2\t3|NULL",
        ];
        assert_eq!(rows(machine.scan(&TABLE)), expected);
        let names =
            ["kernel.ostype", "net.ipv4.conf.eth0/1.rp_filter", "kernel.ostype", "vm.drop_caches", "net"];
        assert_eq!(rows(machine.scan(&TABLE).when("name", Op::Eq, names)), expected[..2]);
        let subsystems = ["net", "nothing", "//"];
        assert_eq!(rows(machine.scan(&TABLE).when("subsystem", Op::Eq, subsystems)), expected[1..]);
    }
}
