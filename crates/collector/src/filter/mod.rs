//! Which rows a query wants, tested as SQLite will test them again.
//!
//! A scan narrows as far as its table can; this tests every constraint, so that a row nobody wants is not sent
//! anywhere. A value whose comparison SQLite would first convert (text with a number, a double with a pattern)
//! passes: SQLite decides about it later, and no row is lost.

mod conformance;
mod glob;

use std::cmp::Ordering;
use std::collections::HashSet;

use model::{Constraint, Kind, Op, TableSchema, Value};
use regex::bytes::{Regex, RegexBuilder};

#[doc(hidden)]
pub use conformance::{Case, conformance};

/// Bytes of a LIKE or GLOB pattern that is tested here. SQLite refuses a longer one itself.
const PATTERN_BYTES_MAX: usize = 1000;
/// Bytes that one compiled pattern may take, and as many again for its cache while it matches.
const REGEX_BYTES_MAX: usize = 1 << 20;
/// Values of an IN list that are compared one by one; longer lists are looked up.
const LIST_WALKED_MAX: usize = 8;

/// The constraints of a query, ready to be tested.
pub struct Filter {
    tests: Vec<Test>,
}

struct Test {
    column: usize,
    check: Check,
}

enum Check {
    /// One of a few values.
    Few(Vec<Value<'static>>),
    /// One of many: integers, texts, and all else.
    Many {
        ints: HashSet<i64>,
        texts: HashSet<Vec<u8>>,
        others: Vec<Value<'static>>,
    },
    Range(Op, Value<'static>),
    Pattern {
        glob: bool,
        pattern: Vec<u8>,
    },
    Regexp(Box<Regex>),
}

impl Filter {
    /// The tests of a query's constraints, the cheap ones first.
    ///
    /// A constraint whose operand cannot be tested here (a pattern that is too long or malformed) is left out:
    /// SQLite then says what is wrong with it.
    pub fn new(schema: &TableSchema, constraints: &[Constraint]) -> Filter {
        let mut tests: Vec<Test> = constraints.iter().filter_map(Test::new).collect();
        // What a key or an integer needs is read first by every table; text behind it may cost a file each.
        let costs = |test: &Test| {
            let column = schema.columns.get(test.column);
            let keyed = column.is_some_and(|c| !c.push.is_none());
            let int = column.is_some_and(|c| c.kind == Kind::Int);
            (test.check.cost(), !keyed, !int)
        };
        tests.sort_by_key(costs);
        Filter { tests }
    }

    /// Whether a row is wanted. A value is asked for only if all tests before it passed.
    pub fn wants<'row>(&self, value: impl Fn(usize) -> Value<'row>) -> bool {
        self.tests.iter().all(|test| test.check.passes(&value(test.column)))
    }

    /// Whether every row is wanted.
    pub fn is_empty(&self) -> bool {
        self.tests.is_empty()
    }
}

impl Test {
    fn new(constraint: &Constraint) -> Option<Test> {
        let check = match constraint.op {
            Op::Eq => Check::list(&constraint.values),
            Op::Lt | Op::Le | Op::Gt | Op::Ge => {
                Check::Range(constraint.op, constraint.values.first()?.clone())
            }
            Op::Like | Op::Glob => {
                let pattern = constraint.values.first()?.as_text()?;
                let glob = constraint.op == Op::Glob;
                (pattern.len() <= PATTERN_BYTES_MAX)
                    .then(|| Check::Pattern { glob, pattern: pattern.to_vec() })?
            }
            Op::Regexp => Check::Regexp(Box::new(regex(constraint.values.first()?.as_text()?).ok()?)),
        };
        Some(Test { column: constraint.column, check })
    }
}

impl Check {
    fn list(values: &[Value<'static>]) -> Check {
        if values.len() <= LIST_WALKED_MAX {
            return Check::Few(values.to_vec());
        }
        let (mut ints, mut texts, mut others) = (HashSet::new(), HashSet::new(), Vec::new());
        for value in values {
            match value {
                Value::Int(n) => drop(ints.insert(*n)),
                Value::Text(text) => drop(texts.insert(text.to_vec())),
                other => others.push(other.clone()),
            }
        }
        Check::Many { ints, texts, others }
    }

    fn cost(&self) -> u8 {
        match self {
            Check::Few(_) | Check::Many { .. } | Check::Range(..) => 0,
            Check::Pattern { .. } => 1,
            Check::Regexp(_) => 2,
        }
    }

    fn passes(&self, value: &Value<'_>) -> bool {
        if is_null(value) {
            return false;
        }
        match self {
            Check::Few(list) => equals_one(value, list),
            Check::Many { ints, texts, others } => match value {
                Value::Int(n) if ints.contains(n) => true,
                Value::Text(text) if texts.contains(&**text) => true,
                // Among values of one class the sets have told already.
                Value::Int(_) if texts.is_empty() => equals_one(value, others),
                Value::Text(_) if ints.is_empty() => equals_one(value, others),
                Value::Real(x) => {
                    !texts.is_empty()
                        || ints.iter().any(|n| compare_numbers(*n, *x) == Ordering::Equal)
                        || equals_one(value, others)
                }
                Value::Blob(_) => equals_one(value, others),
                _ => true,
            },
            Check::Range(op, operand) => match compare(value, operand) {
                None => true,
                Some(order) => match op {
                    Op::Lt => order.is_lt(),
                    Op::Le => order.is_le(),
                    Op::Gt => order.is_gt(),
                    _ => order.is_ge(),
                },
            },
            Check::Pattern { glob, pattern } => match text(value) {
                Some(text) => glob::matches(pattern, &text, *glob),
                None => true,
            },
            Check::Regexp(regex) => match text(value) {
                Some(text) => regex.is_match(&text),
                None => true,
            },
        }
    }
}

/// SQLite has no NaN: it stores one as NULL.
fn is_null(value: &Value<'_>) -> bool {
    match value {
        Value::Null => true,
        Value::Real(x) => x.is_nan(),
        _ => false,
    }
}

fn equals_one(value: &Value<'_>, list: &[Value<'static>]) -> bool {
    let equal = |operand| compare(value, operand).is_none_or(Ordering::is_eq);
    list.iter().filter(|operand| !is_null(operand)).any(equal)
}

/// How SQLite orders two values that are not NULL: numbers, text, blobs. `None` where it may convert one first.
fn compare(a: &Value<'_>, b: &Value<'_>) -> Option<Ordering> {
    use Value::{Blob, Int, Real, Text};
    Some(match (a, b) {
        (Int(a), Int(b)) => a.cmp(b),
        (Real(a), Real(b)) => a.partial_cmp(b)?,
        (Int(a), Real(b)) => compare_numbers(*a, *b),
        (Real(a), Int(b)) => compare_numbers(*b, *a).reverse(),
        (Text(a), Text(b)) | (Blob(a), Blob(b)) => a.cmp(b),
        (Blob(_), _) => Ordering::Greater,
        (_, Blob(_)) => Ordering::Less,
        _ => return None,
    })
}

/// Without rounding the integer to a double, as SQLite compares them.
fn compare_numbers(n: i64, x: f64) -> Ordering {
    // 2^63, the first double past every i64.
    const PAST: f64 = 9_223_372_036_854_775_808.0;
    if x >= PAST {
        Ordering::Less
    } else if x < -PAST {
        Ordering::Greater
    } else {
        // Within these bounds truncation is exact, and what it cut off decides between equals.
        n.cmp(&(x as i64)).then_with(|| 0.0_f64.partial_cmp(&x.fract()).unwrap_or(Ordering::Equal))
    }
}

/// A value as the text that patterns see; `None` for a double, whose digits SQLite chooses.
fn text<'v>(value: &'v Value<'_>) -> Option<std::borrow::Cow<'v, [u8]>> {
    match value {
        Value::Text(bytes) | Value::Blob(bytes) => Some(bytes.as_ref().into()),
        Value::Int(n) => Some(n.to_string().into_bytes().into()),
        _ => None,
    }
}

/// A pattern of REGEXP: bytes, ASCII classes, and Unicode only where the pattern cannot be read otherwise.
///
/// # Errors
/// The reason why it cannot be used, in a few words.
pub fn regex(pattern: &[u8]) -> Result<Regex, String> {
    let pattern = std::str::from_utf8(pattern).map_err(|_| "it is not UTF-8".to_owned())?;
    let build = |unicode: bool| {
        RegexBuilder::new(pattern)
            .unicode(unicode)
            .size_limit(REGEX_BYTES_MAX)
            .dfa_size_limit(REGEX_BYTES_MAX)
            .build()
    };
    build(false).or_else(|_| build(true)).map_err(|error| match error {
        regex::Error::CompiledTooBig(limit) => format!("compiled, it takes more than {limit} bytes"),
        // The message draws the pattern over several lines; the reason is the last.
        other => {
            let message = other.to_string();
            let reason = message.lines().last().unwrap_or_default().trim();
            reason.strip_prefix("error: ").unwrap_or(reason).to_owned()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn every_case_of_the_conformance_vector_holds() {
        for case in conformance() {
            let constraint = Constraint { column: 0, op: case.op, values: case.operands.clone() };
            let kept = Test::new(&constraint).is_none_or(|test| test.check.passes(&case.value));
            assert_eq!(kept, case.kept, "{case:?}");
        }
    }

    fn schema(kinds: &[Kind]) -> TableSchema {
        let column = |(n, kind): (usize, &Kind)| model::ColumnSchema {
            name: format!("c{n}").into(),
            kind: *kind,
            doc: "".into(),
            hidden: false,
            required: false,
            push: model::Ops::NONE,
        };
        TableSchema {
            name: "t".into(),
            about: "".into(),
            columns: kinds.iter().enumerate().map(column).collect(),
            identity: model::Identity { columns: Vec::new(), unique: false },
            extent: model::Extent::Whole { rows: 1 },
            examples: Vec::new(),
        }
    }

    #[test]
    fn a_row_that_fails_a_cheap_test_is_read_no_further() {
        let schema = schema(&[Kind::Text, Kind::Text, Kind::Int]);
        let constraint = |column, op, value: Value<'static>| Constraint { column, op, values: vec![value] };
        let constraints = [
            constraint(0, Op::Regexp, "a".into()),
            constraint(1, Op::Like, "a%".into()),
            constraint(2, Op::Eq, 7.into()),
        ];
        let filter = Filter::new(&schema, &constraints);
        let read = RefCell::new(Vec::new());
        let wanted = filter.wants(|column| {
            read.borrow_mut().push(column);
            if column == 2 { Value::Int(7) } else { "b".into() }
        });
        assert!(!wanted);
        assert_eq!(*read.borrow(), [2, 1]);
    }

    #[test]
    fn a_long_list_is_tested_as_a_short_one() {
        let classes = [Value::Int(3), Value::Real(3.0), "3".into(), Value::Blob(b"3"[..].into()), 99.into()];
        let lists: [Vec<Value<'static>>; 4] = [
            (0..20).map(Value::Int).collect(),
            (0..20).map(|n| Value::from(n.to_string())).collect(),
            (0..20).map(|n| Value::Real(n.into())).collect(),
            (0..20).map(|n| Value::Blob(n.to_string().into_bytes().into())).collect(),
        ];
        for list in lists {
            for value in &classes {
                let few = Check::Few(list.clone()).passes(value);
                assert_eq!(Check::list(&list).passes(value), few, "{value:?} in {list:?}");
            }
        }
    }

    #[test]
    fn integers_are_not_rounded_to_compare_with_doubles() {
        assert_eq!(compare_numbers(i64::MAX, 9_223_372_036_854_775_807.0), Ordering::Less);
        assert_eq!(compare_numbers((1 << 53) + 1, 9_007_199_254_740_992.0), Ordering::Greater);
        assert_eq!(compare_numbers(-3, -3.5), Ordering::Greater);
        assert_eq!(compare_numbers(3, 3.5), Ordering::Less);
        assert_eq!(compare_numbers(0, -0.0), Ordering::Equal);
        assert_eq!(compare_numbers(i64::MIN, f64::NEG_INFINITY), Ordering::Greater);
        assert_eq!(compare_numbers(i64::MIN, -9_223_372_036_854_775_808.0), Ordering::Equal);
    }
}
