//! `daemoneye-agent`: watches the machine, runs rules, keeps alerts and the record of everything that was done.

mod clock;
mod collecting;
mod deliver;
mod evidence;
mod health;
mod keeper;
mod ledger;
mod loading;
mod log;
mod observing;
mod rights;
mod run;
mod schedule;
mod serving;
mod signals;
mod sinks;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::collecting::Choice;
use crate::sinks::Format;

/// Watches this machine: runs detection rules, raises alerts, keeps them and the record of everything it did.
///
/// Without any option it reads the machine with the rights that it was started with, runs the rules that come with
/// it, and writes alerts to standard output. It stays in the foreground; Ctrl-C ends it. SIGHUP loads the rules
/// again and opens its output files anew. Ask it with daemoneye-cli.
#[derive(Debug, Parser)]
#[command(name = "daemoneye-agent", version)]
struct Cli {
    /// Keep state here [default: /var/lib/daemoneye for root, else ~/.local/state/daemoneye]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Run the rules of this directory or file [default: /etc/daemoneye/rules if it is there, else those built in]
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    /// Listen here for daemoneye-cli [default: below /run/daemoneye or $XDG_RUNTIME_DIR/daemoneye]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Who reads the machine: `embedded`, `spawn`, or the socket of a procmond [default: a procmond that runs, else
    /// the one beside this program, else embedded]
    #[arg(long, value_name = "WHO")]
    collector: Option<Choice>,
    /// How alerts are written to standard output [default: human on a terminal, else ndjson]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Run every rule this often, in place of its own interval
    #[arg(long, value_name = "TIME", value_parser = duration)]
    every: Option<Duration>,
    /// What one run of a rule may take
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s")]
    timeout: Duration,
}

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let ms = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("write a number and a unit, such as 500ms, 10s, 5m or 1h".into()),
    };
    let number: u64 = number.parse().map_err(|_| "write a number and a unit, such as 10s".to_owned())?;
    match number.checked_mul(ms) {
        Some(ms) if ms > 0 => Ok(Duration::from_millis(ms)),
        _ => Err("it must be more than nothing and less than forever".into()),
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    log::to_stderr();
    match run::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the agent ends");
            ExitCode::FAILURE
        }
    }
}
