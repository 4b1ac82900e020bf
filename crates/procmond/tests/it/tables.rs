use std::collections::BTreeMap;

use crate::programs::{fence, holds, served, served_by_nobody};

/// Rounds after which a machine that moves has stood still for a moment, in each table at least once.
const ROUNDS_MAX: usize = 15;

/// What no capability replaces: these values are shown to uid 0 alone, whatever a process holds
/// (`test_perm` in fs/proc/proc_sysctl.c goes by the owner of a file).
const ROOTS_ALONE: [(&str, &str); 1] = [("system_controls", "current_value")];

struct Read {
    whole: String,
    rows: u64,
    notes: String,
    values: BTreeMap<String, u64>,
}

fn tables(place: &str) -> BTreeMap<String, Read> {
    let output = fence(place, "tables").output().unwrap();
    assert!(output.status.success(), "{place}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let read = |line: &str| {
        let [table, whole, rows, notes, values] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let values = values.split(' ').map(|value| {
            let (column, seen) = value.split_once('=').unwrap();
            (column.to_owned(), seen.parse().unwrap())
        });
        let read = Read {
            whole: whole.into(),
            rows: rows.parse().unwrap(),
            notes: notes.into(),
            values: values.collect(),
        };
        (table.to_owned(), read)
    };
    text.lines().map(read).collect()
}

/// What differs, in words. A count between those of before and after is a machine that moves.
fn difference(table: &str, before: &Read, inside: &Read, after: &Read) -> Option<String> {
    let between = |what: &str, before: u64, inside: u64, after: u64| {
        let fine = (before.min(after)..=before.max(after)).contains(&inside);
        (!fine).then(|| format!("{table}: {inside} {what} inside, {before} before and {after} after outside"))
    };
    if inside.whole != before.whole {
        return Some(format!("{table}: {} inside, {} outside", inside.whole, before.whole));
    }
    let roots = |column: &str| ROOTS_ALONE.contains(&(table, column));
    let columns = before.values.iter().filter(|(column, _)| !roots(column));
    let mut values = columns.filter_map(|(column, before)| {
        between(&format!("values of {column}"), *before, inside.values[column], after.values[column])
    });
    let has_roots = before.values.keys().any(|column| roots(column));
    let noted = !has_roots && inside.notes != before.notes && inside.notes != after.notes;
    between("rows", before.rows, inside.rows, after.rows).or_else(|| values.next()).or_else(|| {
        noted.then(|| format!("{table}: notes {:?} inside, {:?} outside", inside.notes, before.notes))
    })
}

fn reads_the_same(place: &str, ignored: &[&str]) {
    let mut left: BTreeMap<String, String> = BTreeMap::new();
    for round in 0..ROUNDS_MAX {
        let (before, inside, after) = (tables("outside"), tables(place), tables("outside"));
        assert_eq!(inside.len(), host::TABLES.len());
        ignored.iter().for_each(|table| assert_eq!(inside[*table].whole, "whole", "{table}"));
        let differ = inside.iter().filter(|(table, _)| !ignored.contains(&table.as_str())).filter_map(
            |(table, inside)| {
                Some((table.clone(), difference(table, &before[table], inside, &after[table])?))
            },
        );
        let differ: BTreeMap<String, String> = differ.collect();
        // A table that agreed once is fine.
        left = if round == 0 {
            differ
        } else {
            left.into_iter().filter(|(t, _)| differ.contains_key(t)).collect()
        };
        if left.is_empty() {
            return;
        }
    }
    panic!("{left:#?}");
}

#[test]
fn every_table_reads_the_same_inside_the_fence() {
    if ["SETUID", "SETGID", "SETPCAP", "SYS_PTRACE", "DAC_READ_SEARCH"].into_iter().all(holds) {
        reads_the_same("confined", &[]);
    }
}

fn every_table() -> String {
    let every: Vec<&str> = host::TABLES.iter().map(|table| table.name()).collect();
    format!("tables: [{}]\n", every.join(", "))
}

/// Behind the fence, through the socket, and with every table that there is.
#[test]
fn every_table_reads_the_same_through_the_socket() {
    if ["SETUID", "SETGID", "SETPCAP", "SYS_PTRACE", "DAC_READ_SEARCH"].into_iter().all(holds) {
        let mut served = served(&every_table());
        // The sockets of the connection itself are there for as long as it takes alone.
        reads_the_same(served.socket.to_str().unwrap(), &["process_open_sockets"]);
        assert_eq!(served.collector.child.try_wait().unwrap(), None, "it was ended by a signal");
    }
}

/// What it cannot read is an error of the table or NULL; no table is taken by surprise.
#[test]
fn an_ordinary_user_serves_every_table_as_far_as_it_sees() {
    if ["SETUID", "SETGID"].into_iter().all(holds) {
        let served = served_by_nobody(&every_table());
        for (table, read) in tables(served.socket.to_str().unwrap()) {
            assert!(!read.whole.contains("within the collector"), "{table}: {}", read.whole);
        }
    }
}

#[test]
fn the_filter_takes_nothing_from_any_table() {
    reads_the_same("filtered", &[]);
}
