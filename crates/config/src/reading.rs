//! From the texts of layers to typed values.

use crate::error::ConfigError;
use crate::layers::{Given, Layers, Origin};
use crate::yaml::Value;

/// A value, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Where it came from.
    pub origin: Origin,
}

/// Each setting as text, in the order in which they are shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shown(Vec<(&'static str, String, Origin)>);

impl Shown {
    /// A line each: the key, its value, and where that came from.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (key, value, origin) in &self.0 {
            let value = if value.is_empty() { "(usual)" } else { value };
            text.push_str(&format!("{key:<18} {value:<24} {origin}\n"));
        }
        text
    }

    /// Shows another value for a key.
    pub(crate) fn replace(&mut self, key: &str, value: String, origin: Origin) {
        if let Some(shown) = self.0.iter_mut().find(|shown| shown.0 == key) {
            (shown.1, shown.2) = (value, origin);
        }
    }

    #[cfg(test)]
    pub(crate) fn keys(&self) -> Vec<&'static str> {
        self.0.iter().map(|shown| shown.0).collect()
    }
}

/// Takes typed values out of layers, and notes each for the list of all.
pub(crate) struct Reading<'l> {
    layers: &'l Layers,
    pub(crate) shown: Shown,
}

impl Reading<'_> {
    pub(crate) fn of(layers: &Layers) -> Reading<'_> {
        Reading { layers, shown: Shown::default() }
    }

    /// A value, or else the usual one.
    pub(crate) fn one<T>(
        &mut self,
        key: &'static str,
        usual: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Setting<T>, ConfigError> {
        let usual = Given::usual(usual);
        let given = self.layers.get(key).unwrap_or(&usual);
        let Value::Text(text) = &given.value else {
            return Err(given.refused(key, "write one value"));
        };
        let value = parse(text).map_err(|allowed| given.refused(key, &allowed))?;
        self.shown.0.push((key, text.clone(), given.origin.clone()));
        Ok(Setting { value, origin: given.origin.clone() })
    }

    /// A value, if there is one.
    pub(crate) fn maybe<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Setting<Option<T>>, ConfigError> {
        let given = self.layers.get(key).is_some();
        self.one(key, "", |text| if given { parse(text).map(Some) } else { Ok(None) })
    }

    /// A list of values, or else the usual one. What `parse` says of a bad one is a sentence that names it.
    pub(crate) fn each<T>(
        &mut self,
        key: &'static str,
        usual: impl IntoIterator<Item = T>,
        name: impl Fn(&T) -> &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Setting<Vec<T>>, ConfigError> {
        let (value, origin) = match self.layers.get(key) {
            None => (usual.into_iter().collect(), Origin::Default),
            Some(given) => {
                let Value::List(items) = &given.value else {
                    return Err(given.refused(key, "write a list, such as [a, b]"));
                };
                let parsed = items.iter().map(|item| {
                    parse(&item.text).map_err(|message| given.wrong(item.line, item.column, message))
                });
                (parsed.collect::<Result<Vec<T>, _>>()?, given.origin.clone())
            }
        };
        let names: Vec<&str> = value.iter().map(name).collect();
        self.shown.0.push((key, format!("[{}]", names.join(", ")), origin.clone()));
        Ok(Setting { value, origin })
    }
}
