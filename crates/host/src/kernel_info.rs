//! `kernel_info`: from `/proc/version` and `/proc/cmdline` (proc_version(5), proc_cmdline(5)).

use collector::{Host, Masked, Row, Rows, Table, int, or_note, text, unique};
use model::{Extent, Query, ScanError};

use crate::bytes;

pub(crate) static TABLE: Table<Kernel, Host> = Table {
    name: "kernel_info",
    about: "The kernel that runs, and what it was started with; one row.",
    identity: unique(&[]),
    extent: Extent::Whole { rows: 1 },
    columns: &[
        text("version", "Release, as `uname -r` prints it.", |k| k.version.as_ref().into()),
        text(
            "arguments",
            "Command line of the kernel without `BOOT_IMAGE=` and `root=`; `[masked]` in place of a secret.",
            |k| k.arguments.as_ref().map(|a| &a.text).into(),
        ),
        text("path", "Its image, as the boot loader named it in `BOOT_IMAGE=`.", |k| {
            k.boot.as_ref().and_then(|b| b.path.as_ref()).into()
        }),
        text("device", "The device of the root file system, as given in `root=`.", |k| {
            k.boot.as_ref().and_then(|b| b.device.as_ref()).into()
        }),
        int("masked", "1 if a part of the arguments is masked.", |k| {
            k.arguments.as_ref().map(|a| a.masked).into()
        }),
    ],
    scan,
    examples: &["SELECT version, arguments FROM kernel_info"],
};

pub(crate) struct Kernel {
    version: Option<Vec<u8>>,
    boot: Option<Boot>,
    arguments: Option<Masked>,
}

impl Row for Kernel {
    fn heap_bytes(&self) -> usize {
        self.arguments.as_ref().map_or(0, |arguments| arguments.text.len())
    }
}

#[derive(Debug, Default, PartialEq)]
struct Boot {
    path: Option<Vec<u8>>,
    device: Option<Vec<u8>>,
    arguments: Vec<u8>,
}

fn scan(host: &Host, query: &Query) -> Result<Rows<Kernel>, ScanError> {
    let version = or_note(host.read("/proc/version"), &query.run, TABLE.name, "version");
    let boot = or_note(host.read("/proc/cmdline"), &query.run, TABLE.name, "arguments");
    let mut boot = boot.map(|b| parse_command_line(&b));
    let arguments = boot.as_mut().map(|b| host.masking().line(std::mem::take(&mut b.arguments)));
    let kernel = Kernel { version: version.and_then(|v| parse_version(&v)), boot, arguments };
    Ok(Box::new(std::iter::once(Ok(kernel))))
}

/// `Linux version RELEASE (builder) …`
fn parse_version(content: &[u8]) -> Option<Vec<u8>> {
    let release = content.strip_prefix(b"Linux version ")?;
    release.split(u8::is_ascii_whitespace).next().map(<[u8]>::to_vec)
}

fn parse_command_line(content: &[u8]) -> Boot {
    let mut boot = Boot::default();
    for word in bytes::words(content) {
        if let Some(path) = word.strip_prefix(b"BOOT_IMAGE=") {
            boot.path = Some(path.to_vec());
        } else if let Some(device) = word.strip_prefix(b"root=") {
            boot.device = Some(device.to_vec());
        } else {
            if !boot.arguments.is_empty() {
                boot.arguments.push(b' ');
            }
            boot.arguments.extend_from_slice(word);
        }
    }
    boot
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_the_third_word() {
        let version =
            parse_version(b"Linux version 6.1.0-13-amd64 (debian-kernel@lists.debian.org) #1 SMP\n");
        assert_eq!(version.as_deref(), Some(&b"6.1.0-13-amd64"[..]));
        assert_eq!(parse_version(b""), None);
    }

    #[test]
    fn image_and_root_are_taken_out_of_the_arguments() {
        let boot = parse_command_line(b"BOOT_IMAGE=/vmlinuz-6.1 root=UUID=12-34 ro  quiet\n");
        assert_eq!(boot.path.as_deref(), Some(&b"/vmlinuz-6.1"[..]));
        assert_eq!(boot.device.as_deref(), Some(&b"UUID=12-34"[..]));
        assert_eq!(boot.arguments, b"ro quiet");
        assert_eq!(parse_command_line(b"\n"), Boot::default());
    }
}
