//! systemd units that a target or another unit pulls in (systemd.unit(5), systemd.service(5)).

use std::collections::HashSet;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use collector::{Host, Masked, or_note};
use model::Run;

use super::{ENABLED, Item, ItemKind, MASKED, TABLE};
use crate::homes::Home;
use crate::{bytes, text_file};

/// Where units lie, the strongest first.
const DIRECTORIES: [&str; 9] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/etc/systemd/user",
    "/run/systemd/user",
    "/usr/local/lib/systemd/user",
    "/usr/lib/systemd/user",
];

/// What a unit's file says, to be shown.
pub(super) struct Unit {
    pub(super) exec_start: Option<Masked>,
    pub(super) user: Option<Vec<u8>>,
}

/// What a unit's file says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Service {
    exec_start: Option<Vec<u8>>,
    user: Option<Vec<u8>>,
}

/// The directories of units, each once: `/lib` is `/usr/lib` on most machines.
pub(super) fn directories(host: &Host) -> Vec<&'static str> {
    let mut seen = HashSet::new();
    let new = |directory: &&str| host.stat(directory).is_ok_and(|m| seen.insert((m.dev(), m.ino())));
    DIRECTORIES.into_iter().filter(new).collect()
}

/// The units that the links below a directory of units pull in.
pub(super) fn wanted(host: &Host, run: &Run, directory: &Path, home: Option<&Home>) -> Vec<Item> {
    let mut items = Vec::new();
    for place in text_file::paths_or_note(host, run, TABLE.name, directory) {
        let pulls = [".wants", ".requires", ".upholds"].iter();
        if !pulls.into_iter().any(|suffix| place.as_os_str().as_encoded_bytes().ends_with(suffix.as_bytes()))
        {
            continue;
        }
        for link in text_file::paths_or_note(host, run, TABLE.name, &place) {
            items.push(item(host, run, directory, &place, &link, home));
        }
    }
    items
}

fn item(host: &Host, run: &Run, directory: &Path, place: &Path, link: &Path, home: Option<&Home>) -> Item {
    let name = link.file_name().unwrap_or_default();
    let target = host.read_link(link).map_or_else(|_| link.to_owned(), |target| resolved(place, &target));
    // A unit is masked by a link of its name to /dev/null in the strongest directory.
    let mask = match home {
        Some(_) => directory,
        None if directory.ends_with("user") => Path::new("/etc/systemd/user"),
        None => Path::new("/etc/systemd/system"),
    };
    let masked = host.read_link(mask.join(name)).is_ok_and(|target| target == Path::new("/dev/null"));
    Item {
        name: name.as_encoded_bytes().to_vec(),
        path: target.into_os_string().into_vec(),
        source: place.join(""),
        status: if masked { MASKED } else { ENABLED },
        owner: home.map(|home| home.user.clone()),
        kind: ItemKind::Unit {
            host: host.clone(),
            run: run.clone(),
            home: home.cloned(),
            unit: OnceLock::new(),
        },
    }
}

/// Where a link in a directory points, without `.` and `..`.
fn resolved(directory: &Path, target: &Path) -> PathBuf {
    let mut path = PathBuf::new();
    for part in directory.join(target).components() {
        match part {
            std::path::Component::ParentDir => {
                path.pop();
            }
            std::path::Component::CurDir => {}
            part => path.push(part),
        }
    }
    path
}

/// What the file of a unit says; `None` when it is gone or cannot be read, the latter with a note.
pub(super) fn read(host: &Host, run: &Run, home: Option<&Home>, path: &[u8]) -> Option<Unit> {
    let content = text_file::read_for(host, home, bytes::path(path));
    let Service { exec_start, user } = parse(&or_note(content, run, TABLE.name, "args")?);
    Some(Unit { exec_start: exec_start.map(|commands| host.masking().line(commands)), user })
}

fn parse(content: &[u8]) -> Service {
    let mut unit = Service::default();
    let mut in_service = false;
    for line in joined(content) {
        let line = line.trim_ascii();
        if line.starts_with(b"[") {
            in_service = line == b"[Service]";
        }
        let Some((key, value)) = bytes::split_once(line, b'=').filter(|_| in_service) else { continue };
        let (key, value) = (key.trim_ascii_end(), value.trim_ascii_start());
        let value = (!value.is_empty()).then(|| value.to_vec());
        match (key, &mut unit.exec_start, value) {
            (b"ExecStart", Some(commands), Some(command)) => {
                commands.extend([b"; ".to_vec(), command].concat())
            }
            // An empty value takes back what was given before.
            (b"ExecStart", commands, value) => *commands = value,
            (b"User", _, value) => unit.user = value,
            _ => {}
        }
    }
    unit
}

/// The lines of a unit's file without comments; one that ends in a backslash goes on in the next, after a blank.
fn joined(content: &[u8]) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let mut continued = false;
    for line in bytes::trimmed_lines(content) {
        if line.starts_with(b"#") || line.starts_with(b";") {
            continue;
        }
        let (text, continues) = line.strip_suffix(b"\\").map_or((line, false), |text| (text, true));
        match lines.last_mut().filter(|_| continued) {
            Some(last) => {
                last.truncate(last.trim_ascii_end().len());
                last.push(b' ');
                last.extend_from_slice(text);
            }
            None => lines.push(text.to_vec()),
        }
        continued = continues;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_service_section_counts_and_lines_go_on_after_a_backslash() {
        let content = b"ExecStart=no\n[Unit]\nUser=no\n[Service]\r\n# User=no\r\nUser = www\xff\r\nExecStart=/bin/a \\\r\n\
            # between\r\n  -x \\\r\n  -y\r\nExecStart=/bin/b\n[Install]\nUser=no\n";
        let unit = parse(content);
        assert_eq!(unit.user.as_deref(), Some(&b"www\xff"[..]));
        assert_eq!(unit.exec_start.as_deref(), Some(&b"/bin/a -x -y; /bin/b"[..]));
    }

    #[test]
    fn an_empty_value_takes_back_what_was_given() {
        assert_eq!(parse(b"[Service]\nUser=a\nUser=\nExecStart=a\nExecStart=\n"), Service::default());
        assert_eq!(parse(b"[Service]\nExecStart=a\nExecStart=\nExecStart=b").exec_start.unwrap(), b"b");
    }

    #[test]
    fn garbage_says_nothing() {
        assert_eq!(parse(b"\xff\xfe\n=\n[Service]\nUser\n\\\n"), Service::default());
    }

    #[test]
    fn relative_links_are_resolved_beside_themselves() {
        let at = |target: &str| resolved(Path::new("/etc/systemd/system/x.wants"), Path::new(target));
        assert_eq!(at("../a.service"), Path::new("/etc/systemd/system/a.service"));
        assert_eq!(at("/lib/./a.service"), Path::new("/lib/a.service"));
        assert_eq!(at("../../../../../../a"), Path::new("/a"));
    }
}
