use std::borrow::Cow;

use collector::{Case, Filter, conformance};
use model::{ColumnSchema, Constraint, Extent, Identity, Kind, Op, Ops, TableSchema, Value};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::{ToSqlOutput, ValueRef};

/// SQLite with a REGEXP, as the engine has it.
fn sqlite() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection
        .create_scalar_function("regexp", 2, FunctionFlags::SQLITE_UTF8, |context| {
            let bytes = |n| match context.get_raw(n) {
                ValueRef::Null => None,
                ValueRef::Integer(n) => Some(n.to_string().into_bytes()),
                ValueRef::Real(x) => Some(x.to_string().into_bytes()),
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(bytes.to_vec()),
            };
            let (Some(pattern), Some(text)) = (bytes(0), bytes(1)) else { return Ok(None) };
            let regex =
                collector::regex(&pattern).map_err(|e| rusqlite::Error::UserFunctionError(e.into()))?;
            Ok(Some(regex.is_match(&text)))
        })
        .unwrap();
    connection
}

fn given<'v>(value: &'v Value<'_>) -> ToSqlOutput<'v> {
    ToSqlOutput::Borrowed(match value {
        Value::Null => ValueRef::Null,
        Value::Int(n) => ValueRef::Integer(*n),
        Value::Real(x) => ValueRef::Real(*x),
        Value::Text(bytes) => ValueRef::Text(bytes),
        Value::Blob(bytes) => ValueRef::Blob(bytes),
    })
}

fn kind(value: &Value<'_>) -> Kind {
    match value {
        Value::Int(_) => Kind::Int,
        Value::Real(_) => Kind::Real,
        Value::Null | Value::Text(_) => Kind::Text,
        Value::Blob(_) => Kind::Blob,
    }
}

fn config(cases: u32) -> Config {
    Config { max_global_rejects: 10 * cases, failure_persistence: None, ..Config::with_cases(cases) }
}

/// Whether SQLite keeps a row whose column of this type has the value.
fn kept_by_sqlite(connection: &Connection, kind: Kind, case: &Case) -> bool {
    let operation = match case.op {
        Op::Eq => format!("IN ({})", vec!["?"; case.operands.len()].join(", ")),
        Op::Like => "LIKE ?".into(),
        Op::Glob => "GLOB ?".into(),
        Op::Regexp => "REGEXP ?".into(),
        Op::Lt => "< ?".into(),
        Op::Le => "<= ?".into(),
        Op::Gt => "> ?".into(),
        Op::Ge => ">= ?".into(),
    };
    // A table of its own, because the type of a column takes part in a comparison.
    let name = format!("of_{kind:?}");
    let create = format!("CREATE TABLE IF NOT EXISTS {name} (c {}); DELETE FROM {name}", kind.sql());
    connection.execute_batch(&create).unwrap();
    connection.execute(&format!("INSERT INTO {name} VALUES (?)"), [given(&case.value)]).unwrap();
    let sql = format!("SELECT count(*) FROM {name} WHERE c {operation}");
    let operands = rusqlite::params_from_iter(case.operands.iter().map(given));
    let count: i64 = connection.prepare_cached(&sql).unwrap().query_row(operands, |row| row.get(0)).unwrap();
    count == 1
}

fn kept_by_filter(kind: Kind, case: &Case) -> bool {
    let column = ColumnSchema {
        name: "c".into(),
        kind,
        doc: "".into(),
        hidden: false,
        required: false,
        push: Ops::NONE,
    };
    let schema = TableSchema {
        name: "t".into(),
        about: "".into(),
        columns: vec![column],
        identity: Identity { columns: Vec::new(), unique: false },
        extent: Extent::Whole { rows: 1 },
        examples: Vec::new(),
    };
    let constraint = Constraint { column: 0, op: case.op, values: case.operands.clone() };
    Filter::new(&schema, &[constraint]).wants(|_| case.value.clone())
}

#[test]
fn sqlite_agrees_with_every_case_of_the_conformance_vector() {
    let connection = sqlite();
    for case in conformance() {
        assert_eq!(kept_by_sqlite(&connection, kind(&case.value), &case), case.kept, "{case:?}");
    }
}

fn few_bytes() -> impl Strategy<Value = Vec<u8>> {
    // Few different bytes, so that they meet: letters of both cases, what patterns are made of, parts of
    // characters, and what is no character at all.
    let byte = prop::sample::select(
        &b"aabBzZ%_*?[]^-!09\0 .\xc3\xa9\xc9\x80\xbf\xe2\x84\xaa\xed\xa0\xff\xf8\xef\xbf\xbe"[..],
    );
    prop_oneof![
        4 => prop::collection::vec(byte, 0..12),
        1 => prop::collection::vec(prop::sample::select(&b"ab%_*?[a-b]^"[..]), 0..24),
    ]
}

fn value(kind: Kind) -> BoxedStrategy<Value<'static>> {
    let int = prop_oneof![-3_i64..4, any::<i64>(), Just(i64::MAX), Just(1 << 53), Just((1 << 53) + 1)];
    let real = prop_oneof![
        (-6_i32..7).prop_map(|n| f64::from(n) / 2.0),
        any::<f64>().prop_filter("NaN is NULL", |x| !x.is_nan()),
        Just(9_007_199_254_740_992.0),
        Just(9_223_372_036_854_775_808.0),
        Just(-0.0),
    ];
    match kind {
        Kind::Int => int.prop_map(Value::Int).boxed(),
        Kind::Real => real.prop_map(Value::Real).boxed(),
        Kind::Text => few_bytes().prop_map(Value::from).boxed(),
        Kind::Blob => few_bytes().prop_map(|b| Value::Blob(Cow::Owned(b))).boxed(),
    }
}

const KINDS: [Kind; 4] = [Kind::Int, Kind::Real, Kind::Text, Kind::Blob];
const COMPARISONS: [Op; 5] = [Op::Eq, Op::Lt, Op::Le, Op::Gt, Op::Ge];

/// A comparison as it reaches a collector: operands have the type of the column.
fn comparison() -> impl Strategy<Value = (Kind, Case)> {
    prop::sample::select(&KINDS[..]).prop_flat_map(|kind| {
        let op = prop::sample::select(&COMPARISONS[..]);
        let row = prop_oneof![9 => value(kind), 1 => Just(Value::Null)];
        (op, row, prop::collection::vec(value(kind), 0..14)).prop_map(move |(op, value, mut operands)| {
            if op != Op::Eq {
                operands.truncate(1);
                operands.resize(1, Value::Int(0));
            }
            (kind, Case { op, value, operands, kept: false })
        })
    })
}

fn pattern() -> impl Strategy<Value = (Op, Vec<u8>, Vec<u8>)> {
    // Also patterns made from the text, which match more often than chance.
    let op = prop::sample::select(&[Op::Like, Op::Glob][..]);
    (op, few_bytes(), few_bytes(), any::<bool>(), any::<prop::sample::Index>()).prop_map(
        |(op, text, pattern, from_text, at)| {
            if !from_text || text.is_empty() {
                return (op, text, pattern);
            }
            let mut made = text.clone();
            made[at.index(text.len())] = if op == Op::Like { b'%' } else { b'*' };
            (op, text, made)
        },
    )
}

#[test]
fn a_comparison_keeps_the_rows_that_sqlite_keeps() {
    let connection = sqlite();
    let mut runner = TestRunner::new(config(4000));
    let ran = runner.run(&comparison(), |(kind, case)| {
        prop_assume!(case.op == Op::Eq || !case.operands.iter().any(|o| self::kind(o) != kind));
        prop_assert_eq!(kept_by_filter(kind, &case), kept_by_sqlite(&connection, kind, &case));
        Ok(())
    });
    ran.unwrap();
}

#[test]
fn a_pattern_keeps_the_rows_that_sqlite_keeps() {
    let connection = sqlite();
    let mut runner = TestRunner::new(config(20_000));
    let ran = runner.run(&pattern(), |(op, text, pattern)| {
        let case = Case { op, value: text.into(), operands: vec![pattern.into()], kept: false };
        prop_assert_eq!(kept_by_filter(Kind::Text, &case), kept_by_sqlite(&connection, Kind::Text, &case));
        Ok(())
    });
    ran.unwrap();
}

#[test]
fn a_value_of_an_odd_class_is_never_lost() {
    let connection = sqlite();
    let any_kind = prop::sample::select(&KINDS[..]);
    let odd = (any_kind.clone(), any_kind).prop_flat_map(|(column, row)| {
        let op = prop::sample::select(&COMPARISONS[..]);
        (Just(column), op, value(row), value(column))
    });
    let mut runner = TestRunner::new(config(4000));
    let ran = runner.run(&odd, |(column, op, value, operand)| {
        let case = Case { op, value, operands: vec![operand], kept: false };
        let kept = kept_by_sqlite(&connection, column, &case);
        // A table of SQLite's own converts what it stores, a virtual one does not.
        let stored: String = connection
            .query_row(&format!("SELECT typeof(c) FROM of_{column:?}"), [], |row| row.get(0))
            .unwrap();
        let given = match kind(&case.value) {
            Kind::Int => "integer",
            Kind::Real => "real",
            Kind::Text => "text",
            Kind::Blob => "blob",
        };
        prop_assume!(stored == given);
        // More rows are harmless, fewer are wrong.
        let lost = kept && !kept_by_filter(column, &case);
        prop_assert!(!lost);
        Ok(())
    });
    ran.unwrap();
}
