//! From the command line to the service.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use collector::Host;
use ipc::SocketListener;
use procmond::{
    Account, Collector, Config, Confined, Filter, Peers, Plan, PrivilegeError, Signals, SocketError, Sources,
    attach, bind, log_to_stderr,
};

/// The collector that may read everything: serves tables of this machine to local clients.
///
/// Started as root it keeps the capabilities that its configuration needs, becomes an ordinary user and gives up
/// everything else. Started by an ordinary user it serves what that user sees.
#[derive(Debug, Parser)]
#[command(name = "procmond", version)]
struct Cli {
    /// Configuration; /etc/daemoneye/procmond.yaml if that is there. Root's must be writable by root alone.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where clients connect; /run/daemoneye/procmond.sock for root.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Whom root becomes, by name or number; daemoneye if there is one, else nobody.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
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
    log_to_stderr();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "procmond ends");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let config = Config::load(cli.config.as_deref())?;
    let host = if config.masking { Host::live() } else { Host::live().unmasked() };
    let path = match cli.socket.as_ref().or(config.socket.as_ref()) {
        Some(path) => path.clone(),
        None => ipc::default_socket().ok_or(SocketError::NoDirectory)?,
    };
    let peers = Peers::of(&config, &host)?;
    let plan = Plan {
        capabilities: config.capabilities(),
        account: account(&host, cli.user.as_deref().or(config.user.as_deref()))?,
        filter: Filter::for_tables(config.tables.iter().copied()),
    };
    let prepared = plan.prepare(|| -> Result<Opened, OpenError> {
        let signals = Signals::block()?;
        let sources = attach(&config, &host);
        Ok(Opened { listener: bind(&host, &config, &path)?, sources, signals })
    })?;
    let Confined { opened: Opened { listener, sources, signals }, rights } = prepared.confine()?;
    let collector = Collector::start(listener, sources, &config, &host, peers, &rights)?;
    tracing::info!(socket = %path.display(), tables = config.tables.len(), "procmond is ready");
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
