//! `validate`: a statement checked and not run.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::bail;
use vtables::{Engine, Limits, Validated};

use crate::exit::Exit;
use crate::given::Sql;
use crate::machine::Source;
use crate::script::{self, Piece};
use crate::{clean, say};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The statement, or - for a script on standard input
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    sql: Option<String>,
    /// Read a script: statements with `;` between them
    #[arg(long, value_name = "F")]
    file: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, source: &Source) -> anyhow::Result<Exit> {
    let sql = match Sql::read(args.sql.as_deref(), args.file.as_deref()) {
        Ok(sql) => sql,
        Err(error) => bail!(crate::Usage(error)),
    };
    let mut engine = source.engine(Limits::default())?;
    let statements = match sql {
        Sql::Argument(sql) => vec![sql],
        Sql::Script(text) => script::pieces(&text).into_iter().filter_map(statement).collect(),
    };
    let mut exit = Exit::Done;
    for sql in statements {
        if let Err(failed) = check(&mut engine, &sql)? {
            exit = failed;
        }
    }
    Ok(exit)
}

/// Dot commands have nothing to check.
fn statement(piece: Piece) -> Option<String> {
    match piece {
        Piece::Sql(sql) => Some(sql),
        Piece::Dot(_) => None,
    }
}

fn check(engine: &mut Engine, sql: &str) -> io::Result<Result<(), Exit>> {
    match engine.validate(sql) {
        Ok(validated) => {
            io::stdout().lock().write_all(text(&validated).as_bytes())?;
            say::warnings(sql, &validated.warnings);
            Ok(Ok(()))
        }
        Err(error) => {
            say::sql_error(sql, &error);
            Ok(Err(Exit::of(&error)))
        }
    }
}

fn text(validated: &Validated) -> String {
    let column = |column: &vtables::OutputColumn| match &column.declared {
        Some(declared) => format!("{} {declared}", column.name),
        None => column.name.clone(),
    };
    let columns: Vec<String> = validated.columns.iter().map(column).collect();
    let mut text = String::from("ok\n");
    for (what, words) in
        [("columns", &columns), ("tables", &validated.tables), ("parameters", &validated.params)]
    {
        if !words.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{what:<11} {}", clean::line(&words.join(", ")));
        }
    }
    text
}
