//! Names with their values inside of one word: `--token=x`, `/p:x`, `{"password": "x"}`, `a=b;pwd=x`, headers.

use std::ops::Range;

use super::Cuts;
use super::names::{NAME_BYTES_MAX, Secrecy};

/// Words before the secret of an `Authorization` header.
const SCHEMES: [&[u8]; 6] = [b"bearer", b"basic", b"digest", b"token", b"negotiate", b"apikey"];

/// How far a value reaches that has the front of a text to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// To the end of the text: it is one argument.
    Text,
    /// To the next blank: it is a script.
    Blank,
}

/// Cuts the values of secret names in `text[range]`.
pub(super) fn cut(text: &[u8], range: Range<usize>, reach: Reach, cuts: &mut Cuts) {
    let region = &text[..range.end];
    let mut ends = Ends { region, delimiter: 0, blank: 0 };
    let mut at = range.start;
    // Whether all so far may be the name, as in `--from-literal=password=x`.
    let mut is_front = true;
    while let Some(byte) = region.get(at) {
        if !matches!(byte, b'=' | b':') {
            is_front &= !is_delimiter(*byte);
            at += 1;
            continue;
        }
        let next = region.get(at + 1);
        if *byte == b':' && (next == Some(&b':') || at > range.start && region[at - 1] == b':') {
            at += 1;
            continue;
        }
        let (name, is_quoted) = name_before(region, range.start, at);
        let is_path = *byte == b':' && name.start > range.start + 1 && region[name.start - 1] == b'/';
        let secrecy = if is_path { Secrecy::Open } else { Secrecy::of(&region[name]) };
        if secrecy == Secrecy::Open {
            at += 1;
            continue;
        }
        let blanks_follow = *byte == b'=' || is_quoted || is_front;
        let mut start = at + 1;
        while blanks_follow && region.get(start).is_some_and(|b| matches!(b, b' ' | b'\t')) {
            start += 1;
        }
        let value = ends.value_at(start, is_front.then_some(if *byte == b':' { Reach::Text } else { reach }));
        let value = if *byte == b':' { without_scheme(region, value) } else { value };
        if !secrecy.hides(&region[value.clone()]) {
            at += 1;
            continue;
        }
        at = value.end;
        cuts.push(value);
        is_front = false;
    }
}

fn is_delimiter(byte: u8) -> bool {
    DELIMITERS[usize::from(byte)]
}

/// Every byte of a text is looked up here.
static DELIMITERS: [bool; 256] = {
    let (mut table, list) = ([false; 256], b" \t\n\r\x0c&;,\"'{}()?|");
    let mut n = 0;
    while n < list.len() {
        table[list[n] as usize] = true;
        n += 1;
    }
    table
};

/// The name that ends before a separator, and whether it is in quotes.
fn name_before(region: &[u8], start: usize, separator: usize) -> (Range<usize>, bool) {
    let floor = start.max(separator.saturating_sub(NAME_BYTES_MAX + 4));
    let mut end = separator;
    while end > floor && matches!(region[end - 1], b' ' | b'\t') {
        end -= 1;
    }
    let mut is_quoted = false;
    if end > floor && matches!(region[end - 1], b'"' | b'\'') {
        is_quoted = true;
        end -= 1;
        if end > floor && region[end - 1] == b'\\' {
            end -= 1;
        }
    }
    let is_name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let len = region[floor..end].iter().rev().take_while(|b| is_name(b)).count();
    (end - len..end, is_quoted)
}

/// Where values end. Each end is looked for once, however many values lie before it.
struct Ends<'t> {
    region: &'t [u8],
    delimiter: usize,
    blank: usize,
}

impl Ends<'_> {
    /// The value that begins here: what is in quotes, else up to the end of its part.
    fn value_at(&mut self, start: usize, front: Option<Reach>) -> Range<usize> {
        match &self.region[start..] {
            [b'\\', quote @ (b'"' | b'\''), ..] => self.quoted(start + 2, *quote, true),
            [quote @ (b'"' | b'\''), ..] => self.quoted(start + 1, *quote, false),
            _ => match front {
                Some(Reach::Text) => start..self.region.len(),
                Some(Reach::Blank) => {
                    start..find(self.region, start, &mut self.blank, |b| b.is_ascii_whitespace())
                }
                None => start..find(self.region, start, &mut self.delimiter, is_delimiter),
            },
        }
    }

    fn quoted(&self, start: usize, quote: u8, escaped: bool) -> Range<usize> {
        let mut end = start;
        while let Some(byte) = self.region.get(end) {
            match byte {
                b'\\' if escaped && self.region.get(end + 1) == Some(&quote) => break,
                b'\\' if !escaped && quote == b'"' => end += 1,
                byte if *byte == quote => break,
                _ => {}
            }
            end += 1;
        }
        start..end.min(self.region.len())
    }
}

/// The first place from `start` on that is so, or the end; `known` is the one found last.
fn find(region: &[u8], start: usize, known: &mut usize, is: impl Fn(u8) -> bool) -> usize {
    if *known < start {
        let len = region[start..].iter().position(|b| is(*b));
        *known = len.map_or(region.len(), |len| start + len);
    }
    *known
}

/// Leaves the scheme of an `Authorization` header readable.
fn without_scheme(region: &[u8], value: Range<usize>) -> Range<usize> {
    let text = &region[value.clone()];
    let Some(blank) = text.iter().position(|b| *b == b' ') else { return value };
    if is_scheme(&text[..blank]) && blank + 1 < text.len() {
        value.start + blank + 1..value.end
    } else {
        value
    }
}

/// Whether a word is what comes before the secret of an `Authorization` header.
pub(super) fn is_scheme(word: &[u8]) -> bool {
    SCHEMES.iter().any(|scheme| word.eq_ignore_ascii_case(scheme))
}
