//! `procmond`: reads the machine with as little privilege as that takes.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
mod run;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    run::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    // Nothing of what confines it exists elsewhere, and unconfined it must not run.
    ExitCode::from(2)
}
