//! `memory_info`: from `/proc/meminfo` (proc_meminfo(5)).

use std::collections::HashMap;

use collector::{Host, Row, Rows, Table, int, or_note, unique};
use model::{Extent, Query, ScanError};

pub(crate) static TABLE: Table<Memory, Host> = Table {
    name: "memory_info",
    about: "How the machine's memory is used, in bytes; one row.",
    identity: unique(&[]),
    extent: Extent::Whole { rows: 1 },
    columns: &[
        int("memory_total", "Usable bytes of memory.", |m| m.bytes("MemTotal").into()),
        int("memory_free", "Bytes that nothing uses.", |m| m.bytes("MemFree").into()),
        int("memory_available", "Bytes that a new program could have without swapping, estimated.", |m| {
            m.bytes("MemAvailable").into()
        }),
        int("buffers", "Bytes of raw disk blocks kept.", |m| m.bytes("Buffers").into()),
        int("cached", "Bytes of file content kept.", |m| m.bytes("Cached").into()),
        int("swap_cached", "Bytes in memory that also stand in swap.", |m| m.bytes("SwapCached").into()),
        int("active", "Bytes used recently.", |m| m.bytes("Active").into()),
        int("inactive", "Bytes not used recently.", |m| m.bytes("Inactive").into()),
        int("swap_total", "Bytes of swap.", |m| m.bytes("SwapTotal").into()),
        int("swap_free", "Bytes of swap that nothing uses.", |m| m.bytes("SwapFree").into()),
    ],
    scan,
    examples: &["SELECT memory_available * 100 / memory_total AS percent FROM memory_info"],
};

/// Bytes by the name that the kernel gives them.
pub(crate) struct Memory(HashMap<String, i64>);

impl Memory {
    /// NULL for what this kernel does not tell.
    fn bytes(&self, name: &str) -> Option<i64> {
        self.0.get(name).copied()
    }
}

impl Row for Memory {
    fn heap_bytes(&self) -> usize {
        self.0.keys().map(|name| name.len() + size_of::<(String, i64)>()).sum()
    }
}

fn scan(host: &Host, query: &Query) -> Result<Rows<Memory>, ScanError> {
    let content = or_note(host.read_text("/proc/meminfo"), &query.run, TABLE.name, "");
    Ok(Box::new(content.map(|content| Ok(Memory(parse(&content)))).into_iter()))
}

/// The lines that count bytes; the kernel's `kB` is 1024 of them.
pub(crate) fn parse(content: &str) -> HashMap<String, i64> {
    let line = |line: &str| {
        let (name, amount) = line.split_once(':')?;
        let kib: i64 = amount.trim().strip_suffix(" kB")?.parse().ok()?;
        Some((name.to_owned(), kib.checked_mul(1024)?))
    };
    content.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kilobytes_become_bytes_and_counts_are_left_out() {
        let memory =
            parse("MemTotal:       24684096 kB\nActive(anon):       1560 kB\nHugePages_Total:       5\n");
        assert_eq!(memory.get("MemTotal"), Some(&25_276_514_304));
        assert_eq!(memory.get("Active"), None);
        assert_eq!(memory.get("HugePages_Total"), None);
    }
}
