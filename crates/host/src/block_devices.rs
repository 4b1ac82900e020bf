//! `block_devices`: from sysfs (Documentation/ABI/stable/sysfs-block), and from what udev found out when a
//! device appeared (its database in `/run/udev/data`, and its links in `/dev/disk`).

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use collector::{Host, Row, Rows, Table, int, key, or_note, text, unique};
use model::{Extent, Query, Run, ScanError};

use crate::bytes;

pub(crate) static TABLE: Table<Device, Host> = Table {
    name: "block_devices",
    about: "Disks, their partitions, and what is mapped onto them.",
    identity: unique(&["name"]),
    extent: Extent::Whole { rows: 20 },
    columns: &[
        key(text("name", "Path of the device: `/dev/sda1`.", |d| node(&d.kernel_name).into())),
        text(
            "parent",
            "The disk of a partition; for a mapped device the (first) device that it lies on.",
            |d| d.facts().parent.as_ref().into(),
        ),
        text("vendor", "Maker of the disk.", |d| d.facts().vendor.as_ref().into()),
        text("model", "Model of the disk.", |d| d.facts().model.as_ref().into()),
        text("serial", "Serial number of the disk.", |d| d.facts().serial.as_ref().into()),
        int("size", "Size in blocks of block_size; osquery counts in 512 bytes whatever the block.", |d| {
            d.facts().size.into()
        }),
        int("block_size", "Bytes in a logical block.", |d| d.facts().block_size.into()),
        text("uuid", "UUID of the file system on it.", |d| d.facts().uuid.as_ref().into()),
        text("type", "Kind of the file system on it, as udev saw it: `ext4`.", |d| {
            d.facts().kind.as_ref().into()
        }),
        text("label", "Label of the file system on it.", |d| d.facts().label.as_ref().into()),
    ],
    scan,
    examples: &[
        "SELECT name, size * block_size >> 30 AS gib FROM block_devices WHERE parent IS NULL",
        "SELECT type, label FROM block_devices WHERE name = '/dev/sda1'",
    ],
};

const CLASS: &str = "/sys/class/block";

/// The unit of `size` in sysfs, whatever the device's own blocks are, in bytes.
const SECTOR: i64 = 512;

pub(crate) struct Device {
    kernel_name: OsString,
    host: Host,
    run: Run,
    facts: OnceLock<Facts>,
}

#[derive(Default)]
struct Facts {
    parent: Option<Vec<u8>>,
    vendor: Option<Vec<u8>>,
    model: Option<Vec<u8>>,
    serial: Option<Vec<u8>>,
    size: Option<i64>,
    block_size: Option<i64>,
    uuid: Option<Vec<u8>>,
    kind: Option<Vec<u8>>,
    label: Option<Vec<u8>>,
}

impl Row for Device {
    fn heap_bytes(&self) -> usize {
        // What sysfs and udev say of one device is short.
        self.kernel_name.len() + 256
    }
}

impl Device {
    fn facts(&self) -> &Facts {
        self.facts.get_or_init(|| {
            let disk = self.disk();
            let whole = disk.as_deref().unwrap_or(&self.kernel_name);
            let (own, of_disk) = (self.udev(&self.kernel_name), self.udev(whole));
            let attribute = |file: &str| self.attribute(whole, file);
            let block_size = self.number(whole, "queue/logical_block_size");
            let sectors = self.number(&self.kernel_name, "size");
            let bytes = sectors.and_then(|n| n.checked_mul(SECTOR));
            let first = |names: &[&str]| names.iter().find_map(|name| of_disk.get(name.as_bytes()).cloned());
            Facts {
                parent: disk.as_deref().map(node).or_else(|| self.below()),
                vendor: attribute("device/vendor").or_else(|| first(&["ID_VENDOR"])),
                model: first(&["ID_MODEL_FROM_DATABASE", "ID_MODEL"]).or_else(|| attribute("device/model")),
                serial: first(&["ID_SCSI_SERIAL", "SCSI_IDENT_SERIAL", "ID_SERIAL_SHORT", "ID_SERIAL"])
                    .or_else(|| ["device/serial", "serial", "device/wwid"].into_iter().find_map(attribute)),
                size: bytes.zip(block_size).and_then(|(bytes, block)| bytes.checked_div(block)),
                block_size,
                uuid: own.get(b"ID_FS_UUID".as_slice()).cloned().or_else(|| self.link("/dev/disk/by-uuid")),
                kind: own.get(b"ID_FS_TYPE".as_slice()).cloned(),
                label: own
                    .get(b"ID_FS_LABEL_ENC".as_slice())
                    .map(|label| decoded(label))
                    .or_else(|| self.link("/dev/disk/by-label")),
            }
        })
    }

    /// The disk, when this is a partition: the directory around its own.
    fn disk(&self) -> Option<OsString> {
        let class = class(&self.kernel_name);
        self.host.lstat(class.join("partition")).ok()?;
        let place = or_note(self.host.read_link(class), &self.run, TABLE.name, "parent")?;
        Some(place.parent()?.file_name()?.to_owned())
    }

    /// The first device that this one is mapped onto.
    fn below(&self) -> Option<Vec<u8>> {
        let slaves = self.host.list_sorted(class(&self.kernel_name).join("slaves"));
        let slaves = or_note(slaves, &self.run, TABLE.name, "parent")?;
        Some(node(&slaves.first()?.name))
    }

    fn attribute(&self, device: &OsStr, file: &str) -> Option<Vec<u8>> {
        // Drivers answer with errors of their own for what a device does not have.
        self.host.read_value(class(device).join(file)).ok().filter(|value| !value.is_empty())
    }

    fn number(&self, device: &OsStr, file: &str) -> Option<i64> {
        bytes::decimal(&self.attribute(device, file)?)
    }

    fn udev(&self, device: &OsStr) -> HashMap<Vec<u8>, Vec<u8>> {
        let Some(numbers) = self.attribute(device, "dev") else { return HashMap::new() };
        let file = Path::new("/run/udev/data").join(bytes::path(&[b"b", numbers.as_slice()].concat()));
        let content = or_note(self.host.read(file), &self.run, TABLE.name, "type");
        content.map_or_else(HashMap::new, |content| parse_udev(&content))
    }

    /// The name of the link in a directory that leads to the device.
    fn link(&self, directory: &str) -> Option<Vec<u8>> {
        let device = node(&self.kernel_name);
        let leads_here = |name: &OsStr| {
            let target = self.host.real_path(Path::new(directory).join(name));
            target.is_ok_and(|target| target.as_os_str().as_bytes() == device)
        };
        let links = self.host.list_sorted(directory).unwrap_or_default();
        links.into_iter().find(|link| leads_here(&link.name)).map(|link| decoded(link.name.as_bytes()))
    }
}

fn class(device: &OsStr) -> PathBuf {
    Path::new(CLASS).join(device)
}

/// The path of a device's node. The kernel writes a slash in a name as an exclamation mark.
fn node(kernel_name: &OsStr) -> Vec<u8> {
    let slash = |b: &u8| if *b == b'!' { b'/' } else { *b };
    b"/dev/".iter().copied().chain(kernel_name.as_bytes().iter().map(slash)).collect()
}

/// The kernel's name of the device whose node is at a path.
fn kernel_name(node: &[u8]) -> Option<OsString> {
    let name = node.strip_prefix(b"/dev/")?;
    let part = |part: &[u8]| !matches!(part, b"" | b"." | b"..");
    if name.contains(&b'!') || name.contains(&0) || !name.split(|b| *b == b'/').all(part) {
        return None;
    }
    let mark = |b: &u8| if *b == b'/' { b'!' } else { *b };
    Some(OsString::from_vec(name.iter().map(mark).collect()))
}

fn scan(host: &Host, query: &Query) -> Result<Rows<Device>, ScanError> {
    let names: Vec<OsString> = match query.texts("name") {
        Some(nodes) => {
            let there = |name: &OsString| host.lstat(class(name)).is_ok();
            nodes.into_iter().filter_map(kernel_name).filter(there).collect()
        }
        None => {
            let entries = or_note(host.list_sorted(CLASS), &query.run, TABLE.name, "").unwrap_or_default();
            entries.into_iter().map(|entry| entry.name).collect()
        }
    };
    let (host, run) = (host.clone(), query.run.clone());
    Ok(Box::new(names.into_iter().map(move |kernel_name| {
        run.check()?;
        Ok(Device { kernel_name, host: host.clone(), run: run.clone(), facts: OnceLock::new() })
    })))
}

/// The properties in a file of udev's database: lines of `E:NAME=value`.
fn parse_udev(content: &[u8]) -> HashMap<Vec<u8>, Vec<u8>> {
    let property = |line: &[u8]| {
        let (name, value) = bytes::split_once(line.strip_prefix(b"E:")?, b'=')?;
        Some((name.to_vec(), value.to_vec()))
    };
    bytes::lines(content).filter_map(property).collect()
}

/// udev writes bytes that are unsafe in a name as `\x20`.
fn decoded(name: &[u8]) -> Vec<u8> {
    let digit = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        out.push(match (first, rest) {
            (b'\\', [b'x', high, low, after @ ..]) => match digit(*high).zip(digit(*low)) {
                Some((high, low)) => {
                    rest = after;
                    high << 4 | low
                }
                None => first,
            },
            _ => first,
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    #[test]
    fn names_of_nodes_and_of_the_kernel_lead_to_each_other() {
        for name in ["sda1", "cciss!c0d0p1", "dm-0"] {
            assert_eq!(kernel_name(&node(OsStr::new(name))).unwrap(), name);
        }
        // The second name would be a second row for the same device.
        for path in ["/dev/", "/dev/cciss!c0d0", "/dev/../x", "sda", "/dev//sda"] {
            assert_eq!(kernel_name(path.as_bytes()), None, "{path}");
        }
    }

    #[test]
    fn udev_escapes_become_the_bytes_they_stand_for() {
        assert_eq!(decoded(b"My\\x20disk\\x5cx\\xzz\\x4"), b"My disk\\x\\xzz\\x4");
    }

    #[test]
    fn a_disk_a_partition_and_a_mapping_are_described() {
        let machine = Fixture::new();
        machine
            .file("/sys/devices/pci/block/sda/dev", "8:0\n")
            .file("/sys/devices/pci/block/sda/size", "16384\n")
            .file("/sys/devices/pci/block/sda/queue/logical_block_size", "4096\n")
            .file("/sys/devices/pci/block/sda/device/vendor", "ATA     \n")
            .file("/sys/devices/pci/block/sda/sda1/dev", "8:1\n")
            .file("/sys/devices/pci/block/sda/sda1/size", "8192\n")
            .file("/sys/devices/pci/block/sda/sda1/partition", "1\n")
            .file("/sys/devices/virtual/block/dm-0/slaves/sda1", "")
            .file(
                "/run/udev/data/b8:0",
                "S:disk/by-id/x\nE:ID_MODEL=Big_Disk\nE:ID_SERIAL=Big_7\nE:ID_SERIAL_SHORT=7\n",
            )
            .file(
                "/run/udev/data/b8:1",
                "E:ID_MODEL=Big_Disk\nE:ID_FS_TYPE=ext4\nE:ID_FS_LABEL_ENC=my\\x20root\n",
            )
            .file("/dev/sda1", "")
            .link("/dev/disk/by-uuid/12-34", "../../sda1");
        for (name, place) in
            [("sda", "pci/block/sda"), ("sda1", "pci/block/sda/sda1"), ("dm-0", "virtual/block/dm-0")]
        {
            machine.link(&format!("/sys/class/block/{name}"), &format!("../../devices/{place}"));
        }
        let scan = machine.scan(&TABLE);
        let expected = [
            "/dev/dm-0|/dev/sda1|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL",
            "/dev/sda|NULL|ATA|Big_Disk|7|2048|4096|NULL|NULL|NULL",
            "/dev/sda1|/dev/sda|ATA|Big_Disk|7|1024|4096|12-34|ext4|my root",
        ];
        assert_eq!(scan.lines(), expected);
        assert_eq!(scan.notes(), []);
    }
}
