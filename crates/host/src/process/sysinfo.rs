//! Processes from the sysinfo crate, for platforms without a reader of their own. What it does not tell is NULL.

use collector::{
    Exe, Io, Memory, Process, ProcessCollector, ProcessQuery, ProcessRecord, ProcessRecords, Reads, Rows,
    Started, Stat, Status,
};
use model::ScanError;
use sysinfo::{Pid, ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System, UpdateKind};

/// Asks sysinfo anew at each scan.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sysinfo;

impl ProcessCollector for Sysinfo {
    fn name(&self) -> &'static str {
        "sysinfo"
    }

    fn scan(&self, query: ProcessQuery) -> Result<Rows<Process>, ScanError> {
        let failed = |error| ScanError::Failed(format!("cannot list processes: {error}"));
        let mut system = System::new().map_err(failed)?;
        let pids: Option<Vec<Pid>> =
            query.pids.as_ref().map(|pids| pids.iter().map(|pid| Pid::from_u32(*pid)).collect());
        let which = pids.as_deref().map_or(ProcessesToUpdate::All, ProcessesToUpdate::Some);
        system.refresh_processes_specifics(which, false, wanted(query.reads));
        let boot = System::boot_time().ok();
        // On Linux sysinfo lists threads too.
        let processes = system.processes().values().filter(|p| p.thread_kind().is_none());
        Ok(ProcessRecords(processes.map(|p| record(p, boot)).collect()).into_rows(query))
    }
}

fn wanted(reads: Reads) -> ProcessRefreshKind {
    let kind = ProcessRefreshKind::nothing().without_tasks();
    if reads != Reads::More {
        return kind;
    }
    let always = UpdateKind::Always;
    let kind = kind.with_memory().with_disk_usage().with_user(always).with_cmd(always).with_exe(always);
    kind.with_cwd(always).with_root(always)
}

fn record(process: &sysinfo::Process, boot: Option<u64>) -> ProcessRecord {
    let (pid, disk) = (process.pid().as_u32(), process.disk_usage());
    let bytes = |path: &std::path::Path| path.as_os_str().as_encoded_bytes().to_vec();
    let memory = Memory { resident: Some(process.memory()), total: Some(process.virtual_memory()) };
    ProcessRecord {
        pid,
        stat: Some(Stat {
            name: process.name().as_encoded_bytes().to_vec(),
            state: state(process.status()),
            parent: Some(process.parent().map_or(0, Pid::as_u32)),
            session: process.session_id().and_then(|id| i32::try_from(id.as_u32()).ok()),
            ..Stat::default()
        }),
        started: Some(Started {
            unix: i64::try_from(process.start_time()).ok(),
            key: boot.map(|boot| coarse_key(boot, pid, process.start_time())),
        }),
        status: status(process),
        memory: Some(memory),
        cmdline: Some(process.cmd().join("\0".as_ref()).into_encoded_bytes()),
        exe: process.exe().map(|path| Exe { path: bytes(path), deleted: None }),
        cwd: process.cwd().map(bytes),
        root: process.root().map(bytes),
        io: Some(Io {
            read: i64::try_from(disk.total_read_bytes).ok(),
            written: i64::try_from(disk.total_written_bytes).ok(),
        }),
        ..ProcessRecord::default()
    }
}

/// A start in seconds cannot tell a process from one that took over its pid within the same second: `~` marks
/// such keys.
fn coarse_key(boot: u64, pid: u32, start: u64) -> String {
    format!("~{boot:x}-{pid}-{start}")
}

#[cfg(unix)]
fn status(process: &sysinfo::Process) -> Option<Status> {
    Some(Status {
        uid: process.user_id().map(|id| **id),
        euid: process.effective_user_id().map(|id| **id),
        gid: process.group_id().map(|id| *id),
        egid: process.effective_group_id().map(|id| *id),
        ..Status::default()
    })
}

/// Windows names users by SID, which is no number.
#[cfg(not(unix))]
fn status(_: &sysinfo::Process) -> Option<Status> {
    None
}

fn state(status: ProcessStatus) -> Option<u8> {
    Some(match status {
        ProcessStatus::Run => b'R',
        ProcessStatus::Sleep => b'S',
        ProcessStatus::UninterruptibleDiskSleep => b'D',
        ProcessStatus::Stop => b'T',
        ProcessStatus::Tracing => b't',
        ProcessStatus::Zombie => b'Z',
        ProcessStatus::Dead => b'X',
        ProcessStatus::Idle => b'I',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use collector::{Masking, OfAll};
    use model::Run;

    fn scan(pids: Option<Vec<u32>>, reads: Reads) -> Vec<Process> {
        let query = ProcessQuery {
            table: "processes",
            pids,
            reads,
            ids_alone: false,
            of_all: OfAll::default(),
            masking: Masking::On,
            run: Run::unlimited(),
        };
        Sysinfo.scan(query).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn this_process_is_found_with_what_sysinfo_knows() {
        let pid = std::process::id();
        let found = scan(Some(vec![pid]), Reads::More);
        let [this] = &found[..] else { panic!("{} rows", found.len()) };
        assert_eq!(this.pid(), pid);
        let exe = std::env::current_exe().unwrap();
        assert_eq!(this.exe("path").unwrap().path, exe.as_os_str().as_encoded_bytes());
        assert!(this.memory("resident_size").unwrap().resident.unwrap() > 0);
        assert!(this.start_key().unwrap().starts_with('~'));
        assert_eq!((this.cgroup("cgroup_path"), this.namespaces("net_namespace")), (None, None));
    }

    #[test]
    fn every_process_is_listed_once() {
        let pids: Vec<u32> = scan(None, Reads::Pid).iter().map(Process::pid).collect();
        assert!(pids.contains(&std::process::id()));
        assert!(pids.is_sorted_by(|a, b| a < b));
    }

    /// Both back ends see the same process on Linux, where there are two.
    #[cfg(target_os = "linux")]
    #[test]
    fn sysinfo_agrees_with_procfs() {
        let pid = std::process::id();
        let sysinfo = scan(Some(vec![pid]), Reads::More).remove(0);
        let (pids, run) = (Some(vec![pid]), Run::unlimited());
        let query = ProcessQuery {
            table: "",
            pids,
            reads: Reads::More,
            ids_alone: false,
            of_all: OfAll::default(),
            masking: Masking::On,
            run,
        };
        let procfs = super::super::procfs::Procfs::new(collector::Host::live());
        let procfs = procfs.scan(query).unwrap().next().unwrap().unwrap();
        let ids = |p: &Process| {
            let s = p.status("").unwrap();
            (s.uid, s.euid, s.gid, s.egid)
        };
        assert_eq!(ids(&sysinfo), ids(&procfs));
        assert_eq!(sysinfo.cmdline(""), procfs.cmdline(""));
        assert_eq!((sysinfo.cwd(""), sysinfo.root("")), (procfs.cwd(""), procfs.root("")));
        let stat = |p: &Process| p.stat("").map(|s| (s.name.clone(), s.parent, s.session));
        assert_eq!(stat(&sysinfo), stat(&procfs));
        let apart = sysinfo.start_time().unwrap() - procfs.start_time().unwrap();
        assert!(apart.abs() <= 1, "{apart} s");
    }
}
