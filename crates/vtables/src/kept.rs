//! Rows that a statement keeps, with an index for each column that is looked up.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};
use std::sync::{Arc, Mutex, OnceLock};

use collector::Snapshot;
use model::{Constraint, Op, Run, ScanError, Value};

use crate::scope::lock;

/// Rows between two looks at the run, while an index is built.
const POLL_EVERY: usize = 64;
/// Kept rows of which a walk is cheaper than an index.
const INDEX_ROWS_MIN: usize = 16;

/// Which of the kept rows a cursor walks.
pub(crate) enum Found {
    All,
    Rows(Vec<u32>),
}

/// Kept rows, with an index for each column that was ever looked up by equality.
pub(crate) struct Kept {
    pub rows: Arc<dyn Snapshot>,
    indexes: Mutex<HashMap<usize, Arc<Index>>>,
    ordinals: OnceLock<Vec<u32>>,
}

impl Kept {
    pub(crate) fn new(rows: Arc<dyn Snapshot>) -> Kept {
        Kept { rows, indexes: Mutex::default(), ordinals: OnceLock::new() }
    }

    /// The rows that can satisfy the equalities, in their order.
    pub(crate) fn find(&self, constraints: &[Constraint], run: &Run) -> Result<Found, ScanError> {
        if self.rows.len() < INDEX_ROWS_MIN {
            return Ok(Found::All);
        }
        let mut indexes = lock(&self.indexes);
        let equal = |c: &&Constraint| c.op == Op::Eq;
        let ready = constraints.iter().filter(equal).find(|c| indexes.contains_key(&c.column));
        let Some(by) = ready.or_else(|| constraints.iter().find(equal)) else {
            return Ok(Found::All);
        };
        let index = match indexes.get(&by.column) {
            Some(index) => index.clone(),
            None => {
                let index = Arc::new(Index::build(&*self.rows, by.column, run)?);
                indexes.insert(by.column, index.clone());
                index
            }
        };
        drop(indexes);
        let mut found = Vec::new();
        for value in &by.values {
            index.rows_of(value, &mut found);
        }
        if by.values.len() > 1 {
            found.sort_unstable();
            found.dedup();
        }
        Ok(Found::Rows(found))
    }

    /// The index of a column, if it was built.
    pub(crate) fn index(&self, column: usize) -> Option<Arc<Index>> {
        lock(&self.indexes).get(&column).cloned()
    }

    /// The place of a row among the rows with the same identity.
    pub(crate) fn ordinal(&self, row: usize, identity: &[usize]) -> u32 {
        let ordinals = self.ordinals.get_or_init(|| {
            let mut seen: HashMap<Vec<Key>, u32> = HashMap::new();
            (0..self.rows.len())
                .map(|row| {
                    let key = identity.iter().map(|c| Key::of(&self.rows.value(row, *c))).collect();
                    let count = seen.entry(key).or_default();
                    *count += 1;
                    *count - 1
                })
                .collect()
        });
        ordinals.get(row).copied().unwrap_or_default()
    }
}

/// A hash index: from a value's hash to the rows that have it, in their order. SQLite tests each row again,
/// so a collision costs one comparison and nothing else.
pub(crate) struct Index {
    hasher: RandomState,
    first: HashMap<u64, u32, BuildHasherDefault<Hashed>>,
    /// The next row with the same hash; `END` after the last.
    next: Vec<u32>,
}

const END: u32 = u32::MAX;

impl Index {
    fn build(rows: &dyn Snapshot, column: usize, run: &Run) -> Result<Index, ScanError> {
        run.hold(rows.len() * (size_of::<u32>() + 2 * size_of::<(u64, u32)>()))?;
        let hasher = RandomState::new();
        let mut first = HashMap::with_capacity_and_hasher(rows.len(), BuildHasherDefault::default());
        let mut next = vec![END; rows.len()];
        // From the last row to the first, so that each chain runs forwards.
        for row in (0..rows.len()).rev() {
            if row % POLL_EVERY == 0 {
                run.check()?;
            }
            let value = rows.value(row, column);
            if value.is_null() {
                continue;
            }
            if let Some(later) = first.insert(hash(&hasher, &value), row as u32) {
                next[row] = later;
            }
        }
        Ok(Index { hasher, first, next })
    }

    fn rows_of(&self, value: &Value<'_>, found: &mut Vec<u32>) {
        let mut row = self.first(value);
        while let Some(this) = row {
            found.push(this);
            row = self.after(this);
        }
    }

    /// The first row that may have the value.
    pub(crate) fn first(&self, value: &Value<'_>) -> Option<u32> {
        self.first.get(&hash(&self.hasher, value)).copied()
    }

    /// The next row that may have the value of this one.
    pub(crate) fn after(&self, row: u32) -> Option<u32> {
        self.next.get(row as usize).copied().filter(|next| *next != END)
    }
}

/// The hash of what is a hash already.
#[derive(Default)]
pub(crate) struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|b| self.0 = self.0 << 8 | u64::from(*b));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

fn hash(hasher: &RandomState, value: &Value<'_>) -> u64 {
    let mut state = hasher.build_hasher();
    match value {
        Value::Null => 0u8.hash(&mut state),
        Value::Int(n) => n.hash(&mut state),
        // -0.0 equals 0.0 in SQL.
        Value::Real(x) => (x + 0.0).to_bits().hash(&mut state),
        Value::Text(bytes) | Value::Blob(bytes) => state.write(bytes),
    }
    state.finish()
}

/// A value as part of a row's identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Null,
    Int(i64),
    Real(u64),
    Bytes(Box<[u8]>),
}

impl Key {
    pub(crate) fn of(value: &Value<'_>) -> Key {
        match value {
            Value::Null => Key::Null,
            Value::Int(n) => Key::Int(*n),
            Value::Real(x) => Key::Real(x.to_bits()),
            Value::Text(bytes) | Value::Blob(bytes) => Key::Bytes(bytes.as_ref().into()),
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of::<Key>() + if let Key::Bytes(bytes) = self { bytes.len() } else { 0 }
    }
}
