//! Words of a shell line, and what each says about the next.

use std::ops::Range;

use super::Cuts;
use super::names::Secrecy;
use super::pairs::{self, Reach};
use super::programs::{Part, Programs, Says};

/// Texts within texts that are looked into: `sh -c "ssh host 'mysql -pX'"`.
const NESTING_MAX: usize = 4;
/// What follows a bare `Bearer` is a token from this length on, in bytes.
const BEARER_BYTES_MIN: usize = 16;

/// What the words of one command said so far.
#[derive(Default)]
pub(super) struct Command {
    programs: Programs,
    /// What the next word is.
    pending: Option<Part>,
    /// The last word was an option like `-c`, after which a script comes.
    script_follows: bool,
}

/// Cuts the secrets of arguments that end in NUL each.
pub(super) fn cut_arguments(text: &[u8], cuts: &mut Cuts) {
    let mut command = Command::default();
    let mut start = 0;
    for argument in text.split(|b| *b == 0) {
        let range = start..start + argument.len();
        start = range.end + 1;
        let reach = if command.script_follows { Reach::Blank } else { Reach::Text };
        if command.word(text, range.clone(), cuts) {
            pairs::cut(text, range.clone(), reach, cuts);
            if argument.iter().any(u8::is_ascii_whitespace) {
                cut_line(text, range, 1, cuts);
            }
        }
    }
}

/// Cuts the secrets of a shell line in `text[range]`.
pub(super) fn cut_line(text: &[u8], range: Range<usize>, depth: usize, cuts: &mut Cuts) {
    let mut command = Command::default();
    let mut words = Words { text, range };
    while let Some(word) = words.next_word() {
        let bare = bare(text, word.clone());
        let reach = if command.script_follows { Reach::Blank } else { Reach::Text };
        if command.word(text, bare.clone(), cuts) {
            pairs::cut(text, bare.clone(), reach, cuts);
            if depth < NESTING_MAX {
                cut_quoted(text, word.clone(), depth, cuts);
            }
        }
        // `;`, `|`, `&` and a new line begin another command.
        if text[bare.end..word.end].iter().any(|b| matches!(b, b';' | b'|' | b'&'))
            || matches!(text.get(word.end), Some(b'\n'))
        {
            command = Command::default();
        }
    }
}

/// Looks into those quotes of a word that hold more than one word.
fn cut_quoted(text: &[u8], word: Range<usize>, depth: usize, cuts: &mut Cuts) {
    let mut at = word.start;
    while at < word.end {
        match closing(&text[..word.end], at) {
            Some(close) => {
                if text[at + 1..close].iter().any(u8::is_ascii_whitespace) {
                    pairs::cut(text, at + 1..close, Reach::Blank, cuts);
                    cut_line(text, at + 1..close, depth + 1, cuts);
                }
                at = close + 1;
            }
            None => at += if text[at] == b'\\' { 2 } else { 1 },
        }
    }
}

impl Command {
    /// Takes a word; false when it was a secret and is cut.
    fn word(&mut self, text: &[u8], range: Range<usize>, cuts: &mut Cuts) -> bool {
        let word = &text[range.clone()];
        self.script_follows = false;
        if let Some(part) = self.pending.take()
            && !is_option(word)
        {
            if part == Part::Header && pairs::is_scheme(word) {
                self.pending = Some(part);
                return true;
            }
            return !cut_part(text, range, part, cuts);
        }
        match self.programs.says(word) {
            Says::Next(part) => self.pending = Some(part),
            Says::From(at, part) => {
                return !cut_part(text, range.start + at..range.end, part, cuts);
            }
            Says::Nothing if word.starts_with(b"-") => self.option(word),
            Says::Nothing => {
                self.programs.meet(word.trim_ascii_start());
                self.pending = if word.eq_ignore_ascii_case(b"bearer") {
                    Some(Part::FromLength(BEARER_BYTES_MIN))
                } else {
                    header(word)
                };
            }
        }
        true
    }

    fn option(&mut self, word: &[u8]) {
        let dashes = word.iter().take_while(|b| **b == b'-').count();
        let name = &word[dashes..];
        self.script_follows = dashes == 1 && name.len() < 4 && name.ends_with(b"c");
        if !name.iter().any(|b| matches!(b, b'=' | b':') || b.is_ascii_whitespace()) {
            let secrecy = Secrecy::of(name);
            self.pending = (secrecy != Secrecy::Open).then_some(Part::Whole(secrecy));
        }
    }
}

/// What follows a word like `Password:`.
fn header(word: &[u8]) -> Option<Part> {
    let name = word.strip_suffix(b":")?;
    (Secrecy::of(name.trim_ascii_start()) == Secrecy::Secret).then_some(Part::Header)
}

/// Whether a word can only be the next option: the one before had no value.
fn is_option(word: &[u8]) -> bool {
    match word {
        [b'-', b'-', letter, ..] => letter.is_ascii_alphabetic(),
        [b'-', letter] => letter.is_ascii_alphabetic(),
        _ => false,
    }
}

/// Cuts what of a value is secret; false when nothing is.
fn cut_part(text: &[u8], range: Range<usize>, part: Part, cuts: &mut Cuts) -> bool {
    let value = &text[range.clone()];
    let after = |byte| value.iter().position(|b| *b == byte).map(|at| range.start + at + 1..range.end);
    let cut = match part {
        Part::Whole(secrecy) => secrecy.hides(value).then_some(range),
        Part::After(byte) => after(byte),
        Part::AfterOrWhole(byte) => after(byte).or(Some(range)),
        Part::Header => Some(range),
        Part::Pairs => value.contains(&b'=').then_some(range),
        Part::FromLength(bytes) => (value.len() >= bytes).then_some(range),
    };
    let is_secret = cut.as_ref().is_some_and(|cut| !cut.is_empty());
    cuts.extend(cut);
    is_secret
}

/// A word without what ends a command, and without quotes all around it.
fn bare(text: &[u8], word: Range<usize>) -> Range<usize> {
    let end = text[word.clone()].iter().rposition(|b| !matches!(b, b';' | b'|' | b'&' | b')'));
    let word = word.start..end.map_or(word.start, |last| word.start + last + 1);
    match closing(&text[..word.end], word.start) {
        Some(close) if close + 1 == word.end => word.start + 1..close,
        _ => word,
    }
}

/// Where the quote that opens here closes; `None` when there is none or it never does.
fn closing(text: &[u8], open: usize) -> Option<usize> {
    let quote = *text.get(open).filter(|b| matches!(b, b'"' | b'\''))?;
    let mut at = open + 1;
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' if quote == b'"' => at += 1,
            byte if *byte == quote => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

/// The words of a line: between blanks that are not in quotes.
struct Words<'t> {
    text: &'t [u8],
    range: Range<usize>,
}

impl Words<'_> {
    fn next_word(&mut self) -> Option<Range<usize>> {
        let text = &self.text[..self.range.end];
        let mut start = self.range.start;
        while text.get(start)?.is_ascii_whitespace() {
            start += 1;
        }
        let mut end = start;
        while let Some(byte) = text.get(end) {
            match byte {
                byte if byte.is_ascii_whitespace() => break,
                b'\\' => end += 1,
                b'"' | b'\'' => end = closing(text, end).unwrap_or(end),
                _ => {}
            }
            end += 1;
        }
        let end = end.min(text.len());
        self.range.start = end;
        Some(start..end)
    }
}
