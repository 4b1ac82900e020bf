//! The date functions, which read the statement's clock where SQLite's read the machine's.
//!
//! They are SQLite's own (lang_datefunc.html), called on another connection with the clock's time written in
//! place of every `now`. So one statement has one now, also when it runs over the past or over the samples
//! of a rule's tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use model::Value;
use rusqlite::types::ValueRef;

use super::call::{Call, Result};

/// What the date functions and CURRENT_TIMESTAMP call now. Clones are handles on the same clock.
#[derive(Clone, Debug)]
pub(crate) struct Clock(Arc<AtomicI64>);

impl Clock {
    /// A clock that stands at `now` until it is set again.
    pub(crate) fn new(now: SystemTime) -> Clock {
        let clock = Clock(Arc::default());
        clock.set(now);
        clock
    }

    /// Sets it, before a statement starts.
    pub(crate) fn set(&self, now: SystemTime) {
        let ms = match now.duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
        };
        self.0.store(ms, Ordering::Relaxed);
    }

    /// Milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// `date`, `time`, `datetime`, `julianday` and `unixepoch`: a time value and its modifiers.
pub(super) fn of_time(call: &Call<'_>) -> Result {
    delegate(call, call.name, 0..1)
}

/// `strftime`: a format, a time value and its modifiers.
pub(super) fn formatted(call: &Call<'_>) -> Result {
    // Without a format it is NULL, and no time value is filled in.
    let times = if call.len() == 0 { 0..0 } else { 1..2 };
    delegate(call, call.name, times)
}

/// `timediff`: two time values.
pub(super) fn difference(call: &Call<'_>) -> Result {
    delegate(call, call.name, 0..2)
}

/// `CURRENT_DATE`, also as a keyword.
pub(super) fn current_date(call: &Call<'_>) -> Result {
    delegate(call, "date", 0..1)
}

/// `CURRENT_TIME`, also as a keyword.
pub(super) fn current_time(call: &Call<'_>) -> Result {
    delegate(call, "time", 0..1)
}

/// `CURRENT_TIMESTAMP`, also as a keyword.
pub(super) fn current_timestamp(call: &Call<'_>) -> Result {
    delegate(call, "datetime", 0..1)
}

/// Calls SQLite's function with the arguments of the call, of which those at `times` are time values: what
/// means now in them, or is left out at the end, becomes the clock's time.
fn delegate(call: &Call<'_>, function: &str, times: std::ops::Range<usize>) -> Result {
    let mut arguments: Vec<ValueRef<'_>> = (0..call.len()).map(|argument| call.raw(argument)).collect();
    if arguments.len() == times.start && arguments.len() < times.end {
        arguments.push(ValueRef::Text(b"now"));
    }
    let means_now = |argument: &ValueRef<'_>| now(argument).is_some();
    let clock = match arguments.get(times.clone()) {
        Some(values) if values.iter().any(means_now) => written(call)?,
        _ => Value::Null,
    };
    let mut subsecond = false;
    for value in arguments.get_mut(times).unwrap_or_default() {
        if let Some(meaning) = now(value) {
            subsecond |= meaning == Now::Subsecond;
            *value = clock.as_text().map_or(ValueRef::Null, ValueRef::Text);
        }
    }
    // Last, since some modifiers have to stand first. `timediff` takes none, and counts milliseconds anyway.
    if subsecond && function != "timediff" {
        arguments.push(ValueRef::Text(b"subsec"));
    }
    let marks = vec!["?"; arguments.len()].join(", ");
    call.shared.select(&format!("SELECT {function}({marks})"), &arguments)
}

#[derive(Clone, Copy, PartialEq)]
enum Now {
    Plain,
    Subsecond,
}

/// Whether SQLite takes a time value for the machine's time. It reads texts and blobs up to a NUL.
fn now(value: &ValueRef<'_>) -> Option<Now> {
    let (ValueRef::Text(bytes) | ValueRef::Blob(bytes)) = value else { return None };
    let word = bytes.split(|b| *b == 0).next()?;
    let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    match () {
        () if is("now") => Some(Now::Plain),
        () if is("subsec") || is("subsecond") => Some(Now::Subsecond),
        () => None,
    }
}

/// The clock's time as a time value; NULL in years of which SQLite knows no dates.
fn written(call: &Call<'_>) -> Result {
    // The `Z` makes it UTC for the modifiers `utc` and `localtime`, as SQLite's own now is.
    const SQL: &str = "SELECT strftime('%Y-%m-%dT%H:%M:%fZ', ? / 1000.0, 'unixepoch')";
    call.shared.select(SQL, &[ValueRef::Integer(call.shared.clock.now_ms())])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use rusqlite::Connection;

    use super::super::testing::{NOW_MS, check, connection, shown};
    use super::*;

    const FUNCTIONS: [&str; 5] = ["date", "time", "datetime", "julianday", "unixepoch"];

    #[test]
    fn now_is_the_clock_however_it_is_said() {
        let datetime = "'2024-02-29 12:34:56'";
        check(&[
            ("datetime()", datetime),
            ("datetime('now')", datetime),
            ("DateTime('NOW')", datetime),
            ("datetime(x'6e6f77')", datetime),
            (r"datetime('now' || char(0) || 'x')", datetime),
            ("datetime('subsec')", "'2024-02-29 12:34:56.789'"),
            ("datetime('now', 'subsecond')", "'2024-02-29 12:34:56.789'"),
            ("datetime('subsec', 'auto', '+1 day')", "'2024-03-01 12:34:56.789'"),
            ("date()", "'2024-02-29'"),
            ("time()", "'12:34:56'"),
            ("date('now', 'start of month', '-1 day')", "'2024-01-31'"),
            ("unixepoch()", "1709210096"),
            ("unixepoch('now', 'subsec')", "1709210096.789"),
            ("round(julianday(), 6)", "2460370.024268"),
            ("strftime('%s')", "'1709210096'"),
            ("strftime('%Y-%m-%d %H:%M:%f', 'now')", "'2024-02-29 12:34:56.789'"),
            ("timediff('now', '2024-02-28')", "'+0000-00-01 12:34:56.789'"),
            ("timediff('2024-02-28', 'subsec')", "'-0000-00-01 12:34:56.789'"),
            // UTC already.
            ("datetime('now', 'utc')", datetime),
            ("strftime()", "NULL"),
            ("datetime(NULL)", "NULL"),
            ("datetime('now', NULL)", "NULL"),
            ("datetime(' now')", "NULL"),
            ("datetime('now', 'unixepoch')", "NULL"),
        ]);
    }

    #[test]
    fn the_keywords_are_the_clock_too() {
        let (conn, clock) = connection();
        let sql = "SELECT CURRENT_TIMESTAMP || ' ' || current_date || ' ' || Current_Time";
        assert_eq!(shown(&conn, sql), "'2024-02-29 12:34:56 2024-02-29 12:34:56'");
        clock.set(UNIX_EPOCH);
        assert_eq!(shown(&conn, sql), "'1970-01-01 00:00:00 1970-01-01 00:00:00'");
    }

    #[test]
    fn a_statement_that_is_run_again_sees_the_clock_set_again() {
        let (conn, clock) = connection();
        let mut statement =
            conn.prepare("SELECT unixepoch('now'), unixepoch() FROM json_each('[1,2]')").unwrap();
        for second in [5i64, 1_000_000_000] {
            clock.set(UNIX_EPOCH + Duration::from_secs(second.unsigned_abs()));
            let mut rows = statement.query([]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                assert_eq!((row.get(0).unwrap(), row.get(1).unwrap()), (second, second));
            }
        }
    }

    #[test]
    fn without_the_clock_set_apart_now_is_what_sqlite_says() {
        let (conn, clock) = connection();
        let plain = Connection::open_in_memory().unwrap();
        clock.set(SystemTime::now());
        let days =
            |conn: &Connection| conn.query_row("SELECT julianday()", [], |row| row.get::<_, f64>(0)).unwrap();
        assert!((days(&conn) - days(&plain)).abs() < 60.0 / 86400.0);
    }

    #[test]
    fn a_clock_beyond_sqlites_dates_is_null() {
        let (conn, clock) = connection();
        for ms in [i64::MIN, i64::MAX, 253_402_300_800_000] {
            clock.0.store(ms, Ordering::Relaxed);
            assert_eq!(shown(&conn, "SELECT datetime()"), "NULL", "{ms}");
        }
        clock.set(UNIX_EPOCH - Duration::from_millis(1));
        assert_eq!(clock.now_ms(), -1);
        assert_eq!(shown(&conn, "SELECT datetime('subsec')"), "'1969-12-31 23:59:59.999'");
        assert_eq!(NOW_MS % 1000, 789);
    }

    fn modifier() -> impl Strategy<Value = String> {
        const WORDS: &[&str] = &[
            "start of month",
            "start of year",
            "start of day",
            "weekday 0",
            "weekday 6",
            "subsec",
            "auto",
            "julianday",
            "unixepoch",
            "floor",
            "ceiling",
            "localtime",
            "utc",
            "nonsense",
            "",
        ];
        prop_oneof![
            prop::sample::select(WORDS).prop_map(str::to_owned),
            ("[+-]?", 0..2000, "(\\.[0-9]{1,3})?", "(day|hour|minute|second|month|year)s?")
                .prop_map(|(sign, n, fraction, unit)| format!("{sign}{n}{fraction} {unit}")),
            "[+-][0-9]{2}:[0-9]{2}(:[0-9]{2}(\\.[0-9]{3})?)?",
            "[+-][0-9]{4}-[0-9]{2}-[0-9]{2}",
        ]
    }

    /// A time value as SQL: a date as text, a number, or anything.
    fn time() -> impl Strategy<Value = String> {
        prop_oneof![
            "'[0-9]{4}-[0-1][0-9]-[0-3][0-9]([T ][0-2][0-9]:[0-5][0-9](:[0-5][0-9](\\.[0-9]{1,4})?)?(Z|[+-]0[0-9]:30)?)?'",
            any::<i32>().prop_map(|n| n.to_string()),
            (-1e7..1e12).prop_map(|x| format!("{x:e}")),
            "'[ -&(-~]{0,12}'",
            "x'([0-9a-f]{2}){0,4}'",
            Just("NULL".to_owned()),
        ]
        .prop_filter("means now", |sql| !sql.eq_ignore_ascii_case("'now'"))
    }

    proptest! {
        #[test]
        fn times_that_are_given_are_what_sqlite_makes_of_them(
            function in prop::sample::select(&FUNCTIONS[..]),
            time in time(),
            other in time(),
            modifiers in prop::collection::vec(modifier(), 0..3),
            format in "[ -&(-~]{0,4}(%[a-zA-Z%]){0,3}",
        ) {
            let (conn, _) = connection();
            let plain = Connection::open_in_memory().unwrap();
            let modifiers: String = modifiers.iter().map(|m| format!(", '{m}'")).collect();
            for sql in [
                format!("SELECT {function}({time}{modifiers})"),
                format!("SELECT strftime('{format}', {time}{modifiers})"),
                format!("SELECT timediff({time}, {other})"),
            ] {
                prop_assert_eq!(shown(&conn, &sql), shown(&plain, &sql), "{}", sql);
            }
        }

        #[test]
        fn now_is_what_sqlite_makes_of_the_same_instant(
            function in prop::sample::select(&FUNCTIONS[..]),
            ms in -62_167_219_200_000i64..253_402_300_799_999,
            modifiers in prop::collection::vec(modifier(), 0..3),
        ) {
            // What these do depends on how the time was written.
            let of_writing = ["auto", "julianday", "unixepoch", "utc"];
            let modifiers = modifiers.iter().filter(|m| !of_writing.contains(&m.as_str()));
            let (conn, clock) = connection();
            clock.0.store(ms, Ordering::Relaxed);
            let plain = Connection::open_in_memory().unwrap();
            let modifiers: String = modifiers.map(|m| format!(", '{m}'")).collect();
            prop_assert_eq!(
                shown(&conn, &format!("SELECT {function}('now'{modifiers})")),
                shown(&plain, &format!("SELECT {function}({ms} / 1000.0, 'unixepoch'{modifiers})"))
            );
        }
    }
}
