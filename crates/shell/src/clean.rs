//! Data made harmless for a terminal, and how wide it is there.

pub(crate) use model::clean::*;
use unicode_width::UnicodeWidthStr;

/// The columns of a screen that a harmless text takes.
pub(crate) fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { UnicodeWidthStr::width(text) }
}
