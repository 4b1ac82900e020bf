//! `os_version`: from os-release(5).

use collector::{
    Host, Row, Rows, Table, elsewhere_int, elsewhere_text, hidden, int, or_note, text, unique, vanished,
};
use model::{Extent, Query, Run, ScanError};

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
        text("platform", "Short name: `debian`. (Where /etc/redhat-release is, osquery says `rhel`.)", |o| {
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
        hidden(int("pid_with_namespace", "0: the machine itself, never the inside of a container.", |_| {
            0.into()
        })),
        hidden(text("mount_namespace_id", "NULL: the machine itself.", |_| model::Value::Null)),
    ],
    scan,
    examples: &["SELECT name, version FROM os_version WHERE platform = 'debian'"],
};

pub(crate) struct OsVersion {
    fields: Vec<(String, String)>,
    host: Host,
    run: Run,
}

impl Row for OsVersion {
    fn heap_bytes(&self) -> usize {
        self.fields.iter().map(|(name, value)| size_of::<(String, String)>() + name.len() + value.len()).sum()
    }
}

impl OsVersion {
    /// The last assignment counts, as in a shell.
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().rfind(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// A part of `VERSION_ID`, up to what is no digit. As in osquery, a part that is not there is 0.
    fn version_part(&self, part: usize) -> Option<i64> {
        let part = self.field("VERSION_ID")?.splitn(3, '.').nth(part).unwrap_or("0");
        part[..part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len())].parse().ok()
    }

    /// Some distributions have one under a name of their own, such as `UBUNTU_CODENAME`.
    fn codename(&self) -> Option<&str> {
        let own = || self.fields.iter().find(|(name, _)| name.ends_with("_CODENAME"));
        self.field("VERSION_CODENAME").or_else(|| own().map(|(_, value)| value.as_str()))
    }
}

fn scan(host: &Host, query: &Query) -> Result<Rows<OsVersion>, ScanError> {
    let content = match host.read_text("/etc/os-release") {
        Err(error) if vanished(&error) => host.read_text("/usr/lib/os-release"),
        read => read,
    };
    let fields =
        or_note(content, &query.run, TABLE.name, "").map_or_else(Vec::new, |content| parse(&content));
    let row = OsVersion { fields, host: host.clone(), run: query.run.clone() };
    Ok(Box::new(std::iter::once(Ok(row))))
}

fn parse(content: &str) -> Vec<(String, String)> {
    let line = |line: &str| {
        let (name, value) = line.trim().split_once('=')?;
        (!name.starts_with('#')).then(|| (name.to_owned(), unquoted(value)))
    };
    content.lines().filter_map(line).collect()
}

/// A value as a shell would read it: quotes taken off, and a backslash keeps what follows it.
fn unquoted(value: &str) -> String {
    if let Some(literal) = value.strip_prefix('\'').and_then(|v| v.strip_suffix('\'')) {
        return literal.to_owned();
    }
    let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
    let mut chars = value.chars();
    let mut out = String::with_capacity(value.len());
    while let Some(c) = chars.next() {
        out.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &str) -> OsVersion {
        OsVersion { fields: parse(content), host: Host::at("/nowhere"), run: Run::unlimited() }
    }

    #[test]
    fn quotes_and_backslashes_are_those_of_a_shell() {
        let os = read("# NAME=no\nNAME=\"A \\\"B\\\" \\$C\"\nVERSION='1 \\n'\nID=fedora\n\nBUILD_ID=\"\"\n");
        assert_eq!(os.field("NAME"), Some("A \"B\" $C"));
        assert_eq!(os.field("VERSION"), Some("1 \\n"));
        assert_eq!(os.field("ID"), Some("fedora"));
        assert_eq!(os.field("BUILD_ID"), Some(""));
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
        assert_eq!(read("VERSION_CODENAME=victoria\nUBUNTU_CODENAME=jammy").codename(), Some("victoria"));
        assert_eq!(read("UBUNTU_CODENAME=jammy").codename(), Some("jammy"));
    }
}
