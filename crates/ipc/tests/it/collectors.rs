use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use collector::Scan;
use ipc::{
    BackoffSettings, BreakerSettings, BreakerState, Clock, Collectors, Endpoint, Peer, PipeListener, Server,
    ServerLimits, Settings, Transport,
};
use model::{Constraint, Op, Query, ScanError};

use crate::support::{Laboratory, ME, NUMBERS_ROWS, SOON, rows, run, wait_until};

/// A collector that can be started, stopped and frozen.
struct Plant {
    name: String,
    tables: Vec<&'static str>,
    limits: ServerLimits,
    listener: Arc<Mutex<Option<Arc<PipeListener>>>>,
    frozen: Arc<AtomicBool>,
    server: Option<Server>,
}

impl Plant {
    fn new(name: &str, tables: &[&'static str]) -> Plant {
        let mut plant = Plant {
            name: name.into(),
            tables: tables.to_vec(),
            limits: ServerLimits::default(),
            listener: Arc::default(),
            frozen: Arc::default(),
            server: None,
        };
        plant.start();
        plant
    }

    fn start(&mut self) {
        let listener = Arc::new(PipeListener::new());
        let service = Laboratory { tables: self.tables.clone(), ..Laboratory::new(&self.name) };
        self.server = Some(Server::start(listener.clone(), Arc::new(service), self.limits).unwrap());
        *self.listener.lock().unwrap() = Some(listener);
    }

    fn stop(&mut self) {
        *self.listener.lock().unwrap() = None;
        assert!(self.server.take().unwrap().stop(SOON));
    }

    fn endpoint(&self) -> Endpoint {
        let (listener, frozen) = (self.listener.clone(), self.frozen.clone());
        Endpoint::new(format!("pipe of {}", self.name), move || {
            let listener = listener.lock().unwrap().clone();
            let stream = listener.ok_or(io::ErrorKind::ConnectionRefused)?.connect(ME)?;
            Ok(Arc::new(Freezer { stream, frozen: frozen.clone() }))
        })
    }
}

/// A stream whose other end can be stopped as SIGSTOP stops a process: it takes what fits, and says nothing.
struct Freezer {
    stream: Arc<dyn Transport>,
    frozen: Arc<AtomicBool>,
}

impl Transport for Freezer {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer);
        if self.frozen.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(10));
            return Err(io::ErrorKind::TimedOut.into());
        }
        read
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        if self.frozen.load(Ordering::Relaxed) { Ok(bytes.len()) } else { self.stream.write(bytes) }
    }

    fn takes_more(&self) -> bool {
        self.stream.takes_more()
    }

    fn set_timeouts(&self, read: Duration, write: Duration) -> io::Result<()> {
        self.stream.set_timeouts(read, write)
    }

    fn peer(&self) -> io::Result<Peer> {
        self.stream.peer()
    }

    fn shutdown(&self) {
        self.stream.shutdown();
    }
}

/// A clock that moves when it is told, and whose random times are half of the most.
#[derive(Default)]
struct Hand(Mutex<Duration>);

impl Hand {
    fn wait(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }
}

impl Clock for Hand {
    fn now(&self) -> Duration {
        *self.0.lock().unwrap()
    }

    fn random(&self, most: Duration) -> Duration {
        most / 2
    }
}

fn of(plants: &[&Plant]) -> Collectors {
    Collectors::new(plants.iter().map(|p| p.endpoint()), Settings::default())
}

fn query(collectors: &Collectors, table: &str) -> Query {
    let schema = collectors.tables().into_iter().find(|t| t.name == table).unwrap();
    Query::all(schema, run(SOON))
}

fn count_rows(collectors: &Collectors, table: &str) -> Result<usize, ScanError> {
    let query = query(collectors, table);
    rows(collectors.scan(table, &query)?, &query.schema).map(|rows| rows.len())
}

#[test]
fn tables_of_all_collectors_are_one_list_and_each_is_scanned_where_it_is() {
    let (a, b) = (Plant::new("a", &["numbers", "odd"]), Plant::new("b", &["numbers", "wide"]));
    let collectors = of(&[&a, &b]);
    assert!(collectors.tables().is_empty());
    assert!(collectors.refresh(&run(SOON)).is_empty());
    let tables = collectors.tables();
    assert_eq!(tables.iter().map(|t| t.name.as_ref()).collect::<Vec<_>>(), ["numbers", "odd", "wide"]);
    assert_eq!(collectors.serving(&tables[0]), ["a", "b"]);
    assert_eq!(count_rows(&collectors, "odd"), Ok(50));
    assert_eq!(
        collectors.scan("wide", &query(&collectors, "wide")).unwrap().collector().as_deref(),
        Some("b")
    );
}

#[test]
fn a_table_whose_collector_is_away_names_it_and_others_go_on() {
    let (mut a, b) = (Plant::new("a", &["odd"]), Plant::new("b", &["numbers"]));
    let collectors = of(&[&a, &b]);
    collectors.refresh(&run(SOON));
    a.stop();
    let away = count_rows(&collectors, "odd").unwrap_err();
    assert!(matches!(&away, ScanError::Unreachable { collector, .. } if collector == "a"), "{away}");
    assert_eq!(count_rows(&collectors, "numbers"), Ok(NUMBERS_ROWS as usize));
    let trouble = collectors.refresh(&run(SOON));
    assert_eq!(trouble.len(), 1);
    assert_eq!(trouble[0].0, "a");
    // What it said before is still known.
    assert_eq!(collectors.tables().len(), 2);
}

#[test]
fn a_collector_that_was_started_again_is_used_again() {
    let mut a = Plant::new("a", &["numbers"]);
    let collectors = of(&[&a]);
    collectors.refresh(&run(SOON));
    for _ in 0..3 {
        assert_eq!(count_rows(&collectors, "numbers"), Ok(NUMBERS_ROWS as usize));
        a.stop();
        a.start();
    }
    assert_eq!(count_rows(&collectors, "numbers"), Ok(NUMBERS_ROWS as usize));
    a.stop();
    assert!(count_rows(&collectors, "numbers").is_err());
    a.start();
    assert_eq!(count_rows(&collectors, "numbers"), Ok(NUMBERS_ROWS as usize));
}

#[test]
fn scans_go_to_the_collector_with_less_to_do() {
    let (a, b) = (Plant::new("a", &["endless"]), Plant::new("b", &["endless"]));
    let collectors = of(&[&a, &b]);
    collectors.refresh(&run(SOON));
    let query = query(&collectors, "endless");
    let scans: Vec<_> = (0..6).map(|_| collectors.scan("endless", &query).unwrap()).collect();
    let at_a = scans.iter().filter(|scan| scan.collector().as_deref() == Some("a")).count();
    assert_eq!(at_a, 3);
    assert_eq!(collectors.status().iter().map(|s| s.in_flight).collect::<Vec<_>>(), [3, 3]);
}

#[test]
fn a_scan_without_a_row_goes_to_another_collector_and_one_with_a_row_ends_with_an_error() {
    let (mut a, b) = (Plant::new("a", &["endless"]), Plant::new("b", &["endless"]));
    let collectors = of(&[&a, &b]);
    collectors.refresh(&run(SOON));
    let query = query(&collectors, "endless");
    let mut scans: Vec<_> = (0..2).map(|_| collectors.scan("endless", &query).unwrap()).collect();
    scans.sort_by_key(|scan| scan.collector());
    // No row of these is sent in the first second.
    let mut later = query.clone();
    later.constraints = vec![Constraint { column: 0, op: Op::Ge, values: vec![1000.into()] }];
    let mut other: Vec<_> = (0..2).map(|_| collectors.scan("endless", &later).unwrap()).collect();
    other.sort_by_key(|scan| scan.collector());
    assert_eq!(other[0].collector().as_deref(), Some("a"));
    assert!(scans[0].advance().unwrap());
    a.stop();
    let lost = loop {
        match scans[0].advance() {
            Ok(more) => assert!(more),
            Err(error) => break error,
        }
    };
    assert!(matches!(&lost, ScanError::Unreachable { collector, .. } if collector == "a"), "{lost}");
    assert!(other[0].advance().unwrap());
    assert_eq!(other[0].collector().as_deref(), Some("b"));
    for _ in 0..5 {
        assert!(collectors.scan("endless", &query).unwrap().advance().unwrap());
    }
}

#[test]
fn a_collector_that_has_too_much_to_do_is_relieved_by_another() {
    let mut a = Plant::new("a", &["numbers"]);
    a.stop();
    // A queue without room: every scan is turned away.
    a.limits.scans_waiting_max = 0;
    a.start();
    let b = Plant::new("b", &["numbers"]);
    let both = of(&[&a, &b]);
    both.refresh(&run(SOON));
    for _ in 0..4 {
        assert_eq!(count_rows(&both, "numbers"), Ok(NUMBERS_ROWS as usize));
    }
    let status = both.status();
    assert!(status[0].counts.busy > 0 && status[0].counts.failed_over == status[0].counts.busy);
    // To be busy is no failure.
    assert_eq!(status[0].breaker, BreakerState::Closed);
    let alone = of(&[&a]);
    alone.refresh(&run(SOON));
    let busy = count_rows(&alone, "numbers").unwrap_err();
    assert_eq!(busy, ScanError::Failed("the collector a is busy: too many scans wait".into()));
}

#[test]
fn a_stopped_collector_is_given_up_in_under_a_second_and_trips_its_breaker() {
    let a = Plant::new("a", &["endless", "numbers"]);
    let clock = Arc::new(Hand::default());
    let settings = Settings {
        breaker: BreakerSettings { failures_max: 2, open_for: Duration::from_secs(60) },
        backoff: BackoffSettings { first: Duration::ZERO, ..BackoffSettings::default() },
        ..Settings::default()
    };
    let collectors = Collectors::with_clock([a.endpoint()], settings, clock.clone());
    collectors.refresh(&run(SOON));
    let query = query(&collectors, "endless");
    let mut scan = collectors.scan("endless", &query).unwrap();
    assert!(scan.advance().unwrap());
    a.frozen.store(true, Ordering::Relaxed);
    let began = Instant::now();
    let lost = loop {
        match scan.advance() {
            Ok(more) => assert!(more),
            Err(error) => break error,
        }
    };
    let took = began.elapsed();
    println!("a stopped collector was given up after {took:?}");
    assert!(matches!(&lost, ScanError::Unreachable { collector, .. } if collector == "a"), "{lost}");
    assert!(took < SOON / 4);
    assert!(count_rows(&collectors, "numbers").is_err());
    // Now it is not even asked.
    let held_back = count_rows(&collectors, "numbers").unwrap_err();
    assert!(held_back.to_string().ends_with("it is tried again in 60000 ms"), "{held_back}");
    let status = &collectors.status()[0];
    assert_eq!((status.breaker, status.counts.opened, status.counts.held_back), (BreakerState::Open, 1, 1));
    a.frozen.store(false, Ordering::Relaxed);
    clock.wait(Duration::from_secs(60));
    assert_eq!(collectors.status()[0].breaker, BreakerState::HalfOpen);
    assert_eq!(count_rows(&collectors, "numbers"), Ok(NUMBERS_ROWS as usize));
    assert_eq!(collectors.status()[0].breaker, BreakerState::Closed);
}

#[test]
fn a_cancelled_query_does_not_wait_for_a_collector_that_does_not_answer() {
    let a = Plant::new("a", &["numbers"]);
    let collectors = of(&[&a]);
    collectors.refresh(&run(SOON));
    a.frozen.store(true, Ordering::Relaxed);
    let query = query(&collectors, "numbers");
    let canceller = query.run.clone();
    let mut scan = collectors.scan("numbers", &query).unwrap();
    let cancel = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        canceller.cancel();
    });
    assert_eq!(scan.advance(), Err(ScanError::Stopped(model::Stop::Cancelled)));
    cancel.join().unwrap();
}

#[test]
fn tries_to_connect_are_spaced_and_a_far_one_is_not_waited_for() {
    let mut a = Plant::new("a", &["numbers"]);
    let clock = Arc::new(Hand::default());
    let settings = Settings {
        breaker: BreakerSettings { failures_max: u32::MAX, open_for: Duration::ZERO },
        backoff: BackoffSettings {
            first: Duration::from_secs(10),
            most: Duration::from_secs(40),
            waited_for_max: Duration::from_millis(1),
        },
        ..Settings::default()
    };
    let collectors = Collectors::with_clock([a.endpoint()], settings, clock.clone());
    collectors.refresh(&run(SOON));
    a.stop();
    let waits: Vec<u64> = (0..4)
        .map(|_| {
            assert!(count_rows(&collectors, "numbers").is_err());
            let said = count_rows(&collectors, "numbers").unwrap_err().to_string();
            let ms = said.rsplit(' ').nth(1).unwrap().parse().unwrap();
            clock.wait(Duration::from_millis(ms));
            ms
        })
        .collect();
    assert_eq!(waits, [5000, 10_000, 20_000, 20_000]);
    a.start();
    assert_eq!(count_rows(&collectors, "numbers"), Ok(NUMBERS_ROWS as usize));
}

#[test]
fn many_scans_share_few_connections() {
    let mut a = Plant::new("a", &["endless"]);
    a.stop();
    a.limits.scans_at_once_max = 40;
    a.start();
    let collectors = of(&[&a]);
    collectors.refresh(&run(SOON));
    let query = query(&collectors, "endless");
    let mut scans: Vec<_> = (0..30).map(|_| collectors.scan("endless", &query).unwrap()).collect();
    for scan in &mut scans {
        assert!(scan.advance().unwrap());
    }
    assert_eq!(collectors.status()[0].connections, 4);
    drop(scans);
    wait_until("all are over", || a.server.as_ref().unwrap().counts().scans_now == 0);
}

#[test]
fn a_table_with_other_columns_is_not_taken_for_the_same() {
    let (a, b) = (Plant::new("a", &["numbers"]), Plant::new("b", &["odd"]));
    let collectors = of(&[&a, &b]);
    collectors.refresh(&run(SOON));
    let mut query = query(&collectors, "odd");
    let mut other = (*query.schema).clone();
    other.columns[1].name = "another".into();
    query.schema = Arc::new(other);
    let refused = collectors.scan("odd", &query).err().unwrap();
    assert_eq!(refused, ScanError::Failed("no collector serves the table odd with these columns".into()));
}
