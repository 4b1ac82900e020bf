//! Process history: all processes, looked at again and again.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use store::StoreError;
use store::history::{CollectionFacts, HISTORY_FILE, History, Limits, Observed};
use vtables::{Engine, Options};

use crate::clock;
use crate::health::Health;

/// How often to look, and how much of the past to keep.
pub(crate) struct Observing {
    pub(crate) every: Duration,
    pub(crate) keep: Limits,
}

/// Lives and runs that one look lets go of.
const RETAIN_SLICE: usize = 500;
/// How often the thread looks whether it shall end.
const TICK: Duration = Duration::from_millis(200);

/// Opens the history. A damaged file is renamed, and an empty one made: it is no record that anybody has to trust.
fn open(directory: &Path) -> Result<(History, Option<PathBuf>), StoreError> {
    let caught = std::panic::catch_unwind(|| History::open(directory));
    match caught {
        Ok(Ok(history)) => return Ok((history, None)),
        Ok(Err(error)) if !matches!(error, StoreError::Damaged { .. }) => return Err(error),
        // A damaged page may make redb panic.
        Ok(Err(_)) | Err(_) => {}
    }
    let path = directory.join(HISTORY_FILE);
    let aside = path.with_extension(format!("redb.damaged-{}", clock::now_ms()));
    #[allow(clippy::disallowed_methods, reason = "the agent's own file is no part of what is watched")]
    let renamed = std::fs::rename(&path, &aside);
    renamed.map_err(|error| StoreError::Io { path, error })?;
    History::open(directory).map(|history| (history, Some(aside)))
}

/// Makes the file, so that readers find it.
pub(crate) fn prepare(directory: &Path, health: &Health) -> Option<History> {
    match open(directory) {
        Ok((history, aside)) => {
            if let Some(aside) = aside {
                let aside = aside.display().to_string();
                tracing::error!(
                    aside,
                    "the history file was damaged: it was set aside, and an empty one made"
                );
            }
            Some(history)
        }
        Err(error) => {
            health.set("history", false, error.to_string());
            None
        }
    }
}

/// Between two looks for disk space to give back.
const COMPACT_EVERY: Duration = Duration::from_secs(3600);

/// Looks at all processes until the agent ends.
pub(crate) fn observe(
    directory: &Path,
    mut history: Option<History>,
    engine: &mut Engine,
    health: &Health,
    ends: &AtomicBool,
    observing: &Observing,
) {
    let columns: Vec<&str> = Observed::columns().collect();
    let sql = format!("SELECT {} FROM processes", columns.join(", "));
    let (mut next, mut compact) = (Instant::now(), Instant::now());
    while !ends.load(Ordering::Acquire) {
        if Instant::now() < next {
            std::thread::sleep(TICK);
            continue;
        }
        // After a suspend there is one look, and not one for each that was missed.
        next = Instant::now() + observing.every;
        if history.is_none() {
            history = prepare(directory, health);
        }
        let Some(writer) = &mut history else { continue };
        if Instant::now() >= compact {
            compact = Instant::now() + COMPACT_EVERY;
            match writer.compact_if_sparse() {
                Ok(true) => tracing::info!("the history gave back disk space that it no longer needs"),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "the history keeps disk space that it does not need"),
            }
        }
        match look(writer, engine, &sql, &observing.keep) {
            Ok(said) => health.set("history", true, said),
            Err(why) => {
                // After a write that failed the file takes no more until it is opened anew.
                history = None;
                health.set("history", false, why);
            }
        }
    }
}

fn look(history: &mut History, engine: &mut Engine, sql: &str, keep: &Limits) -> Result<String, String> {
    let (started, began) = (SystemTime::now(), Instant::now());
    let answer = engine.query(sql, &Options { now: Some(started), ..Options::default() });
    let answer = answer.map_err(|error| error.message)?;
    let seen: Vec<Observed> = answer.rows.iter().filter_map(|row| Observed::of_row(row)).collect();
    let run = CollectionFacts {
        time_ms: clock::ms(started),
        elapsed_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        complete: true,
        lost: (answer.rows.len() - seen.len()) as u64,
    };
    let observed = history.observe_run(run, &seen).map_err(|error| error.to_string())?;
    history.retain(keep, run.time_ms, RETAIN_SLICE).map_err(|error| error.to_string())?;
    Ok(format!("{} processes in {} ms", observed.processes, run.elapsed_ms))
}
