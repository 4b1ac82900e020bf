use std::sync::Arc;
use std::time::{Duration, Instant};

use collector::{
    AnyTable, Column, EventSink, EventSource, Observation, Row, Runtime, RuntimeLimits, Scan, SourceError,
    Table, int, unique,
};
use ipc::{
    Client, ConnectError, Health, Identity, Interest, Peer, PipeListener, Server, ServerLimits, TableService,
    Timing,
};
use model::{Capabilities, Domain, Extent, ScanError};

use crate::support::{SOON, all, rows};

struct Number(i64);
impl Row for Number {}

const COLUMNS: &[Column<Number>] = &[int("n", "The number.", |r| r.0.into())];

const fn numbers(name: &'static str) -> Table<Number, i64> {
    Table {
        name,
        about: "The numbers below the source.",
        identity: unique(&["n"]),
        extent: Extent::Whole { rows: 3 },
        columns: COLUMNS,
        scan: |below, _| Ok(Box::new((0..*below).map(|n| Ok(Number(n))))),
        examples: &[],
    }
}

static FEW: Table<Number, i64> = numbers("few");
static MANY: Table<Number, i64> = numbers("many");

/// Raises so many events, then waits to be stopped.
struct Bell {
    events: u64,
}

impl EventSource for Bell {
    fn name(&self) -> &str {
        "bell"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::FILESYSTEM | Capabilities::PERFORMANCE
    }

    fn start(&self, sink: &EventSink) -> Result<(), SourceError> {
        for n in 0..self.events {
            let domain = if n % 2 == 0 { Domain::Filesystem } else { Domain::Performance };
            let fields = vec![("n".into(), n.into())];
            sink.raise(Observation { domain, kind: "ring".into(), time_ns: 0, fields });
        }
        while !sink.wait(Duration::from_secs(1)) {}
        Ok(())
    }
}

fn service() -> TableService {
    let text = |text: &str| text.to_owned();
    TableService::new(Identity { program: text("p"), version: text("1"), id: text("i"), name: text("n") })
}

fn serve(service: TableService) -> (Server, Arc<PipeListener>) {
    let listener = Arc::new(PipeListener::new());
    (Server::start(listener.clone(), Arc::new(service), ServerLimits::default()).unwrap(), listener)
}

fn peer(uid: u32) -> Peer {
    Peer { uid: Some(uid), gid: Some(uid), pid: Some(1) }
}

fn connect(listener: &PipeListener, peer: Peer) -> Result<Client, ConnectError> {
    Client::over(listener.connect(peer).unwrap(), Timing::default())
}

#[test]
fn each_table_is_served_over_its_own_source() {
    let (_server, listener) = serve(
        service()
            .table(&FEW as &dyn AnyTable<i64>, Arc::new(3))
            .table(&MANY as &dyn AnyTable<i64>, Arc::new(500))
            // Another of a name that is taken is left out: a client refuses a name that is there twice.
            .table(&FEW as &dyn AnyTable<i64>, Arc::new(7))
            .part(Health { name: "part".into(), healthy: false, detail: "as told".into() }),
    );
    let client = connect(&listener, peer(0)).unwrap();
    for (table, count) in [("few", 3), ("many", 500)] {
        let query = all(&client, table);
        assert_eq!(rows(client.scan(table, &query).unwrap(), &query.schema).unwrap().len(), count);
    }
    assert_eq!(client.tables().len(), 2);
    assert_eq!(client.health(SOON).unwrap()[0].detail, "as told");
    let mut events = client.subscribe(&Interest::default()).unwrap();
    assert!(matches!(events.next(SOON), Err(ScanError::Failed(why)) if why.contains("no event sources")));
}

#[test]
fn without_a_word_it_serves_root_and_its_own_user_alone() {
    let own = rustix::process::geteuid().as_raw();
    let (_server, listener) = serve(service());
    assert!(connect(&listener, peer(0)).is_ok() && connect(&listener, peer(own)).is_ok());
    let unknown = Peer { uid: None, ..peer(0) };
    for other in [peer(own + 4_000_000), unknown] {
        let refused = connect(&listener, other).err().unwrap();
        assert!(matches!(&refused, ConnectError::Refused(why) if why.contains("serves uid")), "{refused}");
    }
    let (_server, listener) = serve(service().admit(|peer| match peer.uid {
        Some(7) => Ok(()),
        _ => Err("seven alone".into()),
    }));
    assert!(connect(&listener, peer(7)).is_ok());
    assert!(matches!(connect(&listener, peer(0)), Err(ConnectError::Refused(why)) if why == "seven alone"));
}

/// What a subscriber got of the events of a runtime that raises `events`, and what it was told was shed.
fn heard(limits: RuntimeLimits, events: u64, interest: &Interest) -> (Vec<u64>, u64) {
    let runtime = Arc::new(Runtime::start(limits).unwrap());
    runtime.register(Arc::new(Bell { events: 0 })).unwrap();
    let (_server, listener) = serve(service().events(runtime.clone()));
    let client = connect(&listener, peer(0)).unwrap();
    let mut subscription = client.subscribe(interest).unwrap();
    // An answer to a later request: the subscription has begun.
    client.ping(SOON).unwrap();
    runtime.remove("bell", SOON).unwrap();
    runtime.register(Arc::new(Bell { events })).unwrap();
    let raised = |runtime: &Runtime| runtime.sources().iter().map(|row| row.raised).sum::<u64>();
    let deadline = Instant::now() + SOON;
    while raised(&runtime) < events {
        assert!(Instant::now() < deadline, "{} of {events} events are raised", raised(&runtime));
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(runtime.shutdown(SOON).drained);
    let (mut heard, mut shed) = (Vec::new(), 0);
    while let Some(delivery) = subscription.next(SOON).unwrap() {
        assert!(Instant::now() < deadline);
        heard.extend(delivery.events.iter().map(|event| event.fields[0].1.as_int().unwrap() as u64));
        shed += delivery.shed;
    }
    (heard, shed)
}

#[test]
fn events_of_a_runtime_reach_the_subscriber_in_order_and_of_the_wanted_domains_alone() {
    let everything = Interest::default();
    assert_eq!(heard(RuntimeLimits::default(), 5000, &everything), ((0..5000).collect(), 0));
    let files = Interest { domains: vec![Domain::Filesystem], ..Interest::default() };
    let even: Vec<u64> = (0..5000).step_by(2).collect();
    assert_eq!(heard(RuntimeLimits::default(), 5000, &files), (even, 0));
}

#[test]
fn what_a_slow_subscriber_loses_is_told_to_it() {
    // Room for one batch at a time, so that most is shed on the way.
    let narrow = RuntimeLimits {
        subscriber_events_max: 100,
        batch_events_max: 100,
        source_events_max: 100_000,
        source_bytes_max: 64 << 20,
        ..RuntimeLimits::default()
    };
    let (heard, shed) = heard(narrow, 50_000, &Interest::default());
    assert_eq!(heard.len() as u64 + shed, 50_000);
    assert!(heard.is_sorted());
}

#[test]
fn a_subscription_to_what_no_source_tells_is_refused_with_the_reason() {
    let runtime = Arc::new(Runtime::start(RuntimeLimits::default()).unwrap());
    runtime.register(Arc::new(Bell { events: 0 })).unwrap();
    let (_server, listener) = serve(service().events(runtime));
    let client = connect(&listener, peer(0)).unwrap();
    let network = Interest { domains: vec![Domain::Network], ..Interest::default() };
    let refused = client.subscribe(&network).unwrap().next(SOON);
    assert!(matches!(&refused, Err(ScanError::Failed(why)) if why.contains("NETWORK")), "{refused:?}");
    let parts = client.health(SOON).unwrap();
    assert!(parts.iter().any(|part| part.name == "bell" && part.healthy), "{parts:?}");
    let query = all(&client, "event_sources");
    assert_eq!(rows(client.scan("event_sources", &query).unwrap(), &query.schema).unwrap().len(), 1);
}

#[test]
fn a_server_that_stops_tells_each_client_and_ends_its_streams() {
    let (mut server, listener) = serve(service().table(&MANY as &dyn AnyTable<i64>, Arc::new(i64::MAX)));
    let reading: Vec<_> = (0..5)
        .map(|_| {
            let client = connect(&listener, peer(0)).unwrap();
            let mut scan = client.scan("many", &all(&client, "many")).unwrap();
            assert!(scan.advance().unwrap());
            std::thread::spawn(move || {
                loop {
                    if let Err(error) = scan.advance() {
                        return error;
                    }
                }
            })
        })
        .collect();
    assert!(server.stop(SOON));
    for error in reading.into_iter().map(|scan| scan.join().unwrap()) {
        let is_named =
            matches!(&error, ScanError::Unreachable { why, .. } if why.contains("the collector stops"));
        assert!(is_named, "{error}");
    }
}

#[test]
fn a_change_is_asked_for_by_the_peer_that_the_kernel_names() {
    let service = service().admit(|_| Ok(())).act(|peer, verb, arguments| match verb {
        "greet" => Ok(format!("{} by {:?}", arguments[0].1, peer.uid)),
        _ => Err(format!("there is no `{verb}`")),
    });
    let (_server, listener) = serve(service);
    let client = connect(&listener, Peer { uid: Some(7), gid: Some(7), pid: None }).unwrap();
    assert_eq!(client.act("greet", &[("name", "Ann")], SOON).unwrap(), Ok("Ann by Some(7)".into()));
    assert_eq!(client.act("leave", &[], SOON).unwrap(), Err("there is no `leave`".into()));
}
