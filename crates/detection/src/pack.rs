//! A directory of rules.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use model::Rule;
use vtables::Engine;

use crate::check::{self, Loaded};
use crate::source::Source;
use crate::{PackError, RuleFault, SHIPPED, files};

/// What a rule's statement may be, besides what any statement may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleLimits {
    /// Subqueries within each other.
    pub nesting: usize,
    /// Rows that its loops are expected to stand on in all, as its plan tells.
    pub steps: u64,
}

impl Default for RuleLimits {
    fn default() -> RuleLimits {
        RuleLimits { nesting: 3, steps: 100_000_000 }
    }
}

/// The rules of a directory: those that hold, and what is wrong with the others.
#[derive(Debug, Default)]
pub struct Pack {
    /// Rules that passed every check and their own tests, in the order of their paths.
    pub rules: Vec<Rule>,
    /// The names of the tests of each rule, in the same order.
    pub tests: Vec<Vec<String>>,
    /// Why other files gave no rule; one file may have several.
    pub faults: Vec<RuleFault>,
    /// What is allowed in the rules that hold, and probably not meant.
    pub warnings: Vec<RuleFault>,
}

impl Pack {
    /// The rules below a directory, or of one file. A bad rule is refused alone.
    pub fn load(path: &Path, engine: &mut Engine, limits: &RuleLimits) -> Result<Pack, PackError> {
        let (paths, faults) = files::find(path)?;
        let mut loading = Loading { pack: Pack { faults, ..Pack::default() }, ids: HashMap::new() };
        for path in paths {
            match files::read(&path) {
                Ok(source) => loading.add(&source, engine, limits),
                Err(fault) => loading.pack.faults.push(*fault),
            }
        }
        Ok(loading.pack)
    }

    /// The rules that come with the program ([`SHIPPED`]).
    pub fn shipped(engine: &mut Engine, limits: &RuleLimits) -> Pack {
        let mut loading = Loading { pack: Pack::default(), ids: HashMap::new() };
        for (path, text) in SHIPPED {
            let path = Path::new("rules").join(path);
            loading.add(&Source { path, text: (*text).to_owned() }, engine, limits);
        }
        loading.pack
    }

    /// One rule from its text; `path` names it in faults.
    pub fn of_text(
        path: impl Into<PathBuf>,
        text: impl Into<String>,
        engine: &mut Engine,
        limits: &RuleLimits,
    ) -> Pack {
        let mut loading = Loading { pack: Pack::default(), ids: HashMap::new() };
        loading.add(&Source { path: path.into(), text: text.into() }, engine, limits);
        loading.pack
    }
}

struct Loading {
    pack: Pack,
    /// Where each id was first used.
    ids: HashMap<String, String>,
}

impl Loading {
    fn add(&mut self, source: &Source, engine: &mut Engine, limits: &RuleLimits) {
        match check::load(source, engine, limits) {
            Err(faults) => self.pack.faults.extend(faults),
            Ok(Loaded { rule, id_place, tests, warnings }) => {
                let here = format!("{}:{}", source.path.display(), id_place.line);
                if let Some(first) = self.ids.get(&rule.id) {
                    let message = format!("the id `{}` is taken by {first}", rule.id);
                    let fault =
                        source.fault(id_place, message).help("give each rule of a pack an id of its own");
                    self.pack.faults.push(fault);
                    return;
                }
                self.ids.insert(rule.id.clone(), here);
                self.pack.warnings.extend(warnings);
                self.pack.rules.push(rule);
                self.pack.tests.push(tests);
            }
        }
    }
}
