//! Colours, and whether there are any: NO_COLOR, CLICOLOR, TERM=dumb and redirection are anstream's to judge.

use std::io::{self, IsTerminal};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};

/// Headings and names.
pub(crate) const HEADING: Style = Style::new().bold();
/// What is there but matters less: frames, NULL, notes.
pub(crate) const FAINT: Style = Style::new().dimmed();
/// `error`.
pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();
/// Keywords of SQL and dot commands.
pub(crate) const KEYWORD: Style = AnsiColor::Blue.on_default().bold();
/// Strings.
pub(crate) const TEXT: Style = AnsiColor::Green.on_default();
/// Numbers and parameters.
pub(crate) const NUMBER: Style = AnsiColor::Cyan.on_default();
/// Functions.
pub(crate) const FUNCTION: Style = AnsiColor::Yellow.on_default();
/// Tables that exist.
pub(crate) const TABLE: Style = AnsiColor::Magenta.on_default();

/// A text in a style.
pub(crate) fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// A text in a style, if there are colours.
pub(crate) fn styled_if(colours: bool, style: Style, text: &str) -> String {
    if colours { styled(style, text) } else { text.to_owned() }
}

/// Whether standard output takes colours.
pub(crate) fn stdout_colours() -> bool {
    AutoStream::choice(&io::stdout()) != ColorChoice::Never
}

/// Whether standard error takes colours.
pub(crate) fn stderr_colours() -> bool {
    AutoStream::choice(&io::stderr()) != ColorChoice::Never
}

/// Columns and rows of the terminal on standard output, if it is one.
pub(crate) fn screen() -> Option<(usize, usize)> {
    let (width, height) = terminal_size::terminal_size_of(io::stdout())?;
    (io::stdout().is_terminal() && width.0 > 0).then(|| (usize::from(width.0), usize::from(height.0)))
}

/// Whether the terminal says that it can do nothing but print.
pub(crate) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}
