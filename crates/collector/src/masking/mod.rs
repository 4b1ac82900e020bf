//! Masks the secrets of command lines and environments: what other users of the machine, of the history and of
//! a rule's findings are not to see.
//!
//! What is masked: values of options, variables, headers and fields whose names say so (`--password x`,
//! `API_TOKEN=x`, `{"secret": "x"}`), of options of known programs (`mysql -pX`, `curl -u user:X`), passwords in
//! URLs, and tokens of known form. Words of programs, names of options and hosts stay readable. A secret that
//! nothing announces (`login x y`) cannot be told from any other word.

mod names;
mod pairs;
mod programs;
mod shapes;
mod words;

use std::borrow::Cow;
use std::ops::Range;

use names::Secrecy;

/// What stands in place of a secret.
pub const MASK: &str = "[masked]";
/// How often a text is looked at again, since masking one part can make another stand out.
const PASSES_MAX: usize = 6;

type Cuts = Vec<Range<usize>>;

/// Whether secrets are masked where they are collected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Masking {
    /// Every secret that is recognised.
    #[default]
    On,
    /// None: texts are shown as the machine has them.
    Off,
}

/// A text, and whether something in it was masked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Masked {
    /// The text to show.
    pub text: Vec<u8>,
    /// Whether a part of it stands for a secret.
    pub masked: bool,
}

impl Masking {
    /// Arguments of a program, each ended by a NUL, as one text with blanks between them.
    pub fn arguments(self, arguments: Vec<u8>) -> Masked {
        let mut shown = self.over(arguments, mask_arguments);
        shown.text.iter_mut().filter(|b| **b == 0).for_each(|b| *b = b' ');
        shown
    }

    /// A line as a shell takes it.
    pub fn line(self, line: Vec<u8>) -> Masked {
        self.over(line, mask_line)
    }

    /// The value of a variable or field of this name.
    pub fn value(self, name: &[u8], value: Vec<u8>) -> Masked {
        if self == Masking::On && Secrecy::of(name).hides(&value) {
            return Masked { text: MASK.into(), masked: true };
        }
        self.line(value)
    }

    fn over(self, text: Vec<u8>, mask: fn(&[u8]) -> Cow<'_, [u8]>) -> Masked {
        let masked = match self {
            Masking::On => mask(&text),
            Masking::Off => Cow::Borrowed(&*text),
        };
        match masked {
            Cow::Owned(text) => Masked { text, masked: true },
            Cow::Borrowed(_) => Masked { text, masked: false },
        }
    }
}

/// Arguments, each ended by a NUL, without their secrets; borrowed when there are none.
pub fn mask_arguments(arguments: &[u8]) -> Cow<'_, [u8]> {
    settled(arguments, words::cut_arguments)
}

/// A shell line without its secrets; borrowed when there are none.
pub fn mask_line(line: &[u8]) -> Cow<'_, [u8]> {
    settled(line, |text, cuts| words::cut_line(text, 0..text.len(), 0, cuts))
}

/// Masks until nothing changes, so that masking what is masked changes nothing either.
fn settled(text: &[u8], cut: fn(&[u8], &mut Cuts)) -> Cow<'_, [u8]> {
    let mut shown = Cow::Borrowed(text);
    for _ in 0..PASSES_MAX {
        let mut cuts = Cuts::new();
        cut(&shown, &mut cuts);
        shapes::cut(&shown, &mut cuts);
        if cuts.is_empty() {
            return shown;
        }
        let next = without(&shown, cuts);
        if *next == *shown {
            return Cow::Owned(next);
        }
        shown = Cow::Owned(next);
    }
    // A text that never settles hides something: of it, only what comes before the first blank is shown.
    let word = text.iter().position(|b| b.is_ascii_whitespace() || *b == 0).unwrap_or(0);
    Cow::Owned([&text[..word], MASK.as_bytes()].concat())
}

/// The text with [`MASK`] in place of each cut; cuts that overlap are one.
fn without(text: &[u8], mut cuts: Cuts) -> Vec<u8> {
    cuts.sort_unstable_by_key(|cut| cut.start);
    let mut shown = Vec::with_capacity(text.len() + MASK.len());
    let mut at = 0;
    for cut in cuts.iter().filter(|cut| !cut.is_empty()) {
        if cut.start >= at {
            shown.extend_from_slice(&text[at..cut.start]);
            shown.extend_from_slice(MASK.as_bytes());
        }
        at = at.max(cut.end);
    }
    shown.extend_from_slice(&text[at..]);
    shown
}

#[cfg(test)]
mod tests;
