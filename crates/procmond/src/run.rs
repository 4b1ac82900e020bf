//! From the command line to the service.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use collector::Host;
use config::procmond::Config;
use config::{Format, Level, log_to_stderr};
use ipc::SocketListener;
use procmond::{
    Account, Collector, Confined, Filter, Flags, Peers, Plan, PrivilegeError, Signals, SocketError, Sources,
    attach, bind, capabilities, load,
};

/// The collector that may read everything: serves tables of this machine to local clients.
///
/// Started as root it keeps the capabilities that its configuration needs, becomes an ordinary user and gives up
/// everything else. Started by an ordinary user it serves what that user sees.
///
/// Settings come from its configuration, then the options here, and from nowhere else.
#[derive(Debug, Parser)]
#[command(name = "procmond", version)]
struct Cli {
    /// Configuration; /etc/daemoneye/procmond.yaml if that is there. Root's must be writable by root alone.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where clients connect; /run/daemoneye/procmond.sock for root.
    #[arg(long, value_name = "PATH")]
    socket: Option<String>,
    /// Whom root becomes, by name or number; daemoneye if there is one, else nobody.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// List every setting with where it came from, and end
    #[arg(long)]
    show_config: bool,
}

impl Cli {
    fn config(self) -> anyhow::Result<Config> {
        let absolute = |path: String| match std::path::absolute(&path).map(PathBuf::into_os_string) {
            Ok(absolute) => absolute.into_string().unwrap_or(path),
            Err(_) => path,
        };
        let flags = Flags { socket: self.socket.map(absolute), user: self.user };
        Ok(load(self.config.as_deref(), flags)?)
    }
}

/// What is opened while there is privilege.
struct Opened {
    listener: SocketListener,
    sources: Sources,
    signals: Signals,
}

#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error("cannot wait for signals: {0}")]
    Signals(#[from] std::io::Error),
    #[error(transparent)]
    Privileges(#[from] PrivilegeError),
}

pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr(Level::Info, Some(Format::Ndjson));
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "procmond ends");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let show = cli.show_config;
    let config = cli.config()?;
    if show {
        return Ok(std::io::stdout().lock().write_all(config.shown().as_bytes())?);
    }
    let host = if config.masking.value { Host::live() } else { Host::live().unmasked() };
    let path = match &config.socket.value {
        Some(path) => path.clone(),
        None => ipc::default_socket().ok_or(SocketError::NoDirectory)?,
    };
    let peers = Peers::of(&config, &host)?;
    let plan = Plan {
        capabilities: capabilities(&config),
        account: account(&host, config.user.value.as_deref())?,
        filter: Filter::for_tables(config.tables.value.iter().copied()),
    };
    let prepared = plan.prepare(|| -> Result<Opened, OpenError> {
        let signals = Signals::block()?;
        let sources = attach(&config, &host);
        Ok(Opened { listener: bind(&host, &config, &path)?, sources, signals })
    })?;
    let Confined { opened: Opened { listener, sources, signals }, rights } = prepared.confine()?;
    let collector = Collector::start(listener, sources, &config, &host, peers, &rights)?;
    tracing::info!(socket = %path.display(), tables = config.tables.value.len(), "procmond is ready");
    let signal = signals.wait().context("cannot wait for signals")?;
    tracing::info!(signal, "procmond is told to end");
    collector.stop();
    tracing::info!(signal, "procmond ends");
    Ok(())
}

/// Whom to become; an ordinary user stays who it is.
fn account(host: &Host, name: Option<&str>) -> anyhow::Result<Option<Account>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    Ok(Some(match name {
        Some(name) => Account::find(host, name)?,
        None => Account::usual(host)?,
    }))
}
