//! What a subscriber needs, and whether the sources can give it.

use model::{Capabilities, Domain};

/// Asks for events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its name, as tables and refusals show it.
    pub name: String,
    /// The domains that it is about, and what a source of their events must be able to do besides.
    pub needs: Capabilities,
}

/// Why a task was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It names no domain.
    #[error("task {task} needs no domain: name at least one of PROCESS, NETWORK, FILESYSTEM, PERFORMANCE")]
    NoDomain {
        /// The task.
        task: String,
    },
    /// No source does what it needs.
    #[error("task {task} needs {}; {}", names(*needs), lack(missing, *domain, nearest.as_deref()))]
    Missing {
        /// The task.
        task: String,
        /// All that it needs.
        needs: Capabilities,
        /// The domain for which there is no source.
        domain: Domain,
        /// What the nearest source lacks.
        missing: Capabilities,
        /// The source of this domain that lacks least.
        nearest: Option<String>,
    },
    /// There are too many subscriptions, or the runtime shuts down.
    #[error("task {task}: {reason}")]
    Unavailable {
        /// The task.
        task: String,
        /// Why, in a few words.
        reason: &'static str,
    },
}

fn lack(missing: &Capabilities, domain: Domain, nearest: Option<&str>) -> String {
    let missing = names(*missing);
    match nearest {
        Some(nearest) => format!("{nearest} tells of {} events but lacks {missing}", domain.name()),
        None => format!("no source tells of {} events ({missing})", domain.name()),
    }
}

/// Names of capabilities: `PROCESS | REALTIME`.
pub(super) fn names(capabilities: Capabilities) -> String {
    let names: Vec<&str> = capabilities.iter_names().map(|(name, _)| name).collect();
    names.join(" | ")
}

impl Task {
    /// The domains that it is about.
    pub(super) fn domains(&self) -> Capabilities {
        let all = Domain::ALL.iter().fold(Capabilities::empty(), |all, d| all | d.capability());
        self.needs & all
    }

    /// Whether it wants events of a source that can do this.
    pub(super) fn takes(&self, source: Capabilities) -> bool {
        let domains = self.domains();
        source.contains(self.needs - domains) && source.intersects(domains)
    }

    /// Holds when there is a source for each of its domains, of those given by name and capabilities.
    pub(super) fn validate<'s>(
        &self,
        sources: impl Iterator<Item = (&'s str, Capabilities)> + Clone,
    ) -> Result<(), Refused> {
        let domains = self.domains();
        if domains.is_empty() {
            return Err(Refused::NoDomain { task: self.name.clone() });
        }
        for domain in Domain::ALL.into_iter().filter(|d| domains.contains(d.capability())) {
            let needed = domain.capability() | (self.needs - domains);
            let of_domain = sources.clone().filter(|(_, can)| can.contains(domain.capability()));
            let nearest = of_domain.min_by_key(|(_, can)| (needed - *can).bits().count_ones());
            let missing = nearest.map_or(needed, |(_, can)| needed - can);
            if !missing.is_empty() {
                let (task, needs) = (self.name.clone(), self.needs);
                let nearest = nearest.map(|(name, _)| name.to_owned());
                return Err(Refused::Missing { task, needs, domain, missing, nearest });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(needs: Capabilities, sources: &[(&str, Capabilities)]) -> Option<String> {
        let task = Task { name: "watch".into(), needs };
        task.validate(sources.iter().copied()).err().map(|refused| refused.to_string())
    }

    #[test]
    fn a_refusal_names_what_is_missing_and_the_nearest_source() {
        const P: Capabilities = Capabilities::PROCESS;
        const R: Capabilities = Capabilities::REALTIME;
        const W: Capabilities = Capabilities::SYSTEM_WIDE;
        let sources = [("process_diff", P | W), ("sockets", Capabilities::NETWORK | R)];
        assert_eq!(refusal(P | W, &sources), None);
        assert_eq!(refusal(Capabilities::NETWORK | R, &sources), None);
        let told = refusal(P | R, &sources).unwrap();
        assert_eq!(
            told,
            "task watch needs PROCESS | REALTIME; process_diff tells of process events but lacks REALTIME"
        );
        let told = refusal(P | Capabilities::FILESYSTEM, &sources).unwrap();
        assert!(told.ends_with("no source tells of filesystem events (FILESYSTEM)"), "{told}");
        assert!(refusal(R, &sources).unwrap().contains("no domain"));
    }
}
