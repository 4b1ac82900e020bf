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

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{anyhow, bail};
use clap::{Parser, Subcommand};

use crate::exit::Exit;
use crate::machine::Source;
use crate::settings;

/// Ask this machine in SQL.
///
/// Without a command: an interactive shell on a terminal, and otherwise the statements and dot commands that
/// standard input gives.
///
/// Tables that a collector serves are read by it, as procmond does with more rights than yours. Where none runs, and
/// for all other tables, this process reads the machine itself.
///
/// Settings come from /etc/daemoneye/config.yaml, then $XDG_CONFIG_HOME/daemoneye/config.yaml, then DAEMONEYE_* in the
/// environment, as those of daemoneye-agent do: where that is set up to be, it is asked. Options win over all of them;
/// --show-config lists the settings with where each came from.
#[derive(Parser)]
#[command(name = "daemoneye-cli", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    source: Source,
    /// Read this configuration in place of the system's and the user's
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// List every setting with where it came from, and end
    #[arg(long)]
    show_config: bool,
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
        if let Some(Command::Completions(args)) = &self.command {
            return completions::run(args);
        }
        let settings = settings::read(self.config.as_deref(), self.source.is_here())?;
        if self.show_config {
            if self.command.is_some() {
                bail!(crate::Usage(anyhow!("--show-config stands without a command")));
            }
            let shown = self.source.shown_in(settings).shown();
            io::stdout().lock().write_all(shown.as_bytes())?;
            return Ok(Exit::Done);
        }
        let source = self.source.configured(&settings);
        match self.command {
            None => interactive::run(&source, &settings),
            Some(Command::Query(args)) => query::run(args, &source, &settings),
            Some(Command::Explain(args)) => explain::run(args, &source, &settings),
            Some(Command::Detect(args)) => detect::run(&args, &source),
            Some(Command::Alerts(args)) => alerts::run(args, &source, &settings),
            Some(Command::Audit(args)) => audit::run(args, &source),
            Some(Command::Rules(args)) => rules::run(args, &source, &settings),
            Some(Command::Health(args)) => health::run(&args, &source, &settings),
            Some(Command::Validate(args)) => validate::run(&args, &source),
            Some(Command::Tables(args)) => tables::run(&args, &source),
            Some(Command::Schema(args)) => schema::run(&args, &source),
            Some(Command::Completions(args)) => completions::run(&args),
        }
    }
}
