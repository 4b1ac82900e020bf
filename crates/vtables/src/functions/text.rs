//! Cutting, joining and encoding texts.

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use model::Value;

use super::call::{Call, Error, Result};

/// Reads base64 as leniently as osquery: padding and the unused bits of the last character do not matter.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// `split(text, delimiters, index)`
pub(super) fn split(call: &Call<'_>) -> Result {
    let (text, delimiters) = (call.bytes(0), call.bytes(1));
    if delimiters.is_empty() {
        return Err(Error::Argument("split: there are no delimiters".into()));
    }
    let Some(index) = call.place(2) else { return Ok(Value::Null) };
    // Empty pieces do not count, but pieces that are empty only once trimmed do, as in osquery.
    let mut pieces = text.split(|byte| delimiters.contains(byte)).filter(|piece| !piece.is_empty());
    Ok(pieces.nth(index).map(|piece| trim(piece).to_vec()).into())
}

/// Without the white space of C's `isspace`, which has the vertical tab that Rust's has not.
fn trim(mut bytes: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    while let [first, rest @ ..] = bytes
        && is_space(first)
    {
        bytes = rest;
    }
    while let [rest @ .., last] = bytes
        && is_space(last)
    {
        bytes = rest;
    }
    bytes
}

/// `concat(value, …)`
pub(super) fn concat(call: &Call<'_>) -> Result {
    Ok(join(call, 0, b""))
}

/// `concat_ws(separator, value, …)`
pub(super) fn concat_ws(call: &Call<'_>) -> Result {
    if call.len() == 0 {
        return Err(Error::Argument("concat_ws: there is no separator".into()));
    }
    Ok(join(call, 1, &call.bytes(0)))
}

fn join(call: &Call<'_>, first: usize, separator: &[u8]) -> Value<'static> {
    if call.len() <= first {
        return Value::Null;
    }
    let values =
        (first..call.len()).filter(|argument| call.raw(*argument) != rusqlite::types::ValueRef::Null);
    let mut joined = Vec::new();
    for (place, argument) in values.enumerate() {
        if place > 0 {
            joined.extend_from_slice(separator);
        }
        joined.extend_from_slice(&call.bytes(argument));
    }
    joined.into()
}

/// `to_base64(value)`
pub(super) fn to_base64(call: &Call<'_>) -> Result {
    Ok(STANDARD.encode(call.bytes(0)).into())
}

/// `conditional_to_base64(value)`
pub(super) fn conditional_to_base64(call: &Call<'_>) -> Result {
    let bytes = call.bytes(0);
    let printable = bytes.iter().all(|byte| matches!(byte, b' '..=b'~'));
    if printable { Ok(bytes.into_owned().into()) } else { to_base64(call) }
}

/// `from_base64(text)`
pub(super) fn from_base64(call: &Call<'_>) -> Result {
    let mut text = call.bytes(0).into_owned();
    text.retain(|byte| !matches!(byte, b'\r' | b'\n'));
    let digits = text.len() - text.iter().rev().take_while(|byte| **byte == b'=').count();
    Ok(LENIENT.decode(&text[..digits]).unwrap_or_default().into())
}

#[cfg(test)]
mod tests {
    use super::super::testing::check;

    #[test]
    fn texts_are_split_as_osquery_splits_them() {
        check(&[
            ("split('192.168.0.1', '.', 1)", "'168'"),
            ("split('192.168.0.1', '.0', 2)", "'1'"),
            ("split('/foo/bar', '/', 0)", "'foo'"),
            ("split('/foo/bar', '/', 2)", "NULL"),
            ("split('foo;;bar', ';;', 1)", "'bar'"),
            ("split('a,  , b ', ',', 1)", "''"),
            ("split('a,  , b ', ',', 2)", "'b'"),
            ("split('a,' || char(9, 11, 12) || 'b', ',', 1)", "'b'"),
            ("split('', ',', 0)", "NULL"),
            ("split(1001, 1, 0)", "'00'"),
            ("split('a b', ' ', -1)", "NULL"),
            ("split('a b', ' ', '1')", "'b'"),
            ("split('a', '', 0)", "error: split: there are no delimiters"),
            ("split(NULL, '', 0)", "NULL"),
        ]);
    }

    #[test]
    fn values_are_joined_without_nulls() {
        check(&[
            ("concat()", "NULL"),
            ("concat('hello', NULL, 'world')", "'helloworld'"),
            ("concat(1, 2.5, 3, 'go')", "'12.53go'"),
            ("concat(NULL)", "''"),
            ("concat(1e300, 0.1)", "'1.0e+3000.1'"),
            ("concat_ws('')", "NULL"),
            ("concat_ws(', ', 'hello', 'world', 1, 2, 3)", "'hello, world, 1, 2, 3'"),
            ("concat_ws(NULL, 'hello', 'world', 1)", "'helloworld1'"),
            ("concat_ws(' ', 'hello', NULL, 'world')", "'hello world'"),
            ("concat_ws(' ', 'hello', NULL)", "'hello'"),
            ("concat_ws('x', '', '')", "'x'"),
            ("concat_ws()", "error: concat_ws: there is no separator"),
        ]);
    }

    #[test]
    fn base64_goes_both_ways() {
        check(&[
            ("to_base64('test')", "'dGVzdA=='"),
            ("to_base64('')", "''"),
            ("to_base64(x'00ff')", "'AP8='"),
            ("to_base64(12)", "'MTI='"),
            ("from_base64('dGVzdA==')", "'test'"),
            ("from_base64('dGVzdA')", "'test'"),
            ("from_base64('dGVz' || char(13, 10) || 'dA==' || char(10))", "'test'"),
            ("from_base64('dGVzdB==')", "'test'"),
            ("from_base64('AP8=')", r"'\x00\xff'"),
            ("from_base64('dGVzd!==')", "''"),
            ("from_base64('====')", "''"),
            ("from_base64('dGV zdA==')", "''"),
            ("conditional_to_base64('test ~')", "'test ~'"),
            ("conditional_to_base64('悪因悪果')", "'5oKq5Zug5oKq5p6c'"),
            ("conditional_to_base64(char(27))", "'Gw=='"),
        ]);
    }
}
