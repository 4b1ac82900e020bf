//! The rules that the agent runs: loaded at the start, and again when they change.
#![allow(
    clippy::disallowed_methods,
    reason = "rule files are the agent's own, and no part of what is watched"
)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use config::agent::Config;
use detection::{Pack, RuleLimits};
use model::Rule;
use store::RuleCard;
use vtables::Engine;

use crate::clock;
use crate::health::Health;
use crate::keeper::Keeper;
use crate::worker::{Desk, Turn};

/// Where rules are installed.
const INSTALLED: &str = "/etc/daemoneye/rules";
/// Files that a look for changes goes through.
const FILES_MAX: usize = 20_000;

/// The rules, and where they come from.
pub(crate) struct Loading {
    directory: Option<PathBuf>,
    /// Every rule at this interval in place of its own.
    every: Option<Duration>,
    limits: RuleLimits,
    rules: Vec<Rule>,
    /// The tables that each rule reads.
    reads: HashMap<String, String>,
    cards: Vec<RuleCard>,
    seen: Vec<(PathBuf, u64, Option<SystemTime>)>,
    seed: u64,
}

impl Loading {
    /// The rules of the configured directory; else those that are installed; else those that come with the program.
    pub(crate) fn of(config: &Config, seed: u64) -> Loading {
        let given = config.rules.value.clone();
        let directory = given.or_else(|| Some(PathBuf::from(INSTALLED)).filter(|path| path.is_dir()));
        let limits = RuleLimits {
            nesting: usize::try_from(config.rule_nesting.value).unwrap_or(usize::MAX),
            steps: config.rule_steps.value,
        };
        Loading {
            directory,
            every: config.every.value,
            limits,
            rules: Vec::new(),
            reads: HashMap::new(),
            cards: Vec::new(),
            seen: Vec::new(),
            seed,
        }
    }

    /// Loads at the start: a bad rule is refused alone.
    ///
    /// # Errors
    /// When there is no pack at all.
    pub(crate) fn start(
        &mut self,
        engine: &mut Engine,
        keeper: &Keeper,
        desk: &Desk,
        health: &Health,
    ) -> anyhow::Result<()> {
        self.seen = self.files();
        let pack = self.pack(engine)?;
        tell(&pack);
        self.take(pack, engine, keeper, desk, health);
        Ok(())
    }

    /// Loads again. A pack with a bad rule keeps its old version whole.
    pub(crate) fn reload(
        &mut self,
        engine: &mut Engine,
        keeper: &Keeper,
        desk: &Desk,
        health: &Health,
    ) -> Result<String, String> {
        self.seen = self.files();
        let pack = self.pack(engine).map_err(|error| format!("{error:#}"))?;
        tell(&pack);
        if let Some(first) = pack.faults.first() {
            let (n, kept) = (pack.faults.len(), self.rules.len());
            let said = format!("{n} faults, so the {kept} rules of before stay; the first is {first}");
            health.set("rules", false, &said);
            return Err(said);
        }
        let said = format!("{} rules are loaded", pack.rules.len());
        self.take(pack, engine, keeper, desk, health);
        tracing::info!(rules = self.rules.len(), "the rules were loaded again");
        Ok(said)
    }

    /// Loads again if a file changed since.
    pub(crate) fn look(&mut self, engine: &mut Engine, keeper: &Keeper, desk: &Desk, health: &Health) {
        if self.directory.is_some() && self.files() != self.seen {
            // What is wrong was told.
            let _ = self.reload(engine, keeper, desk, health);
        }
    }

    /// Hands out the rules that may run, after one of them was switched.
    pub(crate) fn hand_out(&self, keeper: &Keeper, desk: &Desk) {
        let now = clock::now_ms();
        let mut turns = Vec::new();
        for rule in &self.rules {
            let switch = keeper.note(keeper.state.reader().rule_switch(&rule.id));
            let (enabled, last) = switch.map_or((true, None), |switch| (switch.enabled, switch.last_run_ms));
            if enabled {
                let elapsed =
                    last.map(|last| Duration::from_millis(u64::try_from(now - last).unwrap_or(u64::MAX)));
                let interval = self.every.unwrap_or(rule.interval);
                let reads = self.reads.get(&rule.id).cloned().unwrap_or_default();
                turns.push(Turn { rule: rule.clone(), reads, interval, elapsed });
            }
        }
        desk.set(turns, self.seed);
    }

    fn take(&mut self, pack: Pack, engine: &mut Engine, keeper: &Keeper, desk: &Desk, health: &Health) {
        let path = self.directory.as_ref().map_or("built in".into(), |path| path.display().to_string());
        self.cards = pack.rules.iter().map(|rule| RuleCard::loaded(rule, path.clone())).collect();
        let mut refused: Vec<RuleCard> = Vec::new();
        for fault in &pack.faults {
            let (path, said) = (fault.path.display().to_string(), fault.to_string());
            match refused.iter_mut().find(|card| card.path == path) {
                Some(card) => card.error = format!("{}\n{said}", card.error),
                None => refused.push(RuleCard::refused(path, said)),
            }
        }
        let said = format!("{} loaded, {} files refused", pack.rules.len(), refused.len());
        health.set("rules", refused.is_empty(), said);
        self.cards.extend(refused);
        self.reads = pack.rules.iter().map(|rule| (rule.id.clone(), reads(rule, engine))).collect();
        self.rules = pack.rules;
        keeper.note(keeper.state.rules_loaded(&self.cards, clock::now_ms()));
        keeper.news.tell();
        self.hand_out(keeper, desk);
    }

    fn pack(&self, engine: &mut Engine) -> anyhow::Result<Pack> {
        match &self.directory {
            Some(directory) => Ok(Pack::load(directory, engine, &self.limits)?),
            None => Ok(Pack::shipped(engine, &self.limits)),
        }
    }

    /// Every file below the directory, with what changes when it is written.
    fn files(&self) -> Vec<(PathBuf, u64, Option<SystemTime>)> {
        let mut found = Vec::new();
        let mut directories: Vec<PathBuf> = self.directory.iter().cloned().collect();
        while let Some(directory) = directories.pop() {
            let entries = match std::fs::read_dir(&directory) {
                Ok(entries) => entries,
                // One file in place of a directory.
                Err(_) => {
                    found.extend(facts(&directory));
                    continue;
                }
            };
            for entry in entries.flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    directories.push(entry.path());
                } else if found.len() < FILES_MAX {
                    found.extend(facts(&entry.path()));
                }
            }
        }
        found.sort();
        found
    }
}

/// The tables that a rule reads.
fn reads(rule: &Rule, engine: &mut Engine) -> String {
    let mut tables = engine.validate(&rule.sql).map(|validated| validated.tables).unwrap_or_default();
    tables.sort_unstable();
    tables.dedup();
    tables.join(" ")
}

fn facts(path: &Path) -> Option<(PathBuf, u64, Option<SystemTime>)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((path.to_owned(), metadata.len(), metadata.modified().ok()))
}

fn tell(pack: &Pack) {
    for fault in &pack.faults {
        tracing::error!(fault = %fault, help = fault.help, "a rule was refused");
    }
    for warning in &pack.warnings {
        tracing::warn!(fault = %warning, help = warning.help, "a rule says what is probably not meant");
    }
}
