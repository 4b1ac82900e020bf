//! The subcommands: one file each.

pub(crate) mod alerts;
pub(crate) mod audit;
pub(crate) mod completions;
pub(crate) mod detect;
pub(crate) mod explain;
pub(crate) mod health;
pub(crate) mod interactive;
pub(crate) mod query;
pub(crate) mod rules;
pub(crate) mod schema;
pub(crate) mod tables;
pub(crate) mod validate;

use clap::{Parser, Subcommand};

use crate::exit::Exit;
use crate::machine::Source;

/// Ask this machine in SQL.
///
/// Without a command: an interactive shell on a terminal, and otherwise the statements and dot commands that
/// standard input gives.
///
/// Tables that a collector serves are read by it, as procmond does with more rights than yours. Where none runs, and
/// for all other tables, this process reads the machine itself.
#[derive(Parser)]
#[command(name = "daemoneye-cli", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    source: Source,
    #[command(subcommand)]
    command: Option<Command>,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 ran and failed or found something, 2 wrong usage or refused SQL, 3 a collector cannot be \
reached, 4 timed out, 130 stopped with Ctrl-C. A script goes on after an error and ends with the code of its first.";

#[derive(Subcommand)]
enum Command {
    /// Run SQL and print its rows
    Query(query::Args),
    /// Run a statement and tell how it read its tables
    Explain(explain::Args),
    /// Evaluate detection rules on this machine; exit code 1 if they found anything
    Detect(detect::Args),
    /// List alerts, tell about one, or say what is done about it
    Alerts(alerts::Args),
    /// List rules, tell about one, check rule files, or switch a rule of the agent
    Rules(rules::Args),
    /// Verify the audit ledger, prove an entry, sign a checkpoint, show the key
    Audit(audit::Args),
    /// Tell how the agent's parts are; exit code 1 if one has a problem
    Health(health::Args),
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
            None => interactive::run(&self.source),
            Some(Command::Query(args)) => query::run(args, &self.source),
            Some(Command::Explain(args)) => explain::run(args, &self.source),
            Some(Command::Detect(args)) => detect::run(&args, &self.source),
            Some(Command::Alerts(args)) => alerts::run(args, &self.source),
            Some(Command::Audit(args)) => audit::run(args, &self.source),
            Some(Command::Rules(args)) => rules::run(args, &self.source),
            Some(Command::Health(args)) => health::run(&args, &self.source),
            Some(Command::Validate(args)) => validate::run(&args, &self.source),
            Some(Command::Tables(args)) => tables::run(&args, &self.source),
            Some(Command::Schema(args)) => schema::run(&args, &self.source),
            Some(Command::Completions(args)) => completions::run(&args),
        }
    }
}
