//! `health`: how the agent's parts are.

use vtables::Options;

use crate::exit::Exit;
use crate::machine::Source;
use crate::render::Format;
use crate::session::Session;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How the parts are printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(crate) fn run(args: &Args, source: &Source) -> anyhow::Result<Exit> {
    // Health is of an agent that runs; its files say nothing of it.
    drop(source.agent()?);
    let mut session = Session::new(source.engine(vtables::Limits::default())?, false, true);
    session.format = args.format;
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
