//! `process_memory_map`: from `/proc/PID/maps` (proc_pid_maps(5)).

use collector::{Host, Reads, Row, Rows, Table, int, key, repeated, text};
use model::{Extent, Query, ScanError};

use crate::process;

pub(crate) static TABLE: Table<Mapping, Host> = Table {
    name: "process_memory_map",
    about: "Mappings in the memory of processes.",
    // The kernel gives `maps` in pieces, so a mapping that grows meanwhile can show twice.
    identity: repeated(&["pid", "start"]),
    extent: Extent::PerKey { keys: 300, rows: 50 },
    columns: &[
        key(int("pid", "Process id.", |m| m.pid.into())),
        text("start", "First address, in hexadecimal with 0x before.", |m| m.start.as_str().into()),
        text("end", "Address past the last, in hexadecimal with 0x before.", |m| m.end.as_str().into()),
        text(
            "permissions",
            "What is allowed: `r`, `w`, `x`, then `p` for private or `s` for shared; `-` for what is not.",
            |m| m.permissions.as_slice().into(),
        ),
        int("offset", "Offset in the file, in bytes.", |m| m.offset.into()),
        text("device", "Major and minor of the file's device, in hexadecimal.", |m| m.device.as_str().into()),
        int("inode", "Inode of the file; 0 for none.", |m| m.inode.into()),
        text(
            "path",
            "File as the kernel writes it (newlines as \\012, a mark when deleted), or [name].",
            |m| m.path.as_slice().into(),
        ),
        int("pseudo", "1 for a path that is no file, such as [heap].", |m| {
            (m.inode == 0 && !m.path.is_empty()).into()
        }),
    ],
    scan,
    examples: &["SELECT path, permissions FROM process_memory_map WHERE pid = 1 AND permissions LIKE '%x%'"],
};

#[derive(Debug, PartialEq)]
pub(crate) struct Mapping {
    pid: u32,
    start: String,
    end: String,
    permissions: Vec<u8>,
    offset: u64,
    device: String,
    inode: u64,
    path: Vec<u8>,
}

impl Row for Mapping {
    fn heap_bytes(&self) -> usize {
        let text = self.start.capacity() + self.end.capacity() + self.device.capacity();
        text + self.permissions.capacity() + self.path.capacity()
    }
}

fn scan(host: &Host, query: &Query) -> Result<Rows<Mapping>, ScanError> {
    let processes = process::scan(host, TABLE.name, query, Reads::More)?;
    Ok(process::rows_of(processes, |process| {
        let maps = process.maps().unwrap_or_default();
        maps.split(|b| *b == b'\n').filter_map(|line| parse(process.pid(), line)).collect()
    }))
}

/// `start-end permissions offset device inode path`; blanks align the path, which can hold blanks itself.
fn parse(pid: u32, line: &[u8]) -> Option<Mapping> {
    let mut fields = line.splitn(6, |b| *b == b' ');
    let mut field = || std::str::from_utf8(fields.next()?).ok();
    let (start, end) = field()?.split_once('-')?;
    let permissions = field()?.as_bytes().to_vec();
    let offset = u64::from_str_radix(field()?, 16).ok()?;
    let device = field()?.to_owned();
    let inode = field()?.parse().ok()?;
    let path = fields.next().unwrap_or_default();
    let path = path.iter().position(|b| *b != b' ').map_or(&b""[..], |at| &path[at..]).to_vec();
    let hex = |digits| format!("0x{digits}");
    Some(Mapping { pid, start: hex(start), end: hex(end), permissions, offset, device, inode, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_into_its_columns() {
        let line =
            b"55d1c0a00000-55d1c0a21000 r-xp 0000a000 fd:01 1835031                    /opt/a  b (deleted)";
        let map = parse(7, line).unwrap();
        assert_eq!((map.start.as_str(), map.end.as_str()), ("0x55d1c0a00000", "0x55d1c0a21000"));
        assert_eq!((map.offset, map.inode, map.device.as_str()), (0xa000, 1_835_031, "fd:01"));
        assert_eq!((&*map.permissions, &*map.path), (&b"r-xp"[..], &b"/opt/a  b (deleted)"[..]));
    }

    #[test]
    fn a_mapping_need_not_have_a_path() {
        let heap = parse(7, b"00e24000-011f7000 rw-p 00000000 00:00 0           [heap]").unwrap();
        assert_eq!(heap.path, b"[heap]");
        assert_eq!(parse(7, b"00e24000-011f7000 rw-p 00000000 00:00 0 ").unwrap().path, b"");
        assert_eq!(parse(7, b"00e24000-011f7000 rw-p 00000000 00:00 0").unwrap().path, b"");
        assert_eq!(parse(7, b""), None);
        assert_eq!(parse(7, b"00e24000 rw-p"), None);
    }

    #[test]
    fn a_path_keeps_bytes_that_are_not_utf8() {
        assert_eq!(parse(7, b"1-2 r--p 0 00:00 9 /a\xff").unwrap().path, b"/a\xff");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_maps_its_own_image() {
        use crate::process::fixture::{query, rows};

        let exe = std::env::current_exe().unwrap();
        let pid = i64::from(std::process::id());
        let query = query(&TABLE, &["permissions", "path", "pseudo"], Some(&[pid]));
        let rows = rows(&TABLE, &Host::live(), &query);
        let code = rows.iter().find(|row| row[0].as_str() == Some("r-xp") && row[1] == exe.as_path().into());
        assert_eq!(code.unwrap()[2].as_int(), Some(0));
        let heap = rows.iter().find(|row| row[1].as_str() == Some("[stack]")).unwrap();
        assert_eq!(heap[2].as_int(), Some(1));
    }
}
