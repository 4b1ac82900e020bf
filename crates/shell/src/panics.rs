//! A panic in a table is an error of one statement, which the engine reports; the default message would only
//! print it twice. Any other panic, and every panic under RUST_BACKTRACE, is told as usual.

use std::sync::atomic::{AtomicBool, Ordering};

static IN_TABLES: AtomicBool = AtomicBool::new(false);

/// Keeps panics in tables quiet from now on.
pub(crate) fn quiet_in_tables() {
    if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
        return;
    }
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !IN_TABLES.load(Ordering::Relaxed) {
            told(panic);
        }
    }));
}

/// Runs what reads tables.
pub(crate) fn in_tables<T>(call: impl FnOnce() -> T) -> T {
    scoped(true, call)
}

/// Runs our own code within [`in_tables`].
pub(crate) fn outside_tables<T>(call: impl FnOnce() -> T) -> T {
    scoped(false, call)
}

fn scoped<T>(inside: bool, call: impl FnOnce() -> T) -> T {
    let before = IN_TABLES.swap(inside, Ordering::Relaxed);
    let value = call();
    IN_TABLES.store(before, Ordering::Relaxed);
    value
}
