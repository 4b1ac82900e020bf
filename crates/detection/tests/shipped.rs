//! The rules that are shipped, over the tables of this machine.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use collector::{AnyTable, Host};
use detection::{Pack, RuleLimits, SHIPPED, evaluate};
use vtables::{Engine, Here, Limits, Options};

fn engine(host: Host) -> Engine {
    let tables = host::TABLES.iter().map(|table| *table as &'static dyn AnyTable<Host>);
    Engine::new(vec![Arc::new(Here::new(tables, host))], Limits::default()).unwrap()
}

#[test]
fn every_shipped_rule_holds() {
    let pack = Pack::shipped(&mut engine(Host::live()), &RuleLimits::default());
    let wrong: Vec<String> = pack
        .faults
        .iter()
        .chain(&pack.warnings)
        .map(|f| format!("{f}\n  {}", f.detail.join("\n  ")))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(pack.rules.len(), SHIPPED.len());
    for (rule, (path, _)) in pack.rules.iter().zip(SHIPPED) {
        let (tactic, file) = path.split_once('/').unwrap();
        assert_eq!(file, format!("{}.yaml", rule.id), "a file is called after its rule");
        assert!(
            rule.tags.contains(&format!("attack.{tactic}")),
            "{path} lies in the directory of one of its tactics"
        );
        assert!(rule.tags.iter().any(|tag| tag.starts_with("attack.t")), "{path} names a technique");
        assert!(!rule.dedup.keys.is_empty() && !rule.false_positives.is_empty(), "{path}");
    }
}

#[test]
fn every_shipped_rule_runs_on_this_machine() {
    let mut engine = engine(Host::live());
    for rule in Pack::shipped(&mut engine, &RuleLimits::default()).rules {
        let found = evaluate(&rule, &mut engine, &Options::default());
        assert!(found.failure.is_none(), "{}: {:?}", rule.id, found.failure);
    }
}

#[test]
fn a_machine_without_anything_gives_no_findings() {
    let nothing = tempfile::tempdir().unwrap();
    let mut engine = engine(Host::at(nothing.path()));
    for rule in Pack::shipped(&mut engine, &RuleLimits::default()).rules {
        let found = evaluate(&rule, &mut engine, &Options::default());
        assert_eq!((found.findings, found.failure), (vec![], None), "{}", rule.id);
    }
}

#[test]
fn every_shipped_rule_is_far_below_what_a_rule_may_cost() {
    let mut engine = engine(Host::live());
    for rule in Pack::shipped(&mut engine, &RuleLimits::default()).rules {
        let estimate = engine.estimate(&rule.sql).unwrap();
        assert!(estimate.steps >= 1.0, "{}: {estimate:?}", rule.id);
        assert!(estimate.steps < RuleLimits::default().steps as f64 / 100.0, "{}: {estimate:?}", rule.id);
        let most = engine.steps_at_most(&rule.sql).unwrap();
        assert!(
            most.is_none_or(|most| estimate.steps <= most),
            "{}: {estimate:?}, at most {most:?}",
            rule.id
        );
    }
}

#[test]
fn what_a_statement_takes_at_most_is_no_less_than_what_is_expected() {
    let mut engine = engine(Host::live());
    let scans = [
        "processes",
        "processes p",
        "processes p JOIN listening_ports l USING (pid)",
        "users u, groups g",
        "file WHERE path LIKE '/a%' OR path LIKE '/b%' OR path LIKE '/c%'",
        "processes a, processes b, processes c",
        "(SELECT pid, name FROM processes) x JOIN process_open_files f USING (pid)",
        "processes p WHERE pid IN (SELECT pid FROM listening_ports WHERE port = 1 OR address = 'x')",
        "processes p WHERE EXISTS (SELECT 1 FROM processes q WHERE q.parent = p.pid AND q.name LIKE 'x%')",
        "users u LEFT JOIN processes p ON p.uid = u.uid OR p.euid = u.uid",
    ];
    let (mut told, mut all) = (0, 0);
    for scan in scans {
        for sql in [
            format!("SELECT count(*) FROM {scan}"),
            format!("WITH t AS (SELECT 1 AS one FROM {scan}) SELECT count(*) FROM t a JOIN t b USING (one)"),
            format!("SELECT (SELECT count(*) FROM {scan}) FROM mounts ORDER BY 1"),
            format!("SELECT 1 FROM {scan} UNION ALL SELECT 2 FROM users"),
        ] {
            let (estimate, most) = (engine.estimate(&sql).unwrap(), engine.steps_at_most(&sql).unwrap());
            assert!(most.is_none_or(|most| estimate.steps <= most), "{sql}: {estimate:?}, at most {most:?}");
            (told, all) = (told + usize::from(most.is_some()), all + 1);
        }
    }
    assert_eq!((told, all), (30, 40));
}
