//! `health`: how the agent's parts are.

use vtables::Options;

use crate::exit::Exit;
use crate::machine::Source;
use crate::render::Format;
use crate::session::Session;
use crate::settings::Settings;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How the parts are printed [default: `cli.format` of the settings, else table]
    #[arg(long, value_enum)]
    format: Option<Format>,
}

pub(crate) fn run(args: &Args, source: &Source, settings: &Settings) -> anyhow::Result<Exit> {
    // Health is of an agent that runs; its files say nothing of it.
    drop(source.agent()?);
    let mut session = Session::new(source.engine(vtables::Limits::default())?, false, true);
    session.format = args.format.unwrap_or(settings.format.value);
    if let Err(exit) = session.sql(
        "SELECT part, iif(healthy, 'works', 'has a problem') AS is_so, datetime(since, 'unixepoch') AS since, detail \
         FROM agent_health ORDER BY part",
    ) {
        return Ok(exit);
    }
    let ill =
        session.engine.query("SELECT 1 FROM agent_health WHERE healthy = 0 LIMIT 1", &Options::default())?;
    Ok(if ill.rows.is_empty() { Exit::Done } else { Exit::Failed })
}
