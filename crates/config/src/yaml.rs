//! A configuration file as YAML: keys with dots between their levels, texts, lists, and places. Nothing outside
//! knows which crate reads it.

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

/// Levels of lists and maps within each other; a configuration has three.
const DEPTH_MAX: usize = 8;
/// Values, lists and maps of a file.
const NODES_MAX: usize = 10_000;

/// A key as it is written, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) key: String,
    pub(crate) line: u64,
    pub(crate) column: u64,
    /// What it is given, with line and column; nothing, as in `rules:`.
    pub(crate) value: Option<(Value, (u64, u64))>,
}

impl Written {
    pub(crate) fn says_nothing(&self) -> bool {
        matches!(self.value, None | Some((Value::Map, _)))
    }
}

/// What a key is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    List(Vec<Item>),
    /// A map of nothing.
    Map,
}

impl Value {
    /// What it is, for messages.
    pub(crate) fn is(&self) -> String {
        match self {
            Value::Text(text) => format!("{text:?}"),
            Value::List(_) => "a list".to_owned(),
            Value::Map => "a map".to_owned(),
        }
    }
}

/// One of a list, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) text: String,
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
    /// A number as it was understood.
    Number(String),
    List(Vec<Spanned<Node>>),
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Node, D::Error> {
        struct NodeVisitor;
        impl<'de> Visitor<'de> for NodeVisitor {
            type Value = Node;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a value, a list or a map")
            }

            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Empty)
            }

            fn visit_bool<E>(self, truth: bool) -> Result<Node, E> {
                Ok(Node::Text(truth.to_string()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Node, E> {
                Ok(Node::Number(number.to_string()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Node, E> {
                Ok(Node::Number(number.to_string()))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Node, E> {
                Ok(Node::Number(number.to_string()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Node, E> {
                Ok(Node::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(Node::List(items))
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
        // A mode is written 0660, and octal numbers are not meant anywhere else.
        leading_zero_numbers_as_strings: true,
        strict_booleans: true,
        with_snippet: false,
    };
    let root: Spanned<Node> = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let message = error.to_string();
        let message = message.rfind(" at line ").map_or(message.as_str(), |at| &message[..at]).to_owned();
        let (line, column) = error.location().map_or((1, 1), |place| (place.line(), place.column()));
        Fault { line, column, message }
    })?;
    let Node::Map(pairs) = root.value else {
        return match root.value {
            Node::Empty => Ok(Vec::new()),
            _ => Err(fault(&root.defined, "a configuration is a map of keys to values".to_owned())),
        };
    };
    let mut written = Vec::new();
    flatten(text, "", pairs, &mut written)?;
    Ok(written)
}

fn fault(place: &Location, message: String) -> Fault {
    Fault { line: place.line().max(1), column: place.column().max(1), message }
}

fn flatten(
    text: &str,
    above: &str,
    pairs: Vec<(Spanned<String>, Spanned<Node>)>,
    written: &mut Vec<Written>,
) -> Result<(), Fault> {
    for (name, node) in pairs {
        let key = if above.is_empty() { name.value.clone() } else { format!("{above}.{}", name.value) };
        if written.iter().any(|known| known.key == key) {
            return Err(fault(&name.defined, format!("`{key}` is there twice")));
        }
        let value = match node.value {
            Node::Map(pairs) if !pairs.is_empty() => {
                flatten(text, &key, pairs, written)?;
                continue;
            }
            Node::Map(_) => Some(Value::Map),
            Node::Empty => None,
            Node::List(items) => {
                let items = items.into_iter().map(|item| self::item(text, &key, item));
                Some(Value::List(items.collect::<Result<_, _>>()?))
            }
            Node::Text(value) => Some(Value::Text(value)),
            Node::Number(number) => Some(Value::Text(as_written(text, &node.defined, number))),
        };
        let place = (node.defined.line(), node.defined.column());
        let value = value.map(|value| (value, place));
        written.push(Written { key, line: name.defined.line(), column: name.defined.column(), value });
    }
    Ok(())
}

fn item(text: &str, key: &str, item: Spanned<Node>) -> Result<Item, Fault> {
    let place = item.defined;
    let text = match item.value {
        Node::Text(value) => value,
        Node::Number(number) => as_written(text, &place, number),
        _ => return Err(fault(&place, format!("`{key}` is a list of single values"))),
    };
    Ok(Item { text, line: place.line(), column: place.column() })
}

/// A number as it stands in the file: what a mode of `0o660` or a name of `1e3` is, the setting decides. The number as
/// it was understood where that is not known, as behind a tag.
fn as_written(text: &str, place: &Location, number: String) -> String {
    let span = place.span();
    let bytes = span.byte_offset().zip(span.byte_len()).and_then(|(offset, length)| {
        let start = usize::try_from(offset).ok()?;
        text.get(start..start.checked_add(usize::try_from(length).ok()?)?)
    });
    match bytes.map(str::trim) {
        Some(bytes) if bytes.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) => {
            bytes.to_owned()
        }
        _ => number,
    }
}
