//! That an entry stands in a ledger, in a text that needs nothing else: the form of C2SP tlog-proof.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::checkpoint::{Checkpoint, NoteKey};
use super::entry::{Entry, Hash};
use super::merkle::{inclusion_holds, leaf_hash};
use crate::StoreError;

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";
/// A tree of 2^64 leaves has no longer path.
const PATH_HASHES_MAX: usize = 64;

/// An inclusion proof under a signed checkpoint. Its text form comes from `to_string` and goes to `parse`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    pub(super) stored: Vec<u8>,
    pub(super) index: u64,
    pub(super) path: Vec<Hash>,
    pub(super) checkpoint: Checkpoint,
    /// The checkpoint as it was signed.
    pub(super) text: String,
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}\nextra {}\nindex {}", STANDARD.encode(&self.stored), self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{}", STANDARD.encode(hash)))?;
        write!(f, "\n{}", self.text)
    }
}

impl FromStr for Proof {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Proof, StoreError> {
        let wrong = "this is no proof of an entry: docs/ledger-format.md shows one";
        parse(text).ok_or_else(|| StoreError::Refused(wrong.into()))
    }
}

fn parse(text: &str) -> Option<Proof> {
    let (head, note) = text.split_once("\n\n")?;
    let mut lines = head.split('\n');
    if lines.next()? != FIRST_LINE {
        return None;
    }
    let stored = STANDARD.decode(lines.next()?.strip_prefix("extra ")?).ok()?;
    let index = lines.next()?.strip_prefix("index ")?.parse().ok()?;
    let hash = |line: &str| Hash::try_from(STANDARD.decode(line).ok()?).ok();
    let path = lines.take(PATH_HASHES_MAX + 1).map(hash).collect::<Option<Vec<_>>>()?;
    let checkpoint = Checkpoint::parse(note).ok()?;
    (path.len() <= PATH_HASHES_MAX).then(|| Proof { stored, index, path, checkpoint, text: note.into() })
}

impl Proof {
    /// The checkpoint that the proof stands under.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }
}

/// The entry that `proof` proves to stand in the ledger that `key` signs for.
///
/// Refused with the step that fails.
pub fn verify_proof(proof: &Proof, key: &NoteKey) -> Result<Entry, StoreError> {
    let refuse = |why: &str| Err(StoreError::Refused(format!("the proof does not hold: {why}")));
    let head = &proof.checkpoint.head;
    if head.ledger != key.ledger() {
        return refuse("it is about another ledger than the key");
    }
    if !key.signed(&proof.checkpoint) {
        return refuse("the key did not sign its checkpoint");
    }
    if !inclusion_holds(&leaf_hash(&proof.stored), proof.index, head.size, &proof.path, &head.root) {
        return refuse("its path does not lead from the entry to the signed root");
    }
    match Entry::from_stored(&proof.stored) {
        Ok(entry) if entry.sequence.checked_sub(1) == Some(proof.index) => Ok(entry),
        Ok(_) => refuse("the entry bears another sequence"),
        Err(why) => refuse(&why.to_string()),
    }
}
