//! Which of the comparisons that SQLite offers a scan will use, and what that costs.
//!
//! SQLite tests every row again, so a plan can only make a scan shorter. Costs are in units of reading one
//! column of a prepared row; only their order matters to SQLite.

use model::{Extent, Op, Ops, TableSchema};

/// A comparison that SQLite offers (`sqlite3_index_constraint`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    pub column: usize,
    pub op: Op,
    pub usable: bool,
    /// Its collation is BINARY (not asked for LIKE and GLOB, which have rules of their own).
    pub binary: bool,
    /// `IN (…)`, of which all values can come at once.
    pub list: bool,
    /// The value stands in the statement: it is the same at every start of the scan.
    pub constant: bool,
    /// The route tests every row by it.
    pub by_route: bool,
}

/// What the cursor is told, encoded as text in `idxStr`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Columns that may be read, as `colUsed` numbers them.
    pub used: u64,
    /// Rows that one scan is expected to give.
    pub rows: u64,
    /// The arguments of xFilter, in their order.
    pub args: Vec<Arg>,
    /// How many more arguments follow, whose sum is the number of rows that are wanted: LIMIT, and OFFSET.
    pub limits: usize,
}

/// Who makes use of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// The table itself: its scan is shorter.
    Table,
    /// The route: of the rows that the table gives fewer come here.
    Route,
    /// An index over kept rows.
    Index,
}

/// One argument of xFilter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arg {
    pub column: usize,
    pub op: Op,
    pub list: bool,
    pub by: By,
    /// Its value is the same at every start of the scan.
    pub constant: bool,
}

impl Arg {
    /// Whether it goes to where the rows come from.
    pub(crate) fn pushed(&self) -> bool {
        self.by != By::Index
    }
}

/// What SQLite is told in return.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cost {
    pub cost: f64,
    pub rows: i64,
}

/// A plan that lacks a required column: so dear that SQLite takes any other order of the join.
const COST_WITHOUT_REQUIRED: f64 = 1e14;
/// Collecting one row, next to reading one value of it.
const COST_COLLECT: f64 = 20.0;
/// Setting up one scan.
const COST_SCAN: f64 = 20.0;
/// One look-up in an index over kept rows.
const COST_LOOKUP: f64 = 5.0;

/// Chooses among the offers. The second list says for each offer its place among the arguments (from 1).
pub(crate) fn choose(schema: &TableSchema, offers: &[Offer], used: u64) -> (Plan, Vec<Option<usize>>, Cost) {
    let mut args = Vec::new();
    let mut places = vec![None; offers.len()];
    for (place, offer) in places.iter_mut().zip(offers) {
        let Some(column) = schema.columns.get(offer.column).filter(|_| offer.usable) else { continue };
        let by_table = match offer.op {
            Op::Eq => column.push.has(Ops::EQ) && offer.binary,
            Op::Like | Op::Glob => column.push.has(Ops::LIKE),
            Op::Lt | Op::Le | Op::Gt | Op::Ge => column.push.has(Ops::RANGE) && offer.binary,
            Op::Regexp => false,
        };
        let by_index = offer.op == Op::Eq && offer.binary && schema.required().next().is_none();
        let by = match () {
            () if by_table => By::Table,
            () if offer.by_route && offer.binary => By::Route,
            () if by_index => By::Index,
            () => continue,
        };
        let &Offer { column, op, list, constant, .. } = offer;
        args.push(Arg { column, op, list, by, constant });
        *place = Some(args.len());
    }
    let cost = cost(schema, &args);
    (Plan { used, rows: expected(schema, &args, cost), args, limits: 0 }, places, cost)
}

fn cost(schema: &TableSchema, args: &[Arg]) -> Cost {
    let required: Vec<usize> = (0..schema.columns.len()).filter(|i| schema.columns[*i].required).collect();
    let gives_required = |a: &Arg| {
        a.by == By::Table && required.contains(&a.column) && matches!(a.op, Op::Eq | Op::Like | Op::Glob)
    };
    if !required.is_empty() && !args.iter().any(gives_required) {
        return Cost { cost: COST_WITHOUT_REQUIRED, rows: 1 << 30 };
    }
    let keyed = args.iter().any(|a| a.by == By::Table && a.op == Op::Eq);
    let narrowed = args.iter().any(Arg::pushed);
    let indexed = args.iter().any(|a| a.op == Op::Eq);
    // Each further comparison leaves fewer rows, which tells SQLite the better of two keyed orders.
    let fewer = |rows: f64| (rows / (args.len().max(1) as f64)).max(1.0);
    match schema.extent {
        Extent::Whole { rows } => {
            let all = f64::from(rows.max(1));
            let (cost, rows) = match (keyed, indexed) {
                (true, _) => (COST_SCAN, fewer(all.sqrt().min(4.0))),
                (false, true) => (COST_SCAN + COST_LOOKUP, fewer(all.sqrt())),
                (false, false) if narrowed => (COST_SCAN + all * COST_COLLECT / 2.0, fewer(all / 4.0)),
                (false, false) => (COST_SCAN + all * COST_COLLECT, all),
            };
            Cost { cost: cost + rows, rows: rows as i64 }
        }
        Extent::PerKey { keys, rows } => {
            let (keys, one) = (f64::from(keys.max(1)), f64::from(rows.max(1)));
            let whole = COST_SCAN + keys * one * COST_COLLECT;
            let (cost, rows) = match (keyed, indexed) {
                (true, _) => (COST_SCAN + one * COST_COLLECT, fewer(one)),
                // The first look-up reads the whole table, the next ones nothing.
                (false, true) => (whole / 4.0, fewer(keys.sqrt() * one)),
                (false, false) if narrowed => (whole / 2.0, fewer(keys * one / 2.0)),
                (false, false) => (whole, keys * one),
            };
            Cost { cost: cost + rows, rows: rows as i64 }
        }
    }
}

/// Files that a pattern of paths is expected to find.
const PATTERN_KEYS: u32 = 100;

/// Rows that a scan will give. What SQLite is told is larger for patterns, so that it puts them outermost.
fn expected(schema: &TableSchema, args: &[Arg], cost: Cost) -> u64 {
    let pattern = |a: &Arg| a.by == By::Table && matches!(a.op, Op::Like | Op::Glob);
    let keyed = args.iter().any(|a| a.by == By::Table && a.op == Op::Eq);
    match schema.extent {
        // Its scan ends in an error that says more.
        _ if cost.cost == COST_WITHOUT_REQUIRED => 1,
        Extent::PerKey { keys, rows } if !keyed && args.iter().any(pattern) => {
            u64::from(keys.clamp(1, PATTERN_KEYS)) * u64::from(rows.max(1))
        }
        _ => u64::try_from(cost.rows).unwrap_or(1).max(1),
    }
}

const OPS: [(Op, char); 8] = [
    (Op::Eq, '='),
    (Op::Like, '~'),
    (Op::Glob, '*'),
    (Op::Lt, '<'),
    (Op::Le, '{'),
    (Op::Gt, '>'),
    (Op::Ge, '}'),
    (Op::Regexp, 'r'),
];

impl Plan {
    /// As text: `used` in hexadecimal, the rows, the number of limits, then for each argument its operation, column and marks.
    pub(crate) fn encode(&self) -> String {
        let mut text = format!("{:x};{};{}", self.used, self.rows, self.limits);
        for arg in &self.args {
            let op = OPS.iter().find(|(op, _)| *op == arg.op).map_or('=', |(_, c)| *c);
            let list = if arg.list { "l" } else { "" };
            let constant = if arg.constant { "c" } else { "" };
            let by = match arg.by {
                By::Table => "t",
                By::Route => "r",
                By::Index => "",
            };
            text.push_str(&format!(";{op}{}{list}{constant}{by}", arg.column));
        }
        text
    }

    /// From the text of [`Plan::encode`].
    pub(crate) fn decode(text: &str) -> Option<Plan> {
        let mut parts = text.split(';');
        let used = u64::from_str_radix(parts.next()?, 16).ok()?;
        let rows = parts.next()?.parse().ok()?;
        let limits = parts.next()?.parse().ok()?;
        let arg = |part: &str| {
            let mut rest = part.chars();
            let sign = rest.next()?;
            let op = OPS.iter().find(|(_, c)| *c == sign)?.0;
            let rest = rest.as_str();
            let digits = rest.trim_end_matches(char::is_alphabetic);
            let marks = &rest[digits.len()..];
            Some(Arg {
                column: digits.parse().ok()?,
                op,
                list: marks.contains('l'),
                constant: marks.contains('c'),
                by: match () {
                    () if marks.contains('t') => By::Table,
                    () if marks.contains('r') => By::Route,
                    () => By::Index,
                },
            })
        };
        Some(Plan { used, rows, limits, args: parts.map(arg).collect::<Option<_>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_survives_its_encoding() {
        let args = OPS
            .iter()
            .enumerate()
            .map(|(n, (op, _))| Arg {
                column: n * 9,
                op: *op,
                list: n % 2 == 0,
                by: [By::Table, By::Route, By::Index][n % 3],
                constant: n % 4 == 0,
            })
            .collect();
        let plan = Plan { used: u64::MAX, rows: 7, limits: 2, args };
        assert_eq!(Plan::decode(&plan.encode()), Some(plan));
        assert_eq!(Plan::decode("zz"), None);
        assert_eq!(Plan::decode("0;0;0;?1"), None);
    }
}
