//! One value of a row.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// One value of a row, with SQLite's five storage classes.
///
/// `Text` carries the machine's bytes: a path or a command line need not be UTF-8, and no byte is lost.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Unknown, not applicable, or not readable with this process's rights.
    Null,
    /// A signed 64-bit integer.
    Int(i64),
    /// An IEEE 754 double.
    Real(f64),
    /// Text: usually UTF-8, never guaranteed.
    Text(Cow<'a, [u8]>),
    /// Bytes that are not text.
    Blob(Cow<'a, [u8]>),
}

impl<'a> Value<'a> {
    /// The same value, owning its bytes.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Null => Value::Null,
            Value::Int(n) => Value::Int(n),
            Value::Real(x) => Value::Real(x),
            Value::Text(bytes) => Value::Text(Cow::Owned(bytes.into_owned())),
            Value::Blob(bytes) => Value::Blob(Cow::Owned(bytes.into_owned())),
        }
    }

    /// A copy that owns its bytes.
    pub fn to_static(&self) -> Value<'static> {
        match self {
            Value::Null => Value::Null,
            Value::Int(n) => Value::Int(*n),
            Value::Real(x) => Value::Real(*x),
            Value::Text(bytes) => Value::Text(Cow::Owned(bytes.to_vec())),
            Value::Blob(bytes) => Value::Blob(Cow::Owned(bytes.to_vec())),
        }
    }

    /// The integer, when this is one; no conversion is tried.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(n) => Some(*n),
            _ => None,
        }
    }

    /// The text's bytes, when this is text.
    pub fn as_text(&self) -> Option<&[u8]> {
        match self {
            Value::Text(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The text, when this is text and valid UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        self.as_text().and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// Whether this is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// Bytes held outside the value itself.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Value::Text(bytes) | Value::Blob(bytes) => bytes.len(),
            _ => 0,
        }
    }
}

macro_rules! from_integers {
    ($($int:ty),*) => {$(
        impl From<$int> for Value<'_> {
            fn from(n: $int) -> Self {
                Value::Int(i64::from(n))
            }
        }
    )*};
}
from_integers!(i8, i16, i32, i64, u8, u16, u32, bool);

/// Bits are kept: a value past `i64::MAX` turns negative, as in osquery.
impl From<u64> for Value<'_> {
    fn from(n: u64) -> Self {
        Value::Int(n as i64)
    }
}

impl From<usize> for Value<'_> {
    fn from(n: usize) -> Self {
        Value::Int(n as i64)
    }
}

impl From<f64> for Value<'_> {
    fn from(x: f64) -> Self {
        Value::Real(x)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Value::Text(Cow::Borrowed(bytes))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::Text(Cow::Borrowed(text.as_bytes()))
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        text.as_str().into()
    }
}

impl<'a> From<&'a Vec<u8>> for Value<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        bytes.as_slice().into()
    }
}

impl<'a> From<&'a OsStr> for Value<'a> {
    fn from(text: &'a OsStr) -> Self {
        text.as_encoded_bytes().into()
    }
}

impl<'a> From<&'a Path> for Value<'a> {
    fn from(path: &'a Path) -> Self {
        path.as_os_str().into()
    }
}

impl<'a> From<&'a PathBuf> for Value<'a> {
    fn from(path: &'a PathBuf) -> Self {
        path.as_path().into()
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Value::Text(Cow::Owned(text.into_bytes()))
    }
}

impl From<Vec<u8>> for Value<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Value::Text(Cow::Owned(bytes))
    }
}

impl From<OsString> for Value<'_> {
    fn from(text: OsString) -> Self {
        text.into_encoded_bytes().into()
    }
}

impl From<PathBuf> for Value<'_> {
    fn from(path: PathBuf) -> Self {
        path.into_os_string().into()
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}
