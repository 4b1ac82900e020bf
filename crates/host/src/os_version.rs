//! `os_version`: from os-release(5).

use collector::{
    Host, Row, Rows, Table, elsewhere_int, elsewhere_text, int, mount_namespace_id, or_note,
    pid_with_namespace, text, unique, vanished,
};
use model::{Extent, Query, Run, ScanError};

use crate::{bytes, text_file};

pub(crate) static TABLE: Table<OsVersion, Host> = Table {
    name: "os_version",
    about: "The distribution and its version; one row.",
    identity: unique(&[]),
    extent: Extent::Whole { rows: 1 },
    columns: &[
        text("name", "Name of the distribution: `Debian GNU/Linux`.", |o| o.field("NAME").into()),
        text("version", "Version as the distribution writes it: `12 (bookworm)`.", |o| {
            o.field("VERSION").into()
        }),
        int("major", "First part of the version; NULL where a distribution has none.", |o| {
            o.version_part(0).into()
        }),
        int("minor", "Second part of the version, or 0.", |o| o.version_part(1).into()),
        int("patch", "Third part of the version, or 0.", |o| o.version_part(2).into()),
        text("build", "Build of the image.", |o| o.field("BUILD_ID").into()),
        text("platform", "Short name: `debian`; osquery says `rhel` wherever /etc/redhat-release is.", |o| {
            o.field("ID").into()
        }),
        text("platform_like", "Short names of what it derives from, with spaces between them.", |o| {
            o.field("ID_LIKE").into()
        }),
        text("codename", "Name of the release: `bookworm`.", |o| o.codename().into()),
        text("arch", "Hardware: `x86_64`.", |o| or_note(o.host.machine(), &o.run, TABLE.name, "arch").into()),
        elsewhere_text("extra"),
        elsewhere_int("install_date"),
        elsewhere_int("revision"),
        pid_with_namespace(),
        mount_namespace_id(),
    ],
    scan,
    examples: &["SELECT name, version FROM os_version WHERE platform = 'debian'"],
};

pub(crate) struct OsVersion {
    /// Names and values of the file, in its order and as its bytes.
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    host: Host,
    run: Run,
}

impl Row for OsVersion {
    fn heap_bytes(&self) -> usize {
        self.fields
            .iter()
            .map(|(name, value)| size_of::<(Vec<u8>, Vec<u8>)>() + name.len() + value.len())
            .sum()
    }
}

impl OsVersion {
    /// The last assignment counts, as in a shell.
    fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields.iter().rfind(|(n, _)| n == name.as_bytes()).map(|(_, value)| value.as_slice())
    }

    /// A part of `VERSION_ID`, up to what is no digit. As in osquery, a part that is not there is 0.
    fn version_part(&self, part: usize) -> Option<i64> {
        let part = self.field("VERSION_ID")?.splitn(3, |b| *b == b'.').nth(part).unwrap_or(b"0");
        bytes::decimal(&part[..part.iter().position(|b| !b.is_ascii_digit()).unwrap_or(part.len())])
    }

    /// Some distributions have one under a name of their own, such as `UBUNTU_CODENAME`.
    fn codename(&self) -> Option<&[u8]> {
        let own = || self.fields.iter().find(|(name, _)| name.ends_with(b"_CODENAME"));
        self.field("VERSION_CODENAME").or_else(|| own().map(|(_, value)| value.as_slice()))
    }
}

fn scan(host: &Host, query: &Query) -> Result<Rows<OsVersion>, ScanError> {
    let content = match text_file::read(host, "/etc/os-release") {
        Err(error) if vanished(&error) => text_file::read(host, "/usr/lib/os-release"),
        read => read,
    };
    let content = or_note(content, &query.run, TABLE.name, "").unwrap_or_default();
    let row = OsVersion { fields: parse(&content), host: host.clone(), run: query.run.clone() };
    Ok(Box::new(std::iter::once(Ok(row))))
}

fn parse(content: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let field = |line: &[u8]| {
        let (name, value) = bytes::split_once(line, b'=')?;
        (!name.starts_with(b"#")).then(|| (name.to_vec(), unquoted(value)))
    };
    bytes::trimmed_lines(content).filter_map(field).collect()
}

/// A value as a shell would read it: quotes taken off, and a backslash keeps what follows it.
fn unquoted(value: &[u8]) -> Vec<u8> {
    let within = |quote: &[u8]| value.strip_prefix(quote)?.strip_suffix(quote);
    if let Some(literal) = within(b"'") {
        return literal.to_vec();
    }
    let mut rest = within(b"\"").unwrap_or(value).iter();
    let mut out = Vec::with_capacity(value.len());
    while let Some(byte) = rest.next() {
        out.extend(if *byte == b'\\' { rest.next() } else { Some(byte) });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &str) -> OsVersion {
        OsVersion { fields: parse(content.as_bytes()), host: Host::at("/nowhere"), run: Run::unlimited() }
    }

    #[test]
    fn quotes_and_backslashes_are_those_of_a_shell() {
        let os = read("# NAME=no\nNAME=\"A \\\"B\\\" \\$C\"\nVERSION='1 \\n'\nID=fedora\n\nBUILD_ID=\"\"\n");
        assert_eq!(os.field("NAME").unwrap(), b"A \"B\" $C");
        assert_eq!(os.field("VERSION").unwrap(), b"1 \\n");
        assert_eq!(os.field("ID").unwrap(), b"fedora");
        assert_eq!(os.field("BUILD_ID").unwrap(), b"");
        assert_eq!(os.field("ID_LIKE"), None);
    }

    #[test]
    fn version_parts_are_numbers() {
        let parts = |content: &str| [0, 1, 2].map(|part| read(content).version_part(part));
        assert_eq!(parts("VERSION_ID=\"22.04\""), [Some(22), Some(4), Some(0)]);
        assert_eq!(parts("VERSION_ID=12"), [Some(12), Some(0), Some(0)]);
        assert_eq!(parts("VERSION_ID=3.20.1_alpha2024.1"), [Some(3), Some(20), Some(1)]);
        assert_eq!(parts("ID=arch"), [None; 3]);
    }

    #[test]
    fn the_release_has_one_codename() {
        assert_eq!(read("VERSION_CODENAME=victoria\nUBUNTU_CODENAME=jammy").codename().unwrap(), b"victoria");
        assert_eq!(read("UBUNTU_CODENAME=jammy").codename().unwrap(), b"jammy");
    }
}
