//! The agent's socket: its tables, and the changes that people ask for.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use anyhow::Context;
use ipc::{Bind, Identity, Peer, Server, ServerLimits, SocketListener, TableService};
use model::{AlertAction, AlertId};
use store::STATE_TABLES;

use crate::clock;
use crate::collecting::{self, Sight};
use crate::health::{self, Health};
use crate::keeper::Keeper;
use crate::rights::{Right, Rights};

const PROGRAM: &str = "daemoneye-agent";
/// Letters of a reason; what is longer belongs elsewhere.
const REASON_CHARS_MAX: usize = 1000;
/// How long a change may wait for the agent's main thread.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// Few people ask, and each scan is of one file.
const LIMITS: ServerLimits = ServerLimits {
    connections_max: 128,
    connections_per_user_max: 64,
    scans_at_once_max: 8,
    scans_waiting_max: 128,
    requests_per_connection_max: 32,
    subscriptions_max: 1,
    scan_time_max: Duration::from_secs(300),
    scan_memory_bytes_max: 64 << 20,
    frame_time_max: ipc::FRAME_TIME_MAX,
    handshake_time_max: ipc::HANDSHAKE_TIME_MAX,
    write_time_max: Duration::from_secs(5),
    // As long as a scan may run: a person reads its rows page by page.
    stall_time_max: Duration::from_secs(300),
    scan_stack_bytes: 2 << 20,
};

/// What the agent's main thread is asked to do.
pub(crate) enum Order {
    /// Load the rules again.
    Reload,
    /// Hand out the rules that may run.
    HandOut,
    /// Sign a checkpoint of the ledger.
    Checkpoint,
}

/// An order, and where its outcome goes.
pub(crate) type Asked = (Order, SyncSender<Result<String, String>>);

/// What a peer's change is made with.
pub(crate) struct Changes {
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) rights: Arc<RwLock<Rights>>,
    pub(crate) orders: SyncSender<Asked>,
}

/// Binds the socket. One that nobody serves any more is replaced.
pub(crate) fn bind(path: &Path, rights: &Rights) -> anyhow::Result<SocketListener> {
    if let Some(directory) = path.parent() {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o755).create(directory);
        made.with_context(|| format!("cannot make the directory {}", directory.display()))?;
    }
    // Who may do what is decided for each peer; the mode only keeps out those who may do nothing anyway.
    let mode = if rights.has_groups() { 0o666 } else { 0o600 };
    let bound = SocketListener::bind(&Bind { path: path.to_owned(), mode, group: None });
    bound.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            anyhow::anyhow!(
                "an agent already listens at {}: stop it, or name another --socket",
                path.display()
            )
        }
        std::io::ErrorKind::AlreadyExists => {
            anyhow::anyhow!("{} is there and no socket: remove it, or name another --socket", path.display())
        }
        _ => anyhow::anyhow!("cannot listen at {}: {error}", path.display()),
    })
}

/// Serves the agent's tables. `more` adds those of other files.
pub(crate) fn serve(
    listener: SocketListener,
    changes: Changes,
    sight: Sight,
    health: Health,
    more: impl FnOnce(TableService) -> TableService,
) -> anyhow::Result<Server> {
    let path: PathBuf = listener.path().to_owned();
    let identity = Identity {
        program: PROGRAM.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        id: format!("{PROGRAM}:{}", path.display()),
        name: PROGRAM.into(),
    };
    let reader = Arc::new(changes.keeper.state.reader());
    let rights = changes.rights.clone();
    let of = move |peer: &Peer| rights.read().map_or(Right::None, |rights| rights.of(peer));
    let changes = Arc::new(changes);
    let admitted = of.clone();
    let mut service = TableService::new(identity)
        .admit(move |peer| match admitted(peer) {
            Right::None => {
                Err(format!("{peer}: neither root, nor the agent's user, nor in the group daemoneye"))
            }
            Right::Read | Right::Change => Ok(()),
        })
        .on_error(|peer, error| tracing::warn!(%peer, %error, "a connection ended by an error"))
        .act(move |peer, verb, arguments| match of(peer) {
            Right::Change => changes.act(peer, verb, arguments),
            Right::None | Right::Read => {
                Err("only root, the agent's user and the group daemoneye-admin may change anything".into())
            }
        })
        .table(&health::TABLE, Arc::new(health))
        .table(&collecting::TABLE, Arc::new(sight));
    for table in STATE_TABLES {
        service = service.table(*table, reader.clone());
    }
    Ok(Server::start(Arc::new(listener), Arc::new(more(service)), LIMITS)?)
}

impl Changes {
    fn act(&self, peer: &Peer, verb: &str, arguments: &[(String, String)]) -> Result<String, String> {
        let argument = |name: &str| {
            let found = arguments.iter().find(|(known, _)| known == name);
            found
                .map(|(_, value)| value.as_str())
                .ok_or_else(|| format!("`{verb}` wants a value for `{name}`"))
        };
        let actor = peer.uid.map_or_else(|| "unknown".to_owned(), |uid| format!("uid:{uid}"));
        let reason =
            || argument("reason").unwrap_or_default().chars().take(REASON_CHARS_MAX).collect::<String>();
        let (state, now) = (&self.keeper.state, clock::now_ms());
        let told = |error: store::StoreError| error.to_string();
        let said = match verb.split_once('.') {
            Some(("alert", name)) if AlertAction::from_name(name).is_some() => {
                let action = AlertAction::from_name(name).unwrap_or(AlertAction::Acknowledge);
                let id = argument("id")?;
                let id = AlertId::parse(id).ok_or_else(|| format!("`{id}` is no alert's id"))?;
                let after = state.change(id, action, &actor, &reason(), now).map_err(told)?;
                Ok(format!("alert {id} is {}", after.name()))
            }
            Some(("rule", name @ ("enable" | "disable"))) => {
                let (id, enable) = (argument("id")?, name == "enable");
                let changed = state.set_rule_enabled(id, enable, &actor, &reason(), now).map_err(told)?;
                self.order(Order::HandOut)?;
                Ok(format!("rule {id} {} {name}d", if changed { "is" } else { "was already" }))
            }
            Some(("rules", "reload")) => self.order(Order::Reload),
            Some(("audit", "checkpoint")) => self.order(Order::Checkpoint),
            Some(("deliveries", "resend")) => {
                let sink = argument("sink").ok();
                let n = state.resend_dead(sink, now).map_err(told)?;
                Ok(format!("{n} deliveries are queued again"))
            }
            _ => Err(format!("there is no `{verb}`")),
        };
        self.keeper.news.tell();
        said
    }

    fn order(&self, order: Order) -> Result<String, String> {
        let (answer, outcome) = sync_channel(1);
        self.orders.try_send((order, answer)).map_err(|_| "the agent is busy; try again".to_owned())?;
        outcome.recv_timeout(ANSWER_TIME_MAX).map_err(|_| "the agent did not answer in time".to_owned())?
    }
}
