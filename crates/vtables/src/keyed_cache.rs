//! Rows that a statement keeps key by key.

use std::collections::HashMap;
use std::sync::Arc;

use model::{Constraint, Run, Value};

use crate::kept::Kept;
use crate::limits::KEYED_CACHE_BYTES_MAX;

/// A text of constraints and columns, equal for equal ones.
pub(crate) fn cache_key(constraints: &[Constraint], used: u64) -> Vec<u8> {
    let mut key = used.to_le_bytes().to_vec();
    for constraint in constraints {
        key.extend_from_slice(&(constraint.column as u32).to_le_bytes());
        key.push(constraint.op as u8);
        key.extend_from_slice(&(constraint.values.len() as u32).to_le_bytes());
        for value in &constraint.values {
            match value {
                Value::Null => key.push(0),
                Value::Int(n) => {
                    key.push(1);
                    key.extend_from_slice(&n.to_le_bytes());
                }
                Value::Real(x) => {
                    key.push(2);
                    key.extend_from_slice(&x.to_bits().to_le_bytes());
                }
                Value::Text(bytes) | Value::Blob(bytes) => {
                    key.push(3);
                    key.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
                    key.extend_from_slice(bytes);
                }
            }
        }
    }
    key
}

/// Rows kept key by key, in two generations: when the young one is full it becomes the old one, and the old
/// one is forgotten unless it was asked for again.
#[derive(Default)]
pub(crate) struct KeyedCache {
    young: HashMap<Vec<u8>, Arc<Kept>>,
    old: HashMap<Vec<u8>, Arc<Kept>>,
    young_bytes: usize,
    old_bytes: usize,
}

impl KeyedCache {
    pub(crate) fn is_empty(&self) -> bool {
        self.young.is_empty() && self.old.is_empty()
    }

    pub(crate) fn get(&mut self, key: &[u8]) -> Option<Arc<Kept>> {
        if let Some(kept) = self.young.get(key) {
            return Some(kept.clone());
        }
        let (key, kept) = self.old.remove_entry(key)?;
        let bytes = Self::weight(&key, &kept);
        self.old_bytes -= bytes;
        self.young_bytes += bytes;
        self.young.insert(key, kept.clone());
        Some(kept)
    }

    pub(crate) fn put(&mut self, key: Vec<u8>, kept: Arc<Kept>, run: &Run) {
        if self.young_bytes > KEYED_CACHE_BYTES_MAX / 2 {
            let forgotten = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
            run.release(forgotten.values().map(|k| k.rows.bytes()).sum());
            self.old_bytes = std::mem::take(&mut self.young_bytes);
        }
        self.young_bytes += Self::weight(&key, &kept);
        self.young.insert(key, kept);
    }

    pub(crate) fn clear(&mut self, run: &Run) {
        let forgotten = self.young.values().chain(self.old.values());
        run.release(forgotten.map(|k| k.rows.bytes()).sum());
        *self = KeyedCache::default();
    }

    fn weight(key: &[u8], kept: &Kept) -> usize {
        // What an entry weighs that holds no row at all.
        const ENTRY: usize = 256;
        ENTRY + key.len() + kept.rows.bytes()
    }
}
