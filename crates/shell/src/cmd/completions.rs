//! `completions`: completions of the command line, for the shells that clap knows.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::Shell;

use super::Cli;
use crate::exit::Exit;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "daemoneye-cli", &mut text);
    io::stdout().lock().write_all(&text)?;
    Ok(Exit::Done)
}
