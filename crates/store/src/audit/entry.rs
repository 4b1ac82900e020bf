//! One entry and its canonical bytes.

/// BLAKE3 in the chain, SHA-256 in the tree.
pub type Hash = [u8; 32];
/// Tells the ledgers of two hosts apart: random, from the ledger's first day.
pub type LedgerId = [u8; 16];

const ENTRY_MAGIC: &[u8; 8] = b"DEENTRY\x01";
const GENESIS_MAGIC: &[u8; 8] = b"DEGENES\x01";
const HASH_BYTES: usize = 32;
/// Bytes of an entry's actor, action and subject together.
pub(super) const TEXT_BYTES_MAX: usize = 64 << 10;
/// Bytes of an entry's payload.
pub(super) const PAYLOAD_BYTES_MAX: usize = 1 << 20;

/// What happened once, as the ledger keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the ledger, from 1 and without gaps.
    pub sequence: u64,
    /// When, in ms since 1970.
    pub time_ms: i64,
    /// Who did it.
    pub actor: String,
    /// What was done, such as `alert.ack`.
    pub action: String,
    /// To what.
    pub subject: String,
    /// BLAKE3 of the payload.
    pub payload_hash: Hash,
    /// Hash of the entry before; of the first one a hash of the ledger's id.
    pub previous: Hash,
    /// BLAKE3 of the canonical bytes.
    pub hash: Hash,
}

/// Why bytes are not a stored entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// They do not have the layout.
    #[error("the bytes do not have the layout of an entry")]
    Layout,
    /// The hash at their end is not that of the bytes before.
    #[error("the bytes of the entry do not have the hash that stands behind them")]
    Hash,
}

/// What the first entry of a ledger names as its previous hash.
pub(super) fn genesis(ledger: &LedgerId) -> Hash {
    *blake3::Hasher::new().update(GENESIS_MAGIC).update(ledger).finalize().as_bytes()
}

impl Entry {
    fn canonical(&self) -> Vec<u8> {
        let mut bytes = ENTRY_MAGIC.to_vec();
        bytes.extend_from_slice(&self.sequence.to_le_bytes());
        bytes.extend_from_slice(&self.time_ms.to_le_bytes());
        bytes.extend_from_slice(&self.previous);
        bytes.extend_from_slice(&self.payload_hash);
        for text in [&self.actor, &self.action, &self.subject] {
            // The ledger takes no text over TEXT_BYTES_MAX, so that a length always fits.
            bytes.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes
    }

    /// The bytes that are stored: the canonical ones, then the hash.
    pub fn to_stored(&self) -> Vec<u8> {
        [&self.canonical()[..], &self.hash].concat()
    }

    /// The same with its hash made anew, and the bytes that are stored: the canonical ones, then the hash.
    pub(super) fn sealed(mut self) -> (Entry, Vec<u8>) {
        let mut bytes = self.canonical();
        self.hash = *blake3::hash(&bytes).as_bytes();
        bytes.extend_from_slice(&self.hash);
        (self, bytes)
    }

    /// The entry of stored bytes, if they are whole and have the hash that they claim.
    pub fn from_stored(bytes: &[u8]) -> Result<Entry, Malformed> {
        let read = Read::from_stored(bytes)?;
        Ok(Entry {
            sequence: read.sequence,
            time_ms: read.time_ms,
            actor: read.actor.to_owned(),
            action: read.action.to_owned(),
            subject: read.subject.to_owned(),
            payload_hash: read.payload_hash,
            previous: read.previous,
            hash: read.hash,
        })
    }
}

/// An entry as it stands in stored bytes: what is looked at once need not be copied.
pub(super) struct Read<'b> {
    pub(super) sequence: u64,
    time_ms: i64,
    actor: &'b str,
    action: &'b str,
    pub(super) subject: &'b str,
    pub(super) payload_hash: Hash,
    pub(super) previous: Hash,
    pub(super) hash: Hash,
}

impl Read<'_> {
    /// As [`Entry::from_stored`].
    pub(super) fn from_stored(bytes: &[u8]) -> Result<Read<'_>, Malformed> {
        let (canonical, hash) = bytes.split_last_chunk::<HASH_BYTES>().ok_or(Malformed::Layout)?;
        if blake3::hash(canonical).as_bytes() != hash {
            return Err(Malformed::Hash);
        }
        parse(canonical, *hash).ok_or(Malformed::Layout)
    }
}

fn parse(canonical: &[u8], hash: Hash) -> Option<Read<'_>> {
    let rest = canonical.strip_prefix(ENTRY_MAGIC)?;
    let (sequence, rest) = rest.split_first_chunk()?;
    let (time, rest) = rest.split_first_chunk()?;
    let (previous, rest) = rest.split_first_chunk()?;
    let (payload_hash, rest) = rest.split_first_chunk()?;
    let (actor, rest) = take_text(rest)?;
    let (action, rest) = take_text(rest)?;
    let (subject, rest) = take_text(rest)?;
    rest.is_empty().then_some(Read {
        sequence: u64::from_le_bytes(*sequence),
        time_ms: i64::from_le_bytes(*time),
        actor,
        action,
        subject,
        payload_hash: *payload_hash,
        previous: *previous,
        hash,
    })
}

fn take_text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (text, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_comes_back_and_no_changed_or_shortened_bytes_do() {
        let entry = Entry {
            sequence: 7,
            time_ms: -1,
            actor: "uid:0".into(),
            action: "alert.ack".into(),
            subject: "\u{e9}".into(),
            payload_hash: [1; 32],
            previous: [2; 32],
            hash: [0; 32],
        };
        let (entry, bytes) = entry.sealed();
        assert_eq!(Entry::from_stored(&bytes), Ok(entry));
        for at in 0..bytes.len() {
            assert!(Entry::from_stored(&bytes[..at]).is_err());
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(Entry::from_stored(&changed), Err(Malformed::Hash));
        }
    }

    #[test]
    fn a_length_beyond_the_bytes_is_no_entry() {
        let mut bytes = ENTRY_MAGIC.to_vec();
        bytes.extend_from_slice(&[0xff; 100]);
        bytes.extend_from_slice(blake3::hash(&bytes.clone()).as_bytes());
        assert_eq!(Entry::from_stored(&bytes), Err(Malformed::Layout));
    }
}
