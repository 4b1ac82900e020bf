//! The interactive shell: lines edited, coloured and completed, until Ctrl-D.

mod complete;
mod editor;
mod highlight;
mod history;
pub(crate) mod pager;
mod words;

use std::sync::Arc;

use anyhow::Context;
use model::TableSchema;
use rustyline::error::ReadlineError;

use crate::exit::Exit;
use crate::session::{Flow, Session};
use crate::{say, script};

/// Before the first line of a statement.
const PROMPT: &str = "daemoneye> ";
/// Before its other lines.
const CONTINUED: &str = "      ...> ";

/// Reads and runs until the person leaves. No error of a statement ends it.
pub(crate) fn run(mut session: Session) -> anyhow::Result<Exit> {
    let history = history::path();
    let mut editor = editor::open(session.engine.catalog().clone(), history.as_deref())
        .context("the terminal could not be set up")?;
    say::remark(&greeting(&session));
    let mut waiting = String::new();
    loop {
        editor::set(&mut editor, session.engine.catalog(), &waiting);
        let line = editor.readline(if waiting.is_empty() { PROMPT } else { CONTINUED });
        match line {
            Ok(line) => waiting.push_str(&line),
            Err(ReadlineError::Interrupted) => {
                waiting.clear();
                continue;
            }
            Err(ReadlineError::Eof) => break,
            Err(ReadlineError::Signal(_)) => continue,
            Err(error) => return Err(error).context("the terminal could not be read"),
        }
        let entry = waiting.clone();
        waiting.push('\n');
        let pieces = script::take_complete(&mut waiting);
        if script::is_blank(&waiting) {
            waiting.clear();
        }
        if !pieces.is_empty() {
            // What waits on is remembered with the rest of its statement.
            history::add(
                &mut editor,
                history.as_deref(),
                entry.strip_suffix(waiting.trim_end()).unwrap_or(&entry),
            );
        }
        if pieces.iter().any(|piece| session.piece(piece) == Ok(Flow::Quit)) {
            break;
        }
    }
    Ok(Exit::Done)
}

fn greeting(session: &Session) -> String {
    let tables = session.engine.catalog().iter().count();
    let of_collector = |table: &&Arc<TableSchema>| session.engine.route(&table.name) == Some("collector");
    let remote = session.engine.catalog().iter().filter(of_collector).count();
    format!(
        "DaemonEye {}: {tables} tables{}. End a statement with `;`. .help lists the commands, .tables the tables.",
        env!("CARGO_PKG_VERSION"),
        if remote == 0 { String::new() } else { format!(", {remote} of them from a collector") },
    )
}
