//! A configuration file as YAML: keys with dots between their levels, texts, and places. Nothing outside knows
//! which crate reads it.

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_saphyr::Spanned;

/// Levels of maps within each other; the configuration has two.
const DEPTH_MAX: usize = 8;
/// Values and maps of a file.
const NODES_MAX: usize = 10_000;

/// A value as it is written, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) line: u64,
    pub(crate) column: u64,
}

/// What is wrong with a file, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) line: u64,
    pub(crate) column: u64,
    pub(crate) message: String,
}

enum Node {
    /// Nothing, as in `rules:`.
    Empty,
    Text(String),
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Node, D::Error> {
        struct NodeVisitor;
        impl<'de> Visitor<'de> for NodeVisitor {
            type Value = Node;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a value or a map")
            }

            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Empty)
            }

            fn visit_bool<E>(self, truth: bool) -> Result<Node, E> {
                Ok(Node::Text(truth.to_string()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Node, E> {
                Ok(Node::Text(number.to_string()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Node, E> {
                Ok(Node::Text(number.to_string()))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Node, E> {
                Ok(Node::Text(number.to_string()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Node, E> {
                Ok(Node::Text(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Node::Map(pairs))
            }
        }
        deserializer.deserialize_any(NodeVisitor)
    }
}

/// The values of a file, in its order.
pub(crate) fn read(text: &str) -> Result<Vec<Written>, Fault> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim().starts_with('#')) {
        return Ok(Vec::new());
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            max_nodes: NODES_MAX,
            max_events: 4 * NODES_MAX,
            max_aliases: 0,
            max_anchors: 0,
        },
        strict_booleans: true,
        with_snippet: false,
    };
    let root: Spanned<Node> = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let message = error.to_string();
        let message = message.rfind(" at line ").map_or(message.as_str(), |at| &message[..at]).to_owned();
        let (line, column) = error.location().map_or((1, 1), |place| (place.line(), place.column()));
        Fault { line, column, message }
    })?;
    let mut written = Vec::new();
    match root.value {
        Node::Map(pairs) => flatten("", pairs, &mut written)?,
        Node::Empty => {}
        Node::Text(_) => {
            return Err(Fault {
                line: 1,
                column: 1,
                message: "a configuration is a map of keys to values".into(),
            });
        }
    }
    Ok(written)
}

fn flatten(
    above: &str,
    pairs: Vec<(Spanned<String>, Spanned<Node>)>,
    written: &mut Vec<Written>,
) -> Result<(), Fault> {
    for (name, node) in pairs {
        let key = if above.is_empty() { name.value.clone() } else { format!("{above}.{}", name.value) };
        let (line, column) = (name.defined.line(), name.defined.column());
        if written.iter().any(|known| known.key == key) {
            return Err(Fault { line, column, message: format!("`{key}` is there twice") });
        }
        match node.value {
            Node::Map(pairs) => flatten(&key, pairs, written)?,
            Node::Empty => {}
            Node::Text(value) => written.push(Written { key, value, line, column }),
        }
    }
    Ok(())
}
