//! What crosses crates, and what a user starts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "the helpers of tests are tests too: they may end in a panic, read files and start programs"
)]

/// Our tables beside osquery's: names, order, types.
mod compat;
/// The house rules, on the tree itself.
mod tidy;
