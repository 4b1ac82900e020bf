//! The engine over this machine: through collectors, and for what they do not serve in this process.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use collector::{AnyTable, Host};
use ipc::{Client, Collectors, Endpoint};
use model::{Run, ScanError};
use store::history::HistoryReader;
use store::{HISTORY_TABLES, LEDGER_TABLES, LedgerReader, STATE_TABLES, StateReader, StoreError};
use vtables::{Engine, Here, Limits, Remote, Route};

use crate::say;
use crate::settings::Settings;

/// Where rows come from.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Source {
    /// Ask the collector at this socket, and others by giving it again [default: the one of the settings,
    /// else procmond's, if it answers]
    #[arg(long, value_name = "SOCKET", global = true)]
    connect: Vec<PathBuf>,
    /// Ask no collector: scan every table in this process
    #[arg(long, global = true, conflicts_with = "connect")]
    here: bool,
    /// Ask the agent at this socket for alerts, rules, history and the ledger [default: that
    /// of the settings, else the agent that runs]
    #[arg(long, value_name = "SOCKET", global = true, conflicts_with = "here")]
    agent: Option<PathBuf>,
    /// Read alerts, rules, history and the ledger from this state directory, when no agent runs
    #[arg(long, value_name = "DIR", global = true, conflicts_with_all = ["here", "agent"])]
    state: Option<PathBuf>,
    /// Show secrets in command lines and environments, which are masked otherwise. A collector masks by its own
    /// configuration
    #[arg(long, global = true, requires = "here")]
    unmasked: bool,
    #[arg(skip)]
    configured: Configured,
}

/// Where the settings say that others are, for where no option does.
#[derive(Clone, Debug, Default)]
struct Configured {
    state: Option<PathBuf>,
    agent: Option<PathBuf>,
    collector: Option<PathBuf>,
}

impl Configured {
    /// The usual places.
    #[cfg(test)]
    const NOTHING: Configured = Configured { state: None, agent: None, collector: None };

    /// The sockets at which the agent may be: it puts its own into its state directory when only that is set.
    fn agent_sockets(&self) -> Vec<PathBuf> {
        match (&self.agent, &self.state) {
            (Some(socket), _) => vec![socket.clone()],
            (None, Some(directory)) => vec![directory.join("agent.sock")],
            (None, None) => ipc::agent_sockets(),
        }
    }

    fn state_directories(&self) -> Vec<PathBuf> {
        self.state.clone().map_or_else(ipc::state_directories, |directory| vec![directory])
    }

    fn collector_sockets(&self) -> Vec<PathBuf> {
        self.collector.clone().map_or_else(ipc::default_sockets, |socket| vec![socket])
    }
}

/// None of the collectors that were named can be reached.
#[derive(Debug)]
pub(crate) struct Unreachable(String);

impl Unreachable {
    pub(crate) fn because(why: &str) -> Unreachable {
        Unreachable(why.to_owned())
    }
}

impl std::fmt::Display for Unreachable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreachable {}

impl Source {
    /// Every table in this process.
    #[cfg(test)]
    pub(crate) const HERE: Source = Source {
        connect: Vec::new(),
        here: true,
        agent: None,
        state: None,
        unmasked: false,
        configured: Configured::NOTHING,
    };

    /// Looks where the settings say that the agent and procmond are, as far as no option does.
    pub(crate) fn configured(self, settings: &Settings) -> Source {
        let configured = Configured {
            state: settings.state.value.clone(),
            agent: settings.socket.value.clone(),
            collector: settings.collector_socket().map(Path::to_owned),
        };
        Source { configured, ..self }
    }

    /// Whether every table is scanned in this process.
    pub(crate) fn is_here(&self) -> bool {
        self.here
    }

    /// The settings with what the options put in their place.
    pub(crate) fn shown_in(&self, settings: Settings) -> Settings {
        let text = |path: &Path| path.display().to_string();
        let mut shown = settings;
        if let Some(directory) = &self.state {
            // A socket that is set somewhere else is of another agent.
            shown = shown.showing("state", "--state", text(directory));
            shown = shown.showing("socket", "--state", text(&directory.join("agent.sock")));
        }
        if let Some(socket) = &self.agent {
            shown = shown.showing("socket", "--agent", text(socket));
        }
        if self.here {
            shown = shown.showing("collector", "--here", "embedded".to_owned());
        }
        if !self.connect.is_empty() {
            let sockets: Vec<String> = self.connect.iter().map(|socket| text(socket)).collect();
            shown = shown.showing("collector", "--connect", sockets.join(", "));
        }
        shown
    }

    /// An engine over every table: the agent's, those that a collector serves through it, the others with this user's
    /// own rights.
    ///
    /// # Errors
    /// [`Unreachable`] when collectors or an agent were named and do not answer.
    pub(crate) fn engine(&self, limits: Limits) -> anyhow::Result<Engine> {
        let tables = host::TABLES.iter().map(|table| *table as &'static dyn AnyTable<Host>);
        let host = if self.unmasked { Host::live().unmasked() } else { Host::live() };
        let here: Arc<dyn Route> = Arc::new(Here::new(tables, host));
        let remote = self.collectors()?.map(|collectors| Arc::new(Remote::new(collectors)) as Arc<dyn Route>);
        let kept = self.kept()?;
        Ok(Engine::new(kept.into_iter().chain(remote).chain([here]).collect(), limits)?)
    }

    /// What the agent keeps: through it, or from its files when it does not run.
    fn kept(&self) -> anyhow::Result<Vec<Arc<dyn Route>>> {
        if self.here {
            return Ok(Vec::new());
        }
        if let Some(socket) = &self.agent {
            let agent = at(std::slice::from_ref(socket));
            if let Some(trouble) = refresh(&agent).first() {
                anyhow::bail!(Unreachable(trouble.to_string()));
            }
            return Ok(vec![Arc::new(Remote::new(agent))]);
        }
        if let Some(directory) = &self.state {
            // The socket of an agent that was started with this directory is in it.
            return Ok(match usual(directory.join("agent.sock")) {
                Some(agent) => vec![Arc::new(Remote::new(agent)) as Arc<dyn Route>],
                None => files(directory)?,
            });
        }
        if let Some(agent) = self.configured.agent_sockets().into_iter().find_map(usual) {
            return Ok(vec![Arc::new(Remote::new(agent))]);
        }
        for directory in self.configured.state_directories() {
            match files(&directory) {
                Ok(routes) if !routes.is_empty() => return Ok(routes),
                Ok(_) => {}
                Err(error) => say::remark(&format!("note: {error:#}")),
            }
        }
        Ok(Vec::new())
    }

    /// The state directory of the agent.
    ///
    /// # Errors
    /// [`Unreachable`] when none has a ledger.
    pub(crate) fn state_directory(&self) -> anyhow::Result<PathBuf> {
        let places = match &self.state {
            Some(directory) => vec![directory.clone()],
            None => self.configured.state_directories(),
        };
        let found = places.iter().find(|directory| directory.join(store::LEDGER_FILE).exists()).cloned();
        found.ok_or_else(|| {
            let places: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
            let places = places.join(" and ");
            Unreachable(format!("there is no ledger in {places}: name the agent's --state directory")).into()
        })
    }

    /// A connection to the agent, to ask it for changes.
    ///
    /// # Errors
    /// [`Unreachable`] when none runs.
    pub(crate) fn agent(&self) -> anyhow::Result<Client> {
        let sockets = match (&self.agent, &self.state) {
            (Some(socket), _) => vec![socket.clone()],
            (None, Some(directory)) => vec![directory.join("agent.sock")],
            (None, None) => self.configured.agent_sockets(),
        };
        let mut why = Vec::new();
        for socket in sockets {
            match Client::connect(&socket, ipc::Timing::default()) {
                Ok(client) => return Ok(client),
                Err(error) => why.push(format!("{}: {error}", socket.display())),
            }
        }
        let why = why.join("; ");
        anyhow::bail!(Unreachable(format!(
            "no agent answers: start daemoneye-agent, or name its --agent socket ({why})"
        )))
    }

    /// The collectors to ask, each of which was asked what it serves.
    fn collectors(&self) -> anyhow::Result<Option<Collectors>> {
        if self.here {
            return Ok(None);
        }
        if self.connect.is_empty() {
            return Ok(self.configured.collector_sockets().into_iter().find_map(usual));
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

/// The tables of the state files in a directory; none where there is no state, or none that this user may read.
fn files(directory: &Path) -> anyhow::Result<Vec<Arc<dyn Route>>> {
    let state = match StateReader::open(directory) {
        Ok(state) => state,
        Err(StoreError::Io { error, .. })
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => anyhow::bail!(error),
    };
    let tables = STATE_TABLES.iter().map(|table| *table as &'static dyn AnyTable<StateReader>);
    let mut routes: Vec<Arc<dyn Route>> = vec![Arc::new(Here::new(tables, state))];
    match LedgerReader::open(directory) {
        Ok(ledger) => {
            let tables = LEDGER_TABLES.iter().map(|table| *table as &'static dyn AnyTable<LedgerReader>);
            routes.push(Arc::new(Here::new(tables, ledger)));
        }
        Err(error) => say::remark(&format!("note: {error}")),
    }
    match HistoryReader::open(directory) {
        Ok(history) => {
            let tables = HISTORY_TABLES.iter().map(|table| *table as &'static dyn AnyTable<HistoryReader>);
            routes.push(Arc::new(Here::new(tables, history)));
        }
        Err(error) => say::remark(&format!("note: {error}")),
    }
    Ok(routes)
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
