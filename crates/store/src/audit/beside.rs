//! What stands in a ledger's file beside its entries, held against what they say: payloads, nodes of the Merkle
//! tree, and the index of subjects.

use std::cmp::Ordering;
use std::hash::{BuildHasher, RandomState};
use std::sync::mpsc::Receiver;

use super::entry::Hash;
use super::layout::View;
use super::verify::{Finding, FindingKind};
use crate::StoreError;

/// What a few entries in a row say, in their order.
#[derive(Default)]
pub(super) struct Said {
    /// Places of entries, each with the hash of its payload.
    pub(super) payloads: Vec<(u64, Hash)>,
    /// Subtrees that are complete with an entry.
    pub(super) nodes: Vec<Node>,
}

/// A subtree over more than one entry.
pub(super) struct Node {
    /// The entry that completes it.
    pub(super) place: u64,
    pub(super) level: u8,
    pub(super) index: u64,
    pub(super) hash: Hash,
}

/// Adds up a set, to be compared with another without a lookup for each member. The hash has a key that nobody knows
/// beforehand, so two sets with one sum are the same but by chance, once in 2^64.
#[derive(Clone, Default)]
pub(super) struct Sum {
    keyed: RandomState,
    sum: u64,
}

impl Sum {
    pub(super) fn add(&mut self, member: impl std::hash::Hash) {
        self.sum = self.sum.wrapping_add(self.keyed.hash_one(member));
    }

    pub(super) fn is(&self, other: &Sum) -> bool {
        self.sum == other.sum
    }
}

/// Goes through the tables beside the entries as these are gone through.
pub(super) struct Beside<'v> {
    view: &'v View<'v>,
    payloads: Rows<u64, &'static [u8]>,
    /// The nodes of each level that was reached.
    nodes: Vec<Rows<(u8, u64), Hash>>,
    findings: Vec<Finding>,
    findings_max: usize,
}

impl<'v> Beside<'v> {
    /// At most `findings_max` wrong rows will be told.
    pub(super) fn new(view: &'v View<'v>, findings_max: usize) -> Result<Beside<'v>, StoreError> {
        let payloads = view.payloads.range::<u64>(..).map_err(|e| StoreError::of(view.path, e))?;
        let (payloads, nodes, findings) = (Rows::of(payloads), Vec::new(), Vec::new());
        Ok(Beside { view, payloads, nodes, findings, findings_max })
    }

    /// Holds all that is said against the tables: what is wrong, and `subjects` with those of the index added.
    pub(super) fn compare(
        mut self,
        said: Receiver<Said>,
        mut subjects: Sum,
    ) -> Result<(Vec<Finding>, Sum), StoreError> {
        let fault = |error| StoreError::of(self.view.path, error);
        let mut index = self.view.subjects.range::<(&str, u64)>(..).map_err(fault)?;
        for said in said {
            self.said(&said).map_err(fault)?;
            // As many now, so that none are left when the entries end.
            for row in index.by_ref().take(said.payloads.len()) {
                subjects.add(row.map_err(fault)?.0.value());
            }
        }
        for row in index {
            subjects.add(row.map_err(fault)?.0.value());
        }
        Ok((self.findings, subjects))
    }

    fn said(&mut self, said: &Said) -> Result<(), redb::StorageError> {
        for (place, hash) in &said.payloads {
            let payload = self.payloads.seek(|key| key.cmp(place))?;
            if payload.is_none_or(|payload| blake3::hash(payload.value()) != *hash) {
                let sentence = format!("the payload of entry {place} is another");
                self.find(FindingKind::PayloadChanged, *place, sentence);
            }
        }
        for Node { place, level, index, hash } in &said.nodes {
            // Levels are reached one after the other, from 1.
            if self.nodes.len() < usize::from(*level) {
                self.nodes.push(Rows::of(self.view.nodes.range((*level, 0)..=(*level, u64::MAX))?));
            }
            let node = match self.nodes.get_mut(usize::from(*level) - 1) {
                Some(rows) => rows.seek(|key| key.1.cmp(index))?,
                None => None,
            };
            if node.is_none_or(|node| node.value() != *hash) {
                let sentence = format!("tree node {index} of level {level} is not what the entries give");
                self.find(FindingKind::NodeWrong, *place, sentence);
            }
        }
        Ok(())
    }

    fn find(&mut self, kind: FindingKind, place: u64, sentence: String) {
        if self.findings.len() < self.findings_max {
            self.findings.push(Finding { kind, sequence: Some(place), sentence });
        }
    }
}

/// Rows of a table in their order, beside a walk in the same order: cheaper than a lookup each.
struct Rows<K: redb::Key + 'static, V: redb::Value + 'static> {
    rows: redb::Range<'static, K, V>,
    ahead: Option<(redb::AccessGuard<'static, K>, redb::AccessGuard<'static, V>)>,
}

impl<K: redb::Key + 'static, V: redb::Value + 'static> Rows<K, V> {
    fn of(rows: redb::Range<'static, K, V>) -> Rows<K, V> {
        Rows { rows, ahead: None }
    }

    /// The row of which the key compares as equal; those before it are passed over.
    fn seek(
        &mut self,
        compare: impl Fn(K::SelfType<'_>) -> Ordering,
    ) -> Result<Option<redb::AccessGuard<'static, V>>, redb::StorageError> {
        loop {
            if self.ahead.is_none() {
                self.ahead = self.rows.next().transpose()?;
            }
            let Some((key, _)) = &self.ahead else { return Ok(None) };
            match compare(key.value()) {
                Ordering::Less => self.ahead = None,
                Ordering::Equal => return Ok(self.ahead.take().map(|(_, value)| value)),
                Ordering::Greater => return Ok(None),
            }
        }
    }
}
