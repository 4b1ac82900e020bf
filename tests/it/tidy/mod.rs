//! The house rules, as tests over the tree: what a reviewer would otherwise have to remember.

mod docs;
mod rust;
mod tree;

use std::collections::BTreeSet;
use std::process::Command;

use rust::{has_word, lines_without_tests, parts};
use tree::{crates, manifest_section, read, rust_files, text_files};

/// The one file with unsafe code.
const BRIDGE: &str = "crates/vtables/src/bridge.rs";
/// Lines of a file without its tests.
const FILE_LINES_MAX: usize = 500;
/// Files that are longer, each with its reason.
const LONG_FILES: &[(&str, &str)] =
    &[("crates/vtables/src/engine.rs", "a statement's way from its check to its error is read in one piece")];

/// Which crates of the workspace a crate may use, besides `model`.
const MAY_USE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("config", &[]),
    ("collector", &[]),
    ("host", &["collector"]),
    ("ipc", &["collector"]),
    ("store", &["collector"]),
    ("vtables", &["collector", "ipc"]),
    ("detection", &["vtables"]),
    ("procmond", &["collector", "host", "ipc", "config"]),
    ("agent", &["collector", "host", "ipc", "vtables", "detection", "store", "config"]),
    ("shell", &["collector", "host", "ipc", "vtables", "detection", "store", "config"]),
];

fn assert_none(faults: &[String], rule: &str) {
    assert!(faults.is_empty(), "{rule}\n  {}", faults.join("\n  "));
}

/// Each line of code (or of comments) that `wrong` picks, as `file:line: text`.
fn lines(of_comments: bool, wrong: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (path, source) in rust_files() {
        let parts = parts(&source);
        let text = if of_comments { &parts.comments } else { &parts.code };
        let picked = text.lines().enumerate().filter(|(_, line)| wrong(&path, line));
        found.extend(picked.map(|(n, line)| format!("{path}:{}: {}", n + 1, line.trim())));
    }
    found
}

#[test]
fn unsafe_code_stands_in_the_bridge_alone() {
    let faults = lines(false, |path, line| path != BRIDGE && has_word(line, "unsafe"));
    assert_none(&faults, "unsafe code belongs into crates/vtables/src/bridge.rs, or better nowhere:");
}

#[test]
fn nothing_is_put_off() {
    let faults = lines(false, |_, line| {
        let dense: String = line.split_whitespace().collect();
        ["todo!", "unimplemented!", "dbg!", "#[ignore", "#![ignore"].iter().any(|w| dense.contains(w))
    });
    assert_none(&faults, "finish it, or leave it out; a test that cannot run here says why and passes:");
    let faults = lines(true, |_, line| ["TODO", "FIXME", "XXX"].iter().any(|word| has_word(line, word)));
    assert_none(&faults, "a remark about work to do belongs into the tracker:");
}

#[test]
fn files_are_short() {
    let is_test = |path: &str| path.starts_with("tests/") || path.contains("/tests/");
    let mut faults = Vec::new();
    for (path, source) in rust_files().into_iter().filter(|(path, _)| !is_test(path)) {
        let lines = lines_without_tests(&source);
        let excused = LONG_FILES.iter().any(|(long, _)| *long == path);
        match lines > FILE_LINES_MAX {
            true if !excused => faults.push(format!("{path} has {lines} lines without its tests")),
            false if excused => faults.push(format!("{path} is short now: take it out of LONG_FILES")),
            _ => {}
        }
    }
    assert_none(&faults, &format!("a file has at most {FILE_LINES_MAX} lines; make two of it:"));
}

#[test]
fn every_crate_keeps_the_lints() {
    let mut faults = Vec::new();
    for name in crates() {
        let manifest = read(&format!("crates/{name}/Cargo.toml"));
        let inherits = manifest_section(&manifest, "lints") == ["workspace = true"];
        if inherits == (name == "vtables") {
            faults.push(format!("crates/{name}/Cargo.toml"));
        }
        let inherited =
            ["version", "edition", "rust-version", "license"].map(|key| format!("{key}.workspace = true"));
        for line in inherited.iter().map(String::as_str).chain(["publish = false"]) {
            if !manifest_section(&manifest, "package").contains(&line) {
                faults.push(format!("crates/{name}/Cargo.toml lacks `{line}`"));
            }
        }
    }
    assert_none(&faults, "a crate has `[lints] workspace = true`; vtables alone has a table of its own:");
}

#[test]
fn the_lints_of_vtables_are_the_workspaces_but_for_unsafe_code() {
    let (workspace, vtables) = (read("Cargo.toml"), read("crates/vtables/Cargo.toml"));
    for group in ["rust", "clippy"] {
        let theirs = manifest_section(&workspace, &format!("workspace.lints.{group}"));
        let deny = |line: &&str| line.replace(r#"unsafe_code = "forbid""#, r#"unsafe_code = "deny""#);
        let theirs: BTreeSet<String> = theirs.iter().map(deny).collect();
        let ours = manifest_section(&vtables, &format!("lints.{group}"));
        let ours: BTreeSet<String> = ours.into_iter().map(str::to_owned).collect();
        assert_eq!(ours, theirs, "[lints.{group}] of crates/vtables/Cargo.toml follows the workspace's");
    }
}

#[test]
fn dependencies_run_one_way() {
    let known: BTreeSet<String> = crates().into_iter().collect();
    let mut faults = Vec::new();
    for name in &known {
        let manifest = read(&format!("crates/{name}/Cargo.toml"));
        let Some((_, allowed)) = MAY_USE.iter().find(|(of, _)| of == name) else {
            faults.push(format!("{name} is not listed: say in MAY_USE what it may use"));
            continue;
        };
        let everywhere = manifest_section(&manifest, "dependencies");
        let linux = manifest_section(&manifest, "target.'cfg(target_os = \"linux\")'.dependencies");
        for line in everywhere.into_iter().chain(linux) {
            let used = line.split(['.', ' ', '=']).next().unwrap_or_default();
            if known.contains(used) && used != "model" && !allowed.contains(&used) {
                faults.push(format!("{name} uses {used}"));
            }
        }
    }
    assert_none(&faults, "ARCHITECTURE.md says which crate may use which:");
}

#[test]
fn what_reads_the_machine_does_not_link_sqlite() {
    for name in ["model", "collector", "host"] {
        let args = ["tree", "--offline", "--locked", "-p", name, "-e", "normal,build", "--prefix", "none"];
        let tree = Command::new(env!("CARGO")).args(args).current_dir(tree::ROOT).output().unwrap();
        let text = String::from_utf8(tree.stdout).unwrap();
        assert!(tree.status.success(), "cargo tree: {}", String::from_utf8_lossy(&tree.stderr));
        assert!(text.starts_with(&format!("{name} ")), "{text}");
        for crate_line in text.lines() {
            let sqlite =
                ["rusqlite ", "libsqlite3-sys ", "sqlparser "].iter().any(|c| crate_line.starts_with(c));
            assert!(!sqlite, "{name} depends on {crate_line}: tables do not know SQLite");
        }
    }
}

#[test]
fn the_model_does_no_input_or_output() {
    let faults = lines(false, |path, line| {
        let io = ["fs", "net", "process", "env", "thread"];
        path.starts_with("crates/model/src/")
            && has_word(line, "std")
            && io.iter().any(|module| has_word(line, module))
    });
    assert_none(&faults, "crates/model has nouns alone; what reads or waits belongs elsewhere:");
}

#[test]
fn tables_are_described_and_listed_in_order() {
    let is_sentence =
        |text: &str| text.ends_with(['.', '…']) && text.starts_with(|c: char| !c.is_lowercase());
    let mut faults = Vec::new();
    let names: Vec<&str> = host::TABLES.iter().map(|t| t.name()).collect();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] >= pair[1]) {
        faults.push(format!("{} stands before {} in host::TABLES", pair[0], pair[1]));
    }
    for table in host::TABLES {
        let (name, schema) = (table.name(), table.schema());
        let file = format!("crates/host/src/{name}");
        if !tree::exists(&format!("{file}.rs")) && !tree::exists(&format!("{file}/mod.rs")) {
            faults.push(format!("{name} has no file {file}.rs"));
        }
        if !is_sentence(&schema.about) {
            faults.push(format!("{name} is not described in a sentence"));
        }
        if schema.examples.is_empty() {
            faults.push(format!("{name} has no example"));
        }
        for column in schema.columns.iter().filter(|c| !is_sentence(&c.doc)) {
            faults.push(format!("{name}.{} is not described in a sentence: {:?}", column.name, column.doc));
        }
        let narrowing = schema.columns.iter().filter(|c| c.required || !c.push.is_none());
        for column in narrowing.filter(|c| !schema.identity.columns.contains(&c.name)) {
            faults.push(format!("{name}.{} narrows a scan and is not in the identity", column.name));
        }
    }
    assert_none(&faults, "a table is a value with all its facts (CONTRIBUTING.md, Add a table):");
}

#[test]
fn every_table_file_is_in_the_list() {
    let names: BTreeSet<&str> = host::TABLES.iter().map(|t| t.name()).collect();
    let declared = rust_files().into_iter().filter_map(|(path, source)| {
        let file = path.strip_prefix("crates/host/src/")?;
        let is_table = source.contains("pub(crate) static TABLE: Table<");
        is_table.then(|| file.trim_end_matches("/mod.rs").trim_end_matches(".rs").to_owned())
    });
    let faults: Vec<String> = declared.filter(|name| !names.contains(name.as_str())).collect();
    assert_none(&faults, "a table that is not in host::TABLES answers nobody:");
}

#[test]
fn every_rule_is_shipped() {
    let listed: BTreeSet<String> = rust_files()
        .into_iter()
        .filter(|(path, _)| path == "crates/detection/src/shipped.rs")
        .flat_map(|(_, source)| {
            let quoted = source.split('"').skip(1).step_by(2).filter(|text| text.ends_with(".yaml"));
            quoted.map(|text| format!("rules/{text}")).collect::<Vec<_>>()
        })
        .collect();
    let files: BTreeSet<String> = text_files()
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| path.starts_with("rules/") && path.ends_with(".yaml"))
        .collect();
    assert_eq!(files, listed, "crates/detection/src/shipped.rs lists the files below rules/, one a line");
}

#[test]
fn nothing_names_the_place_where_it_was_written() {
    let homes = ["/Users/", "/work/", "/.cargo/", "/.rustup/", "/tmp/wt/", "C:\\Users\\"];
    let mut faults = Vec::new();
    for (path, text) in text_files().into_iter().filter(|(path, _)| path != "tests/it/tidy/mod.rs") {
        for (n, line) in text.lines().enumerate() {
            let named = |home: &&str| {
                line.match_indices(*home).any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric()))
            };
            if homes.iter().any(named) {
                faults.push(format!("{path}:{}: {}", n + 1, line.trim()));
            }
        }
    }
    assert_none(&faults, "a path of one person's machine has no place in the tree:");
}
