//! A rule file: parsed, checked, its tests run, evaluated into findings. No schedule, no delivery.
//!
//! [`Pack::load`] reads a directory of rules and gives those that hold, beside a [`RuleFault`] with file,
//! line and column for each thing that is wrong with the others. [`evaluate`] runs one rule.
//!
//! *Invariant:* a rule whose SQL the engine refuses, or whose own tests fail, is never evaluated.

mod check;
mod evaluate;
mod fault;
mod files;
mod pack;
mod shipped;
mod source;
mod trial;
mod yaml;

pub use evaluate::{Evaluation, FINDING_BYTES_MAX, FINDINGS_MAX, evaluate};
pub use fault::RuleFault;
pub use files::{DEPTH_MAX, FILE_BYTES_MAX, FILES_MAX, PackError};
pub use pack::{Pack, RuleLimits};
pub use shipped::SHIPPED;
