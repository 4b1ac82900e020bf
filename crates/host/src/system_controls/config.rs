//! What the files of sysctl.d(5) and sysctl.conf(5) set.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use collector::{Host, or_note};
use model::Run;

use super::{TABLE, swapped};
use crate::bytes;

/// A file hides those of the same name in the directories after its own.
const DIRECTORIES: [&str; 5] =
    ["/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"];

/// The file that sysctl(8) reads after all others.
const LAST: &str = "/etc/sysctl.conf";

/// Values by paths below `/proc/sys`.
#[derive(Debug, Default)]
pub(super) struct Config {
    exact: HashMap<Vec<u8>, Vec<u8>>,
    /// In the order of the files; the last one that matches counts.
    globs: Vec<(Vec<u8>, Vec<u8>)>,
    /// What no glob touches.
    excluded: HashSet<Vec<u8>>,
}

impl Config {
    pub(super) fn read(host: &Host, run: &Run) -> Config {
        let mut files: BTreeMap<OsString, PathBuf> = BTreeMap::new();
        for directory in DIRECTORIES {
            let names = or_note(host.list(directory), run, TABLE.name, "config_value");
            for name in names.into_iter().flatten().map(|entry| entry.name) {
                if name.as_bytes().ends_with(b".conf") {
                    let path = Path::new(directory).join(&name);
                    files.entry(name).or_insert(path);
                }
            }
        }
        let mut config = Config::default();
        for path in files.into_values().chain([PathBuf::from(LAST)]) {
            // Not only a regular file: a link to /dev/null takes back what another directory says.
            if let Some(content) = or_note(host.read(path), run, TABLE.name, "config_value") {
                config.add(&content);
            }
        }
        config
    }

    fn add(&mut self, content: &[u8]) {
        for line in bytes::trimmed_lines(content) {
            if line.starts_with(b"#") || line.starts_with(b";") {
                continue;
            }
            // A dash asks to go on when the setting fails.
            let (dash, line) = line.strip_prefix(b"-").map_or((false, line), |line| (true, line));
            match bytes::split_once(line, b'=') {
                None if dash => {
                    self.excluded.insert(path_of(line.trim_ascii()));
                }
                None => {}
                Some((name, value)) => {
                    let (path, value) = (path_of(name.trim_ascii()), value.trim_ascii().to_vec());
                    if path.iter().any(|b| matches!(b, b'*' | b'?')) {
                        self.globs.push((path, value));
                    } else {
                        self.exact.insert(path, value);
                    }
                }
            }
        }
    }

    /// What a path is set to. A path that is named counts more than any glob.
    pub(super) fn value(&self, path: &[u8]) -> Option<&[u8]> {
        let by_glob = || {
            let glob = self.globs.iter().rfind(|(glob, _)| matches(glob, path))?;
            (!self.excluded.contains(path)).then_some(&glob.1)
        };
        self.exact.get(path).or_else(by_glob).map(Vec::as_slice)
    }
}

/// Dots and slashes change places, unless the first of them is a slash.
fn path_of(name: &[u8]) -> Vec<u8> {
    match name.iter().find(|b| matches!(b, b'.' | b'/')) {
        Some(b'.') => swapped(name),
        _ => name.to_vec(),
    }
}

/// Whether a path is as a glob says, where `*` and `?` stand for anything but a slash.
fn matches(glob: &[u8], path: &[u8]) -> bool {
    // Where to go on when what follows the last `*` does not fit: it then takes one byte more.
    let (mut g, mut p, mut retry) = (0, 0, None);
    while p < path.len() {
        match glob.get(g) {
            Some(b'*') => {
                retry = Some((g + 1, p));
                g += 1;
                continue;
            }
            Some(b'?') if path[p] != b'/' => {}
            Some(byte) if *byte == path[p] => {}
            _ => match retry {
                Some((after, taken)) if path[taken] != b'/' => {
                    retry = Some((after, taken + 1));
                    (g, p) = (after, taken + 1);
                    continue;
                }
                _ => return false,
            },
        }
        (g, p) = (g + 1, p + 1);
    }
    glob[g..].iter().all(|b| *b == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    #[test]
    fn the_last_assignment_counts_and_a_name_more_than_a_glob() {
        let mut config = Config::default();
        config.add(
            b"# a\n; b\nkernel.sysrq = 1\n-net/ipv4/conf/eth0.1/rp_filter=0\nnet.ipv4.conf.lo.rp_filter=\n",
        );
        config.add(
            b"kernel.sysrq=438 # kept\nnet.ipv4.conf.*.rp_filter = 1\n-net.ipv4.conf.all.rp_filter\nword\n",
        );
        let value = |path: &str| config.value(path.as_bytes());
        assert_eq!(value("kernel/sysrq"), Some(&b"438 # kept"[..]));
        assert_eq!(value("net/ipv4/conf/eth0.1/rp_filter"), Some(&b"0"[..]));
        assert_eq!(value("net/ipv4/conf/eth7/rp_filter"), Some(&b"1"[..]));
        assert_eq!(value("net/ipv4/conf/lo/rp_filter"), Some(&b""[..]));
        assert_eq!(value("net/ipv4/conf/all/rp_filter"), None);
        assert_eq!(value("word"), None);
    }

    #[test]
    fn a_file_hides_its_namesakes_and_sysctl_conf_is_last() {
        let machine = Fixture::new();
        machine
            .file("/usr/lib/sysctl.d/50-a.conf", "a.hidden = 1\na.b = lib\n")
            .file("/etc/sysctl.d/50-a.conf", "a.b = etc\na.c = etc\n")
            .file("/run/sysctl.d/60-b.conf", "a.c = run\n")
            .file("/run/sysctl.d/README", "a.c = readme\n")
            .file("/etc/sysctl.conf", "a.d = last\n")
            .file("/usr/lib/sysctl.d/70-off.conf", "a.hidden = 1\n")
            .link("/etc/sysctl.d/70-off.conf", "/dev/null");
        let run = Run::unlimited();
        let config = Config::read(&machine.host(), &run);
        let value = |path: &str| config.value(path.as_bytes());
        assert_eq!([value("a/hidden"), value("a/b")], [None, Some(&b"etc"[..])]);
        assert_eq!([value("a/c"), value("a/d")], [Some(&b"run"[..]), Some(&b"last"[..])]);
        assert_eq!(run.notes(), []);
    }

    #[test]
    fn globs_do_not_cross_a_slash() {
        assert!(matches(b"net/*/conf/e*0/x", b"net/ipv4/conf/eth0/x"));
        assert!(matches(b"a/*", b"a/b") && matches(b"a/?*", b"a/b") && matches(b"*a*ab", b"xaaab"));
        assert!(!matches(b"a/*", b"a/b/c") && !matches(b"a/?", b"a/") && !matches(b"*", b"a/b"));
    }
}
