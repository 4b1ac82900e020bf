//! Giving up root: everything that needs it is opened first, then the process keeps what it declared and the
//! kernel is asked whether that is so.

use std::io;

use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, capabilities_secure_bits,
    capability_is_in_bounding_set, clear_ambient_capability_set, remove_capability_from_bounding_set,
    set_capabilities, set_capabilities_secure_bits, set_no_new_privs,
};

use crate::account::Account;
use crate::audit::change;
use crate::capability::{each, names};
use crate::seccomp::{Filter, FilterError};
use crate::status::{Matrix, StatusError};

/// Why the process did not give up what it was to give up. It must not serve then, and ends.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// A thread was started before the privileges went: it would keep them.
    #[error(
        "{0} threads run before the privileges are given up, which each thread would keep; this is a bug"
    )]
    Threads(u32),
    /// It is root, and nobody was named to become.
    #[error("procmond does not stay root; name a user with --user")]
    StaysRoot,
    /// The kernel refused a change.
    #[error(
        "cannot {action}: {error}; start procmond as root with CAP_SETPCAP, CAP_SETUID and CAP_SETGID, or as an ordinary user"
    )]
    Refused {
        /// What was to be changed.
        action: &'static str,
        /// What the kernel said.
        #[source]
        error: io::Error,
    },
    /// The filter of system calls cannot be built or installed.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The rights of the process cannot be told.
    #[error(transparent)]
    Status(#[from] StatusError),
    /// The kernel says otherwise than was declared.
    #[error("the privileges are not what was declared, so nothing is served: {}", .0.join("; "))]
    Differs(Vec<String>),
}

/// What a process will hold after its start.
#[derive(Debug)]
pub struct Plan {
    /// The capabilities that the enabled tables and sources need. What the process does not hold from the
    /// start is done without: some values are NULL then.
    pub capabilities: CapabilitySet,
    /// Whom root becomes. Ignored for an ordinary user, who stays who it is.
    pub account: Option<Account>,
    /// The system calls that it may make.
    pub filter: Filter,
}

/// A process that has opened what needs root, and still is root.
#[derive(Debug)]
pub struct Prepared<T> {
    plan: Plan,
    start: Matrix,
    opened: T,
}

/// A process that holds what it declared and nothing else.
#[derive(Debug)]
pub struct Confined<T> {
    /// What was opened before.
    pub opened: T,
    /// The rights that the kernel says it has.
    pub rights: Matrix,
}

impl Plan {
    /// Opens, attaches and binds what needs root. No thread may run yet.
    pub fn prepare<T, E>(self, open: impl FnOnce() -> Result<T, E>) -> Result<Prepared<T>, E>
    where
        E: From<PrivilegeError>,
    {
        let start = Matrix::current().map_err(PrivilegeError::from)?;
        alone(&start)?;
        if start.uids.contains(&0) && self.account.is_none() {
            return Err(PrivilegeError::StaysRoot.into());
        }
        let opened = open()?;
        Ok(Prepared { plan: self, start, opened })
    }
}

impl<T> Prepared<T> {
    /// Gives up everything else, for good, and checks that it is gone.
    pub fn confine(self) -> Result<Confined<T>, PrivilegeError> {
        let Prepared { plan, start, opened } = self;
        // rustix keeps the auxiliary vector from the first time that it is asked for anything in it. An undumpable
        // process may not read its own any more, and rustix panics then.
        let _ = rustix::param::page_size();
        let now = Matrix::current()?;
        alone(&now)?;
        let kept = plan.capabilities & start.permitted;
        let missing = plan.capabilities - start.permitted;
        if !missing.is_empty() {
            tracing::warn!(target: "audit", action = "do without capabilities", missing = names(missing));
        }
        let mut secure_bits = capabilities_secure_bits().map_err(refused("read the secure bits"))?;
        let mut declared = Matrix {
            groups: Vec::new(),
            inheritable: CapabilitySet::empty(),
            permitted: kept,
            effective: kept,
            bounding: CapabilitySet::empty(),
            ambient: CapabilitySet::empty(),
            no_new_privs: true,
            seccomp: Filter::MODE,
            ..start.clone()
        };
        // CAP_SETPCAP lets the bounding set and the secure bits be changed, so it goes last; an ordinary user
        // without it cannot change them, and no exec can make use of them once no_new_privs is set.
        if start.uids.contains(&0) || start.effective.contains(CapabilitySet::SETPCAP) {
            lock_secure_bits(secure_bits)?;
            secure_bits = LOCKED;
            empty_bounding_set(start.bounding)?;
        } else {
            declared.bounding = start.bounding;
        }
        match plan.account.filter(|_| start.uids.contains(&0)) {
            Some(account) => {
                declared.uids = [account.uid; 4];
                declared.gids = [account.gid; 4];
                become_account(&start, &account)?;
            }
            None => declared.groups.clone_from(&start.groups),
        }
        empty_ambient_set(start.ambient)?;
        keep_capabilities(&start, kept)?;
        set_the_rest()?;
        change("install seccomp filter", start.seccomp, Filter::MODE, || plan.filter.install())?;
        let rights = verify(&declared, secure_bits)?;
        Ok(Confined { opened, rights })
    }
}

/// Credentials and capabilities belong to a thread: what another one holds, it would keep.
fn alone(now: &Matrix) -> Result<(), PrivilegeError> {
    if now.threads == 1 { Ok(()) } else { Err(PrivilegeError::Threads(now.threads)) }
}

fn refused<E: Into<io::Error>>(action: &'static str) -> impl FnOnce(E) -> PrivilegeError {
    move |error| PrivilegeError::Refused { action, error: error.into() }
}

/// Uid 0 stands for nothing with these, neither at an exec nor at a change of uid; so the change of uid that
/// follows leaves the capabilities alone, and none can come back (capabilities(7), securebits).
const LOCKED: CapabilitiesSecureBits = CapabilitiesSecureBits::NO_ROOT
    .union(CapabilitiesSecureBits::NO_ROOT_LOCKED)
    .union(CapabilitiesSecureBits::NO_SETUID_FIXUP)
    .union(CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED)
    .union(CapabilitiesSecureBits::KEEP_CAPS_LOCKED)
    .union(CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE)
    .union(CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED);

fn hex(bits: CapabilitiesSecureBits) -> String {
    format!("{:#x}", bits.bits())
}

fn lock_secure_bits(before: CapabilitiesSecureBits) -> Result<(), PrivilegeError> {
    const ACTION: &str = "lock secure bits";
    change(ACTION, hex(before), hex(LOCKED), || set_capabilities_secure_bits(LOCKED)).map_err(refused(ACTION))
}

fn empty_bounding_set(before: CapabilitySet) -> Result<(), PrivilegeError> {
    const ACTION: &str = "empty bounding set";
    change(ACTION, names(before), "none", || {
        for one in each() {
            match capability_is_in_bounding_set(one) {
                Ok(true) => remove_capability_from_bounding_set(one)?,
                Ok(false) => {}
                // Past the last capability that the kernel knows.
                Err(rustix::io::Errno::INVAL) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    })
    .map_err(refused(ACTION))
}

fn become_account(start: &Matrix, account: &Account) -> Result<(), PrivilegeError> {
    let list = |ids: &[u32]| format!("{ids:?}");
    let action = "clear supplementary groups";
    change(action, list(&start.groups), "[]", || setgroups(&[])).map_err(refused(action))?;
    let (gid, uid) = (Gid::from_raw(account.gid), Uid::from_raw(account.uid));
    let action = "change group id";
    change(action, list(&start.gids), account.gid, || setresgid(gid, gid, gid)).map_err(refused(action))?;
    let action = "change user id";
    change(action, list(&start.uids), account.uid, || setresuid(uid, uid, uid)).map_err(refused(action))
}

fn empty_ambient_set(before: CapabilitySet) -> Result<(), PrivilegeError> {
    const ACTION: &str = "empty ambient set";
    change(ACTION, names(before), "none", clear_ambient_capability_set).map_err(refused(ACTION))
}

fn keep_capabilities(start: &Matrix, kept: CapabilitySet) -> Result<(), PrivilegeError> {
    const ACTION: &str = "keep declared capabilities";
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    change(ACTION, names(start.permitted), names(kept), || set_capabilities(None, sets))
        .map_err(refused(ACTION))
}

/// No exec gives rights, and no other process of the same user may look into this one or take it over.
fn set_the_rest() -> Result<(), PrivilegeError> {
    let action = "set no_new_privs";
    change(action, false, true, || set_no_new_privs(true)).map_err(refused(action))?;
    let action = "make undumpable";
    let undumpable = || set_dumpable_behavior(DumpableBehavior::NotDumpable);
    change(action, true, false, undumpable).map_err(refused(action))
}

/// Asks the kernel about every thread, instead of trusting that each call did what it says.
fn verify(declared: &Matrix, secure_bits: CapabilitiesSecureBits) -> Result<Matrix, PrivilegeError> {
    let threads = Matrix::of_every_thread()?;
    let mut differ: Vec<String> = threads.iter().flat_map(|thread| thread.differences(declared)).collect();
    let dumpable = rustix::process::dumpable_behavior();
    if dumpable != Ok(DumpableBehavior::NotDumpable) {
        differ.push(format!("dumpable is {dumpable:?}, declared was that it is not"));
    }
    let bits = capabilities_secure_bits();
    if bits != Ok(secure_bits) {
        differ.push(format!("the secure bits are {bits:?}, declared was {secure_bits:?}"));
    }
    if !differ.is_empty() {
        tracing::error!(target: "audit", action = "verify privileges", result = "failed", ?differ);
        return Err(PrivilegeError::Differs(differ));
    }
    let rights = declared.to_string();
    tracing::info!(target: "audit", action = "verify privileges", result = "done", %rights);
    Ok(declared.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_threads_is_not_prepared() {
        let plan = Plan {
            capabilities: crate::READ_ONLY,
            account: None,
            filter: Filter::for_tables(std::iter::empty()),
        };
        // A test runs beside the main thread.
        let prepared = plan.prepare(|| -> Result<(), PrivilegeError> { panic!("must not be opened") });
        assert!(matches!(prepared, Err(PrivilegeError::Threads(2..))));
    }
}
