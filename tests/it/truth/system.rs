use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::machine::{Machine, assert_same};
use crate::outside::{needs, told, told_text};

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn the_kernel_is_that_of_uname() {
    if !needs("uname") {
        return;
    }
    let mut machine = Machine::live();
    assert_eq!(machine.one("SELECT version FROM kernel_info"), told_text("uname", &["-r"]).trim());
    assert_eq!(machine.one("SELECT cpu_type FROM system_info"), told_text("uname", &["-m"]).trim());
    assert_eq!(machine.one("SELECT hostname FROM system_info"), told_text("uname", &["-n"]).trim());
    let command_line = read("/proc/cmdline");
    let words = command_line.split_whitespace();
    let rest = words.filter(|word| !word.starts_with("BOOT_IMAGE=") && !word.starts_with("root="));
    assert_eq!(machine.one("SELECT arguments FROM kernel_info"), rest.collect::<Vec<_>>().join(" "));
}

#[test]
fn processors_are_those_of_getconf() {
    if !needs("getconf") {
        return;
    }
    let mut machine = Machine::live();
    let online = told_text("getconf", &["_NPROCESSORS_ONLN"]);
    assert_eq!(machine.one("SELECT cpu_logical_cores FROM system_info"), online.trim());
    if needs("lscpu") {
        let told = told_text("lscpu", &["-p=SOCKET,CORE"]);
        let cores: BTreeSet<_> = told.lines().filter(|line| !line.starts_with('#')).collect();
        let ours = machine.one("SELECT cpu_physical_cores FROM system_info");
        assert_eq!(ours, cores.len().to_string());
    }
}

#[test]
fn the_distribution_is_that_of_os_release() {
    let release = read("/etc/os-release");
    let says = |name: &str| {
        let line = release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or_default().trim_matches('"').to_owned()
    };
    let ours = Machine::live().one("SELECT name, platform FROM os_version");
    assert_eq!(ours, format!("{}|{}", says("NAME"), says("ID")));
}

#[test]
fn mounts_are_those_of_findmnt() {
    if !needs("findmnt") {
        return;
    }
    // Bytes that would end a word are written \xNN; what a bind mount shows stands in brackets.
    let decode = |word: &str| {
        let mut parts = word.split("\\x");
        let first = parts.next().unwrap_or_default().as_bytes().to_vec();
        let decoded = parts.fold(first, |mut decoded, part| {
            decoded.push(u8::from_str_radix(&part[..2], 16).unwrap());
            decoded.extend_from_slice(&part.as_bytes()[2..]);
            decoded
        });
        String::from_utf8_lossy(&decoded).into_owned()
    };
    let options =
        |list: &str| list.split(',').collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(",");
    let theirs = || -> Vec<String> {
        let told = told_text("findmnt", &["-rn", "-o", "SOURCE,TARGET,FSTYPE,OPTIONS"]);
        let line = |line: &str| {
            let words: Vec<_> = line.split(' ').map(decode).collect();
            let device = words[0].split('[').next().unwrap();
            (words[2] != "autofs")
                .then(|| format!("{device}|{}|{}|{}", words[1], words[2], options(&words[3])))
        };
        told.lines().filter_map(line).collect()
    };
    let before = theirs();
    let sql = "SELECT device, path, type, flags FROM mounts WHERE type <> 'autofs'";
    let ours = Machine::live().lines(sql).into_iter().map(|line| {
        let (facts, flags) = line.rsplit_once('|').unwrap();
        format!("{facts}|{}", options(flags))
    });
    let ours: Vec<_> = ours.collect();
    if before == theirs() {
        assert_same(&ours, &before, "mounts");
    }
}

#[test]
fn a_file_system_is_as_large_as_stat_says() {
    if !needs("stat") {
        return;
    }
    let mut machine = Machine::live();
    for path in ["/", "/proc", "/dev"] {
        let sql = format!(
            "SELECT blocks_size, blocks, inodes FROM mounts WHERE path = '{path}' ORDER BY blocks DESC LIMIT 1"
        );
        let ours = machine.lines(&sql);
        let theirs = told_text("stat", &["-f", "-c", "%S|%b|%c", path]);
        assert!(ours.is_empty() || ours[0] == theirs.trim(), "{path}: {ours:?} {theirs}");
    }
}

/// `sysctl -a`, by key; a key with a value of several lines has a line for each.
fn controls() -> BTreeMap<String, String> {
    let mut controls: BTreeMap<String, String> = BTreeMap::new();
    let told = told("sysctl", &["-a", "--deprecated"]);
    for line in String::from_utf8_lossy(&told).lines() {
        let Some((key, value)) = line.split_once(" =") else { continue };
        match controls.get_mut(key) {
            Some(values) => values.extend(["\n", value.trim()]),
            None => drop(controls.insert(key.to_owned(), value.trim().to_owned())),
        }
    }
    controls
}

#[test]
fn settings_are_those_of_sysctl() {
    if !needs("sysctl") {
        return;
    }
    let before = controls();
    let ours = Machine::live().answer("SELECT name, current_value FROM system_controls").rows;
    let after = controls();
    let ours: BTreeMap<_, _> =
        ours.iter().map(|r| (crate::machine::cell(&r[0]), crate::machine::cell(&r[1]))).collect();
    assert!(before.len() > 300, "{}", before.len());
    // These count what the machine does meanwhile, and can come back to where they were.
    let moving = |key: &str| {
        ["fs.dentry-state", "fs.file-nr", "kernel.ns_last_pid"].contains(&key)
            || key.starts_with("fs.inode-")
            || key.starts_with("kernel.random.")
    };
    let steady = |(key, value): &(&String, &String)| !moving(key) && after.get(*key) == Some(*value);
    for (key, value) in before.iter().filter(steady) {
        // White space at the ends of lines within a value is sysctl's to drop.
        let lines = |text: &str| text.lines().map(|l| l.trim().to_owned()).collect::<Vec<_>>();
        let ours = ours.get(key).unwrap_or_else(|| panic!("{key} is missing"));
        assert_eq!(lines(ours), lines(value), "{key}");
    }
    for (key, value) in &ours {
        let told = before.contains_key(key) || after.contains_key(key);
        assert!(told || value.is_empty() || value == "NULL", "{key} = {value} is not known to sysctl");
    }
}

#[test]
fn modules_are_those_of_lsmod() {
    // A kernel without loadable modules leaves lsmod nothing to say.
    if !needs("lsmod") {
        return;
    }
    let told = told_text("lsmod", &[]);
    let theirs: Vec<_> = told
        .lines()
        .skip(1)
        .map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            format!("{}|{}|{}", words[0], words[1], words.get(3).unwrap_or(&"-"))
        })
        .collect();
    let sql = "SELECT name, size, used_by FROM kernel_modules";
    assert_same(&Machine::live().lines(sql), &theirs, "kernel_modules");
}

#[test]
fn block_devices_are_those_of_lsblk() {
    if !needs("lsblk") {
        return;
    }
    // NAME="/dev/vda" SIZE="…" LOG-SEC="512"; a device below two others is listed twice.
    let told = told_text("lsblk", &["-Pabnpo", "NAME,SIZE,LOG-SEC"]);
    let theirs = told.lines().map(|line| {
        let values: Vec<_> = line.split('"').skip(1).step_by(2).collect();
        format!("{}|{}|{}", values[0], values[1], values[2])
    });
    let theirs: BTreeSet<_> = theirs.collect();
    let ours = Machine::live().lines("SELECT name, size * block_size, block_size FROM block_devices");
    assert_same(&ours, &theirs.into_iter().collect::<Vec<_>>(), "block_devices");
}

#[test]
fn memory_is_that_of_free() {
    if !needs("free") {
        return;
    }
    let sql = "SELECT memory_total, memory_free, memory_available, swap_total, swap_free FROM memory_info";
    let mut machine = Machine::live();
    let numbers = |text: &str, words: &[usize]| -> Vec<f64> {
        let words_of: Vec<_> = text.split_whitespace().collect();
        words.iter().map(|at| words_of[*at].parse().unwrap()).collect()
    };
    // Memory moves while it is read; among a few readings one has to agree.
    let close = (0..20).any(|_| {
        let ours = machine.one(sql).replace('|', " ");
        let ours = numbers(&ours, &[0, 1, 2, 3, 4]);
        let told = told_text("free", &["-b"]);
        let lines: Vec<_> = told.lines().collect();
        let theirs = [numbers(lines[1], &[1, 3, 6]), numbers(lines[2], &[1, 3])].concat();
        assert_eq!((ours[0], ours[3]), (theirs[0], theirs[3]));
        ours.iter().zip(&theirs).all(|(ours, theirs)| (ours - theirs).abs() <= 0.05 * theirs)
    });
    assert!(close, "memory_info is never within 5 % of free");
}

#[test]
fn load_and_uptime_are_between_two_readings() {
    let mut machine = Machine::live();
    let loads = || read("/proc/loadavg").split_whitespace().take(3).map(str::to_owned).collect::<Vec<_>>();
    let agreed = (0..20).any(|_| {
        let before = loads();
        let ours = machine
            .lines("SELECT printf('%.2f', average) FROM load_average ORDER BY CAST(period AS INTEGER)");
        before == loads() && ours == before
    });
    assert!(agreed, "load_average never agrees with /proc/loadavg");
    let seconds = || read("/proc/uptime").split('.').next().unwrap().parse::<i64>().unwrap();
    let before = seconds();
    let ours: i64 = machine.one("SELECT total_seconds FROM uptime").parse().unwrap();
    assert!((before..=seconds()).contains(&ours));
    let sql = "SELECT total_seconds - (((days * 24 + hours) * 60 + minutes) * 60 + seconds) FROM uptime";
    assert_eq!(machine.one(sql), "0");
}

#[test]
fn the_time_is_that_of_date() {
    if !needs("date") {
        return;
    }
    let mut machine = Machine::live();
    let ours = machine.one(
        "SELECT unix_time, printf('%d-%02d-%02dT%02d:%02d:%02dZ', year, month, day, hour, minutes, seconds),
                datetime, iso_8601, weekday FROM time",
    );
    let (unix, ours) = ours.split_once('|').unwrap();
    let iso = "%Y-%m-%dT%H:%M:%SZ";
    let theirs = told_text("date", &["-u", "-d", &format!("@{unix}"), &format!("+{iso}|{iso}|{iso}|%A")]);
    assert_eq!(ours, theirs.trim());
    let now: i64 = told_text("date", &["+%s"]).trim().parse().unwrap();
    assert!((now - unix.parse::<i64>().unwrap()).abs() <= 5);
}
