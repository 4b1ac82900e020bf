//! A rule's own tests: literal rows in, the rows expected out.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use model::{Kind, Value, parse_rfc3339};
use vtables::{Answer, Engine, Limits, Options, Sample, SampleError, Validated};

use crate::check::Check;
use crate::source::Place;
use crate::yaml::{At, Literal, Pairs, Row, RuleText, TestText};

/// What one test may use. It reads a few literal rows; what takes longer than this is wrong.
const TEST_LIMITS: Limits =
    Limits { timeout: Some(Duration::from_secs(5)), rows_max: 1000, memory_bytes_max: 16 << 20 };
/// The clock of a test that sets none, so that it gives the same every day: 2026-01-01T00:00:00Z.
const NOW: Duration = Duration::from_secs(1_767_225_600);
/// Rows of each kind that a message shows, and characters of one row.
const ROWS_SHOWN: usize = 5;
const ROW_CHARS_SHOWN: usize = 300;

/// Runs every test of a rule and adds what fails to the check's faults.
pub(crate) fn run(check: &mut Check<'_>, text: &RuleText, result: &Validated, engine: &mut Engine) {
    let tests = &text.tests.value;
    if tests.is_empty() {
        check.fault(
            text.tests.place,
            "a rule needs a test",
            "give rows on which it fires and rows on which it is silent",
        );
    }
    for (n, test) in tests.iter().enumerate() {
        if tests[..n].iter().any(|earlier| earlier.name.value == test.name.value) {
            let message = format!("two tests are called `{}`", test.name.value);
            check.fault(test.name.place, message, "name each test after what it shows");
        }
        run_one(check, text, test, result, engine);
    }
    for (fires, missing) in [(true, "fires"), (false, "is silent")] {
        if !tests.is_empty() && tests.iter().all(|t| t.expect.is_empty() == fires) {
            let message = format!("no test shows that the rule {missing}");
            check.warn(text.tests.place, message, "add one: half a rule is what it leaves alone");
        }
    }
}

fn run_one(check: &mut Check<'_>, text: &RuleText, test: &TestText, result: &Validated, engine: &mut Engine) {
    let faults = check.faults.len();
    let now = now(check, test.now.as_ref());
    let sample = sample(check, test, result, engine);
    columns_exist(check, test, result);
    if check.faults.len() > faults {
        return;
    }
    let options = Options {
        now: Some(now),
        limits: Some(TEST_LIMITS),
        route: Some(Arc::new(sample)),
        ..Options::default()
    };
    let answer = match engine.query(&text.sql.value, &options) {
        Ok(answer) => answer,
        Err(error) => {
            let fault = check.sql_fault(&text.sql, &error);
            let message = format!("the test `{}` ended early: {}", test.name.value, fault.message);
            check.faults.push(crate::RuleFault { message, ..fault });
            return;
        }
    };
    if let Some(difference) = Difference::of(&test.expect, &answer) {
        let message = format!(
            "the test `{}` fails: {} expected, {} given",
            test.name.value,
            rows(test.expect.len()),
            if answer.rows.is_empty() { "none".to_owned() } else { answer.rows.len().to_string() },
        );
        let fault = check.source.fault(test.name.place, message).detail(difference.lines(test, &answer));
        check.faults.push(fault);
    }
}

fn rows(n: usize) -> String {
    match n {
        0 => "no rows".to_owned(),
        1 => "1 row".to_owned(),
        n => format!("{n} rows"),
    }
}

fn now(check: &mut Check<'_>, text: Option<&At<String>>) -> SystemTime {
    let default = UNIX_EPOCH + NOW;
    let Some(text) = text else { return default };
    parse_rfc3339(&text.value).unwrap_or_else(|| {
        let message = format!("`{}` is no instant", text.value);
        check.fault(text.place, message, "write it as in 2026-01-01T00:00:00Z");
        default
    })
}

fn sample(check: &mut Check<'_>, test: &TestText, result: &Validated, engine: &Engine) -> Sample {
    let mut sample = Sample::new(engine.catalog().clone());
    for (table, rows) in &test.given.0 {
        let name = &table.value;
        let known = engine.catalog().get(name).is_some();
        if known && !result.tables.iter().any(|t| t.eq_ignore_ascii_case(name)) {
            check.warn(table.place, format!("the rule does not read `{name}`"), "remove these rows");
        }
        if !known && rows.is_empty() {
            let error = sample.add(name, Vec::new()).err();
            refuse(check, table.place, &Pairs::default(), error);
        }
        for row in rows {
            let values = row.0.iter().map(|(column, v)| (column.value.clone(), v.value.0.clone())).collect();
            let error = sample.add(name, values).err();
            let unknown = matches!(error, Some(SampleError::UnknownTable { .. }));
            refuse(check, table.place, row, error);
            if unknown {
                break;
            }
        }
    }
    sample
}

/// Says at its place why a literal row is no row of its table.
fn refuse(check: &mut Check<'_>, table: Place, row: &Row, error: Option<SampleError>) {
    let Some(error) = error else { return };
    let find = |name: &str| row.0.iter().find(|(column, _)| column.value.eq_ignore_ascii_case(name));
    match &error {
        SampleError::UnknownTable { near, .. } => {
            let help =
                near.as_ref().map_or("give rows to tables that the rule reads".to_owned(), did_you_mean);
            check.fault(table, first_part(&error), &help);
        }
        SampleError::UnknownColumn { name, table: of, near } => {
            let place = find(name).map_or(table, |(column, _)| column.place);
            let help =
                near.as_ref().map_or_else(|| format!("`.schema {of}` shows the columns"), did_you_mean);
            check.fault(place, first_part(&error), &help);
        }
        SampleError::WrongType { column, kind, .. } => {
            let value = find(column).map(|(_, value)| value);
            let help = match (kind, value.map(|v| &v.value.0)) {
                (Kind::Text, Some(Value::Int(_) | Value::Real(_))) => "write it in quotes to make it a text",
                (Kind::Int | Kind::Real, Some(Value::Text(_))) => "write a number, without quotes",
                (Kind::Int, Some(Value::Real(_))) => "write a whole number",
                _ => "write a value of that type, or null",
            };
            check.fault(value.map_or(table, |v| v.place), error.to_string(), help);
        }
    }
}

fn did_you_mean(name: &String) -> String {
    format!("did you mean `{name}`?")
}

/// The message without its suggestion, which becomes the help.
fn first_part(error: &SampleError) -> String {
    let text = error.to_string();
    text.split("; did you mean").next().unwrap_or(&text).to_owned()
}

fn columns_exist(check: &mut Check<'_>, test: &TestText, result: &Validated) {
    for (column, _) in test.expect.iter().flat_map(|row| &row.0) {
        if !result.columns.iter().any(|c| c.name.eq_ignore_ascii_case(&column.value)) {
            let names: Vec<&str> = result.columns.iter().map(|c| c.name.as_str()).collect();
            let message = format!("the result has no column `{}`", column.value);
            check.fault(column.place, message, &format!("its columns are {}", names.join(", ")));
        }
    }
}

/// The rows that a test wanted and did not get, and those that it got and did not want.
#[derive(Debug, PartialEq)]
struct Difference {
    missing: Vec<usize>,
    unexpected: Vec<usize>,
}

impl Difference {
    /// `None` when each expected row can be paired with a row of its own. One expected row may fit several
    /// given ones, so pairs are found by augmenting paths and not first come, first served.
    fn of(expected: &[Row], answer: &Answer) -> Option<Difference> {
        let fits = |row: &Row, given: &[Value<'static>]| {
            row.0.iter().all(|(name, want)| {
                let column = answer.columns.iter().position(|c| c.name.eq_ignore_ascii_case(&name.value));
                column.is_some_and(|column| same(&want.value, &given[column]))
            })
        };
        let edges: Vec<Vec<usize>> = expected
            .iter()
            .map(|row| (0..answer.rows.len()).filter(|given| fits(row, &answer.rows[*given])).collect())
            .collect();
        let mut taken: Vec<Option<usize>> = vec![None; answer.rows.len()];
        let mut missing = Vec::new();
        for row in 0..expected.len() {
            if !pair(row, &edges, &mut taken, &mut vec![false; answer.rows.len()]) {
                missing.push(row);
            }
        }
        let unexpected: Vec<usize> = (0..answer.rows.len()).filter(|given| taken[*given].is_none()).collect();
        (!missing.is_empty() || !unexpected.is_empty()).then_some(Difference { missing, unexpected })
    }

    fn lines(&self, test: &TestText, answer: &Answer) -> Vec<String> {
        let mut lines = Vec::new();
        let missing = self.missing.iter().map(|row| {
            let pairs = test.expect[*row].0.iter().map(|(name, value)| (name.value.as_str(), &value.value.0));
            format!("missing:    {}", show(pairs))
        });
        // The columns that the test is about, or all where it names none.
        let named = |name: &str| {
            test.expect.iter().any(|row| row.0.iter().any(|(n, _)| n.value.eq_ignore_ascii_case(name)))
        };
        let any_named = answer.columns.iter().any(|c| named(&c.name));
        let unexpected = self.unexpected.iter().map(|row| {
            let pairs = answer.columns.iter().map(|c| c.name.as_str()).zip(&answer.rows[*row]);
            format!("unexpected: {}", show(pairs.filter(|(name, _)| !any_named || named(name))))
        });
        for (kind, all) in [("missing", missing.collect::<Vec<_>>()), ("unexpected", unexpected.collect())] {
            let more = all.len().saturating_sub(ROWS_SHOWN);
            lines.extend(all.into_iter().take(ROWS_SHOWN));
            if more > 0 {
                lines.push(format!("… and {more} more {kind}"));
            }
        }
        lines
    }
}

/// Pairs an expected row with a given one, moving earlier pairs where they have another choice. The path is
/// kept in a list of its own, because it can be as long as there are expected rows.
fn pair(row: usize, edges: &[Vec<usize>], taken: &mut [Option<usize>], seen: &mut [bool]) -> bool {
    let mut came_from: Vec<Option<usize>> = vec![None; edges.len()];
    let mut through: Vec<usize> = vec![usize::MAX; taken.len()];
    let mut stack = vec![row];
    while let Some(current) = stack.pop() {
        for given in &edges[current] {
            if std::mem::replace(&mut seen[*given], true) {
                continue;
            }
            through[*given] = current;
            match taken[*given] {
                Some(owner) => {
                    came_from[owner] = Some(*given);
                    stack.push(owner);
                }
                None => {
                    let mut free = *given;
                    loop {
                        let owner = through[free];
                        taken[free] = Some(owner);
                        match came_from[owner] {
                            Some(before) if owner != row => free = before,
                            _ => return true,
                        }
                    }
                }
            }
        }
    }
    false
}

/// Whether a value is the one expected. Numbers are compared as numbers, bytes as bytes.
fn same(want: &Literal, given: &Value<'static>) -> bool {
    match (&want.0, given) {
        (Value::Int(a), Value::Real(b)) => *a as f64 == *b,
        (Value::Real(a), Value::Int(b)) => *a == *b as f64,
        (Value::Text(a), Value::Text(b) | Value::Blob(b)) => a == b,
        (a, b) => a == b,
    }
}

/// A row as a test would write it.
fn show<'r>(pairs: impl Iterator<Item = (&'r str, &'r Value<'static>)>) -> String {
    let text = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => format!("{text:?}"),
        Err(_) => format!("{{base64: {}}}", BASE64_STANDARD.encode(bytes)),
    };
    let value = |value: &Value<'static>| match value {
        Value::Null => "null".to_owned(),
        Value::Int(n) => n.to_string(),
        Value::Real(x) => format!("{x:?}"),
        Value::Text(bytes) | Value::Blob(bytes) => text(bytes),
    };
    let shown = pairs.map(|(name, v)| format!("{name}: {}", value(v))).collect::<Vec<_>>().join(", ");
    match shown.char_indices().nth(ROW_CHARS_SHOWN) {
        Some((cut, _)) => format!("{{{}…", &shown[..cut]),
        None => format!("{{{shown}}}"),
    }
}
