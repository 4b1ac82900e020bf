//! One statement, from its text to its printed rows.

use std::io;

use model::Value;
use vtables::{Engine, ErrorKind, Options, OutputColumn, Report, Sink, SqlError};

use crate::exit::Exit;
use crate::output::Output;
use crate::panics;
use crate::render::{Format, Look, Printer};
use crate::say;

/// How a result is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Show {
    pub(crate) format: Format,
    pub(crate) look: Look,
    /// Leave out notes and warnings.
    pub(crate) quiet: bool,
}

/// Runs a statement and prints its rows; tells of its warnings, its notes and its error.
pub(crate) fn statement(
    engine: &mut Engine,
    sql: &str,
    options: &Options,
    show: Show,
    out: &mut dyn Output,
) -> Result<Report, Exit> {
    let mut printer = Printer::new(show.format, show.look, out);
    let ran = into_sink(engine, sql, options, &mut printer);
    let printed = match &ran {
        Ok(_) => printer.end(),
        Err(_) => printer.abandon(),
    };
    let printed = printed.and(out.done());
    let ran = ran.and_then(|report| match printed {
        Ok(()) => Ok(report),
        Err(error) => Err(SqlError::new(ErrorKind::Output(error.kind()), error.to_string())),
    });
    match ran {
        Ok(report) => {
            if !show.quiet {
                say::warnings(sql, &report.warnings);
                say::notes(&report.notes);
            }
            Ok(report)
        }
        Err(error) => {
            say::sql_error(sql, &error);
            Err(Exit::of(&error))
        }
    }
}

/// Runs a statement into a sink, with panics in tables kept quiet.
pub(crate) fn into_sink(
    engine: &mut Engine,
    sql: &str,
    options: &Options,
    sink: &mut dyn Sink,
) -> Result<Report, SqlError> {
    panics::in_tables(|| engine.run(sql, options, &mut Outside(sink)))
}

/// A sink whose own code is not a table's.
struct Outside<'s>(&'s mut dyn Sink);

impl Sink for Outside<'_> {
    fn columns(&mut self, columns: &[OutputColumn]) -> io::Result<()> {
        panics::outside_tables(|| self.0.columns(columns))
    }

    fn row(&mut self, values: &[Value<'_>]) -> io::Result<()> {
        panics::outside_tables(|| self.0.row(values))
    }
}
