//! `kernel_modules`: from `/proc/modules` (kernel/module/procfs.c).

use collector::{Host, Row, Rows, Table, int, or_note, text, unique};
use model::{Extent, Query, ScanError};

use crate::bytes;

pub(crate) static TABLE: Table<Module, Host> = Table {
    name: "kernel_modules",
    about: "Kernel modules that are loaded now.",
    identity: unique(&["name"]),
    extent: Extent::Whole { rows: 100 },
    columns: &[
        text("name", "Module name.", |m| (&m.name).into()),
        int("size", "Bytes of memory that the module holds.", |m| m.size.into()),
        text("used_by", "Modules that use it, with commas between them; `-` for none.", |m| {
            (&m.used_by).into()
        }),
        text("status", "`Live`, `Loading` or `Unloading`.", |m| (&m.status).into()),
        text("address", "Address in memory; zeros without CAP_SYSLOG.", |m| (&m.address).into()),
    ],
    scan,
    examples: &["SELECT name, size FROM kernel_modules WHERE size > 100000"],
};

/// One line of the list. Texts are the kernel's bytes: a module is named by whoever built it.
pub(crate) struct Module {
    name: Vec<u8>,
    size: i64,
    used_by: Vec<u8>,
    status: Vec<u8>,
    address: Vec<u8>,
}

impl Row for Module {
    fn heap_bytes(&self) -> usize {
        self.name.len() + self.used_by.len() + self.status.len() + self.address.len()
    }
}

fn scan(host: &Host, query: &Query) -> Result<Rows<Module>, ScanError> {
    // A kernel without loadable modules has no such file.
    let content = or_note(host.read("/proc/modules"), &query.run, TABLE.name, "").unwrap_or_default();
    Ok(Box::new(parse(&content).into_iter().map(Ok)))
}

fn parse(content: &[u8]) -> Vec<Module> {
    let module = |line: &[u8]| {
        let mut words = bytes::words(line);
        let (name, size, _uses) = (words.next()?, bytes::decimal(words.next()?)?, words.next()?);
        let used_by = words.next()?;
        let used_by = used_by.strip_suffix(b",").unwrap_or(used_by);
        let (status, address) = (words.next()?.to_vec(), words.next()?.to_vec());
        Some(Module { name: name.to_vec(), size, used_by: used_by.to_vec(), status, address })
    };
    bytes::lines(content).filter_map(module).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_into_its_columns() {
        let modules = parse(
            b"nf_tables 323584 3 nft_chain_nat,nft_compat, Live 0xffffffffc0a51000 (OE)\nr\xff 40960 0 - Loading 0x0\n",
        );
        assert_eq!(modules[0].used_by, b"nft_chain_nat,nft_compat");
        assert_eq!((modules[1].name.as_slice(), modules[1].size), (&b"r\xff"[..], 40960));
        assert_eq!((&modules[1].used_by[..], &modules[1].status[..]), (&b"-"[..], &b"Loading"[..]));
    }

    #[test]
    fn garbage_is_no_module() {
        assert_eq!(parse(b"\n\xff\nloop\nloop -1 0 - Live 0x0\nloop 1 0 - Live\n").len(), 0);
    }
}
