//! What one run of a statement shares between its cursors: kept rows, their indexes, row numbers, counts.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use collector::Scan;
use model::{ColumnMask, Constraint, Extent, Query, Run, ScanError, TableSchema};

use crate::kept::{Found, Kept, Key};
use crate::keyed_cache::{KeyedCache, cache_key};
use crate::plan::{Arg, By, Plan};
use crate::{Route, SqlError};

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One table as a statement sees it.
pub(crate) struct TableScope {
    pub schema: Arc<TableSchema>,
    pub route: Arc<dyn Route>,
    /// How often the statement's text scans it.
    pub references: u32,
    state: Mutex<TableState>,
    numbers: Mutex<Numbers>,
}

#[derive(Default)]
struct TableState {
    scanned: bool,
    /// With the columns that it has.
    whole: Option<(Arc<Kept>, ColumnMask)>,
    keyed: KeyedCache,
}

/// One run of one statement.
pub(crate) struct Scope {
    pub run: Run,
    pub tables: Vec<TableScope>,
    /// Lower-case names of the columns that the statement compares, for the count of rows kept.
    pub tested: Vec<String>,
    /// Cursors that stand on a row: a scan that starts while there is one is the inner side of a join.
    pub standing: AtomicI64,
    /// Counts what SQLite can only do with a row that it has kept: start an inner scan, give a row.
    pub steps: AtomicI64,
    /// Whether to read the clock around each call of a table.
    pub timed: bool,
    /// Row numbers may be asked for.
    pub numbered: bool,
    /// For each table the columns that any of its scans may read, once the statement is prepared. Unknown for one
    /// that was prepared long ago: then all.
    pub columns: OnceLock<Vec<(usize, u64)>>,
    /// What a table failed with, kept here because SQLite carries only its text.
    pub failure: Mutex<Option<SqlError>>,
    pub uses: Mutex<Vec<Use>>,
}

/// What the scans of one table reference did.
#[derive(Clone, Debug)]
pub(crate) struct Use {
    pub table: usize,
    pub plan: Plan,
    pub how: &'static str,
    pub scans: u64,
    pub collections: u64,
    /// Rows that the table gave.
    pub collected: u64,
    /// Columns of which the values were sent, where not all are at hand.
    pub sent: Option<ColumnMask>,
    pub produced: u64,
    /// `None` where SQLite's reading does not show whether it kept a row.
    pub kept: Option<u64>,
    pub read: ColumnMask,
    pub time: Duration,
}

impl Scope {
    pub(crate) fn new(
        run: Run,
        tables: impl Iterator<Item = (Arc<TableSchema>, Arc<dyn Route>, u32)>,
        tested: Vec<String>,
        numbered: bool,
        timed: bool,
    ) -> Scope {
        let table = |(schema, route, references)| TableScope {
            schema,
            route,
            references,
            state: Mutex::default(),
            numbers: Mutex::default(),
        };
        Scope {
            run,
            tables: tables.map(table).collect(),
            tested,
            standing: AtomicI64::new(0),
            steps: AtomicI64::new(0),
            timed,
            numbered,
            columns: OnceLock::new(),
            failure: Mutex::new(None),
            uses: Mutex::new(Vec::new()),
        }
    }

    /// The rows for one xFilter. `args` tell who makes use of each constraint.
    pub(crate) fn start(&self, table: usize, wanted: Wanted, inner: bool) -> Result<Started, ScanError> {
        let Wanted { constraints, args, used, rows } = &wanted;
        let scope = &self.tables[table];
        let query = |constraints, used, rows_wanted| Query {
            schema: scope.schema.clone(),
            used,
            constraints,
            rows_wanted,
            every_row: self.tested.is_empty(),
            run: self.run.clone(),
        };
        let open = |query: &Query| scope.route.open(&scope.schema.name, query);
        let keep = |query: &Query| Ok::<_, ScanError>(Arc::new(Kept::new(open(query)?.keep(query)?)));
        let found = |kept: &Arc<Kept>, sent: Option<ColumnMask>| {
            let collected = sent.map(|sent| Collected { rows: kept.rows.len() as u64, sent });
            Ok(Started::Kept { rows: kept.clone(), found: kept.find(constraints, &self.run)?, collected })
        };
        let chosen = |which: &dyn Fn(&Arg) -> bool| -> Vec<Constraint> {
            constraints.iter().zip(args).filter(|(_, arg)| which(arg)).map(|(c, _)| c.clone()).collect()
        };
        let used = self.sent(table, *used);

        let mut state = lock(&scope.state);
        let first = !std::mem::replace(&mut state.scanned, true);
        if let Some((whole, has)) = state.whole.clone()
            && has.covers(used)
        {
            drop(state);
            return found(&whole, None);
        }
        if first && !inner && scope.references < 2 {
            drop(state);
            let scan = open(&query(chosen(&Arg::pushed), used, *rows))?;
            return Ok(Started::Stream { scan, sent: used });
        }
        // Of what the route tests only constants, or each value that comes along would be another scan.
        let by_key = chosen(&|arg| arg.by == By::Table || arg.by == By::Route && arg.constant);
        let keyed = args.iter().any(|arg| arg.by == By::Table);
        let per_key = matches!(scope.schema.extent, Extent::PerKey { .. });
        let constants = match scope.route.projects() && scope.references < 2 {
            true => chosen(&|arg| arg.pushed() && arg.constant),
            // Rows at hand are kept as cheaply whole, for whoever comes next.
            false => Vec::new(),
        };
        // Of a table that is cheap to read whole, the second key reads it whole.
        let keys =
            [(keyed, by_key, per_key || state.keyed.is_empty()), (!constants.is_empty(), constants, true)];
        for (is_narrower, constraints, may_collect) in keys {
            if !is_narrower {
                continue;
            }
            let key = cache_key(&constraints, used.bits());
            if let Some(kept) = state.keyed.get(&key) {
                drop(state);
                return found(&kept, None);
            }
            if may_collect {
                let kept = keep(&query(constraints, used, None))?;
                state.keyed.put(key, kept.clone(), &self.run);
                drop(state);
                return found(&kept, Some(used));
            }
        }
        let columns = self.of_whole(table).or(used);
        let whole = keep(&query(Vec::new(), columns, None))?;
        state.whole = Some((whole.clone(), columns));
        state.keyed.clear(&self.run);
        drop(state);
        found(&whole, Some(columns))
    }

    /// The columns to ask for where some will be read.
    fn sent(&self, table: usize, used: ColumnMask) -> ColumnMask {
        let TableScope { route, schema, .. } = &self.tables[table];
        if !(route.projects() && self.numbered) {
            return used;
        }
        let identity = schema.identity.columns.iter().filter_map(|name| schema.column(name));
        identity.fold(used, ColumnMask::with)
    }

    /// The columns of rows that every scan of the statement shares.
    fn of_whole(&self, table: usize) -> ColumnMask {
        let planned = self.columns.get().and_then(|of| of.iter().find(|(of, _)| *of == table));
        match planned {
            Some((_, used)) if self.tables[table].route.projects() => {
                self.sent(table, ColumnMask::from_bits(*used))
            }
            _ => ColumnMask::ALL,
        }
    }

    /// Whether these rows are the whole of a table, which every later start of the statement uses.
    pub(crate) fn holds_whole(&self, table: usize, rows: &Arc<Kept>) -> bool {
        lock(&self.tables[table].state).whole.as_ref().is_some_and(|(whole, _)| Arc::ptr_eq(whole, rows))
    }

    /// Whether no two rows of a table have the same identity.
    pub(crate) fn unique(&self, table: usize) -> bool {
        let table = &self.tables[table];
        table.schema.identity.unique && table.route.keeps_identity()
    }

    /// The number of a row: equal rows get equal numbers in every scan of the statement.
    pub(crate) fn number(&self, table: usize, identity: Vec<Key>, ordinal: u32) -> Result<i64, ScanError> {
        let mut numbers = lock(&self.tables[table].numbers);
        let next = numbers.of.len() as i64 + 1;
        let bytes = identity.iter().map(Key::bytes).sum::<usize>() + size_of::<(Vec<Key>, u32, i64)>();
        match numbers.of.entry((identity, ordinal)) {
            std::collections::hash_map::Entry::Occupied(known) => Ok(*known.get()),
            std::collections::hash_map::Entry::Vacant(new) => {
                self.run.hold(bytes)?;
                Ok(*new.insert(next))
            }
        }
    }

    /// Adds what one cursor saw to the counts of its table reference.
    pub(crate) fn count(&self, used: Use) {
        let mut uses = lock(&self.uses);
        let same = |u: &&mut Use| u.table == used.table && u.plan == used.plan;
        match uses.iter_mut().find(same) {
            Some(known) => {
                known.scans += used.scans;
                known.collections += used.collections;
                known.collected += used.collected;
                known.sent = known.sent.or(used.sent).map(|mask| mask.or(used.sent.unwrap_or(mask)));
                known.produced += used.produced;
                known.kept = known.kept.zip(used.kept).map(|(a, b)| a + b);
                known.read = known.read.or(used.read);
                known.time += used.time;
                known.how = used.how;
            }
            None => uses.push(used),
        }
    }
}

#[derive(Default)]
struct Numbers {
    of: HashMap<(Vec<Key>, u32), i64>,
}

/// What a cursor asks for at its start.
pub(crate) struct Wanted {
    pub constraints: Vec<Constraint>,
    /// Of each constraint.
    pub args: Vec<Arg>,
    /// Columns that may be read.
    pub used: ColumnMask,
    /// Rows after which it probably has enough.
    pub rows: Option<u64>,
}

/// The rows that a cursor walks.
pub(crate) enum Started {
    Stream {
        scan: Box<dyn Scan>,
        sent: ColumnMask,
    },
    /// `collected` when they were read for this cursor.
    Kept {
        rows: Arc<Kept>,
        found: Found,
        collected: Option<Collected>,
    },
}

/// What one reading of a table gave.
pub(crate) struct Collected {
    pub rows: u64,
    pub sent: ColumnMask,
}

/// Adds to a count of the statement. It runs on one thread at a time, so no locked addition is needed.
#[inline]
pub(crate) fn add(count: &AtomicI64, n: i64) {
    count.store(count.load(Ordering::Relaxed) + n, Ordering::Relaxed);
}

/// Adds the time of a call to a sum, when the scope wants to know.
#[inline]
pub(crate) fn timed<T>(timed: bool, sum: &std::cell::Cell<Duration>, call: impl FnOnce() -> T) -> T {
    if !timed {
        return call();
    }
    let started = Instant::now();
    let result = call();
    sum.set(sum.get() + started.elapsed());
    result
}

/// Whether any cursor of the scope stands on a row.
pub(crate) fn inner(scope: &Scope) -> bool {
    scope.standing.load(Ordering::Relaxed) > 0
}
