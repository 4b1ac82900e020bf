//! `query`: SQL in, rows out.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use vtables::Limits;

use crate::exit::Exit;
use crate::given::{self, Param, Sql};
use crate::interrupt::{self, Scope};
use crate::machine::Source;
use crate::render::Format;
use crate::session::Session;
use crate::settings::{self, Settings};

const AFTER_HELP: &str = "\
JSON is typed: integers keep all their digits, NULL is null, text that is not UTF-8 and blobs are
{\"base64\": \"…\"}. Of several columns with one name the second is `name:1`, the third `name:2`.
When a statement fails, the array of `json` stays open; each line of `ndjson` stands alone.
--file and - run all statements of a script, also after one fails; an argument is one statement.";

#[derive(clap::Args)]
#[command(after_long_help = AFTER_HELP, after_help = "--help tells more about JSON and scripts.")]
pub(crate) struct Args {
    /// The statement, or - for a script on standard input
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    sql: Option<String>,
    /// Read a script: statements with `;` between them, and dot commands
    #[arg(long, value_name = "F")]
    file: Option<PathBuf>,
    /// How rows are printed [default: `cli.format` of the settings, else table]
    #[arg(long, value_enum)]
    format: Option<Format>,
    #[command(flatten)]
    statement: Statement,
    /// Leave out notes and warnings
    #[arg(long)]
    quiet: bool,
}

/// What every command that runs a statement takes.
#[derive(clap::Args)]
pub(crate) struct Statement {
    /// Give a value to :name, as a number, null, 'quoted text' or any other text
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = given::param_argument())]
    params: Vec<Param>,
    /// End a statement that takes longer: 10s, 500ms, 2m, none [default: `cli.timeout` of the settings, else 30s]
    #[arg(long, value_name = "DURATION", value_parser = given::timeout)]
    timeout: Option<Timeout>,
    /// End a statement that gives more rows [default: `cli.max_rows` of the settings, else 10000000]
    #[arg(long, value_name = "N")]
    max_rows: Option<u64>,
}

/// An alias, since clap reads a bare `Option` as an optional argument.
type Timeout = std::option::Option<Duration>;

impl Statement {
    /// A session with these parameters and limits, which Ctrl-C ends.
    pub(crate) fn session(self, source: &Source, settings: &Settings) -> anyhow::Result<Session> {
        let usual = settings::limits(settings);
        let limits = Limits {
            timeout: self.timeout.unwrap_or(usual.timeout),
            rows_max: self.max_rows.unwrap_or(usual.rows_max),
            ..usual
        };
        let engine = source.engine(limits)?;
        interrupt::listen(engine.canceller(), Scope::Program)?;
        let mut session = Session::new(engine, false, true);
        session.params = self.params.into_iter().map(|p| (p.name, p.value)).collect();
        Ok(session)
    }
}

pub(crate) fn run(args: Args, source: &Source, settings: &Settings) -> anyhow::Result<Exit> {
    let mut session = args.statement.session(source, settings)?;
    session.format = args.format.unwrap_or(settings.format.value);
    session.quiet = args.quiet;
    let sql = match Sql::read(args.sql.as_deref(), args.file.as_deref()) {
        Ok(sql) => sql,
        Err(error) => bail!(crate::Usage(error)),
    };
    Ok(match sql {
        Sql::Argument(sql) => session.sql(&sql).err(),
        Sql::Script(text) => session.script(&text).err(),
    }
    .unwrap_or(Exit::Done))
}
