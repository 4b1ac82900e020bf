//! Which paths a query asks for, for the tables whose `path` or `directory` WHERE must give.
//!
//! As in osquery: `path =` looks one path up, `path LIKE` treats the text as a file pattern (`%` stays
//! within one name, `%%` goes all the way down), `directory` lists what is in a directory. Names that begin
//! with a dot match too.

mod pattern;
mod walk;

use collector::Host;
use model::{Op, Query, Run, ScanError};

use pattern::{Step, Token};
pub(crate) use walk::{Found, Walk};

/// The paths that a query asks for by `path` or `directory`. More than SQLite wants, never fewer.
///
/// When both are given one of them is enough, since SQLite tests the other: a path first, then a directory,
/// then the pattern with the longest fixed beginning.
pub(crate) fn asked(host: &Host, query: &Query, table: &'static str) -> Result<Walk, ScanError> {
    let mut walk = Walk::new(host, &query.run, table);
    if let Some(paths) = query.texts("path") {
        for path in paths.into_iter().rev().filter(|path| usable(&query.run, table, path)) {
            walk.start(path, Vec::new())?;
        }
        return Ok(walk);
    }
    if let Some(directories) = query.texts("directory") {
        for directory in directories.into_iter().rev().filter(|path| usable(&query.run, table, path)) {
            walk.start(directory, vec![Step::Entries])?;
        }
        return Ok(walk);
    }
    let (paths, mut directories) = (patterns(query, "path"), patterns(query, "directory"));
    let given = |column| query.on(column, Op::Like).chain(query.on(column, Op::Glob)).next().is_some();
    if !given("path") && !given("directory") {
        let message = format!("{table} needs WHERE path or WHERE directory, with =, IN, LIKE or GLOB");
        return Err(ScanError::Failed(message));
    }
    for steps in directories.iter_mut().flatten() {
        if !matches!(steps.last(), Some(Step::Below(_))) {
            steps.push(Step::Entries);
        }
    }
    let unusable = !(paths.is_empty() && directories.is_empty());
    let longest = |patterns: Vec<Option<Vec<Step>>>| {
        patterns.into_iter().flatten().max_by_key(|steps| pattern::fixed_bytes(steps))
    };
    match longest(paths).or_else(|| longest(directories)) {
        Some(steps) => walk.start(b"", steps)?,
        None if unusable => query.run.note(table, "path", "not an absolute path"),
        // `LIKE NULL` matches nothing.
        None => {}
    }
    Ok(walk)
}

/// Everything below a directory, links not followed.
pub(crate) fn below(
    host: &Host,
    query: &Query,
    table: &'static str,
    directory: &[u8],
) -> Result<Walk, ScanError> {
    let mut walk = Walk::new(host, &query.run, table);
    walk.start(directory, vec![Step::Below(vec![Token::Run])])?;
    Ok(walk)
}

fn patterns(query: &Query, column: &str) -> Vec<Option<Vec<Step>>> {
    let like = query.likes(column).into_iter().map(pattern::like);
    let globs = query.on(column, Op::Glob).flat_map(|c| c.values.iter().filter_map(|v| v.as_text()));
    like.chain(globs.map(pattern::glob)).collect()
}

/// Whether a path can be looked up. An empty one is no mistake: `processes.path` of a kernel thread is one.
pub(crate) fn usable(run: &Run, table: &'static str, path: &[u8]) -> bool {
    if path.contains(&0) || path.is_empty() {
        return false;
    }
    if path[0] != b'/' {
        run.note(table, "path", "not an absolute path");
    }
    path[0] == b'/'
}
