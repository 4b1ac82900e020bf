//! The system calls that are left (seccomp(2)): an allow-list, built from what is enabled.
//!
//! Everything else answers `EPERM`, also what a later kernel adds, calls of the x32 table, and calls of an
//! allowed number with other arguments; a call in another architecture's table ends the process. A filter
//! sees numbers and no paths, so it can hold that nothing is opened for writing, not which file is read.

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter_all_threads,
};

mod calls;

use calls::{ARG_OWN_PID, Call, GROUPS, Group, When};

/// Why there is no filter.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// It cannot be built, or not for this processor.
    #[error("cannot build the filter of system calls: {0}; x86-64 and aarch64 are known")]
    Build(#[from] BackendError),
    /// The kernel does not take it.
    #[error("cannot install the filter of system calls: {0}; the kernel needs CONFIG_SECCOMP_FILTER")]
    Install(#[from] seccompiler::Error),
}

/// The system calls that a process may make from the time that this is installed.
#[derive(Debug)]
pub struct Filter {
    groups: Vec<&'static Group>,
}

impl Filter {
    /// `Seccomp` in /proc/PID/status with a filter in place (`SECCOMP_MODE_FILTER`).
    pub const MODE: u32 = 2;

    /// What serving these tables to local clients takes.
    pub fn for_tables<'t>(tables: impl IntoIterator<Item = &'t str>) -> Filter {
        let tables: Vec<&str> = tables.into_iter().collect();
        let needed = |group: &&Group| match group.when {
            When::Always => true,
            When::Tables(of) => of.iter().any(|table| tables.contains(table)),
        };
        Filter { groups: GROUPS.iter().filter(needed).collect() }
    }

    /// The names of the groups of calls that it lets through, for the log.
    pub fn groups(&self) -> impl Iterator<Item = &'static str> {
        self.groups.iter().map(|group| group.name)
    }

    /// Puts it over every thread of this process, for good. Sets no_new_privs.
    pub fn install(&self) -> Result<(), FilterError> {
        // The first one refuses what the second lets through: of two filters the stricter answer counts.
        apply_filter_all_threads(&not_implemented()?)?;
        apply_filter_all_threads(&self.program()?)?;
        Ok(())
    }

    fn program(&self) -> Result<BpfProgram, FilterError> {
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
        for call in self.groups.iter().flat_map(|group| group.calls.iter().copied()) {
            let known = rules.entry(call.number).or_default();
            known.extend(rule(call)?);
        }
        compile(rules, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow)
    }
}

/// Answers `ENOSYS` to clone3, whose flags are in memory where no filter sees them; the C library then uses
/// clone, whose flags it does see.
fn not_implemented() -> Result<BpfProgram, FilterError> {
    let rules = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    compile(rules, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32))
}

fn compile(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram, FilterError> {
    let processor = TargetArch::try_from(std::env::consts::ARCH)?;
    Ok(SeccompFilter::new(rules, otherwise, matched, processor)?.try_into()?)
}

/// The rule of a call; none when any arguments will do.
fn rule(call: Call) -> Result<Option<SeccompRule>, BackendError> {
    let conditions: Result<Vec<_>, _> = call
        .arguments
        .iter()
        .map(|argument| {
            let value =
                if argument.value == ARG_OWN_PID { std::process::id().into() } else { argument.value };
            let operator = SeccompCmpOp::MaskedEq(argument.mask);
            SeccompCondition::new(argument.index, SeccompCmpArgLen::Qword, operator, value)
        })
        .collect();
    let conditions = conditions?;
    if conditions.is_empty() { Ok(None) } else { SeccompRule::new(conditions).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn every_table() -> Filter {
        Filter::for_tables(host::TABLES.iter().map(|table| table.name()))
    }

    #[test]
    fn the_filter_is_built_for_this_processor_and_fits_into_the_kernel() {
        // BPF_MAXINSNS.
        assert!(every_table().program().unwrap().len() < 4096);
        assert!(not_implemented().unwrap().len() < 16);
    }

    #[test]
    fn what_is_not_enabled_is_not_let_through() {
        let few = Filter::for_tables(["processes"]);
        assert!(few.groups().count() < every_table().groups().count());
        let socket = |filter: &Filter| {
            filter.groups.iter().any(|g| g.calls.iter().any(|c| c.number == libc::SYS_socket))
        };
        assert!(socket(&every_table()) && !socket(&few));
    }

    #[test]
    fn groups_name_tables_that_there_are() {
        let tables: BTreeSet<&str> = host::TABLES.iter().map(|table| table.name()).collect();
        for group in GROUPS {
            if let When::Tables(of) = group.when {
                assert!(of.iter().all(|table| tables.contains(table)), "{}", group.name);
            }
        }
    }

    #[test]
    fn a_call_is_either_free_or_held_to_its_arguments_everywhere() {
        for group in GROUPS {
            for call in group.calls {
                let same = GROUPS.iter().flat_map(|g| g.calls).filter(|c| c.number == call.number);
                let free = same.filter(|c| c.arguments.is_empty() != call.arguments.is_empty()).count();
                assert_eq!(
                    free, 0,
                    "call {} of {} is free in one place and not in another",
                    call.number, group.name
                );
            }
        }
    }
}
