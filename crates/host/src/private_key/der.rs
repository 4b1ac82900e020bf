//! Keys in DER (X.690): PKCS #1 (RFC 8017), PKCS #8 (RFC 5208), SEC 1 (RFC 5915) and the DSA keys of OpenSSL.

use super::{PrivateKey, bits, curve, edwards};

pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_ID: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;
/// The curve of a SEC 1 key (RFC 5915).
pub(super) const CONTEXT_0: u8 = 0xa0;

/// The content of the next DER element, which must have the tag (X.690).
fn element<'a>(at: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (head, mut rest) = at.split_first_chunk::<2>()?;
    if head[0] != tag {
        return None;
    }
    let mut len = usize::from(head[1]);
    if len >= 0x80 {
        let (digits, after) = rest.split_at_checked(len & 0x7f)?;
        if digits.len() > 4 {
            return None;
        }
        len = digits.iter().fold(0, |len, b| len << 8 | usize::from(*b));
        rest = after;
    }
    let (content, rest) = rest.split_at_checked(len)?;
    *at = rest;
    Some(content)
}

pub(super) fn rsa(mut der: &[u8]) -> Option<PrivateKey> {
    let mut at = element(&mut der, SEQUENCE)?;
    let _version = element(&mut at, INTEGER)?;
    let bits = bits(element(&mut at, INTEGER)?);
    Some(PrivateKey { kind: Some("rsa"), bits: Some(bits), ..PrivateKey::default() })
}

pub(super) fn dsa(mut der: &[u8]) -> Option<PrivateKey> {
    let mut at = element(&mut der, SEQUENCE)?;
    let _version = element(&mut at, INTEGER)?;
    field("dsa", &mut at)
}

/// A prime and the order of its subgroup.
fn field(kind: &'static str, at: &mut &[u8]) -> Option<PrivateKey> {
    let (prime, order) = (element(at, INTEGER)?, element(at, INTEGER)?);
    let subgroup_bits = (kind == "dsa").then(|| bits(order));
    Some(PrivateKey { kind: Some(kind), bits: Some(bits(prime)), subgroup_bits, ..PrivateKey::default() })
}

pub(super) fn ec(mut der: &[u8]) -> Option<PrivateKey> {
    let mut at = element(&mut der, SEQUENCE)?;
    let (_version, _secret) = (element(&mut at, INTEGER)?, element(&mut at, OCTET_STRING)?);
    let mut parameters = element(&mut at, CONTEXT_0)?;
    Some(curve(|c| c.object_id, element(&mut parameters, OBJECT_ID)?))
}

pub(super) fn pkcs8(mut der: &[u8]) -> Option<PrivateKey> {
    let mut at = element(&mut der, SEQUENCE)?;
    let _version = element(&mut at, INTEGER)?;
    let mut algorithm = element(&mut at, SEQUENCE)?;
    match element(&mut algorithm, OBJECT_ID)? {
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01" => rsa(element(&mut at, OCTET_STRING)?),
        b"\x2a\x86\x48\xce\x3d\x02\x01" => Some(curve(|c| c.object_id, element(&mut algorithm, OBJECT_ID)?)),
        b"\x2a\x86\x48\xce\x38\x04\x01" => field("dsa", &mut element(&mut algorithm, SEQUENCE)?),
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x03\x01" => field("dh", &mut element(&mut algorithm, SEQUENCE)?),
        b"\x2b\x65\x70" => Some(edwards("ed25519")),
        b"\x2b\x65\x71" => Some(edwards("ed448")),
        _ => None,
    }
}
