//! LIKE and GLOB, with SQLite's idea of a character: a lead byte and every continuation byte that follows it,
//! however many, and bytes that are no UTF-8 as they come.
//!
//! Like SQLite's function it stops at a zero byte: what follows one takes no part.

/// How a comparison went.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Match,
    /// Not from here; a wildcard before may try from further on.
    NoMatch,
    /// Not from anywhere: what follows the last wildcard is nowhere in the rest. It keeps time polynomial.
    Never,
}

/// Whether `text` matches the pattern: GLOB, or LIKE without an escape character.
pub(super) fn matches(pattern: &[u8], text: &[u8], glob: bool) -> bool {
    let signs = if glob {
        Signs { all: u32::from(b'*'), one: u32::from(b'?'), sets: true }
    } else {
        Signs { all: u32::from(b'%'), one: u32::from(b'_'), sets: false }
    };
    signs.compare(until_zero(pattern), until_zero(text)) == Outcome::Match
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.iter().position(|b| *b == 0).map_or(bytes, |end| &bytes[..end])
}

/// The next character; 0 at the end, which no character is.
fn read(bytes: &mut &[u8]) -> u32 {
    let Some((first, rest)) = bytes.split_first() else { return 0 };
    *bytes = rest;
    let first = *first;
    if first < 0xc0 {
        return u32::from(first);
    }
    // The bits that a lead byte carries; more than six of them are no lead byte of today's UTF-8.
    let mut c = u32::from(match first {
        0xc0..=0xdf => first & 0x1f,
        0xe0..=0xef => first & 0x0f,
        0xf0..=0xf7 => first & 0x07,
        0xf8..=0xfb => first & 0x03,
        0xfc..=0xfd => first & 0x01,
        _ => 0,
    });
    while let Some((next, rest)) = bytes.split_first().filter(|(next, _)| *next & 0xc0 == 0x80) {
        c = (c << 6).wrapping_add(u32::from(next & 0x3f));
        *bytes = rest;
    }
    // Overlong forms, surrogates and the two non-characters are one and the same character.
    let surrogate = c & 0xffff_f800 == 0xd800;
    let none = c & 0xffff_fffe == 0xfffe;
    if c < 0x80 || surrogate || none { 0xfffd } else { c }
}

/// Leaves one character out, as a walk over the text counts them.
fn skip(bytes: &mut &[u8]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    *bytes = rest;
    if *first >= 0xc0 {
        while let Some((_, rest)) = bytes.split_first().filter(|(next, _)| *next & 0xc0 == 0x80) {
            *bytes = rest;
        }
    }
}

fn lower(c: u32) -> u32 {
    u8::try_from(c).map_or(c, |byte| u32::from(byte.to_ascii_lowercase()))
}

struct Signs {
    all: u32,
    one: u32,
    /// `[…]` is a set of characters, and case counts.
    sets: bool,
}

impl Signs {
    fn compare(&self, mut pattern: &[u8], mut text: &[u8]) -> Outcome {
        const SET: u32 = b'[' as u32;
        loop {
            let mut c = read(&mut pattern);
            if c == 0 {
                return if text.is_empty() { Outcome::Match } else { Outcome::NoMatch };
            }
            if c == self.all {
                let mut after = pattern;
                c = read(&mut after);
                while c == self.all || c == self.one {
                    if c == self.one && read(&mut text) == 0 {
                        return Outcome::Never;
                    }
                    pattern = after;
                    c = read(&mut after);
                }
                return match c {
                    0 => Outcome::Match,
                    SET if self.sets => self.search_set(pattern, text),
                    _ => self.search(c, after, text),
                };
            }
            if c == SET && self.sets {
                match self.in_set(&mut pattern, &mut text) {
                    true => continue,
                    false => return Outcome::NoMatch,
                }
            }
            let other = read(&mut text);
            let same = c == other
                || (!self.sets && c < 0x80 && other < 0x80 && lower(c) == lower(other))
                || (c == self.one && other != 0);
            if !same {
                return Outcome::NoMatch;
            }
        }
    }

    /// After a wildcard: from each place where `c` is, the rest of the pattern is tried.
    fn search(&self, c: u32, pattern: &[u8], mut text: &[u8]) -> Outcome {
        // An ASCII character is looked for byte by byte, any other character by character.
        if c < 0x80 {
            let byte = c as u8;
            let is = |b: &u8| *b == byte || (!self.sets && b.eq_ignore_ascii_case(&byte));
            while let Some(place) = text.iter().position(is) {
                text = &text[place + 1..];
                match self.compare(pattern, text) {
                    Outcome::NoMatch => {}
                    outcome => return outcome,
                }
            }
            return Outcome::Never;
        }
        loop {
            match read(&mut text) {
                0 => return Outcome::Never,
                found if found == c => match self.compare(pattern, text) {
                    Outcome::NoMatch => {}
                    outcome => return outcome,
                },
                _ => {}
            }
        }
    }

    /// After a wildcard: from each character, a pattern that begins with a set is tried.
    fn search_set(&self, pattern: &[u8], mut text: &[u8]) -> Outcome {
        while !text.is_empty() {
            match self.compare(pattern, text) {
                Outcome::NoMatch => skip(&mut text),
                outcome => return outcome,
            }
        }
        Outcome::Never
    }

    /// Whether the next character is in the set that the pattern goes on with.
    fn in_set(&self, pattern: &mut &[u8], text: &mut &[u8]) -> bool {
        const CLOSE: u32 = b']' as u32;
        let c = read(text);
        if c == 0 {
            return false;
        }
        let (mut seen, mut before) = (false, 0);
        let mut member = read(pattern);
        let inverted = member == u32::from(b'^');
        if inverted {
            member = read(pattern);
        }
        // A bracket that comes first is a member.
        if member == CLOSE {
            seen = c == CLOSE;
            member = read(pattern);
        }
        while member != 0 && member != CLOSE {
            let is_range =
                member == u32::from(b'-') && before > 0 && pattern.first().is_some_and(|next| *next != b']');
            if is_range {
                member = read(pattern);
                seen |= c >= before && c <= member;
                before = 0;
            } else {
                seen |= c == member;
                before = member;
            }
            member = read(pattern);
        }
        member != 0 && seen != inverted
    }
}
