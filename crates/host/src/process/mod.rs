//! Ways to see processes. Tables ask [`collector`] for the one that their machine has.

pub(crate) mod cgroup;
#[cfg(target_os = "linux")]
mod credentials;
#[cfg(test)]
#[cfg(target_os = "linux")]
pub(crate) mod fixture;
#[cfg(target_os = "linux")]
mod parse;
#[cfg(target_os = "linux")]
mod place;
#[cfg(target_os = "linux")]
mod procfs;
#[cfg(any(test, not(target_os = "linux")))]
mod sysinfo;

use std::sync::Arc;

use collector::{Host, Process, ProcessCollector, ProcessQuery, Reads, Rows};
use model::{Query, ScanError};

/// The machine's process collector: the chosen one, else procfs on Linux and sysinfo elsewhere.
pub(crate) fn collector(host: &Host) -> Arc<dyn ProcessCollector> {
    match host.processes() {
        Some(chosen) => chosen.clone(),
        #[cfg(target_os = "linux")]
        None => Arc::new(procfs::Procfs::new(host.clone())),
        #[cfg(not(target_os = "linux"))]
        None if host.is_live() => Arc::new(sysinfo::Sysinfo),
        #[cfg(not(target_os = "linux"))]
        None => Arc::new(collector::ProcessRecords::default()),
    }
}

/// Scans for a table whose column `pid` is its key and costs nothing.
pub(crate) fn scan(
    host: &Host,
    table: &'static str,
    query: &Query,
    reads: Reads,
) -> Result<Rows<Process>, ScanError> {
    collector(host).scan(ProcessQuery::new(host, table, query, reads))
}

/// The rows that each process of a scan has, read when the scan comes to it.
pub(crate) fn rows_of<R: Send + 'static>(
    processes: Rows<Process>,
    of: impl Fn(&Process) -> Vec<R> + Send + 'static,
) -> Rows<R> {
    Box::new(processes.flat_map(move |process| match process {
        Ok(process) => of(&process).into_iter().map(Ok).collect::<Vec<_>>(),
        Err(error) => vec![Err(error)],
    }))
}
