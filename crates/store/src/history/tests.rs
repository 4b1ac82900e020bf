use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// Time, whether it saw all, and who was there.
type Snapshot = (i64, bool, BTreeMap<Vec<u8>, Observed>);

/// All snapshots, kept as they came.
#[derive(Default)]
struct Model {
    runs: Vec<Snapshot>,
}

impl Model {
    fn observe(&mut self, time_ms: i64, complete: bool, listed: &[Observed]) {
        let before = self.runs.last().map(|run| run.2.clone()).unwrap_or_default();
        let mut now = if complete { BTreeMap::new() } else { before.clone() };
        for process in listed {
            let mut process = process.clone();
            if let Some(known) = before.get(&process.start_key) {
                process.facts = process.facts.over(&known.facts);
            }
            now.insert(process.start_key.clone(), process);
        }
        self.runs.push((time_ms, complete, now));
    }

    fn at(&self, instant: i64) -> Option<&Snapshot> {
        let known = self.runs.iter().enumerate().filter(|(_, run)| run.0 <= instant);
        known.max_by_key(|(n, run)| (run.0, *n)).map(|(_, run)| run)
    }

    fn lives(&self) -> BTreeMap<Vec<u8>, Life> {
        let mut lives = BTreeMap::new();
        let keys: BTreeSet<&Vec<u8>> = self.runs.iter().flat_map(|run| run.2.keys()).collect();
        for key in keys {
            let there: Vec<usize> =
                (0..self.runs.len()).filter(|n| self.runs[*n].2.contains_key(key)).collect();
            let (first, last) = (there[0], there[there.len() - 1]);
            let process = &self.runs[last].2[key];
            let whole = (first..=last).rev().find(|n| self.runs[*n].1);
            let changed =
                |pair: &&[usize]| self.runs[pair[0]].2[key].facts != self.runs[pair[1]].2[key].facts;
            lives.insert(
                key.clone(),
                Life {
                    start_key: key.clone(),
                    pid: process.pid,
                    facts: process.facts.clone(),
                    first_seen_ms: self.runs[first].0,
                    last_seen_ms: self.runs[whole.unwrap_or(first)].0,
                    ended: last + 1 < self.runs.len(),
                    changes: there.windows(2).filter(changed).count() as u64,
                    activity: process.activity,
                },
            );
        }
        lives
    }
}

fn past(past: Past) -> BTreeMap<Vec<u8>, Observed> {
    let observed = |p: PastProcess| {
        let key = p.start_key.clone();
        (key, Observed { start_key: p.start_key, pid: p.pid, facts: p.facts, activity: p.activity })
    };
    past.processes.into_iter().map(observed).collect()
}

fn all_lives(reader: &HistoryReader, wanted: LivesWanted) -> Vec<Life> {
    let (mut lives, mut after) = (Vec::new(), None);
    loop {
        let (page, next) = reader.lives(&wanted, after).unwrap();
        lives.extend(page);
        match next {
            Some(_) => after = next,
            None => return lives,
        }
    }
}

fn assert_equal(reader: &HistoryReader, model: &Model) {
    let times: BTreeSet<i64> = model.runs.iter().flat_map(|run| [run.0 - 1, run.0, run.0 + 1]).collect();
    for time in times {
        let told = reader.at(time).unwrap().map(|told| (told.time_ms, past(told)));
        let expected = model.at(time).map(|run| (run.0, run.2.clone()));
        assert_eq!(told, expected, "at {time}");
    }
    let lives = model.lives();
    let told = all_lives(reader, LivesWanted::default());
    assert!(told.is_sorted_by_key(|life| life.first_seen_ms));
    assert_eq!(told.len(), lives.len());
    for life in &told {
        assert_eq!(Some(life), lives.get(&life.start_key));
        assert_eq!(reader.life(&life.start_key).unwrap().as_ref(), Some(life));
        let wanted = LivesWanted {
            pid: Some(life.pid),
            from_ms: Some(life.first_seen_ms),
            to_ms: Some(life.first_seen_ms),
        };
        assert!(all_lives(reader, wanted).contains(life));
    }
    assert_eq!(reader.runs(0).unwrap().len(), model.runs.len());
}

#[derive(Clone, Debug)]
enum Step {
    Begin { pid: i64 },
    Exec { which: usize, to: u8 },
    SetUid { which: usize, uid: Option<i64> },
    Work { which: usize, by: i64 },
    End { which: usize },
    Run { later_ms: i64, complete: bool },
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let which = 0..8usize;
    prop_oneof![
        2 => (1..6i64).prop_map(|pid| Step::Begin { pid }),
        1 => (which.clone(), 0..4u8).prop_map(|(which, to)| Step::Exec { which, to }),
        1 => (which.clone(), proptest::option::of(0..3i64)).prop_map(|(which, uid)| Step::SetUid { which, uid }),
        2 => (which.clone(), -5..5_000i64).prop_map(|(which, by)| Step::Work { which, by }),
        1 => which.prop_map(|which| Step::End { which }),
        4 => (-30..60i64, proptest::bool::weighted(0.8))
            .prop_map(|(later_ms, complete)| Step::Run { later_ms, complete }),
        1 => Just(Step::Reopen),
    ]
}

fn process(n: u64, pid: i64) -> Observed {
    let mut process =
        Observed { start_key: format!("boot-{pid}-{n}").into_bytes(), pid, ..Observed::default() };
    process.facts.set(Fact::Path, Some(Datum::Text(b"/bin/sh".to_vec())));
    process.facts.set(Fact::Uid, Some(Datum::Int(0)));
    process.activity.set(Meter::UserTime, Some(0));
    process
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn history_tells_what_all_snapshots_would(steps in proptest::collection::vec(step(), 0..120)) {
        let dir = tempfile::tempdir().unwrap();
        let mut history = History::open(dir.path()).unwrap();
        let (mut model, mut here, mut time, mut begun) = (Model::default(), Vec::<Observed>::new(), 1_000, 0);
        for step in steps {
            match step {
                Step::Begin { pid } => {
                    // A pid is used by one process at a time, and again later.
                    here.retain(|process| process.pid != pid);
                    begun += 1;
                    here.push(process(begun, pid));
                }
                Step::Exec { which, to } => if let Some(process) = here.get_mut(which) {
                    process.facts.set(Fact::Path, Some(Datum::Text(vec![b'/', to])));
                    process.facts.set(Fact::Tty, (to > 1).then(|| Datum::Text(vec![to])));
                },
                Step::SetUid { which, uid } => if let Some(process) = here.get_mut(which) {
                    process.facts.set(Fact::Uid, uid.map(Datum::Int));
                },
                Step::Work { which, by } => if let Some(process) = here.get_mut(which) {
                    let done = process.activity.get(Meter::UserTime).unwrap_or_default() + by;
                    process.activity.set(Meter::UserTime, Some(done));
                    process.activity.set(Meter::DiskRead, (by % 3 > 0).then(|| i64::MAX - by));
                },
                Step::End { which } => if which < here.len() {
                    here.remove(which);
                },
                Step::Run { later_ms, complete } => {
                    time += later_ms;
                    let run = CollectionFacts { time_ms: time, elapsed_ms: 1, complete, lost: 0 };
                    let listed = if complete { &here[..] } else { &here[..here.len() / 2] };
                    history.observe_run(run, listed).unwrap();
                    model.observe(time, complete, listed);
                }
                Step::Reopen => {
                    drop(history);
                    history = History::open(dir.path()).unwrap();
                }
            }
        }
        assert_equal(&history.reader(), &model);
    }
}

#[test]
fn keyframes_do_not_change_what_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::open(dir.path()).unwrap();
    let mut model = Model::default();
    for run in 0..200u64 {
        let mut listed: Vec<Observed> = (run / 3..run / 3 + 5).map(|n| process(n, n as i64)).collect();
        for process in &mut listed {
            process.activity.set(Meter::UserTime, Some(run as i64 * 10));
        }
        history.observe(run as i64 * 30_000, &listed).unwrap();
        model.observe(run as i64 * 30_000, true, &listed);
    }
    assert_equal(&history.reader(), &model);
}

#[test]
fn a_process_that_is_seen_again_has_one_life() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::open(dir.path()).unwrap();
    let here = [process(1, 7)];
    history.observe(1_000, &here).unwrap();
    assert_eq!(history.observe(2_000, &[]).unwrap().ended, 1);
    assert_eq!(history.observe(3_000, &here).unwrap().began, 1);
    let lives = all_lives(&history.reader(), LivesWanted::default());
    assert_eq!(lives.len(), 1);
    assert_eq!((lives[0].first_seen_ms, lives[0].last_seen_ms, lives[0].ended), (1_000, 3_000, false));
}

#[test]
fn retention_takes_whole_lives_and_never_the_living() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::open(dir.path()).unwrap();
    let mut model = Model::default();
    for run in 0..400u64 {
        let mut listed = vec![process(0, 1), process(run, 1_000 + run as i64)];
        listed[0].facts.set(Fact::Uid, Some(Datum::Int((run / 100) as i64)));
        history.observe(run as i64 * 1_000, &listed).unwrap();
        model.observe(run as i64 * 1_000, true, &listed);
    }
    let expected = model.lives();
    let limits = Limits { max_age_ms: 150_000, max_bytes: u64::MAX };
    let (mut lives, mut runs) = (0, 0);
    loop {
        let retained = history.retain(&limits, 400_000, 7).unwrap();
        assert!(retained.lives + retained.runs <= 7);
        (lives, runs) = (lives + retained.lives, runs + retained.runs);
        let reader = history.reader();
        for life in all_lives(&reader, LivesWanted::default()) {
            assert_eq!(Some(&life), expected.get(&life.start_key));
        }
        assert_eq!(reader.life(&process(0, 1).start_key).unwrap().unwrap().changes, 3);
        if !retained.more {
            break;
        }
    }
    // Up to the last keyframe that is too old: run 241.
    assert_eq!((lives, runs), (239, 240));
    let reader = history.reader();
    assert_eq!(reader.at(239_000).unwrap(), None);
    assert_eq!(reader.at(240_000).unwrap().map(past), model.at(240_000).map(|run| run.2.clone()));
    assert_eq!(history.retain(&limits, 400_000, 7).unwrap(), Retained::default());

    let small = Limits { max_age_ms: u64::MAX, max_bytes: 0 };
    while history.retain(&small, 400_000, 1_000).unwrap().more {}
    let stats = history.reader().stats().unwrap();
    assert!(stats.runs > 0 && stats.runs <= KEYFRAME_RUNS, "{stats:?}");
    history.compact().unwrap();
    assert_eq!(history.reader().at(399_000).unwrap().map(past), model.at(399_000).map(|run| run.2.clone()));
    drop(history);
    assert_eq!(HistoryReader::open(dir.path()).unwrap().stats().unwrap(), stats);
}

/// A thousand processes, of which 150 work between runs and 10 make room for new ones.
fn busy(run: u64) -> Vec<Observed> {
    let process = |slot: u64| {
        let n = slot + 1000 * ((run + 99 - slot / 10) / 100);
        let mut process = process(n, (n % 32_768) as i64);
        process.start_key = format!("0b8f3c52-9d1e-{n}-{}", n * 7919).into_bytes();
        let text = |text: String| Some(Datum::Text(text.into_bytes()));
        process.facts.set(Fact::Parent, Some(Datum::Int(1)));
        process.facts.set(Fact::Name, text(format!("worker-{}", n % 50)));
        process.facts.set(Fact::Path, text(format!("/usr/lib/service/worker-{}", n % 50)));
        process
            .facts
            .set(Fact::Cmdline, text(format!("/usr/lib/service/worker-{} --job {n} --quiet", n % 50)));
        process.facts.set(Fact::Cwd, text("/var/lib/service".into()));
        process.facts.set(Fact::Cgroup, text(format!("/system.slice/worker-{}.service", n % 50)));
        let worked = (run * 150 + 999 - slot) / 1000;
        process.activity.set(Meter::UserTime, Some((worked * 137) as i64));
        process.activity.set(Meter::SystemTime, Some((worked * 31) as i64));
        process.activity.set(Meter::ResidentSize, Some(((worked * 7919 % 4096) * 4096) as i64));
        process.activity.set(Meter::State, Some(i64::from(b'S')));
        process
    };
    (0..1000).map(process).collect()
}

#[test]
fn a_day_of_a_busy_machine_grows_by_less_than_30_mb() {
    const RUNS: u64 = 240;
    const RUNS_OF_A_DAY: u64 = 2880;
    const BYTES_MAX: u64 = 30_000_000;
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::open(dir.path()).unwrap();
    let mut sizes = Vec::new();
    for run in 0..RUNS {
        history.observe(run as i64 * 30_000, &busy(run)).unwrap();
        if run + 1 == RUNS / 2 || run + 1 == RUNS {
            history.compact().unwrap();
            let stored = history.reader().stats().unwrap().stored_bytes;
            let file = std::fs::File::options().read(true).open(dir.path().join(HISTORY_FILE)).unwrap();
            sizes.push((stored, file.metadata().unwrap().len()));
        }
    }
    let a_day = |of: fn(&(u64, u64)) -> u64| (of(&sizes[1]) - of(&sizes[0])) * RUNS_OF_A_DAY / (RUNS / 2);
    let (stored, file) = (a_day(|size| size.0), a_day(|size| size.1));
    println!("bytes a day: {stored} stored, {file} of the compacted file; now {sizes:?}");
    assert!(stored < BYTES_MAX, "{stored}");
    let lives = all_lives(&history.reader(), LivesWanted::default());
    assert_eq!(lives.len() as u64, 1000 + 10 * (RUNS - 1));
    let started = std::time::Instant::now();
    for life in lives.iter().step_by(10) {
        assert_eq!(history.reader().life(&life.start_key).unwrap().as_ref(), Some(life));
    }
    println!("a look-up of one life takes {:?}", started.elapsed() / (lives.len() as u32 / 10));
}
