//! `interface_details`: `RTM_GETLINK` of rtnetlink(7), in the network namespace of the collector, and
//! `/sys/class/net` for what only sysfs tells.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use collector::{
    Host, Row, Rows, Rtnetlink, Table, elsewhere_int, elsewhere_text, int, reason, repeated, text, vanished,
};
use model::{Extent, Query, Run, ScanError, Value};

use crate::bytes;
use crate::net::rtnetlink::{Link, messages};

const IFF_PROMISC: u32 = 0x100;
const IFF_ALLMULTI: u32 = 0x200;

pub(crate) static TABLE: Table<Interface, Host> = Table {
    name: "interface_details",
    about: "Network interfaces, with their settings and counters.",
    identity: repeated(&["interface"]),
    extent: Extent::Whole { rows: 5 },
    columns: &[
        text("interface", "Name of the interface.", |i| (&i.link.name).into()),
        text("mac", "Hardware address, or empty.", |i| colons(&i.link.mac).into()),
        int("type", "Kind of hardware: a number of ARPHRD_*, such as 1 (Ethernet) or 772 (loopback).", |i| {
            i.link.kind.into()
        }),
        int("mtu", "Largest packet, in bytes.", |i| i.link.mtu.into()),
        int("metric", "Always 0: Linux has no metric of an interface.", |_| 0.into()),
        int("flags", "Flags IFF_*; 256 tells that somebody listens to foreign traffic.", |i| {
            i.flags().into()
        }),
        int("ipackets", "Packets received.", |i| i.counter(0)),
        int("opackets", "Packets sent.", |i| i.counter(1)),
        int("ibytes", "Bytes received.", |i| i.counter(2)),
        int("obytes", "Bytes sent.", |i| i.counter(3)),
        int("ierrors", "Errors in receiving.", |i| i.counter(4)),
        int("oerrors", "Errors in sending.", |i| i.counter(5)),
        int("idrops", "Received packets that were dropped.", |i| i.counter(6)),
        int("odrops", "Packets that were dropped before they were sent.", |i| i.counter(7)),
        int("collisions", "Collisions in sending.", |i| i.counter(9)),
        int("last_change", "Always NULL: Linux does not keep it.", |_| Value::Null),
        int("link_speed", "Speed in Mbit/s; NULL while there is no link or it does not say.", |i| {
            i.speed().into()
        }),
        text("pci_slot", "PCI address of the device; NULL for a virtual one.", |i| i.pci_slot().into()),
        elsewhere_text("friendly_name"),
        elsewhere_text("description"),
        elsewhere_text("manufacturer"),
        elsewhere_text("connection_id"),
        elsewhere_text("connection_status"),
        elsewhere_int("enabled"),
        elsewhere_int("physical_adapter"),
        elsewhere_int("speed"),
        elsewhere_text("service"),
        elsewhere_int("dhcp_enabled"),
        elsewhere_text("dhcp_lease_expires"),
        elsewhere_text("dhcp_lease_obtained"),
        elsewhere_text("dhcp_server"),
        elsewhere_text("dns_domain"),
        elsewhere_text("dns_domain_suffix_search_order"),
        elsewhere_text("dns_host_name"),
        elsewhere_text("dns_server_search_order"),
    ],
    scan,
    examples: &[
        "SELECT interface, mac, ibytes, obytes FROM interface_details",
        "SELECT interface FROM interface_details WHERE flags & 256",
    ],
};

pub(crate) struct Interface {
    link: Link,
    host: Host,
    run: Run,
    sysfs_flags: OnceLock<u32>,
    speed: OnceLock<Option<i64>>,
}

impl Row for Interface {
    fn heap_bytes(&self) -> usize {
        self.link.name.capacity() + self.link.mac.capacity()
    }
}

impl Interface {
    fn counter(&self, n: usize) -> Value<'_> {
        self.link.counters.map(|counters| counters[n]).into()
    }

    /// In place of the interface's own flags, netlink shows which ones a user set with ioctl(2), so a packet
    /// socket's promiscuous mode is told only by its count or by sysfs.
    fn flags(&self) -> u32 {
        let counted = if self.link.promiscuity > 0 { IFF_PROMISC } else { 0 };
        let sysfs = self.sysfs_flags.get_or_init(|| {
            let text = self.attribute("flags", "flags");
            text.and_then(|text| u32::from_str_radix(text.trim_start_matches("0x"), 16).ok()).unwrap_or(0)
        });
        self.link.flags | counted | sysfs & (IFF_PROMISC | IFF_ALLMULTI)
    }

    fn speed(&self) -> Option<i64> {
        // -1 stands for unknown.
        *self
            .speed
            .get_or_init(|| self.attribute("speed", "link_speed")?.parse().ok().filter(|speed| *speed >= 0))
    }

    fn pci_slot(&self) -> Option<Vec<u8>> {
        pci_slot(&self.host.read_link(self.sysfs()).ok()?)
    }

    fn sysfs(&self) -> PathBuf {
        Path::new("/sys/class/net").join(bytes::path(&self.link.name))
    }

    fn attribute(&self, name: &str, column: &'static str) -> Option<String> {
        match self.host.read_text(self.sysfs().join(name)) {
            Ok(text) => Some(text.trim_ascii().to_owned()),
            Err(error) => {
                // EINVAL says that the device has no such thing, or not now.
                if !vanished(&error) && error.kind() != std::io::ErrorKind::InvalidInput {
                    self.run.note(TABLE.name, column, reason(&error));
                }
                None
            }
        }
    }
}

fn scan(host: &Host, query: &Query) -> Result<Rows<Interface>, ScanError> {
    let links = messages(host, query, TABLE.name, Rtnetlink::Links);
    let (host, run) = (host.clone(), query.run.clone());
    Ok(Box::new(links.filter_map(move |message| {
        let link = Link::parse(&message)?;
        let (host, run) = (host.clone(), run.clone());
        Some(Ok(Interface { link, host, run, sysfs_flags: OnceLock::new(), speed: OnceLock::new() }))
    })))
}

fn colons(mac: &[u8]) -> String {
    mac.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

/// The PCI address in a device's place in sysfs, nearest to the device: behind bridges there are several.
fn pci_slot(device: &Path) -> Option<Vec<u8>> {
    let names = device.components().rev().map(|part| part.as_os_str().as_bytes());
    names.filter(|name| is_pci_address(name)).map(<[u8]>::to_vec).next()
}

/// `0000:00:03.0`: domain, bus and device, in hexadecimal, and the function.
fn is_pci_address(name: &[u8]) -> bool {
    let Some((domain, rest)) = name.split_last_chunk::<8>() else { return false };
    let hex = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
    domain.len() >= 4
        && hex(domain)
        && (rest[0], rest[3], rest[6]) == (b':', b':', b'.')
        && [&rest[1..3], &rest[4..6], &rest[7..]].into_iter().all(hex)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    #[test]
    fn the_pci_address_is_the_one_nearest_to_the_device() {
        let slot = |path: &str| pci_slot(Path::new(path)).map(|slot| String::from_utf8(slot).unwrap());
        let behind_bridge = "../../devices/pci0000:00/0000:00:1c.0/0000:3b:00.1/net/eth0";
        assert_eq!(slot(behind_bridge).as_deref(), Some("0000:3b:00.1"));
        assert_eq!(
            slot("../../devices/pci0000:00/0000:00:03.0/virtio2/net/eth0").as_deref(),
            Some("0000:00:03.0")
        );
        assert_eq!(slot("../../devices/virtual/net/lo"), None);
        assert_eq!(slot("../../devices/virtual/net/00:03.0"), None);
    }

    #[test]
    fn hardware_addresses_are_written_with_colons() {
        assert_eq!(colons(&[2, 0xfc, 0, 0, 0, 1]), "02:fc:00:00:00:01");
        assert_eq!(colons(&[]), "");
    }

    #[test]
    fn a_fixture_has_no_interfaces() {
        let machine = Fixture::new();
        let scan = machine.scan(&TABLE);
        assert_eq!(scan.cells().len(), 0);
        assert_eq!(scan.notes()[0].reason, "known only on the running machine");
    }
}
