use std::collections::BTreeMap;

use crate::harness::{Output, traced};
use crate::outside::{Running, needs};

/// What was opened or read below /proc/PID: for each process the files, in their order.
type Reads = BTreeMap<i64, Vec<String>>;

/// Runs a query under strace.
fn reads(sql: &str) -> (Output, Reads) {
    let (output, calls) = traced(&["query", "--format", "ndjson", sql]);
    assert!(output.status.success(), "{output:?}");
    let mut reads = Reads::new();
    for call in calls.iter().filter(|call| !call.contains("O_PATH")) {
        // openat(3</proc>, "1/stat", …) or openat(4</proc/1>, "stat", …). The runtime's own look at /proc/self is
        // none of the table's, nor is what it asks of a descriptor, whose path is empty.
        let Some((_, after)) = call.split_once("(") else { continue };
        let directory = after.split(['<', '>']).nth(1).unwrap_or_default();
        let Some(name) = after.split('"').nth(1).filter(|name| !name.is_empty()) else { continue };
        let path = if name.starts_with('/') { name.to_owned() } else { format!("{directory}/{name}") };
        let Some((pid, file)) = path.strip_prefix("/proc/").and_then(|rest| rest.split_once('/')) else {
            continue;
        };
        if let Ok(pid) = pid.parse() {
            reads.entry(pid).or_default().push(file.to_owned());
        }
    }
    (output, reads)
}

fn pids(output: &Output) -> Vec<i64> {
    let row = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["pid"].as_i64().unwrap();
    output.text().lines().map(row).collect()
}

#[test]
fn pid_and_name_cost_one_file_of_each_process() {
    if !needs("strace") {
        return;
    }
    let (output, reads) = reads("SELECT pid, name FROM processes");
    let pids = pids(&output);
    assert!(pids.contains(&i64::from(std::process::id())));
    for pid in pids {
        assert_eq!(reads[&pid], ["stat"], "{pid}");
    }
}

#[test]
fn to_count_processes_costs_no_file_of_any() {
    if !needs("strace") {
        return;
    }
    let (output, reads) = reads("SELECT count(*) AS n FROM processes");
    assert!(output.text().starts_with("{\"n\":"), "{output:?}");
    assert_eq!(reads, Reads::new());
}

#[test]
fn a_limit_reads_as_many_processes() {
    if !needs("strace") {
        return;
    }
    let (output, reads) = reads("SELECT pid, name FROM processes LIMIT 3");
    assert_eq!(reads.keys().copied().collect::<Vec<_>>(), pids(&output));
    assert_eq!(reads.len(), 3);
}

#[test]
fn a_list_of_pids_reads_these_processes_and_no_others() {
    if !needs("strace") {
        return;
    }
    let company: Vec<_> = (0..10).map(|_| Running::sleeper()).collect();
    let mut known: Vec<i64> = company.iter().map(Running::pid).collect();
    // Ninety more that are not there: Linux has no pid beyond 4,194,304.
    let listed: Vec<String> =
        known.iter().copied().chain(5_000_000..5_000_090).map(|n| n.to_string()).collect();
    assert_eq!(listed.len(), 100);
    let (output, reads) =
        reads(&format!("SELECT pid, name FROM processes WHERE pid IN ({})", listed.join(", ")));
    let mut found = pids(&output);
    found.sort_unstable();
    known.sort_unstable();
    assert_eq!(found, known);
    let there: Reads = reads.into_iter().filter(|(pid, _)| *pid < 5_000_000).collect();
    assert_eq!(there, known.iter().map(|pid| (*pid, vec!["stat".to_owned()])).collect());
    // And all hundred in one scan.
    let explained = crate::harness::cli([
        "explain",
        "--format",
        "json",
        &format!("SELECT pid, name FROM processes WHERE pid IN ({})", listed.join(", ")),
    ])
    .text();
    let explained: serde_json::Value = serde_json::from_str(&explained).unwrap();
    assert_eq!(explained["tables"][0]["scans"], 1, "{explained}");
}
