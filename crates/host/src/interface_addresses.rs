//! `interface_addresses`: `RTM_GETADDR` of rtnetlink(7), in the network namespace of the collector.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use collector::{Host, Row, Rows, Rtnetlink, Table, elsewhere_text, repeated, text};
use model::{Extent, Query, ScanError};

use crate::net::rtnetlink::{Address, interface_names, messages};
use crate::net::written;

pub(crate) static TABLE: Table<InterfaceAddress, Host> = Table {
    name: "interface_addresses",
    about: "IP addresses of the network interfaces.",
    identity: repeated(&["interface", "address"]),
    extent: Extent::Whole { rows: 10 },
    columns: &[
        text("interface", "Name of the interface, or the label of an IPv4 address that has its own.", |a| {
            (&a.interface).into()
        }),
        text("address", "The address.", |a| a.found.address.to_string().into()),
        text("mask", "Which of its bits are the network's, written as an address.", |a| {
            mask(a.found.address, a.found.prefix).to_string().into()
        }),
        text("broadcast", "Address that reaches the whole network, or empty.", |a| {
            written(a.found.broadcast).into()
        }),
        text("point_to_point", "Address of the only peer, or empty; never the address itself.", |a| {
            written(a.found.peer).into()
        }),
        text("type", "How it was set; always `unknown` on Linux.", |_| "unknown".into()),
        elsewhere_text("friendly_name"),
    ],
    scan,
    examples: &["SELECT interface, address, mask FROM interface_addresses WHERE address <> '127.0.0.1'"],
};

pub(crate) struct InterfaceAddress {
    interface: Vec<u8>,
    found: Address,
}

impl Row for InterfaceAddress {
    fn heap_bytes(&self) -> usize {
        self.interface.capacity()
    }
}

fn scan(host: &Host, query: &Query) -> Result<Rows<InterfaceAddress>, ScanError> {
    let names = interface_names(host, query, TABLE.name);
    let found = messages(host, query, TABLE.name, Rtnetlink::Addresses);
    Ok(Box::new(found.filter_map(move |message| {
        let mut found = Address::parse(&message)?;
        // An interface that came up after the names were read is passed over, as if the scan had been earlier.
        let interface = found.label.take().or_else(|| names.get(&found.interface).cloned())?;
        Some(Ok(InterfaceAddress { interface, found }))
    })))
}

fn mask(of: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match of {
        IpAddr::V4(_) => Ipv4Addr::from(u32::MAX.checked_shl(32 - prefix.min(32)).unwrap_or(0)).into(),
        IpAddr::V6(_) => Ipv6Addr::from(u128::MAX.checked_shl(128 - prefix.min(128)).unwrap_or(0)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Scan;

    #[test]
    fn a_prefix_becomes_a_mask() {
        let mask = |address: &str, prefix| mask(address.parse().unwrap(), prefix).to_string();
        assert_eq!(mask("192.0.2.2", 24), "255.255.255.0");
        assert_eq!([mask("10.0.0.1", 0), mask("10.0.0.1", 32)], ["0.0.0.0", "255.255.255.255"]);
        assert_eq!(mask("fd00::2", 64), "ffff:ffff:ffff:ffff::");
        assert_eq!(mask("::1", 128), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
        assert_eq!(mask("::1", 0), "::");
    }

    #[test]
    fn the_loopback_address_is_listed() {
        let rows = Scan::of(&TABLE, Host::live()).lines();
        assert!(rows.iter().any(|row| row == "lo|127.0.0.1|255.0.0.0|||unknown"), "{rows:?}");
    }
}
