//! Events, whose names are sent once per frame.

use std::borrow::Cow;
use std::collections::HashMap;

use model::{Domain, Event, Value};

use crate::events::Delivery;
use crate::proto::{self, value::Kind};

const DOMAINS: [(Domain, proto::Domain); 4] = [
    (Domain::Process, proto::Domain::Process),
    (Domain::Network, proto::Domain::Network),
    (Domain::Filesystem, proto::Domain::Filesystem),
    (Domain::Performance, proto::Domain::Performance),
];

/// A domain as messages name it.
pub(crate) fn domain_number(domain: Domain) -> i32 {
    DOMAINS.iter().find(|(known, _)| *known == domain).map_or(0, |(_, number)| (*number).into())
}

/// The domain of a number; `None` for one that is not known here.
pub(crate) fn domain(number: i32) -> Option<Domain> {
    DOMAINS.iter().find(|(_, known)| i32::from(*known) == number).map(|(domain, _)| *domain)
}

fn value(value: &Value<'_>) -> proto::Value {
    let bytes = |bytes: &[u8]| prost::bytes::Bytes::copy_from_slice(bytes);
    let kind = match value {
        Value::Null => None,
        Value::Int(n) => Some(Kind::Int(*n)),
        Value::Real(x) => Some(Kind::Real(*x)),
        Value::Text(text) => Some(Kind::Text(bytes(text))),
        Value::Blob(blob) => Some(Kind::Blob(bytes(blob))),
    };
    proto::Value { kind }
}

fn value_of(value: Option<proto::Value>) -> Value<'static> {
    match value.and_then(|v| v.kind) {
        None => Value::Null,
        Some(Kind::Int(n)) => Value::Int(n),
        Some(Kind::Real(x)) => Value::Real(x),
        Some(Kind::Text(text)) => Value::Text(Cow::Owned(text.to_vec())),
        Some(Kind::Blob(blob)) => Value::Blob(Cow::Owned(blob.to_vec())),
    }
}

/// Names, each once.
#[derive(Default)]
struct Words<'e> {
    known: HashMap<&'e str, u32>,
    list: Vec<String>,
}

impl<'e> Words<'e> {
    fn number(&mut self, word: &'e str) -> u32 {
        *self.known.entry(word).or_insert_with(|| {
            self.list.push(word.to_owned());
            self.list.len() as u32 - 1
        })
    }
}

/// Events as a message.
pub(crate) fn delivery(events: &[Event], shed: u64) -> proto::Events {
    let mut words = Words::default();
    let mut message = proto::Events { words: Vec::new(), events: Vec::with_capacity(events.len()), shed };
    for e in events {
        message.events.push(proto::Event {
            source: words.number(&e.source),
            sequence: e.sequence,
            domain: domain_number(e.domain),
            kind: words.number(&e.kind),
            time_ns: e.time_ns,
            fields: (e.fields.iter())
                .map(|(name, v)| proto::Field { name: words.number(name), value: Some(value(v)) })
                .collect(),
        });
    }
    message.words = words.list;
    message
}

/// The events of a message. One of a domain that is not known here is counted as shed.
///
/// The error says what is wrong with the message.
pub(crate) fn delivered(message: proto::Events) -> Result<Delivery, &'static str> {
    let words: Vec<String> = message.words;
    let word = |n: u32| words.get(n as usize).cloned().map(Cow::Owned).ok_or("an event names no word");
    let mut delivery = Delivery { events: Vec::with_capacity(message.events.len()), shed: message.shed };
    for e in message.events {
        let Some(domain) = domain(e.domain) else {
            delivery.shed += 1;
            continue;
        };
        let mut fields = Vec::with_capacity(e.fields.len());
        for field in e.fields {
            fields.push((word(field.name)?, value_of(field.value)));
        }
        delivery.events.push(Event {
            source: word(e.source)?,
            sequence: e.sequence,
            domain,
            kind: word(e.kind)?,
            time_ns: e.time_ns,
            fields,
        });
    }
    Ok(delivery)
}
