//! Whether a ledger is what was written, from its file and from what was kept elsewhere.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};

use redb::ReadableTable;
use redb::ReadableTableMetadata;

use super::Head;
use super::beside::{Beside, Node, Said, Sum};
use super::checkpoint::{Checkpoint, NoteKey};
use super::entry::{Hash, LedgerId, Malformed, Read, genesis};
use super::layout::{View, damaged};
use super::merkle::{Frontier, leaf_hash};
use super::reader::LedgerReader;
use crate::StoreError;

/// Findings that are told; a file that is wrong all over needs no more.
const FINDINGS_MAX: usize = 1_000;

/// Entries that are handed over at once to the thread that looks beside them, and how many such batches may wait.
const SAID_AT_ONCE: usize = 256;
const SAID_WAITING_MAX: usize = 8;

/// What was kept apart from the ledger's file.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// The key that the ledger was first seen with.
    pub key: Option<NoteKey>,
    /// Texts of checkpoints that were carried off the host.
    pub checkpoints: Vec<String>,
    /// What the state file remembers.
    pub witness: Option<Witness>,
}

/// Where the ledger stood when somebody looked, without a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Witness {
    /// Which ledger.
    pub ledger: LedgerId,
    /// How many entries it had.
    pub size: u64,
    /// Hash of the last of them.
    pub hash: Hash,
}

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingKind {
    /// The bytes of an entry are not what was hashed.
    EntryChanged,
    /// A sequence has no entry.
    EntryMissing,
    /// An entry bears another sequence than its place.
    EntryMisplaced,
    /// An entry does not name the one before it.
    ChainBroken,
    /// A payload is not what its entry says, or is missing or too many.
    PayloadChanged,
    /// A node of the Merkle tree is not what the entries give.
    NodeWrong,
    /// The head does not tell of the last entry, or of the root.
    HeadWrong,
    /// The index of subjects, or of what was drained, does not fit the entries.
    IndexWrong,
    /// A checkpoint is none, or its signature does not hold.
    CheckpointInvalid,
    /// The ledger is signed with another key than the trusted one.
    KeyChanged,
    /// The file is another host's ledger.
    OtherLedger,
    /// The ledger is shorter than it was: entries were cut off, or an older copy was put back.
    RolledBack,
    /// The ledger's history is another one than it was.
    Forked,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind.
    pub kind: FindingKind,
    /// The entry, or the size of a checkpoint, that it is about.
    pub sequence: Option<u64>,
    /// In a sentence.
    pub sentence: String,
}

/// What a verification found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Where the ledger says that it stands.
    pub head: Head,
    /// What is wrong, at most 1,000 of it; empty if nothing is.
    pub findings: Vec<Finding>,
    /// What could not be checked, for want of a key or a checkpoint.
    pub not_checked: Vec<&'static str>,
}

/// Verifies the ledger in this file, which is only read.
///
/// Damage that leaves no table to walk is [`StoreError::Damaged`].
pub fn verify(path: &Path, trust: &Trust) -> Result<Verdict, StoreError> {
    guarded(path, || LedgerReader::once(path)?.verify(trust))
}

/// redb asserts what its pages hold, and a hostile file makes an assertion fail.
fn guarded<T>(path: &Path, run: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|_| Err(damaged(path, "its pages contradict each other")))
}

impl LedgerReader {
    /// Verifies the ledger as it is now; see [`verify`].
    pub fn verify(&self, trust: &Trust) -> Result<Verdict, StoreError> {
        self.look(|view| Walk::new(view)?.run(trust))
    }
}

struct Walk<'v> {
    view: &'v View<'v>,
    head: Head,
    findings: Vec<Finding>,
    /// The Merkle tree over the entries as they are.
    tree: Frontier,
    /// Hash of the last entry that was walked, and its place.
    last: (u64, Hash),
    /// Sizes that somebody remembers, with what the entries give for them.
    remembered: BTreeMap<u64, (Hash, Hash)>,
    /// What was said by entries and not handed over yet.
    said: Said,
    /// What the index of subjects ought to hold.
    subjects: Sum,
}

impl<'v> Walk<'v> {
    fn new(view: &'v View<'v>) -> Result<Walk<'v>, StoreError> {
        let head = view.head()?;
        let last = (0, genesis(&head.ledger));
        let (findings, remembered, tree) = (Vec::new(), BTreeMap::new(), Frontier::default());
        let (said, subjects) = (Said::default(), Sum::default());
        Ok(Walk { view, head, findings, tree, last, remembered, said, subjects })
    }

    fn find(&mut self, kind: FindingKind, sequence: impl Into<Option<u64>>, sentence: impl Into<String>) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { kind, sequence: sequence.into(), sentence: sentence.into() });
        }
    }

    fn run(mut self, trust: &Trust) -> Result<Verdict, StoreError> {
        let stored = self.stored_checkpoints()?;
        let kept = self.kept_checkpoints(trust);
        let sizes = stored.iter().chain(&kept).map(|c| c.head.size).chain(trust.witness.map(|w| w.size));
        self.remembered = sizes.map(|size| (size, Default::default())).collect();
        self.entries()?;
        self.counts()?;
        let own_key = self.own_key()?;
        for checkpoint in &stored {
            self.check_signature(checkpoint, &own_key, "the ledger's own key");
            self.check_head(
                checkpoint.head.ledger,
                checkpoint.head.size,
                &checkpoint.head.hash,
                Some(&checkpoint.head.root),
                "a checkpoint in the file",
            );
        }
        if let Some(key) = &trust.key {
            self.check_key(key, &own_key, &stored);
        }
        for checkpoint in &kept {
            let key = trust.key.as_ref().unwrap_or(&own_key);
            self.check_signature(
                checkpoint,
                key,
                if trust.key.is_some() { "the trusted key" } else { "the ledger's own key" },
            );
            self.check_head(
                checkpoint.head.ledger,
                checkpoint.head.size,
                &checkpoint.head.hash,
                Some(&checkpoint.head.root),
                "a checkpoint that was kept",
            );
        }
        if let Some(witness) = trust.witness {
            self.check_head(witness.ledger, witness.size, &witness.hash, None, "the state file");
        }
        let not_checked = not_checked(trust);
        Ok(Verdict { head: self.head, findings: self.findings, not_checked })
    }

    fn stored_checkpoints(&mut self) -> Result<Vec<Checkpoint>, StoreError> {
        let mut good = Vec::new();
        let path = self.view.path;
        for item in self.view.checkpoints.iter().map_err(|e| StoreError::of(path, e))? {
            let (size, text) = item.map_err(|e| StoreError::of(path, e))?;
            match Checkpoint::parse(text.value()) {
                Ok(checkpoint) if checkpoint.head.size == size.value() => good.push(checkpoint),
                _ => self.find(
                    FindingKind::CheckpointInvalid,
                    size.value(),
                    format!("what is kept as the checkpoint over {} entries is none", size.value()),
                ),
            }
        }
        Ok(good)
    }

    fn kept_checkpoints(&mut self, trust: &Trust) -> Vec<Checkpoint> {
        let mut good = Vec::new();
        for text in &trust.checkpoints {
            match Checkpoint::parse(text) {
                Ok(checkpoint) => good.push(checkpoint),
                Err(error) => self.find(FindingKind::CheckpointInvalid, None, error.to_string()),
            }
        }
        good
    }

    fn own_key(&self) -> Result<NoteKey, StoreError> {
        let bytes = super::layout::fact(&self.view.meta, "key", self.view.path)?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(&bytes);
        let key = key.map_err(|_| damaged(self.view.path, "its public key is none"))?;
        Ok(NoteKey::new(self.head.ledger, key))
    }

    /// Goes through the entries, and at the same time, in a thread of its own, through what stands beside them.
    fn entries(&mut self) -> Result<(), StoreError> {
        let (view, nothing) = (self.view, self.subjects.clone());
        let (wrong, indexed) = std::thread::scope(|scope| {
            let (say, said) = sync_channel(SAID_WAITING_MAX);
            let beside = scope.spawn(|| Beside::new(view, FINDINGS_MAX)?.compare(said, nothing));
            let walked = self.chain(say);
            let found = beside.join().unwrap_or_else(|panic| resume_unwind(panic))?;
            walked.map(|()| found)
        })?;
        for Finding { kind, sequence, sentence } in wrong {
            self.find(kind, sequence, sentence);
        }
        if self.last.0 != self.head.size {
            let (end, size) = (self.last.0, self.head.size);
            self.find(
                FindingKind::HeadWrong,
                end,
                format!("the head tells of {size} entries, the last is {end}"),
            );
        } else if self.last.1 != self.head.hash {
            self.find(
                FindingKind::HeadWrong,
                self.head.size,
                "the head bears another hash than the last entry",
            );
        }
        if self.tree.root() != self.head.root {
            self.find(
                FindingKind::HeadWrong,
                self.head.size,
                "the head bears another root than the entries give",
            );
        }
        if self.subjects.is(&indexed) { Ok(()) } else { self.unindexed() }
    }

    fn chain(&mut self, say: SyncSender<Said>) -> Result<(), StoreError> {
        let path = self.view.path;
        self.remember();
        for item in self.view.entries.iter().map_err(|e| StoreError::of(path, e))? {
            let (place, stored) = item.map_err(|e| StoreError::of(path, e))?;
            let (place, stored) = (place.value(), stored.value());
            self.entry(place, stored);
            let nodes = &mut self.said.nodes;
            self.tree.append(leaf_hash(stored), |level, index, hash| {
                nodes.push(Node { place, level, index, hash: *hash });
            });
            self.remember();
            if self.said.nodes.len().max(self.said.payloads.len()) >= SAID_AT_ONCE
                && say.send(std::mem::take(&mut self.said)).is_err()
            {
                // The other thread has met an error, which it tells.
                return Ok(());
            }
        }
        let _ = say.send(std::mem::take(&mut self.said));
        Ok(())
    }

    fn entry(&mut self, place: u64, stored: &[u8]) {
        if place != self.last.0 + 1 {
            let first = self.last.0 + 1;
            self.find(
                FindingKind::EntryMissing,
                first,
                format!("entry {first} is missing: {place} comes next"),
            );
        }
        match Read::from_stored(stored) {
            Err(why) => {
                self.find(FindingKind::EntryChanged, place, format!("entry {place}: {why}"));
                // What the next one must name is unknown but for a changed hash, which stands in the bytes.
                let claimed = stored.last_chunk::<32>().copied().unwrap_or_default();
                self.last = (place, if why == Malformed::Hash { claimed } else { self.last.1 });
            }
            Ok(entry) => self.sound_entry(place, &entry),
        }
    }

    fn sound_entry(&mut self, place: u64, entry: &Read<'_>) {
        if entry.sequence != place {
            let sentence = format!("in place of entry {place} stands one with sequence {}", entry.sequence);
            self.find(FindingKind::EntryMisplaced, place, sentence);
        }
        if entry.previous != self.last.1 {
            let sentence = match place {
                1 => "entry 1 does not begin this ledger".to_owned(),
                _ => format!("entry {place} does not name the hash of the one before"),
            };
            self.find(FindingKind::ChainBroken, place, sentence);
        }
        self.said.payloads.push((place, entry.payload_hash));
        self.subjects.add((entry.subject, place));
        self.last = (place, entry.hash);
    }

    /// Names the entries to which the index of subjects does not lead.
    fn unindexed(&mut self) -> Result<(), StoreError> {
        let view = self.view;
        let fault = |error: redb::StorageError| StoreError::of(view.path, error);
        for item in view.entries.iter().map_err(fault)? {
            let (place, stored) = item.map_err(fault)?;
            let (place, Ok(entry)) = (place.value(), Read::from_stored(stored.value())) else { continue };
            if view.subjects.get((entry.subject, place)).map_err(fault)?.is_none() {
                let sentence = format!("the index of subjects does not lead to entry {place}");
                self.find(FindingKind::IndexWrong, place, sentence);
            }
        }
        Ok(())
    }

    fn remember(&mut self) {
        if let Some(known) = self.remembered.get_mut(&self.last.0) {
            *known = (self.last.1, self.tree.root());
        }
    }

    /// What has no entry: a table with more rows than the entries account for.
    fn counts(&mut self) -> Result<(), StoreError> {
        let (view, path) = (self.view, self.view.path);
        let fault = |error: redb::StorageError| StoreError::of(path, error);
        let entries = view.entries.len().map_err(fault)?;
        // A tree over n leaves has n - popcount(n) complete subtrees over more than one leaf.
        let nodes = entries - u64::from(entries.count_ones());
        let mut drained = 0u64;
        for item in view.drained.iter().map_err(fault)? {
            drained = drained.saturating_add(item.map_err(fault)?.1.value());
        }
        for (kind, is, ought, what) in [
            (FindingKind::PayloadChanged, view.payloads.len().map_err(fault)?, entries, "payloads"),
            (FindingKind::NodeWrong, view.nodes.len().map_err(fault)?, nodes, "tree nodes"),
            (FindingKind::IndexWrong, view.subjects.len().map_err(fault)?, entries, "indexed subjects"),
            (FindingKind::IndexWrong, drained, entries, "records taken in"),
        ] {
            if is != ought {
                self.find(kind, None, format!("there are {is} {what} where the entries ask for {ought}"));
            }
        }
        Ok(())
    }

    fn check_signature(&mut self, checkpoint: &Checkpoint, key: &NoteKey, whose: &str) {
        if checkpoint.head.ledger == key.ledger() && !key.signed(checkpoint) {
            let size = checkpoint.head.size;
            let sentence = format!("{whose} did not sign the checkpoint over {size} entries");
            self.find(FindingKind::CheckpointInvalid, size, sentence);
        }
    }

    fn check_key(&mut self, trusted: &NoteKey, own: &NoteKey, stored: &[Checkpoint]) {
        if trusted.ledger() != self.head.ledger {
            self.find(
                FindingKind::OtherLedger,
                None,
                "the trusted key belongs to another ledger than this file",
            );
        } else if trusted.to_bytes() != own.to_bytes() {
            self.find(
                FindingKind::KeyChanged,
                None,
                "the ledger names another key than the trusted one as its own",
            );
        }
        if let Some(other) = stored.iter().find(|checkpoint| !trusted.signed(checkpoint)) {
            let size = other.head.size;
            let sentence =
                format!("the trusted key did not sign the checkpoint over {size} entries in the file");
            self.find(FindingKind::KeyChanged, size, sentence);
        }
    }

    fn check_head(&mut self, ledger: LedgerId, size: u64, hash: &Hash, root: Option<&Hash>, who: &str) {
        if ledger != self.head.ledger {
            self.find(FindingKind::OtherLedger, None, format!("{who} tells of another ledger"));
        } else if size > self.last.0 {
            let end = self.last.0;
            let sentence = format!("{who} tells of {size} entries, the file ends with {end}");
            self.find(FindingKind::RolledBack, size, sentence);
        } else if let Some((known, known_root)) = self.remembered.get(&size)
            && (known != hash || root.is_some_and(|root| root != known_root))
        {
            let sentence = format!("{who} tells of other {size} first entries than the file has");
            self.find(FindingKind::Forked, size, sentence);
        }
    }
}

fn not_checked(trust: &Trust) -> Vec<&'static str> {
    let mut sentences = Vec::new();
    if trust.key.is_none() {
        sentences.push("whether the ledger was signed anew or is another host's: that needs the public key, kept elsewhere");
    }
    if trust.checkpoints.is_empty() && trust.witness.is_none() {
        sentences.push(
            "whether entries were cut off at the end, an older copy put back or the whole written anew: that needs a checkpoint, kept elsewhere",
        );
    } else if trust.checkpoints.is_empty() {
        sentences.push(
            "whether ledger and state file were put back together: that needs a checkpoint, kept elsewhere",
        );
    }
    sentences
}
