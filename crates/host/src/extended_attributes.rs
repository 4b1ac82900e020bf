//! `extended_attributes`: from llistxattr(2) and lgetxattr(2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use collector::{Host, Row, Rows, Table, int, pattern, reason, required, text, unique, vanished};
use model::{Extent, Query, Run, ScanError};

use crate::file_capabilities;
use crate::paths::{self, Found};

pub(crate) static TABLE: Table<Attribute, Host> = Table {
    name: "extended_attributes",
    about: "Extended attributes of files and directories, links not followed; capabilities among them.",
    identity: unique(&["path", "directory", "key"]),
    extent: Extent::PerKey { keys: 100_000, rows: 1 },
    columns: &[
        required(pattern(text("path", "Path, as it was asked for.", |a| a.found.path().into()))),
        required(pattern(text("directory", "Directory of the path.", |a| a.found.directory().into()))),
        text("key", "Name with its namespace: `security.capability`, `user.xdg.origin.url`.", |a| {
            (&a.key).into()
        }),
        text("value", "Value; capabilities as in `getcap`: `cap_net_raw=ep`.", |a| {
            a.value.as_ref().map(|value| &value.text).into()
        }),
        int("base64", "1 when the value is in base64, because it is not printable text.", |a| {
            a.value.as_ref().map(|value| value.base64).into()
        }),
    ],
    scan,
    examples: &[
        "SELECT path, value FROM extended_attributes WHERE directory = '/usr/bin' AND key = 'security.capability'",
        "SELECT key, value FROM extended_attributes WHERE path LIKE '/etc/ssh/%'",
    ],
};

pub(crate) struct Attribute {
    found: Arc<Found>,
    key: Vec<u8>,
    value: Option<Text>,
}

#[derive(Debug, PartialEq)]
struct Text {
    text: Vec<u8>,
    base64: bool,
}

impl Row for Attribute {
    fn heap_bytes(&self) -> usize {
        let value = self.value.as_ref().map_or(0, |value| value.text.capacity());
        self.found.heap_bytes() + self.key.capacity() + value
    }
}

fn scan(host: &Host, query: &Query) -> Result<Rows<Attribute>, ScanError> {
    let (host, run) = (host.clone(), query.run.clone());
    let values = query.uses(&["value", "base64"]);
    let found = paths::asked(&host, query, TABLE.name)?;
    Ok(Box::new(found.flat_map(move |found| match found {
        Ok(found) => attributes(&host, &run, found, values).into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    })))
}

fn attributes(host: &Host, run: &Run, found: Found, values: bool) -> Vec<Attribute> {
    let keys = host.attribute_names(found.path()).unwrap_or_else(|error| {
        // A file system without attributes has none.
        if error.kind() != ErrorKind::Unsupported {
            note(run, "", &error);
        }
        Vec::new()
    });
    let found = Arc::new(found);
    let attribute = |key: Vec<u8>| {
        let value = match values.then(|| host.attribute(found.path(), &key)) {
            Some(Err(error)) if gone(&error) => return None,
            Some(value) => value.map_err(|error| note(run, "value", &error)).ok(),
            None => None,
        };
        let value = value.map(|value| readable(&key, &value));
        Some(Attribute { found: found.clone(), key, value })
    };
    keys.into_iter().filter_map(attribute).collect()
}

/// The attribute or its file went away after it was listed.
fn gone(error: &io::Error) -> bool {
    vanished(error) || error.raw_os_error() == Some(rustix::io::Errno::NODATA.raw_os_error())
}

fn note(run: &Run, column: &'static str, error: &io::Error) {
    if !gone(error) {
        run.note(TABLE.name, column, reason(error));
    }
}

fn readable(key: &[u8], value: &[u8]) -> Text {
    if key == b"security.capability"
        && let Some(capabilities) = file_capabilities::text(value)
    {
        return Text { text: capabilities.into_bytes(), base64: false };
    }
    // SELinux and others end their text with a NUL.
    let text = value.strip_suffix(b"\0").unwrap_or(value);
    match std::str::from_utf8(text) {
        Ok(printable) if !printable.contains(char::is_control) => Text { text: text.to_vec(), base64: false },
        _ => Text { text: STANDARD.encode(value).into_bytes(), base64: true },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_text_when_it_can_be_printed() {
        let readable = |value: &[u8]| {
            let value = readable(b"user.x", value);
            (String::from_utf8(value.text).unwrap(), value.base64)
        };
        assert_eq!(readable(b"plain"), ("plain".into(), false));
        assert_eq!(readable("é\0".as_bytes()), ("é".into(), false));
        assert_eq!(readable(b""), ("".into(), false));
        assert_eq!(readable(b"a\0b"), ("YQBi".into(), true));
        assert_eq!(readable(b"\xff"), ("/w==".into(), true));
    }
}
