//! What a rule must be before it runs: its header, its SQL, and how the two fit together.

use std::time::Duration;

use model::{Budget, Dedup, Rule, Severity, duration, size};
use vtables::{Engine, SqlError, Validated};

use crate::source::{Place, Source};
use crate::yaml::{At, DedupText, RuleText};
use crate::{RuleFault, RuleLimits, trial};

/// Characters of an id: it is a file name, a key of state and a word on a line.
const ID_CHARS_MAX: usize = 64;
/// Characters of a title: it is one line of an alert.
const TITLE_CHARS_MAX: usize = 120;
const INTERVAL_DEFAULT: Duration = Duration::from_secs(60);
const INTERVAL_MIN: Duration = Duration::from_secs(1);
const INTERVAL_MAX: Duration = Duration::from_secs(7 * 86_400);
const TIMEOUT_MIN: Duration = Duration::from_millis(1);
const TIMEOUT_MAX: Duration = Duration::from_secs(3600);
/// Bytes that a rule's own budget can name: less keeps nothing, more no engine gives.
const MEMORY_BYTES: std::ops::RangeInclusive<u64> = 64 << 10..=4 << 30;
const WINDOW_DEFAULT: Duration = Duration::from_secs(3600);
const WINDOW_MAX: Duration = Duration::from_secs(366 * 86_400);

/// A rule that holds.
pub(crate) struct Loaded {
    pub(crate) rule: Rule,
    /// Where its id stands.
    pub(crate) id_place: Place,
    /// The names of its tests, which passed.
    pub(crate) tests: Vec<String>,
    /// What is probably not meant.
    pub(crate) warnings: Vec<RuleFault>,
}

/// The rule of a file, or everything that is wrong with it. Its tests run once the rest holds.
pub(crate) fn load(
    source: &Source,
    engine: &mut Engine,
    limits: &RuleLimits,
) -> Result<Loaded, Vec<RuleFault>> {
    let mut text = crate::yaml::parse(source).map_err(|fault| vec![*fault])?;
    // A block scalar ends with a line break, and one SQL text has one form.
    text.sql.value = text.sql.value.trim().to_owned();
    let mut check = Check { source, faults: Vec::new(), warnings: Vec::new() };
    let rule = check.header(&text);
    let result = check.sql(&text, engine, limits);
    if let (Some(rule), Some(result), true) = (rule, result, check.faults.is_empty()) {
        trial::run(&mut check, &text, &result, engine);
        if check.faults.is_empty() {
            let tests = text.tests.value.iter().map(|test| test.name.value.clone()).collect();
            return Ok(Loaded { rule, id_place: text.id.place, tests, warnings: check.warnings });
        }
    }
    Err(check.faults)
}

/// The findings of a check so far.
pub(crate) struct Check<'s> {
    pub(crate) source: &'s Source,
    pub(crate) faults: Vec<RuleFault>,
    pub(crate) warnings: Vec<RuleFault>,
}

impl Check<'_> {
    pub(crate) fn fault(&mut self, place: Place, message: impl Into<String>, help: &str) {
        self.faults.push(self.source.fault(place, message).help(help));
    }

    pub(crate) fn warn(&mut self, place: Place, message: impl Into<String>, help: &str) {
        self.warnings.push(self.source.fault(place, message).help(help));
    }

    fn header(&mut self, text: &RuleText) -> Option<Rule> {
        if !is_id(&text.id.value) {
            let message = format!("`{}` is no id of a rule", text.id.value);
            self.fault(
                text.id.place,
                message,
                "write words of a–z and 0–9 with - between them, 64 characters at most, such as deleted-executable",
            );
        }
        self.one_line("title", &text.title);
        if text.description.value.trim().is_empty() {
            self.fault(text.description.place, "the description is empty", "say why a finding matters");
        }
        let severity = Severity::from_name(&text.severity.value);
        if severity.is_none() {
            let message = format!("there is no severity `{}`", text.severity.value);
            self.fault(text.severity.place, message, "the severities are low, medium, high and critical");
        }
        for tag in text.tags.iter().filter(|t| !is_tag(&t.value)) {
            let message = format!("`{}` is no tag", tag.value);
            self.fault(
                tag.place,
                message,
                "write it in lower case: attack.defense_evasion, attack.t1070, attack.t1070.004",
            );
        }
        let interval =
            self.time("interval", text.interval.as_ref(), INTERVAL_DEFAULT, INTERVAL_MIN..=INTERVAL_MAX);
        let budget = self.budget(text);
        let dedup = self.dedup(text.dedup.as_ref());
        Some(Rule {
            id: text.id.value.clone(),
            title: text.title.value.trim().to_owned(),
            description: text.description.value.trim().to_owned(),
            severity: severity?,
            tags: texts(&text.tags),
            interval: interval?,
            budget: budget?,
            sql: text.sql.value.clone(),
            dedup: dedup?,
            false_positives: texts(&text.false_positives),
            references: texts(&text.references),
        })
    }

    fn one_line(&mut self, key: &str, text: &At<String>) {
        let chars = text.value.trim().chars().count();
        if chars == 0 || chars > TITLE_CHARS_MAX || text.value.trim().chars().any(char::is_control) {
            let message = format!("the {key} is not one line of 1 to {TITLE_CHARS_MAX} characters");
            self.fault(
                text.place,
                message,
                "say in one sentence what a finding means; the rest goes into description",
            );
        }
    }

    fn time(
        &mut self,
        key: &str,
        text: Option<&At<String>>,
        default: Duration,
        allowed: std::ops::RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let Some(text) = text else { return Some(default) };
        match duration::parse(&text.value) {
            Some(time) if allowed.contains(&time) => Some(time),
            Some(_) => {
                let (least, most) = (duration::shown(*allowed.start()), duration::shown(*allowed.end()));
                let message = format!("the {key} `{}` is outside what is allowed", text.value);
                self.fault(text.place, message, &format!("it can be {least} to {most}"));
                None
            }
            None => {
                self.fault(text.place, format!("`{}` is no length of time", text.value), duration::FORM);
                None
            }
        }
    }

    fn budget(&mut self, text: &RuleText) -> Option<Budget> {
        let timeout = match &text.timeout {
            None => None,
            given => Some(self.time("timeout", given.as_ref(), TIMEOUT_MAX, TIMEOUT_MIN..=TIMEOUT_MAX)?),
        };
        let Some(budget) = &text.budget else { return Some(Budget { timeout, ..Budget::default() }) };
        let memory_bytes = match &budget.memory {
            None => None,
            Some(written) => match size::parse(&written.value).filter(|bytes| MEMORY_BYTES.contains(bytes)) {
                None => {
                    let message = format!("`{}` is no memory for a rule", written.value);
                    self.fault(written.place, message, &format!("{}, from 64KiB to 4GiB", size::FORM));
                    return None;
                }
                bytes => bytes,
            },
        };
        if let Some(rows) = budget.rows.as_ref().filter(|rows| rows.value == 0) {
            self.fault(
                rows.place,
                "a rule of no rows finds nothing",
                "allow at least 1, or leave `rows` out",
            );
            return None;
        }
        Some(Budget { timeout, memory_bytes, rows: budget.rows.as_ref().map(|rows| rows.value) })
    }

    fn dedup(&mut self, text: Option<&DedupText>) -> Option<Dedup> {
        let window = text.and_then(|d| d.window.as_ref());
        let window = self.time("window", window, WINDOW_DEFAULT, Duration::from_secs(1)..=WINDOW_MAX)?;
        Some(Dedup { keys: text.map(|d| texts(&d.keys)).unwrap_or_default(), window })
    }

    /// Has the engine check the SQL, and compares its columns with the header.
    fn sql(&mut self, text: &RuleText, engine: &mut Engine, limits: &RuleLimits) -> Option<Validated> {
        let result = match engine.validate(&text.sql.value) {
            Ok(result) => result,
            Err(error) => {
                let fault = self.sql_fault(&text.sql, &error);
                self.faults.push(fault);
                return None;
            }
        };
        for warning in &result.warnings {
            let place = self.sql_place(&text.sql, warning.place.as_ref());
            let help = warning.help.clone();
            self.warnings.push(RuleFault { help, ..self.source.fault(place, &warning.message) });
        }
        self.nesting(text, &result, limits);
        self.cost(text, engine, limits);
        if let Some(name) = result.params.first() {
            let at = text.sql.value.find(name.as_str()).map(|at| at..at + name.len());
            let place = self.sql_place(&text.sql, at.as_ref());
            let message = format!("a rule has nobody to give the parameter {name} a value");
            self.fault(place, message, "write the value into the SQL");
        }
        if result.tables.is_empty() {
            self.warn(text.sql.place, "this SQL reads no table", "say FROM which table the rows come");
        }
        let names = || result.columns.iter().map(|c| c.name.as_str());
        for (n, name) in names().enumerate() {
            if names().take(n).any(|earlier| earlier.eq_ignore_ascii_case(name)) {
                let message = format!("two columns of the result are called `{name}`");
                self.fault(text.sql.place, message, "give one of them another name with AS");
            }
        }
        for key in text.dedup.iter().flat_map(|d| &d.keys) {
            if !names().any(|name| name.eq_ignore_ascii_case(&key.value)) {
                let message = format!("the result has no column `{}` to tell findings apart by", key.value);
                let help = format!("its columns are {}", names().collect::<Vec<_>>().join(", "));
                self.fault(key.place, message, &help);
            }
        }
        Some(result)
    }

    fn nesting(&mut self, text: &RuleText, result: &Validated, limits: &RuleLimits) {
        // The outermost query is no subquery.
        if let Some(bytes) = result.levels.get(limits.nesting + 1) {
            let place = self.sql_place(&text.sql, Some(bytes));
            let message = format!("subqueries stand within each other more than {} deep", limits.nesting);
            self.fault(
                place,
                message,
                "put inner ones first, side by side, with WITH name AS (…), or allow more with the setting rule.nesting",
            );
        }
    }

    fn cost(&mut self, text: &RuleText, engine: &mut Engine, limits: &RuleLimits) {
        let sql = &text.sql.value;
        if engine.steps_at_most(sql).is_ok_and(|most| most.is_some_and(|most| most <= limits.steps as f64)) {
            return;
        }
        let estimate = match engine.estimate(sql) {
            Ok(estimate) => estimate,
            Err(error) => {
                let fault = self.sql_fault(&text.sql, &error);
                self.faults.push(fault);
                return;
            }
        };
        if estimate.steps <= limits.steps as f64 {
            return;
        }
        let mut product = 1.0;
        let over = estimate.loops.iter().find(|inner| {
            product *= inner.rows;
            product > limits.steps as f64
        });
        let place = over.or(estimate.loops.last()).and_then(|inner| inner.place.clone());
        let place = self.sql_place(&text.sql, place.as_ref());
        let loops: Vec<String> =
            estimate.loops.iter().map(|inner| format!("{} × {:.0}", inner.name, inner.rows)).collect();
        let message = format!(
            "it is expected to go through {:.1e} rows ({}), more than the {:.0e} that a rule may",
            estimate.steps,
            loops.join(", "),
            limits.steps as f64,
        );
        self.fault(
            place,
            message,
            "join on a column that both tables have, such as USING (pid), narrow a table with WHERE, or allow more \
             with the setting rule.steps",
        );
    }

    /// An engine's error at its place in this file.
    pub(crate) fn sql_fault(&self, sql: &At<String>, error: &SqlError) -> RuleFault {
        let place = self.sql_place(sql, error.place.as_ref());
        RuleFault { help: error.help.clone(), ..self.source.fault(place, &error.message) }
    }

    fn sql_place(&self, sql: &At<String>, bytes: Option<&std::ops::Range<usize>>) -> Place {
        match bytes {
            Some(bytes) => self.source.within(sql, bytes),
            None => Place { width: 1, ..sql.place },
        }
    }
}

fn texts(list: &[At<String>]) -> Vec<String> {
    list.iter().map(|t| t.value.clone()).collect()
}

fn is_id(id: &str) -> bool {
    let word = |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    id.len() <= ID_CHARS_MAX && id.split('-').all(word)
}

/// Dotted words in lower case. What begins like a number of ATT&CK (`attack.t1`) is a whole one.
fn is_tag(tag: &str) -> bool {
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    let word = |w: &str| !w.is_empty() && w.bytes().all(letter);
    if !tag.split('.').all(word) {
        return false;
    }
    let Some(attack) = tag.strip_prefix("attack.") else { return tag != "attack" };
    let digits = |text: &str, n: usize| text.len() == n && text.bytes().all(|b| b.is_ascii_digit());
    match attack.split_at(1) {
        ("t" | "g" | "s" | "m", rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => {
            match rest.split_once('.') {
                None => digits(rest, 4),
                Some((technique, sub)) => attack.starts_with('t') && digits(technique, 4) && digits(sub, 3),
            }
        }
        _ => !attack.contains('.') && !attack.contains(|c: char| c.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_kebab_case() {
        for id in ["a", "deleted-executable", "uid-0", "x86-64"] {
            assert!(is_id(id), "{id}");
        }
        for id in ["", "-a", "a-", "a--b", "A", "a_b", "a b", "../a", "é", &"a".repeat(65)] {
            assert!(!is_id(id), "{id}");
        }
    }

    #[test]
    fn attack_tags_are_whole() {
        for tag in [
            "attack.t1070",
            "attack.t1070.004",
            "attack.defense_evasion",
            "attack.g0016",
            "cve.2021-44228",
            "linux",
        ] {
            assert!(is_tag(tag), "{tag}");
        }
        for tag in [
            "",
            "attack",
            "attack.",
            "attack.T1070",
            "attack.t107",
            "attack.t1070.04",
            "attack.t10700",
            "attack.t1070.004.1",
            "attack.s0002.001",
            "Linux",
            "a b",
            ".a",
            "attack.defense_evasion.x",
            "attack.1070",
        ] {
            assert!(!is_tag(tag), "{tag}");
        }
    }
}
