//! `mounts`: from `/proc/self/mounts` (proc_mounts(5), fstab(5)) and statvfs(3).

use std::sync::OnceLock;

use collector::{FilesystemStats, Host, Row, Rows, Table, int, or_note, repeated, text};
use model::{Extent, Query, Run, ScanError};

use crate::bytes;

pub(crate) static TABLE: Table<Mount, Host> = Table {
    name: "mounts",
    about: "What is mounted, and how full it is.",
    identity: repeated(&["path", "device"]),
    extent: Extent::Whole { rows: 50 },
    columns: &[
        text("device", "What is mounted: a device, a remote share, or a name.", |m| (&m.line.device).into()),
        text("device_alias", "The device with all links in its path resolved.", |m| m.device_alias().into()),
        text("path", "Where it is mounted.", |m| (&m.line.path).into()),
        text("type", "Kind of file system: `ext4`.", |m| (&m.line.kind).into()),
        int(
            "blocks_size",
            "Bytes in a block of whatever is mounted last at the path, as are the counts.",
            |m| m.stats().map(|s| s.block_size).into(),
        ),
        int("blocks", "Blocks in all.", |m| m.stats().map(|s| s.blocks).into()),
        int("blocks_free", "Blocks that are free.", |m| m.stats().map(|s| s.blocks_free).into()),
        int("blocks_available", "Blocks that are free to an ordinary user.", |m| {
            m.stats().map(|s| s.blocks_available).into()
        }),
        int("inodes", "Inodes in all.", |m| m.stats().map(|s| s.inodes).into()),
        int("inodes_free", "Inodes that are free.", |m| m.stats().map(|s| s.inodes_free).into()),
        text("flags", "Options, with commas between them.", |m| (&m.line.flags).into()),
    ],
    scan,
    examples: &[
        "SELECT path, flags FROM mounts WHERE type = 'tmpfs' AND flags NOT LIKE '%noexec%'",
        "SELECT path, blocks_available * blocks_size >> 20 AS free_mib FROM mounts WHERE path = '/'",
    ],
};

pub(crate) struct Mount {
    line: Line,
    host: Host,
    run: Run,
    device_alias: OnceLock<Vec<u8>>,
    stats: OnceLock<Option<FilesystemStats>>,
}

struct Line {
    device: Vec<u8>,
    path: Vec<u8>,
    kind: Vec<u8>,
    flags: Vec<u8>,
}

impl Row for Mount {
    fn heap_bytes(&self) -> usize {
        let Line { device, path, kind, flags } = &self.line;
        // A device's alias is about as long as its name.
        2 * device.len() + path.len() + kind.len() + flags.len()
    }
}

impl Mount {
    /// The device itself when it leads nowhere, as in osquery: most names of devices are not paths.
    fn device_alias(&self) -> &Vec<u8> {
        self.device_alias.get_or_init(|| {
            let device = &self.line.device;
            let real = || self.host.real_path(bytes::path(device)).ok();
            let real = device.starts_with(b"/").then(real).flatten();
            real.map_or_else(|| device.clone(), |real| real.into_os_string().into_encoded_bytes())
        })
    }

    fn stats(&self) -> Option<&FilesystemStats> {
        let ask = || {
            // Asking about a place that waits for its first visitor would mount it.
            if self.line.kind == b"autofs" || !self.host.is_live() {
                return None;
            }
            let answer =
                self.host.filesystem_while(bytes::path(&self.line.path), || self.run.check().is_ok());
            or_note(answer, &self.run, TABLE.name, "blocks")
        };
        self.stats.get_or_init(ask).as_ref()
    }
}

fn scan(host: &Host, query: &Query) -> Result<Rows<Mount>, ScanError> {
    let content = or_note(host.read("/proc/self/mounts"), &query.run, TABLE.name, "").unwrap_or_default();
    let (host, run) = (host.clone(), query.run.clone());
    Ok(Box::new(parse(&content).into_iter().map(move |line| {
        run.check()?;
        let (host, run) = (host.clone(), run.clone());
        Ok(Mount { line, host, run, device_alias: OnceLock::new(), stats: OnceLock::new() })
    })))
}

fn parse(content: &[u8]) -> Vec<Line> {
    let line = |line: &[u8]| {
        let mut words = line.split(|b| *b == b' ').map(unescaped);
        Some(Line { device: words.next()?, path: words.next()?, kind: words.next()?, flags: words.next()? })
    };
    bytes::lines(content).filter_map(line).collect()
}

/// The kernel writes white space, `#` and the backslash itself as a backslash and three octal digits.
fn unescaped(word: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        out.push(match rest {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] if first == b'\\' => {
                rest = after;
                (a - b'0') << 6 | (b - b'0') << 3 | (c - b'0')
            }
            _ => first,
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_become_the_bytes_they_stand_for() {
        assert_eq!(unescaped(b"/mnt/a\\040b\\011\\134040\\043"), b"/mnt/a b\t\\040#");
        assert_eq!(unescaped(b"\xff\\9\\04"), b"\xff\\9\\04");
        assert_eq!(unescaped(b"\\377"), b"\xff");
    }

    #[test]
    fn a_line_is_split_into_its_columns() {
        let lines = parse(b"/dev/vda1 / ext4 rw,relatime 0 0\n//srv/share\\040x /mnt cifs ro 0 0\n");
        assert_eq!((lines[0].path.as_slice(), lines[0].flags.as_slice()), (&b"/"[..], &b"rw,relatime"[..]));
        assert_eq!(
            (lines[1].device.as_slice(), lines[1].kind.as_slice()),
            (&b"//srv/share x"[..], &b"cifs"[..])
        );
        assert_eq!(lines.len(), 2);
    }
}
