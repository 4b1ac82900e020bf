//! An event in the log for each change of privilege.

use std::fmt::Display;

/// Makes a change and logs it: what was done, the state before and after, and how it ended.
pub(crate) fn change<E: Display>(
    action: &'static str,
    before: impl Display,
    after: impl Display,
    make: impl FnOnce() -> Result<(), E>,
) -> Result<(), E> {
    let result = make();
    match &result {
        Ok(()) => tracing::info!(target: "audit", action, %before, %after, result = "done"),
        Err(error) => {
            tracing::error!(target: "audit", action, %before, %after, result = "failed", %error);
        }
    }
    result
}
