//! `daemoneye-agent`: watches the machine, runs rules, keeps alerts and the record of everything that was done.

mod clock;
mod collecting;
mod deliver;
mod evidence;
mod health;
mod keeper;
mod ledger;
mod loading;
mod observing;
mod rights;
mod run;
mod schedule;
mod serving;
mod sharing;
mod signals;
mod sinks;
mod worker;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use config::agent::{Config, KNOWN};
use config::{ConfigError, Layers, log_to_stderr};

/// Watches this machine: runs detection rules, raises alerts, keeps them and the record of everything it did.
///
/// Without any option it reads the machine with the rights that it was started with, runs the rules that come with
/// it, and writes alerts to standard output. It stays in the foreground; Ctrl-C ends it. SIGHUP loads the rules
/// again and opens its output files anew. Ask it with daemoneye-cli.
///
/// Settings come from /etc/daemoneye/config.yaml, then $XDG_CONFIG_HOME/daemoneye/config.yaml, then DAEMONEYE_* in
/// the environment, then the options here; --show-config lists them all with where each came from.
#[derive(Debug, Parser)]
#[command(name = "daemoneye-agent", version)]
struct Cli {
    /// Read this configuration in place of the system's and the user's
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Keep state here [default: /var/lib/daemoneye for root, else ~/.local/state/daemoneye]
    #[arg(long, value_name = "DIR")]
    state: Option<String>,
    /// Run the rules of this directory or file [default: /etc/daemoneye/rules if it is there, else those built in]
    #[arg(long, value_name = "DIR")]
    rules: Option<String>,
    /// Listen here for daemoneye-cli [default: below /run/daemoneye or $XDG_RUNTIME_DIR/daemoneye; in the directory
    /// of --state if that is given]
    #[arg(long, value_name = "PATH")]
    socket: Option<String>,
    /// Who reads the machine: `embedded`, `spawn`, or the socket of a procmond [default: a procmond that runs, else
    /// the one beside this program, else embedded]
    #[arg(long, value_name = "WHO")]
    collector: Option<String>,
    /// How alerts are written to standard output: human or ndjson [default: human on a terminal, else ndjson]
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Run every rule this often, in place of its own interval
    #[arg(long, value_name = "TIME")]
    every: Option<String>,
    /// What one run of a rule may take [default: 30s]
    #[arg(long, value_name = "TIME")]
    timeout: Option<String>,
    /// List every setting with where it came from, and end
    #[arg(long)]
    show_config: bool,
}

impl Cli {
    /// The configuration: files, environment, and these options.
    fn config(self) -> Result<Config, ConfigError> {
        let layers = Layers::new(KNOWN)
            .files(self.config.as_deref())?
            .environment()?
            .flag("state", "--state", self.state)
            .flag("rules", "--rules", self.rules)
            .flag("socket", "--socket", self.socket)
            .flag("collector", "--collector", self.collector)
            .flag("format", "--format", self.format)
            .flag("every", "--every", self.every)
            .flag("timeout", "--timeout", self.timeout);
        Config::of(&layers)
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let show = cli.show_config;
    let config = match cli.config() {
        Ok(config) => config,
        Err(error) => {
            // Nothing tells yet how the log is to be written.
            let _ = writeln!(std::io::stderr(), "error: {}", model::clean::line(&error.to_string()));
            return ExitCode::from(2);
        }
    };
    if show {
        let shown = std::io::stdout().lock().write_all(config.shown().as_bytes());
        return if shown.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    log_to_stderr(config.log_level.value, config.log_format.value);
    match run::run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the agent ends");
            ExitCode::FAILURE
        }
    }
}
