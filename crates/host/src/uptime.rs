//! `uptime`: from `/proc/uptime` (proc_uptime(5)).

use collector::{Host, Row, Rows, Table, int, or_note, unique};
use model::{Extent, Query, ScanError};

pub(crate) static TABLE: Table<Uptime, Host> = Table {
    name: "uptime",
    about: "How long the machine has been up; one row.",
    identity: unique(&[]),
    extent: Extent::Whole { rows: 1 },
    columns: &[
        int("days", "Whole days.", |u| (u.0 / 86400).into()),
        int("hours", "Hours past the days, 0 to 23.", |u| (u.0 / 3600 % 24).into()),
        int("minutes", "Minutes past the hours, 0 to 59.", |u| (u.0 / 60 % 60).into()),
        int("seconds", "Seconds past the minutes, 0 to 59.", |u| (u.0 % 60).into()),
        int("total_seconds", "All of it in seconds, suspended time included.", |u| u.0.into()),
    ],
    scan,
    examples: &["SELECT days, hours FROM uptime"],
};

/// Whole seconds since boot.
pub(crate) struct Uptime(i64);

impl Row for Uptime {}

fn scan(host: &Host, query: &Query) -> Result<Rows<Uptime>, ScanError> {
    let content = or_note(host.read_text("/proc/uptime"), &query.run, TABLE.name, "");
    Ok(Box::new(content.as_deref().and_then(parse).map(Ok).into_iter()))
}

fn parse(content: &str) -> Option<Uptime> {
    let (seconds, _hundredths) = content.split_once('.')?;
    seconds.parse().ok().map(Uptime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_number_is_cut_to_whole_seconds() {
        assert_eq!(parse("350735.47 234388.90\n").unwrap().0, 350_735);
        assert!(parse("").is_none());
    }
}
