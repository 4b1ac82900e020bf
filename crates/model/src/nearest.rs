//! The name that was probably meant.

/// The candidate that resembles `wanted` most, if one does; the first of equals.
pub fn nearest<'n>(wanted: &str, candidates: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    // One slip in a short word, two in a usual one, three in a long one: further off it is another word.
    let slips_max = match wanted.len() {
        0..=2 => 0,
        3..=4 => 1,
        5..=8 => 2,
        _ => 3,
    };
    let wanted = wanted.to_lowercase();
    candidates
        .into_iter()
        // Far lengths cannot be near words, and a hostile word may be a megabyte.
        .filter(|c| c.len().abs_diff(wanted.len()) <= slips_max)
        .map(|c| (slips(wanted.as_bytes(), c.to_lowercase().as_bytes()), c))
        .filter(|(slips, _)| *slips <= slips_max)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, c)| c)
}

/// Letters to insert, delete, replace or swap with their neighbour (the optimal string alignment form of the
/// Damerau-Levenshtein distance).
fn slips(a: &[u8], b: &[u8]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "ab", 2),
            ("name", "nmae", 1),
            ("pid", "ppid", 1),
            ("path", "pth", 1),
            ("abc", "xyz", 3),
        ] {
            assert_eq!(slips(a.as_bytes(), b.as_bytes()), expected, "{a} {b}");
            assert_eq!(slips(b.as_bytes(), a.as_bytes()), expected, "{b} {a}");
        }
    }

    #[test]
    fn only_a_name_that_resembles_is_suggested() {
        let tables = ["processes", "process_events", "users", "os_version", "file"];
        assert_eq!(nearest("proceses", tables), Some("processes"));
        assert_eq!(nearest("PROCESS", tables), Some("processes"));
        assert_eq!(nearest("user", tables), Some("users"));
        assert_eq!(nearest("files", tables), Some("file"));
        assert_eq!(nearest("sockets", tables), None);
        assert_eq!(nearest("x", tables), None);
        assert_eq!(nearest("", tables), None);
    }
}
