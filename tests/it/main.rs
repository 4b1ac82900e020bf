//! What crosses crates, and what a user starts.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

/// Builds and starts the programs.
mod harness;
/// `daemoneye-cli` as a process: formats, exit codes, scripts, Ctrl-C.
mod shell;
