//! What the kernel says that this process may do: the fields of /proc/PID/status (proc_pid_status(5)).

use std::fmt;
use std::io;

use collector::{Host, vanished};
use rustix::thread::CapabilitySet;

/// The rights of one thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matrix {
    /// Real, effective, saved and file system user id.
    pub uids: [u32; 4],
    /// Real, effective, saved and file system group id.
    pub gids: [u32; 4],
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Capabilities that an exec may pass on.
    pub inheritable: CapabilitySet,
    /// Capabilities that can be used or raised.
    pub permitted: CapabilitySet,
    /// Capabilities in use.
    pub effective: CapabilitySet,
    /// Capabilities that an exec may ever give.
    pub bounding: CapabilitySet,
    /// Capabilities that an exec keeps.
    pub ambient: CapabilitySet,
    /// Whether an exec can no longer give rights.
    pub no_new_privs: bool,
    /// 0 without a filter of system calls, 2 with one.
    pub seccomp: u32,
    /// Threads of the process.
    pub threads: u32,
}

/// Why the rights of this process cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// The file cannot be read; is /proc mounted?
    #[error("cannot read {0}: {1}; is /proc mounted?")]
    Unread(String, #[source] io::Error),
    /// A field is not there or has another form: an older kernel, or no Linux.
    #[error("the field {0} of /proc/self/status is missing or malformed; Linux 4.10 or newer is needed")]
    Field(&'static str),
}

impl Matrix {
    /// The rights of the calling thread.
    pub fn current() -> Result<Matrix, StatusError> {
        Matrix::of("/proc/thread-self/status")
    }

    /// The rights of every thread of this process.
    pub fn of_every_thread() -> Result<Vec<Matrix>, StatusError> {
        /// The kernel ends a list of threads early where one ends that it stands at.
        const LOOKS_MAX: usize = 100;
        let mut matrices = Vec::new();
        for _ in 0..LOOKS_MAX {
            matrices = Matrix::of_listed_threads()?;
            if matrices.len() >= Matrix::current()?.threads as usize {
                break;
            }
        }
        Ok(matrices)
    }

    fn of_listed_threads() -> Result<Vec<Matrix>, StatusError> {
        let tasks = "/proc/self/task";
        let unread = |error| StatusError::Unread(tasks.to_owned(), error);
        let threads = Host::live().list_sorted(tasks).map_err(unread)?;
        let matrices = threads
            .iter()
            .map(|thread| Matrix::of(&format!("{tasks}/{}/status", thread.name.display())))
            // A thread may have ended since.
            .filter(|matrix| !matches!(matrix, Err(StatusError::Unread(_, error)) if vanished(error)));
        matrices.collect()
    }

    fn of(path: &str) -> Result<Matrix, StatusError> {
        let text = Host::live().read_text(path);
        Matrix::parse(&text.map_err(|error| StatusError::Unread(path.to_owned(), error))?)
    }

    /// Reads the content of a `status` file.
    pub fn parse(status: &str) -> Result<Matrix, StatusError> {
        let field = |name: &'static str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            value.map(str::trim).ok_or(StatusError::Field(name))
        };
        let ids = |name| -> Result<Vec<u32>, StatusError> {
            let ids: Result<_, _> = field(name)?.split_ascii_whitespace().map(str::parse).collect();
            ids.map_err(|_| StatusError::Field(name))
        };
        let four = |name| ids(name)?.try_into().map_err(|_| StatusError::Field(name));
        let set = |name| {
            let bits = u64::from_str_radix(field(name)?, 16).map_err(|_| StatusError::Field(name))?;
            Ok::<_, StatusError>(CapabilitySet::from_bits_retain(bits))
        };
        let number = |name| field(name)?.parse::<u32>().map_err(|_| StatusError::Field(name));
        Ok(Matrix {
            uids: four("Uid")?,
            gids: four("Gid")?,
            groups: ids("Groups")?,
            inheritable: set("CapInh")?,
            permitted: set("CapPrm")?,
            effective: set("CapEff")?,
            bounding: set("CapBnd")?,
            ambient: set("CapAmb")?,
            no_new_privs: number("NoNewPrivs")? == 1,
            seccomp: number("Seccomp")?,
            threads: number("Threads")?,
        })
    }

    /// What differs from the rights that were declared, in words; empty when nothing does. The number of threads
    /// is no right.
    pub fn differences(&self, declared: &Matrix) -> Vec<String> {
        let (ours, theirs) = (self.lines(), declared.lines());
        let pairs = ours.into_iter().zip(theirs).filter(|(ours, theirs)| ours != theirs);
        pairs.map(|((name, is), (_, declared))| format!("{name} is {is}, declared was {declared}")).collect()
    }

    fn lines(&self) -> Vec<(&'static str, String)> {
        let ids = |ids: &[u32]| ids.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
        let set = |set: CapabilitySet| format!("{:016x}", set.bits());
        vec![
            ("Uid", ids(&self.uids)),
            ("Gid", ids(&self.gids)),
            ("Groups", ids(&self.groups)),
            ("CapInh", set(self.inheritable)),
            ("CapPrm", set(self.permitted)),
            ("CapEff", set(self.effective)),
            ("CapBnd", set(self.bounding)),
            ("CapAmb", set(self.ambient)),
            ("NoNewPrivs", u32::from(self.no_new_privs).to_string()),
            ("Seccomp", self.seccomp.to_string()),
        ]
    }
}

impl fmt::Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self.lines() {
            writeln!(f, "{name}: {value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t9 10 \nThreads:\t2\n\
        CapInh:\t0000000000000000\nCapPrm:\t0000000000080004\nCapEff:\t0000000000080004\n\
        CapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n\
        Seccomp_filters:\t1\n";

    #[test]
    fn the_fields_of_status_become_the_matrix() {
        let matrix = Matrix::parse(STATUS).unwrap();
        assert_eq!(
            (matrix.uids, matrix.gids, &matrix.groups[..]),
            ([1, 2, 3, 4], [5, 6, 7, 8], &[9, 10][..])
        );
        assert_eq!(matrix.permitted, crate::READ_ONLY);
        assert_eq!((matrix.no_new_privs, matrix.seccomp, matrix.threads), (true, 2, 2));
    }

    #[test]
    fn a_field_that_is_missing_is_named_and_never_guessed() {
        for line in STATUS.lines().filter(|l| !l.starts_with("Name") && !l.starts_with("Seccomp_")) {
            let name = line.split(':').next().unwrap();
            let without = STATUS.replace(&format!("{line}\n"), "");
            let error = Matrix::parse(&without).unwrap_err().to_string();
            assert!(error.contains(name), "{name}: {error}");
        }
    }

    #[test]
    fn every_right_that_differs_is_told() {
        let declared = Matrix::parse(STATUS).unwrap();
        assert_eq!(declared.differences(&declared), [""; 0]);
        let more = Matrix::parse(&STATUS.replace("CapAmb:\t0000000000000000", "CapAmb:\t01")).unwrap();
        let told = more.differences(&declared);
        assert_eq!(told, ["CapAmb is 0000000000000001, declared was 0000000000000000"]);
        assert_eq!(Matrix { threads: 9, ..declared.clone() }.differences(&declared), [""; 0]);
    }

    #[test]
    fn every_thread_of_this_process_is_seen() {
        let current = Matrix::current().unwrap();
        let every = Matrix::of_every_thread().unwrap();
        assert!(every.len() >= 2, "a test has a thread of its own");
        assert!(every.iter().all(|thread| thread.differences(&current).is_empty()));
    }
}
