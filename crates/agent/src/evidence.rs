//! What is kept beside a finding: the process, its ancestors, its sockets, the hash of its image.

use std::sync::Arc;
use std::time::Duration;

use model::{Evidence, NamedRow, Value};
use vtables::{Engine, Limits, Options};

/// What one question about a finding may take.
const LIMITS: Limits =
    Limits { timeout: Some(Duration::from_secs(5)), rows_max: 100, memory_bytes_max: 16 << 20 };

/// Each section with its question. They name the process by pid, and only where the row tells one; a process
/// that took over the pid meanwhile is told apart by its `start_key`.
const OF_PROCESS: &[(&str, &str)] = &[
    (
        "process",
        "SELECT pid, parent, name, path, cmdline, cwd, state, uid, gid, euid, egid, loginuid, tty, session, start_time, \
         on_disk, exe_deleted, cap_effective, tracer_pid, cgroup_path, container_id, start_key FROM processes \
         WHERE pid = :pid AND (:start_key IS NULL OR start_key = :start_key)",
    ),
    (
        "ancestors",
        "SELECT a.depth, a.ancestor_pid, a.ancestor_name, a.ancestor_path, a.ancestor_cmdline, a.ancestor_uid, \
         a.ancestor_start_key FROM process_ancestors a JOIN processes p USING (pid) \
         WHERE a.pid = :pid AND (:start_key IS NULL OR p.start_key = :start_key) ORDER BY a.depth LIMIT 32",
    ),
    (
        "sockets",
        "SELECT s.fd, s.protocol, s.family, s.local_address, s.local_port, s.remote_address, s.remote_port, s.state \
         FROM process_open_sockets s JOIN processes p USING (pid) \
         WHERE s.pid = :pid AND (:start_key IS NULL OR p.start_key = :start_key) LIMIT 50",
    ),
    // The image through the process: it is readable also when its file is gone or was replaced.
    ("image", "SELECT sha256, blake3 FROM hash WHERE path = '/proc/' || :pid || '/exe'"),
];

/// Of a finding that names a file and no process.
const OF_FILE: &[(&str, &str)] = &[
    ("file", "SELECT path, uid, gid, mode, size, mtime, ctime, inode FROM file WHERE path = :path"),
    ("hash", "SELECT path, sha256, blake3 FROM hash WHERE path = :path"),
];

/// Gathers what is known about a finding now. What a failure hid is told in the section
/// `missing`.
pub(crate) fn gather(engine: &mut Engine, row: &NamedRow) -> Evidence {
    let of_row = |name: &str| {
        let found = row.iter().find(|(column, _)| column.eq_ignore_ascii_case(name));
        found.map_or(Value::Null, |(_, value)| value.clone())
    };
    let (pid, start_key, path) = (of_row("pid"), of_row("start_key"), of_row("path"));
    let mut evidence = Evidence::default();
    let mut missing: Vec<NamedRow> = Vec::new();
    let questions = match (&pid, &path) {
        (Value::Int(pid), _) if *pid > 0 => OF_PROCESS,
        (_, Value::Text(path)) if path.first() == Some(&b'/') => OF_FILE,
        _ => &[],
    };
    for (section, sql) in questions {
        let known = [("pid", &pid), ("start_key", &start_key), ("path", &path)];
        let params = known.into_iter().filter(|(name, _)| sql.contains(&format!(":{name}")));
        let params = params.map(|(name, value)| (name.to_owned(), value.clone())).collect();
        let options = Options { params, limits: Some(LIMITS), ..Options::default() };
        match engine.query(sql, &options) {
            Ok(answer) => {
                let names: Vec<Arc<str>> =
                    answer.columns.into_iter().map(|column| column.name.into()).collect();
                let rows: Vec<NamedRow> =
                    answer.rows.into_iter().map(|row| names.iter().cloned().zip(row).collect()).collect();
                if !rows.is_empty() {
                    evidence.sections.push(((*section).to_owned(), rows));
                }
            }
            Err(error) => {
                tracing::debug!(section, error = error.message, "evidence is not there");
                missing.push(vec![
                    ("section".into(), Value::Text(section.as_bytes().to_vec().into())),
                    ("why".into(), Value::Text(error.message.into_bytes().into())),
                ]);
            }
        }
    }
    if !missing.is_empty() {
        evidence.sections.push(("missing".to_owned(), missing));
    }
    // The image is that of whoever has the pid now: without the process beside it, it proves nothing.
    if !evidence.sections.iter().any(|(name, _)| name == "process") {
        evidence.sections.retain(|(name, _)| name != "image");
    }
    evidence
}
