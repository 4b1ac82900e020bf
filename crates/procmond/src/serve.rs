//! What is served once the process is confined: the tables and event sources of its configuration, to those who
//! are admitted.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use collector::{Host, Runtime, RuntimeLimits};
use config::procmond::{Config, EventSource};
use host::ProcessDiff;
use ipc::{Health, Identity, Server, ServerLimits, SocketListener, TableService};

use crate::admission::Admission;
use crate::capability::names;
use crate::peers::Peers;
use crate::settings::capabilities;
use crate::status::Matrix;

const PROGRAM: &str = "procmond";
/// Between two looks at all processes: 28 µs for each makes 0.6 % of a core of a thousand.
const PROCESS_DIFF_INTERVAL: Duration = Duration::from_secs(5);
/// What the event sources have to end, when the program ends.
const SOURCES_STOP_MAX: Duration = Duration::from_secs(1);
/// What the clients' connections have to end after that.
const CLIENTS_STOP_MAX: Duration = Duration::from_secs(3);
/// Threads and memory fit into what `packaging/systemd/procmond.service` allows: `TasksMax=` is above the sum of
/// connections, scans and subscriptions, `MemoryMax=` above scans × their memory.
const LIMITS: ServerLimits = ServerLimits {
    connections_max: 512,
    connections_per_user_max: 256,
    scans_at_once_max: 16,
    scans_waiting_max: 512,
    requests_per_connection_max: 64,
    subscriptions_max: 32,
    scan_time_max: Duration::from_secs(300),
    scan_memory_bytes_max: 32 << 20,
    frame_time_max: ipc::FRAME_TIME_MAX,
    handshake_time_max: ipc::HANDSHAKE_TIME_MAX,
    write_time_max: Duration::from_secs(5),
    // As long as a scan may run: a person reads its rows page by page.
    stall_time_max: Duration::from_secs(300),
    scan_stack_bytes: 2 << 20,
};

/// The event sources of a configuration, attached to the machine and not yet started.
pub struct Sources(Vec<Arc<dyn collector::EventSource>>);

/// Attaches the event sources of the configuration, as long as there is privilege. No thread starts.
pub fn attach(config: &Config, host: &Host) -> Sources {
    let attach = |source: &EventSource| -> Arc<dyn collector::EventSource> {
        match source {
            EventSource::ProcessDiff => Arc::new(ProcessDiff::new(host.clone(), PROCESS_DIFF_INTERVAL)),
        }
    };
    Sources(config.event_sources.value.iter().map(attach).collect())
}

/// A collector that serves.
pub struct Collector {
    server: Server,
    runtime: Arc<Runtime>,
}

impl Collector {
    /// Serves. The first threads start here, so the process has to be confined: `rights` are those that it was
    /// left.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(
        listener: SocketListener,
        sources: Sources,
        config: &Config,
        host: &Host,
        peers: Peers,
        rights: &Matrix,
    ) -> io::Result<Collector> {
        let runtime = Arc::new(Runtime::start(RuntimeLimits::default())?);
        for source in sources.0 {
            let name = source.name().to_owned();
            if let Err(error) = runtime.register(source) {
                tracing::error!(source = name, %error, "an event source does not run");
            }
        }
        let identity = Identity {
            program: PROGRAM.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            // One socket has one collector.
            id: format!("{PROGRAM}:{}", listener.path().display()),
            name: PROGRAM.into(),
        };
        let (admission, host) = (Arc::new(Admission::new(peers)), Arc::new(host.clone()));
        let log = admission.clone();
        let mut service = TableService::new(identity)
            .admit(move |peer| admission.admit(peer))
            .on_error(move |peer, error| log.broke(peer, error))
            .part(sight(config, rights))
            .events(runtime.clone());
        for table in host::TABLES.iter().filter(|table| config.tables.value.contains(&table.name())) {
            service = service.table(*table, host.clone());
        }
        let server = Server::start(Arc::new(listener), Arc::new(service), LIMITS)?;
        Ok(Collector { server, runtime })
    }

    /// Ends the event sources, then the connections, whose clients are told. Comes back within 4 s, whatever hangs,
    /// and logs that.
    pub fn stop(mut self) {
        let sources = self.runtime.shutdown(SOURCES_STOP_MAX);
        let all_ended = self.server.stop(CLIENTS_STOP_MAX);
        if !sources.unfinished.is_empty() || !all_ended {
            tracing::warn!(unfinished = ?sources.unfinished, all_ended, "not everything ended in time");
        }
    }
}

/// Whether it may read all that it was set up for.
fn sight(config: &Config, rights: &Matrix) -> Health {
    let missing = capabilities(config) - rights.permitted;
    let detail = match missing.is_empty() {
        true => format!("has {}", names(rights.permitted)),
        false => format!("lacks {}: what only they can read is NULL", names(missing)),
    };
    Health { name: "capabilities".into(), healthy: missing.is_empty(), detail }
}
