//! Alerts that are kept together, and found apart.

use std::collections::BTreeSet;

use model::{AlertAction, AlertId, AlertState};

use super::lookup::Hash;
use super::tests::{all, found, open, raise, rule, run};
use super::*;
use crate::Witness;

#[test]
fn hashes_that_collide_give_right_answers() {
    let directory = tempfile::tempdir().unwrap();
    let (state, rule) = (open(directory.path()), rule("r", "SELECT 1"));
    let ids: Vec<AlertId> = (0..5).map(|key| raise(&state, &rule, key, 1000).unwrap()).collect();
    // Each hash leads to every alert, and so does that of a key that was not seen yet.
    let collide = state.file.write(|txn| {
        let mut table = txn.open_table(schema::LOOKUP)?;
        for key in 0..6u32 {
            let window = rule.place(&key.to_be_bytes()).window();
            let mut hashes = vec![Hash::of_start_key(format!("k{key}").as_bytes()), Hash::of_window(window)];
            hashes.extend(ids.get(key as usize).map(|id| Hash::of_id(&id.0)));
            for n in (1..=5).filter(|n| *n != u64::from(key) + 1) {
                for hash in &hashes {
                    lookup::collide(&mut table, *hash, n)?;
                }
            }
        }
        Ok(())
    });
    collide.unwrap();
    let reader = state.reader();
    let of_key = |key: u32| {
        let start_keys = vec![format!("k{key}").into_bytes()];
        let filter = AlertFilter { start_keys, ..AlertFilter::default() };
        reader.alerts(&filter).map(|alert| alert.unwrap().id).collect::<Vec<_>>()
    };
    for (key, id) in (0..).zip(&ids) {
        let alert = reader.alert(*id).unwrap().unwrap();
        assert_eq!((alert.id, alert.row[0].1.as_int()), (*id, Some(i64::from(key))));
        assert_eq!(of_key(key), [*id]);
        let filter = AlertFilter { ids: vec![*id], ..AlertFilter::default() };
        assert_eq!(reader.alerts(&filter).map(|alert| alert.unwrap().id).collect::<Vec<_>>(), [*id]);
        assert_eq!(reader.alert_history(Some(*id)).unwrap().len(), 1);
        assert_eq!(raise(&state, &rule, key, 1500), None, "its window is open");
    }
    assert_eq!(of_key(5), []);
    assert!(reader.alert(AlertId([7; 16])).unwrap().is_none());
    assert!(raise(&state, &rule, 5, 2000).is_some(), "the windows of others do not hold it");
    state.flush().unwrap();
    assert_eq!(all(&state).iter().map(|alert| alert.count).collect::<Vec<_>>(), [2, 2, 2, 2, 2, 1]);
    assert_eq!(state.change(ids[3], AlertAction::Close, "uid:0", "", 3000).unwrap(), AlertState::Closed);
    assert_eq!(reader.alert(ids[3]).unwrap().unwrap().state, AlertState::Closed);
}

#[test]
fn an_alert_that_goes_leaves_its_audit_record_and_its_window() {
    let directory = tempfile::tempdir().unwrap();
    let (state, rule) = (open(directory.path()), rule("r", "SELECT 1"));
    let matches: Vec<Match> = (0..20).map(|key| found(key, 1000 + i64::from(key))).collect();
    state.record(&rule, &run(1000), &matches, &BTreeSet::new()).unwrap();
    let waits = state.pending_audit(100).unwrap();
    let subjects: Vec<_> = all(&state).iter().map(|alert| alert.id.to_string()).collect();
    assert_eq!(waits.iter().map(|entry| entry.subject.clone()).collect::<Vec<_>>(), subjects);
    assert_eq!(waits.iter().map(|entry| entry.n).collect::<Vec<_>>(), (1..=20).collect::<Vec<_>>());
    state.drained(4, Witness { ledger: [1; 16], size: 4, hash: [2; 32] }).unwrap();
    assert_eq!(state.pending_audit(3).unwrap(), waits[4..7]);
    let limits = StateLimits { age_ms: 1_000_000, alerts: 10 };
    assert_eq!(state.retain(&limits, 2000, 100).unwrap().alerts, 10);
    assert_eq!(state.pending_audit(16).unwrap(), waits[4..]);
    for key in 0..20 {
        assert_eq!(raise(&state, &rule, key, 3000), None, "the window of {key} is open");
    }
    state.flush().unwrap();
    assert_eq!(all(&state).iter().map(|alert| alert.count).collect::<Vec<_>>(), [2; 10]);
    state.begin_epoch(8).unwrap();
    let kept = state.pending_audit(12).unwrap();
    assert_eq!(kept.iter().map(|entry| entry.n).collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
    assert!(kept.iter().zip(&waits[8..]).all(|(kept, was)| kept.payload == was.payload));
    assert!(raise(&state, &rule, 0, 102_000).is_some());
}

#[test]
fn a_batch_in_a_queue_is_taken_from_anywhere() {
    let directory = tempfile::tempdir().unwrap();
    let (state, rule) = (open(directory.path()), rule("r", "SELECT 1"));
    let matches: Vec<Match> = (0..600).map(|key| found(key, 1000 + i64::from(key % 7))).collect();
    let sinks = BTreeSet::from(["file".to_owned()]);
    let raised = state.record(&rule, &run(1000), &matches, &sinks).unwrap();
    let reader = state.reader();
    let queue = |now| {
        let due = reader.due("file", now, 1000).unwrap();
        due.into_iter().map(|due| (due.seq, due.alert.id)).collect::<Vec<_>>()
    };
    let mut expected: Vec<_> = (1..).zip(raised.iter().copied()).collect();
    assert_eq!(queue(2000), expected);
    assert_eq!(queue(1000).len(), 86, "the others are due later");
    assert_eq!(reader.next_due("file").unwrap(), Some(1000));
    let times: Vec<_> = reader.deliveries().unwrap().iter().map(|d| (d.alert, d.time_ms)).collect();
    assert_eq!(
        times,
        raised.iter().zip(&matches).map(|(id, found)| (*id, found.time_ms)).collect::<Vec<_>>()
    );
    let taken = [1, 2, 256, 257, 258, 300, 600, 301, 513];
    state.delivered("file", &taken, 2000).unwrap();
    state.delivered("file", &[300, 601, 9999], 2001).unwrap();
    expected.retain(|(seq, _)| !taken.contains(seq));
    assert_eq!(queue(2000), expected);
    state.delivery_failed("file", 400, "no", Some(9000), 2002).unwrap();
    state.delivery_failed("file", 3, "no", None, 2002).unwrap();
    assert_eq!(
        reader.due("file", 9000, 1000).unwrap().iter().find(|due| due.seq == 400).unwrap().attempts,
        1
    );
    let dead = expected.iter().position(|(seq, _)| *seq == 3).unwrap();
    let away = expected.remove(dead);
    assert_eq!(queue(9000), expected);
    assert_eq!(queue(2000).len(), expected.len() - 1);
    assert_eq!(state.resend_dead(None, 9000).unwrap(), 1);
    expected.insert(dead, away);
    assert_eq!(queue(9000), expected);
    assert_eq!(reader.deliveries().unwrap().len(), 600);
}
