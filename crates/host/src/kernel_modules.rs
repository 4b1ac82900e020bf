//! `kernel_modules`: from `/proc/modules` (kernel/module/procfs.c).

use collector::{Host, Row, Rows, Table, int, text, unique, vanished};
use model::{Extent, Query, ScanError};

pub(crate) static TABLE: Table<Module, Host> = Table {
    name: "kernel_modules",
    about: "Kernel modules that are loaded now.",
    identity: unique(&["name"]),
    extent: Extent::Whole { rows: 100 },
    columns: &[
        text("name", "Module name.", |m| m.name.as_str().into()),
        int("size", "Bytes of memory that the module holds.", |m| m.size.into()),
        text("used_by", "Modules that use it, with commas between them; `-` for none.", |m| {
            m.used_by.as_str().into()
        }),
        text("status", "`Live`, `Loading` or `Unloading`.", |m| m.status.as_str().into()),
        text("address", "Address in memory; zeros without CAP_SYSLOG.", |m| m.address.as_str().into()),
    ],
    scan,
    examples: &["SELECT name, size FROM kernel_modules WHERE size > 100000"],
};

pub(crate) struct Module {
    name: String,
    size: i64,
    used_by: String,
    status: String,
    address: String,
}

impl Row for Module {}

fn scan(host: &Host, query: &Query) -> Result<Rows<Module>, ScanError> {
    let modules = match host.read_text("/proc/modules") {
        Ok(content) => parse(&content),
        Err(error) => {
            // A kernel without loadable modules has no such file.
            if !vanished(&error) {
                query.run.note(TABLE.name, "", collector::reason(&error));
            }
            Vec::new()
        }
    };
    Ok(Box::new(modules.into_iter().map(Ok)))
}

fn parse(content: &str) -> Vec<Module> {
    let module = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let (name, size) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
        let _uses = words.next()?;
        let used_by = words.next()?.trim_end_matches(',').to_owned();
        let (status, address) = (words.next()?.to_owned(), words.next()?.to_owned());
        Some(Module { name, size, used_by, status, address })
    };
    content.lines().filter_map(module).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_into_its_columns() {
        let modules = parse(
            "nf_tables 323584 3 nft_chain_nat,nft_compat, Live 0xffffffffc0a51000 (OE)\nloop 40960 0 - Loading 0x0\n",
        );
        assert_eq!(modules[0].used_by, "nft_chain_nat,nft_compat");
        assert_eq!((modules[1].name.as_str(), modules[1].size), ("loop", 40960));
        assert_eq!((modules[1].used_by.as_str(), modules[1].status.as_str()), ("-", "Loading"));
    }
}
