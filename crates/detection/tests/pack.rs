//! Packs of rules over a small table of its own: every way in which a rule is refused, and where.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use collector::{Row, Table, int, key, real, repeated, required, text, unique};
use detection::{FINDINGS_MAX, Pack, PackError, RuleLimits, evaluate};
use model::{Extent, Severity, Value};
use vtables::{Engine, Here, Limits, Options};

/// Things 0 to n, of which the last is called after an attacker's wish.
struct Thing(i64);
impl Row for Thing {}

static THINGS: Table<Thing, i64> = Table {
    name: "things",
    about: "Numbered things.",
    identity: unique(&["pid"]),
    extent: Extent::Whole { rows: 10 },
    columns: &[
        key(int("pid", "Its number.", |t| t.0.into())),
        text("name", "Its name.", |t| if t.0 == 2 { b"a\xff"[..].into() } else { "thing".into() }),
        real("load", "Its weight.", |t| (t.0 as f64).into()),
    ],
    scan: |n, _| Ok(Box::new((0..*n).map(|n| Ok(Thing(n))))),
    examples: &["SELECT pid FROM things"],
};

static LINES: Table<Thing, i64> = Table {
    name: "lines",
    about: "Lines of a file.",
    identity: repeated(&["path"]),
    extent: Extent::PerKey { keys: 1, rows: 1 },
    columns: &[
        required(text("path", "The file.", |_| Value::Null)),
        text("line", "The line.", |_| Value::Null),
    ],
    scan: |_, _| Ok(Box::new(std::iter::empty())),
    examples: &["SELECT line FROM lines WHERE path = '/etc/motd'"],
};

fn engine(things: i64) -> Engine {
    let tables: [&'static dyn collector::AnyTable<i64>; 2] = [&THINGS, &LINES];
    Engine::new(vec![Arc::new(Here::new(tables, things))], Limits::default()).unwrap()
}

const GOOD: &str = "\
id: heavy-thing
title: A thing is heavy
description: Heavy things fall.
severity: high
tags: [attack.defense_evasion, attack.t1070.004]
interval: 1m30s
sql: |
  SELECT pid, name
  FROM things
  WHERE load > 1
dedup: { keys: [pid], window: 24h }
false_positives: [An anvil]
references: [https://example.org/anvils]
tests:
  - name: fires
    given: { things: [{ pid: 7, load: 2.5 }, { pid: 8, load: 0 }] }
    expect: [{ pid: 7 }]
  - name: silent
    given: { things: [{ pid: 7, load: 1 }] }
    expect: []
";

fn load(text: &str) -> Pack {
    Pack::of_text("r.yaml", text, &mut engine(3), &RuleLimits::default())
}

/// The faults of the good rule with one text in place of another.
fn faults(from: &str, to: &str) -> Vec<String> {
    assert!(GOOD.contains(from), "{from}");
    load(&GOOD.replacen(from, to, 1)).faults.iter().map(ToString::to_string).collect()
}

#[test]
fn a_good_rule_loads_whole() {
    let pack = load(GOOD);
    assert_eq!((pack.faults, pack.warnings), (vec![], vec![]));
    let rule = &pack.rules[0];
    assert_eq!((rule.id.as_str(), rule.severity), ("heavy-thing", Severity::High));
    assert_eq!(rule.title, "A thing is heavy");
    assert_eq!(rule.tags, ["attack.defense_evasion", "attack.t1070.004"]);
    assert_eq!(rule.interval, Duration::from_secs(90));
    assert_eq!(rule.sql, "SELECT pid, name\nFROM things\nWHERE load > 1");
    assert_eq!(
        (&rule.dedup.keys[..], rule.dedup.window),
        (&["pid".to_owned()][..], Duration::from_secs(86_400))
    );
    assert_eq!((rule.false_positives.len(), rule.references.len()), (1, 1));
}

#[test]
fn what_is_optional_has_a_default() {
    let short = "id: a\ntitle: A\ndescription: A.\nseverity: low\nsql: SELECT pid FROM things WHERE pid > 1\ntests:\n  \
                 - { name: x, given: {things: [{pid: 2}]}, expect: [{pid: 2}] }\n  - { name: y, expect: [] }\n";
    let pack = load(short);
    assert_eq!((pack.faults, pack.warnings), (vec![], vec![]));
    assert_eq!(pack.rules[0].interval, Duration::from_secs(60));
    assert_eq!((pack.rules[0].dedup.keys.len(), pack.rules[0].dedup.window), (0, Duration::from_secs(3600)));
}

#[test]
fn the_form_is_held_to() {
    assert_eq!(faults("severity: high", "severity: 'high"), ["r.yaml:4:11: unclosed quote"]);
    assert_eq!(faults("title:", " title:"), ["r.yaml:2:7: mapping values are not allowed in this context"]);
    assert_eq!(faults("interval", "intreval"), ["r.yaml:6:1: there is no key `intreval` here"]);
    assert_eq!(faults("window", "windows"), ["r.yaml:11:23: there is no key `windows` here"]);
    assert_eq!(faults("    expect: []", "    expects: []"), ["r.yaml:20:5: there is no key `expects` here"]);
    assert_eq!(faults("severity: high\n", ""), ["r.yaml:1:1: the key `severity` is missing"]);
    assert_eq!(faults("    expect: []\n", ""), ["r.yaml:19:5: the key `expect` is missing here"]);
    assert_eq!(faults("severity: high", "id: b"), ["r.yaml:4:1: the key `id` stands here twice"]);
    assert_eq!(
        faults("title: A thing is heavy", "title:"),
        ["r.yaml:2:6: there is no value here, and a text is needed"]
    );
    assert_eq!(faults("severity: high", "severity: [high]"), ["r.yaml:4:11: expected string scalar"]);
    assert_eq!(faults("pid: 7,", "pid: 99999999999999999999,").len(), 1);
    let second = load(&format!("{GOOD}---\nid: b\n"));
    assert_eq!(second.faults[0].to_string(), "r.yaml:22:1: a second document begins here");
    assert_eq!(load("").faults[0].to_string(), "r.yaml:1:1: the file ends where a rule should be");
    assert_eq!(load("- a").faults[0].to_string(), "r.yaml:1:1: expected mapping start");
    assert_eq!(
        load(&GOOD.replace("intreval", "").replace("interval", "intreval")).faults[0].help.as_deref(),
        Some(
            "the keys are id, title, description, severity, tags, interval, timeout, budget, sql, dedup, \
             false_positives, references, tests"
        )
    );
}

#[test]
fn a_file_that_grows_when_it_is_read_is_refused() {
    let bomb =
        format!("a: &a [{}]\nb: &b [{}]\nc: [{}]\n", "1,".repeat(100), "*a,".repeat(99), "*b,".repeat(99));
    assert_eq!(load(&bomb).rules.len(), 0);
    let deep = format!("id: {}a{}\n", "[".repeat(100), "]".repeat(100));
    assert_eq!(load(&deep).rules.len(), 0);
}

#[test]
fn the_header_is_checked_and_all_of_it_at_once() {
    assert_eq!(faults("id: heavy-thing", "id: Heavy"), ["r.yaml:1:5: `Heavy` is no id of a rule"]);
    assert_eq!(
        faults("A thing is heavy", "''"),
        ["r.yaml:2:8: the title is not one line of 1 to 120 characters"]
    );
    assert_eq!(faults("Heavy things fall.", "' '"), ["r.yaml:3:14: the description is empty"]);
    assert_eq!(faults("severity: high", "severity: High"), ["r.yaml:4:11: there is no severity `High`"]);
    assert_eq!(faults("attack.t1070.004", "attack.T1070"), ["r.yaml:5:32: `attack.T1070` is no tag"]);
    assert_eq!(faults("interval: 1m30s", "interval: 90"), ["r.yaml:6:11: `90` is no length of time"]);
    assert_eq!(faults("1m30s", "0s"), ["r.yaml:6:11: the interval `0s` is outside what is allowed"]);
    assert_eq!(faults("24h", "9999d"), ["r.yaml:11:31: the window `9999d` is outside what is allowed"]);
    assert_eq!(faults("severity: high\ntags: [", "severity: x\ntags: [X, ").len(), 2);
}

#[test]
fn sql_is_refused_at_its_place_in_the_file() {
    assert_eq!(faults("WHERE load", "WHERE laod"), ["r.yaml:10:9: there is no column `laod`"]);
    assert_eq!(faults("FROM things", "FROM thing"), ["r.yaml:9:8: no such table: `thing`"]);
    let refused = faults("SELECT pid, name\n  FROM things\n  WHERE load > 1", "DELETE FROM things");
    assert_eq!(refused.len(), 1);
    assert!(refused[0].starts_with("r.yaml:8:3: "), "{refused:?}");
    let refused = faults("load > 1", "load >");
    assert!(refused[0].starts_with("r.yaml:10:"), "{refused:?}");
    let pack = load(&GOOD.replace("WHERE load", "WHERE laod"));
    assert_eq!((pack.faults[0].width, pack.faults[0].source.as_deref()), (4, Some("  WHERE laod > 1")));
    assert_eq!(pack.faults[0].help.as_deref(), Some("did you mean `load`?"));
}

#[test]
fn the_place_is_found_in_every_kind_of_scalar() {
    let literal = "sql: |\n  SELECT pid, name\n  FROM things\n  WHERE load > 1\n";
    let at = |sql: &str| load(&GOOD.replace(literal, sql)).faults[0].to_string();
    let no_column = "there is no column `laod`";
    for (sql, place) in [
        ("sql: |\n\n\n    SELECT pid\n      FROM things WHERE laod > 1\n", "11:25"),
        ("sql: |2-  # why\n     SELECT pid\n  FROM things WHERE laod > 1\n", "9:21"),
        ("sql: >\n  SELECT pid\n  FROM things\n\n  WHERE laod > 1\n", "11:9"),
        ("sql: SELECT pid FROM things WHERE laod > 1\n", "7:35"),
        ("sql: SELECT pid\n  FROM things\n  WHERE laod > 1\n", "9:9"),
        ("sql: 'SELECT pid FROM things WHERE laod > 1'\n", "7:36"),
        ("sql: \"SELECT 'é', pid FROM\n  things WHERE laod > 1\"\n", "8:16"),
        // An escape is longer in the file than in the text, so only the start is known.
        ("sql: \"SELECT\\x20pid FROM things WHERE laod > 1\"\n", "7:6"),
        ("sql: !!str |\n  SELECT pid FROM things WHERE laod > 1\n", "8:32"),
        ("sql: |\r\n  SELECT 'ü', pid\r\n  FROM things WHERE laod > 1\r\n", "9:21"),
    ] {
        assert_eq!(at(sql), format!("r.yaml:{place}: {no_column}"), "{sql}");
    }
    assert!(at("sql: ''\n").starts_with("r.yaml:7:6: "), "{}", at("sql: ''\n"));
    let aliased =
        GOOD.replace(literal, "sql: *sql\n").replace("Heavy things fall.", "&sql SELECT laod FROM things");
    assert_eq!(load(&aliased).faults[0].to_string(), format!("r.yaml:3:26: {no_column}"));
}

#[test]
fn the_columns_of_the_result_must_fit_the_header() {
    assert_eq!(
        faults("keys: [pid]", "keys: [pid, uid]"),
        ["r.yaml:11:22: the result has no column `uid` to tell findings apart by"]
    );
    assert_eq!(
        faults("SELECT pid, name", "SELECT pid, name AS PID"),
        ["r.yaml:8:3: two columns of the result are called `PID`"]
    );
    assert_eq!(
        faults("load > 1", "load > :weight"),
        ["r.yaml:10:16: a rule has nobody to give the parameter :weight a value"]
    );
    assert_eq!(
        faults("expect: [{ pid: 7 }]", "expect: [{ pdi: 7 }]"),
        ["r.yaml:17:16: the result has no column `pdi`"]
    );
}

#[test]
fn literal_rows_must_be_rows_of_their_tables() {
    assert_eq!(
        faults("{ things: [{ pid: 7, load: 1 }]", "{ thigns: [{ pid: 7 }]"),
        ["r.yaml:19:14: there is no table `thigns`"]
    );
    assert_eq!(
        faults("{ things: [{ pid: 7, load: 1 }]", "{ nothing: []"),
        ["r.yaml:19:14: there is no table `nothing`"]
    );
    assert_eq!(faults("load: 1 }]", "laod: 1 }]"), ["r.yaml:19:33: the table `things` has no column `laod`"]);
    assert_eq!(
        faults("pid: 7, load: 1", "pid: x, load: 1"),
        ["r.yaml:19:30: `things.pid` is INTEGER, and the value given is not"]
    );
    let pack = load(&GOOD.replacen("load: 1 }]", "name: 22 }]", 1));
    assert_eq!(pack.faults[0].to_string(), "r.yaml:19:39: `things.name` is TEXT, and the value given is not");
    assert_eq!(pack.faults[0].help.as_deref(), Some("write it in quotes to make it a text"));
}

#[test]
fn a_failing_test_shows_what_it_missed_and_what_it_got() {
    let pack = load(&GOOD.replace("load > 1", "load >= 0"));
    let shown: Vec<_> = pack.faults.iter().map(|f| (f.to_string(), f.detail.clone())).collect();
    assert_eq!(
        shown,
        [
            (
                "r.yaml:15:11: the test `fires` fails: 1 row expected, 2 given".to_owned(),
                vec!["unexpected: {pid: 8}".to_owned()]
            ),
            (
                "r.yaml:18:11: the test `silent` fails: no rows expected, 1 given".to_owned(),
                vec!["unexpected: {pid: 7, name: null}".to_owned()]
            ),
        ]
    );
    let pack = load(&GOOD.replace("expect: [{ pid: 7 }]", "expect: [{ pid: 9, name: \"a\\nb\" }]"));
    assert_eq!(
        pack.faults[0].detail,
        ["missing:    {pid: 9, name: \"a\\nb\"}", "unexpected: {pid: 7, name: null}"]
    );
}

#[test]
fn expected_rows_are_a_multiset_of_the_named_columns() {
    let given = "{ things: [{ pid: 1, name: a, load: 2 }, { pid: 1, name: b, load: 2 }] }";
    let expect = |rows: &str| {
        let text = GOOD.replace("{ things: [{ pid: 7, load: 2.5 }, { pid: 8, load: 0 }] }", given);
        load(&text.replace("[{ pid: 7 }]", rows)).faults.len()
    };
    // The first fits both rows and has to leave the other one to the second.
    for good in [
        "[{pid: 1}, {name: b}]",
        "[{pid: 1}, {name: a}]",
        "[{name: b}, {name: a}]",
        "[{}, {}]",
        "[{pid: 1.0}, {pid: true}]",
    ] {
        assert_eq!(expect(good), 0, "{good}");
    }
    for bad in [
        "[{pid: 1}]",
        "[{pid: 1}, {}, {}]",
        "[{name: a}, {name: a}]",
        "[{pid: 1}, {pid: 2}]",
        "[{name: null}, {}]",
    ] {
        assert_eq!(expect(bad), 1, "{bad}");
    }
}

#[test]
fn literals_keep_their_types_and_bytes() {
    let test = |given: &str, expect: &str| {
        let text = GOOD.replace("pid: 7, load: 2.5", &format!("pid: 7, load: 2.5, name: {given}"));
        load(&text.replace("expect: [{ pid: 7 }]", &format!("expect: [{{ name: {expect} }}]"))).faults.len()
    };
    for (given, expect) in [
        ("yes", "'yes'"),
        ("0755", "'0755'"),
        ("{base64: Yf8=}", "{ base64: Yf8= }"),
        ("~", "null"),
        ("\"a\\0\"", "\"a\\0\""),
    ] {
        assert_eq!(test(given, expect), 0, "{given} {expect}");
    }
    assert_eq!(test("null", "''"), 1);
    assert_eq!(test("{base64: '*'}", "x"), 1);
    assert_eq!(test("{base65: YQ==}", "x"), 1);
}

#[test]
fn a_test_has_its_own_clock() {
    let at = |now: &str| {
        let text = GOOD.replace("load > 1", "load > 1 AND date('now') = '2001-02-03'");
        load(&text.replace("- name: fires\n", &format!("- name: fires\n    now: {now}\n")))
            .faults
            .into_iter()
            .map(|f| f.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(at("2001-02-03T04:05:06Z"), [""; 0]);
    assert_eq!(at("2001-02-04T04:05:06Z").len(), 1);
    assert_eq!(at("yesterday"), ["r.yaml:16:10: `yesterday` is no instant"]);
    let default = load(&GOOD.replace("load > 1", "load > 1 AND date('now') = '2026-01-01'"));
    assert_eq!(default.faults, []);
}

#[test]
fn a_test_that_needs_too_much_is_ended_by_name() {
    let endless = "SELECT pid, name FROM things WHERE load > 1 AND (WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT max(n) FROM r) > 0";
    let mut engine = Engine::new(
        vec![Arc::new(Here::new([&THINGS as &'static dyn collector::AnyTable<i64>], 1))],
        Limits::default(),
    )
    .unwrap();
    let pack = Pack::of_text(
        "r.yaml",
        GOOD.replace("SELECT pid, name\n  FROM things\n  WHERE load > 1", endless),
        &mut engine,
        &RuleLimits::default(),
    );
    let message = pack.faults[0].to_string();
    assert!(message.starts_with("r.yaml:8:3: the test `fires` ended early: "), "{message}");
    assert!(message.contains("deadline"), "{message}");
}

#[test]
fn a_required_column_is_missed_when_the_tests_run() {
    let rule = GOOD
        .replace("things", "lines")
        .replace("SELECT pid, name", "SELECT line AS pid")
        .replace("load > 1", "line > 1");
    let rule =
        rule.replace("{ lines: [{ pid: 7, load: 2.5 }, { pid: 8, load: 0 }] }", "{ lines: [{ line: x }] }");
    let rule = rule.replace("{ lines: [{ pid: 7, load: 1 }] }", "{ lines: [{ line: x }] }");
    let faults = load(&rule).faults;
    assert!(faults[0].to_string().starts_with("r.yaml:9:8: the test `fires` ended early: "), "{}", faults[0]);
}

#[test]
fn half_a_rule_is_warned_of() {
    let fires_only = GOOD.split("  - name: silent").next().unwrap();
    let pack = load(fires_only);
    assert_eq!(
        (pack.rules.len(), pack.warnings[0].to_string()),
        (1, "r.yaml:15:3: no test shows that the rule is silent".to_owned())
    );
    let silent_only = GOOD.replace("load: 2.5", "load: 0").replace("[{ pid: 7 }]", "[]");
    assert_eq!(load(&silent_only).warnings[0].to_string(), "r.yaml:15:3: no test shows that the rule fires");
    let unread = GOOD.replacen("given: { things", "given: { lines: [], things", 1);
    assert_eq!(load(&unread).warnings[0].to_string(), "r.yaml:16:14: the rule does not read `lines`");
    let untested = GOOD.split("tests:").next().unwrap().to_owned() + "tests: []\n";
    assert_eq!(load(&untested).faults[0].to_string(), "r.yaml:14:8: a rule needs a test");
}

#[test]
fn a_double_quoted_word_that_is_no_column_is_warned_of() {
    let pack = load(&GOOD.replace("WHERE load > 1", "WHERE load > 1 AND \"nmae\" <> 'x'"));
    assert_eq!(pack.warnings.len(), 1);
    assert!(pack.warnings[0].to_string().starts_with("r.yaml:10:22: "), "{}", pack.warnings[0]);
}

fn write(path: impl AsRef<Path>, text: impl AsRef<[u8]>) {
    std::fs::create_dir_all(path.as_ref().parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[test]
fn a_bad_rule_is_refused_alone() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    write(at("good.yaml"), GOOD);
    write(at("sub/column.yml"), GOOD.replace("load > 1", "laod > 1"));
    write(at("sub/failing.yaml"), GOOD.replace("load > 1", "load > 2.5"));
    write(at("sub/syntax.yaml"), GOOD.replace("severity: high", "severity: [high"));
    write(
        at("sub/write.yaml"),
        GOOD.replace("SELECT pid, name\n  FROM things\n  WHERE load > 1", "DELETE FROM things"),
    );
    write(at("sub/twice.yaml"), GOOD);
    write(at("sub/bytes.yaml"), b"id: a\ntitle: \xff\n");
    write(at("sub/large.yaml"), vec![b'#'; (1 << 20) + 1]);
    write(at(".hidden.yaml"), "nonsense");
    write(at(".git/hooks.yaml"), "nonsense");
    write(at("README.md"), "nonsense");
    std::fs::create_dir(at("sub/dir.yaml")).unwrap();
    std::os::unix::fs::symlink("..", at("sub/loop")).unwrap();
    std::os::unix::fs::symlink("nowhere", at("sub/dangling.yaml")).unwrap();
    let pack = Pack::load(dir.path(), &mut engine(3), &RuleLimits::default()).unwrap();
    assert_eq!(pack.rules.iter().map(|r| r.id.as_str()).collect::<Vec<_>>(), ["heavy-thing"]);
    let prefix = format!("{}/", dir.path().display());
    let faults: Vec<String> = pack.faults.iter().map(|f| f.to_string().replace(&prefix, "")).collect();
    let starts = [
        "sub/bytes.yaml:2:8: the file is not UTF-8",
        "sub/column.yml:10:9: there is no column `laod`",
        "sub/dangling.yaml: the file cannot be read: No such file or directory",
        "sub/failing.yaml:15:11: the test `fires` fails: 1 row expected, none given",
        "sub/large.yaml: the file has more than 1048576 bytes",
        "sub/syntax.yaml:",
        "sub/twice.yaml:1:5: the id `heavy-thing` is taken by good.yaml:1",
        "sub/write.yaml:8:3: ",
    ];
    assert_eq!(faults.len(), starts.len(), "{faults:#?}");
    for (fault, start) in faults.iter().zip(starts) {
        assert!(fault.starts_with(start), "{fault}\n{start}");
    }
}

#[test]
fn a_pack_that_is_not_there_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let error = |path: &Path| Pack::load(path, &mut engine(3), &RuleLimits::default()).unwrap_err();
    assert!(matches!(error(dir.path()), PackError::Empty(_)));
    assert!(matches!(error(&dir.path().join("no")), PackError::Unreadable { .. }));
    write(dir.path().join("one.txt"), GOOD);
    assert_eq!(
        Pack::load(&dir.path().join("one.txt"), &mut engine(3), &RuleLimits::default()).unwrap().rules.len(),
        1
    );
    let deep = (0..20).fold(dir.path().to_owned(), |path, _| path.join("d"));
    write(deep.join("a.yaml"), GOOD);
    assert!(matches!(error(dir.path()), PackError::TooLarge { .. }));
}

#[test]
fn rows_become_findings() {
    let rule = &load(GOOD).rules[0];
    let now = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let found = evaluate(rule, &mut engine(3), &Options { now: Some(now), ..Options::default() });
    assert!(found.failure.is_none() && !found.is_cut());
    assert_eq!(found.findings.len(), 1);
    let finding = &found.findings[0];
    assert_eq!((finding.rule.as_str(), finding.severity, finding.time), ("heavy-thing", Severity::High, now));
    assert_eq!(finding.row, [("pid".into(), 2.into()), ("name".into(), b"a\xff".to_vec().into())]);
}

#[test]
fn a_flood_of_findings_is_cut_and_counted() {
    let found = evaluate(&load(GOOD).rules[0], &mut engine(5000), &Options::default());
    assert_eq!((found.findings.len(), found.rows, found.is_cut()), (FINDINGS_MAX, 4998, true));
}

#[test]
fn what_was_found_before_a_limit_stays_found() {
    let limits = Limits { rows_max: 5, ..Limits::default() };
    let found = evaluate(
        &load(GOOD).rules[0],
        &mut engine(100),
        &Options { limits: Some(limits), ..Options::default() },
    );
    assert_eq!(found.findings.len(), 5);
    assert_eq!(found.failure.map(|f| f.kind), Some(vtables::ErrorKind::Limit(vtables::Limit::Rows)));
}

/// What is wrong with the good rule once its SQL is another.
#[test]
fn a_rule_may_allow_itself_less_than_any_rule_may() {
    let with = |line: &str| GOOD.replacen("interval: 1m30s", &format!("interval: 1m30s\n{line}"), 1);
    let pack = load(&with("timeout: 500ms\nbudget: { memory: 2MiB, rows: 2 }"));
    assert_eq!(pack.faults, []);
    let rule = &pack.rules[0];
    assert_eq!(rule.budget.timeout, Some(Duration::from_millis(500)));
    assert_eq!((rule.budget.memory_bytes, rule.budget.rows), (Some(2 << 20), Some(2)));
    let options = Options::default();
    let ended = evaluate(rule, &mut engine(10), &options);
    assert_eq!((ended.findings.len(), ended.rows), (2, 2), "what it found until then stays");
    assert_eq!(ended.failure.unwrap().message, "the query gave more than 2 rows");
    // Nobody is given more than any may have.
    let generous = load(&with("budget: { rows: 1000 }")).rules.remove(0);
    let options = Options { limits: Some(Limits { rows_max: 3, ..Limits::default() }), ..Options::default() };
    assert_eq!(evaluate(&generous, &mut engine(10), &options).rows, 3);

    let fault = |line: &str| load(&with(line)).faults.first().map(ToString::to_string);
    assert_eq!(
        fault("timeout: 2h").as_deref(),
        Some("r.yaml:7:10: the timeout `2h` is outside what is allowed")
    );
    assert_eq!(fault("timeout: soon").as_deref(), Some("r.yaml:7:10: `soon` is no length of time"));
    assert_eq!(
        fault("budget: { memory: 1KiB }").as_deref(),
        Some("r.yaml:7:19: `1KiB` is no memory for a rule")
    );
    assert_eq!(fault("budget: { rows: 0 }").as_deref(), Some("r.yaml:7:17: a rule of no rows finds nothing"));
    assert_eq!(fault("budget: { time: 1s }").as_deref(), Some("r.yaml:7:11: there is no key `time` here"));
}

fn fault_of(sql: &str, limits: RuleLimits) -> Option<String> {
    let text = GOOD.replace("SELECT pid, name\n  FROM things\n  WHERE load > 1", sql);
    let pack = Pack::of_text("r.yaml", text, &mut engine(3), &limits);
    pack.faults.first().map(ToString::to_string)
}

#[test]
fn subqueries_deeper_than_allowed_are_refused_at_their_place() {
    let nested = |depth: usize| {
        let (open, close) = ("SELECT pid, name FROM (".repeat(depth), ")".repeat(depth));
        format!("{open}SELECT pid, name FROM things WHERE load > 1{close}")
    };
    assert_eq!(fault_of(&nested(3), RuleLimits::default()), None);
    let message = fault_of(&nested(4), RuleLimits::default()).unwrap();
    assert!(
        message.starts_with("r.yaml:8:95: subqueries stand within each other more than 3 deep"),
        "{message}"
    );
    assert_eq!(fault_of(&nested(4), RuleLimits { nesting: 4, ..RuleLimits::default() }), None);
    // Side by side they are no deeper.
    let beside = "WITH a AS (SELECT pid FROM things), b AS (SELECT pid FROM a), c AS (SELECT pid FROM b), d AS (SELECT pid FROM c) \
                  SELECT pid, name FROM things WHERE load > 1 AND pid IN (SELECT pid FROM d)";
    assert_eq!(fault_of(beside, RuleLimits::default()), None);
}

#[test]
fn a_join_whose_plan_goes_through_too_many_rows_is_refused_at_the_table_that_is_too_much() {
    let limits = RuleLimits { steps: 500, ..RuleLimits::default() };
    let dear = "SELECT a.pid, a.name FROM things a, things b, things c, things d WHERE a.load + b.load + c.load + d.load > 1";
    let message = fault_of(dear, limits).unwrap();
    assert!(message.starts_with("r.yaml:8:56: it is expected to go through 1.1e4 rows"), "{message}");
    assert!(message.contains("(a × 10, b × 10, c × 10, d × 10), more than the 5e2"), "{message}");
    let by_key = "SELECT a.pid, a.name FROM things a JOIN things b USING (pid) JOIN things c USING (pid) WHERE a.load > 1";
    assert_eq!(fault_of(by_key, limits), None);
    // What runs again for each row counts as often, also where it is no join.
    let correlated = "SELECT pid, name FROM things a WHERE load > 1 AND EXISTS (SELECT 1 FROM things b, things c, things d \
                      WHERE b.load + c.load + d.load > a.load)";
    assert!(fault_of(correlated, limits).unwrap().contains("a × 10, "));
    let once =
        "SELECT pid, name FROM things a WHERE load > 1 AND 1 < (SELECT count(*) FROM things b, things c)";
    assert!(!fault_of(once, limits).is_some_and(|message| message.contains("expected to go through")));
    for endless in ["UNION ALL", "UNION"] {
        let recursive = format!(
            "WITH RECURSIVE r(n) AS (SELECT 1 {endless} SELECT n + 1 FROM r, things WHERE n < 9) SELECT pid, name FROM things, r WHERE load > 1"
        );
        assert!(fault_of(&recursive, limits).unwrap().contains("expected to go through"), "{recursive}");
    }
}
