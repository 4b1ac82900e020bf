//! `last`: from `/var/log/wtmp` (wtmp(5)).

use collector::{Host, Rows, Table, int, repeated, text};
use model::{Extent, Query, ScanError};

use crate::utmp::{self, DEAD_PROCESS, Record, USER_PROCESS};

pub(crate) static TABLE: Table<Record, Host> = Table {
    name: "last",
    about: "Logins and their ends that /var/log/wtmp has, oldest first; rotated files are not read.",
    identity: repeated(&["username", "tty", "pid", "type", "time", "host"]),
    extent: Extent::Whole { rows: 1000 },
    columns: &[
        text("username", "Name of the user; '' in most records of an end.", |r| (&r.user).into()),
        text("tty", "Terminal, without `/dev/`.", |r| (&r.line).into()),
        int("pid", "Process ID of the login.", |r| r.pid.into()),
        int("type", "7 for a login, 8 for its end.", |r| r.kind.into()),
        text("type_name", "`user-process` for a login, `dead-process` for its end.", |r| {
            if r.kind == USER_PROCESS { "user-process" } else { "dead-process" }.into()
        }),
        int("time", "When it happened, in seconds since 1970.", |r| r.time.into()),
        text("host", "Where the login came from.", |r| (&r.host).into()),
    ],
    scan,
    examples: &[
        "SELECT username, host, datetime(time, 'unixepoch') FROM last WHERE type_name = 'user-process'",
    ],
};

fn scan(host: &Host, query: &Query) -> Result<Rows<Record>, ScanError> {
    let records = utmp::records(host.contents("/var/log/wtmp"), &query.run, TABLE.name);
    let told = |r: &Result<Record, _>| {
        r.as_ref().map_or(true, |record| matches!(record.kind, USER_PROCESS | DEAD_PROCESS))
    };
    Ok(Box::new(records.filter(told)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;
    use crate::utmp::tests::bytes;

    #[test]
    fn only_logins_and_their_ends_are_listed() {
        let content = [
            bytes(2, 0, b"~", b"reboot", b"6.1.0", 1000),
            bytes(7, 9, b"pts/0", b"eve", b"10.0.0.1", 1001),
            bytes(8, 9, b"pts/0", b"", b"", 1002),
        ];
        let machine = Fixture::new();
        machine.file("/var/log/wtmp", content.concat());
        let rows = machine.scan(&TABLE).lines();
        assert_eq!(rows, ["eve|pts/0|9|7|user-process|1001|10.0.0.1", "|pts/0|9|8|dead-process|1002|"]);
    }

    #[test]
    fn a_machine_without_the_file_has_no_logins_and_no_note() {
        let machine = Fixture::new();
        let scan = machine.scan(&TABLE);
        assert_eq!((scan.cells().len(), scan.notes()), (0, vec![]));
    }

    #[test]
    fn a_cancelled_scan_stops() {
        let machine = Fixture::new();
        machine.file("/var/log/wtmp", bytes(7, 9, b"", b"", b"", 1));
        let asked = machine.scan(&TABLE);
        asked.query.run.cancel();
        assert!(scan(&asked.host, &asked.query).unwrap().next().unwrap().is_err());
    }
}
