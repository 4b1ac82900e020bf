use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use collector::Host;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use crate::outside::fixture;

/// Files of a process that tables read. A file that is missing or refused is missing in the photograph too.
const OF_PROCESS: [&str; 14] = [
    "autogroup",
    "cgroup",
    "cmdline",
    "comm",
    "environ",
    "io",
    "limits",
    "loginuid",
    "maps",
    "mountinfo",
    "stat",
    "statm",
    "status",
    "net/unix",
];
/// Files of the machine.
const OF_MACHINE: [&str; 16] = [
    "cmdline",
    "loadavg",
    "meminfo",
    "modules",
    "mounts",
    "net/arp",
    "net/packet",
    "net/raw",
    "net/tcp",
    "net/tcp6",
    "net/udp",
    "net/udp6",
    "net/unix",
    "stat",
    "uptime",
    "version",
];

/// A small machine that does not move: the fixture `debian`, two homes with keys and histories, some settings,
/// and the processes of the live machine with these pids as they are now.
pub(crate) fn machine(pids: &[i64]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    copy_tree(&fixture("debian"), root);
    homes(root);
    settings(root);
    for pid in pids {
        process(root, *pid);
    }
    for name in OF_MACHINE {
        copy(&Path::new("/proc").join(name), &root.join("proc").join(name));
    }
    copy("/proc/sys/kernel/random/boot_id".as_ref(), &root.join("proc/sys/kernel/random/boot_id"));
    rest(root);
    directory
}

/// Sets access times ahead of every change, so that to read it leaves them alone (relatime of mount(8)).
fn rest(path: &Path) {
    let now = SystemTime::now();
    let time = |time: SystemTime| {
        let since = time.duration_since(UNIX_EPOCH).unwrap();
        Timespec { tv_sec: since.as_secs() as i64, tv_nsec: 0 }
    };
    let times = Timestamps { last_access: time(now + Duration::from_secs(60)), last_modification: time(now) };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    if path.is_dir() && !path.is_symlink() {
        fs::read_dir(path).unwrap().for_each(|entry| rest(&entry.unwrap().path()));
    }
}

/// The photograph as a machine that tables can read.
pub(crate) fn host(directory: &tempfile::TempDir) -> Host {
    Host::at(directory.path())
}

fn write(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn copy(from: &Path, to: &Path) {
    if let Ok(content) = fs::read(from) {
        write(to, &content);
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => copy_tree(&from, &to),
            kind if kind.is_symlink() => symlink(fs::read_link(&from).unwrap(), &to).unwrap(),
            _ => copy(&from, &to),
        }
    }
}

fn process(root: &Path, pid: i64) {
    let from = format!("/proc/{pid}");
    let (from, to) = (Path::new(&from), root.join(format!("proc/{pid}")));
    fs::create_dir_all(&to).unwrap();
    for name in OF_PROCESS {
        copy(&from.join(name), &to.join(name));
    }
    for name in ["tcp", "tcp6", "udp", "udp6", "raw", "packet"] {
        copy(&from.join("net").join(name), &to.join("net").join(name));
    }
    for name in ["exe", "cwd", "root"] {
        copy_link(&from.join(name), &to.join(name));
    }
    for directory in ["fd", "ns"] {
        fs::create_dir_all(to.join(directory)).unwrap();
        for entry in fs::read_dir(from.join(directory)).into_iter().flatten().flatten() {
            copy_link(&entry.path(), &to.join(directory).join(entry.file_name()));
        }
    }
}

fn copy_link(from: &Path, to: &Path) {
    if let Ok(target) = fs::read_link(from) {
        symlink(target, to).unwrap();
    }
}

fn homes(root: &Path) {
    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIG9uZSBrZXkgb2YgdGhlIGZpeHR1cmUgbWFjaGluZQ==";
    for (home, name) in [("root", "root"), ("home/alice", "alice")] {
        let home = root.join(home);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(home.join(".ssh")).unwrap();
        let keys = format!("# keys\n{KEY} {name}@one\n{KEY} {name}@one\ncommand=\"x\" {KEY}\n");
        write(&home.join(".ssh/authorized_keys"), keys.as_bytes());
        write(&home.join(".ssh/id_ed25519.pub"), format!("{KEY} {name}\n").as_bytes());
        let private = "-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----\n";
        for file in ["id_rsa", "id_Rsa", "100%_key"] {
            write(&home.join(".ssh").join(file), private.as_bytes());
            let mode = fs::Permissions::from_mode(0o600);
            fs::set_permissions(home.join(".ssh").join(file), mode).unwrap();
        }
        write(&home.join(".bash_history"), b"#1700000000\nls\nls\nmake \xff test\n\n");
        write(&home.join(".zsh_history"), b": 1700000001:0;ls\n");
    }
}

fn settings(root: &Path) {
    for (name, value) in [
        ("kernel/ostype", "Linux\n"),
        ("kernel/hostname", "debian\n"),
        ("kernel/randomize_va_space", "2\n"),
        ("net/ipv4/ip_forward", "0\n"),
        ("net/ipv4/conf/eth0.1/forwarding", "0\n"),
        ("net/ipv4/conf/all/forwarding", "0\n"),
        ("vm/swappiness", "60\n"),
        ("42/x", "1\n"),
    ] {
        write(&root.join("proc/sys").join(name), value.as_bytes());
    }
    write(&root.join("etc/sysctl.d/10-x.conf"), b"vm.swappiness = 10\nnet.ipv4.conf.*.forwarding = 1\n");
}
