//! `shell_history`: the history files of bash, zsh, tcsh, ksh, ash and fish in the homes of `/etc/passwd`.

use std::sync::Arc;

use collector::{Host, Masked, Row, Rows, Table, int, key, repeated, text};
use model::{Extent, Query, ScanError};

use crate::history_lines::{Command, Format, Reader};
use crate::homes::{self, HomeFile};

/// How much of a history is read, in bytes.
const HISTORY_BYTES_MAX: u64 = 256 << 20;

const FILES: &[(&str, Format)] = &[
    (".bash_history", Format::Plain),
    (".zsh_history", Format::Zsh),
    (".zhistory", Format::Zsh),
    (".history", Format::Plain),
    (".sh_history", Format::Plain),
    (".ash_history", Format::Plain),
    (".local/share/fish/fish_history", Format::Fish),
];

pub(crate) static TABLE: Table<Entry, Host> = Table {
    name: "shell_history",
    about: "Commands that users typed, as their shells remember them.",
    identity: repeated(&["uid", "history_file", "command"]),
    extent: Extent::PerKey { keys: 30, rows: 1000 },
    columns: &[
        key(int("uid", "User ID of the home.", |e| e.file.uid.into())),
        int("time", "When it was typed, in seconds since 1970; NULL when the shell did not note it.", |e| {
            e.time.into()
        }),
        text(
            "command",
            "The command, as it was typed; at most 1 MiB of it, `[masked]` in place of a secret.",
            |e| (&e.command.text).into(),
        ),
        text("history_file", "Path of the history.", |e| (&e.file.path).into()),
        int("masked", "1 if a part of the command is masked.", |e| e.command.masked.into()),
    ],
    scan,
    examples: &[
        "SELECT uid, datetime(time, 'unixepoch'), command FROM shell_history WHERE command LIKE '%curl%'",
    ],
};

pub(crate) struct Entry {
    file: Arc<HomeFile>,
    /// Seconds since 1970.
    time: Option<i64>,
    command: Masked,
}

impl Row for Entry {
    fn heap_bytes(&self) -> usize {
        self.command.text.capacity()
    }
}

fn scan(host: &Host, query: &Query) -> Result<Rows<Entry>, ScanError> {
    let (host, run, masking) = (host.clone(), query.run.clone(), host.masking());
    let homes = homes::homes(&host, query, TABLE.name);
    let files = homes.into_iter().flat_map(|home| FILES.iter().map(move |file| (home.clone(), file)));
    Ok(Box::new(files.flat_map(move |(home, (name, format))| {
        let file = Arc::new(home.file(name));
        let lines = homes::lines(&host, &run, TABLE.name, &home, &file.path, HISTORY_BYTES_MAX);
        let mut reader = lines.map(|lines| Reader::new(lines, *format));
        std::iter::from_fn(move || {
            let command = reader.as_mut()?.next().transpose()?;
            Some(command.map(|Command { time, text }| Entry {
                file: file.clone(),
                time,
                command: masking.line(text),
            }))
        })
    })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    #[test]
    fn each_history_of_each_home_is_read() {
        let machine = Fixture::new();
        machine
            .file("/etc/passwd", "a:x:1000:1000::/home/a:/bin/sh\nb:x:1001:1001::/home/b:/bin/sh\n")
            .file("/home/a/.bash_history", b"#1700000000\nls\necho \xff\n")
            .file("/home/a/.local/share/fish/fish_history", "- cmd: ls\n  when: 5\n")
            .file("/home/b/.zsh_history", ": 7:0;ls\n");
        let all = machine.scan(&TABLE).lines();
        let expected = [
            "1000|1700000000|ls|/home/a/.bash_history|0",
            "1000|NULL|echo \\xff|/home/a/.bash_history|0",
            "1000|5|ls|/home/a/.local/share/fish/fish_history|0",
            "1001|7|ls|/home/b/.zsh_history|0",
        ];
        assert_eq!(all, expected);
        assert_eq!(machine.scan(&TABLE).equal("uid", 1001).lines(), all[3..]);
        assert_eq!(machine.scan(&TABLE).equal("uid", 1).cells().len(), 0);
    }
}
