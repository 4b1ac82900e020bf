//! The documents beside the code: what they name exists, what they show is what runs.

use std::sync::Arc;

use collector::{AnyTable, Host};
use vtables::{Engine, Here, Limits};

use super::assert_none;
use super::tree::{exists, read, rust_files};

const DOCUMENTS: [&str; 4] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];
const ARCHITECTURE_LINES_MAX: usize = 300;

/// The texts between backticks that stand within a line.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    let prose = text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    });
    prose.flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// The fenced blocks of a language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}");
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while lines.by_ref().any(|line| line.trim() == fence) {
        let block: Vec<&str> = lines.by_ref().take_while(|line| line.trim() != "```").collect();
        blocks.push(block.join("\n"));
    }
    blocks
}

#[test]
fn the_architecture_is_short() {
    let lines = read("ARCHITECTURE.md").lines().count();
    assert!(
        lines <= ARCHITECTURE_LINES_MAX,
        "ARCHITECTURE.md has {lines} lines: keep what the next engineer needs"
    );
}

#[test]
fn every_invariant_names_a_test_that_holds_it() {
    let sources: String = rust_files().into_iter().map(|(_, source)| source).collect();
    let text = read("ARCHITECTURE.md");
    let invariants: Vec<&str> = text.split("*Invariant:*").skip(1).collect();
    assert!(!invariants.is_empty());
    let mut faults = Vec::new();
    for invariant in invariants {
        let paragraph = invariant.split("\n- ").next().unwrap_or_default();
        let paragraph = paragraph.split("\n\n").next().unwrap_or_default();
        let is_test = |name: &&str| name.contains('_') && sources.contains(&format!("fn {name}("));
        if !paragraph.split('`').skip(1).step_by(2).any(|name| is_test(&name)) {
            faults.push(paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    assert_none(&faults, "an invariant of ARCHITECTURE.md names, in backticks, the test that holds it:");
}

#[test]
fn paths_in_the_documents_exist() {
    let rooms = ["crates/", "tests/", "benches/", "rules/", ".ci/"];
    let mut faults = Vec::new();
    for document in DOCUMENTS {
        let text = read(document);
        let paths = quoted(&text).filter(|path| rooms.iter().any(|room| path.starts_with(room)));
        let literal = paths.filter(|path| !path.contains(['<', '*', '{', ' ', '…']));
        faults.extend(literal.filter(|path| !exists(path)).map(|path| format!("{document} names {path}")));
    }
    assert_none(&faults, "there is no such file:");
}

#[test]
fn ci_runs_the_two_commands_of_the_readme() {
    let script = read(".ci/run");
    let commands = blocks(&read("README.md"), "sh").into_iter().next().unwrap();
    let commands: Vec<&str> = commands.lines().filter(|line| line.starts_with("cargo ")).collect();
    assert_eq!(commands.len(), 2, "README.md begins with the two commands that need no other set-up");
    for command in commands {
        assert!(script.contains(command), ".ci/run does not call what README.md promises: {command}");
    }
}

#[test]
fn queries_in_the_documents_are_valid() {
    let tables = host::TABLES.iter().map(|table| *table as &'static dyn AnyTable<Host>);
    let mut engine = Engine::new(vec![Arc::new(Here::new(tables, Host::live()))], Limits::default()).unwrap();
    let mut faults = Vec::new();
    for document in DOCUMENTS {
        for block in blocks(&read(document), "sql") {
            for sql in block.split(";\n").filter(|sql| !sql.trim().is_empty()) {
                if let Err(error) = engine.validate(sql) {
                    faults.push(format!("{document}: {sql}\n    {error}"));
                }
            }
        }
    }
    assert_none(&faults, "a query that is shown has to run:");
}
