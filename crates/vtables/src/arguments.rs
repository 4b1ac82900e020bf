//! What SQLite gives a scan to compare with, as constraints: values of the storage class of their column.

use std::borrow::Cow;

use model::{Constraint, Kind, Op, TableSchema, Value};
use rusqlite::Error;
use rusqlite::fallible_streaming_iterator::FallibleStreamingIterator;
use rusqlite::types::ValueRef;
use rusqlite::vtab::Filters;

use crate::plan::{Arg, By, Plan};
use crate::{ErrorKind, SqlError};

/// Rows after which the statement has enough, as its LIMIT and OFFSET say.
pub(crate) fn rows_wanted(plan: &Plan, args: &Filters<'_>) -> Option<u64> {
    let first = plan.args.len();
    let limits = first..(first + plan.limits).min(args.len());
    let number = |n: usize| match ValueRef::from(&args[n]) {
        // A negative LIMIT is none, a negative OFFSET is 0; without a LIMIT there is no OFFSET either.
        ValueRef::Integer(rows) => u64::try_from(rows).ok(),
        _ => None,
    };
    let sum = limits.clone().map(number).try_fold(0_u64, |sum, rows| sum.checked_add(rows?));
    sum.filter(|_| !limits.is_empty())
}

/// The arguments as constraints, each with who makes use of it; `None` when no row can match. A comparison that
/// SQLite would convert for is left out.
pub(crate) fn constraints(
    plan: &Plan,
    schema: &TableSchema,
    args: &Filters<'_>,
) -> std::result::Result<Option<Vec<(Constraint, Arg)>>, SqlError> {
    let bridge = |error: Error| SqlError::new(ErrorKind::Internal, error.to_string());
    let mut constraints = Vec::new();
    for (n, arg) in plan.args.iter().enumerate().take(args.len()) {
        let kind = match arg.op {
            Op::Like | Op::Glob | Op::Regexp => Kind::Text,
            _ => schema.columns[arg.column].kind,
        };
        let mut values = Vec::new();
        let mut convertible = true;
        // Without a required column there is no scan at all, so its values are converted here.
        let required = schema.columns[arg.column].required;
        let range = matches!(arg.op, Op::Lt | Op::Le | Op::Gt | Op::Ge) && arg.by == By::Route;
        let as_pattern = matches!(arg.op, Op::Like | Op::Glob);
        let mut take =
            |value: ValueRef<'_>| match exact(kind, if as_pattern { pattern(value) } else { value }) {
                Exact::Value(value) => values.push(value),
                // A filter compares numbers of both classes as SQLite does; an index or a table need not.
                Exact::Converted if range && is_number(kind, value) => values.push(match value {
                    ValueRef::Real(x) => x.into(),
                    value => Value::Int(value.as_i64().unwrap_or_default()),
                }),
                Exact::Null => {}
                Exact::Converted if required => values.extend(converted(kind, value)),
                Exact::Converted => convertible = false,
            };
        if arg.list {
            let mut list = args.in_values(n).map_err(bridge)?;
            while let Some(value) = list.next().map_err(bridge)? {
                take(ValueRef::from(value));
            }
        } else {
            take(ValueRef::from(&args[n]));
        }
        if !convertible {
            continue;
        }
        if values.is_empty() {
            return Ok(None);
        }
        constraints.push((Constraint { column: arg.column, op: arg.op, values }, *arg));
    }
    Ok(Some(constraints))
}

enum Exact {
    Value(Value<'static>),
    Null,
    /// SQLite would convert it before comparing, so a table cannot narrow by it.
    Converted,
}

fn exact(kind: Kind, value: ValueRef<'_>) -> Exact {
    match (kind, value) {
        (_, ValueRef::Null) => Exact::Null,
        (Kind::Int, ValueRef::Integer(n)) => Exact::Value(n.into()),
        (Kind::Real, ValueRef::Real(x)) => Exact::Value(x.into()),
        (Kind::Text, ValueRef::Text(bytes)) => Exact::Value(bytes.to_vec().into()),
        (Kind::Blob, ValueRef::Blob(bytes)) => Exact::Value(Value::Blob(Cow::Owned(bytes.to_vec()))),
        _ => Exact::Converted,
    }
}

/// A value as LIKE and GLOB take it: the bytes of text or a blob, up to the first NUL.
fn pattern(value: ValueRef<'_>) -> ValueRef<'_> {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => ValueRef::Text(until_nul(bytes)),
        number => number,
    }
}

/// Where SQLite stops reading a pattern, and text as a number.
fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn is_number(kind: Kind, value: ValueRef<'_>) -> bool {
    matches!((kind, value), (Kind::Int | Kind::Real, ValueRef::Integer(_) | ValueRef::Real(_)))
}

/// A value as the column's affinity turns it before it is compared; none when it then equals no value of the
/// column (datatype3.html#type_conversions_prior_to_comparison).
fn converted(kind: Kind, value: ValueRef<'_>) -> Option<Value<'static>> {
    let digits = |bytes| std::str::from_utf8(until_nul(bytes)).map(str::trim_ascii).ok();
    let number = |bytes| digits(bytes)?.parse::<f64>().ok();
    let whole = |x: f64| (x as i64 as f64 == x).then_some(Value::Int(x as i64));
    match (kind, value) {
        (Kind::Int, ValueRef::Real(x)) => whole(x),
        (Kind::Int, ValueRef::Text(bytes)) => {
            let exact = digits(bytes)?.parse::<i64>();
            exact.map_or_else(|_| whole(number(bytes)?), |n| Some(Value::Int(n)))
        }
        (Kind::Real, ValueRef::Integer(n)) => Some(Value::Real(n as f64)),
        (Kind::Real, ValueRef::Text(bytes)) => number(bytes).map(Value::Real),
        (Kind::Text, ValueRef::Integer(n)) => Some(n.to_string().into()),
        (Kind::Text, ValueRef::Real(x)) => Some(format!("{x:?}").into()),
        _ => None,
    }
}
