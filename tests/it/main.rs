//! What crosses crates, and what starts the real programs. This file is the table of contents.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "the whole crate is tests, which may end in a panic, read files and start programs"
)]

// Our tables beside osquery's: names, order, types.
mod compat;
// The house rules, on the tree itself.
mod tidy;
