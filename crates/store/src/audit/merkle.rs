//! The Merkle tree of RFC 6962 section 2.1 over SHA-256: roots, proofs, and their check (RFC 9162 section 2.1).

use sha2::{Digest, Sha256};

use super::entry::Hash;

/// Where complete subtrees are found: at (level, index) the one over leaves `index << level ..`.
pub(super) trait Nodes {
    type Error;
    fn node(&self, level: u8, index: u64) -> Result<Hash, Self::Error>;
}

/// The leaf of stored bytes.
pub fn leaf_hash(bytes: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(bytes).finalize().into()
}

pub(super) fn parent(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

pub(super) fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// A tree that grows, as the complete subtrees at its right edge: all that an append or the root needs to know.
///
/// It begins with no leaf. A leaf costs one hash on average, the root at most one for each bit of the size.
#[derive(Clone, Debug, Default)]
pub struct Frontier {
    size: u64,
    /// From the largest to the smallest; one for each bit of the size.
    subtrees: Vec<Hash>,
}

impl Frontier {
    pub(super) fn read<N: Nodes>(nodes: &N, size: u64) -> Result<Frontier, N::Error> {
        let levels = (0..64u8).rev().filter(|level| size >> level & 1 == 1);
        // The bits above a level say how many of its subtrees lie to the left.
        let subtrees = levels.map(|level| nodes.node(level, (size >> level) - 1));
        Ok(Frontier { size, subtrees: subtrees.collect::<Result<_, _>>()? })
    }

    /// Takes the hash of a leaf in, and tells each subtree over more than one leaf that it completes: its level (the
    /// logarithm of how many leaves it has), its index among those of the level, and its hash.
    pub fn append(&mut self, leaf: Hash, mut completed: impl FnMut(u8, u64, &Hash)) {
        let (mut hash, mut level) = (leaf, 0u8);
        while self.size >> level & 1 == 1 {
            let Some(left) = self.subtrees.pop() else { break };
            hash = parent(&left, &hash);
            level += 1;
            completed(level, self.size >> level, &hash);
        }
        self.subtrees.push(hash);
        self.size += 1;
    }

    /// The root over all leaves so far.
    pub fn root(&self) -> Hash {
        let smallest_first = self.subtrees.iter().rev().copied();
        smallest_first.reduce(|right, left| parent(&left, &right)).unwrap_or_else(empty_root)
    }
}

/// The largest power of two below `n`, which is at least 2.
fn split(n: u64) -> u64 {
    1 << (63 - (n - 1).leading_zeros())
}

/// MTH over the leaves `from..to`, where `from` lies where RFC 6962 splits.
fn subtree<N: Nodes>(nodes: &N, from: u64, to: u64) -> Result<Hash, N::Error> {
    let count = to - from;
    if count == 0 {
        return Ok(empty_root());
    }
    if count.is_power_of_two() {
        let level = count.trailing_zeros();
        return nodes.node(level as u8, from >> level);
    }
    let middle = from + split(count);
    Ok(parent(&subtree(nodes, from, middle)?, &subtree(nodes, middle, to)?))
}

/// The root over the first `size` leaves.
pub(super) fn root<N: Nodes>(nodes: &N, size: u64) -> Result<Hash, N::Error> {
    subtree(nodes, 0, size)
}

/// The audit path of leaf `index` (below `size`) in the tree over `size` leaves.
pub(super) fn inclusion<N: Nodes>(nodes: &N, index: u64, size: u64) -> Result<Vec<Hash>, N::Error> {
    let (mut from, mut to, mut path) = (0, size, Vec::new());
    while to - from > 1 {
        let middle = from + split(to - from);
        if index < middle {
            path.push(subtree(nodes, middle, to)?);
            to = middle;
        } else {
            path.push(subtree(nodes, from, middle)?);
            from = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// That the tree over `old` leaves is the beginning of the one over `new`; `old` is in `1..=new`.
pub(super) fn consistency<N: Nodes>(nodes: &N, old: u64, new: u64) -> Result<Vec<Hash>, N::Error> {
    let (mut from, mut to, mut path, mut old_is_known) = (0, new, Vec::new(), true);
    while old != to {
        let middle = from + split(to - from);
        if old <= middle {
            path.push(subtree(nodes, middle, to)?);
            to = middle;
        } else {
            path.push(subtree(nodes, from, middle)?);
            (from, old_is_known) = (middle, false);
        }
    }
    if !old_is_known {
        path.push(subtree(nodes, from, to)?);
    }
    path.reverse();
    Ok(path)
}

/// Whether `path` proves that `leaf` is number `index` (from 0) of the tree with this size and root.
pub fn inclusion_holds(leaf: &Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            hash = parent(sibling, &hash);
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            hash = parent(&hash, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && hash == *root
}

/// Whether `path` proves that the tree of the first size and root is the beginning of that of the second.
pub fn consistency_holds(old: (u64, &Hash), new: (u64, &Hash), path: &[Hash]) -> bool {
    let ((old_size, old_root), (new_size, new_root)) = (old, new);
    if old_size == new_size {
        return path.is_empty() && old_root == new_root;
    }
    if old_size > new_size {
        return false;
    }
    if old_size == 0 {
        return path.is_empty() && *old_root == empty_root();
    }
    let known = old_size.is_power_of_two().then_some(old_root);
    let mut steps = known.into_iter().chain(path);
    let Some(first) = steps.next() else { return false };
    let (mut at, mut last) = (old_size - 1, new_size - 1);
    while at & 1 == 1 {
        (at, last) = (at >> 1, last >> 1);
    }
    let (mut before, mut after) = (*first, *first);
    for step in steps {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            (before, after) = (parent(step, &before), parent(step, &after));
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            after = parent(&after, step);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && before == *old_root && after == *new_root
}
