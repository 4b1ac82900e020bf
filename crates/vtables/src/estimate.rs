//! What a statement will take, told from the plan that SQLite made of it: rows that its loops stand on in all.

use std::ops::Range;

use model::Extent;
use rusqlite::Connection;

use crate::Catalog;
use crate::guard::{self, Checked};
use crate::plan::Plan;

/// Rows of a table function, or of anything else whose size nobody tells.
const ROWS_UNKNOWN: f64 = 25.0;
/// Rows that each row at the start of a recursive expression brings forth.
const RECURSIONS: f64 = 25.0;

/// What a statement is expected to take.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// Rows that all loops together stand on.
    pub steps: f64,
    /// The dearest loops within each other, from the outermost in.
    pub loops: Vec<Loop>,
}

/// One loop of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Loop {
    /// What it goes over, as the statement names it.
    pub name: String,
    /// The rows that it gives for each row of the loops around it.
    pub rows: f64,
    /// Where the statement names it.
    pub place: Option<Range<usize>>,
}

/// A line of EXPLAIN QUERY PLAN.
struct Line {
    id: i64,
    parent: i64,
    detail: String,
}

/// The estimate for a statement that was checked.
pub(crate) fn estimate(connection: &Connection, sql: &str) -> rusqlite::Result<Estimate> {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
    // Without values for its parameters: nothing is run.
    let mut rows = statement.raw_query();
    let mut lines = Vec::new();
    while let Some(row) = rows.next()? {
        lines.push(Line { id: row.get(0)?, parent: row.get(1)?, detail: row.get(3)? });
    }
    let mut walk = Walk { lines: &lines, made: Vec::new(), dearest: Vec::new(), most: 0.0 };
    let sum = walk.below(0, &mut Vec::new());
    let shown = |(name, rows): (String, f64)| Loop { place: guard::place_of_table(sql, &name), name, rows };
    Ok(Estimate { steps: sum.steps, loops: walk.dearest.into_iter().map(shown).collect() })
}

/// Steps that a statement's estimate surely does not exceed, from the sizes of its tables alone: no plan is made for it,
/// which costs as much as a prepare. `None` where its words allow of loops over something else.
pub(crate) fn most(sql: &str, checked: &Checked, catalog: &Catalog) -> Option<f64> {
    let sql = sql.to_ascii_lowercase();
    // Compounds and with them recursion, rows without a table, tables of SQLite's own.
    if ["union", "except", "intersect", "values", "pragma", "json"].iter().any(|word| sql.contains(word)) {
        return None;
    }
    let (mut product, mut loops) = (1.0, 1.0);
    for used in &checked.tables {
        let rows = match catalog.get(&used.name)?.extent {
            Extent::Whole { rows } => f64::from(rows),
            Extent::PerKey { keys, rows } => f64::from(keys.max(1)) * f64::from(rows.max(1)),
        };
        let references = i32::try_from(used.references).ok()?;
        product *= rows.max(2.0).powi(references);
        loops += 2.0 * f64::from(references);
    }
    // Each branch of an OR may be a scan of its own. Some of these are parts of other words, which does no harm.
    let branches = 2_f64.powi(i32::try_from(sql.matches("or").count()).ok()?);
    Some(loops * branches * product)
}

/// What a part of a plan takes, and how many rows it gives.
#[derive(Clone, Copy)]
struct Sum {
    steps: f64,
    rows: f64,
}

struct Walk<'l> {
    lines: &'l [Line],
    /// Subqueries that were worked out before, with their rows.
    made: Vec<(&'l str, f64)>,
    dearest: Vec<(String, f64)>,
    most: f64,
}

impl<'l> Walk<'l> {
    /// The lines below one. Those that scan are loops within each other, in their order; `around` are the loops
    /// that all of this runs in.
    fn below(&mut self, parent: i64, around: &mut Vec<(String, f64)>) -> Sum {
        let lines = self.lines;
        let depth = around.len();
        let mut sum = Sum { steps: 0.0, rows: 1.0 };
        let mut terms = 0.0;
        let mut is_compound = false;
        for line in lines.iter().filter(|line| line.parent == parent) {
            let (word, rest) = line.detail.split_once(' ').unwrap_or((&line.detail, ""));
            match word {
                "SCAN" | "SEARCH" => {
                    let (name, rows) = self.rows(word, rest);
                    sum.rows *= rows;
                    sum.steps += sum.rows;
                    around.push((name.to_owned(), rows));
                    self.look(around);
                }
                "MULTI-INDEX" => {
                    let rows: f64 = self.branches(line.id).iter().sum();
                    sum.rows *= rows.max(1.0);
                    sum.steps += sum.rows;
                    around.push(("OR".to_owned(), rows.max(1.0)));
                    self.look(around);
                }
                "CO-ROUTINE" | "MATERIALIZE" => {
                    let made = self.below(line.id, &mut Vec::new());
                    sum.steps += made.steps;
                    self.made.push((rest, made.rows));
                }
                // For each row of the loops so far.
                "CORRELATED" => sum.steps += sum.rows * self.below(line.id, around).steps,
                "SCALAR" | "LIST" | "RIGHT-JOIN" => sum.steps += self.below(line.id, &mut Vec::new()).steps,
                "RECURSIVE" => {
                    let each = self.below(line.id, &mut vec![("WITH RECURSIVE".to_owned(), RECURSIONS)]);
                    let times = RECURSIONS * f64::max(terms, 1.0);
                    sum.steps += times * each.steps;
                    terms += times;
                }
                "COMPOUND" | "MERGE" => {
                    let made = self.below(line.id, around);
                    sum = Sum { steps: sum.steps + made.steps, rows: sum.rows * made.rows };
                }
                "SETUP" | "LEFT-MOST" | "UNION" | "EXCEPT" | "INTERSECT" | "LEFT" | "RIGHT" => {
                    let term = self.below(line.id, around);
                    is_compound = true;
                    sum.steps += term.steps;
                    terms += term.rows;
                }
                _ => sum.steps += self.below(line.id, around).steps,
            }
        }
        around.truncate(depth);
        if is_compound { Sum { steps: sum.steps, rows: terms } } else { sum }
    }

    /// The rows that each branch of an OR finds.
    fn branches(&self, parent: i64) -> Vec<f64> {
        let mut found = Vec::new();
        for line in self.lines.iter().filter(|line| line.parent == parent) {
            match line.detail.split_once(' ') {
                Some((word @ ("SCAN" | "SEARCH"), rest)) => found.push(self.rows(word, rest).1),
                _ => found.extend(self.branches(line.id)),
            }
        }
        found
    }

    /// What a loop goes over, and how many rows it finds there.
    fn rows(&self, word: &str, rest: &'l str) -> (&'l str, f64) {
        if let Some((name, index)) = rest.rsplit_once(" VIRTUAL TABLE INDEX ") {
            let plan = index.split_once(':').and_then(|(_, plan)| Plan::decode(plan));
            return (name, plan.map_or(ROWS_UNKNOWN, |plan| plan.rows as f64));
        }
        if rest == "CONSTANT ROW" {
            return (rest, 1.0);
        }
        let name = rest.split_once(" USING ").map_or(rest, |(name, _)| name);
        let made = self.made.iter().rev();
        let rows = made.clone().find(|(made, _)| *made == name).or(made.clone().next());
        let rows = rows.map_or(ROWS_UNKNOWN, |(_, rows)| *rows);
        (name, if word == "SEARCH" { rows.sqrt() } else { rows }.max(1.0))
    }

    fn look(&mut self, loops: &[(String, f64)]) {
        let product: f64 = loops.iter().map(|(_, rows)| rows).product();
        if product > self.most {
            self.most = product;
            self.dearest = loops.to_vec();
        }
    }
}
