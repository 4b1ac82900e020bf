//! Where the rows of the machine come from: a procmond that runs, one that the agent starts, or this process.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use collector::{AnyTable, Host, Row, Rows, Table, int, text, unique};
use config::Collector;
use ipc::{BreakerState, CollectorStatus, Collectors, Endpoint, Settings};
use model::{Extent, Query, Run, ScanError};
use vtables::{Here, Remote, Route};

use crate::health::Health;

/// Rows of the machine, and whoever has to be looked after for them.
pub(crate) struct Collecting {
    routes: Vec<Arc<dyn Route>>,
    collectors: Option<Collectors>,
    spawned: Option<Spawned>,
    health: Health,
}

/// A procmond that the agent started.
struct Spawned {
    program: PathBuf,
    socket: PathBuf,
    child: Option<Child>,
    /// When it may be started again, and how long it is waited for after the next failure.
    again: Instant,
    wait: Duration,
}

/// Before a procmond that ended is started again, at first and at most.
const AGAIN_FIRST: Duration = Duration::from_secs(1);
const AGAIN_MAX: Duration = Duration::from_secs(60);
/// How long a procmond that was started has to answer.
const START_TIME_MAX: Duration = Duration::from_secs(5);

impl Collecting {
    /// Connects or starts what was chosen. Without a choice that is a procmond that runs; else the one beside this
    /// program, started with the agent's own rights; else this process.
    pub(crate) fn start(
        choice: Option<&Collector>,
        state: &Path,
        health: Health,
    ) -> anyhow::Result<Collecting> {
        let embedded: Arc<dyn Route> = Arc::new(Here::new(
            host::TABLES.iter().map(|table| *table as &'static dyn AnyTable<Host>),
            Host::live(),
        ));
        let over = |collectors: Collectors, spawned| {
            let remote: Arc<dyn Route> = Arc::new(Remote::new(collectors.clone()));
            let routes = vec![remote, embedded.clone()];
            Collecting { routes, collectors: Some(collectors), spawned, health: health.clone() }
        };
        let alone = || Collecting {
            routes: vec![embedded.clone()],
            collectors: None,
            spawned: None,
            health: health.clone(),
        };
        Ok(match choice {
            Some(Collector::Embedded) => alone(),
            Some(Collector::At(path)) => {
                let collectors = at(path);
                for (_, trouble) in collectors.refresh(&run(START_TIME_MAX)) {
                    tracing::warn!(%trouble, "the collector does not answer; it is tried again for every statement");
                }
                over(collectors, None)
            }
            Some(Collector::Spawn) => {
                let mut spawned = Spawned::beside(state)?;
                spawned.start()?;
                over(spawned.connected()?, Some(spawned))
            }
            None => match running() {
                Some(collectors) => over(collectors, None),
                None => match spawned(state) {
                    Ok((collectors, spawned)) => over(collectors, Some(spawned)),
                    Err(why) => {
                        tracing::info!(
                            why = format!("{why:#}"),
                            "no procmond: this process reads the machine"
                        );
                        alone()
                    }
                },
            },
        })
    }

    /// Where rows come from, first the collectors.
    pub(crate) fn routes(&self) -> Vec<Arc<dyn Route>> {
        self.routes.clone()
    }

    /// What serves the rows, for the table `collectors`.
    pub(crate) fn sight(&self) -> Sight {
        Sight(self.collectors.clone())
    }

    /// Starts a procmond again that ended, and notes how it is.
    pub(crate) fn look_after(&mut self) {
        let Some(spawned) = &mut self.spawned else {
            if let Some(collectors) = &self.collectors {
                let trouble = collectors.status().into_iter().find_map(|status| status.trouble);
                self.health.set("collector", trouble.is_none(), trouble.unwrap_or_default());
            } else {
                self.health.set("collector", true, "this process reads the machine");
            }
            return;
        };
        let ended = match &mut spawned.child {
            Some(child) => child.try_wait().ok().flatten().map(|status| status.to_string()),
            None => Some("it could not be started".to_owned()),
        };
        let Some(why) = ended else {
            spawned.wait = AGAIN_FIRST;
            self.health.set("collector", true, "procmond, started by the agent");
            return;
        };
        if spawned.child.take().is_some() {
            spawned.again = Instant::now() + spawned.wait;
            spawned.wait = (spawned.wait * 2).min(AGAIN_MAX);
        }
        self.health.set("collector", false, format!("procmond ended: {why}"));
        if Instant::now() >= spawned.again
            && let Err(error) = spawned.start()
        {
            spawned.again = Instant::now() + spawned.wait;
            self.health.set("collector", false, format!("{error:#}"));
        }
    }
}

/// Ends the procmond that the agent started.
impl Drop for Spawned {
    fn drop(&mut self) {
        let Some(child) = &mut self.child else { return };
        if let Some(pid) = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap_or(0)) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let until = Instant::now() + Duration::from_secs(3);
        while Instant::now() < until {
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn at(path: &Path) -> Collectors {
    Collectors::new([Endpoint::at(path)], Settings::default())
}

fn run(most: Duration) -> Run {
    Run::new(Some(most), u64::MAX, std::time::SystemTime::now())
}

/// A procmond that runs already and serves this user.
fn running() -> Option<Collectors> {
    ipc::default_sockets().into_iter().find_map(|path| {
        drop(ipc::connect(&path).ok()?);
        let collectors = at(&path);
        collectors.refresh(&run(START_TIME_MAX)).is_empty().then_some(collectors)
    })
}

fn spawned(state: &Path) -> anyhow::Result<(Collectors, Spawned)> {
    let mut spawned = Spawned::beside(state)?;
    spawned.start()?;
    Ok((spawned.connected()?, spawned))
}

impl Spawned {
    /// The procmond in the directory of this program, to listen in the state directory.
    fn beside(state: &Path) -> anyhow::Result<Spawned> {
        let program = std::env::current_exe()?.with_file_name("procmond");
        anyhow::ensure!(program.is_file(), "there is no {}", program.display());
        Ok(Spawned {
            program,
            socket: state.join("procmond.sock"),
            child: None,
            again: Instant::now(),
            wait: AGAIN_FIRST,
        })
    }

    #[allow(clippy::disallowed_methods, reason = "the agent starts one program, from its own directory")]
    fn start(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(&self.program);
        command.arg("--socket").arg(&self.socket).stdin(Stdio::null()).stdout(Stdio::null());
        self.child = Some(command.spawn()?);
        tracing::info!(program = %self.program.display(), "procmond was started");
        Ok(())
    }

    fn connected(&mut self) -> anyhow::Result<Collectors> {
        let until = Instant::now() + START_TIME_MAX;
        while Instant::now() < until {
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait()?
            {
                anyhow::bail!("procmond ended at once: {status}");
            }
            if ipc::connect(&self.socket).is_ok() {
                let collectors = at(&self.socket);
                if collectors.refresh(&run(START_TIME_MAX)).is_empty() {
                    return Ok(collectors);
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        anyhow::bail!("procmond did not answer within {START_TIME_MAX:?}")
    }
}

/// The collectors that the agent uses.
#[derive(Clone)]
pub(crate) struct Sight(Option<Collectors>);

pub(crate) static TABLE: Table<Used, Sight> = Table {
    name: "collectors",
    about: "Collectors that the agent reads the machine through; none when it does so itself.",
    identity: unique(&["name"]),
    extent: Extent::Whole { rows: 2 },
    columns: &[
        text("name", "What people call it.", |c| (&c.0.name).into()),
        text("id", "What stays the same when it is started again; NULL if it never answered.", |c| {
            c.0.id.as_ref().into()
        }),
        int("healthy", "1 if it answered the last time.", |c| c.0.trouble.is_none().into()),
        text(
            "breaker",
            "`closed` while requests go to it, `open` while none do, `half open` while one is tried.",
            |c| {
                match c.0.breaker {
                    BreakerState::Closed => "closed",
                    BreakerState::Open => "open",
                    BreakerState::HalfOpen => "half open",
                }
                .into()
            },
        ),
        int("connections", "Connections that are open.", |c| c.0.connections.into()),
        int("in_flight", "Requests that run.", |c| c.0.in_flight.into()),
        text("trouble", "Why it could not be reached the last time.", |c| c.0.trouble.as_ref().into()),
    ],
    scan,
    examples: &["SELECT name, healthy, trouble FROM collectors"],
};

pub(crate) struct Used(CollectorStatus);

impl Row for Used {
    fn heap_bytes(&self) -> usize {
        self.0.name.len() + self.0.trouble.as_ref().map_or(0, String::len) + 64
    }
}

fn scan(sight: &Sight, _: &Query) -> Result<Rows<Used>, ScanError> {
    let status = sight.0.as_ref().map(Collectors::status).unwrap_or_default();
    Ok(Box::new(status.into_iter().map(|status| Ok(Used(status)))))
}
