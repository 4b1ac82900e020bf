//! Alerts: what a rule found, told once, with its evidence and what people did about it.

use std::sync::Arc;

use crate::{Severity, Value};

/// Which alert. Replaying the same input gives the same id, so that none is told twice under another name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlertId(pub [u8; 16]);

impl AlertId {
    /// The id of 32 hexadecimal digits.
    pub fn parse(text: &str) -> Option<AlertId> {
        let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let text = text.as_bytes();
        let mut id = [0; 16];
        if text.len() != 32 {
            return None;
        }
        for (byte, pair) in id.iter_mut().zip(text.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(AlertId(id))
    }
}

impl std::fmt::Display for AlertId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Where an alert is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlertState {
    /// Nobody has looked at it.
    New,
    /// Somebody works on it.
    Acknowledged,
    /// It is done with. An equal finding within its window only counts.
    Closed,
    /// It was closed, and somebody took it up again.
    Reopened,
}

impl AlertState {
    /// All of them.
    pub const ALL: [AlertState; 4] =
        [AlertState::New, AlertState::Acknowledged, AlertState::Closed, AlertState::Reopened];

    /// Its name in tables and output.
    pub const fn name(self) -> &'static str {
        match self {
            AlertState::New => "new",
            AlertState::Acknowledged => "acknowledged",
            AlertState::Closed => "closed",
            AlertState::Reopened => "reopened",
        }
    }

    /// The state that an action leads to, or nothing where the action makes no sense.
    pub const fn after(self, action: AlertAction) -> Option<AlertState> {
        match (self, action) {
            (AlertState::New | AlertState::Reopened, AlertAction::Acknowledge) => {
                Some(AlertState::Acknowledged)
            }
            (AlertState::New | AlertState::Reopened | AlertState::Acknowledged, AlertAction::Close) => {
                Some(AlertState::Closed)
            }
            (AlertState::Closed, AlertAction::Reopen) => Some(AlertState::Reopened),
            _ => None,
        }
    }
}

/// What a person does about an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AlertAction {
    /// Says that somebody works on it.
    Acknowledge,
    /// Says that it is done with.
    Close,
    /// Takes a closed one up again.
    Reopen,
}

impl AlertAction {
    /// All of them.
    pub const ALL: [AlertAction; 3] = [AlertAction::Acknowledge, AlertAction::Close, AlertAction::Reopen];

    /// Its name as a command: `ack`, `close`, `reopen`.
    pub const fn name(self) -> &'static str {
        match self {
            AlertAction::Acknowledge => "ack",
            AlertAction::Close => "close",
            AlertAction::Reopen => "reopen",
        }
    }

    /// The action of a name.
    pub fn from_name(name: &str) -> Option<AlertAction> {
        AlertAction::ALL.into_iter().find(|action| action.name() == name)
    }
}

/// A row with its names, which rows of one statement share.
pub type NamedRow = Vec<(Arc<str>, Value<'static>)>;

/// What was known when an alert was raised: rows under the name of what they are of, such as `process`,
/// `ancestors` and `hash`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// The sections, in the order in which they are shown.
    pub sections: Vec<(String, Vec<NamedRow>)>,
}

/// Something a rule found. What is of the rule is shared by its alerts.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// Which.
    pub id: AlertId,
    /// The rule's id.
    pub rule: Arc<str>,
    /// The rule's version: the first 16 hexadecimal digits of a BLAKE3 hash over its SQL and dedup.
    pub rule_version: Arc<str>,
    /// The rule's statement.
    pub sql: Arc<str>,
    /// The rule's title.
    pub title: Arc<str>,
    /// The rule's severity.
    pub severity: Severity,
    /// The rule's tags.
    pub tags: Arc<[String]>,
    /// Where it is in its life.
    pub state: AlertState,
    /// When it was first found, in ms since 1970. Its dedup window opens here.
    pub first_ms: i64,
    /// When it was last found, in ms since 1970.
    pub last_ms: i64,
    /// Until when an equal finding counts here, in ms since 1970.
    pub window_end_ms: i64,
    /// How many findings it stands for.
    pub count: u64,
    /// The row that was found first.
    pub row: NamedRow,
    /// What else was known then.
    pub evidence: Evidence,
}

/// The process that a row names, by its `start_key`.
pub fn start_key(row: &NamedRow) -> Option<&Value<'static>> {
    row.iter().find(|(name, _)| name.eq_ignore_ascii_case("start_key")).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let id = AlertId(std::array::from_fn(|n| (n * 17) as u8));
        assert_eq!(AlertId::parse(&id.to_string()), Some(id));
        assert_eq!(AlertId::parse("00"), None);
        assert_eq!(AlertId::parse(&"g".repeat(32)), None);
    }

    #[test]
    fn an_alert_is_closed_once_and_reopened_only_then() {
        let after = |state: AlertState, action| state.after(action);
        assert_eq!(after(AlertState::New, AlertAction::Reopen), None);
        assert_eq!(after(AlertState::Closed, AlertAction::Close), None);
        assert_eq!(after(AlertState::Closed, AlertAction::Reopen), Some(AlertState::Reopened));
        assert_eq!(after(AlertState::Reopened, AlertAction::Acknowledge), Some(AlertState::Acknowledged));
    }
}
