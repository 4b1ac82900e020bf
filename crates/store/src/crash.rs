//! Places at which a test kills the program. A release build has none.

/// Kills this process, as SIGKILL does, if `DAEMONEYE_CRASH_AT` is `name:n` and this is the n-th time here.
#[cfg(debug_assertions)]
pub fn crash_point(name: &str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static PLAN: LazyLock<Option<(String, u64)>> = LazyLock::new(|| {
        let plan = std::env::var("DAEMONEYE_CRASH_AT").ok()?;
        let (name, n) = plan.rsplit_once(':')?;
        Some((name.to_owned(), n.parse().ok()?))
    });
    static PASSED: AtomicU64 = AtomicU64::new(0);
    if let Some((planned, n)) = &*PLAN
        && planned == name
        && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == *n
    {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        // The signal ends every thread at its next step.
        loop {
            std::thread::park();
        }
    }
}

/// Does nothing in a release build.
#[cfg(not(debug_assertions))]
pub fn crash_point(_: &str) {}
