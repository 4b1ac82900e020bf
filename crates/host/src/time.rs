//! `time`: the statement's clock in UTC, by the proleptic Gregorian calendar.

use collector::{Host, Row, Rows, Table, elsewhere_int, int, or_note, text, unique};
use model::{Extent, Query, Run, ScanError, date_of};

pub(crate) static TABLE: Table<Time, Host> = Table {
    name: "time",
    about: "The time of the statement, in UTC; one row.",
    identity: unique(&["unix_time"]),
    extent: Extent::Whole { rows: 1 },
    columns: &[
        text("weekday", "Day of the week in English: `Monday`.", |t| t.weekday().into()),
        int("year", "Year.", |t| t.date.0.into()),
        int("month", "Month, 1 to 12.", |t| t.date.1.into()),
        int("day", "Day of the month, 1 to 31.", |t| t.date.2.into()),
        int("hour", "Hour, 0 to 23.", |t| t.clock().0.into()),
        int("minutes", "Minute, 0 to 59.", |t| t.clock().1.into()),
        int("seconds", "Second, 0 to 59.", |t| t.clock().2.into()),
        text("timezone", "The zone of the other columns: `UTC`.", |_| "UTC".into()),
        text(
            "local_timezone",
            "The machine's zone by its name, `Europe/Berlin`; osquery gives its abbreviation.",
            |t| t.local_zone().into(),
        ),
        int("unix_time", "Seconds since 1970.", |t| t.unix.into()),
        text("timestamp", "As asctime(3) writes it: `Mon Nov 23 20:36:00 2026 UTC`.", |t| t.ascii().into()),
        text("datetime", "As ISO 8601 writes it: `2026-11-23T20:36:00Z`.", |t| t.iso_8601().into()),
        text("iso_8601", "The same as datetime.", |t| t.iso_8601().into()),
        elsewhere_int("win_timestamp"),
    ],
    scan,
    examples: &["SELECT datetime, weekday FROM time", "SELECT hour BETWEEN 8 AND 17 AS office FROM time"],
};

pub(crate) struct Time {
    unix: i64,
    date: (i64, i64, i64),
    host: Host,
    run: Run,
}

impl Row for Time {}

fn scan(host: &Host, query: &Query) -> Result<Rows<Time>, ScanError> {
    let unix = query.run.now_unix();
    let time = Time { unix, date: date_of(unix.div_euclid(DAY)), host: host.clone(), run: query.run.clone() };
    Ok(Box::new(std::iter::once(Ok(time))))
}

/// Seconds in a day.
const DAY: i64 = 86400;

const WEEKDAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl Time {
    fn weekday(&self) -> &'static str {
        // 1 January 1970 was a Thursday.
        WEEKDAYS[self.unix.div_euclid(DAY).rem_euclid(7) as usize]
    }

    /// Hour, minute and second.
    fn clock(&self) -> (i64, i64, i64) {
        let second = self.unix.rem_euclid(DAY);
        (second / 3600, second / 60 % 60, second % 60)
    }

    fn ascii(&self) -> String {
        let ((year, month, day), (h, m, s)) = (self.date, self.clock());
        let (weekday, month) = (&self.weekday()[..3], MONTHS[(month - 1) as usize]);
        format!("{weekday} {month}{day:3} {h:02}:{m:02}:{s:02} {year} UTC")
    }

    fn iso_8601(&self) -> String {
        let ((year, month, day), (h, m, s)) = (self.date, self.clock());
        format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}Z")
    }

    /// From the link that localtime(5) asks for; a machine without one keeps UTC.
    fn local_zone(&self) -> Option<Vec<u8>> {
        let noted = |read| or_note(read, &self.run, TABLE.name, "local_timezone");
        match self.host.read_link("/etc/localtime") {
            Ok(target) => Some(zone_of(target.as_os_str().as_encoded_bytes())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(b"UTC".to_vec()),
            // A copy of a zone's file does not tell its name; Debian then keeps it here.
            Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => {
                noted(self.host.read_value("/etc/timezone"))
            }
            Err(error) => noted(Err(error)),
        }
    }
}

/// The zone's name in the path of its file.
fn zone_of(path: &[u8]) -> Vec<u8> {
    const DIRECTORY: &[u8] = b"zoneinfo/";
    let at = path.windows(DIRECTORY.len()).position(|window| window == DIRECTORY);
    match &path[at.map_or(0, |at| at + DIRECTORY.len())..] {
        b"Etc/UTC" => b"UTC".to_vec(),
        zone => zone.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(unix: i64) -> Time {
        let (host, run) = (Host::at("/nowhere"), Run::unlimited());
        Time { unix, date: date_of(unix.div_euclid(DAY)), host, run }
    }

    #[test]
    fn known_instants_are_written_right() {
        assert_eq!(at(1_795_466_160).ascii(), "Mon Nov 23 20:36:00 2026 UTC");
        assert_eq!(at(1_709_164_800).iso_8601(), "2024-02-29T00:00:00Z");
        assert_eq!(at(-1).iso_8601(), "1969-12-31T23:59:59Z");
        assert_eq!(at(0).ascii(), "Thu Jan  1 00:00:00 1970 UTC");
    }

    #[test]
    fn a_zone_is_named_as_its_file() {
        assert_eq!(zone_of(b"../usr/share/zoneinfo/Europe/Berlin"), b"Europe/Berlin");
        assert_eq!(zone_of(b"/usr/share/zoneinfo/Etc/UTC"), b"UTC");
        assert_eq!(at(0).local_zone().as_deref(), Some(&b"UTC"[..]));
    }
}
