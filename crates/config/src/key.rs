//! The names of settings, and which of them a program knows.

use model::nearest;

/// A setting.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name, with dots between its levels.
    pub name: &'static str,
    /// What it means.
    pub about: &'static str,
}

/// A setting of this name and meaning.
pub(crate) const fn key(name: &'static str, about: &'static str) -> Key {
    Key { name, about }
}

/// The settings that stand where a program looks.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Those that it reads.
    pub own: &'static [Key],
    /// Those of programs that look in the same places. It passes them over.
    pub others: &'static [Key],
}

/// Whose a name is.
pub(crate) enum Whose {
    /// The program's, by its key.
    Own(&'static str),
    /// Another program's, or what keys begin with.
    Passed,
}

impl Known {
    /// All of them, each once, its own first.
    fn all(&self) -> impl Iterator<Item = &'static Key> {
        let is_own = |key: &Key| self.own.iter().any(|own| own.name == key.name);
        self.own.iter().chain(self.others.iter().filter(move |key| !is_own(key)))
    }

    /// The key with this name, in the form that `form` gives names.
    pub(crate) fn find(&self, name: &str, form: impl Fn(&str) -> String) -> Option<Whose> {
        let key = self.all().find(|key| form(key.name) == name)?;
        let is_own = self.own.iter().any(|own| own.name == key.name);
        Some(if is_own { Whose::Own(key.name) } else { Whose::Passed })
    }

    /// Whether keys begin with this name.
    pub(crate) fn is_level(&self, name: &str) -> bool {
        self.all().any(|key| below(key.name, name).is_some())
    }

    /// What is allowed, with the key first that was probably meant.
    pub(crate) fn hint(&self, name: &str) -> String {
        let last = |name: &'static str| name.rsplit('.').next().unwrap_or_default();
        let wanted = name.rsplit('.').next().unwrap_or_default();
        let names = || self.all().map(|key| key.name);
        let near = nearest(name, names())
            // It may stand at another level, or be one.
            .or_else(|| names().find(|known| last(known) == wanted || below(known, name).is_some()))
            .or_else(|| names().find(|known| nearest(wanted, [last(known)]).is_some()));
        choice(near, names())
    }
}

/// What there is, with the one first that was probably meant.
pub(crate) fn choice<'n>(near: Option<&str>, all: impl IntoIterator<Item = &'n str>) -> String {
    let all = all.into_iter().collect::<Vec<_>>().join(", ");
    match near {
        Some(near) => format!("; did you mean `{near}`? There are {all}"),
        None => format!("; there are {all}"),
    }
}

/// What a key has below a level.
fn below<'k>(key: &'k str, level: &str) -> Option<&'k str> {
    key.strip_prefix(level)?.strip_prefix('.')
}
