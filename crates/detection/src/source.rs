//! The text of a rule file, and where in it something stands.

use std::ops::Range;
use std::path::PathBuf;

use crate::RuleFault;
use crate::yaml::At;

/// A place in a file: line and column in characters, both from 1, and how many characters are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) width: usize,
}

/// A rule file's text.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl Source {
    /// A fault at a place of this file.
    pub(crate) fn fault(&self, place: Place, message: impl Into<String>) -> RuleFault {
        let source = self.text.lines().nth(place.line.saturating_sub(1)).unwrap_or_default();
        // What spans lines is marked to the end of its first.
        let room = source.chars().count().saturating_sub(place.column.saturating_sub(1));
        RuleFault {
            line: place.line,
            column: place.column,
            width: place.width.min(room).max(1),
            source: Some(source.to_owned()),
            ..RuleFault::of_file(&self.path, message)
        }
    }

    /// The place in this file of some bytes of a value that YAML read from it.
    ///
    /// Block scalars, folded ones and plain ones differ from the file in white space alone, so the n-th
    /// character that is not white space is the same in both. A quoted value with escapes differs
    /// otherwise; then this is the value's start.
    pub(crate) fn within(&self, value: &At<String>, bytes: &Range<usize>) -> Place {
        self.find(value, bytes).unwrap_or(Place { width: 1, ..value.place })
    }

    fn find(&self, value: &At<String>, bytes: &Range<usize>) -> Option<Place> {
        let from = self.offset(value.place)?;
        let quoted = self.text[from..].starts_with(['\'', '"']);
        let mut here =
            self.text[from..].char_indices().skip(usize::from(quoted)).filter(|c| !c.1.is_whitespace());
        let mut first = None;
        let mut end = from;
        for (at, c) in value.value.char_indices().filter(|c| !c.1.is_whitespace()) {
            if at >= bytes.end && first.is_some() {
                break;
            }
            let (offset, same) = here.next()?;
            if same != c {
                return None;
            }
            end = from + offset + c.len_utf8();
            if at >= bytes.start && first.is_none() {
                first = Some(from + offset);
            }
        }
        // A place behind the last character is the end of the text.
        let start = first.unwrap_or(end);
        let Place { line, column, .. } = self.place(start);
        Some(Place { line, column, width: self.text[start..end].chars().count().max(1) })
    }

    /// Where a line and column are in the text, in bytes.
    fn offset(&self, place: Place) -> Option<usize> {
        let line = self.text.split_inclusive('\n').nth(place.line.checked_sub(1)?)?;
        let before = line.as_ptr() as usize - self.text.as_ptr() as usize;
        // A byte order mark has no column.
        let mark = if before == 0 && line.starts_with('\u{feff}') { 1 } else { 0 };
        let (in_line, _) = line.char_indices().nth(mark + place.column.checked_sub(1)?)?;
        Some(before + in_line)
    }

    /// The line and column of a byte of the text.
    pub(crate) fn place(&self, offset: usize) -> Place {
        let before = &self.text[..self.text.floor_char_boundary(offset)];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before[line_start..].chars().filter(|c| *c != '\u{feff}').count() + 1;
        Place { line: before.matches('\n').count() + 1, column, width: 1 }
    }
}
