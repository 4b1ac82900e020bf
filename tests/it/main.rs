//! What crosses crates, and what starts the real programs. This file is the table of contents.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "the whole crate is tests, which may end in a panic, read files and start programs"
)]

/// `daemoneye-agent` as a process: alerts, changes, bad rules, reload, two at once.
mod agent;
/// The system calls that a query makes, counted.
mod calls;
/// Every table keeps the promises of its schema: examples, storage classes, identity, any user.
mod catalog;
/// Our tables beside osquery's: names, order, types.
mod compat;
/// The agent killed again and again: nothing acknowledged is lost, nothing comes twice.
mod crash;
/// Builds and starts the programs.
mod harness;
/// Processes that fight back: bytes that are no text, and pids that are gone before they are read.
mod hostile;
/// Engines over this machine and over machines made of files.
mod machine;
/// Secrets in command lines and environments are seen by no query.
mod masking;
/// Outside programs, which tell the truth that tables are compared with.
mod outside;
/// The live machine's /proc, copied into a directory that does not move.
mod photograph;
/// A comparison that is pushed down never changes an answer.
mod properties;
/// A collector's tables in SQL: the same rows, sent sparingly, and what happens when it is away.
mod route;
/// What procmond links and how it is installed.
mod sandbox;
/// A collector that is not procmond, as CONTRIBUTING.md shows it.
mod second_collector;
/// Collectors within this process, for engines to reach.
mod served;
/// One configuration for the programs: who reads what of it, and what wins.
mod settings;
/// `daemoneye-cli` as a process: formats, exit codes, scripts, Ctrl-C.
mod shell;
/// The house rules, on the tree itself.
mod tidy;
/// Rows next to what ps, ss, stat, getent, findmnt, ip, dpkg-query, sysctl … say.
mod truth;
/// Rows that a collector filters are those that SQLite keeps.
mod wire;
