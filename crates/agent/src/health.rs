//! How the agent's parts are: the table `agent_health`, and a line of the log at each change.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use collector::{Row, Rows, Table, int, text, unique};
use model::{Extent, Query, ScanError};

use crate::clock;

/// A part of the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    name: String,
    healthy: bool,
    detail: String,
    since_ms: i64,
}

impl Row for Part {
    fn heap_bytes(&self) -> usize {
        self.name.len() + self.detail.len()
    }
}

/// How all parts are. Clones are handles on the same.
#[derive(Clone, Default)]
pub(crate) struct Health(Arc<Mutex<BTreeMap<String, Part>>>);

impl Health {
    /// Notes how a part is; a change is logged.
    pub(crate) fn set(&self, name: &str, healthy: bool, detail: impl Into<String>) {
        let detail = detail.into();
        let mut parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = parts.get(name);
        let changed = known.is_none_or(|part| part.healthy != healthy);
        let since_ms = if changed { clock::now_ms() } else { known.map_or(0, |part| part.since_ms) };
        if changed && !healthy {
            tracing::error!(part = name, detail, "a part of the agent has a problem");
        } else if changed && known.is_some() {
            tracing::info!(part = name, detail, "a part of the agent works again");
        }
        parts.insert(name.to_owned(), Part { name: name.to_owned(), healthy, detail, since_ms });
    }

    fn parts(&self) -> Vec<Part> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

pub(crate) static TABLE: Table<Part, Health> = Table {
    name: "agent_health",
    about: "How the parts of the agent are.",
    identity: unique(&["part"]),
    extent: Extent::Whole { rows: 10 },
    columns: &[
        text("part", "The part.", |p| (&p.name).into()),
        int("healthy", "1 if it works.", |p| p.healthy.into()),
        text("detail", "What there is to say of it.", |p| (&p.detail).into()),
        int("since", "Since when it is so, in seconds since 1970.", |p| p.since_ms.div_euclid(1000).into()),
    ],
    scan,
    examples: &["SELECT part, detail FROM agent_health WHERE healthy = 0"],
};

fn scan(health: &Health, _: &Query) -> Result<Rows<Part>, ScanError> {
    Ok(Box::new(health.parts().into_iter().map(Ok)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_as_it_was_last_said_to_be() {
        let health = Health::default();
        health.set("disk", true, "");
        let since = health.parts()[0].since_ms;
        health.set("disk", true, "plenty");
        assert_eq!(health.parts()[0].since_ms, since);
        health.set("disk", false, "full");
        let part = &health.parts()[0];
        assert_eq!((part.healthy, part.detail.as_str()), (false, "full"));
    }
}
