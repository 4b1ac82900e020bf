//! OpenSSH's own format of private keys (PROTOCOL.key), of which the public half is read.

use super::{PrivateKey, bits, curve, edwards};

/// The public half comes before the encrypted part, so that its type is known without the passphrase.
pub(super) fn key(bytes: &[u8]) -> Option<PrivateKey> {
    let mut at = bytes.strip_prefix(b"openssh-key-v1\0")?;
    let cipher = string(&mut at)?;
    let (_kdf, _kdf_options) = (string(&mut at)?, string(&mut at)?);
    at = at.get(4..)?;
    let key = public(string(&mut at)?).unwrap_or_default();
    Some(PrivateKey { encrypted: cipher != b"none", ..key })
}

fn public(mut at: &[u8]) -> Option<PrivateKey> {
    let at = &mut at;
    let mut key = PrivateKey::default();
    match string(at)? {
        b"ssh-rsa" => {
            let _exponent = string(at)?;
            (key.kind, key.bits) = (Some("rsa"), Some(bits(string(at)?)));
        }
        b"ssh-dss" => {
            (key.kind, key.bits) = (Some("dsa"), Some(bits(string(at)?)));
            key.subgroup_bits = Some(bits(string(at)?));
        }
        b"ssh-ed25519" | b"sk-ssh-ed25519@openssh.com" => return Some(edwards("ed25519")),
        name if name.starts_with(b"ecdsa-sha2-") || name.starts_with(b"sk-ecdsa-sha2-") => {
            return Some(curve(|c| c.openssh, string(at)?));
        }
        _ => return None,
    }
    Some(key)
}

/// A length of four bytes, and so many bytes (RFC 4251 section 5).
fn string<'a>(at: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, rest) = at.split_first_chunk::<4>()?;
    let (text, rest) = rest.split_at_checked(u32::from_be_bytes(*len) as usize)?;
    *at = rest;
    Some(text)
}
