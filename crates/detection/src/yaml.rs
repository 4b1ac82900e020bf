//! A rule file as YAML. Nothing outside knows which crate reads it.

use std::marker::PhantomData;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use model::Value;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_saphyr::{Error, Location, Spanned};

use crate::RuleFault;
use crate::source::{Place, Source};

/// Levels of lists and maps within each other; a rule has five.
const DEPTH_MAX: usize = 16;
/// Values, lists and maps of one file.
const NODES_MAX: usize = 100_000;
/// Uses of `*alias`, and values that they stand for.
const ALIASES_MAX: usize = 100;
const ALIASED_NODES_MAX: usize = 10_000;

/// Something read, and the place where it was written.
#[derive(Clone, Debug)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<At<T>, D::Error> {
        let spanned = Spanned::<T>::deserialize(deserializer)?;
        Ok(At { value: spanned.value, place: place(spanned.defined) })
    }
}

fn place(location: Location) -> Place {
    let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    Place {
        line: number(location.line()),
        column: number(location.column()),
        width: number(location.span().len()).max(1),
    }
}

/// A rule as its file has it, nothing checked but the form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleText {
    pub(crate) id: At<String>,
    pub(crate) title: At<String>,
    pub(crate) description: At<String>,
    pub(crate) severity: At<String>,
    #[serde(default)]
    pub(crate) tags: Vec<At<String>>,
    pub(crate) interval: Option<At<String>>,
    pub(crate) timeout: Option<At<String>>,
    pub(crate) budget: Option<BudgetText>,
    pub(crate) sql: At<String>,
    pub(crate) dedup: Option<DedupText>,
    #[serde(default)]
    pub(crate) false_positives: Vec<At<String>>,
    #[serde(default)]
    pub(crate) references: Vec<At<String>>,
    pub(crate) tests: At<Vec<TestText>>,
}

/// The keys of [`RuleText`] that have no default.
const REQUIRED: [&str; 6] = ["id", "title", "description", "severity", "sql", "tests"];

/// `budget: { memory: 32MiB, rows: 10000 }`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BudgetText {
    pub(crate) memory: Option<At<String>>,
    pub(crate) rows: Option<At<u64>>,
}

/// `dedup: { keys: […], window: 24h }`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DedupText {
    pub(crate) keys: Vec<At<String>>,
    pub(crate) window: Option<At<String>>,
}

/// One test case of a rule.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestText {
    pub(crate) name: At<String>,
    pub(crate) now: Option<At<String>>,
    #[serde(default)]
    pub(crate) given: Pairs<Vec<Row>>,
    pub(crate) expect: Vec<Row>,
}

/// A row in a test: columns and values.
pub(crate) type Row = Pairs<At<Literal>>;

/// A map in the order of the file, with the places of its keys.
pub(crate) struct Pairs<T>(pub(crate) Vec<(At<String>, T)>);

impl<T> Default for Pairs<T> {
    fn default() -> Pairs<T> {
        Pairs(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pairs<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pairs<T>, D::Error> {
        struct PairsVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for PairsVisitor<T> {
            type Value = Pairs<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<T>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(PairsVisitor(PhantomData))
    }
}

/// A value in a test. A truth value is 1 or 0, and text that is not UTF-8 is written `{base64: …}`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Literal(pub(crate) Value<'static>);

impl<'de> Deserialize<'de> for Literal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Literal, D::Error> {
        struct LiteralVisitor;
        impl<'de> Visitor<'de> for LiteralVisitor {
            type Value = Literal;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number, a text, null or {base64: …}")
            }

            fn visit_bool<E>(self, truth: bool) -> Result<Literal, E> {
                Ok(Literal(truth.into()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Literal, E> {
                Ok(Literal(number.into()))
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Literal, E> {
                match i64::try_from(number) {
                    Ok(number) => Ok(Literal(number.into())),
                    Err(_) => Err(E::custom(format!("{number} is more than 64 bits with a sign hold"))),
                }
            }

            fn visit_f64<E>(self, number: f64) -> Result<Literal, E> {
                Ok(Literal(number.into()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Literal, E> {
                Ok(Literal(text.to_owned().into()))
            }

            fn visit_unit<E>(self) -> Result<Literal, E> {
                Ok(Literal(Value::Null))
            }

            fn visit_none<E>(self) -> Result<Literal, E> {
                Ok(Literal(Value::Null))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Literal, A::Error> {
                let form = || A::Error::custom("a value that is a map has the form {base64: …}");
                let (key, text) = map.next_entry::<String, String>()?.ok_or_else(form)?;
                if key != "base64" || map.next_key::<String>()?.is_some() {
                    return Err(form());
                }
                match BASE64_STANDARD.decode(text.split_ascii_whitespace().collect::<String>()) {
                    Ok(bytes) => Ok(Literal(bytes.into())),
                    Err(error) => Err(A::Error::custom(format!("not base64: {error}"))),
                }
            }
        }
        deserializer.deserialize_any(LiteralVisitor)
    }
}

/// Reads the form of a rule. Everything is held to the form; what the values mean is checked later.
pub(crate) fn parse(source: &Source) -> Result<RuleText, Box<RuleFault>> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            max_nodes: NODES_MAX,
            max_events: 4 * NODES_MAX,
            max_aliases: ALIASES_MAX,
            max_anchors: ALIASES_MAX,
            max_merge_keys: ALIASES_MAX,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: ALIASED_NODES_MAX,
        },
        // `y`, `no` and `0755` are names and modes more often than truths and octal numbers.
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(&source.text, options)
        .map_err(|error| Box::new(explain(&error, source)))
}

fn explain(error: &Error, source: &Source) -> RuleFault {
    let (message, help) = match error {
        Error::SerdeUnknownField { field, expected, .. } => {
            (format!("there is no key `{field}` here"), Some(format!("the keys are {}", expected.join(", "))))
        }
        // The reader gives the place of the last key before the end.
        Error::SerdeMissingField { field, .. } if REQUIRED.contains(field) => {
            let start = Place { line: 1, column: 1, width: 1 };
            let help = format!("a rule needs {}", REQUIRED.join(", "));
            return source.fault(start, format!("the key `{field}` is missing")).help(help);
        }
        Error::SerdeMissingField { field, .. } => (format!("the key `{field}` is missing here"), None),
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or("of this value");
            (format!("the key `{key}` stands here twice"), None)
        }
        Error::Eof { .. } => ("the file ends where a rule should be".to_owned(), None),
        Error::MultipleDocuments { .. } => {
            ("a second document begins here".to_owned(), Some("write one rule to a file".to_owned()))
        }
        Error::NullIntoString { .. } => ("there is no value here, and a text is needed".to_owned(), None),
        Error::BinaryNotUtf8 { .. } => {
            ("this text is not UTF-8".to_owned(), Some("write it as {base64: …}".to_owned()))
        }
        Error::Budget { breach, .. } => (format!("the file is larger than a rule may be: {breach:?}"), None),
        Error::AliasError { error, .. } => return explain(error, source),
        other => {
            let text = other.to_string();
            // The place is told apart from the message.
            let message = text.rfind(" at line ").map_or(text.as_str(), |at| &text[..at]);
            (message.to_owned(), None)
        }
    };
    let place = match error.location().map(place) {
        Some(place) if place.line > 0 => place,
        _ => Place { line: 1, column: 1, width: 1 },
    };
    RuleFault { help, ..source.fault(place, message) }
}
