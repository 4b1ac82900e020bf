use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::agent::{Agent, place, until};

/// Cycles of a usual run; `DAEMONEYE_CRASH_CYCLES` asks for another number.
const CYCLES: u64 = 100;
/// Lines of the feed: what is older is no longer looked for.
const FEED_LINES: usize = 300;
/// The places at which the program dies by itself.
const POINTS: &[&str] = &[
    "state.commit.before",
    "state.commit.after",
    "state.create",
    "state.retain",
    "history.commit.before",
    "history.commit.after",
    "history.retain",
    "ledger.commit.before",
    "ledger.commit.after",
    "ledger.drained",
    "file.sync",
    "file.rotate",
    "sink.taken",
];

/// Settings under which retention has something to do at every start.
const SHORT_MEMORY: &[(&str, &str)] = &[
    ("DAEMONEYE_ALERTS_KEEP", "60"),
    ("DAEMONEYE_HISTORY_EVERY", "1s"),
    ("DAEMONEYE_HISTORY_KEEP_FOR", "2s"),
];

/// A sequence that is the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) % below
    }
}

/// What was acknowledged on standard output: the alert of each key. A line that a kill cut short is none.
fn acknowledged(stdout: &str) -> BTreeMap<String, String> {
    let mut alerts = BTreeMap::new();
    for line in stdout.split_inclusive('\n').filter(|line| line.ends_with("}\n")) {
        let Ok(alert) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let (key, id) = (text(&alert["row"]["key"]), text(&alert["id"]));
        if let Some(before) = alerts.insert(key.clone(), id.clone()) {
            assert_eq!(before, id, "{key} was told under two ids");
        }
    }
    alerts
}

fn append(feed: &Path, all: &mut Vec<String>, n: u64) {
    for _ in 0..n {
        all.push(format!("key-{}", all.len()));
    }
    // As an editor does it: nobody reads half a feed.
    let beside = feed.with_extension("new");
    let mut file = fs::File::create(&beside).unwrap();
    for key in &all[all.len().saturating_sub(FEED_LINES)..] {
        writeln!(file, "{key}").unwrap();
    }
    fs::rename(beside, feed).unwrap();
}

#[test]
fn whenever_the_agent_is_killed_nothing_acknowledged_is_lost_or_comes_twice() {
    let cycles = std::env::var("DAEMONEYE_CRASH_CYCLES").ok().and_then(|n| n.parse().ok()).unwrap_or(CYCLES);
    let place = place();
    let directory = place.directory.path();
    let (mut dice, mut keys) = (Dice(cycles), Vec::new());
    let (mut tried, mut acked) = (BTreeSet::new(), BTreeSet::new());
    let every = ["--every", "150ms"];
    let mut died = 0;
    for cycle in 0..cycles {
        append(&place.feed, &mut keys, 1 + dice.roll(5));
        // Every other cycle dies where it hurts, the others whenever.
        let point = (cycle % 2 == 0).then(|| {
            let name = POINTS[(cycle / 2) as usize % POINTS.len()];
            format!("{name}:{}", 1 + dice.roll(4))
        });
        let mut env = SHORT_MEMORY.to_vec();
        env.extend(point.iter().map(|point| ("DAEMONEYE_CRASH_AT", point.as_str())));
        let mut agent = Agent::spawn(directory, &place.rules, &every, &env);
        let lives = Duration::from_millis(100 + dice.roll(900));
        let began = Instant::now();
        while began.elapsed() < lives && agent.killed().is_none() {
            std::thread::sleep(Duration::from_millis(10));
        }
        if let Some(killed) = agent.killed() {
            assert!(killed && point.is_some(), "cycle {cycle}: it ended by itself: {}", agent.stderr());
            died += 1;
            continue;
        }
        // A change that was answered is acknowledged, too. One that was not may have been made.
        if cycle % 3 == 0
            && let Some(id) = acknowledged(&agent.stdout()).into_values().find(|id| !tried.contains(id))
            && let Ok(client) =
                ipc::Client::connect(&directory.join("state/agent.sock"), ipc::Timing::default())
        {
            tried.insert(id.clone());
            let reason = [("id", id.as_str()), ("reason", "r")];
            if let Ok(Ok(_)) = client.act("alert.ack", &reason, Duration::from_secs(5)) {
                acked.insert(id);
            }
        }
        agent.kill();
    }
    assert!(died > 0, "no planned death came");

    let mut agent = Agent::spawn(directory, &place.rules, &every, SHORT_MEMORY);
    agent.wait_until_ready();
    let wanted = &keys[keys.len().saturating_sub(FEED_LINES)..];
    until("every key of the feed is told", || {
        let told = acknowledged(&agent.stdout());
        wanted.iter().all(|key| told.contains_key(key)).then_some(())
    });
    let mut ids = BTreeMap::new();
    for row in agent.query("SELECT id, json_extract(\"row\", '$.key') AS key, state FROM alerts") {
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        assert_eq!(ids.insert(text("key"), (text("id"), text("state"))), None, "{row}: a key has two alerts");
    }
    // What retention took away stands in the ledger by name.
    let mut retired = BTreeSet::new();
    for row in agent.query("SELECT payload FROM audit_log WHERE action = 'alerts.retired'") {
        for id in row["payload"].as_str().unwrap().lines() {
            assert!(retired.insert(id.to_owned()), "{id} was taken away twice");
        }
    }
    assert!(cycles < CYCLES || !retired.is_empty(), "nothing was ever taken away");
    assert!(ids.values().all(|(id, _)| !retired.contains(id)));
    for (key, id) in acknowledged(&agent.stdout()) {
        if retired.contains(&id) {
            continue;
        }
        let (kept, state) = ids.get(&key).unwrap_or_else(|| panic!("{key} was acknowledged and is lost"));
        assert_eq!(*kept, id, "{key}");
        assert!(state == "acknowledged" || !acked.contains(&id), "{key}: a change is lost");
        assert!(state == "new" || tried.contains(&id), "{key}: nobody asked for a change");
    }
    let verified = agent.cli(&["audit", "verify"]).output();
    assert!(verified.status.success() && verified.text().contains(" 0 findings"), "{verified:?}");
    let raised = agent
        .query("SELECT subject, count(*) AS n FROM audit_log WHERE action = 'alert.raised' GROUP BY subject");
    assert!(raised.iter().all(|row| row["n"] == 1), "{raised:?}");
    assert_eq!(raised.len(), ids.len() + retired.len(), "each alert has one entry of the ledger");
    // Each agent may have been killed before it had noted the processes once; the last one has only just begun.
    let noted = || agent.query("SELECT 1 FROM process_history WHERE pid = 1").first().cloned();
    until("the processes are noted", noted);
    println!(
        "{cycles} cycles, {died} planned deaths, {} alerts, {} retired, {} acknowledged",
        ids.len(),
        retired.len(),
        acked.len()
    );
    agent.stop();
    let damaged = fs::read_dir(directory.join("state")).unwrap().flatten();
    let damaged: Vec<_> = damaged.filter(|e| e.file_name().to_string_lossy().contains("damaged")).collect();
    assert!(damaged.is_empty(), "{damaged:?}");
}

#[test]
fn a_migration_that_is_killed_at_every_commit_goes_on_where_it_was() {
    let place = place();
    let directory = place.directory.path();
    let mut keys = Vec::new();
    append(&place.feed, &mut keys, 20);
    let all = "SELECT id, rule, title, state, count, \"row\", evidence FROM alerts ORDER BY id";
    let agent = Agent::start(directory, &place.rules, &[]);
    until("every alert is there", || (agent.query(all).len() == keys.len()).then_some(()));
    let before = agent.query(all);
    agent.stop();
    // A later version, which brings the file forward three alerts at a time.
    let later = [("DAEMONEYE_NEXT_FORM", "1")];
    fs::remove_file(&place.feed).unwrap();
    let mut died = 0;
    for point in ["state.migrate.before:1", "state.migrate.after:1"].into_iter().cycle().take(8) {
        let mut agent =
            Agent::spawn(directory, &place.rules, &[], &[later[0], ("DAEMONEYE_CRASH_AT", point)]);
        died += u32::from(until("it dies on the way", || agent.killed()));
    }
    assert_eq!(died, 8);
    let mut agent = Agent::spawn(directory, &place.rules, &[], &later);
    agent.wait_until_ready();
    let steady = |rows: Vec<serde_json::Value>| -> Vec<String> {
        rows.iter()
            .map(|row| format!("{} {} {} {}", row["id"], row["title"], row["state"], row["row"]))
            .collect()
    };
    assert_eq!(steady(agent.query(all)), steady(before));
    agent.stop();
    // The version of before leaves alone what it does not know.
    let mut older = Agent::spawn(directory, &place.rules, &[], &[]);
    until("it refuses", || older.ended());
    assert!(older.stderr().contains("later version"), "{}", older.stderr());
}
