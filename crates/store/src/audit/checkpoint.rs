//! Signed checkpoints: C2SP tlog-checkpoint in a C2SP signed-note.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use super::Head;
use super::entry::{Hash, LedgerId};
use crate::StoreError;

const ORIGIN_PREFIX: &str = "daemoneye/";
/// Signature type of Ed25519 in a signed note.
const ED25519: u8 = 1;
/// SubjectPublicKeyInfo of RFC 8410 up to the key's bytes.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// Bytes of a checkpoint's text that are looked at.
const TEXT_BYTES_MAX: usize = 64 << 10;

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let digits = text.as_bytes();
    let lower = digits.iter().all(|d| matches!(d, b'0'..=b'9' | b'a'..=b'f'));
    if digits.len() != 2 * N || !lower {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

fn origin(ledger: &LedgerId) -> String {
    format!("{ORIGIN_PREFIX}{}", hex(ledger))
}

/// A public key with the name of the ledger that it signs for, as a signed note's verifier key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteKey {
    ledger: LedgerId,
    key: VerifyingKey,
}

impl NoteKey {
    pub(super) fn new(ledger: LedgerId, key: VerifyingKey) -> NoteKey {
        NoteKey { ledger, key }
    }

    /// The ledger that it signs for.
    pub fn ledger(&self) -> LedgerId {
        self.ledger
    }

    /// The 32 bytes of the Ed25519 key.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.key.to_bytes()
    }

    /// As `PUBLIC KEY` in PEM (RFC 8410), for openssl.
    pub fn to_pem(&self) -> String {
        let info = [&SPKI_PREFIX[..], self.key.as_bytes()].concat();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(info))
    }

    fn typed(&self) -> Vec<u8> {
        [&[ED25519], &self.key.as_bytes()[..]].concat()
    }

    /// The first four bytes of SHA-256 over name, newline, type and key.
    fn id(&self) -> [u8; 4] {
        let hash =
            Sha256::new().chain_update(origin(&self.ledger)).chain_update("\n").chain_update(self.typed());
        hash.finalize().first_chunk().copied().unwrap_or_default()
    }

    /// Whether this key signed the checkpoint.
    pub fn signed(&self, checkpoint: &Checkpoint) -> bool {
        let name = origin(&self.ledger);
        checkpoint.signatures.iter().any(|line| {
            line.name == name
                && line.key_id == self.id()
                && self
                    .key
                    .verify_strict(checkpoint.body.as_bytes(), &Signature::from_bytes(&line.bytes))
                    .is_ok()
        })
    }
}

impl fmt::Display for NoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}+{}", origin(&self.ledger), hex(&self.id()), STANDARD.encode(self.typed()))
    }
}

impl FromStr for NoteKey {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<NoteKey, StoreError> {
        let parse = || {
            let mut parts = text.trim().splitn(3, '+');
            let ledger = unhex(parts.next()?.strip_prefix(ORIGIN_PREFIX)?)?;
            let (id, typed) = (unhex::<4>(parts.next()?)?, STANDARD.decode(parts.next()?).ok()?);
            let bytes = <[u8; 32]>::try_from(typed.strip_prefix(&[ED25519])?).ok()?;
            let key = NoteKey { ledger, key: VerifyingKey::from_bytes(&bytes).ok()? };
            (key.id() == id).then_some(key)
        };
        let wrong = "this is no verifier key of a ledger: it reads daemoneye/<id>+<hash>+<base64>";
        parse().ok_or_else(|| StoreError::Refused(wrong.into()))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct SignatureLine {
    name: String,
    key_id: [u8; 4],
    bytes: [u8; 64],
}

/// What somebody signed about a ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Where the ledger stood.
    pub head: Head,
    /// When it was signed, in ms since 1970.
    pub time_ms: i64,
    /// All that is signed.
    body: String,
    signatures: Vec<SignatureLine>,
}

impl Checkpoint {
    /// The checkpoint of a text, whoever signed it.
    pub fn parse(text: &str) -> Result<Checkpoint, StoreError> {
        let wrong = "this is no checkpoint of a ledger: docs/ledger-format.md shows one";
        parse(text).ok_or_else(|| StoreError::Refused(wrong.into()))
    }

    /// The bytes that the signature is over.
    pub fn signed_text(&self) -> &str {
        &self.body
    }

    /// The signatures, 64 bytes each.
    pub fn signatures(&self) -> impl Iterator<Item = &[u8; 64]> {
        self.signatures.iter().map(|line| &line.bytes)
    }
}

/// The text of a checkpoint of this head.
pub(super) fn sign(head: &Head, time_ms: i64, key: &SigningKey) -> String {
    let body = body(head, time_ms);
    let public = NoteKey::new(head.ledger, key.verifying_key());
    let signature = [&public.id()[..], &key.sign(body.as_bytes()).to_bytes()].concat();
    format!("{body}\n\u{2014} {} {}\n", origin(&head.ledger), STANDARD.encode(signature))
}

fn body(head: &Head, time_ms: i64) -> String {
    let (root, hash) = (STANDARD.encode(head.root), STANDARD.encode(head.hash));
    format!("{}\n{}\n{root}\nchain {hash}\ntime_ms {time_ms}\n", origin(&head.ledger), head.size)
}

fn parse(text: &str) -> Option<Checkpoint> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let (body_text, signatures) = text.split_once("\n\n")?;
    let mut lines = body_text.split('\n');
    let ledger = unhex(lines.next()?.strip_prefix(ORIGIN_PREFIX)?)?;
    let size = lines.next()?.parse().ok()?;
    let root = decode_hash(lines.next()?)?;
    let hash = decode_hash(lines.next()?.strip_prefix("chain ")?)?;
    let time_ms = lines.next()?.strip_prefix("time_ms ")?.parse().ok()?;
    let head = Head { ledger, size, hash, root };
    // There is one way to write a checkpoint: a leading zero or a further line is somebody else's.
    let canonical = body(&head, time_ms);
    if canonical.strip_suffix('\n') != Some(body_text) {
        return None;
    }
    let signatures = signatures.strip_suffix('\n')?.split('\n').map(signature_line);
    let signatures = signatures.collect::<Option<Vec<_>>>()?;
    Some(Checkpoint { head, time_ms, body: canonical, signatures })
}

fn decode_hash(text: &str) -> Option<Hash> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

fn signature_line(line: &str) -> Option<SignatureLine> {
    let (name, encoded) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    let bytes = STANDARD.decode(encoded).ok()?;
    let (key_id, signature) = bytes.split_first_chunk()?;
    Some(SignatureLine { name: name.into(), key_id: *key_id, bytes: signature.try_into().ok()? })
}
