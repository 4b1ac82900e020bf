//! Rust text, apart: what the compiler reads, and what people read. Literals are left out of both.

/// A source text without its literals.
pub(super) struct Parts {
    /// The code: comments are gone, and of a literal only its quotes are left. Lines keep their numbers.
    pub(super) code: String,
    /// The comments alone, lines as in the source.
    pub(super) comments: String,
}

/// Takes a source text apart.
pub(super) fn parts(source: &str) -> Parts {
    let mut parts = Parts { code: String::new(), comments: String::new() };
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let in_word = parts.code.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let (length, is_comment) = match first {
            '/' if rest.starts_with("//") => (rest.find('\n').unwrap_or(rest.len()), true),
            '/' if rest.starts_with("/*") => (block_comment(rest), true),
            '"' => (string(rest), false),
            'r' | 'b' | 'c' if !in_word && prefixed_string(rest).is_some() => {
                (prefixed_string(rest).unwrap_or(1), false)
            }
            '\'' => match character(rest) {
                Some(length) => (length, false),
                None => (1, false),
            },
            _ => {
                parts.code.push(first);
                if first == '\n' {
                    parts.comments.push('\n');
                }
                rest = &rest[first.len_utf8()..];
                continue;
            }
        };
        let (text, after) = rest.split_at(length);
        let lines = "\n".repeat(text.matches('\n').count());
        if is_comment {
            parts.comments.push_str(text);
            parts.code.push_str(&lines);
        } else {
            parts.code.push('"');
            parts.code.push_str(&lines);
            parts.comments.push_str(&lines);
        }
        rest = after;
    }
    parts
}

/// The length of a block comment, in which others may be nested.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        match &text.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] if depth == 1 => return at + 2,
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    text.len()
}

/// The length of a string literal that starts here.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a literal such as `r#"…"#`, `b"…"` or `b'…'`; `None` when a word starts here.
fn prefixed_string(text: &str) -> Option<usize> {
    let prefix = text.find(|c: char| !matches!(c, 'r' | 'b' | 'c'))?;
    let (letters, literal) = text.split_at(prefix);
    let hashes = literal.find(|c: char| c != '#')?;
    let length = match &literal[hashes..] {
        quoted if quoted.starts_with('"') && letters.ends_with('r') => {
            let end = format!("\"{}", "#".repeat(hashes));
            let body = hashes + 1;
            literal[body..].find(&end).map_or(literal.len(), |at| body + at + end.len())
        }
        quoted if quoted.starts_with('"') && hashes == 0 => string(quoted),
        quoted if quoted.starts_with('\'') && letters == "b" => character(quoted)?,
        _ => return None,
    };
    Some(prefix + length)
}

/// The length of a character literal; `None` for a lifetime.
fn character(text: &str) -> Option<usize> {
    let mut chars = text.char_indices().skip(1);
    let (_, first) = chars.next()?;
    if first == '\\' {
        let (_, _escaped) = chars.next()?;
        return chars.find(|(_, c)| *c == '\'').map(|(at, _)| at + 1);
    }
    chars.next().filter(|(_, c)| *c == '\'').map(|(at, _)| at + 1)
}

/// Whether `code` has `word` as a whole word.
pub(super) fn has_word(code: &str, word: &str) -> bool {
    code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == word)
}

/// The lines before the tests that a file ends with.
pub(super) fn lines_without_tests(source: &str) -> usize {
    let lines: Vec<&str> = source.lines().collect();
    let tests = lines
        .windows(2)
        .position(|w| w[0] == "#[cfg(test)]" && w[1].starts_with("mod ") && w[1].ends_with('{'));
    tests.unwrap_or(lines.len())
}

#[test]
fn code_and_comments_are_told_apart() {
    let source = r####"fn f<'a>(c: char) -> &'a str { // unsafe in a comment
    /* one /* nested */ comment */ let x = "unsafe \" // text"; let y = r#"unsafe " text"#;
    match c { '"' => b"\"unsafe", '\'' => br"unsafe", '\u{22}' => "x", _ => raw }
}"####;
    let parts = parts(source);
    assert!(!parts.code.contains("unsafe") && !parts.code.contains("comment"), "{}", parts.code);
    assert!(parts.code.contains("=> raw }\n}") && parts.code.contains("a>"), "{}", parts.code);
    assert_eq!(parts.comments.lines().next(), Some("// unsafe in a comment"));
    assert_eq!(parts.code.lines().count(), 4);
}
