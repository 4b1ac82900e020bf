//! `system_info`: from `/proc/cpuinfo`, `/proc/meminfo` and sysfs, which repeats what the firmware says of the
//! hardware (Documentation/ABI/testing/sysfs-devices-system-cpu, sysfs-firmware-dmi-tables).

use std::collections::HashSet;
use std::path::Path;
use std::sync::OnceLock;

use collector::{Host, Row, Rows, Table, elsewhere_text, int, or_note, text, unique};
use model::{Extent, Query, Run, ScanError};

use crate::{bytes, memory_info};

pub(crate) static TABLE: Table<System, Host> = Table {
    name: "system_info",
    about: "The machine's name and hardware; one row.",
    identity: unique(&[]),
    extent: Extent::Whole { rows: 1 },
    columns: &[
        text("hostname", "Name of the machine; osquery asks DNS to complete it.", |s| s.hostname().into()),
        text(
            "uuid",
            "The hardware's UUID, readable to root; osquery makes one up where there is none.",
            |s| s.firmware(UUID).into(),
        ),
        text("cpu_type", "Hardware: `x86_64`.", |s| {
            or_note(s.host.machine(), &s.run, TABLE.name, "cpu_type").into()
        }),
        text("cpu_subtype", "Number of the processor's model.", |s| s.cpu().model.as_ref().into()),
        text("cpu_brand", "Name of the processor.", |s| s.cpu().brand.as_ref().into()),
        int("cpu_physical_cores", "Cores that are online.", |s| s.topology().map(|t| t.cores).into()),
        int("cpu_logical_cores", "Threads of all cores that are online.", |s| {
            s.topology().map(|t| t.threads).into()
        }),
        int("cpu_sockets", "Processor packages.", |s| s.topology().and_then(|t| t.sockets).into()),
        text("cpu_microcode", "Revision of the microcode.", |s| s.cpu().microcode.as_ref().into()),
        int("physical_memory", "Usable bytes of memory.", |s| s.physical_memory().into()),
        text("hardware_vendor", "Maker of the machine.", |s| s.firmware(VENDOR).into()),
        text("hardware_model", "Its model.", |s| s.firmware(s.lenovo(MODEL, VERSION)).into()),
        text("hardware_version", "Its version.", |s| s.firmware(s.lenovo(VERSION, MODEL)).into()),
        text("hardware_serial", "Its serial number, readable to root.", |s| s.firmware(SERIAL).into()),
        text("board_vendor", "Maker of the board.", |s| s.firmware(BOARD_VENDOR).into()),
        text("board_model", "Its model.", |s| s.firmware(BOARD_MODEL).into()),
        text("board_version", "Its version.", |s| s.firmware(BOARD_VERSION).into()),
        text("board_serial", "Its serial number, readable to root.", |s| s.firmware(BOARD_SERIAL).into()),
        text("computer_name", "The same as hostname.", |s| s.hostname().into()),
        text("local_hostname", "The same as hostname.", |s| s.hostname().into()),
        elsewhere_text("emulated_cpu_type"),
    ],
    scan,
    examples: &["SELECT hostname, cpu_brand, physical_memory >> 30 AS memory_gib FROM system_info"],
};

/// What the firmware says: the column, and its file in `/sys/class/dmi/id`.
const FIRMWARE: [(&str, &str); 9] = [
    ("uuid", "product_uuid"),
    ("hardware_vendor", "sys_vendor"),
    ("hardware_model", "product_name"),
    ("hardware_version", "product_version"),
    ("hardware_serial", "product_serial"),
    ("board_vendor", "board_vendor"),
    ("board_model", "board_name"),
    ("board_version", "board_version"),
    ("board_serial", "board_serial"),
];

/// Places in [`FIRMWARE`].
const UUID: usize = 0;
const VENDOR: usize = 1;
const MODEL: usize = 2;
const VERSION: usize = 3;
const SERIAL: usize = 4;
const BOARD_VENDOR: usize = 5;
const BOARD_MODEL: usize = 6;
const BOARD_VERSION: usize = 7;
const BOARD_SERIAL: usize = 8;

pub(crate) struct System {
    host: Host,
    run: Run,
    hostname: OnceLock<Option<Vec<u8>>>,
    cpu: OnceLock<Cpu>,
    topology: OnceLock<Option<Topology>>,
    memory: OnceLock<Option<i64>>,
    firmware: [OnceLock<Option<Vec<u8>>>; FIRMWARE.len()],
}

impl Row for System {}

#[derive(Debug, Default, PartialEq)]
struct Cpu {
    brand: Option<Vec<u8>>,
    model: Option<Vec<u8>>,
    microcode: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Topology {
    threads: usize,
    cores: usize,
    /// Not every platform numbers them.
    sockets: Option<usize>,
}

impl System {
    fn hostname(&self) -> Option<&Vec<u8>> {
        let read =
            || or_note(self.host.read_value("/proc/sys/kernel/hostname"), &self.run, TABLE.name, "hostname");
        self.hostname.get_or_init(read).as_ref()
    }

    fn cpu(&self) -> &Cpu {
        self.cpu.get_or_init(|| {
            let content = or_note(self.host.read("/proc/cpuinfo"), &self.run, TABLE.name, "cpu_brand");
            content.map_or_else(Cpu::default, |content| parse_cpu(&content))
        })
    }

    fn topology(&self) -> Option<Topology> {
        *self.topology.get_or_init(|| {
            or_note(read_topology(&self.host), &self.run, TABLE.name, "cpu_logical_cores").flatten()
        })
    }

    fn physical_memory(&self) -> Option<i64> {
        *self.memory.get_or_init(|| {
            let content =
                or_note(self.host.read_text("/proc/meminfo"), &self.run, TABLE.name, "physical_memory");
            memory_info::parse(&content?).get("MemTotal").copied()
        })
    }

    fn firmware(&self, fact: usize) -> Option<&Vec<u8>> {
        let (column, file) = FIRMWARE[fact];
        let read = || {
            let path = Path::new("/sys/class/dmi/id").join(file);
            or_note(self.host.read_value(path), &self.run, TABLE.name, column)
        };
        self.firmware[fact].get_or_init(read).as_ref()
    }

    /// Lenovo writes the model where others write the version, and the other way round.
    fn lenovo(&self, others: usize, lenovo: usize) -> usize {
        if self.firmware(VENDOR).is_some_and(|v| v.eq_ignore_ascii_case(b"lenovo")) { lenovo } else { others }
    }
}

fn scan(host: &Host, query: &Query) -> Result<Rows<System>, ScanError> {
    let system = System {
        host: host.clone(),
        run: query.run.clone(),
        hostname: OnceLock::new(),
        cpu: OnceLock::new(),
        topology: OnceLock::new(),
        memory: OnceLock::new(),
        firmware: Default::default(),
    };
    Ok(Box::new(std::iter::once(Ok(system))))
}

/// The first processor stands for all.
fn parse_cpu(content: &[u8]) -> Cpu {
    let mut cpu = Cpu::default();
    let first = bytes::lines(content).take_while(|line| !line.is_empty());
    for (name, value) in first.filter_map(|line| bytes::split_once(line, b':')) {
        let value = || Some(value.trim_ascii().to_vec());
        match name.trim_ascii() {
            b"model name" => cpu.brand = value(),
            b"model" => cpu.model = value(),
            b"microcode" => cpu.microcode = value(),
            _ => {}
        }
    }
    cpu
}

/// Counts the processors that are online: one that is not has no topology.
fn read_topology(host: &Host) -> std::io::Result<Option<Topology>> {
    let (mut threads, mut cores, mut sockets) = (0, HashSet::new(), HashSet::new());
    for entry in host.list("/sys/devices/system/cpu")? {
        let number = entry.name.as_encoded_bytes().strip_prefix(b"cpu").unwrap_or_default();
        if number.is_empty() || !number.iter().all(u8::is_ascii_digit) {
            continue;
        }
        let topology = Path::new("/sys/devices/system/cpu").join(entry.name).join("topology");
        // The threads of one core; the second is its name before Linux 5.3.
        let core = host.read_value(topology.join("core_cpus_list"));
        let Ok(core) = core.or_else(|_| host.read_value(topology.join("thread_siblings_list"))) else {
            continue;
        };
        threads += 1;
        cores.insert(core);
        if let Ok(socket) = host.read_value(topology.join("physical_package_id"))
            && socket != b"-1"
        {
            sockets.insert(socket);
        }
    }
    let sockets = (!sockets.is_empty()).then_some(sockets.len());
    Ok((threads > 0).then_some(Topology { threads, cores: cores.len(), sockets }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    #[test]
    fn the_first_processor_is_described() {
        let cpu = parse_cpu(
            b"processor\t: 0\nmodel\t\t: 207\nmodel name\t: Intel(R) Xeon(R)\nmicrocode\t: 0x1\npower management:\n\nmodel\t\t: 9\n",
        );
        assert_eq!(cpu.brand.as_deref(), Some(&b"Intel(R) Xeon(R)"[..]));
        assert_eq!((cpu.model.as_deref(), cpu.microcode.as_deref()), (Some(&b"207"[..]), Some(&b"0x1"[..])));
        assert_eq!(parse_cpu(b"processor\t: 0\nCPU part\t: 0xd0c\n"), Cpu::default());
    }

    #[test]
    fn a_machine_of_files_is_described() {
        let machine = Fixture::new();
        for (cpu, core) in [(0, "0,2"), (1, "1,3"), (2, "0,2"), (3, "1,3")] {
            machine.file(format!("/sys/devices/system/cpu/cpu{cpu}/topology/core_cpus_list"), core);
            machine.file(format!("/sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id"), "0\n");
        }
        machine
            .file("/sys/devices/system/cpu/cpu4/online", "0\n")
            .file("/sys/devices/system/cpu/cpufreq/x", "")
            .file("/sys/class/dmi/id/sys_vendor", "LENOVO\n")
            .file("/sys/class/dmi/id/product_name", "20HRCTO1WW\n")
            .file("/sys/class/dmi/id/product_version", "ThinkPad X1 Carbon 5th\n")
            .file("/proc/meminfo", "MemTotal: 2 kB\n");
        let scan = machine.scan(&TABLE);
        let cores = scan.texts(&["cpu_logical_cores", "cpu_physical_cores", "cpu_sockets"]);
        assert_eq!(cores, ["4|2|1"]);
        let hardware = scan.texts(&["hardware_vendor", "hardware_model", "hardware_version"]);
        assert_eq!(hardware, ["LENOVO|ThinkPad X1 Carbon 5th|20HRCTO1WW"]);
        assert_eq!(scan.texts(&["physical_memory", "uuid", "hostname"]), ["2048|NULL|NULL"]);
        assert_eq!(scan.notes(), []);
    }
}
