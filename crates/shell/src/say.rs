//! What a person is told on standard error: errors with their place in the SQL, warnings, notes.

use std::io::{self, Write};
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use detection::RuleFault;
use model::Note;
use vtables::{ErrorKind, SqlError, Warning};

use crate::{clean, paint};

/// Notes that are shown after a result.
const NOTES_SHOWN: usize = 3;
/// Columns of the screen when there is none.
const WIDTH: usize = 120;

/// Writes a text to standard error. That nobody listens there is no reason to fail.
fn write(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// A faint line.
pub(crate) fn remark(text: &str) {
    write(&paint::styled_if(paint::stderr_colours(), paint::FAINT, &clean::line(text)));
}

/// An error that has no place in any SQL.
pub(crate) fn error(message: &str) {
    let colours = paint::stderr_colours();
    write(&format!("{}: {}", paint::styled_if(colours, paint::ERROR, "error"), clean::lines(message)));
}

/// An error of a statement, unless it is one that nobody needs to hear of.
pub(crate) fn sql_error(sql: &str, error: &SqlError) {
    if error.kind != ErrorKind::Output(io::ErrorKind::BrokenPipe) {
        write(&shown(Level::ERROR, sql, &error.message, error.place.clone(), error.help.as_deref(), look()));
    }
}

/// Warnings about a statement.
pub(crate) fn warnings(sql: &str, warnings: &[Warning]) {
    for Warning { message, place, help } in warnings {
        write(&shown(Level::WARNING, sql, message, place.clone(), help.as_deref(), look()));
    }
}

/// What is wrong with a rule file, with its line. `refused` tells an error from a warning.
pub(crate) fn rule_fault(fault: &RuleFault, refused: bool) {
    let level = if refused { Level::ERROR } else { Level::WARNING };
    write(&shown_fault(fault, level, look()));
}

/// What could not be read, in at most a few lines.
pub(crate) fn notes(notes: &[Note]) {
    for line in note_lines(notes, NOTES_SHOWN) {
        remark(&format!("note: {line}"));
    }
}

/// Notes as text, the most frequent first.
pub(crate) fn note_lines(notes: &[Note], most: usize) -> Vec<String> {
    let mut notes: Vec<&Note> = notes.iter().collect();
    notes.sort_by_key(|note| std::cmp::Reverse(note.count));
    let line = |note: &&Note| {
        let (what, of) = match &*note.column {
            "" => ("row", note.table.clone()),
            column => ("value", format!("{}.{column}", note.table)),
        };
        let plural = if note.count == 1 { "" } else { "s" };
        clean::line(&format!("{} {what}{plural} of {of} could not be read ({})", note.count, note.reason))
            .into_owned()
    };
    let mut lines: Vec<String> = notes.iter().take(most).map(line).collect();
    if notes.len() > most {
        lines.push(format!("… and {} more; explain shows them all", notes.len() - most));
    }
    lines
}

fn look() -> Renderer {
    let renderer = if paint::stderr_colours() { Renderer::styled() } else { Renderer::plain() };
    let width = paint::screen().map_or(WIDTH, |(width, _)| width);
    renderer.decor_style(DecorStyle::Ascii).term_width(width)
}

fn shown(
    level: Level<'_>,
    sql: &str,
    message: &str,
    place: Option<Range<usize>>,
    help: Option<&str>,
    renderer: Renderer,
) -> String {
    let (sql, place) = clean::source(sql, place);
    let (message, help) = (clean::line(message), help.map(clean::line));
    let title = level.primary_title(&*message);
    let Some(place) = place else {
        let help = help.iter().map(|help| Group::with_title(Level::HELP.secondary_title(&**help)));
        let groups = std::iter::once(Group::with_title(title)).chain(help);
        return groups.map(|group| renderer.render(&[group])).collect::<Vec<_>>().join("\n");
    };
    let mut group = title.element(Snippet::source(&*sql).annotation(AnnotationKind::Primary.span(place)));
    if let Some(help) = &help {
        group = group.element(Level::HELP.message(&**help));
    }
    renderer.render(&[group])
}

fn shown_fault(fault: &RuleFault, level: Level<'_>, renderer: Renderer) -> String {
    let message = clean::line(&fault.message);
    let title = level.primary_title(&*message);
    let path = clean::line(&fault.path.display().to_string()).into_owned();
    let start = fault.column.saturating_sub(1);
    let source = fault.source.clone().unwrap_or_default();
    let byte = |column: usize| source.char_indices().nth(column).map_or(source.len(), |(at, _)| at);
    let (source, place) = clean::source(&source, Some(byte(start)..byte(start + fault.width.max(1))));
    let snippet = Snippet::source(&*source).line_start(fault.line).path(&*path);
    let mut group = title.element(snippet.annotation(AnnotationKind::Primary.span(place.unwrap_or(0..0))));
    let detail: Vec<_> = fault.detail.iter().map(|line| clean::line(line).into_owned()).collect();
    for line in &detail {
        group = group.element(Level::NOTE.message(line));
    }
    let help = fault.help.as_deref().map(clean::line);
    if let Some(help) = &help {
        group = group.element(Level::HELP.message(&**help));
    }
    renderer.render(&[group])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(sql: &str, message: &str, place: Option<Range<usize>>, help: Option<&str>) -> String {
        shown(Level::ERROR, sql, message, place, help, Renderer::plain().decor_style(DecorStyle::Ascii))
    }

    #[test]
    fn an_error_points_at_its_place() {
        let sql = "SELECT pid\nFROM proceses\nWHERE pid = 1";
        let text =
            plain(sql, "there is no table `proceses`", Some(16..24), Some("did you mean `processes`?"));
        insta::assert_snapshot!(text, @r#"
        error: there is no table `proceses`
          |
        2 | FROM proceses
          |      ^^^^^^^^
          |
          = help: did you mean `processes`?
        "#);
    }

    #[test]
    fn an_error_without_a_place_still_helps() {
        insta::assert_snapshot!(plain("SELECT 1", "the query ran past its deadline", None, Some("allow more")), @r#"
        error: the query ran past its deadline
        help: allow more
        "#);
    }

    #[test]
    fn hostile_sql_and_messages_are_harmless() {
        let sql = "SELECT '\x1b[2J\u{202e}', nmae";
        let at = sql.find("nmae").unwrap();
        let text = plain(sql, "there is no column `\x1b[31m`", Some(at..at + 4), None);
        assert!(!text.contains(['\x1b', '\u{202e}']), "{text:?}");
        insta::assert_snapshot!(text, @r#"
        error: there is no column `\x1b[31m`
          |
        1 | SELECT '\x1b[2J\u{202e}', nmae
          |                           ^^^^
        "#);
    }

    #[test]
    fn notes_are_few_and_the_frequent_come_first() {
        let note = |column: &str, count| Note {
            table: "processes".into(),
            column: column.into(),
            reason: "permission denied".into(),
            count,
        };
        let notes = [note("cwd", 1), note("", 12), note("path", 3)];
        assert_eq!(
            note_lines(&notes, 2),
            [
                "12 rows of processes could not be read (permission denied)",
                "3 values of processes.path could not be read (permission denied)",
                "… and 1 more; explain shows them all",
            ]
        );
    }
}
