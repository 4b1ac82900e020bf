//! Detection rules, and what they find.

use std::time::{Duration, SystemTime};

use crate::{NamedRow, Value};

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth keeping, not worth waking anybody.
    Low,
    /// Worth a look within the day.
    Medium,
    /// Worth a look now.
    High,
    /// The machine is probably in somebody else's hands.
    Critical,
}

impl Severity {
    /// All of them, from the least grave.
    pub const ALL: [Severity; 4] = [Severity::Low, Severity::Medium, Severity::High, Severity::Critical];

    /// Its name in rule files and in output.
    pub const fn name(self) -> &'static str {
        match self {
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }

    /// The severity of a name.
    pub fn from_name(name: &str) -> Option<Severity> {
        Severity::ALL.into_iter().find(|s| s.name() == name)
    }
}

impl std::fmt::Display for Severity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// Which findings of one rule are the same thing seen again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dedup {
    /// Columns of the result that tell one finding from another; none for the whole row.
    pub keys: Vec<String>,
    /// How long after the first finding an equal one is not a new one.
    pub window: Duration,
}

impl Dedup {
    /// The row's values in the key columns as bytes: equal exactly when the values are, storage class included.
    pub fn key<'r>(&self, row: impl IntoIterator<Item = (&'r str, &'r Value<'r>)>) -> Vec<u8> {
        let mut key = Vec::new();
        let is_key =
            |name: &str| self.keys.is_empty() || self.keys.iter().any(|k| k.eq_ignore_ascii_case(name));
        for (name, value) in row.into_iter().filter(|(name, _)| is_key(name)) {
            put(&mut key, b'c', name.to_ascii_lowercase().as_bytes());
            match value {
                Value::Null => put(&mut key, b'n', &[]),
                Value::Int(n) => put(&mut key, b'i', &n.to_be_bytes()),
                Value::Real(x) => put(&mut key, b'r', &x.to_bits().to_be_bytes()),
                Value::Text(bytes) => put(&mut key, b't', bytes),
                Value::Blob(bytes) => put(&mut key, b'b', bytes),
            }
        }
        key
    }
}

/// Lengths stand before contents, so that no two lists of values run together to the same bytes.
fn put(key: &mut Vec<u8>, class: u8, bytes: &[u8]) {
    key.push(class);
    key.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    key.extend_from_slice(bytes);
}

/// What one run of a rule may use at most, where it says so itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// How long it may take.
    pub timeout: Option<Duration>,
    /// Bytes of rows and indexes that it may keep.
    pub memory_bytes: Option<u64>,
    /// Rows that it may give.
    pub rows: Option<u64>,
}

/// A detection rule whose checks and tests passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name for machines, in kebab-case. State is kept under it.
    pub id: String,
    /// What a finding says, in one line.
    pub title: String,
    /// Why a finding matters and what to look at.
    pub description: String,
    /// How grave a finding is.
    pub severity: Severity,
    /// ATT&CK tactics and techniques (`attack.t1070.004`), and others.
    pub tags: Vec<String>,
    /// How often to run it.
    pub interval: Duration,
    /// What one run may use, where that is less than any rule may.
    pub budget: Budget,
    /// The statement whose rows are findings.
    pub sql: String,
    /// Which findings are the same.
    pub dedup: Dedup,
    /// What else can look like this.
    pub false_positives: Vec<String>,
    /// Where to read more.
    pub references: Vec<String>,
}

/// One row that a rule found.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The rule's id.
    pub rule: String,
    /// The rule's title.
    pub title: String,
    /// The rule's severity.
    pub severity: Severity,
    /// The rule's tags.
    pub tags: Vec<String>,
    /// The clock of the statement that found it.
    pub time: SystemTime,
    /// How many rows of this run have its dedup key; the first of them is [`Finding::row`].
    pub count: u64,
    /// The row: names, which are all different, and values.
    pub row: NamedRow,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(keys: &[&str], row: &[(&str, Value<'static>)]) -> Vec<u8> {
        let dedup = Dedup { keys: keys.iter().map(ToString::to_string).collect(), window: Duration::ZERO };
        dedup.key(row.iter().map(|(n, v)| (*n, v)))
    }

    #[test]
    fn only_key_columns_count_and_none_means_all() {
        let (a, b) = ([("pid", 1.into()), ("n", 1.into())], [("pid", 1.into()), ("n", 2.into())]);
        assert_eq!(key(&["PID"], &a), key(&["pid"], &b));
        assert_ne!(key(&[], &a), key(&[], &b));
    }

    #[test]
    fn different_values_never_share_a_key() {
        let rows: [[(&str, Value<'static>); 2]; 6] = [
            [("a", "x".into()), ("b", "yz".into())],
            [("a", "xy".into()), ("b", "z".into())],
            [("a", "1".into()), ("b", Value::Null)],
            [("a", 1.into()), ("b", Value::Null)],
            [("a", 1.0.into()), ("b", Value::Null)],
            [("a", Value::Null), ("b", 1.into())],
        ];
        let keys: std::collections::HashSet<_> = rows.iter().map(|row| key(&[], row)).collect();
        assert_eq!(keys.len(), rows.len());
    }

    #[test]
    fn severities_are_ordered_and_named() {
        assert!(Severity::Low < Severity::Critical);
        assert!(Severity::ALL.into_iter().all(|s| Severity::from_name(s.name()) == Some(s)));
        assert_eq!(Severity::from_name("High"), None);
    }
}
