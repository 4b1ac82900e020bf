use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use collector::Scan;
use ipc::{Client, ConnectError, Interest, Server, ServerLimits, Timing};
use model::{ColumnMask, Constraint, Domain, Op, Query, ScanError, Stop, Value};

use crate::support::{
    Bench, Laboratory, ME, NUMBERS_ROWS, SOON, Seen, TABLES, WIDE_BYTES, all, rows, run, tick, wait_until,
};

/// The rows of a table when it is scanned here.
fn here(table: &str, query: &Query) -> Vec<Vec<Value<'static>>> {
    let table = TABLES.iter().find(|t| t.name() == table).unwrap();
    let seen: Arc<Seen> = Arc::default();
    let mut scan = table.open(&seen, query).unwrap();
    let mut rows = Vec::new();
    while scan.advance().unwrap() {
        rows.push((0..query.schema.columns.len()).map(|c| scan.value(c).into_owned()).collect());
    }
    rows
}

/// A query whose first row is sent by itself.
fn one(client: &Client, table: &str) -> Query {
    Query { rows_wanted: Some(1), ..all(client, table) }
}

#[test]
fn the_rows_of_a_scan_are_those_that_the_table_gives_here() {
    let bench = Bench::start(ServerLimits::default());
    let client = bench.client();
    for table in ["numbers", "odd"] {
        let query = all(&client, table);
        let remote = rows(client.scan(table, &query).unwrap(), &query.schema).unwrap();
        assert_eq!(remote, here(table, &query));
        let kept = Box::new(client.scan(table, &query).unwrap()).keep(&query).unwrap();
        let kept: Vec<Vec<_>> = (0..kept.len())
            .map(|row| (0..query.schema.columns.len()).map(|c| kept.value(row, c).into_owned()).collect())
            .collect();
        assert_eq!(kept, remote);
        assert!(query.run.held() > 0);
    }
}

#[test]
fn what_is_kept_after_a_few_rows_is_the_rest() {
    let bench = Bench::start(ServerLimits::default());
    let client = bench.client();
    let query = all(&client, "numbers");
    for given in [1, 5, 128, 129, 1200] {
        let mut scan = Box::new(client.scan("numbers", &query).unwrap());
        for _ in 0..given {
            assert!(scan.advance().unwrap());
        }
        let kept = scan.keep(&query).unwrap();
        assert_eq!(kept.len() as i64, NUMBERS_ROWS - given);
        assert_eq!(kept.value(0, 0), Value::Int(given));
        assert_eq!(kept.value(kept.len() - 1, 0), Value::Int(NUMBERS_ROWS - 1));
        assert_eq!(kept.value(kept.len(), 0), Value::Null);
    }
}

#[test]
fn a_schema_arrives_whole() {
    let bench = Bench::start(ServerLimits::default());
    let client = bench.client();
    let ours: Vec<_> = TABLES.iter().map(|t| format!("{:?}", t.schema())).collect();
    let theirs: Vec<_> = client.tables().iter().map(|t| format!("{t:?}")).collect();
    assert_eq!(theirs, ours);
    let hello = client.hello();
    assert_eq!(
        (hello.collector_name.as_str(), hello.collector_id.as_str()),
        ("laboratory", "id of laboratory")
    );
    assert_eq!(hello.sources[0].domain, Some(Domain::Performance));
}

#[test]
fn only_wanted_rows_and_columns_travel_and_a_refused_row_is_read_no_further() {
    let bench = Bench::start(ServerLimits::default());
    let client = bench.client();
    let mut query = all(&client, "numbers");
    query.used = ColumnMask::NONE.with(1).with(4);
    query.constraints = vec![
        Constraint { column: 4, op: Op::Like, values: vec!["xx%".into()] },
        Constraint { column: 0, op: Op::Lt, values: vec![10.into()] },
    ];
    let found = rows(client.scan("numbers", &query).unwrap(), &query.schema).unwrap();
    assert_eq!(found.len(), 8);
    assert_eq!(found[0][1], "number 2".into());
    assert_eq!((&found[0][0], &found[0][2]), (&Value::Null, &Value::Null));
    assert_eq!(bench.server.counts().rows_sent, 8);
    assert_eq!(bench.server.counts().rows_read, NUMBERS_ROWS as u64);
    // Ten to be compared, eight of them once more to be sent.
    assert_eq!(bench.seen.late_reads.load(Ordering::Relaxed), 18);
}

#[test]
fn no_column_at_all_still_counts_rows() {
    let bench = Bench::start(ServerLimits::default());
    let client = bench.client();
    let mut query = all(&client, "numbers");
    query.used = ColumnMask::NONE;
    let kept = Box::new(client.scan("numbers", &query).unwrap()).keep(&query).unwrap();
    assert_eq!(kept.len() as i64, NUMBERS_ROWS);
}

#[test]
fn who_wants_few_rows_makes_the_table_read_few() {
    let bench = Bench::start(ServerLimits::default());
    let client = bench.client();
    let mut query = all(&client, "numbers");
    query.rows_wanted = Some(10);
    let mut scan = client.scan("numbers", &query).unwrap();
    for _ in 0..10 {
        assert!(scan.advance().unwrap());
    }
    assert_eq!(bench.seen.rows.load(Ordering::Relaxed), 10);
    // And may have more when it was not enough.
    let mut more = 10;
    while scan.advance().unwrap() {
        more += 1;
    }
    assert_eq!(more, NUMBERS_ROWS);
}

#[test]
fn a_reader_that_rests_lets_the_table_rest() {
    let bench = Bench::start(ServerLimits::default());
    let client = bench.client();
    let query = all(&client, "endless");
    let mut scan = client.scan("endless", &query).unwrap();
    assert!(scan.advance().unwrap());
    // All that was granted was sent, and then nothing.
    wait_until("four batches are sent", || bench.server.counts().batches_sent == 4);
    assert!(client.held() < 1 << 20);
    assert!(scan.advance().unwrap());
}

#[test]
fn what_could_not_be_seen_there_is_noted_here() {
    let bench = Bench::start(ServerLimits::default());
    let client = bench.client();
    let query = all(&client, "numbers");
    let mut scan = client.scan("numbers", &query).unwrap();
    assert!(scan.advance().unwrap());
    // Before the end: a statement with a LIMIT never gets there.
    let notes = query.run.notes();
    assert_eq!(notes.len(), 1);
    assert_eq!((notes[0].column.as_str(), notes[0].count), ("half", 3));
    while scan.advance().unwrap() {}
    assert_eq!(query.run.notes()[0].count, 3);
}

#[test]
fn a_cancelled_query_answers_soon_and_stops_the_scan_there() {
    let bench = Bench::start(ServerLimits::default());
    let client = bench.client();
    let query = one(&client, "silent");
    let mut scan = client.scan("silent", &query).unwrap();
    assert!(scan.advance().unwrap());
    let canceller = query.run.clone();
    let cancel = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        canceller.cancel();
    });
    assert_eq!(scan.advance(), Err(ScanError::Stopped(Stop::Cancelled)));
    cancel.join().unwrap();
    drop(scan);
    wait_until("the table is told", || bench.seen.stopped.load(Ordering::Relaxed) == 1);
    wait_until("the scan is over", || bench.server.counts().scans_now == 0);
    assert_eq!(bench.server.counts().cancelled, 1);
    // The connection is as good as before.
    assert!(client.ping(SOON).is_ok());
}

#[test]
fn a_deadline_ends_a_scan_in_the_words_of_its_statement() {
    let bench = Bench::start(ServerLimits::default());
    let client = bench.client();
    let mut query = one(&client, "silent");
    let limit = Duration::from_millis(150);
    query.run = run(limit);
    let mut scan = client.scan("silent", &query).unwrap();
    assert!(scan.advance().unwrap());
    assert_eq!(scan.advance(), Err(ScanError::Stopped(Stop::Deadline(limit))));
}

#[test]
fn a_client_that_vanishes_stops_its_scans() {
    let bench = Bench::start(ServerLimits::default());
    let client = bench.client();
    let query = one(&client, "silent");
    let mut scan = client.scan("silent", &query).unwrap();
    assert!(scan.advance().unwrap());
    // So that the table is at work, and not waiting to be asked.
    let asked = Query { rows_wanted: None, ..query };
    let other = client.scan("silent", &asked).unwrap();
    wait_until("both run", || bench.server.counts().scans_now == 2);
    // Neither a Cancel nor a word: the end of its stream, as after kill -9.
    client.abandon();
    wait_until("the table is told", || bench.seen.stopped.load(Ordering::Relaxed) == 1);
    wait_until("both scans are over", || bench.server.counts().scans_now == 0);
    drop(other);
    wait_until("the connection is gone", || bench.server.counts().connections_now == 0);
}

#[test]
fn a_table_that_fails_or_panics_fails_one_scan() {
    let bench = Bench::start(ServerLimits::default());
    let client = bench.client();
    let mut query = all(&client, "broken");
    let failed = rows(client.scan("broken", &query).unwrap(), &query.schema).unwrap_err();
    assert_eq!(failed, ScanError::Failed("the disk is on fire".into()));
    query.constraints = vec![Constraint { column: 0, op: Op::Eq, values: vec![1.into()] }];
    let panicked = rows(client.scan("broken", &query).unwrap(), &query.schema).unwrap_err();
    assert_eq!(panicked, ScanError::Failed("the table broken failed within the collector".into()));
    assert_eq!((bench.server.counts().failed, bench.server.counts().panicked), (1, 1));
    assert!(client.ping(SOON).is_ok());
}

#[test]
fn large_rows_travel_and_one_larger_than_a_frame_is_an_error() {
    let bench = Bench::start(ServerLimits::default());
    let client = bench.client();
    let query = all(&client, "wide");
    let mut scan = client.scan("wide", &query).unwrap();
    for _ in 0..7 {
        assert!(scan.advance().unwrap());
        assert_eq!(scan.value(1).as_text().map(<[u8]>::len), Some(WIDE_BYTES));
    }
    let Err(ScanError::Failed(why)) = scan.advance() else { panic!("it is too large") };
    assert!(why.starts_with("a row of wide is larger than"), "{why}");
}

#[test]
fn scans_that_are_interleaved_keep_apart() {
    let bench = Bench::start(ServerLimits::default());
    let client = bench.client();
    let query = all(&client, "numbers");
    let mut scans: Vec<_> = (0..5).map(|_| client.scan("numbers", &query).unwrap()).collect();
    for n in 0..NUMBERS_ROWS {
        for scan in &mut scans {
            assert!(scan.advance().unwrap());
            assert_eq!(scan.value(0), Value::Int(n));
        }
    }
    assert!(scans.iter_mut().all(|scan| !scan.advance().unwrap()));
    std::thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| {
                let found = rows(client.scan("numbers", &query).unwrap(), &query.schema).unwrap();
                assert_eq!(found.len() as i64, NUMBERS_ROWS);
            });
        }
    });
}

#[test]
fn a_table_that_was_not_offered_is_not_there() {
    let mut service = Laboratory::new("laboratory");
    service.tables = vec!["numbers"];
    let bench = Bench::of(service, ServerLimits::default());
    let client = bench.client();
    assert_eq!(client.tables().len(), 1);
    let query = all(&client, "numbers");
    assert!(matches!(client.scan("endless", &query), Err(ScanError::Failed(_))));
}

#[test]
fn who_is_refused_is_told_why() {
    let mut service = Laboratory::new("laboratory");
    service.refuse_uid = ME.uid;
    let bench = Bench::of(service, ServerLimits::default());
    let refused = Client::over(bench.listener.connect(ME).unwrap(), Timing::default()).err().unwrap();
    assert!(matches!(&refused, ConnectError::Refused(_)));
    assert_eq!(refused.to_string(), "refused: uid 1000, gid 1000, pid 1 is not allowed");
    assert_eq!(bench.server.counts().refused, 1);
}

#[test]
fn events_arrive_in_order_with_what_was_shed() {
    let bench = Bench::start(ServerLimits::default());
    let client = bench.client();
    let mut events = client.subscribe(&Interest::default()).unwrap();
    let (mut got, mut shed) = (Vec::new(), 0);
    while let Some(delivery) = events.next(SOON).unwrap() {
        got.extend(delivery.events);
        shed += delivery.shed;
    }
    assert_eq!(got, (1..=10).map(tick).collect::<Vec<_>>());
    assert_eq!(shed, 10);
    let network = Interest { domains: vec![Domain::Network], sources: Vec::new() };
    let refused = client.subscribe(&network).unwrap().next(SOON).unwrap_err();
    assert_eq!(refused, ScanError::Failed("there is no network here".into()));
    let other = Interest { domains: Vec::new(), sources: vec!["secret".into()] };
    let refused = client.subscribe(&other).unwrap().next(SOON).unwrap_err();
    assert_eq!(refused, ScanError::Failed("this collector offers no event source secret".into()));
    assert_eq!(client.health(SOON).unwrap()[0].detail, "ticks");
}

#[test]
fn a_socket_serves_and_tells_who_asks() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let bind = ipc::Bind { path: path.clone(), mode: 0o660, group: None };
    let listener = Arc::new(ipc::SocketListener::bind(&bind).unwrap());
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o660);
    let mut server =
        Server::start(listener.clone(), Arc::new(Laboratory::new("socket")), ServerLimits::default())
            .unwrap();
    let client = Client::connect(&path, Timing::default()).unwrap();
    let query = all(&client, "numbers");
    assert_eq!(
        rows(client.scan("numbers", &query).unwrap(), &query.schema).unwrap().len() as i64,
        NUMBERS_ROWS
    );
    // The path is taken, by one that listens.
    let taken = ipc::SocketListener::bind(&bind).unwrap_err();
    assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
    assert!(server.stop(SOON));
    let lost = client.scan("numbers", &query).and_then(|scan| rows(scan, &query.schema));
    assert!(matches!(lost, Err(ScanError::Unreachable { .. })), "{lost:?}");
}

#[test]
fn a_socket_that_nobody_listens_at_is_taken_over_and_a_file_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let bind = ipc::Bind { path: path.clone(), mode: 0o600, group: None };
    let listener = ipc::SocketListener::bind(&bind).unwrap();
    drop(listener);
    assert!(!path.exists());
    std::fs::write(&path, "").unwrap();
    assert_eq!(ipc::SocketListener::bind(&bind).unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
    assert!(path.exists());
}

#[test]
fn a_server_that_stops_ends_what_runs() {
    let mut bench = Bench::start(ServerLimits::default());
    let client = bench.client();
    let query = one(&client, "silent");
    let mut scan = client.scan("silent", &query).unwrap();
    assert!(scan.advance().unwrap());
    assert!(bench.server.stop(SOON));
    let lost = scan.advance().unwrap_err();
    assert!(matches!(&lost, ScanError::Unreachable { collector, .. } if collector == "laboratory"), "{lost}");
    assert_eq!((bench.server.counts().scans_now, bench.server.counts().cancelled), (0, 1));
}
