//! Which rule runs when.
//!
//! Time here is monotonic: a clock that is set does not move a rule, and after a suspend each rule that is due runs
//! once, whatever it missed. A rule is handed out to one worker at a time. Rules that read the same tables have the
//! same turn, so that they share what is read; others are spread.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A rule's turn.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Turn {
    interval: Duration,
    next: Instant,
    running: bool,
}

/// The turns of all rules, by id.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    turns: BTreeMap<String, Turn>,
}

/// What there is to do at a time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Run this rule.
    Run(String),
    /// Nothing before then; nothing at all for `None`.
    Wait(Option<Duration>),
}

/// Rules first run within this after the start, so that a short look at the machine comes soon.
const FIRST_RUN_MAX: Duration = Duration::from_secs(10);

impl Schedule {
    /// Has these rules from now on, each with what it reads. One that was there before keeps its turn, unless its
    /// interval changed.
    ///
    /// `elapsed` is how long ago a rule last ran, which may be negative after the clock was set back, and is nothing
    /// for one that never did. `seed` spreads the rules, on each machine otherwise.
    pub(crate) fn set(
        &mut self,
        rules: impl IntoIterator<Item = (String, String, Duration, Option<Duration>)>,
        seed: u64,
        now: Instant,
    ) {
        let mut turns = BTreeMap::new();
        for (id, reads, interval, elapsed) in rules {
            let known = self.turns.remove(&id).filter(|turn| turn.interval == interval);
            let turn = known.unwrap_or_else(|| {
                let owed = elapsed.map_or(Duration::ZERO, |elapsed| interval.saturating_sub(elapsed));
                let step = interval.min(FIRST_RUN_MAX);
                let splay = splay(&reads, seed, step);
                // Whole steps, so that those who ran together before a restart do so after it.
                let steps = owed.saturating_sub(splay).as_millis().div_ceil(step.as_millis().max(1));
                let wait = step.saturating_mul(u32::try_from(steps).unwrap_or(u32::MAX));
                Turn { interval, next: now + splay + wait, running: false }
            });
            turns.insert(id, turn);
        }
        self.turns = turns;
    }

    /// What there is to do now. A rule that is handed out has to be given back with [`Schedule::done`].
    pub(crate) fn next(&mut self, now: Instant) -> Next {
        let idle = self.turns.iter_mut().filter(|(_, turn)| !turn.running);
        let Some((id, turn)) = idle.min_by_key(|(_, turn)| turn.next) else { return Next::Wait(None) };
        if turn.next > now {
            return Next::Wait(Some(turn.next - now));
        }
        turn.running = true;
        Next::Run(id.clone())
    }

    /// A rule's run ended. Turns that it missed meanwhile are left out.
    pub(crate) fn done(&mut self, id: &str, now: Instant) {
        let Some(turn) = self.turns.get_mut(id) else { return };
        turn.running = false;
        let late = now.saturating_duration_since(turn.next);
        let interval = turn.interval.max(Duration::from_millis(1));
        let missed = u32::try_from(late.as_millis() / interval.as_millis().max(1)).unwrap_or(u32::MAX);
        let next = interval.checked_mul(missed).and_then(|by| turn.next.checked_add(by));
        turn.next = next.map_or(now, |next| next.max(turn.next)) + interval;
    }
}

/// A time below `most` that is the same for what is read on this machine, and another elsewhere.
fn splay(reads: &str, seed: u64, most: Duration) -> Duration {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ seed;
    for byte in reads.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX).max(1);
    Duration::from_millis((hash >> 16) % most)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn of(ids: &[&str]) -> Vec<(String, String, Duration, Option<Duration>)> {
        ids.iter().map(|id| ((*id).to_owned(), (*id).to_owned(), MINUTE, None)).collect()
    }

    #[test]
    fn every_rule_runs_soon_and_then_at_its_interval() {
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        schedule.set(of(&["a", "b", "c"]), 1, start);
        let mut runs = BTreeMap::<String, Vec<Duration>>::new();
        let mut now = start;
        while now < start + MINUTE * 10 {
            match schedule.next(now) {
                Next::Run(id) => {
                    schedule.done(&id, now + Duration::from_millis(5));
                    runs.entry(id).or_default().push(now - start);
                }
                Next::Wait(wait) => now += wait.unwrap(),
            }
        }
        for times in runs.values() {
            assert!(times[0] < FIRST_RUN_MAX && times.len() == 10, "{times:?}");
            assert!(times.windows(2).all(|pair| pair[1] - pair[0] == MINUTE), "{times:?}");
        }
        assert_eq!(runs.len(), 3);
    }

    #[test]
    fn a_rule_is_never_handed_out_twice() {
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        schedule.set(of(&["a"]), 1, start);
        let later = start + MINUTE * 5;
        assert_eq!(schedule.next(later), Next::Run("a".into()));
        assert_eq!(schedule.next(later), Next::Wait(None));
        schedule.set(of(&["a"]), 1, later);
        assert_eq!(schedule.next(later), Next::Wait(None), "a reload does not hand it out again");
    }

    #[test]
    fn what_was_missed_is_not_made_up_for() {
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        schedule.set(of(&["a"]), 1, start);
        let woken = start + MINUTE * 1000;
        assert_eq!(schedule.next(woken), Next::Run("a".into()));
        schedule.done("a", woken);
        let Next::Wait(Some(wait)) = schedule.next(woken) else { panic!("it runs again at once") };
        assert!(wait <= MINUTE);
    }

    #[test]
    fn a_rule_that_ran_before_a_restart_waits_for_its_turn() {
        let start = Instant::now();
        let wait = |elapsed| {
            let mut schedule = Schedule::default();
            schedule.set([("a".to_owned(), "t".to_owned(), MINUTE * 60, elapsed)], 1, start);
            match schedule.next(start) {
                Next::Run(_) => Duration::ZERO,
                Next::Wait(wait) => wait.unwrap(),
            }
        };
        let wait_on = wait(Some(MINUTE * 10));
        assert!(wait_on >= MINUTE * 50 && wait_on < MINUTE * 50 + FIRST_RUN_MAX, "{wait_on:?}");
        assert!(wait(Some(MINUTE * 100)) < FIRST_RUN_MAX);
        assert!(wait(None) < FIRST_RUN_MAX);
    }

    #[test]
    fn rules_that_read_the_same_run_together_also_after_a_restart() {
        let start = Instant::now();
        let rule = |id: &str, reads: &str, elapsed| (id.to_owned(), reads.to_owned(), MINUTE, elapsed);
        let ago = |ms| Some(Duration::from_millis(ms));
        let mut schedule = Schedule::default();
        let rules = [
            rule("a", "processes", None),
            rule("b", "processes", ago(100_000)),
            rule("c", "processes", ago(20_000)),
            rule("d", "processes", ago(20_700)),
            rule("e", "suid_bin", None),
        ];
        schedule.set(rules, 3, start);
        let next = |id: &str| schedule.turns[id].next - start;
        assert_eq!(next("a"), next("b"));
        assert_eq!(next("c"), next("d"));
        assert_ne!(next("a"), next("e"));
    }

    #[test]
    fn rules_that_stay_keep_their_turn_and_others_go() {
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        schedule.set(of(&["a", "b"]), 1, start);
        let before = schedule.turns["a"].clone();
        schedule.set(of(&["a", "c"]), 1, start + Duration::from_secs(1));
        assert_eq!(schedule.turns["a"], before);
        assert_eq!(schedule.turns.keys().collect::<Vec<_>>(), ["a", "c"]);
        schedule.done("b", start);
    }
}
