//! Secrets that show by their own form: tokens of well-known services, private keys, and passwords in URLs.

use std::ops::Range;

use super::Cuts;

/// How tokens begin, and the fewest bytes that follow.
const TOKENS: &[(&str, usize)] = &[
    ("AGE-SECRET-KEY-", 20),
    ("AIza", 30),
    ("AKIA", 16),
    ("ASIA", 16),
    ("SG.", 30),
    ("dop_v1_", 30),
    ("eyJ", 20),
    ("ghp_", 16),
    ("gho_", 16),
    ("ghu_", 16),
    ("ghs_", 16),
    ("ghr_", 16),
    ("github_pat_", 16),
    ("glpat-", 16),
    ("hf_", 30),
    ("hvs.", 20),
    ("npm_", 30),
    ("pypi-", 40),
    ("rk_live_", 16),
    ("shpat_", 20),
    ("sk-", 20),
    ("sk_live_", 16),
    ("xapp-", 16),
    ("xoxa-", 10),
    ("xoxb-", 10),
    ("xoxe-", 10),
    ("xoxo-", 10),
    ("xoxp-", 10),
    ("xoxr-", 10),
    ("xoxs-", 10),
    ("ya29.", 20),
];
/// A bit for the first two bytes of each token: all but a few words differ in them.
static BEGINNINGS: [u64; (1 << 16) / 64] = {
    let mut bits = [0; (1 << 16) / 64];
    let mut n = 0;
    while n < TOKENS.len() {
        let begin = TOKENS[n].0.as_bytes();
        let place = (begin[0] as usize) << 8 | begin[1] as usize;
        bits[place / 64] |= 1 << (place % 64);
        n += 1;
    }
    bits
};
/// Names of users in URLs that are longer are tokens, in bytes.
const URL_USER_BYTES_MAX: usize = 19;

/// Cuts what is secret by its form, wherever it stands.
pub(super) fn cut(text: &[u8], cuts: &mut Cuts) {
    let mut at = 0;
    let mut in_word = false;
    let mut url = Url::default();
    while let Some(byte) = text.get(at) {
        let starts_word = !in_word && byte.is_ascii_alphanumeric();
        in_word = byte.is_ascii_alphanumeric();
        if starts_word && let Some(end) = token(text, at) {
            cuts.push(at..end);
            at = end;
            in_word = false;
        } else if *byte == b':' && text[at..].starts_with(b"://") {
            url.reach(text, at + 3);
            url.cut_password(text, at + 3, cuts);
            at += 3;
        } else if *byte == b'-' && text[at..].starts_with(b"-----BEGIN ") {
            let (body, end) = private_key(text, at);
            cuts.extend(body);
            at = end;
        } else {
            at += 1;
        }
    }
}

/// The end of a token that begins here.
fn token(text: &[u8], start: usize) -> Option<usize> {
    let rest = &text[start..];
    let place = usize::from(*rest.first()?) << 8 | usize::from(*rest.get(1)?);
    if BEGINNINGS[place / 64] >> (place % 64) & 1 == 0 {
        return None;
    }
    let (begin, bytes_min) = TOKENS.iter().find(|(begin, _)| rest.starts_with(begin.as_bytes()))?;
    let is_part = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/' | b'+');
    let body = &rest[begin.len()..];
    let len = body.iter().take_while(|b| is_part(b)).count();
    let padding = body[len..].iter().take_while(|b| **b == b'=').count();
    (len >= *bytes_min).then_some(start + begin.len() + len + padding)
}

/// What is between the first and the last line of a private key, if one begins here, and where to go on.
/// A key without its last line goes on to the end.
fn private_key(text: &[u8], start: usize) -> (Option<Range<usize>>, usize) {
    let label = &text[start + 11..];
    let len =
        label.iter().take_while(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || **b == b' ').count();
    let body = start + 11 + len;
    if !label[..len].ends_with(b"PRIVATE KEY") || !text[body..].starts_with(b"-----") {
        return (None, start + 11);
    }
    let body = body + 5;
    let end = text[body..].windows(9).position(|w| w == b"-----END ").map_or(text.len(), |at| body + at);
    (Some(body..end), end)
}

/// The URL that was seen last: it ends once, however many `://` are in it.
#[derive(Default)]
struct Url {
    end: usize,
    /// Where its last `@` is.
    last_at: Option<usize>,
}

impl Url {
    /// Takes the URL whose authority begins here.
    fn reach(&mut self, text: &[u8], start: usize) {
        if start < self.end {
            return;
        }
        let ends = |b: &u8| b.is_ascii_whitespace() || b.is_ascii_control() || b"\"'<>".contains(b);
        self.end = start + text[start..].iter().take_while(|b| !ends(b)).count();
        self.last_at = text[start..self.end].iter().rposition(|b| *b == b'@').map(|at| start + at);
    }

    /// Cuts the password of `user:password@host`. A user that is as long as a token is one.
    fn cut_password(&self, text: &[u8], start: usize, cuts: &mut Cuts) {
        let url = &text[start..self.end];
        let len = url.iter().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(url.len());
        let authority = &url[..len];
        let colon = authority.iter().position(|b| *b == b':');
        match (authority.iter().rposition(|b| *b == b'@'), colon) {
            (Some(end), Some(colon)) if colon < end => cuts.push(start + colon + 1..start + end),
            (Some(end), _) if end > URL_USER_BYTES_MAX => cuts.push(start..start + end),
            (Some(_), _) => {}
            // A password with a bare slash: what looked like a port is no number.
            (None, Some(colon)) if !authority[colon + 1..].iter().all(u8::is_ascii_digit) => {
                cuts.extend(self.last_at.filter(|end| start + colon < *end).map(|end| start + colon + 1..end))
            }
            (None, _) => {}
        }
    }
}
