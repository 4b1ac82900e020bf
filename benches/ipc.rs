//! What the wire costs: a small request there and back, and a scan of 10,000 rows of 16 columns next to the same
//! bytes through a bare Unix socket. Then whole statements over 10,000 processes, here and through a collector: both
//! ends run in this process, so its CPU time is that of both.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a bench fails loudly and prints what it measured"
)]

mod support;

use std::hint::black_box;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use collector::{AnyTable, Column, Host, Row, Scan, Table, int, key, text, unique};
use ipc::{
    Bind, Client, Collectors, Endpoint, Identity, Offer, Peer, Server, ServerLimits, Service, Settings,
    SocketListener, Timing,
};
use model::{ColumnMask, Constraint, Extent, Op, Query, Run, ScanError, TableSchema, Value};
use vtables::{Engine, Here, Limits, Options, OutputColumn, Remote, Route, Sink};

const ROWS: i64 = 10_000;

/// Eight integers and eight texts, as a row of processes has them.
struct Prepared {
    n: i64,
    texts: [String; 8],
}
impl Row for Prepared {}

struct Shared(Arc<Vec<Prepared>>, usize);
impl Row for Shared {}

impl Shared {
    fn row(&self) -> &Prepared {
        &self.0[self.1]
    }
}

type Rows = Arc<Vec<Prepared>>;

const COLUMNS: &[Column<Shared>] = &[
    key(int("n0", "", |r| r.row().n.into())),
    int("n1", "", |r| (r.row().n / 2).into()),
    int("n2", "", |r| (r.row().n % 7).into()),
    int("n3", "", |r| (r.row().n * 31).into()),
    int("n4", "", |r| (r.row().n << 20).into()),
    int("n5", "", |r| (-r.row().n).into()),
    int("n6", "", |r| (r.row().n * 4096).into()),
    int("n7", "", |_| 0.into()),
    text("t0", "", |r| (&r.row().texts[0]).into()),
    text("t1", "", |r| (&r.row().texts[1]).into()),
    text("t2", "", |r| (&r.row().texts[2]).into()),
    text("t3", "", |r| (&r.row().texts[3]).into()),
    text("t4", "", |r| (&r.row().texts[4]).into()),
    text("t5", "", |r| (&r.row().texts[5]).into()),
    text("t6", "", |r| (&r.row().texts[6]).into()),
    text("t7", "", |r| (&r.row().texts[7]).into()),
];

static PREPARED: Table<Shared, Rows> = Table {
    name: "prepared",
    about: "Rows that are ready.",
    identity: unique(&["n0"]),
    extent: Extent::Whole { rows: ROWS as u32 },
    columns: COLUMNS,
    scan: |rows, query| {
        let rows = rows.clone();
        let places: Vec<i64> = match query.ints("n0") {
            Some(keys) => keys.into_iter().filter(|k| (0..ROWS).contains(k)).collect(),
            None => (0..ROWS).collect(),
        };
        Ok(Box::new(places.into_iter().map(move |n| Ok(Shared(rows.clone(), n as usize)))))
    },
    examples: &[],
};

/// The prepared rows, and the processes of a machine.
struct Collector(Rows, Host);

impl Service for Collector {
    fn identity(&self) -> Identity {
        Identity { program: "bench".into(), version: "0".into(), id: "bench".into(), name: "bench".into() }
    }

    fn peer(&self, _: &Peer) -> Result<Offer, String> {
        let tables = [AnyTable::<Rows>::schema(&PREPARED), processes().schema()];
        Ok(Offer { tables: tables.map(Arc::new).to_vec(), sources: Vec::new() })
    }

    fn open(&self, table: &str, query: &Query) -> Result<Box<dyn Scan>, ScanError> {
        match table {
            "processes" => processes().open(&self.1, query),
            _ => AnyTable::<Rows>::open(&PREPARED, &self.0, query),
        }
    }
}

fn processes() -> &'static dyn AnyTable<Host> {
    *host::TABLES.iter().find(|table| table.name() == "processes").unwrap()
}

/// A machine of so many processes, each of them like this one.
fn crowd(count: i64) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let own = |name: &str| std::fs::read(format!("/proc/self/{name}")).unwrap();
    let (stat, status, cmdline) = (String::from_utf8(own("stat")).unwrap(), own("status"), own("cmdline"));
    let (_, rest) = stat.split_once(' ').unwrap();
    for pid in 1..=count {
        let process = directory.path().join(format!("proc/{pid}"));
        std::fs::create_dir_all(&process).unwrap();
        std::fs::write(process.join("stat"), format!("{pid} {rest}")).unwrap();
        std::fs::write(process.join("status"), &status).unwrap();
        std::fs::write(process.join("cmdline"), &cmdline).unwrap();
        std::os::unix::fs::symlink("/usr/bin/something", process.join("exe")).unwrap();
    }
    for name in ["stat", "uptime", "sys/kernel/random/boot_id"] {
        let to = directory.path().join("proc").join(name);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::write(to, std::fs::read(format!("/proc/{name}")).unwrap()).unwrap();
    }
    directory
}

/// Counts rows, and looks at each value.
struct Counted(u64);

impl Sink for Counted {
    fn columns(&mut self, _: &[OutputColumn]) -> std::io::Result<()> {
        Ok(())
    }

    fn row(&mut self, values: &[Value<'_>]) -> std::io::Result<()> {
        black_box(values);
        self.0 += 1;
        Ok(())
    }
}

fn ask(engine: &mut Engine, sql: &str, rows: i64) {
    let mut counted = Counted(0);
    engine.run(sql, &Options::default(), &mut counted).unwrap();
    assert_eq!(counted.0, rows as u64);
}

/// Whole statements, in this process and through the collector at a path.
fn statements(path: &std::path::Path, prepared: &Rows, host: &Host) {
    let here: Arc<dyn Route> = Arc::new(Here::new([&PREPARED as &dyn AnyTable<Rows>], prepared.clone()));
    let machine: Arc<dyn Route> = Arc::new(Here::new([processes()], host.clone()));
    let collectors = Collectors::new([Endpoint::at(path)], Settings::default());
    assert!(collectors.refresh(&Run::unlimited()).is_empty());
    let remote: Arc<dyn Route> = Arc::new(Remote::new(collectors));
    let mut here = Engine::new(vec![here, machine], Limits::default()).unwrap();
    let mut remote = Engine::new(vec![remote], Limits::default()).unwrap();
    for (title, sql, rows) in [
        (
            "six columns of 10,000 processes",
            "SELECT pid, name, path, cmdline, uid, state FROM processes",
            ROWS,
        ),
        (
            "10 of 10,000 processes by a pattern",
            "SELECT pid, name FROM processes WHERE cmdline LIKE '%ipc%' AND pid > 9990",
            10,
        ),
        (
            "processes with their parents",
            "SELECT p.pid, q.name FROM processes p JOIN processes q ON q.pid = (p.pid + 1) / 2",
            ROWS,
        ),
        ("16 columns of 10,000 rows that are ready", "SELECT * FROM prepared", ROWS),
        ("two columns of 10,000 rows that are ready", "SELECT n1, t1 FROM prepared", ROWS),
    ] {
        support::compare(
            title,
            20,
            &mut [
                ("in this process", &mut || ask(&mut here, sql, rows)),
                ("through a collector", &mut || ask(&mut remote, sql, rows)),
            ],
        );
    }
}

fn rows() -> Rows {
    let texts = |n: i64| [0, 1, 2, 3, 4, 5, 6, 7].map(|c| format!("text {c} of row {n}"));
    Arc::new((0..ROWS).map(|n| Prepared { n, texts: texts(n) }).collect())
}

fn query(schema: &Arc<TableSchema>) -> Query {
    Query::all(schema.clone(), Run::new(Some(Duration::from_secs(30)), 1 << 30, std::time::UNIX_EPOCH))
}

/// Reads every value of every row.
fn drain(mut scan: impl Scan) -> u64 {
    let mut rows = 0;
    while scan.advance().unwrap() {
        for column in 0..COLUMNS.len() {
            black_box(scan.value(column));
        }
        rows += 1;
    }
    rows
}

/// The time of each of many turns, sorted.
fn times(turns: usize, mut turn: impl FnMut()) -> Vec<Duration> {
    (0..turns / 10).for_each(|_| turn());
    let timed = |_| {
        let began = Instant::now();
        turn();
        began.elapsed()
    };
    let mut times: Vec<Duration> = (0..turns).map(timed).collect();
    times.sort();
    times
}

fn print_times(name: &str, times: &[Duration]) {
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e6;
    println!("  {:>8.1} µs p50 {:>8.1} µs p99 {:>8.1} µs p99.9  {name}", at(0.5), at(0.99), at(0.999));
}

/// Answers each byte with so many bytes.
fn echo(listener: UnixListener, bytes: Vec<u8>) {
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = [0; 1];
        while stream.read_exact(&mut asked).is_ok() {
            stream.write_all(&bytes[..if asked[0] == 0 { 16 } else { bytes.len() }]).unwrap();
        }
    });
}

fn main() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("collector");
    let listener = SocketListener::bind(&Bind { path: path.clone(), mode: 0o600, group: None }).unwrap();
    let prepared = rows();
    let crowd = crowd(ROWS);
    let host = Host::at(crowd.path());
    let service = Arc::new(Collector(prepared.clone(), host.clone()));
    let server = Server::start(Arc::new(listener), service, ServerLimits::default()).unwrap();
    let client = Client::connect(&path, Timing::default()).unwrap();
    let schema = client.hello().table("prepared").unwrap().clone();

    let whole = query(&schema);
    let before = server.counts().bytes_sent;
    assert_eq!(drain(client.scan("prepared", &whole).unwrap()), ROWS as u64);
    let bytes = (server.counts().bytes_sent - before) as usize;

    let bare = directory.path().join("bare");
    echo(UnixListener::bind(&bare).unwrap(), vec![7; bytes]);
    let mut bare = UnixStream::connect(&bare).unwrap();

    println!("\na small request there and back, {} turns each", 10_000);
    let mut small = [0; 16];
    print_times(
        "bare socket, one thread at the other end",
        &times(10_000, || {
            bare.write_all(&[0]).unwrap();
            bare.read_exact(&mut small).unwrap();
        }),
    );
    print_times("ping", &times(10_000, || assert!(client.ping(Duration::from_secs(1)).is_ok())));
    let mut one = query(&schema);
    one.used = ColumnMask::NONE.with(0).with(8).with(9);
    one.constraints = vec![Constraint { column: 0, op: Op::Eq, values: vec![4711.into()] }];
    print_times(
        "one row by its key, three columns",
        &times(10_000, || assert_eq!(drain(client.scan("prepared", &one).unwrap()), 1)),
    );

    let mut buffer = vec![0; bytes];
    support::compare(
        &format!("{ROWS} rows × {} columns, {bytes} bytes", COLUMNS.len()),
        50,
        &mut [
            ("bare socket, the same bytes", &mut || {
                bare.write_all(&[1]).unwrap();
                bare.read_exact(&mut buffer).unwrap();
            }),
            ("scan in this process", &mut || {
                assert_eq!(
                    drain(Boxed(AnyTable::<Rows>::open(&PREPARED, &prepared, &whole).unwrap())),
                    ROWS as u64
                );
            }),
            ("scan over the socket", &mut || {
                assert_eq!(drain(client.scan("prepared", &whole).unwrap()), ROWS as u64);
            }),
        ],
    );

    statements(&path, &prepared, &host);
}

struct Boxed(Box<dyn Scan>);

impl Scan for Boxed {
    fn advance(&mut self) -> Result<bool, ScanError> {
        self.0.advance()
    }

    fn value(&self, column: usize) -> model::Value<'_> {
        self.0.value(column)
    }

    fn keep(self: Box<Self>, query: &Query) -> Result<Arc<dyn collector::Snapshot>, ScanError> {
        self.0.keep(query)
    }
}
