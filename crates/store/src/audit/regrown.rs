//! The Merkle tree grown anew from the entries of a file, beside the nodes that are kept in it.

use std::cmp::Ordering;

use super::entry::Hash;
use super::layout::View;
use super::merkle::{Frontier, leaf_hash};
use crate::StoreError;

/// The tree over the entries as they are, beside the nodes that are kept.
pub(super) struct Tree<'v> {
    view: &'v View<'v>,
    frontier: Frontier,
    /// The nodes of each level that was reached.
    nodes: Vec<Rows<(u8, u64), Hash>>,
    /// What is wrong with nodes, and the entry at which that shows.
    pub(super) wrong: Vec<(u64, String)>,
    wrong_max: usize,
}

impl<'v> Tree<'v> {
    /// Over no entry yet. At most `wrong_max` nodes that are wrong will be told.
    pub(super) fn new(view: &'v View<'v>, wrong_max: usize) -> Tree<'v> {
        Tree { view, frontier: Frontier::default(), nodes: Vec::new(), wrong: Vec::new(), wrong_max }
    }

    pub(super) fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// Takes in the entry at a place.
    pub(super) fn push(&mut self, place: u64, stored: &[u8]) -> Result<(), StoreError> {
        let (view, path, nodes) = (self.view, self.view.path, &mut self.nodes);
        let (wrong, wrong_max) = (&mut self.wrong, self.wrong_max);
        self.frontier.push(leaf_hash(stored), |level, index, hash| {
            // Levels are reached one after the other, from 1.
            if nodes.len() < usize::from(level) {
                let of_level = view.nodes.range((level, 0)..=(level, u64::MAX));
                nodes.push(Rows::of(of_level.map_err(|e| StoreError::of(path, e))?));
            }
            let node = match nodes.get_mut(usize::from(level) - 1) {
                Some(rows) => rows.seek(|key| key.1.cmp(&index)).map_err(|e| StoreError::of(path, e))?,
                None => None,
            };
            if node.is_none_or(|node| node.value() != *hash) && wrong.len() < wrong_max {
                let sentence = format!("tree node {index} of level {level} is not what the entries give");
                wrong.push((place, sentence));
            }
            Ok(())
        })
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
