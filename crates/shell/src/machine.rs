//! The engine over this machine: through collectors, and for what they do not serve in this process.

use std::path::PathBuf;
use std::sync::Arc;

use collector::{AnyTable, Host};
use ipc::{Collectors, Endpoint};
use model::{Run, ScanError};
use vtables::{Engine, Here, Limits, Remote, Route};

use crate::say;

/// Where rows come from.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Source {
    /// Ask the collector at this socket, and others by giving it again [default: procmond's, if one answers]
    #[arg(long, value_name = "SOCKET", global = true)]
    connect: Vec<PathBuf>,
    /// Ask no collector: scan every table in this process
    #[arg(long, global = true, conflicts_with = "connect")]
    here: bool,
    /// Show secrets in command lines and environments, which are masked otherwise. A collector masks by its own
    /// configuration
    #[arg(long, global = true, requires = "here")]
    unmasked: bool,
}

/// None of the collectors that were named can be reached.
#[derive(Debug)]
pub(crate) struct Unreachable(String);

impl std::fmt::Display for Unreachable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreachable {}

impl Source {
    /// Every table in this process.
    #[cfg(test)]
    pub(crate) const HERE: Source = Source { connect: Vec::new(), here: true, unmasked: false };

    /// An engine over every table: those that a collector serves through it, the others with this user's own rights.
    ///
    /// # Errors
    /// [`Unreachable`] when collectors were named and none answers.
    pub(crate) fn engine(&self, limits: Limits) -> anyhow::Result<Engine> {
        let tables = host::TABLES.iter().map(|table| *table as &'static dyn AnyTable<Host>);
        let host = if self.unmasked { Host::live().unmasked() } else { Host::live() };
        let here: Arc<dyn Route> = Arc::new(Here::new(tables, host));
        let remote = self.collectors()?.map(|collectors| Arc::new(Remote::new(collectors)) as Arc<dyn Route>);
        Ok(Engine::new(remote.into_iter().chain([here]).collect(), limits)?)
    }

    /// The collectors to ask, each of which was asked what it serves.
    fn collectors(&self) -> anyhow::Result<Option<Collectors>> {
        if self.here {
            return Ok(None);
        }
        if self.connect.is_empty() {
            return Ok(ipc::default_sockets().into_iter().find_map(usual));
        }
        let collectors = at(&self.connect);
        let away: Vec<String> = refresh(&collectors).iter().map(ToString::to_string).collect();
        if away.len() == self.connect.len() {
            anyhow::bail!(Unreachable(away.join("\n")));
        }
        away.iter().for_each(|trouble| say::remark(&format!("note: {trouble}")));
        Ok(Some(collectors))
    }
}

fn at(paths: &[PathBuf]) -> Collectors {
    Collectors::new(paths.iter().map(Endpoint::at), ipc::Settings::default())
}

fn refresh(collectors: &Collectors) -> Vec<ScanError> {
    collectors.refresh(&Run::unlimited()).into_iter().map(|(_, trouble)| trouble).collect()
}

/// The collector at a usual place, if it answers. Nobody need be there, so only one that is there and does not
/// answer as it should is worth a word.
fn usual(path: PathBuf) -> Option<Collectors> {
    use std::io::ErrorKind::{ConnectionRefused, NotFound, PermissionDenied};
    match ipc::connect(&path) {
        Err(error) if matches!(error.kind(), ConnectionRefused | NotFound | PermissionDenied) => return None,
        // The same again, with a hello.
        Ok(_) | Err(_) => {}
    }
    let collectors = at(&[path]);
    let trouble = refresh(&collectors);
    for trouble in &trouble {
        say::remark(&format!("note: {trouble}; tables are scanned in this process"));
    }
    trouble.is_empty().then_some(collectors)
}
