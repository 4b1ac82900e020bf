//! Path patterns, taken apart at the slashes.
//!
//! osquery's rule: `%` stays within one name, `%%` goes any number of directories down. SQLite tests the
//! whole text again and knows no such rule, so only the depth is decided here; everything else may match
//! more than SQLite does.

/// One step down from a directory.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// This name, looked up as it is written.
    Name(Vec<u8>),
    /// Every name that matches.
    Match(Vec<Token>),
    /// Every name that matches, and everything below it. Always the last step.
    Below(Vec<Token>),
    /// Every name, in a directory that was asked for by its own name. Always the last step.
    Entries,
}

/// What a part of a name has to be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// This byte, in either ASCII case.
    Byte(u8),
    /// One character.
    One,
    /// Any text.
    Run,
}

/// The steps of a `LIKE` pattern; `None` when it does not begin with a slash.
pub(super) fn like(pattern: &[u8]) -> Option<Vec<Step>> {
    steps(pattern, |name| match find(name, b"%%") {
        Some(at) => Step::Below(like_tokens(&name[..at + 1])),
        None if name.iter().any(|b| matches!(b, b'%' | b'_')) => Step::Match(like_tokens(name)),
        None => Step::Name(name.to_vec()),
    })
}

/// The steps of a `GLOB` pattern, whose `*` is a `%` and whose `**` is a `%%`.
pub(super) fn glob(pattern: &[u8]) -> Option<Vec<Step>> {
    steps(pattern, |name| {
        let (name, below) = match find(name, b"**") {
            Some(at) => (&name[..at + 1], true),
            None => (name, false),
        };
        match glob_tokens(name) {
            (tokens, closed) if below || !closed => Step::Below(tokens),
            _ if !name.iter().any(|b| matches!(b, b'*' | b'?' | b'[')) => Step::Name(name.to_vec()),
            (tokens, _) => Step::Match(tokens),
        }
    })
}

fn steps(pattern: &[u8], step: impl Fn(&[u8]) -> Step) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    for name in pattern.strip_prefix(b"/")?.split(|b| *b == b'/') {
        steps.push(step(name));
        if matches!(steps.last(), Some(Step::Below(_))) {
            break;
        }
    }
    Some(steps)
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

fn like_tokens(name: &[u8]) -> Vec<Token> {
    let token = |b: &u8| match b {
        b'%' => Token::Run,
        b'_' => Token::One,
        b => Token::Byte(*b),
    };
    name.iter().map(token).collect()
}

/// A set in brackets becomes any one character. False when a bracket stays open: the set has a slash, and
/// what follows cannot be told apart into names.
fn glob_tokens(name: &[u8]) -> (Vec<Token>, bool) {
    let mut tokens = Vec::new();
    let mut rest = name;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        tokens.push(match first {
            b'*' => Token::Run,
            b'?' => Token::One,
            b'[' => {
                let set = after.strip_prefix(b"^").unwrap_or(after);
                // A closing bracket in the first place is a member of the set.
                let Some(end) = set.iter().skip(1).position(|b| *b == b']') else {
                    tokens.push(Token::Run);
                    return (tokens, false);
                };
                rest = &set[end + 2..];
                Token::One
            }
            b => Token::Byte(*b),
        });
    }
    (tokens, true)
}

/// Bytes of the names before the first wildcard: the more, the less there is to read.
pub(super) fn fixed_bytes(steps: &[Step]) -> usize {
    let name = |step: &Step| match step {
        Step::Name(name) => Some(name.len() + 1),
        _ => None,
    };
    steps.iter().map_while(name).sum()
}

/// Whether a name matches the tokens. `_` takes one UTF-8 character, as SQLite counts them.
pub(super) fn matches(tokens: &[Token], name: &[u8]) -> bool {
    let (mut t, mut n) = (0, 0);
    // Where to go on after the last `%` took one byte more.
    let mut retry = None;
    loop {
        match tokens.get(t) {
            Some(Token::Run) => {
                retry = Some((t + 1, n));
                t += 1;
                continue;
            }
            Some(Token::One) if n < name.len() => {
                (t, n) = (t + 1, n + character(&name[n..]));
                continue;
            }
            Some(Token::Byte(b)) if name.get(n).is_some_and(|c| c.eq_ignore_ascii_case(b)) => {
                (t, n) = (t + 1, n + 1);
                continue;
            }
            None if n == name.len() => return true,
            _ => {}
        }
        match retry {
            Some((token, at)) if at < name.len() => {
                retry = Some((token, at + 1));
                (t, n) = (token, at + 1);
            }
            _ => return false,
        }
    }
}

fn character(text: &[u8]) -> usize {
    if text[0] < 0xc0 {
        return 1;
    }
    1 + text[1..].iter().take_while(|b| *b & 0xc0 == 0x80).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Step {
        Step::Name(text.into())
    }

    #[test]
    fn a_pattern_is_taken_apart_at_its_slashes() {
        assert_eq!(like(b"/etc/ssh/%").unwrap(), [name("etc"), name("ssh"), Step::Match(vec![Token::Run])]);
        assert_eq!(like(b"/etc/%%/x").unwrap(), [name("etc"), Step::Below(vec![Token::Run])]);
        assert_eq!(like(b"/a_/").unwrap(), [Step::Match(vec![Token::Byte(b'a'), Token::One]), name("")]);
        assert_eq!(like(b"etc/%"), None);
        assert_eq!(like(b"%passwd"), None);
        assert_eq!(glob(b"/etc/*").unwrap(), like(b"/etc/%").unwrap());
        assert_eq!(glob(b"/etc/**").unwrap(), like(b"/etc/%%").unwrap());
        assert_eq!(glob(b"/x%").unwrap(), [name("x%")]);
        assert_eq!(glob(b"/[]a]?").unwrap(), [Step::Match(vec![Token::One, Token::One])]);
        assert_eq!(glob(b"/b[/]c").unwrap(), [Step::Below(vec![Token::Byte(b'b'), Token::Run])]);
    }

    #[test]
    fn a_name_matches_as_sqlite_would_have_it() {
        let matches =
            |pattern: &str, name: &str| super::matches(&like_tokens(pattern.as_bytes()), name.as_bytes());
        assert!(matches("%", "") && matches("%", ".hidden") && matches("a%c", "abcabc"));
        assert!(matches("%.CONF", "x.conf") && matches("_", "é") && matches("%é", "aéé"));
        assert!(!matches("_", "") && !matches("a%c", "abcab") && !matches("__", "é"));
    }

    #[test]
    fn hostile_patterns_end_soon() {
        let pattern = "%a".repeat(50) + "b";
        assert!(!matches(&like_tokens(pattern.as_bytes()), "a".repeat(20_000).as_bytes()));
    }
}
