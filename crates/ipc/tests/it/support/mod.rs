pub(crate) mod raw;

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, UNIX_EPOCH};

use collector::{AnyTable, Row, Scan, Table, blob, int, key, pattern, real, repeated, text, unique};
use ipc::{
    Client, Delivery, EventStream, FrameError, Health, Identity, Interest, Offer, Peer, PipeListener, Server,
    ServerLimits, Service, SourceFacts, Timing,
};
use model::{Capabilities, Domain, Extent, Query, Run, ScanError, TableSchema, Value};

/// How long a test waits for what must come.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// What the tables of the laboratory are about, and what was done with them.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) rows: AtomicU64,
    pub(crate) late_reads: AtomicU64,
    pub(crate) stopped: AtomicU64,
    pub(crate) ended: Mutex<Vec<String>>,
}

pub(crate) struct Number {
    n: i64,
    seen: Arc<Seen>,
}
impl Row for Number {}

/// The rows of `numbers`.
pub(crate) const NUMBERS_ROWS: i64 = 5000;

static NUMBERS: Table<Number, Arc<Seen>> = Table {
    name: "numbers",
    about: "Numbers, and what can be made of them.",
    identity: unique(&["n", "name"]),
    extent: Extent::Whole { rows: NUMBERS_ROWS as u32 },
    columns: &[
        key(int("n", "The number.", |r| r.n.into())),
        pattern(text("name", "Its name.", |r| format!("number {}", r.n).into())),
        real("half", "Half of it; unknown for odd ones.", |r| {
            (r.n % 2 == 0).then_some(r.n as f64 / 2.0).into()
        }),
        blob("raw", "Its lowest byte.", |r| Value::Blob(Cow::Owned(vec![r.n as u8]))),
        text("late", "What is dear to read.", |r| {
            r.seen.late_reads.fetch_add(1, Ordering::Relaxed);
            "x".repeat((r.n % 50) as usize).into()
        }),
    ],
    scan: |seen, query| {
        let seen = seen.clone();
        let run = query.run.clone();
        run.note_many("numbers", "half", "odd numbers have no half", 3);
        Ok(Box::new((0..NUMBERS_ROWS).map(move |n| {
            seen.rows.fetch_add(1, Ordering::Relaxed);
            Ok(Number { n, seen: seen.clone() })
        })))
    },
    examples: &["SELECT n FROM numbers WHERE n < 3"],
};

/// Endless: a row every millisecond, until it is stopped.
static ENDLESS: Table<Number, Arc<Seen>> = Table {
    name: "endless",
    about: "Numbers without an end.",
    identity: repeated(&["n"]),
    extent: Extent::PerKey { keys: 1, rows: 1 },
    columns: &[key(int("n", "The number.", |r| r.n.into()))],
    scan: |seen, query| {
        let (seen, run) = (seen.clone(), query.run.clone());
        Ok(Box::new((0..).map(move |n| {
            std::thread::sleep(Duration::from_millis(1));
            if let Err(stop) = run.check() {
                seen.stopped.fetch_add(1, Ordering::Relaxed);
                return Err(stop.into());
            }
            Ok(Number { n, seen: seen.clone() })
        })))
    },
    examples: &[],
};

/// A row that arrives, and another that never does until the scan is stopped.
static SILENT: Table<Number, Arc<Seen>> = Table {
    name: "silent",
    about: "One number, then nothing.",
    identity: unique(&["n"]),
    extent: Extent::Whole { rows: 1 },
    columns: &[key(int("n", "The number.", |r| r.n.into()))],
    scan: |seen, query| {
        let (seen, run) = (seen.clone(), query.run.clone());
        Ok(Box::new((0..).map(move |n| {
            if n == 0 {
                return Ok(Number { n, seen: seen.clone() });
            }
            loop {
                std::thread::sleep(Duration::from_millis(5));
                if let Err(stop) = run.check() {
                    seen.stopped.fetch_add(1, Ordering::Relaxed);
                    return Err(stop.into());
                }
            }
        })))
    },
    examples: &[],
};

static BROKEN: Table<Number, Arc<Seen>> = Table {
    name: "broken",
    about: "Cannot be read.",
    identity: unique(&["n"]),
    extent: Extent::Whole { rows: 1 },
    columns: &[key(int("n", "The number.", |r| r.n.into()))],
    scan: |_, query| match query.ints("n").as_deref() {
        Some([1]) => panic!("a table that panics"),
        _ => Err(ScanError::Failed("the disk is on fire".into())),
    },
    examples: &[],
};

/// Bytes of one value of `wide`.
pub(crate) const WIDE_BYTES: usize = 100 << 10;

static WIDE: Table<Number, Arc<Seen>> = Table {
    name: "wide",
    about: "Large values; that of row 7 is larger than a frame.",
    identity: unique(&["n"]),
    extent: Extent::Whole { rows: 8 },
    columns: &[
        key(int("n", "The number.", |r| r.n.into())),
        text("text", "A large text.", |r| vec![b'w'; if r.n == 7 { 40 << 20 } else { WIDE_BYTES }].into()),
    ],
    scan: |seen, _| {
        let seen = seen.clone();
        Ok(Box::new((0..8).map(move |n| Ok(Number { n, seen: seen.clone() }))))
    },
    examples: &[],
};

/// A column of every class, whatever its type says.
static ODD: Table<Number, Arc<Seen>> = Table {
    name: "odd",
    about: "Values of odd classes.",
    identity: unique(&["n"]),
    extent: Extent::Whole { rows: 50 },
    columns: &[
        key(int("n", "The number.", |r| r.n.into())),
        int("any", "A value of any class.", |r| match r.n % 5 {
            0 => Value::Null,
            1 => r.n.into(),
            2 => (r.n as f64 / 3.0).into(),
            3 => Value::Text(Cow::Owned(vec![0xff, r.n as u8])),
            _ => Value::Blob(Cow::Owned(vec![0, r.n as u8])),
        }),
    ],
    scan: |seen, _| {
        let seen = seen.clone();
        Ok(Box::new((0..50).map(move |n| Ok(Number { n, seen: seen.clone() }))))
    },
    examples: &[],
};

pub(crate) static TABLES: [&dyn AnyTable<Arc<Seen>>; 6] = [&BROKEN, &ENDLESS, &NUMBERS, &ODD, &SILENT, &WIDE];

/// A collector whose tables are those above.
pub(crate) struct Laboratory {
    pub(crate) name: String,
    pub(crate) seen: Arc<Seen>,
    pub(crate) refuse_uid: Option<u32>,
    pub(crate) tables: Vec<&'static str>,
}

impl Laboratory {
    pub(crate) fn new(name: &str) -> Laboratory {
        let tables = TABLES.iter().map(|t| t.name()).collect();
        Laboratory { name: name.into(), seen: Arc::default(), refuse_uid: None, tables }
    }
}

impl Service for Laboratory {
    fn identity(&self) -> Identity {
        Identity {
            program: "laboratory".into(),
            version: "1.2.3".into(),
            id: format!("id of {}", self.name),
            name: self.name.clone(),
        }
    }

    fn peer(&self, peer: &Peer) -> Result<Offer, String> {
        if peer.uid.is_some() && peer.uid == self.refuse_uid {
            return Err(format!("{peer} is not allowed"));
        }
        let offered = TABLES.iter().filter(|t| self.tables.contains(&t.name()));
        let source = SourceFacts {
            name: "clock".into(),
            domain: Some(Domain::Performance),
            capabilities: Capabilities::PERFORMANCE | Capabilities::REALTIME,
        };
        Ok(Offer { tables: offered.map(|t| Arc::new(t.schema())).collect(), sources: vec![source] })
    }

    fn open(&self, table: &str, query: &Query) -> Result<Box<dyn Scan>, ScanError> {
        TABLES.iter().find(|t| t.name() == table).unwrap().open(&self.seen, query)
    }

    fn subscribe(&self, interest: &Interest) -> Result<Box<dyn EventStream>, String> {
        if interest.domains == [Domain::Network] {
            return Err("there is no network here".into());
        }
        Ok(Box::new(Clock(0)))
    }

    fn health(&self) -> Vec<Health> {
        vec![Health { name: "clock".into(), healthy: true, detail: "ticks".into() }]
    }

    fn ended(&self, _: &Peer, error: &FrameError) {
        self.seen.ended.lock().unwrap().push(error.to_string());
    }
}

/// Ten events, of which one was shed before each.
struct Clock(u64);

pub(crate) fn tick(n: u64) -> model::Event {
    model::Event {
        source: "clock".into(),
        sequence: 2 * n,
        domain: Domain::Performance,
        kind: "tick".into(),
        time_ns: -5 + n as i64,
        fields: vec![("n".into(), (n as i64).into()), ("raw".into(), Value::Blob(vec![n as u8].into()))],
    }
}

impl EventStream for Clock {
    fn next(&mut self, _: usize, _: Duration) -> Option<Delivery> {
        self.0 += 1;
        (self.0 <= 10).then(|| Delivery { events: vec![tick(self.0)], shed: 1 })
    }
}

/// A server of a laboratory over pipes.
pub(crate) struct Bench {
    pub(crate) server: Server,
    pub(crate) listener: Arc<PipeListener>,
    pub(crate) seen: Arc<Seen>,
}

pub(crate) const ME: Peer = Peer { uid: Some(1000), gid: Some(1000), pid: Some(1) };

impl Bench {
    pub(crate) fn start(limits: ServerLimits) -> Bench {
        Bench::of(Laboratory::new("laboratory"), limits)
    }

    pub(crate) fn of(service: Laboratory, limits: ServerLimits) -> Bench {
        let listener = Arc::new(PipeListener::new());
        let seen = service.seen.clone();
        let server = Server::start(listener.clone(), Arc::new(service), limits).unwrap();
        Bench { server, listener, seen }
    }

    pub(crate) fn client(&self) -> Client {
        Client::over(self.listener.connect(ME).unwrap(), Timing::default()).unwrap()
    }
}

/// A query for everything in a table.
pub(crate) fn all(client: &Client, table: &str) -> Query {
    Query::all(client.hello().table(table).unwrap().clone(), run(SOON))
}

pub(crate) fn run(time: Duration) -> Run {
    Run::new(Some(time), 1 << 30, UNIX_EPOCH + Duration::from_secs(1_700_000_000))
}

/// The values of all columns of all rows.
pub(crate) fn rows(mut scan: impl Scan, schema: &TableSchema) -> Result<Vec<Vec<Value<'static>>>, ScanError> {
    let mut rows = Vec::new();
    while scan.advance()? {
        rows.push((0..schema.columns.len()).map(|c| scan.value(c).into_owned()).collect());
    }
    Ok(rows)
}

/// Waits until something is so.
pub(crate) fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < SOON, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
