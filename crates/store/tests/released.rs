//! Files as every released form wrote them: `tests/released/form-N` has the three files of a state directory and, in
//! `rows.txt`, what their tables held. Later versions read them, bring them forward and go on writing them.
//!
//! A released form is never made again. Those of a new form are made, where they are not there yet, by
//!
//!     DAEMONEYE_MAKE_RELEASED=1 cargo test -p store --test released
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test reads fixtures of its own and ends at the first thing that is wrong"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use collector::AnyTable;
use model::{AlertAction, Budget, Dedup, Evidence, Query, Rule, Run, Severity, Value};
use store::history::{Datum, Fact, History, HistoryReader, Meter, Observed};
use store::{
    HISTORY_TABLES, LEDGER_FILE, LEDGER_TABLES, Ledger, LedgerReader, Match, Outcome, RuleCard, RuleRef,
    RunRecord, STATE_TABLES, State, StateReader, Trust, Witness, verify,
};

/// The form that this version writes.
const FORM: u32 = 1;
const FILES: [&str; 4] = ["state.redb", "history.redb", "audit.redb", "audit.key"];
/// What is not the same after a file was opened: room that tables take.
const NOT_COMPARED: &str = "store_stats";

fn directory(form: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/released/form-{form}"))
}

fn rule(id: &str) -> Rule {
    Rule {
        id: id.into(),
        title: "A process runs from an executable that was deleted".into(),
        description: "Malware often removes its file once it runs.".into(),
        severity: Severity::High,
        tags: vec!["attack.defense_evasion".into(), "attack.t1070.004".into()],
        interval: Duration::from_secs(30),
        budget: Budget::default(),
        sql: "SELECT pid, path, start_key FROM processes WHERE exe_deleted = 1".into(),
        dedup: Dedup { keys: vec!["start_key".into()], window: Duration::from_secs(86_400) },
        false_positives: Vec::new(),
        references: Vec::new(),
    }
}

fn found(n: i64, time_ms: i64) -> Match {
    let row = vec![
        ("pid".into(), n.into()),
        ("path".into(), b"/tmp/\xff\n".to_vec().into()),
        ("start_key".into(), format!("k{n}").into()),
        ("share".into(), Value::Real(0.5)),
        ("image".into(), Value::Blob(vec![0, 255].into())),
        ("tty".into(), Value::Null),
    ];
    let evidence = Evidence { sections: vec![("process".into(), vec![row.clone(), row.clone()])] };
    Match { key: n.to_be_bytes().to_vec(), time_ms, count: 2, row, evidence }
}

/// Does one of everything that is kept.
fn write(directory: &Path) {
    let state = State::open(directory).unwrap().state;
    let sinks = BTreeSet::from(["stdout".to_owned(), "file".to_owned()]);
    let rule = rule("deleted-executable");
    let cards = [
        RuleCard::loaded(&rule, "/etc/daemoneye/rules".into()),
        RuleCard::refused("bad.yaml".into(), "bad.yaml:3:1: no".into()),
    ];
    state.rules_loaded(&cards, 1_000).unwrap();
    let reference = RuleRef::of(&rule);
    let run = |started_ms, outcome, detail: &str| RunRecord {
        started_ms,
        elapsed_us: 1_500,
        rows: 3,
        outcome,
        detail: detail.into(),
        complete: outcome == Outcome::Done,
    };
    let mut ids = Vec::new();
    for n in 1..=3 {
        let time = 1_700_000_000_000 + n * 1_000;
        let raised =
            state.record(&reference, &run(time, Outcome::Done, ""), &[found(n, time)], &sinks).unwrap();
        ids.push(raised[0]);
    }
    let ended = run(1_700_000_010_000, Outcome::OverBudget, "it took longer than 30 s");
    state.record(&reference, &ended, &[found(1, 1_700_000_010_000)], &sinks).unwrap();
    state.flush().unwrap();
    state.change(ids[0], AlertAction::Acknowledge, "uid:1000", "seen", 1_700_000_020_000).unwrap();
    state.change(ids[1], AlertAction::Close, "uid:0", "a test", 1_700_000_030_000).unwrap();
    state.change(ids[1], AlertAction::Reopen, "uid:0", "", 1_700_000_040_000).unwrap();
    state.set_rule_enabled("deleted-executable", false, "uid:0", "noisy", 1_700_000_050_000).unwrap();
    let due = state.reader().due("stdout", 1_800_000_000_000, 10).unwrap();
    state.delivered("stdout", &[due[0].seq], 1_700_000_060_000).unwrap();

    let mut ledger = Ledger::open(directory).unwrap();
    let pending = state.pending_audit(100).unwrap();
    let (drained, waiting) = pending.split_at(pending.len() - 2);
    let head = ledger.append(drained).unwrap();
    ledger.checkpoint(1_700_000_070_000).unwrap();
    assert_eq!(waiting.len(), 2);
    let witness = Witness { ledger: head.ledger, size: head.size, hash: head.hash };
    state.drained(drained.last().unwrap().n, witness).unwrap();

    let mut history = History::open(directory).unwrap();
    let process = |n: i64, name: &str| {
        let mut process = Observed { start_key: format!("k{n}").into(), pid: n, ..Observed::default() };
        process.facts.set(Fact::Name, Some(Datum::Text(name.into())));
        process.facts.set(Fact::Parent, Some(Datum::Int(1)));
        process.facts.set(Fact::Path, Some(Datum::Text(b"/tmp/\xff".to_vec())));
        process.activity.set(Meter::UserTime, Some(n * 7));
        process
    };
    for run in 0..70 {
        let mut seen = vec![process(1, "init"), process(2, if run < 30 { "sh" } else { "curl" })];
        seen.extend((run < 50).then(|| process(100 + run / 10, "worker")));
        history.observe(1_700_000_000_000 + run * 30_000, &seen).unwrap();
    }
    history.compact().unwrap();
}

fn shown(value: Value<'_>) -> String {
    match value {
        Value::Text(text) => format!("'{}'", text.escape_ascii()),
        Value::Blob(bytes) => format!("X'{}'", bytes.escape_ascii()),
        Value::Null => "NULL".into(),
        number => format!("{number:?}"),
    }
}

fn table<S>(text: &mut String, table: &'static dyn AnyTable<S>, source: &S) {
    let query = Query::all(Arc::new(table.schema()), Run::unlimited());
    let mut scan = table.open(source, &query).unwrap();
    let mut rows = Vec::new();
    while scan.advance().unwrap() {
        let value =
            |(n, column): (usize, &model::ColumnSchema)| format!("{}={}", column.name, shown(scan.value(n)));
        rows.push(query.schema.columns.iter().enumerate().map(value).collect::<Vec<_>>().join(" "));
    }
    rows.sort();
    writeln!(text, "== {} {}", table.name(), rows.len()).unwrap();
    rows.iter().for_each(|row| writeln!(text, "{row}").unwrap());
}

/// What the tables of a state directory hold, as text.
fn rows(directory: &Path) -> String {
    let mut text = String::new();
    let state = StateReader::open(directory).unwrap();
    STATE_TABLES.iter().filter(|t| t.name() != NOT_COMPARED).for_each(|t| table(&mut text, *t, &state));
    let ledger = LedgerReader::open(directory).unwrap();
    LEDGER_TABLES.iter().for_each(|t| table(&mut text, *t, &ledger));
    let history = HistoryReader::open(directory).unwrap();
    HISTORY_TABLES.iter().for_each(|t| table(&mut text, *t, &history));
    text
}

fn copied(form: u32) -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let copy = tempfile::tempdir().unwrap();
    for file in FILES {
        let to = copy.path().join(file);
        fs::copy(directory(form).join(file), &to).unwrap();
        // A checkout opens it to others, which a key must not be.
        fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).unwrap();
    }
    copy
}

fn make_what_is_new() {
    let place = directory(FORM);
    if std::env::var_os("DAEMONEYE_MAKE_RELEASED").is_none() || place.exists() {
        return;
    }
    let made = tempfile::tempdir().unwrap();
    write(made.path());
    fs::create_dir_all(&place).unwrap();
    for file in FILES {
        fs::copy(made.path().join(file), place.join(file)).unwrap();
    }
    fs::write(place.join("rows.txt"), rows(made.path())).unwrap();
}

#[test]
fn files_of_every_released_form_are_read_brought_forward_and_written() {
    make_what_is_new();
    for form in 1..=FORM {
        let expected = fs::read_to_string(directory(form).join("rows.txt")).unwrap();
        let copy = copied(form);
        // As a later program opens them: whatever has to be brought forward is.
        {
            let state = State::open(copy.path()).unwrap();
            assert_eq!(state.found, store::Found::Existing);
            History::open(copy.path()).unwrap();
            Ledger::open(copy.path()).unwrap();
        }
        let held = rows(copy.path());
        for (expected, held) in expected.lines().zip(held.lines()) {
            // Later forms may have more columns, which come last.
            assert!(held.starts_with(expected), "form {form}:\n  {expected}\n  {held}");
        }
        assert_eq!(expected.lines().count(), held.lines().count(), "form {form}");

        let ledger = copy.path().join(LEDGER_FILE);
        assert_eq!(verify(&ledger, &Trust::default()).unwrap().findings, [], "form {form}");
        // The agent goes on with them: what waits is taken in, the same finding counts, a new one is raised.
        let state = State::open(copy.path()).unwrap().state;
        let mut writing = Ledger::open(copy.path()).unwrap();
        writing.append(&state.pending_audit(100).unwrap()).unwrap();
        let sinks = BTreeSet::from(["stdout".to_owned()]);
        let time = 1_700_000_100_000;
        let run = RunRecord {
            started_ms: time,
            elapsed_us: 1,
            rows: 2,
            outcome: Outcome::Done,
            detail: String::new(),
            complete: true,
        };
        let matches = [found(3, time), found(4, time)];
        let reference = RuleRef::of(&rule("deleted-executable"));
        let raised = state.record(&reference, &run, &matches, &sinks).unwrap();
        assert_eq!(raised.len(), 1, "form {form}: the same alert has the same id and window");
        writing.append(&state.pending_audit(100).unwrap()).unwrap();
        drop(writing);
        assert_eq!(verify(&ledger, &Trust::default()).unwrap().findings, [], "form {form}");
    }
}
