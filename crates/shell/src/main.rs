//! `daemoneye-cli`: ask this machine in SQL.

mod clean;
mod cmd;
mod dot;
mod exit;
mod given;
mod interactive;
mod interrupt;
mod lex;
mod machine;
mod output;
mod paint;
mod panics;
mod render;
mod run;
mod say;
mod script;
mod session;
mod settings;
mod spinner;

use std::io;
use std::process::ExitCode;

use clap::Parser;

use crate::exit::Exit;

/// An error that is the caller's to mend.
#[derive(Debug)]
struct Usage(anyhow::Error);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl std::error::Error for Usage {}

fn main() -> ExitCode {
    panics::quiet_in_tables();
    cmd::Cli::parse().run().unwrap_or_else(failed).into()
}

fn failed(error: anyhow::Error) -> Exit {
    if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) {
        return Exit::Done;
    }
    crate::say::error(&format!("{error:#}"));
    match error {
        error if error.is::<Usage>() => Exit::Usage,
        error if error.is::<machine::Unreachable>() => Exit::Unreachable,
        _ => Exit::Failed,
    }
}
