//! `rules`: those of the agent, and rule files.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use detection::{Pack, RuleLimits};
use vtables::Limits;

use super::alerts::{CHANGE_TIME_MAX, engine};
use crate::exit::Exit;
use crate::machine::Source;
use crate::render::Format;
use crate::session::Session;
use crate::settings::Settings;
use crate::{clean, say};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List the agent's rules and how each fares
    List {
        /// How they are printed [default: `cli.format` of the settings, else table]
        #[arg(long, value_enum)]
        format: Option<Format>,
    },
    /// Tell all about one rule
    Show {
        /// Its id
        id: String,
    },
    /// Check rule files and run their tests
    Validate {
        /// A directory of rules, or one rule file
        path: PathBuf,
    },
    /// Run the tests of rule files and list each; a rule is refused where one fails
    Test {
        /// A directory of rules, or one rule file [default: the rules that come with the program]
        path: Option<PathBuf>,
    },
    /// Let a rule run
    Enable(Switch),
    /// Let a rule run no more
    Disable(Switch),
    /// Load the agent's rules again
    Reload,
}

#[derive(clap::Args)]
struct Switch {
    /// The rule's id
    id: String,
    /// Why, for the record
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

pub(crate) fn run(args: Args, source: &Source, settings: &Settings) -> anyhow::Result<Exit> {
    match args.command {
        Command::List { format } => sql(
            "SELECT id, status, enabled, severity, interval, runs, average_ms, alerts, failures, over_budget, error \
             FROM rules ORDER BY status DESC, id",
            format.unwrap_or(settings.format.value),
            None,
            source,
        ),
        Command::Show { id } => sql(
            "SELECT id, title, severity, status, enabled, interval, version, path, tags, description, sql, \
             datetime(last_run, 'unixepoch') AS last_run, runs, average_ms, findings, alerts, failures, over_budget, \
             error FROM rules WHERE id = :id",
            Format::Line,
            Some(id),
            source,
        ),
        Command::Validate { path } => validate(&path, source),
        Command::Test { path } => test(path.as_deref(), source),
        Command::Enable(switch) => {
            act("rule.enable", &[("id", &switch.id), ("reason", &switch.reason)], source)
        }
        Command::Disable(switch) => {
            act("rule.disable", &[("id", &switch.id), ("reason", &switch.reason)], source)
        }
        Command::Reload => act("rules.reload", &[], source),
    }
}

fn sql(sql: &str, format: Format, id: Option<String>, source: &Source) -> anyhow::Result<Exit> {
    let mut session = Session::new(engine(source)?, false, true);
    session.format = format;
    let wanted = id.clone();
    session.params.extend(id.map(|id| ("id".to_owned(), id.into())));
    Ok(match session.sql(sql) {
        Ok(report) if report.rows == 0 && wanted.is_some() => {
            say::error(&format!("there is no rule `{}`: see `rules list`", wanted.unwrap_or_default()));
            Exit::Failed
        }
        Ok(_) => Exit::Done,
        Err(exit) => exit,
    })
}

pub(crate) fn act(verb: &str, arguments: &[(&str, &str)], source: &Source) -> anyhow::Result<Exit> {
    Ok(match source.agent()?.act(verb, arguments, CHANGE_TIME_MAX)? {
        Ok(said) => {
            writeln!(io::stdout().lock(), "{}", clean::line(&said))?;
            Exit::Done
        }
        Err(why) => {
            say::error(&why);
            Exit::Failed
        }
    })
}

/// The rules of a directory or file, else those that come with the program. What is wrong with them is told.
fn pack(path: Option<&Path>, source: &Source) -> anyhow::Result<Pack> {
    let mut engine = source.engine(Limits::default())?;
    let limits = RuleLimits::default();
    let pack = match path.map(|path| Pack::load(path, &mut engine, &limits)) {
        None => Pack::shipped(&mut engine, &limits),
        Some(Ok(pack)) => pack,
        Some(Err(error)) => anyhow::bail!(crate::Usage(error.into())),
    };
    pack.faults.iter().for_each(|fault| say::rule_fault(fault, true));
    pack.warnings.iter().for_each(|warning| say::rule_fault(warning, false));
    Ok(pack)
}

fn validate(path: &Path, source: &Source) -> anyhow::Result<Exit> {
    conclude(&pack(Some(path), source)?, "hold and pass their tests")
}

fn test(path: Option<&Path>, source: &Source) -> anyhow::Result<Exit> {
    let pack = pack(path, source)?;
    let mut out = String::new();
    for (rule, tests) in pack.rules.iter().zip(&pack.tests) {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}", rule.id);
        tests.iter().for_each(|name| {
            let _ = writeln!(out, "  ok  {}", clean::line(name));
        });
    }
    io::stdout().lock().write_all(out.as_bytes())?;
    conclude(&pack, &format!("pass {} tests", pack.tests.iter().map(Vec::len).sum::<usize>()))
}

fn conclude(pack: &Pack, what: &str) -> anyhow::Result<Exit> {
    let files: std::collections::BTreeSet<_> = pack.faults.iter().map(|fault| &fault.path).collect();
    let (good, bad) = (pack.rules.len(), files.len());
    let files = if bad == 1 { "file is" } else { "files are" };
    writeln!(io::stdout().lock(), "{good} rules {what}; {bad} {files} refused")?;
    Ok(if pack.faults.is_empty() { Exit::Done } else { Exit::Failed })
}
