//! What SQLite offers a table to narrow a scan by.

use std::borrow::Cow;

use model::Op;
use rusqlite::Result;
use rusqlite::vtab::{IndexConstraintOp, IndexInfo};

use crate::bridge::Aux;
use crate::plan::Offer;
use crate::scope::lock;

/// The comparisons of a statement with a table, as SQLite offers them.
pub(crate) struct Offers {
    pub(crate) list: Vec<Offer>,
    /// SQLite's number of each.
    pub(crate) numbers: Vec<usize>,
    /// SQLite's numbers of LIMIT and OFFSET; none where rows are sorted.
    pub(crate) limits: Vec<usize>,
    /// No comparison was left out of the list.
    pub(crate) complete: bool,
}

impl Aux {
    pub(crate) fn offers(&self, info: &IndexInfo) -> Result<Offers> {
        let (schema, route) = &self.shared.tables[self.table];
        let unique = schema.identity.unique && route.keeps_identity();
        let numbered = lock(&self.shared.planning).numbered;
        // Rows with one identity are told apart by their order, so all of them must pass a filter, or none.
        let may_filter = |column: usize| {
            let named = |name: &Cow<'_, str>| schema.column(name) == Some(column);
            !numbered || unique || schema.identity.columns.iter().any(named)
        };
        let sorted = info.num_of_order_by() > 0;
        let mut offers = Offers { list: Vec::new(), numbers: Vec::new(), limits: Vec::new(), complete: true };
        for (number, constraint) in info.constraints().enumerate() {
            use IndexConstraintOp as Sql;
            let op = match constraint.operator() {
                Sql::SQLITE_INDEX_CONSTRAINT_EQ => Op::Eq,
                Sql::SQLITE_INDEX_CONSTRAINT_LIKE => Op::Like,
                Sql::SQLITE_INDEX_CONSTRAINT_GLOB => Op::Glob,
                Sql::SQLITE_INDEX_CONSTRAINT_REGEXP => Op::Regexp,
                Sql::SQLITE_INDEX_CONSTRAINT_LT => Op::Lt,
                Sql::SQLITE_INDEX_CONSTRAINT_LE => Op::Le,
                Sql::SQLITE_INDEX_CONSTRAINT_GT => Op::Gt,
                Sql::SQLITE_INDEX_CONSTRAINT_GE => Op::Ge,
                Sql::SQLITE_INDEX_CONSTRAINT_LIMIT | Sql::SQLITE_INDEX_CONSTRAINT_OFFSET => {
                    if !sorted && constraint.is_usable() {
                        offers.limits.push(number);
                    }
                    continue;
                }
                _ => {
                    offers.complete = false;
                    continue;
                }
            };
            // A negative column is the row number, which no table can look up.
            let Ok(column) = usize::try_from(constraint.column()) else {
                offers.complete = false;
                continue;
            };
            let usable = constraint.is_usable();
            let pattern = matches!(op, Op::Like | Op::Glob | Op::Regexp);
            offers.list.push(Offer {
                column,
                op,
                usable,
                binary: pattern || info.collation(number)? == "BINARY",
                list: op == Op::Eq && usable && info.is_in_constraint(number)?,
                constant: usable && info.rhs_value(number)?.is_some(),
                by_route: route.filters(schema, op) && may_filter(column),
            });
            offers.numbers.push(number);
        }
        Ok(offers)
    }
}
