//! What goes: by age and size, in slices.

use std::sync::PoisonError;

use redb::{ReadableTable, ReadableTableMetadata};

use super::reader::Tables;
use super::records::*;
use super::{History, HistoryReader, packing};
use crate::{StoreError, codec, crash_point, database};

/// How much history is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Runs that are older go, and the lives that ended in them, in ms.
    pub max_age_ms: u64,
    /// Bytes in use within the file; past them the oldest runs go.
    pub max_bytes: u64,
}

/// What a slice took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retained {
    /// Lives that went.
    pub lives: u64,
    /// Runs that went.
    pub runs: u64,
    /// Whether there is more to take.
    pub more: bool,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Lives.
    pub lives: u64,
    /// Records of changes.
    pub changes: u64,
    /// Collection runs.
    pub runs: u64,
    /// Bytes of keys and values.
    pub stored_bytes: u64,
    /// Time of the oldest run, in ms since 1970.
    pub oldest_ms: Option<i64>,
    /// Time of the newest run, in ms since 1970.
    pub newest_ms: Option<i64>,
}

impl History {
    /// Takes away what is beyond the limits: at most `slice` lives and runs (1 at least) in one transaction.
    ///
    /// A run goes with the lives that ended in it; no living process goes, nor a part of a life. Runs go in
    /// the order of their numbers up to a keyframe, so that what stays can be read; the last keyframe stays.
    pub fn retain(&mut self, limits: &Limits, now_ms: i64, slice: usize) -> Result<Retained, StoreError> {
        let path = &self.path;
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let txn = database.begin_write().of(path)?;
        let mut retained = Retained::default();
        {
            let stats = txn.stats().of(path)?;
            let used = stats.allocated_pages().saturating_mul(stats.page_size() as u64);
            let mut runs = txn.open_table(RUNS).of(path)?;
            let mut keyframes = txn.open_table(KEYFRAMES).of(path)?;
            let oldest_kept = now_ms.saturating_sub_unsigned(limits.max_age_ms);
            let first = runs.first().of(path)?.map(|(run, _)| run.value());
            let readable = keyframes.first().of(path)?.map(|(run, _)| run.value());
            let Some((first, readable)) = first.zip(readable) else { return Ok(retained) };
            // What a segment frees is known only once it is gone: one at a time.
            let is_large = used > limits.max_bytes && first == readable;
            // The runs before this keyframe go; those before the oldest one are left from a slice.
            let mut until = readable;
            for (n, entry) in keyframes.iter().of(path)?.enumerate() {
                let run = entry.of(path)?.0.value();
                let Some(record) = runs.get(run).of(path)? else { continue };
                let is_old = read::<RunV1>(path, record.value())?.time_ms < oldest_kept;
                let goes_for_size = is_large && n <= 1;
                if !is_old && !goes_for_size {
                    break;
                }
                until = until.max(run);
            }
            retained.more = is_large && until > first;
            keyframes.retain(|run, _| run >= until).of(path)?;

            let mut blocks = txn.open_table(BLOCKS).of(path)?;
            let mut by_time = txn.open_table(BY_TIME).of(path)?;
            let mut left = slice.max(1);
            for run in first..until {
                let ended = match blocks.get(run).of(path)? {
                    Some(block) => read::<BlockV1>(path, block.value())?.ended,
                    None => Vec::new(),
                };
                let mut ended = packing::numbers(&ended)
                    .ok_or_else(|| damaged(path, "the ends of a run cannot be read"))?;
                let rest = ended.split_off(ended.len().min(left));
                for id in &ended {
                    retained.lives += u64::from(remove_life(&txn, path, run, *id)?);
                }
                left -= ended.len();
                if left == 0 || !rest.is_empty() {
                    // No keyframe goes before this block any more: nobody reads its entries.
                    let ended = packing::pack_numbers(rest.into_iter());
                    let block = codec::encode(&BlockV1 { ended, entries: Vec::new() });
                    blocks.insert(run, block.as_slice()).of(path)?;
                    retained.more = true;
                    break;
                }
                let record = runs.remove(run).of(path)?.map(|record| read::<RunV1>(path, record.value()));
                if let Some(record) = record.transpose()? {
                    by_time.remove((record.time_ms, run)).of(path)?;
                }
                blocks.remove(run).of(path)?;
                retained.runs += 1;
                left -= 1;
                if left == 0 {
                    retained.more = true;
                    break;
                }
            }
        }
        crash_point("history.retain");
        txn.commit().of(path)?;
        Ok(retained)
    }

    /// Gives the disk back what the file no longer needs, once that is most of it. Readers wait meanwhile.
    pub fn compact_if_sparse(&mut self) -> Result<bool, StoreError> {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        database::compact_if_sparse(&mut database, &self.path).of(&self.path)
    }

    /// Gives free pages back to the file system; whether any were. Readers wait meanwhile.
    pub fn compact(&mut self) -> Result<bool, StoreError> {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        database.compact().of(&self.path)
    }
}

/// Takes a life away if it ended in this run; one that was seen again lives or ended later.
fn remove_life(
    txn: &redb::WriteTransaction,
    path: &std::path::Path,
    run: u64,
    id: u64,
) -> Result<bool, StoreError> {
    let mut ends = txn.open_table(ENDS).of(path)?;
    let end = ends.get(id).of(path)?.map(|end| read::<EndV1>(path, end.value())).transpose()?;
    if end.is_none_or(|end| end.run != run) {
        return Ok(false);
    }
    ends.remove(id).of(path)?;
    let life = txn.open_table(LIVES).of(path)?.remove(id).of(path)?.map(|life| read(path, life.value()));
    let Some(life) = life else { return Ok(false) };
    let life: LifeV1 = life?;
    txn.open_table(BY_START_KEY).of(path)?.remove(life.start_key.as_slice()).of(path)?;
    txn.open_table(BY_PID).of(path)?.remove((life.pid, id)).of(path)?;
    txn.open_table(BY_FIRST).of(path)?.remove((life.time_ms, id)).of(path)?;
    txn.open_table(CHANGES).of(path)?.retain_in((id, 0)..=(id, u64::MAX), |_, _| false).of(path)?;
    Ok(true)
}

impl HistoryReader {
    /// How much there is.
    pub fn stats(&self) -> Result<Stats, StoreError> {
        self.with(|tables| tables.stats())
    }
}

impl Tables<'_> {
    fn stats(&self) -> Result<Stats, StoreError> {
        let path = self.path;
        let stored = [
            self.lives.stats().of(path)?,
            self.by_start_key.stats().of(path)?,
            self.by_pid.stats().of(path)?,
            self.by_first.stats().of(path)?,
            self.ends.stats().of(path)?,
            self.changes.stats().of(path)?,
            self.runs.stats().of(path)?,
            self.by_time.stats().of(path)?,
            self.blocks.stats().of(path)?,
            self.keyframes.stats().of(path)?,
        ];
        let time = |record: &[u8]| read::<RunV1>(path, record).map(|run| run.time_ms);
        Ok(Stats {
            lives: self.lives.len().of(path)?,
            changes: self.changes.len().of(path)?,
            runs: self.runs.len().of(path)?,
            stored_bytes: stored.iter().map(redb::TableStats::stored_bytes).sum(),
            oldest_ms: self.runs.first().of(path)?.map(|(_, run)| time(run.value())).transpose()?,
            newest_ms: self.runs.last().of(path)?.map(|(_, run)| time(run.value())).transpose()?,
        })
    }
}
