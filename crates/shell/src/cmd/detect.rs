//! `detect`: the rules, evaluated on this machine.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::bail;
use clap::ValueEnum;
use detection::{Evaluation, Pack, RuleLimits, evaluate};
use model::{Finding, Note, Rule, Severity, Value, json};
use vtables::{Engine, ErrorKind, Limits, Options};

use crate::exit::Exit;
use crate::interrupt::{self, Scope};
use crate::machine::Source;
use crate::{clean, given, paint, say};

/// Where rules are installed.
const INSTALLED: &str = "/etc/daemoneye/rules";
/// Findings that are remembered between rounds. Those past it are printed each time, never left out.
const KNOWN_MAX: usize = 100_000;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// A directory of rules, or one rule file [default: /etc/daemoneye/rules if it is there, else those built in]
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    /// Evaluate every rule once and end; the default
    #[arg(long, conflicts_with = "every")]
    once: bool,
    /// Evaluate every rule again and again, until Ctrl-C
    #[arg(long, value_name = "TIME", value_parser = given::duration)]
    every: Option<Duration>,
    /// How findings are printed
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// What one rule may take
    #[arg(long, value_name = "TIME", value_parser = given::duration, default_value = "30s")]
    timeout: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a person
    Human,
    /// One JSON object per finding
    Ndjson,
}

pub(crate) fn run(args: &Args, source: &Source) -> anyhow::Result<Exit> {
    let limits = Limits { timeout: Some(args.timeout), ..Limits::default() };
    let mut engine = source.engine(limits)?;
    let pack = load(args.rules.as_deref(), &mut engine)?;
    for fault in &pack.faults {
        say::rule_fault(fault, true);
    }
    for warning in &pack.warnings {
        say::rule_fault(warning, false);
    }
    interrupt::listen(engine.canceller(), Scope::Program)?;
    let mut known = Known::default();
    let mut exit = if pack.faults.is_empty() { Exit::Done } else { Exit::Failed };
    let mut unseen = None;
    loop {
        let started = Instant::now();
        known.forget(SystemTime::now());
        let mut notes = BTreeMap::new();
        for rule in &pack.rules {
            let evaluation = evaluate(rule, &mut engine, &Options::default());
            let came_to = report(rule, &evaluation, args.format, args.every.map(|_| &mut known))?;
            if exit == Exit::Done {
                exit = came_to;
            }
            gather(&mut notes, evaluation.notes);
        }
        // What stays unseen is said once and not at every round.
        let kinds: Vec<_> = notes.keys().cloned().collect();
        if unseen.as_ref() != Some(&kinds) {
            say::notes(&notes.into_values().collect::<Vec<_>>());
            unseen = Some(kinds);
        }
        let Some(every) = args.every else { return Ok(exit) };
        // A round that took longer than its interval is followed by the next at once; none is made up for.
        interrupt::wait(every.saturating_sub(started.elapsed()));
    }
}

/// Adds what one rule could not see. Rules read the same tables, so the highest count of each kind stands.
fn gather(all: &mut BTreeMap<(String, String, String), Note>, notes: Vec<Note>) {
    for note in notes {
        let kind = (note.table.clone(), note.column.clone(), note.reason.clone());
        let known = all.entry(kind).or_insert_with(|| note.clone());
        known.count = known.count.max(note.count);
    }
}

fn load(rules: Option<&Path>, engine: &mut Engine) -> anyhow::Result<Pack> {
    let path = match rules {
        Some(path) => path,
        None if Path::new(INSTALLED).is_dir() => Path::new(INSTALLED),
        None => return Ok(Pack::shipped(engine, &RuleLimits::default())),
    };
    match Pack::load(path, engine, &RuleLimits::default()) {
        Ok(pack) if pack.rules.is_empty() && pack.faults.is_empty() => {
            bail!(crate::Usage(anyhow::anyhow!("{} holds no rule (*.yaml)", path.display())))
        }
        Ok(pack) => Ok(pack),
        Err(error) => bail!(crate::Usage(error.into())),
    }
}

/// The findings of earlier rounds that their rules' windows still cover: when each window opened, and its length.
#[derive(Default)]
struct Known(HashMap<(String, Vec<u8>), (SystemTime, Duration)>);

impl Known {
    /// Whether a finding is news. A window opens at the first finding and does not move with later ones.
    fn is_new(&mut self, rule: &Rule, finding: &Finding) -> bool {
        let key = (rule.id.clone(), rule.dedup.key(finding.row.iter().map(|(name, value)| (&**name, value))));
        let open = self.0.get(&key).is_some_and(|window| is_open(*window, finding.time));
        if !open && self.0.len() < KNOWN_MAX {
            self.0.insert(key, (finding.time, rule.dedup.window));
        }
        !open
    }

    /// Lets go of the windows that have closed.
    fn forget(&mut self, now: SystemTime) {
        self.0.retain(|_, window| is_open(*window, now));
    }
}

/// A clock that was set back leaves no window open into the future.
fn is_open((since, length): (SystemTime, Duration), now: SystemTime) -> bool {
    now.duration_since(since).is_ok_and(|age| age < length)
}

/// Prints what a rule found. Answers what that comes to.
fn report(
    rule: &Rule,
    evaluation: &Evaluation,
    format: Format,
    mut known: Option<&mut Known>,
) -> anyhow::Result<Exit> {
    let mut out = io::stdout().lock();
    for finding in &evaluation.findings {
        if known.as_mut().is_some_and(|known| !known.is_new(rule, finding)) {
            continue;
        }
        let text = match format {
            Format::Human => human(finding),
            Format::Ndjson => ndjson(finding),
        };
        out.write_all(text.as_bytes())?;
    }
    out.flush()?;
    if evaluation.is_cut() {
        let (left_out, rows) = (evaluation.left_out, evaluation.rows);
        say::remark(&format!("note: {} matched {rows} rows; {left_out} are not shown", rule.id));
    }
    if let Some(failure) = &evaluation.failure {
        say::error(&format!("rule {}: {}", rule.id, failure.message));
    }
    Ok(match &evaluation.failure {
        Some(failure) if failure.kind == ErrorKind::Unreachable => Exit::Unreachable,
        None if evaluation.findings.is_empty() => Exit::Done,
        _ => Exit::Failed,
    })
}

fn human(finding: &Finding) -> String {
    let colours = paint::stdout_colours();
    let severity = match finding.severity {
        Severity::Critical | Severity::High => paint::ERROR,
        Severity::Medium => paint::FUNCTION,
        Severity::Low => paint::NUMBER,
    };
    let mut text = format!(
        "{} {}  {} {}\n",
        paint::styled_if(colours, severity, &format!("{:<8}", finding.severity.name())),
        paint::styled_if(colours, paint::HEADING, &clean::line(&finding.title)),
        paint::styled_if(colours, paint::FAINT, &clean::line(&finding.rule)),
        paint::styled_if(colours, paint::FAINT, &model::rfc3339(finding.time)),
    );
    let width = finding.row.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    for (name, value) in &finding.row {
        let shown = match value {
            Value::Null => paint::styled_if(colours, paint::FAINT, "NULL"),
            Value::Int(n) => n.to_string(),
            Value::Real(x) => format!("{x:?}"),
            Value::Text(bytes) | Value::Blob(bytes) => {
                let mut text = String::new();
                clean::push(bytes, &mut text);
                text
            }
        };
        text.push_str(&format!("         {:<width$}  {shown}\n", clean::line(name)));
    }
    text
}

fn ndjson(finding: &Finding) -> String {
    let mut text = String::from("{\"rule\":");
    json::push_string(&finding.rule, &mut text);
    text.push_str(",\"title\":");
    json::push_string(&finding.title, &mut text);
    text.push_str(",\"severity\":");
    json::push_string(finding.severity.name(), &mut text);
    text.push_str(",\"time\":");
    json::push_string(&model::rfc3339(finding.time), &mut text);
    text.push_str(",\"tags\":[");
    for (n, tag) in finding.tags.iter().enumerate() {
        if n > 0 {
            text.push(',');
        }
        json::push_string(tag, &mut text);
    }
    text.push_str("],\"row\":");
    json::push_row(finding.row.iter().map(|(name, value)| (&**name, value)), &mut text);
    text.push_str("}\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> Rule {
        let mut engine = Source::HERE.engine(Limits::default()).unwrap();
        Pack::shipped(&mut engine, &RuleLimits::default()).rules.remove(0)
    }

    fn finding(path: &[u8], seconds: u64) -> Finding {
        Finding {
            rule: "r".into(),
            title: "A title".into(),
            severity: Severity::High,
            tags: vec!["attack.t1".into(), "attack.t2".into()],
            time: std::time::UNIX_EPOCH + Duration::from_secs(seconds),
            count: 1,
            row: vec![("pid".into(), 42i64.into()), ("path".into(), path.to_vec().into())],
        }
    }

    #[test]
    fn a_finding_is_one_line_of_json_with_every_byte() {
        insta::assert_snapshot!(ndjson(&finding(b"/tmp/\xff\n", 0)), @r#"{"rule":"r","title":"A title","severity":"high","time":"1970-01-01T00:00:00.000Z","tags":["attack.t1","attack.t2"],"row":{"pid":42,"path":{"base64":"L3RtcC//Cg=="}}}"#);
    }

    #[test]
    fn hostile_bytes_do_not_reach_a_person() {
        let text = human(&finding(b"/tmp/\x1b[2J\nx\xff", 0));
        assert!(!text.contains('\x1b'), "{text:?}");
        assert_eq!(text.lines().count(), 3, "{text}");
    }

    #[test]
    fn a_finding_is_news_again_after_its_window() {
        let (rule, mut known) = (rule(), Known::default());
        let window = rule.dedup.window.as_secs();
        assert!(known.is_new(&rule, &finding(b"a", 0)));
        assert!(!known.is_new(&rule, &finding(b"a", window - 1)));
        assert!(known.is_new(&rule, &finding(b"a", window)));
    }

    #[test]
    fn closed_windows_are_forgotten_and_a_full_memory_hides_nothing() {
        let (rule, mut known) = (rule(), Known::default());
        let window = rule.dedup.window.as_secs();
        for n in 0..KNOWN_MAX as u64 {
            known.0.insert((n.to_string(), Vec::new()), (std::time::UNIX_EPOCH, rule.dedup.window));
        }
        assert!(known.is_new(&rule, &finding(b"a", 1)) && known.is_new(&rule, &finding(b"a", 1)));
        known.forget(std::time::UNIX_EPOCH + Duration::from_secs(window));
        assert_eq!(known.0.len(), 0);
        assert!(known.is_new(&rule, &finding(b"a", 1)) && !known.is_new(&rule, &finding(b"a", 1)));
    }

    #[test]
    fn what_two_rules_cannot_see_is_one_note() {
        let note = |count| Note { table: "t".into(), column: "c".into(), reason: "r".into(), count };
        let mut all = BTreeMap::new();
        gather(&mut all, vec![note(2)]);
        gather(&mut all, vec![note(3)]);
        assert_eq!(all.into_values().collect::<Vec<_>>(), [note(3)]);
    }
}
