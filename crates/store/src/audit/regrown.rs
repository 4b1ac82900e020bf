//! The Merkle tree grown anew from the entries of a file, beside the nodes that are kept in it.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use redb::ReadableTable;

use super::entry::Hash;
use super::layout::View;
use super::merkle::{Frontier, leaf_hash};
use crate::StoreError;

/// The tree over the entries as they are, beside the nodes that are kept.
pub(super) struct Tree {
    pub(super) root: Hash,
    /// The roots at the sizes that were asked for.
    pub(super) roots: Vec<(u64, Hash)>,
    /// What is wrong with nodes, and the entry at which that shows.
    pub(super) wrong: Vec<(u64, String)>,
}

impl Tree {
    /// At most `wrong_max` nodes that are wrong are told.
    pub(super) fn over(view: &View<'_>, sizes: &BTreeSet<u64>, wrong_max: usize) -> Result<Tree, StoreError> {
        let path = view.path;
        let mut frontier = Frontier::default();
        let mut tree = Tree { root: frontier.root(), roots: Vec::new(), wrong: Vec::new() };
        // The nodes of each level that was reached.
        let mut nodes: Vec<Rows<(u8, u64), Hash>> = Vec::new();
        if sizes.contains(&0) {
            tree.roots.push((0, frontier.root()));
        }
        for item in view.entries.iter().map_err(|e| StoreError::of(path, e))? {
            let (place, stored) = item.map_err(|e| StoreError::of(path, e))?;
            let place = place.value();
            frontier.push(leaf_hash(stored.value()), |level, index, hash| {
                // Levels are reached one after the other, from 1.
                if nodes.len() < usize::from(level) {
                    let of_level = view.nodes.range((level, 0)..=(level, u64::MAX));
                    nodes.push(Rows::of(of_level.map_err(|e| StoreError::of(path, e))?));
                }
                let node = match nodes.get_mut(usize::from(level) - 1) {
                    Some(rows) => rows.seek(|key| key.1.cmp(&index)).map_err(|e| StoreError::of(path, e))?,
                    None => None,
                };
                if node.is_none_or(|node| node.value() != *hash) && tree.wrong.len() < wrong_max {
                    let sentence = format!("tree node {index} of level {level} is not what the entries give");
                    tree.wrong.push((place, sentence));
                }
                Ok(())
            })?;
            if sizes.contains(&place) {
                tree.roots.push((place, frontier.root()));
            }
        }
        tree.root = frontier.root();
        Ok(tree)
    }
}

/// Rows of a table in their order, beside a walk in the same order: cheaper than a lookup each.
pub(super) struct Rows<K: redb::Key + 'static, V: redb::Value + 'static> {
    rows: redb::Range<'static, K, V>,
    ahead: Option<(redb::AccessGuard<'static, K>, redb::AccessGuard<'static, V>)>,
}

impl<K: redb::Key + 'static, V: redb::Value + 'static> Rows<K, V> {
    pub(super) fn of(rows: redb::Range<'static, K, V>) -> Rows<K, V> {
        Rows { rows, ahead: None }
    }

    /// The row of which the key compares as equal; those before it are passed over.
    pub(super) fn seek(
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
