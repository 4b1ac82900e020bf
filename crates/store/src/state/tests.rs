#![allow(clippy::disallowed_methods, reason = "a test damages files of its own")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use model::{AlertAction, AlertId, AlertState, Dedup, Evidence, Rule, Severity};

use super::*;
use crate::StoreError;
use crate::faulty::{Disk, Failure};
use crate::{Witness, database};

pub(super) fn rule(id: &str, sql: &str) -> RuleRef {
    RuleRef::of(&Rule {
        id: id.into(),
        title: "Something".into(),
        description: "Why it matters.".into(),
        severity: Severity::High,
        tags: vec!["attack.t1".into()],
        interval: Duration::from_secs(30),
        budget: Default::default(),
        sql: sql.into(),
        dedup: Dedup { keys: vec!["pid".into()], window: Duration::from_secs(100) },
        false_positives: Vec::new(),
        references: Vec::new(),
    })
}

pub(super) fn run(time_ms: i64) -> RunRecord {
    RunRecord {
        started_ms: time_ms,
        elapsed_us: 7,
        rows: 1,
        outcome: Outcome::Done,
        detail: String::new(),
        complete: true,
    }
}

pub(super) fn found(key: u32, time_ms: i64) -> Match {
    let row = vec![
        ("pid".into(), i64::from(key).into()),
        ("path".into(), b"/tmp/\xff".to_vec().into()),
        ("start_key".into(), format!("k{key}").into()),
    ];
    let evidence = Evidence { sections: vec![("process".into(), vec![row.clone()])] };
    Match { key: key.to_be_bytes().to_vec(), time_ms, count: 1, row, evidence }
}

fn sinks() -> BTreeSet<String> {
    BTreeSet::from(["stdout".to_owned(), "file".to_owned()])
}

pub(super) fn open(directory: &Path) -> State {
    State::open(directory).unwrap().state
}

pub(super) fn raise(state: &State, rule: &RuleRef, key: u32, time_ms: i64) -> Option<AlertId> {
    let raised = state.record(rule, &run(time_ms), &[found(key, time_ms)], &sinks()).unwrap();
    raised.first().copied()
}

pub(super) fn all(state: &State) -> Vec<model::Alert> {
    state.reader().alerts(&AlertFilter::default()).map(Result::unwrap).collect()
}

#[test]
fn ten_thousand_equal_matches_are_one_alert_and_distinct_keys_do_not_merge() {
    let directory = tempfile::tempdir().unwrap();
    let (state, rule) = (open(directory.path()), rule("r", "SELECT 1"));
    for n in 0..100 {
        let matches: Vec<Match> = (0..100).map(|_| found(1, 1000 + n)).collect();
        state.record(&rule, &run(1000 + n), &matches, &sinks()).unwrap();
    }
    assert!(raise(&state, &rule, 2, 1500).is_some());
    state.flush().unwrap();
    let alerts = all(&state);
    let counts: Vec<_> = alerts.iter().map(|a| (a.count, a.first_ms, a.last_ms)).collect();
    assert_eq!(counts, [(10_000, 1000, 1099), (1, 1500, 1500)]);
    assert_eq!(state.reader().due("stdout", 2000, 10).unwrap().len(), 2);
    assert_eq!(state.pending_audit(10).unwrap().len(), 2);
}

#[test]
fn a_window_opens_at_the_first_match_and_the_next_alert_comes_after_it() {
    let directory = tempfile::tempdir().unwrap();
    let (state, rule) = (open(directory.path()), rule("r", "SELECT 1"));
    let first = raise(&state, &rule, 1, 1_000_000).unwrap();
    assert_eq!(raise(&state, &rule, 1, 1_099_999), None);
    assert_eq!(raise(&state, &rule, 1, 999_000), None, "a clock that was set back");
    state.change(first, AlertAction::Close, "uid:0", "", 1_050_000).unwrap();
    assert_eq!(raise(&state, &rule, 1, 1_060_000), None, "a closed one counts within its window");
    let second = raise(&state, &rule, 1, 1_100_000).unwrap();
    assert_ne!(first, second);
    state.flush().unwrap();
    let states: Vec<_> = all(&state).iter().map(|a| (a.state, a.count)).collect();
    assert_eq!(states, [(AlertState::Closed, 4), (AlertState::New, 1)]);
}

#[test]
fn replayed_input_makes_the_same_ids_and_another_statement_others() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ids = |path: &Path, sql: &str| -> Vec<AlertId> {
        let (state, rule) = (open(path), rule("r", sql));
        (0..5).filter_map(|n| raise(&state, &rule, n, 1000 + i64::from(n))).collect()
    };
    assert_eq!(ids(a.path(), "SELECT 1"), ids(b.path(), "SELECT 1"));
    let other = ids(b.path(), "SELECT 2");
    assert_eq!(other.len(), 5);
    assert_eq!(other.iter().collect::<BTreeSet<_>>().len(), 5);
}

#[test]
fn what_is_unseen_is_what_would_be_new() {
    let directory = tempfile::tempdir().unwrap();
    let (state, rule) = (open(directory.path()), rule("r", "SELECT 1"));
    raise(&state, &rule, 1, 1000);
    let keys = [1u32.to_be_bytes(), 2u32.to_be_bytes()];
    let unseen = |time| state.reader().unseen(&rule, keys.iter().map(|k| &k[..]), time).unwrap().len();
    assert_eq!(unseen(2000), 1);
    assert_eq!(unseen(200_000), 2);
}

#[test]
fn what_people_do_survives_a_restart_and_waits_for_the_ledger() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path());
    let id = raise(&state, &rule("r", "SELECT 1"), 1, 1000).unwrap();
    let change = |state: &State, action| state.change(id, action, "uid:1000", "because", 2000);
    assert!(
        matches!(change(&state, AlertAction::Reopen), Err(StoreError::Refused(why)) if why.contains("is new"))
    );
    change(&state, AlertAction::Acknowledge).unwrap();
    change(&state, AlertAction::Close).unwrap();
    let epoch = state.epoch();
    drop(state);
    let opened = State::open(directory.path()).unwrap();
    assert_eq!(opened.found, Found::Existing);
    let state = opened.state;
    assert_eq!(state.epoch(), epoch);
    assert_eq!(
        state.change(id, AlertAction::Reopen, "uid:0", "not yet", 3000).unwrap(),
        AlertState::Reopened
    );
    let told: Vec<_> =
        state.pending_audit(10).unwrap().into_iter().map(|e| (e.n, e.action, e.actor)).collect();
    let wanted = [
        (1, "alert.raised", "agent"),
        (2, "alert.acknowledged", "uid:1000"),
        (3, "alert.closed", "uid:1000"),
        (4, "alert.reopened", "uid:0"),
    ];
    assert_eq!(told, wanted.map(|(n, action, actor)| (n, action.to_owned(), actor.to_owned())));
    assert_eq!(state.reader().alert_history(Some(id)).unwrap().len(), 4);
    let filter = AlertFilter { states: vec![AlertState::Reopened], ..AlertFilter::default() };
    assert_eq!(state.reader().alerts(&filter).count(), 1);
}

#[test]
fn the_indexes_find_what_a_full_read_finds() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path());
    let rules = [rule("a", "SELECT 1"), rule("ab", "SELECT 1")];
    for n in 0..600u32 {
        raise(&state, &rules[n as usize % 2], n, 1000 + i64::from(n / 3));
    }
    let reader = state.reader();
    let every = all(&state);
    assert_eq!(every.len(), 600);
    assert!(every.is_sorted_by_key(|alert| alert.first_ms));
    let by_rule = AlertFilter { rules: vec!["a".into()], ..AlertFilter::default() };
    assert!(reader.alerts(&by_rule).map(Result::unwrap).all(|a| &*a.rule == "a"));
    assert_eq!(reader.alerts(&by_rule).count(), 300);
    let by_state =
        AlertFilter { states: vec![AlertState::New, AlertState::Closed], ..AlertFilter::default() };
    assert_eq!(reader.alerts(&by_state).count(), 600);
    let of_times = |rules: &[&str], from_ms, to_ms| {
        let rules = rules.iter().map(|rule| (*rule).to_owned()).collect();
        let filter = AlertFilter { rules, from_ms, to_ms, ..AlertFilter::default() };
        let found: Vec<model::Alert> = reader.alerts(&filter).map(Result::unwrap).collect();
        let is_it = |alert: &&model::Alert| {
            from_ms.is_none_or(|from| alert.first_ms >= from) && to_ms.is_none_or(|to| alert.first_ms <= to)
        };
        (found.len(), found.iter().filter(is_it).count())
    };
    assert_eq!(of_times(&[], Some(1050), Some(1059)).1, 30, "ten times, three alerts at each");
    assert_eq!(of_times(&["ab"], Some(1050), Some(1059)).1, 15);
    assert_eq!(of_times(&[], None, Some(1199)).1, 600);
    assert_eq!(of_times(&[], Some(1200), None), (0, 0), "no span reaches there");
    assert!(of_times(&[], Some(1199), None).0 < 300, "spans that do not reach there are not read");
    let by_key = AlertFilter { start_keys: vec![b"k7".to_vec(), b"none".to_vec()], ..AlertFilter::default() };
    let found: Vec<_> = reader.alerts(&by_key).map(|a| a.unwrap().row[0].1.as_int()).collect();
    assert_eq!(found, [Some(7)]);
    assert_eq!(reader.alert(every[5].id).unwrap().as_ref(), Some(&every[5]));
}

#[test]
fn a_sink_gets_what_it_did_not_take_again_and_dead_letters_on_demand() {
    let directory = tempfile::tempdir().unwrap();
    let (state, rule) = (open(directory.path()), rule("r", "SELECT 1"));
    raise(&state, &rule, 1, 1000);
    raise(&state, &rule, 2, 1001);
    let reader = state.reader();
    let due = |sink, now| reader.due(sink, now, 10).unwrap();
    let first = due("stdout", 1001)[0].seq;
    state.delivered("stdout", &[first], 1002).unwrap();
    assert_eq!(due("stdout", 1002).len(), 1);
    assert_eq!(due("file", 1002).len(), 2, "another sink has a queue of its own");
    let seq = due("stdout", 1002)[0].seq;
    state.delivery_failed("stdout", seq, "refused", Some(5000), 1003).unwrap();
    assert_eq!((due("stdout", 4999).len(), due("stdout", 5000)[0].attempts), (0, 1));
    assert_eq!(reader.next_due("stdout").unwrap(), Some(5000));
    state.delivery_failed("stdout", seq, "refused", None, 5000).unwrap();
    assert_eq!(due("stdout", i64::MAX).len(), 0);
    let mut statuses = BTreeMap::new();
    for delivery in reader.deliveries().unwrap() {
        *statuses.entry((delivery.sink, delivery.status.name())).or_insert(0) += 1;
    }
    assert_eq!(statuses[&("stdout".to_owned(), "dead")], 1);
    assert_eq!(statuses[&("stdout".to_owned(), "delivered")], 1);
    assert_eq!(state.resend_dead(Some("stdout"), 6000).unwrap(), 1);
    assert_eq!(due("stdout", 6000).len(), 1);
}

#[test]
fn a_damaged_file_is_set_aside_and_named() {
    let damages: [fn(&mut Vec<u8>); 4] = [
        |bytes| bytes.clear(),
        |bytes| bytes.truncate(bytes.len() / 2),
        |bytes| bytes[..4096].fill(0),
        |bytes| {
            let from = bytes.len() / 4;
            bytes[from..].iter_mut().for_each(|b| *b ^= 0x5a);
        },
    ];
    for (n, damage) in damages.into_iter().enumerate() {
        let directory = tempfile::tempdir().unwrap();
        let state = open(directory.path());
        let epoch = state.epoch();
        (0..50).for_each(|key| assert!(raise(&state, &rule("r", "SELECT 1"), key, 1000).is_some()));
        drop(state);
        let path = directory.path().join(STATE_FILE);
        let mut bytes = std::fs::read(&path).unwrap();
        damage(&mut bytes);
        std::fs::write(&path, &bytes).unwrap();
        let opened = State::open(directory.path()).unwrap();
        let Found::SetAside { path: aside, why } = opened.found else {
            panic!("damage {n}: {:?}", opened.found)
        };
        assert_eq!(std::fs::read(&aside).unwrap().len(), bytes.len(), "{why}");
        assert_ne!(opened.state.epoch(), epoch);
        assert_eq!(all(&opened.state).len(), 0);
    }
}

#[test]
fn two_writers_are_one_too_many_and_readers_are_welcome() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path());
    assert!(matches!(State::open(directory.path()), Err(StoreError::InUse(_))));
    let reader = StateReader::open(directory.path()).unwrap();
    raise(&state, &rule("r", "SELECT 1"), 1, 1000).unwrap();
    assert_eq!(reader.alerts(&AlertFilter::default()).count(), 1);
}

#[test]
fn retention_takes_the_old_and_leaves_what_is_owed() {
    let directory = tempfile::tempdir().unwrap();
    let (state, rule) = (open(directory.path()), rule("r", "SELECT 1"));
    for n in 0..30 {
        raise(&state, &rule, n, 1000 + i64::from(n));
    }
    let limits = StateLimits { age_ms: 1_000_000, alerts: 10 };
    assert_eq!(state.retain(&limits, 2000, 100).unwrap().alerts, 0, "sinks are still to be given them");
    for sink in ["stdout", "file"] {
        let due = state.reader().due(sink, 5000, 100).unwrap();
        state.delivered(sink, &due.iter().map(|d| d.seq).collect::<Vec<_>>(), 2000).unwrap();
    }
    let first = state.retain(&limits, 2000, 15).unwrap();
    assert_eq!((first.alerts, first.more), (15, true));
    assert_eq!(state.retain(&limits, 2000, 15).unwrap().alerts, 5);
    assert_eq!(all(&state).len(), 10);
    assert_eq!(state.retain(&limits, 3_000_000, 100).unwrap().alerts, 10);
    let left: Vec<_> = state.reader().stats().unwrap().into_iter().filter(|s| s.records > 0).collect();
    let left: Vec<_> = left.iter().map(|s| s.table.as_str()).collect();
    let wanted = [
        "alerts_by_hash",
        "counters",
        "deliveries",
        "meta",
        "pending_audit",
        "rule_runs",
        "rules",
        "window_ends",
        "windows",
    ];
    assert_eq!(left, wanted);
    assert_eq!(state.retain(&limits, 90_000_000, 100).unwrap().windows, 30);
    assert_eq!(state.pending_audit(100).unwrap().last().unwrap().action, "alerts.retired");
    assert!(!state.compact_if_sparse().unwrap(), "a small file is left as it is");
    assert!(raise(&state, &rule, 1, 90_000_000).is_some());
}

#[test]
fn alerts_of_a_clock_that_was_ahead_keep_none_that_are_old() {
    let directory = tempfile::tempdir().unwrap();
    let (state, rule) = (open(directory.path()), rule("r", "SELECT 1"));
    let record = |keys: std::ops::Range<u32>, time_ms| {
        let matches: Vec<Match> = keys.map(|key| found(key, time_ms)).collect();
        state.record(&rule, &run(time_ms), &matches, &BTreeSet::new()).unwrap();
    };
    record(0..500, 900_000_000);
    record(500..520, 1000);
    let limits = StateLimits { age_ms: 1_000_000, alerts: 1000 };
    let went = state.retain(&limits, 95_000_000, 100).unwrap();
    assert_eq!(went.alerts, 20);
    assert!(all(&state).iter().all(|alert| alert.first_ms == 900_000_000));
    let limits = StateLimits { alerts: 100, ..limits };
    assert_eq!((0..5).map(|_| state.retain(&limits, 95_000_000, 100).unwrap().alerts).sum::<u64>(), 400);
    assert_eq!(all(&state).first().unwrap().row[0].1.as_int(), Some(400), "the oldest went");
    drop(state);
    assert_eq!(State::open(directory.path()).unwrap().found, Found::Existing);
}

#[test]
fn rules_keep_their_switch_and_their_last_runs() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path());
    let shape = rule("r", "SELECT 1");
    let card =
        RuleCard { error: String::new(), id: "r".into(), ..RuleCard::refused("x".into(), "no".into()) };
    let refused = RuleCard::refused("bad.yaml".into(), "bad.yaml:3: no".into());
    state.rules_loaded(&[card.clone(), refused.clone()], 1000).unwrap();
    state.rules_loaded(&[card, refused], 1001).unwrap();
    assert_eq!(state.pending_audit(10).unwrap().len(), 1, "nothing changed at the second time");
    assert!(state.set_rule_enabled("r", false, "uid:0", "noisy", 1002).unwrap());
    assert!(!state.set_rule_enabled("r", false, "uid:0", "noisy", 1002).unwrap());
    assert!(state.set_rule_enabled("bad.yaml", true, "uid:0", "", 1002).is_err());
    for n in 0..100 {
        state.record(&shape, &run(n), &[], &sinks()).unwrap();
    }
    state.flush().unwrap();
    drop(state);
    let reader = open(directory.path()).reader();
    let switch = reader.rule_switch("r").unwrap();
    assert_eq!((switch.enabled, switch.last_run_ms), (false, Some(99)));
    let runs = reader.rule_runs(&["r"]).unwrap();
    assert_eq!((runs.len(), runs[0].number), (32, 100));
    assert_eq!(reader.rules().unwrap().len(), 2);
}

/// A small workload whose truth is known. Gives the ids that were acknowledged before it failed.
fn work(state: &State, acknowledged: &mut BTreeMap<u32, AlertId>) -> Result<(), StoreError> {
    let rule = rule("r", "SELECT 1");
    for key in 0..4u32 {
        let time = 1000 + i64::from(key);
        let raised = state.record(&rule, &run(time), &[found(key, time), found(0, time)], &sinks())?;
        for id in raised {
            let of = |key: &u32| rule.place(&key.to_be_bytes()).alert_id(time) == id;
            acknowledged.insert([key, 0].into_iter().find(of).unwrap(), id);
        }
        let waiting = state.pending_audit(10)?;
        if let Some(last) = waiting.last() {
            state.drained(last.n, Witness { ledger: [1; 16], size: last.n, hash: [2; 32] })?;
        }
        let due = state.reader().due("file", 5000, 10)?;
        state.delivered("file", &due.iter().map(|d| d.seq).collect::<Vec<_>>(), 2000)?;
    }
    state.flush()
}

#[test]
fn whichever_write_or_sync_fails_what_was_acknowledged_is_there_once() {
    let clean = Disk::default();
    let reopen = |disk: &Disk| {
        let disk = disk.clone();
        move || database::over(disk.clone(), "/state.redb".as_ref())
    };
    let state = State::over(reopen(&clean)).unwrap();
    let before = clean.operations();
    let mut truth = BTreeMap::new();
    work(&state, &mut truth).unwrap();
    let operations = clean.operations() - before;
    assert!(truth.len() == 4 && operations > 20, "{operations}");
    drop(state);
    for n in 1..=operations {
        for (failure, power) in [
            (Failure::Error, None),
            (Failure::Torn, None),
            (Failure::Error, Some(false)),
            (Failure::Error, Some(true)),
            (Failure::Torn, Some(true)),
        ] {
            let disk = Disk::default();
            let mut state = State::over(reopen(&disk)).unwrap();
            disk.fail_at(n, failure);
            let mut acknowledged = BTreeMap::new();
            let failed = work(&state, &mut acknowledged);
            let context = format!("operation {n}, {failure:?}, power {power:?}: {failed:?}");
            match power {
                None => disk.mend(),
                Some(some) => {
                    drop(state);
                    disk.power_cycle(some);
                    state = State::over(reopen(&disk)).unwrap_or_else(|e| panic!("{context}: {e}"));
                }
            }
            for (key, id) in &acknowledged {
                let alert = state.reader().alert(*id).unwrap_or_else(|e| panic!("{context}: {e}"));
                assert!(alert.is_some(), "{context}: alert {key} is lost");
            }
            let mut again = BTreeMap::new();
            work(&state, &mut again).unwrap_or_else(|e| panic!("{context}: {e}"));
            acknowledged.extend(again);
            let alerts = all(&state);
            assert_eq!(alerts.len(), 4, "{context}");
            for alert in alerts {
                let key = alert.row[0].1.as_int().unwrap() as u32;
                assert_eq!(alert.id, truth[&key], "{context}");
            }
        }
    }
}

#[test]
fn another_epoch_keeps_what_the_ledger_does_not_know() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path());
    for n in 1..=5 {
        state.audit("a", "b", &n.to_string(), "", n).unwrap();
    }
    let before = state.epoch();
    state.begin_epoch(3).unwrap();
    assert_ne!(state.epoch(), before);
    state.audit("a", "b", "6", "", 6).unwrap();
    let waits: Vec<_> = state.pending_audit(10).unwrap().into_iter().map(|e| (e.n, e.subject)).collect();
    assert_eq!(waits, [(1, "4".to_owned()), (2, "5".to_owned()), (3, "6".to_owned())]);
    let epoch = state.epoch();
    drop(state);
    assert_eq!(open(directory.path()).epoch(), epoch);
}
