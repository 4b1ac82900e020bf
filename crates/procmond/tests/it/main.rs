//! The program as it is started, and the fence as the kernel keeps it. This file is the table of contents.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "the whole crate is tests, which may end in a panic, read files and start programs"
)]

/// Who is served, and what: as another user, over the socket.
mod access;
/// What a confined process tries from inside, and what the kernel answers.
mod acts;
/// Two hundred clients at once.
mod crowd;
/// It is killed, stopped and told to end while it serves.
mod faults;
/// Starts the programs and waits for what they say.
mod programs;
/// The rights of the running program are those of the golden file.
mod rights;
/// What it refuses to start with, and how it ends.
mod start;
/// Every table reads the same in front of and behind the fence.
mod tables;
