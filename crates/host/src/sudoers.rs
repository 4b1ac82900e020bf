//! `sudoers`: from `/etc/sudoers` and what it includes (sudoers(5)).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use collector::{Host, Row, Rows, Table, repeated, text};
use model::{Extent, Query, ScanError};

use crate::{bytes, text_file};

pub(crate) static TABLE: Table<Rule, Host> = Table {
    name: "sudoers",
    about: "Lines that tell sudo who may run what, with the files that they include; needs root.",
    identity: repeated(&["source", "header", "rule_details"]),
    extent: Extent::Whole { rows: 20 },
    columns: &[
        text("source", "File that the line is in.", |r| r.source.as_path().into()),
        text("header", "First word: a user, `%group`, `#uid`, `Defaults`, an alias or `@include`.", |r| {
            (&r.header).into()
        }),
        text("rule_details", "The rest, with continued lines joined.", |r| (&r.details).into()),
    ],
    scan,
    examples: &["SELECT header, rule_details FROM sudoers WHERE rule_details LIKE '%NOPASSWD%'"],
};

/// How deep sudo itself lets files include each other.
const DEPTH_MAX: usize = 128;
/// Files that one scan reads: depth alone does not bound files that include two others each.
const FILES_MAX: usize = 4096;

#[derive(Debug)]
pub(crate) struct Rule {
    source: Arc<PathBuf>,
    header: Vec<u8>,
    details: Vec<u8>,
}

impl Row for Rule {
    fn heap_bytes(&self) -> usize {
        self.header.len() + self.details.len()
    }
}

fn scan(host: &Host, query: &Query) -> Result<Rows<Rule>, ScanError> {
    let mut reader = Reader { host, query, open: Vec::new(), files: 0, rules: Vec::new() };
    reader.file(PathBuf::from("/etc/sudoers"))?;
    Ok(Box::new(reader.rules.into_iter().map(Ok)))
}

struct Reader<'a> {
    host: &'a Host,
    query: &'a Query,
    /// The files that include the one that is being read, outermost first.
    open: Vec<Arc<PathBuf>>,
    files: usize,
    rules: Vec<Rule>,
}

impl Reader<'_> {
    fn file(&mut self, path: PathBuf) -> Result<(), ScanError> {
        self.query.run.check()?;
        let refusal = match () {
            () if self.open.iter().any(|open| **open == path) => "a file includes itself",
            () if self.open.len() >= DEPTH_MAX => "files include each other too deeply",
            () if self.files >= FILES_MAX => "too many files are included",
            () => "",
        };
        if !refusal.is_empty() {
            self.query.run.note(TABLE.name, "", refusal);
            return Ok(());
        }
        self.files += 1;
        let content = text_file::read_or_note(self.host, &self.query.run, TABLE.name, &path);
        let source = Arc::new(path);
        self.open.push(source.clone());
        for line in logical_lines(&content) {
            let (header, details) = bytes::first_word(&line);
            let (header, details) = (header.to_vec(), details.to_vec());
            let include = Include::parse(&header, &details);
            self.rules.push(Rule { source: source.clone(), header, details });
            match include {
                Some(Include::File(target)) => self.file(self.target(&source, &target))?,
                Some(Include::Directory(target)) => self.directory(&self.target(&source, &target))?,
                None => {}
            }
        }
        self.open.pop();
        Ok(())
    }

    fn directory(&mut self, path: &Path) -> Result<(), ScanError> {
        for file in text_file::files_or_note(self.host, &self.query.run, TABLE.name, path) {
            // Package managers and editors leave such files behind; sudo skips them.
            let name = file.file_name().map(|name| name.as_encoded_bytes()).unwrap_or_default();
            if !name.ends_with(b"~") && !name.contains(&b'.') {
                self.file(file)?;
            }
        }
        Ok(())
    }

    /// Where an include leads: `%h` is the short host name, and a relative path starts beside the file.
    fn target(&self, source: &Path, target: &[u8]) -> PathBuf {
        let mut path = Vec::new();
        let mut rest = target;
        while let Some(at) = rest.windows(2).position(|two| two == b"%h") {
            let name = self.host.read("/proc/sys/kernel/hostname").unwrap_or_default();
            path.extend_from_slice(&rest[..at]);
            path.extend(name.trim_ascii().iter().take_while(|b| **b != b'.'));
            rest = &rest[at + 2..];
        }
        path.extend_from_slice(rest);
        let path = bytes::path(&path);
        source.parent().map_or_else(|| path.to_owned(), |parent| parent.join(path))
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Include {
    File(Vec<u8>),
    Directory(Vec<u8>),
}

impl Include {
    fn parse(header: &[u8], details: &[u8]) -> Option<Include> {
        match header {
            b"@include" | b"#include" => Some(Include::File(path(details)?)),
            b"@includedir" | b"#includedir" => Some(Include::Directory(path(details)?)),
            _ => None,
        }
    }
}

/// The path that an include names: one word, with blanks in double quotes or after a backslash.
fn path(details: &[u8]) -> Option<Vec<u8>> {
    let path = match details.strip_prefix(b"\"") {
        Some(quoted) => quoted.split(|b| *b == b'"').next()?.to_vec(),
        None => {
            let (mut path, mut bytes) = (Vec::new(), details.iter());
            while let Some(byte) = bytes.next() {
                match byte {
                    b'\\' => path.extend(bytes.next()),
                    b if b.is_ascii_whitespace() => break,
                    b => path.push(*b),
                }
            }
            path
        }
    };
    (!path.is_empty()).then_some(path)
}

/// The lines that mean something, each with the lines that continue it after a backslash.
fn logical_lines(content: &[u8]) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let mut continued = false;
    for raw in bytes::lines(content) {
        let line = raw.trim_ascii();
        let (text, continues) = match line.strip_suffix(b"\\") {
            Some(text) => (text, true),
            None => (line, false),
        };
        match lines.last_mut() {
            Some(last) if continued => {
                // Blanks on either side of the break part two words, and so does the break after a header.
                let parted = raw.first().is_some_and(u8::is_ascii_whitespace) || last.ends_with(b" ");
                last.truncate(last.trim_ascii_end().len());
                if parted || !last.iter().any(u8::is_ascii_whitespace) {
                    last.push(b' ');
                }
                last.extend_from_slice(text);
            }
            _ if is_comment(line) => {
                continued = false;
                continue;
            }
            _ => lines.push(text.to_vec()),
        }
        continued = continues;
    }
    lines.iter_mut().for_each(|line| line.truncate(line.trim_ascii_end().len()));
    lines.retain(|line| !line.trim_ascii().is_empty());
    lines
}

/// Whether a line says nothing. `#1000` is a user by number, and `#include` was once the only spelling.
fn is_comment(line: &[u8]) -> bool {
    let (word, rest) = bytes::first_word(line);
    match word {
        b"" => true,
        b"#include" | b"#includedir" | b"@include" | b"@includedir" => rest.is_empty(),
        [b'#', b'0'..=b'9', ..] | [b'#', b'-', b'0'..=b'9', ..] => false,
        _ => word[0] == b'#',
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    fn lines(content: &str) -> Vec<String> {
        let lines = logical_lines(content.as_bytes());
        lines.into_iter().map(|line| String::from_utf8(line).unwrap()).collect()
    }

    fn scanned(files: &[(&str, &str)]) -> (Vec<String>, Vec<model::Note>) {
        let machine = Fixture::new();
        for (path, text) in files {
            machine.file(path, text);
        }
        let scan = machine.scan(&TABLE);
        (scan.lines(), scan.notes())
    }

    #[test]
    fn comments_are_left_out_and_users_by_number_are_not() {
        let content = "# a\n#Defaults x\r\n\n#1000 ALL=ALL\n#-1 ALL=ALL\n#include\n#include /a\n\\\n";
        assert_eq!(lines(content), ["#1000 ALL=ALL", "#-1 ALL=ALL", "#include /a"]);
    }

    #[test]
    fn continued_lines_are_joined() {
        assert_eq!(
            lines("eve ALL = /bin/a, \\\n    /bin/b,\\\n/bin/c\nbob x"),
            ["eve ALL = /bin/a, /bin/b,/bin/c", "bob x"]
        );
        assert_eq!(lines("Defaults\\\nenv_reset\\"), ["Defaults env_reset"]);
        assert_eq!(lines("eve ALL=ls\\\r\n -l\\\r\n# b"), ["eve ALL=ls -l# b"]);
        assert_eq!(lines("# c \\\nroot ALL"), ["root ALL"]);
    }

    #[test]
    fn an_include_names_a_path_that_may_hold_blanks() {
        assert_eq!(path(br"/a\ b\\c # why").unwrap(), br"/a b\c");
        assert_eq!(path(b"\"/a b\" # why").unwrap(), b"/a b");
        assert_eq!(path(b"\"\""), None);
        assert_eq!(Include::parse(b"@includedir", b"d"), Some(Include::Directory(b"d".to_vec())));
    }

    #[test]
    fn included_files_follow_the_line_that_includes_them() {
        let (rows, notes) = scanned(&[
            ("/etc/sudoers", "root ALL=ALL\n@includedir sudoers.d\n#include /etc/other.%h\nlast ALL"),
            ("/etc/sudoers.d/b", "eve ALL=(ALL) NOPASSWD: ALL\n"),
            ("/etc/sudoers.d/a", "bob\tALL"),
            ("/etc/sudoers.d/a.rpmsave", "no ALL"),
            ("/etc/sudoers.d/a~", "no ALL"),
            ("/etc/other.box", "ann ALL"),
            ("/proc/sys/kernel/hostname", "box.example\n"),
        ]);
        let expected = [
            "/etc/sudoers|root|ALL=ALL",
            "/etc/sudoers|@includedir|sudoers.d",
            "/etc/sudoers.d/a|bob|ALL",
            "/etc/sudoers.d/b|eve|ALL=(ALL) NOPASSWD: ALL",
            "/etc/sudoers|#include|/etc/other.%h",
            "/etc/other.box|ann|ALL",
            "/etc/sudoers|last|ALL",
        ];
        assert_eq!(rows, expected);
        assert_eq!(notes, []);
    }

    #[test]
    fn a_file_that_includes_itself_ends_with_a_note() {
        let (rows, notes) =
            scanned(&[("/etc/sudoers", "@include a\nroot ALL"), ("/etc/a", "@include sudoers")]);
        assert_eq!(rows.last().unwrap(), "/etc/sudoers|root|ALL");
        assert_eq!(notes[0].reason, "a file includes itself");
    }

    #[test]
    fn files_that_each_include_two_others_end_with_a_note() {
        let files: Vec<(String, String)> = (0..20)
            .map(|n| (format!("/etc/f{n}"), format!("@include f{m}\n@include f{m}\n", m = n + 1)))
            .chain([("/etc/sudoers".into(), "@include f0".into())])
            .collect();
        let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        assert_eq!(scanned(&files).1[0].reason, "too many files are included");
    }

    #[test]
    fn no_sudoers_file_is_no_rule_and_no_note() {
        assert_eq!(scanned(&[]), (vec![], vec![]));
    }
}
