//! The disk fails at each of its writes in turn: what opens afterwards is a prefix of the runs.

use std::path::PathBuf;

use super::*;
use crate::database;
use crate::faulty::{Disk, Failure};

fn listed(run: u64) -> Vec<Observed> {
    let process = |n: u64| {
        let mut process =
            Observed { start_key: n.to_be_bytes().to_vec(), pid: n as i64, ..Observed::default() };
        process.facts.set(Fact::Uid, Some(Datum::Int((run / 2) as i64)));
        process.activity.set(Meter::UserTime, Some((run * n) as i64));
        process
    };
    (run..run + 4).map(process).collect()
}

fn open(disk: &Disk) -> Result<History, crate::StoreError> {
    let path = PathBuf::from("history.redb");
    History::over(database::over(disk.clone(), &path)?, path)
}

fn noted(history: &mut History, from: u64) -> u64 {
    let runs = (from..6).take_while(|run| history.observe(*run as i64 * 1_000, &listed(*run)).is_ok());
    from + runs.count() as u64
}

#[test]
fn whatever_write_fails_a_prefix_of_the_runs_is_kept() {
    let whole = Disk::default();
    assert_eq!(noted(&mut open(&whole).unwrap(), 0), 6);
    let operations = whole.operations();
    assert!(operations > 12);
    // What became of that which was not synced.
    let afterwards: [fn(&Disk); 3] =
        [Disk::mend, |disk| disk.power_cycle(false), |disk| disk.power_cycle(true)];
    for fails_at in 1..=operations {
        for (case, after) in afterwards.iter().enumerate() {
            for failure in [Failure::Error, Failure::Torn] {
                let what = format!("operation {fails_at}, {failure:?}, {case}");
                let disk = Disk::default();
                disk.fail_at(fails_at, failure);
                let acknowledged = open(&disk).map_or(0, |mut history| noted(&mut history, 0));
                after(&disk);
                // A file that was never made whole is no file yet: the agent sets it aside.
                let Ok(mut history) = open(&disk) else {
                    assert_eq!(acknowledged, 0, "{what}");
                    continue;
                };
                let kept = history.reader().runs(0).unwrap().len() as u64;
                assert!(
                    (acknowledged..=acknowledged + 1).contains(&kept),
                    "{what}: {kept} of {acknowledged}"
                );
                assert_eq!(noted(&mut history, kept), 6, "{what}");
                for run in 0..6 {
                    let past = history.reader().at(run as i64 * 1_000).unwrap().unwrap();
                    let told: Vec<_> = past.processes.into_iter().map(|p| (p.facts, p.activity)).collect();
                    let expected: Vec<_> = listed(run).into_iter().map(|p| (p.facts, p.activity)).collect();
                    assert_eq!(told, expected, "{what}");
                }
            }
        }
    }
}
