//! `deb_packages`: from dpkg's `status` file, or the `status.d` of images without dpkg (deb-control(5), dpkg(1)).

use std::collections::HashMap;

use collector::{
    Host, Row, Rows, Table, int, mount_namespace_id, or_note, pid_with_namespace, repeated, text,
};
use model::{Extent, Query, ScanError};

use crate::{bytes, text_file};

const ADMINDIR: &str = "/var/lib/dpkg";

pub(crate) static TABLE: Table<Package, Host> = Table {
    name: "deb_packages",
    about: "Packages that dpkg knows on this machine, with those of which only configuration is left.",
    identity: repeated(&["name", "version", "arch"]),
    extent: Extent::Whole { rows: 700 },
    columns: &[
        text("name", "Name of the package.", |p| (&p.name).into()),
        text("version", "Version, with epoch and revision.", |p| (&p.version).into()),
        text(
            "source",
            "Source package, with its version when that differs; '' when it has the same name.",
            |p| (&p.source).into(),
        ),
        int("size", "KiB that the package takes when installed, as it says itself.", |p| p.size.into()),
        text("arch", "Architecture: `amd64`, `all` ….", |p| p.arch.as_ref().into()),
        text("revision", "Part of the version after the last `-`; '' for a native package.", |p| {
            p.revision().into()
        }),
        text("status", "What is wanted, error flag, and state: `install ok installed`.", |p| {
            (&p.status).into()
        }),
        text("maintainer", "Who maintains the package.", |p| p.maintainer.as_ref().into()),
        text("section", "Section of the archive.", |p| p.section.as_ref().into()),
        text("priority", "`required`, `important`, `standard`, `optional` or `extra`.", |p| {
            p.priority.as_ref().into()
        }),
        text("admindir", "Where dpkg keeps its database; only the usual place is read.", |_| ADMINDIR.into()),
        pid_with_namespace(),
        mount_namespace_id(),
    ],
    scan,
    examples: &[
        "SELECT name, version FROM deb_packages WHERE status = 'install ok installed' AND name LIKE 'openssh%'",
        "SELECT name FROM deb_packages WHERE status NOT LIKE '% installed'",
    ],
};

#[derive(Debug, Default)]
pub(crate) struct Package {
    name: Vec<u8>,
    version: Vec<u8>,
    source: Vec<u8>,
    size: Option<i64>,
    arch: Option<Vec<u8>>,
    status: Vec<u8>,
    maintainer: Option<Vec<u8>>,
    section: Option<Vec<u8>>,
    priority: Option<Vec<u8>>,
}

impl Package {
    fn revision(&self) -> &[u8] {
        let dash = self.version.iter().rposition(|b| *b == b'-');
        dash.map_or(&[], |dash| &self.version[dash + 1..])
    }
}

impl Row for Package {
    fn heap_bytes(&self) -> usize {
        let optional = [&self.arch, &self.maintainer, &self.section, &self.priority];
        let optional = optional.iter().map(|text| text.as_ref().map_or(0, Vec::len)).sum::<usize>();
        self.name.len() + self.version.len() + self.source.len() + self.status.len() + optional
    }
}

fn scan(host: &Host, query: &Query) -> Result<Rows<Package>, ScanError> {
    let run = &query.run;
    let status = or_note(host.read(format!("{ADMINDIR}/status")), run, TABLE.name, "").unwrap_or_default();
    let mut packages = parse(&status, None);
    // What a dpkg that runs now (or was killed) did last; it is merged into `status` at its end.
    let mut places: HashMap<_, _> = packages.iter().enumerate().map(|(at, p)| (key(p), at)).collect();
    for path in files(host, query, "updates") {
        for package in parse(&text_file::read_or_note(host, run, TABLE.name, path), None) {
            match places.get(&key(&package)) {
                Some(at) => packages[*at] = package,
                None => {
                    places.insert(key(&package), packages.len());
                    packages.push(package);
                }
            }
        }
    }
    // Images that are built without dpkg (distroless) have a file for each package, none of which has a status.
    for path in files(host, query, "status.d") {
        run.check()?;
        if path.extension().is_none_or(|extension| extension != "md5sums") {
            let content = text_file::read_or_note(host, run, TABLE.name, path);
            packages.extend(parse(&content, Some(b"install ok installed")));
        }
    }
    packages.retain(|p| !p.status.ends_with(b" not-installed"));
    Ok(Box::new(packages.into_iter().map(Ok)))
}

fn files(host: &Host, query: &Query, directory: &str) -> Vec<std::path::PathBuf> {
    let directory = std::path::Path::new(ADMINDIR).join(directory);
    text_file::files_or_note(host, &query.run, TABLE.name, &directory)
}

fn key(package: &Package) -> (Vec<u8>, Option<Vec<u8>>) {
    (package.name.clone(), package.arch.clone())
}

/// The packages of a file of paragraphs. One without a name is none, nor is one without a status, unless the file
/// is of a kind that has none.
fn parse(content: &[u8], default_status: Option<&[u8]>) -> Vec<Package> {
    let mut packages = Vec::new();
    let mut package = Package::default();
    let mut finish = |mut package: Package| {
        if package.status.is_empty() {
            package.status = default_status.unwrap_or_default().to_vec();
        }
        if !package.name.is_empty() && !package.status.is_empty() {
            packages.push(package);
        }
    };
    for line in bytes::lines(content) {
        if line.trim_ascii().is_empty() {
            finish(std::mem::take(&mut package));
        } else if !line[0].is_ascii_whitespace() {
            field(&mut package, line);
        }
    }
    finish(package);
    packages
}

fn field(package: &mut Package, line: &[u8]) {
    let Some((name, value)) = bytes::split_once(line, b':') else { return };
    let value = value.trim_ascii();
    match name.to_ascii_lowercase().as_slice() {
        b"package" => package.name = value.to_vec(),
        b"version" => package.version = value.to_vec(),
        b"source" => package.source = value.to_vec(),
        b"installed-size" => package.size = bytes::decimal(value),
        b"architecture" => package.arch = Some(value.to_vec()),
        b"status" => package.status = value.to_vec(),
        b"maintainer" => package.maintainer = Some(value.to_vec()),
        b"section" => package.section = Some(value.to_vec()),
        b"priority" => package.priority = Some(value.to_vec()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    const OPENSSL: &str = "Package: openssl\nStatus: install ok installed\nPriority: optional\nSection: utils\n\
        Installed-Size: 2305\nMaintainer: Jos\u{e9} <j@example.org>\nArchitecture: amd64\nSource: openssl (3.0.1-1)\n\
        Version: 1:3.0-1-2+b1\nConffiles:\n /etc/ssl/openssl.cnf 0\n Version: 9\nDescription: x\n Package: y\n";

    #[test]
    fn a_paragraph_is_a_package_and_its_further_lines_are_none() {
        let packages = parse(OPENSSL.as_bytes(), None);
        assert_eq!(packages.len(), 1);
        let p = &packages[0];
        assert_eq!((p.name.as_slice(), p.version.as_slice()), (&b"openssl"[..], &b"1:3.0-1-2+b1"[..]));
        assert_eq!((p.revision(), p.size), (&b"2+b1"[..], Some(2305)));
        assert_eq!(p.source, b"openssl (3.0.1-1)");
        assert_eq!(p.maintainer.as_deref(), Some("Jos\u{e9} <j@example.org>".as_bytes()));
    }

    #[test]
    fn missing_fields_are_unknown_and_garbage_is_no_package() {
        let packages =
            parse(b"package: a\xff\r\nSTATUS: hold ok installed\r\nInstalled-Size: big\r\n\r\n", None);
        assert_eq!((packages.len(), packages[0].name.as_slice()), (1, &b"a\xff"[..]));
        assert_eq!((packages[0].size, packages[0].revision()), (None, &b""[..]));
        assert!(packages[0].section.is_none());
        for garbage in
            ["Package: a\n", "Status: install ok installed\n", "\n\n: x\n", " Package: a\n Status: b\n"]
        {
            assert!(parse(garbage.as_bytes(), None).is_empty(), "{garbage}");
        }
        assert!(parse(b"\xff\xfe\0\nPackage\n", None).is_empty());
    }

    #[test]
    fn the_database_the_journal_and_status_d_are_one_list() {
        let package = |name: &str, status: &str| format!("Package: {name}\n{status}Version: 1\n\n");
        let installed = "Status: install ok installed\n";
        let status = [
            package("a", installed),
            package("b", "Status: deinstall ok config-files\n"),
            package("c", "Status: purge ok not-installed\n"),
        ];
        let machine = Fixture::new();
        machine
            .file("/var/lib/dpkg/status", status.concat())
            .file("/var/lib/dpkg/updates/0001", package("a", "Status: install ok unpacked\n"))
            .file("/var/lib/dpkg/updates/0002", package("d", installed))
            .file("/var/lib/dpkg/status.d/e", package("e", ""))
            .file("/var/lib/dpkg/status.d/e.md5sums", "0 usr/bin/e\n");
        let expected = [
            "a|install ok unpacked",
            "b|deinstall ok config-files",
            "d|install ok installed",
            "e|install ok installed",
        ];
        let scan = machine.scan(&TABLE);
        assert_eq!(scan.texts(&["name", "status"]), expected);
        assert_eq!(scan.notes(), []);
    }
}
