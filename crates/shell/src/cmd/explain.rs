//! `explain`: what a statement did, table by table. The JSON is what tests read.

use std::fmt::Write as _;
use std::io::{self, Write};

use clap::ValueEnum;
use model::Value;
use serde_json::json;
use vtables::{Engine, Options, OutputColumn, Report, Sink, SqlError, TableReport, human_duration};

use super::query::Statement;
use crate::exit::Exit;
use crate::machine::Source;
use crate::settings::Settings;
use crate::{clean, paint, run, say};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The statement
    sql: String,
    /// How the report is printed
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    #[command(flatten)]
    statement: Statement,
}

/// How a report is printed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Human,
    /// One object
    Json,
}

pub(crate) fn run(args: Args, source: &Source, settings: &Settings) -> anyhow::Result<Exit> {
    let mut session = args.statement.session(source, settings)?;
    let options = session.options(&args.sql);
    let report = match report(&mut session.engine, &args.sql, options) {
        Ok(report) => report,
        Err(error) => {
            say::sql_error(&args.sql, &error);
            return Ok(Exit::of(&error));
        }
    };
    let text = match args.format {
        Format::Human => human(&report, session.look().colours),
        Format::Json => format!("{:#}\n", json(&report)),
    };
    say::warnings(&args.sql, &report.warnings);
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(Exit::Done)
}

/// Runs a statement for its report.
pub(crate) fn report(engine: &mut Engine, sql: &str, options: Options) -> Result<Report, SqlError> {
    run::into_sink(engine, sql, &Options { timed: true, ..options }, &mut Discard)
}

struct Discard;

impl Sink for Discard {
    fn columns(&mut self, _: &[OutputColumn]) -> io::Result<()> {
        Ok(())
    }

    fn row(&mut self, _: &[Value<'_>]) -> io::Result<()> {
        Ok(())
    }
}

fn json(report: &Report) -> serde_json::Value {
    let note = |note: &model::Note| json!({ "table": note.table, "column": note.column, "reason": note.reason, "count": note.count });
    let warning = |warning: &vtables::Warning| {
        let place = warning.place.as_ref().map(|place| [place.start, place.end]);
        json!({ "message": warning.message, "place": place, "help": warning.help })
    };
    json!({
        "rows": report.rows,
        "elapsed_us": u64::try_from(report.elapsed.as_micros()).unwrap_or(u64::MAX),
        "memory_bytes": report.memory_bytes,
        "tables": report.tables,
        "notes": report.notes.iter().map(note).collect::<Vec<_>>(),
        "warnings": report.warnings.iter().map(warning).collect::<Vec<_>>(),
    })
}

/// A report for people.
pub(crate) fn human(report: &Report, colours: bool) -> String {
    let mut text = String::new();
    for table in &report.tables {
        push_table(table, colours, &mut text);
    }
    let plural = |n: u64| if n == 1 { "" } else { "s" };
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{} row{} in {}, {} bytes kept",
        report.rows,
        plural(report.rows),
        human_duration(report.elapsed),
        report.memory_bytes
    );
    for note in say::note_lines(&report.notes, usize::MAX) {
        let _ = writeln!(text, "{}", paint::styled_if(colours, paint::FAINT, &format!("note: {note}")));
    }
    text
}

fn push_table(table: &TableReport, colours: bool, text: &mut String) {
    let list = |words: &[String]| match words {
        [] => None,
        words => Some(clean::line(&words.join(", ")).into_owned()),
    };
    let plural = |n: u64| if n == 1 { "" } else { "s" };
    let kept = table.rows_kept.map_or("?".to_owned(), |kept| kept.to_string());
    let lines = [
        ("pushed down", list(&table.pushed)),
        ("looked up", list(&table.looked_up)),
        ("scans", Some(format!("{}, {} of the table itself", table.scans, table.collections))),
        (
            "collected",
            table.columns_sent.as_ref().map(|_| {
                format!("{} row{} sent by the collector", table.rows_collected, plural(table.rows_collected))
            }),
        ),
        ("sent", table.columns_sent.as_deref().and_then(list)),
        ("rows", Some(format!("{} produced, {kept} kept", table.rows_produced))),
        ("columns", list(&table.columns)),
        ("time", Some(human_duration(table.time))),
    ];
    let name = paint::styled_if(colours, paint::HEADING, &clean::line(&table.table));
    let rows = match table.rows_were {
        "" => "not read".to_owned(),
        how => format!("{how} row{}", plural(table.rows_produced)),
    };
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{name}  from {}, {rows}", table.route);
    for (what, value) in lines {
        if let Some(value) = value {
            let what = paint::styled_if(colours, paint::FAINT, &format!("{what:<12}"));
            let _ = writeln!(text, "  {what} {value}");
        }
    }
    text.push('\n');
}
