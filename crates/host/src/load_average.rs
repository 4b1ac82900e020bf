//! `load_average`: from `/proc/loadavg` (proc_loadavg(5)).

use collector::{Host, Row, Rows, Table, or_note, text, unique};
use model::{Extent, Query, ScanError};

pub(crate) static TABLE: Table<Load, Host> = Table {
    name: "load_average",
    about: "Tasks that ran or waited for a processor or a disk, on average.",
    identity: unique(&["period"]),
    extent: Extent::Whole { rows: 3 },
    columns: &[
        text("period", "The time that the average looks back on: `1m`, `5m` or `15m`.", |l| l.period.into()),
        text("average", "The average as text with six decimals, as in osquery.", |l| {
            format!("{:.6}", l.average).into()
        }),
    ],
    scan,
    examples: &["SELECT average FROM load_average WHERE period = '1m'"],
};

pub(crate) struct Load {
    period: &'static str,
    average: f64,
}

impl Row for Load {}

fn scan(host: &Host, query: &Query) -> Result<Rows<Load>, ScanError> {
    let content = or_note(host.read_text("/proc/loadavg"), &query.run, TABLE.name, "").unwrap_or_default();
    Ok(Box::new(parse(&content).into_iter().map(Ok)))
}

fn parse(content: &str) -> Vec<Load> {
    let averages = content.split_ascii_whitespace().map_while(|word| word.parse().ok());
    ["1m", "5m", "15m"].into_iter().zip(averages).map(|(period, average)| Load { period, average }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_periods_are_told_apart() {
        let loads = parse("0.20 0.18 10.12 1/80 11206\n");
        let read: Vec<_> = loads.iter().map(|l| (l.period, l.average)).collect();
        assert_eq!(read, [("1m", 0.20), ("5m", 0.18), ("15m", 10.12)]);
        assert!(parse("").is_empty());
    }
}
