//! `arp_cache`: from `/proc/net/arp` (arp_seq_show in net/ipv4/arp.c), in the network namespace of the collector.

use collector::{Host, Row, Rows, Table, or_note, repeated, text};
use model::{Extent, Query, ScanError};

use crate::bytes;

pub(crate) static TABLE: Table<Neighbour, Host> = Table {
    name: "arp_cache",
    about: "IPv4 neighbours whose hardware address the kernel remembers.",
    identity: repeated(&["address", "interface"]),
    extent: Extent::Whole { rows: 10 },
    columns: &[
        text("address", "IPv4 address.", |n| n.address.as_str().into()),
        text("mac", "Hardware address; zeros while it is asked for.", |n| n.mac.as_str().into()),
        text("interface", "Interface that it is reached by.", |n| (&n.interface).into()),
        text("permanent", "`1` when it was set by hand and does not age, else `0`.", |n| {
            if n.permanent { "1" } else { "0" }.into()
        }),
    ],
    scan,
    examples: &["SELECT mac, count(*) FROM arp_cache GROUP BY mac HAVING count(*) > 1"],
};

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Neighbour {
    address: String,
    mac: String,
    interface: Vec<u8>,
    permanent: bool,
}

impl Row for Neighbour {
    fn heap_bytes(&self) -> usize {
        self.address.capacity() + self.mac.capacity() + self.interface.capacity()
    }
}

fn scan(host: &Host, query: &Query) -> Result<Rows<Neighbour>, ScanError> {
    let content = or_note(host.read("/proc/net/arp"), &query.run, TABLE.name, "").unwrap_or_default();
    Ok(Box::new(parse(&content).into_iter().map(Ok)))
}

/// `IP address, HW type, Flags, HW address, Mask, Device` under a heading.
fn parse(content: &[u8]) -> Vec<Neighbour> {
    const ATF_PERM: u32 = 0x4;
    let neighbour = |line: &[u8]| {
        let mut words = bytes::words(line);
        let mut text = || std::str::from_utf8(words.next()?).ok();
        let (address, _hardware) = (text()?.to_owned(), text()?);
        let flags = u32::from_str_radix(text()?.strip_prefix("0x")?, 16).ok()?;
        let (mac, _mask) = (text()?.to_owned(), text()?);
        let interface = words.next()?.to_vec();
        Some(Neighbour { address, mac, interface, permanent: flags & ATF_PERM != 0 })
    };
    bytes::lines(content).filter_map(neighbour).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_and_the_heading_is_not() {
        let found = parse(
            b"IP address       HW type     Flags       HW address            Mask     Device\n\
              192.0.2.1        0x1         0x2         02:fc:00:00:00:05     *        eth0\n\
              192.0.2.7        0x1         0x6         02:fc:00:00:00:07     *        br\xff0\n\
              192.0.2.8        0x1         0x0         00:00:00:00:00:00     *        eth0\n",
        );
        let facts: Vec<_> = found.iter().map(|n| (&n.address[..], &n.interface[..], n.permanent)).collect();
        assert_eq!(
            facts,
            [
                ("192.0.2.1", &b"eth0"[..], false),
                ("192.0.2.7", b"br\xff0", true),
                ("192.0.2.8", b"eth0", false)
            ]
        );
        assert_eq!(found[0].mac, "02:fc:00:00:00:05");
    }

    #[test]
    fn cut_lines_are_passed_over() {
        let line = b"192.0.2.1        0x1         0x2         02:fc:00:00:00:05     *        ";
        assert!((0..line.len()).all(|len| parse(&line[..len]).is_empty()));
        assert!(parse(b"\xff \xff 0x2 \xff \xff eth0\n1 2 6 4 5 6\n").is_empty());
    }
}
