//! Desktop autostart files (Desktop Entry Specification, Autostart Specification) and the scripts of KDE beside them.

use std::path::Path;

use collector::{Host, or_note};
use model::Run;

use super::{DISABLED, ENABLED, Item, ItemKind, TABLE};
use crate::homes::Home;
use crate::{bytes, text_file};

/// The desktop files of a directory.
pub(super) fn autostart(host: &Host, run: &Run, directory: &Path, home: Option<&Home>) -> Vec<Item> {
    let files = text_file::files_or_note(host, run, TABLE.name, directory);
    let files = files.into_iter().filter(|path| path.extension().is_some_and(|e| e == "desktop"));
    let item = |path: std::path::PathBuf| {
        let entry =
            parse(&or_note(text_file::read_for(host, home, &path), run, TABLE.name, "").unwrap_or_default());
        let file_name = path.file_name().map(|name| name.as_encoded_bytes().to_vec());
        Item {
            name: entry.name.or(file_name).unwrap_or_default(),
            path: entry.program,
            source: directory.join(""),
            status: if entry.disabled { DISABLED } else { ENABLED },
            owner: home.map(|home| home.user.clone()),
            kind: ItemKind::Desktop { args: host.masking().line(entry.args) },
        }
    };
    files.map(item).collect()
}

/// The scripts of a directory, all of which are run.
pub(super) fn scripts(host: &Host, run: &Run, directory: &Path, home: Option<&Home>) -> Vec<Item> {
    let files = text_file::files_or_note(host, run, TABLE.name, directory);
    let item = |path: std::path::PathBuf| Item {
        name: path.file_name().map(|name| name.as_encoded_bytes().to_vec()).unwrap_or_default(),
        path: path.into_os_string().into_encoded_bytes(),
        source: directory.join(""),
        status: ENABLED,
        owner: home.map(|home| home.user.clone()),
        kind: ItemKind::Script,
    };
    files.into_iter().map(item).collect()
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Entry {
    name: Option<Vec<u8>>,
    program: Vec<u8>,
    args: Vec<u8>,
    disabled: bool,
}

fn parse(content: &[u8]) -> Entry {
    let mut entry = Entry::default();
    let mut in_entry = false;
    for line in bytes::trimmed_lines(content) {
        if line.starts_with(b"[") {
            in_entry = line == b"[Desktop Entry]";
        }
        let Some((key, value)) = bytes::split_once(line, b'=').filter(|_| in_entry) else { continue };
        let (key, value) = (key.trim_ascii_end(), value.trim_ascii_start());
        match key {
            b"Name" => entry.name = Some(value.to_vec()),
            b"Exec" => (entry.program, entry.args) = command(value),
            b"Hidden" => entry.disabled |= value == b"true",
            b"X-GNOME-Autostart-enabled" => entry.disabled |= value == b"false",
            _ => {}
        }
    }
    entry
}

/// The program of an `Exec` value, and its arguments as they are written.
fn command(value: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let Some(quoted) = value.strip_prefix(b"\"") else {
        let (program, args) = bytes::first_word(value);
        return (program.to_vec(), args.to_vec());
    };
    let mut program = Vec::new();
    let mut bytes = quoted.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => break,
            b'\\' => program.extend(bytes.next()),
            byte => program.push(*byte),
        }
    }
    (program, bytes.as_slice().trim_ascii().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_desktop_entry_counts() {
        let content =
            b"Name=before\n[Desktop Entry]\r\nName[de]=Nein\r\nName = N\xff\r\nExec=/bin/a=b -x=y %U\r\n\
            [Desktop Action new]\nName=action\nExec=evil\nHidden=true\n";
        let expected = Entry {
            name: Some(b"N\xff".into()),
            program: b"/bin/a=b".into(),
            args: b"-x=y %U".into(),
            disabled: false,
        };
        assert_eq!(parse(content), expected);
    }

    #[test]
    fn an_item_can_be_switched_off_in_two_ways() {
        assert!(parse(b"[Desktop Entry]\nHidden=true\n").disabled);
        assert!(parse(b"[Desktop Entry]\nX-GNOME-Autostart-enabled=false\n").disabled);
        assert!(!parse(b"[Desktop Entry]\nHidden=false\nX-GNOME-Autostart-enabled=true\n").disabled);
    }

    #[test]
    fn a_quoted_program_may_hold_blanks_and_quotes() {
        assert_eq!(command(br#""/a b/\"c" -d "e f""#), (br#"/a b/"c"#.to_vec(), br#"-d "e f""#.to_vec()));
        assert_eq!(command(b"\"open"), (b"open".to_vec(), b"".to_vec()));
        assert_eq!(command(b""), (b"".to_vec(), b"".to_vec()));
    }

    #[test]
    fn garbage_is_an_entry_that_starts_nothing() {
        assert_eq!(parse(b"\xff\xfe\n=\n[\n]\nExec\n"), Entry::default());
    }
}
