//! The line editor, with our completion and colours.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::config::{BellStyle, ColorMode, CompletionType, Config};
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};
use vtables::Catalog;

use super::complete::{self, Wanted};
use super::{highlight, history};
use crate::paint;

/// A line editor of ours.
pub(super) type Editor = rustyline::Editor<Sql, FileHistory>;

/// What helps with a line of SQL.
pub(super) struct Sql {
    catalog: Arc<Catalog>,
    files: FilenameCompleter,
    colours: bool,
    /// The lines of the statement above this one.
    waiting: String,
}

/// An editor with the history of that file.
pub(super) fn open(catalog: Arc<Catalog>, history: Option<&Path>) -> rustyline::Result<Editor> {
    let colours = paint::stdout_colours();
    let config = Config::builder()
        .max_history_size(history::ENTRIES_MAX)?
        .history_ignore_space(true)
        .completion_type(CompletionType::List)
        .completion_show_all_if_ambiguous(true)
        .bell_style(BellStyle::None)
        .color_mode(if colours { ColorMode::Enabled } else { ColorMode::Disabled })
        .build();
    let mut editor = Editor::with_config(config)?;
    if let Some(history) = history {
        // There is none at first.
        let _ = editor.load_history(history);
    }
    let files = FilenameCompleter::new();
    editor.set_helper(Some(Sql { catalog, files, colours, waiting: String::new() }));
    Ok(editor)
}

/// Tells the tables that there are now, and the lines of the statement that stand above the next line.
pub(super) fn set(editor: &mut Editor, catalog: &Arc<Catalog>, waiting: &str) {
    if let Some(helper) = editor.helper_mut() {
        helper.catalog = catalog.clone();
        waiting.clone_into(&mut helper.waiting);
    }
}

impl Helper for Sql {}
impl Validator for Sql {}

impl Hinter for Sql {
    type Hint = String;
}

impl Completer for Sql {
    type Candidate = Pair;

    fn complete(&self, line: &str, cursor: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let above = self.waiting.len();
        let text = format!("{}{line}", self.waiting);
        match complete::wanted(&text, above + cursor, &self.catalog) {
            Wanted::File => self.files.complete_path(line, cursor),
            Wanted::Words { start, words } => {
                let pair = |word: complete::Word| Pair { display: word.shown, replacement: word.text };
                Ok((start.saturating_sub(above), words.into_iter().map(pair).collect()))
            }
        }
    }
}

impl Highlighter for Sql {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        match self.colours {
            true => Cow::Owned(highlight::coloured(&self.waiting, line, &self.catalog)),
            false => Cow::Borrowed(line),
        }
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        Cow::Owned(paint::styled_if(self.colours, paint::HEADING, prompt))
    }

    fn highlight_char(&self, _: &str, _: usize, _: CmdKind) -> bool {
        self.colours
    }
}
