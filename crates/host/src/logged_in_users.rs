//! `logged_in_users`: from `/run/utmp` (utmp(5)).

use collector::{Host, Rows, Table, elsewhere_text, int, repeated, text, vanished};
use model::{Extent, Query, ScanError};

use crate::utmp::{self, Record, USER_PROCESS};

pub(crate) static TABLE: Table<Record, Host> = Table {
    name: "logged_in_users",
    about: "Logins that the machine's utmp file lists as open, and its records of boot and terminals.",
    identity: repeated(&["type", "user", "tty", "host", "time", "pid"]),
    extent: Extent::Whole { rows: 10 },
    columns: &[
        text(
            "type",
            "`user` for a login; `boot_time`, `runlevel`, `init`, `login`, `dead` … for the rest.",
            |r| type_text(r.kind).into(),
        ),
        text("user", "Name of the user.", |r| (&r.user).into()),
        text("tty", "Terminal, without `/dev/`.", |r| (&r.line).into()),
        text("host", "Where the login came from; the kernel's release for `boot_time`.", |r| {
            (&r.host).into()
        }),
        int("time", "When the record was made, in seconds since 1970.", |r| r.time.into()),
        int("pid", "Process ID of the login.", |r| r.pid.into()),
        elsewhere_text("sid"),
        elsewhere_text("registry_hive"),
    ],
    scan,
    examples: &["SELECT user, tty, host FROM logged_in_users WHERE type = 'user'"],
};

fn scan(host: &Host, query: &Query) -> Result<Rows<Record>, ScanError> {
    // /var/run is /run on nearly every machine; where it is not, it is what programs write to.
    let file = match host.contents("/var/run/utmp") {
        Err(error) if vanished(&error) => host.contents("/run/utmp"),
        opened => opened,
    };
    // osquery leaves out the records of process 1. A login is none of them, whatever number it claims.
    let told = |r: &Result<Record, _>| {
        r.as_ref().map_or(true, |record| record.pid != 1 || record.kind == USER_PROCESS)
    };
    Ok(Box::new(utmp::records(file, &query.run, TABLE.name).filter(told)))
}

fn type_text(kind: i16) -> &'static str {
    const TYPES: [&str; 10] = [
        "empty",
        "runlevel",
        "boot_time",
        "new_time",
        "old_time",
        "init",
        "login",
        "user",
        "dead",
        "accounting",
    ];
    usize::try_from(kind).ok().and_then(|kind| TYPES.get(kind)).copied().unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;
    use crate::utmp::tests::bytes;

    #[test]
    fn records_of_process_1_are_left_out_unless_they_are_logins() {
        let content = [
            bytes(2, 0, b"~", b"reboot", b"6.1.0", 1000),
            bytes(5, 1, b"", b"", b"", 1001),
            bytes(7, 1, b"pts/0", b"eve", b"10.0.0.1", 1002),
            bytes(77, 3, b"", b"", b"", 1003),
        ];
        let machine = Fixture::new();
        machine.file("/run/utmp", content.concat());
        let scan = machine.scan(&TABLE);
        let expected =
            ["boot_time|reboot|~|6.1.0|1000|0", "user|eve|pts/0|10.0.0.1|1002|1", "unknown||||1003|3"];
        assert_eq!(scan.lines(), expected);
        assert_eq!(scan.notes(), []);
    }
}
