//! Both ends of the wire, over pipes and sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "the whole crate is tests, which may end in a panic, and print their figures"
)]

/// Several collectors: failover, balance, breakers, coming back.
mod collectors;
/// Peers that send what they should not, and too much, and too little.
mod hostile;
/// Scans as they should go: rows, projection, filters, notes, laziness, cancellation.
mod scans;
/// Clients that take what they are sent late, or never, and a server that stops meanwhile.
mod slow;
/// A collector with tables that are made for testing, and ways to reach it.
mod support;
/// A service that is made of tables and a runtime of event sources.
mod tables;
