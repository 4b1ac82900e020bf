//! The subcommands: one file each.

pub(crate) mod completions;
pub(crate) mod detect;
pub(crate) mod explain;
pub(crate) mod interactive;
pub(crate) mod query;
pub(crate) mod schema;
pub(crate) mod tables;
pub(crate) mod validate;

use clap::{Parser, Subcommand};

use crate::exit::Exit;

/// Ask this machine in SQL.
///
/// Without a command: an interactive shell on a terminal, and otherwise the statements and dot commands that
/// standard input gives.
#[derive(Parser)]
#[command(name = "daemoneye-cli", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 ran and failed or found something, 2 wrong usage or refused SQL, 4 timed out, 130 stopped \
with Ctrl-C. A script goes on after an error and ends with the code of its first.";

#[derive(Subcommand)]
enum Command {
    /// Run SQL and print its rows
    Query(query::Args),
    /// Run a statement and tell how it read its tables
    Explain(explain::Args),
    /// Evaluate detection rules on this machine; exit code 1 if they found anything
    Detect(detect::Args),
    /// Check a statement without running it
    Validate(validate::Args),
    /// List the tables, or tell about one
    Tables(tables::Args),
    /// Print tables as CREATE TABLE, with what each column means
    Schema(schema::Args),
    /// Print completions for a shell
    Completions(completions::Args),
}

impl Cli {
    /// Does what was asked.
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        match self.command {
            None => interactive::run(),
            Some(Command::Query(args)) => query::run(args),
            Some(Command::Explain(args)) => explain::run(args),
            Some(Command::Detect(args)) => detect::run(&args),
            Some(Command::Validate(args)) => validate::run(&args),
            Some(Command::Tables(args)) => tables::run(&args),
            Some(Command::Schema(args)) => schema::run(&args),
            Some(Command::Completions(args)) => completions::run(&args),
        }
    }
}
