//! Rows kept until their widths are known, for the formats that align columns.

use model::Value;
use unicode_width::UnicodeWidthChar;

use super::push_text;
use crate::clean;

/// Rows that are kept before they are printed with the widths seen so far.
const ROWS_MAX: usize = 10_000;
/// Bytes of their text.
const BYTES_MAX: usize = 8 << 20;
/// The narrowest that a column becomes to fit a screen.
const WIDTH_MIN: usize = 12;

/// How a cell is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    Null,
    /// Stands at the right.
    Number,
    Text,
}

/// Rows as harmless text in one run of memory.
pub(super) struct Grid {
    columns: usize,
    text: String,
    cells: Vec<(usize, Cell)>,
    /// The widest cell of each column, of those that were taken too.
    widths: Vec<usize>,
}

impl Grid {
    /// No rows yet, under these headings.
    pub(super) fn new(headings: &[String]) -> Grid {
        let widths = headings.iter().map(|name| clean::width(name)).collect();
        Grid { columns: headings.len(), text: String::new(), cells: Vec::new(), widths }
    }

    /// Adds a row; `escape` changes its text further.
    pub(super) fn push(&mut self, values: &[Value<'_>], escape: impl Fn(&mut String, usize)) {
        for (value, widest) in values.iter().zip(&mut self.widths) {
            let start = self.text.len();
            push_text(value, &mut self.text);
            escape(&mut self.text, start);
            let cell = match value {
                Value::Null => Cell::Null,
                Value::Int(_) | Value::Real(_) => Cell::Number,
                Value::Text(_) | Value::Blob(_) => Cell::Text,
            };
            self.cells.push((self.text.len(), cell));
            *widest = (*widest).max(clean::width(&self.text[start..]));
        }
    }

    /// Whether no row is kept.
    pub(super) fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Whether it is time to print.
    pub(super) fn is_full(&self) -> bool {
        self.text.len() >= BYTES_MAX || self.cells.len() >= ROWS_MAX * self.columns.max(1)
    }

    /// The widest text of each column so far.
    pub(super) fn widths(&self) -> &[usize] {
        &self.widths
    }

    /// The rows.
    pub(super) fn rows(&self) -> impl Iterator<Item = Vec<(&str, Cell)>> {
        let mut start = 0;
        self.cells.chunks(self.columns.max(1)).map(move |row| {
            let cell = |(end, cell): &(usize, Cell)| {
                let text = &self.text[start..*end];
                start = *end;
                (text, *cell)
            };
            row.iter().map(cell).collect()
        })
    }

    /// Forgets the rows and keeps the widths.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.cells.clear();
    }
}

/// Widths that fit a screen: the widest columns give way first, none below [`WIDTH_MIN`]. `frame` is what the
/// lines between the columns take.
pub(super) fn fitted(widths: &[usize], frame: usize, screen: usize) -> Vec<usize> {
    let room = screen.saturating_sub(frame);
    let taken = |cap: usize| widths.iter().map(|w| (*w).min(cap)).sum::<usize>();
    let widest = widths.iter().copied().max().unwrap_or(0);
    if taken(widest) <= room {
        return widths.to_vec();
    }
    let cap = (WIDTH_MIN..widest).rev().find(|cap| taken(*cap) <= room).unwrap_or(WIDTH_MIN);
    widths.iter().map(|w| (*w).min(cap)).collect()
}

/// Where the first character stands that a width has no room for.
fn first_past(text: &str, width: usize) -> Option<usize> {
    let mut used = 0;
    let past = |(_, c): &(usize, char)| {
        used += c.width().unwrap_or(0);
        used > width
    };
    text.char_indices().find(past).map(|(at, _)| at)
}

/// A text cut into lines of at most `width`, after a space where one is near the end.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    // Only what fits on a line is looked at for it, so that a long text takes time in its length, not the square.
    while let Some(hard) = first_past(rest, width) {
        // At least one character per line, or a screen that is too narrow would never be done.
        let hard = hard.max(rest.chars().next().map_or(1, char::len_utf8));
        if let Some(next) = rest[hard..].strip_prefix(' ') {
            lines.push(&rest[..hard]);
            rest = next;
            continue;
        }
        let soft = rest[..hard].rfind(' ').map(|at| at + 1).filter(|at| *at >= hard / 2);
        let (line, next) = rest.split_at(soft.unwrap_or(hard));
        lines.push(line.trim_end_matches(' '));
        rest = next;
    }
    if lines.is_empty() || !rest.is_empty() {
        lines.push(rest);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widest_columns_give_way_to_the_screen() {
        assert_eq!(fitted(&[5, 10, 20], 10, 80), [5, 10, 20]);
        assert_eq!(fitted(&[5, 100, 60], 10, 80), [5, 32, 32]);
        assert_eq!(fitted(&[50, 50, 50], 10, 20), [12, 12, 12]);
    }

    #[test]
    fn text_is_cut_at_a_space_near_the_end_or_hard() {
        assert_eq!(wrapped("the quick brown fox", 10), ["the quick", "brown fox"]);
        assert_eq!(wrapped("the quick brown", 9), ["the quick", "brown"]);
        assert_eq!(wrapped("/usr/lib/systemd", 6), ["/usr/l", "ib/sys", "temd"]);
        assert_eq!(wrapped("日本語", 4), ["日本", "語"]);
        assert_eq!(wrapped("日本", 1), ["日", "本"]);
        assert_eq!(wrapped("", 5), [""]);
    }
}
