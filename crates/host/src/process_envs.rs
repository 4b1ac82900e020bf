//! `process_envs`: from `/proc/PID/environ` (proc_pid_environ(5)).

use collector::{Host, Masked, Masking, Reads, Row, Rows, Table, int, key, repeated, text};
use model::{Extent, Query, ScanError};

use crate::process;

pub(crate) static TABLE: Table<Variable, Host> = Table {
    name: "process_envs",
    about: "Environment variables of processes, as they were at exec unless the process wrote over them.",
    identity: repeated(&["pid", "key"]),
    extent: Extent::PerKey { keys: 300, rows: 20 },
    columns: &[
        key(int("pid", "Process id.", |v| v.pid.into())),
        text("key", "Name of the variable.", |v| v.key.as_slice().into()),
        text("value", "Its value, or what of it is no secret; NULL for an entry without `=`.", |v| {
            v.value.as_ref().map(|value| &value.text).into()
        }),
        int("masked", "1 if a part of the entry is masked.", |v| v.is_masked().into()),
    ],
    scan,
    examples: &["SELECT pid, value FROM process_envs WHERE key = 'LD_PRELOAD'"],
};

pub(crate) struct Variable {
    pid: u32,
    key: Vec<u8>,
    value: Option<Masked>,
    /// Something in the name was masked: an entry need not be a variable.
    key_masked: bool,
}

impl Variable {
    fn is_masked(&self) -> bool {
        self.key_masked || self.value.as_ref().is_some_and(|value| value.masked)
    }
}

impl Row for Variable {
    fn heap_bytes(&self) -> usize {
        self.key.capacity() + self.value.as_ref().map_or(0, |value| value.text.capacity())
    }
}

fn scan(host: &Host, query: &Query) -> Result<Rows<Variable>, ScanError> {
    let processes = process::scan(host, TABLE.name, query, Reads::More)?;
    let masking = host.masking();
    Ok(process::rows_of(processes, move |process| {
        parse(process.pid(), &process.environ().unwrap_or_default(), masking)
    }))
}

fn parse(pid: u32, environ: &[u8], masking: Masking) -> Vec<Variable> {
    // A process that writes a title over its environment leaves runs of NULs.
    let entries = environ.split(|b| *b == 0).filter(|entry| !entry.is_empty());
    let variable = |entry: &[u8]| match entry.iter().position(|b| *b == b'=') {
        Some(at) => {
            let (name, value) = (&entry[..at], entry[at + 1..].to_vec());
            let key = masking.line(name.to_vec());
            Variable { pid, value: Some(masking.value(name, value)), key: key.text, key_masked: key.masked }
        }
        None => {
            let key = masking.line(entry.to_vec());
            Variable { pid, value: None, key: key.text, key_masked: key.masked }
        }
    };
    entries.map(variable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_ends_at_its_first_equals_sign() {
        let rows = parse(1, b"A=b=c\0EMPTY=\0\0\0odd\0=x\0\xff=\xfe", Masking::On);
        let rows: Vec<_> =
            rows.iter().map(|v| (v.key.as_slice(), v.value.as_ref().map(|v| v.text.as_slice()))).collect();
        assert_eq!(
            rows,
            [
                (&b"A"[..], Some(&b"b=c"[..])),
                (b"EMPTY", Some(b"")),
                (b"odd", None),
                (b"", Some(b"x")),
                (b"\xff", Some(b"\xfe")),
            ]
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_cannot_be_read_is_noted_and_what_is_gone_is_not() {
        use crate::process::fixture::{Machine, query, rows};

        let machine = Machine::new();
        machine.process(1, 0, 1, b"");
        machine.write("proc/1/environ", b"A=1\0B=2\0");
        machine.process(2, 1, 1, b"");
        machine.write("proc/3/environ", b"NOT=a process\0");
        machine.process(4, 1, 1, b"");
        machine.write("proc/4/environ/a-directory", b"");
        let columns = ["pid", "key", "value"];
        let row = |key: &str, value: &str| [1.into(), key.to_owned().into(), value.to_owned().into()];
        for pids in [None, Some(&[4i64, 3, 2, 1, 1][..])] {
            let query = query(&TABLE, &columns, pids);
            assert_eq!(rows(&TABLE, &machine.host(), &query), [row("A", "1"), row("B", "2")]);
            let notes = query.run.notes();
            assert_eq!((notes.len(), notes[0].table.as_str(), notes[0].count), (1, TABLE.name, 1));
        }
    }
}
