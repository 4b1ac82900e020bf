//! The store next to what it stands on, in one process: alerts beside an append with fdatasync and beside SQLite,
//! the ledger beside raw records, hashing alone and another Merkle tree, one life among a million records.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a bench prints its figures, and ends at the first thing that goes wrong"
)]

mod support;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use model::{Dedup, Evidence, NamedRow, Rule, Severity, Value};
use rs_merkle::{MerkleTree, algorithms::Sha256 as TreeSha256};
use rusqlite::Connection;
use sha2::{Digest, Sha256};
use store::history::{History, Observed};
use store::{Frontier, Ledger, Match, Outcome, PendingEntry, RuleRef, RunRecord, State, Trust, verify};

/// Alerts or entries of one transaction.
const BATCH: u64 = 1000;
const ROUNDS: u64 = 20;

/// Time that passes, and time that this process computes.
type Cost = (Duration, Duration);

fn timed(work: impl FnOnce()) -> Cost {
    let cpu = support::cpu_time;
    let (wall, before) = (Instant::now(), cpu());
    work();
    (wall.elapsed(), cpu() - before)
}

/// The median of rounds.
fn median(mut rounds: Vec<Cost>) -> Cost {
    let mut cpu: Vec<_> = rounds.iter().map(|round| round.1).collect();
    cpu.sort_unstable();
    rounds.sort_unstable();
    (rounds[rounds.len() / 2].0, cpu[cpu.len() / 2])
}

fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}

fn rule() -> RuleRef {
    RuleRef::of(&Rule {
        id: "deleted-executable".into(),
        title: "A process runs from an executable that was deleted".into(),
        description: String::new(),
        severity: Severity::High,
        tags: vec!["attack.defense_evasion".into(), "attack.t1070.004".into()],
        interval: Duration::from_secs(30),
        budget: Default::default(),
        sql: "SELECT pid, name, path, cmdline, start_key FROM processes WHERE exe_deleted = 1".into(),
        dedup: Dedup { keys: vec!["start_key".into()], window: Duration::from_secs(86_400) },
        false_positives: Vec::new(),
        references: Vec::new(),
    })
}

/// The names of a statement's columns, which its rows share.
static NAMES: LazyLock<[Arc<str>; 5]> =
    LazyLock::new(|| ["pid", "name", "path", "cmdline", "start_key"].map(Arc::from));

fn row(n: u64) -> NamedRow {
    let values = [
        n.into(),
        "sleep".into(),
        format!("/tmp/dir-{n}/image").into(),
        format!("/tmp/dir-{n}/image --with some --arguments {n}").into(),
        format!("1208271f-{n}-{}", n * 7919).into(),
    ];
    NAMES.iter().cloned().zip(values).collect()
}

fn found(n: u64) -> Match {
    let row = row(n);
    let evidence = Evidence { sections: vec![("process".into(), vec![row.clone()])] };
    Match { key: n.to_be_bytes().to_vec(), time_ms: 1_700_000_000_000 + n as i64, count: 1, row, evidence }
}

fn stored(state: &State) -> u64 {
    state.reader().stats().unwrap().iter().map(|table| table.stored_bytes).sum()
}

/// Batches of new alerts into an empty state: what one costs, the same with the freeing of what was found, and the bytes
/// that it stores.
fn inserts(directory: &Path) -> (Cost, Cost, u64) {
    let state = State::open(directory).unwrap().state;
    let (rule, sinks) = (rule(), BTreeSet::from(["stdout".to_owned(), "file".to_owned()]));
    let run = RunRecord {
        started_ms: 0,
        elapsed_us: 0,
        rows: BATCH,
        outcome: Outcome::Done,
        detail: String::new(),
        complete: true,
    };
    let before = stored(&state);
    let rounds = (0..ROUNDS).map(|round| {
        let matches: Vec<Match> = (round * BATCH..(round + 1) * BATCH).map(found).collect();
        let record = || assert_eq!(state.record(&rule, &run, &matches, &sinks).unwrap().len() as u64, BATCH);
        let taken = timed(record);
        let freed = timed(|| drop(matches));
        (taken, (taken.0 + freed.0, taken.1 + freed.1))
    });
    let (taken, freed) = rounds.unzip();
    (median(taken), median(freed), (stored(&state) - before) / ROUNDS)
}

fn alerts(directory: &Path) {
    // Whoever comes first would be measured on a machine that has to wake up.
    let first = directory.join("first");
    std::fs::create_dir(&first).unwrap();
    inserts(&first);
    let (ours, with_freeing, bytes) = inserts(directory);

    let mut file = std::fs::File::create(directory.join("raw")).unwrap();
    let block = vec![0x5a; bytes as usize];
    let raw = median(
        (0..ROUNDS)
            .map(|_| {
                timed(|| {
                    file.write_all(&block).unwrap();
                    file.sync_data().unwrap();
                })
            })
            .collect(),
    );

    let mut sqlite = Connection::open(directory.join("sqlite")).unwrap();
    sqlite
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE alerts (n INTEGER PRIMARY KEY, id BLOB, place BLOB, rule TEXT, state INTEGER, first INTEGER,
                 start_key TEXT, record BLOB);
             CREATE INDEX by_id ON alerts (id); CREATE INDEX by_place ON alerts (place);
             CREATE INDEX by_start_key ON alerts (start_key); CREATE INDEX by_time ON alerts (first);
             CREATE INDEX by_rule ON alerts (rule, first); CREATE INDEX by_state ON alerts (state, first);
             CREATE TABLE pending (n INTEGER PRIMARY KEY, alert INTEGER, count INTEGER);
             CREATE TABLE outbox (sink TEXT, n INTEGER, record BLOB, PRIMARY KEY (sink, n)) WITHOUT ROWID;",
        )
        .unwrap();
    let record = vec![0x5au8; 500];
    let rounds = (0..ROUNDS).map(|round| {
        timed(|| {
            let txn = sqlite.transaction().unwrap();
            {
                let mut alert =
                    txn.prepare_cached("INSERT INTO alerts VALUES (?, ?, ?, ?, 0, ?, ?, ?)").unwrap();
                let mut pending = txn.prepare_cached("INSERT INTO pending VALUES (?, ?, ?)").unwrap();
                let mut outbox = txn.prepare_cached("INSERT INTO outbox VALUES (?, ?, ?)").unwrap();
                let all = round * BATCH..(round + 1) * BATCH;
                for n in all.clone() {
                    let hash = blake3::hash(&n.to_be_bytes());
                    let (id, place) = hash.as_bytes().split_at(16);
                    let (rule, time) = ("deleted-executable", 1_700_000_000_000 + n as i64);
                    let key = format!("1208271f-{n}-{}", n * 7919);
                    alert.execute((n as i64, id, place, rule, time, key, &record)).unwrap();
                }
                pending.execute((all.start as i64, all.start as i64, BATCH as i64)).unwrap();
                for n in all.step_by(250) {
                    outbox.execute(("stdout", n as i64, &record[..270])).unwrap();
                    outbox.execute(("file", n as i64, &record[..270])).unwrap();
                }
            }
            txn.commit().unwrap();
        })
    });
    let other = median(rounds.collect());
    println!("{BATCH} new alerts, {bytes} bytes with all indexes: {:?}, {:?} CPU", ours.0, ours.1);
    println!(
        "  append + fdatasync of the same bytes: {:?}; ratio {:.2} (goal: at most 4.5), {:.2} with the freeing of what \
         was found",
        raw.0,
        ratio(ours.0, raw.0),
        ratio(with_freeing.0, raw.0)
    );
    println!(
        "  SQLite, synchronous=FULL: {:?}, {:?} CPU; ratio of CPU {:.2} (goal: at most 1.3)",
        other.0,
        other.1,
        ratio(ours.1, other.1)
    );
}

fn pending(n: u64) -> PendingEntry {
    PendingEntry {
        epoch: [7; 16],
        n,
        time_ms: 1_700_000_000_000 + n as i64,
        actor: "agent".into(),
        action: "alert.raised".into(),
        subject: format!("{n:032x}"),
        payload: vec![0x7b; 220],
    }
}

fn ledger(directory: &Path, leaves: u64) {
    let mut ledger = Ledger::open(directory).unwrap();
    let batches = |from: u64| (from..from + BATCH).map(|n| pending(n + 1)).collect::<Vec<_>>();
    let rounds = (0..ROUNDS).map(|round| {
        let batch = batches(round * BATCH);
        timed(|| {
            ledger.append(&batch).unwrap();
        })
    });
    let ours = median(rounds.collect());
    let stored: Vec<Vec<u8>> =
        ledger.reader().entries(1..=BATCH).unwrap().iter().map(|entry| entry.to_stored()).collect();
    let raw = redb::Database::create(directory.join("raw.redb")).unwrap();
    let table: redb::TableDefinition<'_, u64, &[u8]> = redb::TableDefinition::new("t");
    let payloads: redb::TableDefinition<'_, u64, &[u8]> = redb::TableDefinition::new("p");
    let rounds = (0..ROUNDS).map(|round| {
        timed(|| {
            let txn = raw.begin_write().unwrap();
            {
                let (mut table, mut payloads) =
                    (txn.open_table(table).unwrap(), txn.open_table(payloads).unwrap());
                for (n, bytes) in stored.iter().enumerate() {
                    table.insert(round * BATCH + n as u64, bytes.as_slice()).unwrap();
                    payloads.insert(round * BATCH + n as u64, [0x7b; 220].as_slice()).unwrap();
                }
            }
            txn.commit().unwrap();
        })
    });
    let plain = median(rounds.collect());
    println!(
        "ledger, {BATCH} entries: {:?}; raw records {:?}; ratio {:.2} (goal: at least 0.4)",
        ours.0,
        plain.0,
        ratio(plain.0, ours.0)
    );

    let mut size = ROUNDS * BATCH;
    let path = directory.join(store::LEDGER_FILE);
    drop(ledger);
    let verified = median(
        (0..5)
            .map(|_| timed(|| assert_eq!(verify(&path, &Trust::default()).unwrap().findings, [])))
            .collect(),
    );
    let hashed = median(
        (0..5)
            .map(|_| {
                timed(|| {
                    for n in 0..size {
                        let bytes = &stored[(n % BATCH) as usize];
                        std::hint::black_box((
                            blake3::hash(&bytes[..bytes.len() - 32]),
                            blake3::hash(&[0x7b; 220]),
                            Sha256::digest(bytes),
                            Sha256::digest([0u8; 65]),
                        ));
                    }
                })
            })
            .collect(),
    );
    println!(
        "verify {size} entries: {:?}; hashing alone {:?}; ratio {:.2} (goal: at least 0.65)",
        verified.0,
        hashed.0,
        ratio(hashed.0, verified.0)
    );

    let mut ledger = Ledger::open(directory).unwrap();
    while size < leaves {
        ledger.append(&batches(size)).unwrap();
        size += BATCH;
    }
    let one = median(
        (0..21)
            .map(|n| {
                timed(|| {
                    ledger.append(&[pending(size + n + 1)]).unwrap();
                })
            })
            .collect(),
    );
    let batch = median(
        (0..5)
            .map(|n| {
                let from = size + 21 + n * BATCH;
                let batch: Vec<_> = (from..from + BATCH).map(|n| pending(n + 1)).collect();
                timed(|| {
                    ledger.append(&batch).unwrap();
                })
            })
            .collect(),
    );
    tree(leaves, one, batch);
}

/// The ledger's tree beside another one, both in memory with all their nodes, and the ledger's durable appends of
/// `one` entry and of a `batch` beside it.
fn tree(leaves: u64, one: Cost, batch: Cost) {
    let leaf = |n: u64| -> [u8; 32] { Sha256::digest(n.to_le_bytes()).into() };
    let mut theirs = MerkleTree::<TreeSha256>::new();
    theirs.append(&mut (0..leaves).map(leaf).collect());
    theirs.commit();
    let their_round = |n| {
        timed(|| {
            theirs.insert(leaf(leaves + n)).commit();
            std::hint::black_box(theirs.root());
        })
    };
    let their_cost = median((0..5).map(their_round).collect());

    let (mut ours, mut nodes) = (Frontier::default(), vec![Vec::new(); 64]);
    let mut append = |n: u64| {
        let leaf = leaf(n);
        nodes[0].push(leaf);
        ours.append(leaf, |level, _, hash| nodes[usize::from(level)].push(*hash));
        ours.root()
    };
    for n in 0..leaves {
        std::hint::black_box(append(n));
    }
    let our_round = |round| {
        timed(|| {
            for n in 0..BATCH {
                std::hint::black_box(append(leaves + round * BATCH + n));
            }
        })
    };
    let our_cost = median((0..21).map(our_round).collect());
    let our_cost = (our_cost.0 / BATCH as u32, our_cost.1 / BATCH as u32);
    println!(
        "tree, one leaf and its root at {leaves}: {:?}; rs_merkle {:?}; ratio {:.0} (goal: at least 1000)",
        our_cost.0,
        their_cost.0,
        ratio(their_cost.0, our_cost.0)
    );
    println!(
        "  with its entry, payload and indexes durable in the ledger, in batches of {BATCH}: {:?}, {:?} CPU; ratio of \
         rs_merkle's {:.0}, of its CPU {:.0} (the same goal)",
        batch.0 / BATCH as u32,
        batch.1 / BATCH as u32,
        ratio(their_cost.0, batch.0 / BATCH as u32),
        ratio(their_cost.1, batch.1 / BATCH as u32)
    );
    println!(
        "  and in a batch of its own: {:?}, {:?} CPU; ratio {:.0}, of CPU {:.0}",
        one.0,
        one.1,
        ratio(their_cost.0, one.0),
        ratio(their_cost.1, one.1)
    );
}

/// A thousand looks at a thousand processes, of which `others` are new at each.
fn history(directory: &Path, others: u64) {
    let mut history = History::open(directory).unwrap();
    let columns: Vec<&str> = Observed::columns().collect();
    let process = |n: u64, tick: i64| {
        let value = |name: &&str| -> Value<'static> {
            match *name {
                "start_key" => format!("1208271f-{n}-{}", n * 7919).into(),
                "pid" => n.into(),
                "name" => "worker".into(),
                "path" => "/usr/bin/worker".into(),
                "cmdline" => format!("/usr/bin/worker --number {n}").into(),
                "user_time" => {
                    if n.is_multiple_of(7) {
                        tick.into()
                    } else {
                        0.into()
                    }
                }
                _ => 0.into(),
            }
        };
        Observed::of_row(&columns.iter().map(value).collect::<Vec<_>>()).unwrap()
    };
    for tick in 0..1000u64 {
        let seen: Vec<Observed> =
            (tick * others..tick * others + 1000).map(|n| process(n, tick as i64)).collect();
        history.observe(1_700_000_000_000 + tick as i64 * 30_000, &seen).unwrap();
    }
    let reader = history.reader();
    let looks = (0..101u64).map(|n| {
        let n = n * 9_901 % (1000 * others);
        let key = format!("1208271f-{n}-{}", n * 7919);
        timed(|| assert!(reader.life(key.as_bytes()).unwrap().is_some()))
    });
    let look = median(looks.collect());
    let stats = reader.stats().unwrap();
    println!("one life among {} lives: {:?} (goal: below 10 ms among a million)", stats.lives, look.0);
}

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    let short = std::env::args().any(|argument| argument == "--test");
    let (leaves, others) = if short { (30_000, 100) } else { (1_000_000, 1_000) };
    let directory =
        tempfile::tempdir_in(std::env::var_os("BENCH_DIR").unwrap_or_else(|| "target".into())).unwrap();
    let within = |name: &str| {
        let path = directory.path().join(name);
        std::fs::create_dir(&path).unwrap();
        path
    };
    alerts(&within("alerts"));
    ledger(&within("ledger"), leaves);
    history(&within("history"), others);
}
