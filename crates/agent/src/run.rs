//! From the command line to the agent at work.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context;
use config::Format;
use config::agent::Config;
use ipc::TableService;
use rustix::fs::Mode;
use store::history::{self, HistoryReader};
use store::{Found, HISTORY_TABLES, LEDGER_TABLES, LedgerReader, State, StateLimits, StateLock};
use vtables::{Engine, Limits, Route};

use crate::clock;
use crate::collecting::Collecting;
use crate::deliver::{Orders, deliver};
use crate::health::Health;
use crate::keeper::Keeper;
use crate::ledger::{self, Book};
use crate::loading::Loading;
use crate::observing;
use crate::rights::Rights;
use crate::serving::{self, Asked, Changes, Order};
use crate::sharing::Sharing;
use crate::signals::{self, Signals};
use crate::sinks::{AlertFile, Rotation, Sink, Stdout};
use crate::worker::{Desk, work};

/// Between two looks at what the main thread has to do.
const TICK: Duration = Duration::from_millis(250);
/// How long what waits in memory may wait for the disk.
const FLUSH_EVERY: Duration = Duration::from_secs(5);
/// Between two looks for rule files that changed, and after the collector.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Between two looks for what is old.
const RETAIN_EVERY: Duration = Duration::from_secs(600);
/// Alerts that one look lets go of.
const RETAIN_SLICE: usize = 500;
/// What clients have to end, when the agent ends.
const CLIENTS_STOP_MAX: Duration = Duration::from_secs(2);

/// Where the state is kept.
fn state_directory(config: &Config) -> anyhow::Result<PathBuf> {
    let directory = match &config.state.value {
        Some(directory) => directory.clone(),
        None => ipc::state_directory().context("there is neither HOME nor XDG_STATE_HOME: name a --state")?,
    };
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory);
    made.with_context(|| format!("cannot make the state directory {}", directory.display()))?;
    directory.canonicalize().with_context(|| format!("cannot use {}", directory.display()))
}

fn engine(routes: &[Arc<dyn Route>]) -> anyhow::Result<Engine> {
    Ok(Engine::new(routes.to_vec(), Limits::default())?)
}

/// The state, and whether it is a new one.
fn opened(directory: &Path) -> anyhow::Result<(State, bool)> {
    let opened = State::open(directory)?;
    let (state, now) = (opened.state, clock::now_ms());
    let is_new = opened.found != Found::Existing;
    match opened.found {
        Found::Existing => {}
        Found::New => state.audit("agent", "state.created", "", "", now)?,
        Found::SetAside { path, why } => {
            let aside = path.display().to_string();
            tracing::error!(
                aside,
                why,
                "the state file was damaged: it was set aside, and an empty one made"
            );
            state.audit("agent", "state.set_aside", &aside, &why, now)?;
        }
    }
    Ok((state, is_new))
}

fn sinks(config: &Config, directory: &Path) -> Vec<(&'static str, Box<dyn Sink>)> {
    let usual = if std::io::stdout().is_terminal() { Format::Human } else { Format::Ndjson };
    let rotation = Rotation {
        bytes_max: config.file_max_size.value,
        age_max: config.file_max_age.value,
        kept: u32::try_from(config.file_keep.value).unwrap_or(u32::MAX),
    };
    let path = config.file_path.value.clone().unwrap_or_else(|| directory.join("alerts.ndjson"));
    let file = AlertFile::new(path, rotation);
    vec![("stdout", Box::new(Stdout(config.format.value.unwrap_or(usual)))), ("file", Box::new(file))]
}

/// Adds the tables of the ledger and the history. They are read by handles of their own, so that the files can be
/// opened anew by those who write them.
fn others(mut service: TableService, directory: &Path) -> TableService {
    match LedgerReader::open(directory) {
        Ok(reader) => {
            let reader = Arc::new(reader);
            for table in LEDGER_TABLES {
                service = service.table(*table, reader.clone());
            }
        }
        Err(error) => tracing::error!(%error, "the ledger cannot be asked until the agent is started again"),
    }
    match HistoryReader::open(directory) {
        Ok(reader) => {
            let reader = Arc::new(reader);
            for table in HISTORY_TABLES {
                service = service.table(*table, reader.clone());
            }
        }
        Err(error) => tracing::error!(%error, "the history cannot be asked until the agent is started again"),
    }
    service
}

/// Runs until it is told to end.
pub(crate) fn run(config: &Config) -> anyhow::Result<()> {
    let signals = Signals::block().context("cannot wait for signals")?;
    // What the agent writes is its own, but for what says otherwise: the socket and the file of alerts.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let directory = state_directory(config)?;
    let _lock = StateLock::take(&directory)?;
    let health = Health::default();
    let (state, is_new) = opened(&directory)?;
    let book = Arc::new(Mutex::new(Book::open(&directory, &state, is_new, health.clone())));
    state.audit("agent", "agent.started", env!("CARGO_PKG_VERSION"), "", clock::now_ms())?;

    let mut collecting = Collecting::start(config.collector.value.as_ref(), &directory, health.clone())?;
    let routes = collecting.routes();
    let mut checking = engine(&routes)?;

    let sinks = sinks(config, &directory);
    let names: BTreeSet<String> = sinks.iter().map(|(name, _)| (*name).to_owned()).collect();
    let seed = u64::from_le_bytes(state.epoch()[..8].try_into().unwrap_or_default());
    let keeper = Arc::new(Keeper::new(Arc::new(state), names, health.clone()));

    let rights = Arc::new(RwLock::new(Rights::of_machine(&mut checking)));
    let desk = Arc::new(Desk::new());
    let mut loading = Loading::of(config, seed);
    loading.start(&mut checking, &keeper, &desk, &health)?;

    // Whoever finds the socket finds the rules too.
    let socket = match &config.socket.value {
        Some(socket) => socket.clone(),
        None if config.state.value.is_some() => directory.join("agent.sock"),
        None => ipc::agent_socket().unwrap_or_else(|| directory.join("agent.sock")),
    };
    let listener = serving::bind(&socket, &rights.read().map(|rights| rights.clone()).unwrap_or_default())?;
    let (orders, asked) = sync_channel::<Asked>(16);
    let changes = Changes { keeper: keeper.clone(), rights: rights.clone(), orders };
    let history = observing::prepare(&directory, &health);
    let mut server = serving::serve(listener, changes, collecting.sight(), health.clone(), |service| {
        others(service, &directory)
    })?;

    let delivering = Arc::new(Orders::default());
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    for (name, sink) in sinks {
        let (keeper, orders, health) = (keeper.clone(), delivering.clone(), health.clone());
        let body = move || deliver(name, sink, &keeper, &orders, &health);
        threads.push(thread::Builder::new().name(format!("sink-{name}")).spawn(body)?);
    }
    {
        let (book, keeper, orders) = (book.clone(), keeper.clone(), delivering.clone());
        let body = move || ledger::keep(&book, &keeper, &orders.ends);
        threads.push(thread::Builder::new().name("ledger".into()).spawn(body)?);
    }
    {
        let (directory, orders, health) = (directory.clone(), delivering.clone(), health.clone());
        let mut engine = engine(&routes)?;
        let observing = observing::Observing {
            every: config.history_every.value,
            keep: history::Limits {
                max_age_ms: ms(config.history_keep_for.value),
                max_bytes: config.history_max_size.value,
            },
        };
        let body =
            move || observing::observe(&directory, history, &mut engine, &health, &orders.ends, &observing);
        threads.push(thread::Builder::new().name("history".into()).spawn(body)?);
    }
    let sharing: Vec<Arc<Sharing>> =
        routes.iter().map(|route| Arc::new(Sharing::new(route.clone()))).collect();
    let shared: Vec<Arc<dyn Route>> = sharing.iter().map(|route| route.clone() as Arc<dyn Route>).collect();
    let mut workers: Vec<JoinHandle<()>> = Vec::new();
    for n in 0..config.workers.value {
        let (desk, keeper, timeout) = (desk.clone(), keeper.clone(), config.timeout.value);
        let mut engine = engine(&shared)?;
        let body = move || work(&desk, &keeper, &mut engine, timeout);
        workers.push(thread::Builder::new().name(format!("rules-{n}")).spawn(body)?);
    }
    tracing::info!(socket = %socket.display(), state = %directory.display(), "the agent is ready");

    let agent = Agent {
        signals: &signals,
        keeper: &keeper,
        desk: &desk,
        health: &health,
        asked: &asked,
        rights: &rights,
        book: &book,
        sharing: &sharing,
        limits: StateLimits {
            age_ms: i64::try_from(ms(config.alerts_keep_for.value)).unwrap_or(i64::MAX),
            alerts: config.alerts_keep.value,
        },
    };
    let ended = agent.attend(&mut collecting, &mut loading, &mut checking, &delivering);

    desk.end();
    workers.into_iter().for_each(|worker| drop(worker.join()));
    server.stop(CLIENTS_STOP_MAX);
    keeper.note(keeper.state.audit("agent", "agent.ended", env!("CARGO_PKG_VERSION"), "", clock::now_ms()));
    keeper.flush();
    delivering.ends.store(true, Ordering::Release);
    keeper.news.tell();
    threads.into_iter().for_each(|thread| drop(thread.join()));
    ended
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What the main thread attends to.
struct Agent<'a> {
    signals: &'a Signals,
    keeper: &'a Keeper,
    desk: &'a Desk,
    health: &'a Health,
    asked: &'a Receiver<Asked>,
    rights: &'a RwLock<Rights>,
    book: &'a Mutex<Book>,
    sharing: &'a [Arc<Sharing>],
    limits: StateLimits,
}

/// Something that is done again and again.
struct Every {
    interval: Duration,
    next: Instant,
}

impl Every {
    fn new(interval: Duration) -> Every {
        Every { interval, next: Instant::now() + interval }
    }

    /// Has it due at once.
    fn now(&mut self) {
        self.next = Instant::now();
    }

    fn is_due(&mut self) -> bool {
        let due = Instant::now() >= self.next;
        if due {
            self.next = Instant::now() + self.interval;
        }
        due
    }
}

impl Agent<'_> {
    fn attend(
        &self,
        collecting: &mut Collecting,
        loading: &mut Loading,
        engine: &mut Engine,
        delivering: &Orders,
    ) -> anyhow::Result<()> {
        let (mut flush, mut look, mut retain) =
            (Every::new(FLUSH_EVERY), Every::new(LOOK_EVERY), Every::new(RETAIN_EVERY));
        // Much may have become old while no agent ran.
        retain.now();
        loop {
            match self.signals.wait(TICK) {
                Some(signals::Asked::End) => return Ok(()),
                Some(signals::Asked::Reload) => {
                    delivering.reopen.fetch_add(1, Ordering::AcqRel);
                    if let Ok(mut rights) = self.rights.write() {
                        *rights = Rights::of_machine(engine);
                    }
                    // What is wrong was told.
                    let _ = loading.reload(engine, self.keeper, self.desk, self.health);
                }
                None => {}
            }
            while let Ok((order, answer)) = self.asked.try_recv() {
                let outcome = match order {
                    Order::Reload => loading.reload(engine, self.keeper, self.desk, self.health),
                    Order::HandOut => {
                        loading.hand_out(self.keeper, self.desk);
                        Ok(String::new())
                    }
                    Order::Checkpoint => {
                        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
                        book.checkpoint(&self.keeper.state)
                    }
                };
                // Who asked may have gone.
                let _ = answer.try_send(outcome);
            }
            if look.is_due() {
                loading.look(engine, self.keeper, self.desk, self.health);
                collecting.look_after();
            }
            if flush.is_due() {
                self.sharing.iter().for_each(|route| route.forget());
                self.keeper.flush();
            }
            if retain.is_due() {
                let went = self.keeper.state.retain(&self.limits, clock::now_ms(), RETAIN_SLICE);
                if self.keeper.note(went).is_some_and(|went| went.more) {
                    retain.now();
                } else {
                    match self.keeper.state.compact_if_sparse() {
                        Ok(true) => tracing::info!("the state gave back disk space that it no longer needs"),
                        Ok(false) => {}
                        Err(error) => {
                            tracing::warn!(%error, "the state keeps disk space that it does not need")
                        }
                    }
                }
            }
            if self.keeper.is_damaged() {
                anyhow::bail!("the state file is damaged: start the agent again, which sets it aside");
            }
        }
    }
}
