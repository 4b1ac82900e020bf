//! The truth is the whole table, read once by a statement that gives the planner nothing to push
//! (`AS MATERIALIZED`), and filtered by the same words. A column keeps its affinity there, which `+column`
//! would drop: `'42'` has to match 42 on both sides.

use std::collections::HashMap;
use std::sync::Arc;

use collector::Host;
use model::{ColumnSchema, Kind, Ops, TableSchema, Value};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

use crate::machine::{Machine, differences, line};
use crate::outside::Running;
use crate::photograph;

/// Statements for each table of the photograph, and of the live machine, which is slower and moves.
const CASES: u32 = 150;
const CASES_LIVE: u32 = 30;
/// And of the photograph behind a collector.
const CASES_SERVED: u32 = 60;

/// One operand, before it is known which values the column has.
#[derive(Clone, Debug)]
enum Operand {
    /// A value that the column has, in one of several disguises.
    Known(Index, Disguise),
    /// Something else.
    Junk(&'static str),
}

#[derive(Clone, Copy, Debug)]
enum Disguise {
    AsItIs,
    AsText,
    AsReal,
    AsBlob,
    Padded,
    Upper,
    Lower,
    Longer,
    /// LIKE and GLOB end at the NUL.
    Ended,
    Next,
}

#[derive(Clone, Debug)]
enum Test {
    Equal(Operand),
    Reversed(Operand),
    Is(Operand),
    NoCase(Operand),
    In(Vec<Operand>),
    InSelect(Vec<Operand>),
    Between(Operand, Operand),
    Compare(&'static str, Operand),
    Like(Operand, Wildcard),
    Glob(Operand),
    Not(Operand),
    Null,
}

#[derive(Clone, Copy, Debug)]
enum Wildcard {
    None,
    Tail,
    Head,
    Middle,
    One,
    All,
}

/// A WHERE, as a tree over columns that are chosen by number.
#[derive(Clone, Debug)]
enum Filter {
    Test(Index, Test),
    And(Vec<Filter>),
    Or(Vec<Filter>),
}

const JUNK: [&str; 20] = [
    "NULL",
    "0",
    "-1",
    "1",
    "42",
    "'42'",
    "42.0",
    "42.5",
    "' 42 '",
    "'42abc'",
    "''",
    "'/'",
    "'/nowhere/at all'",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "1e300",
    "'%'",
    "x'00ff'",
    "CAST(x'ff2f00' AS TEXT)",
];

fn operand() -> impl Strategy<Value = Operand> + Clone {
    use Disguise::*;
    let disguise = select(vec![
        AsItIs, AsItIs, AsItIs, AsText, AsReal, AsBlob, Padded, Upper, Lower, Longer, Ended, Next,
    ]);
    prop_oneof![
        3 => (any::<Index>(), disguise).prop_map(|(index, disguise)| Operand::Known(index, disguise)),
        1 => select(JUNK.to_vec()).prop_map(Operand::Junk),
    ]
}

fn test() -> impl Strategy<Value = Test> + Clone {
    use Wildcard::*;
    let operands = proptest::collection::vec(operand(), 0..6);
    let wildcard = select(vec![None, Tail, Head, Middle, One, All]);
    prop_oneof![
        4 => operand().prop_map(Test::Equal),
        1 => operand().prop_map(Test::Reversed),
        1 => operand().prop_map(Test::Is),
        1 => operand().prop_map(Test::NoCase),
        4 => operands.clone().prop_map(Test::In),
        1 => operands.prop_map(Test::InSelect),
        1 => (operand(), operand()).prop_map(|(from, to)| Test::Between(from, to)),
        1 => (select(vec!["<", "<=", ">", ">=", "<>"]), operand()).prop_map(|(op, of)| Test::Compare(op, of)),
        3 => (operand(), wildcard).prop_map(|(of, wildcard)| Test::Like(of, wildcard)),
        1 => operand().prop_map(Test::Glob),
        1 => operand().prop_map(Test::Not),
        1 => Just(Test::Null),
    ]
}

fn filter() -> impl Strategy<Value = Filter> + Clone {
    let leaf = (any::<Index>(), test()).prop_map(|(column, test)| Filter::Test(column, test));
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            2 => proptest::collection::vec(inner.clone(), 2..4).prop_map(Filter::Or),
            1 => proptest::collection::vec(inner, 2..3).prop_map(Filter::And),
        ]
    })
}

/// The columns of a table that filters are made of, and the values that each has.
#[derive(Debug)]
struct Pool {
    columns: Vec<(ColumnSchema, Vec<Value<'static>>)>,
}

impl Pool {
    /// Keys count several times, so that most filters have one.
    fn of(machine: &mut Machine, schema: &TableSchema, from: &str) -> Pool {
        let keys = schema.columns.iter().filter(|c| c.push != Ops::NONE);
        let rest = schema.columns.iter().filter(|c| c.push == Ops::NONE && !c.hidden);
        let mut columns = Vec::new();
        for column in keys.clone().chain(keys.clone()).chain(keys).chain(rest.take(3)) {
            let sql = format!("SELECT DISTINCT \"{0}\" FROM {from} ORDER BY 1", column.name);
            let values = machine.answer(&sql).rows.into_iter().map(|mut row| row.remove(0)).collect();
            columns.push((column.clone(), values));
        }
        Pool { columns }
    }

    fn sql(&self, filter: &Filter) -> String {
        let each = |filters: &[Filter], word| {
            format!("({})", filters.iter().map(|f| self.sql(f)).collect::<Vec<_>>().join(word))
        };
        match filter {
            Filter::And(filters) => each(filters, " AND "),
            Filter::Or(filters) => each(filters, " OR "),
            Filter::Test(column, test) => {
                let (column, values) = &self.columns[column.index(self.columns.len())];
                tested(&format!("t.\"{}\"", column.name), values, test)
            }
        }
    }
}

fn tested(column: &str, values: &[Value<'static>], test: &Test) -> String {
    let written = |operand: &Operand| written(operand, values);
    let list = |operands: &[Operand]| operands.iter().map(written).collect::<Vec<_>>();
    match test {
        Test::Equal(of) => format!("{column} = {}", written(of)),
        Test::Reversed(of) => format!("{} = {column}", written(of)),
        Test::Is(of) => format!("{column} IS {}", written(of)),
        Test::NoCase(of) => format!("{column} = {} COLLATE NOCASE", written(of)),
        Test::In(of) => format!("{column} IN ({})", list(of).join(", ")),
        Test::InSelect(of) if of.is_empty() => format!("{column} IN (SELECT 1 WHERE 0)"),
        Test::InSelect(of) => format!("{column} IN (SELECT {})", list(of).join(" UNION ALL SELECT ")),
        Test::Between(from, to) => format!("{column} BETWEEN {} AND {}", written(from), written(to)),
        Test::Compare(op, of) => format!("{column} {op} {}", written(of)),
        Test::Like(of, wildcard) => format!("{column} LIKE {}", like(&written(of), *wildcard)),
        Test::Glob(of) => format!("{column} GLOB substr({}, 1, 5) || '*'", written(of)),
        Test::Not(of) => format!("NOT {column} = {}", written(of)),
        Test::Null => format!("{column} IS NULL"),
    }
}

/// A pattern that a value matches in most cases.
fn like(of: &str, wildcard: Wildcard) -> String {
    match wildcard {
        Wildcard::None => of.to_owned(),
        Wildcard::Tail => format!("substr({of}, 1, length({of}) / 2) || '%'"),
        Wildcard::Head => format!("'%' || substr({of}, length({of}) / 2)"),
        Wildcard::Middle => format!("substr({of}, 1, 2) || '%' || substr({of}, -2)"),
        Wildcard::One => format!("'_' || substr({of}, 2)"),
        Wildcard::All => "'%'".to_owned(),
    }
}

fn written(operand: &Operand, values: &[Value<'static>]) -> String {
    let (index, disguise) = match operand {
        Operand::Junk(junk) => return (*junk).to_owned(),
        Operand::Known(_, _) if values.is_empty() => return "'none'".to_owned(),
        Operand::Known(index, disguise) => (index, disguise),
    };
    let value = literal(&values[index.index(values.len())]);
    match disguise {
        Disguise::AsItIs => value,
        Disguise::AsText => format!("CAST({value} AS TEXT)"),
        Disguise::AsReal => format!("CAST({value} AS REAL)"),
        Disguise::AsBlob => format!("CAST({value} AS BLOB)"),
        Disguise::Padded => format!("' ' || {value} || ' '"),
        Disguise::Upper => format!("upper({value})"),
        Disguise::Lower => format!("lower({value})"),
        Disguise::Longer => format!("{value} || 'x'"),
        Disguise::Ended => format!("{value} || char(0) || 'x'"),
        Disguise::Next => format!("{value} + 1"),
    }
}

fn literal(value: &Value<'_>) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    match value {
        Value::Null => "NULL".to_owned(),
        // The smallest integer has no literal of its own.
        Value::Int(n) => format!("({n})"),
        Value::Real(x) => format!("{x:e}"),
        Value::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => format!("'{}'", text.replace('\'', "''")),
            _ => format!("CAST(x'{}' AS TEXT)", hex(bytes)),
        },
        Value::Blob(bytes) => format!("x'{}'", hex(bytes)),
    }
}

/// Runs a property over random inputs, `DAEMONEYE_PROPERTY_TIMES` as many; the failing input is made small before
/// it is shown.
fn check<S: Strategy>(cases: u32, strategy: &S, property: impl Fn(S::Value) -> Result<(), String>) {
    let times = std::env::var("DAEMONEYE_PROPERTY_TIMES").map_or(1, |times| times.parse().unwrap());
    let config = Config {
        cases: cases * times,
        failure_persistence: None,
        max_shrink_iters: 300,
        ..Config::default()
    };
    let run = TestRunner::new(config).run(strategy, |input| property(input).map_err(TestCaseError::fail));
    match run {
        Ok(()) => {}
        // The statement says more than the tree that it was made of.
        Err(TestError::Fail(why, _)) => panic!("{why}"),
        Err(other) => panic!("{other}"),
    }
}

/// That two statements give the same rows, in whatever order; the truth is told without a collector.
fn same(machine: &std::cell::RefCell<Machine>, pushed: &str, truth: &str) -> Result<(), String> {
    let mut machine = machine.borrow_mut();
    let lines = |answer: vtables::Answer| answer.rows.iter().map(|row| line(row)).collect::<Vec<_>>();
    let (ours, theirs) = (lines(machine.answer(pushed)), lines(machine.answer_here(truth)));
    match differences(&ours, &theirs) {
        none if none.is_empty() => Ok(()),
        differ => Err(format!("{pushed}\n{truth}\n{}", differ[..differ.len().min(10)].join("\n"))),
    }
}

fn keyed(machine: &Machine) -> Vec<Arc<TableSchema>> {
    let schemas = machine.schemas().into_iter();
    // The engine's own tables know who serves the others, and no collector serves them.
    let same = |s: &Arc<TableSchema>| !machine.is_served() || !s.name.starts_with("daemoneye_");
    schemas.filter(same).filter(|s| s.columns.iter().any(|c| c.push != Ops::NONE)).collect()
}

fn needy(schema: &TableSchema) -> bool {
    schema.required().next().is_some()
}

fn columns(schema: &TableSchema, of: &str) -> String {
    let stable = schema.columns.iter().filter(|c| c.kind != Kind::Real);
    stable.map(|c| format!("{of}.\"{}\"", c.name)).collect::<Vec<_>>().join(", ")
}

/// The same machine, at hand and behind a collector, with the number of cases for each.
fn both(host: &Host) -> [(Machine, u32); 2] {
    [(Machine::of(host.clone()), CASES), (Machine::served(host.clone()), CASES_SERVED)]
}

/// This process and some that do nothing.
fn company() -> (Vec<Running>, Vec<i64>) {
    let company: Vec<_> = (0..4).map(|_| Running::sleeper()).collect();
    let pids = company.iter().map(Running::pid).chain([i64::from(std::process::id()), 1]).collect();
    (company, pids)
}

#[test]
fn a_keyed_scan_gives_what_the_filtered_full_scan_gives() {
    let (_company, pids) = company();
    let photograph = photograph::machine(&pids);
    for (machine, cases) in both(&photograph::host(&photograph)) {
        scans_as_filtered(machine, cases);
    }
}

fn scans_as_filtered(mut machine: Machine, cases: u32) {
    let schemas = keyed(&machine);
    let pools = schemas.iter().filter(|s| !needy(s)).map(|s| (s.clone(), Pool::of(&mut machine, s, &s.name)));
    let pools: Vec<_> = pools.collect();
    let machine = std::cell::RefCell::new(machine);
    for (schema, pool) in pools {
        let (name, columns) = (&schema.name, columns(&schema, "t"));
        check(cases, &filter(), |filter| {
            let filter = pool.sql(&filter);
            same(
                &machine,
                &format!("SELECT {columns} FROM {name} t WHERE {filter}"),
                &format!(
                    "WITH t AS MATERIALIZED (SELECT {columns} FROM {name} t) SELECT {columns} FROM t WHERE {filter}"
                ),
            )
        });
    }
}

/// Columns of processes that live on which never change, for each table that a live machine keeps moving.
fn steady(table: &str) -> &'static str {
    match table {
        "processes" => {
            "pid, name, path, cmdline, cwd, root, uid, gid, euid, egid, start_time, parent, pgroup, start_key, exe_inode"
        }
        "process_envs" => "pid, key, value",
        "process_memory_map" => "pid, start, \"end\", permissions, \"offset\", device, inode, path",
        "process_namespaces" => "*",
        "process_open_files" => "pid, fd, path",
        "process_open_pipes" => "pid, fd, mode, inode",
        "process_open_sockets" => "pid, fd, socket, family, protocol, path",
        "system_controls" => "name, subsystem, type",
        "listening_ports" => "pid, fd, socket, family, protocol, path, address, port",
        _ => "*",
    }
}

#[test]
fn on_the_live_machine_too() {
    let company: Vec<_> = (0..4).map(|_| Running::sleeper()).collect();
    let pids = company.iter().map(|process| process.pid().to_string()).collect::<Vec<_>>().join(", ");
    let mut machine = Machine::live();
    let mut pools = Vec::new();
    // Settings count what the machine does, and a filter may name the counter.
    let still = |schema: &Arc<TableSchema>| !needy(schema) && schema.name != "system_controls";
    for schema in keyed(&machine).into_iter().filter(still) {
        // What moves is narrowed to processes that do not, by a term that no table can use.
        let steady = match schema.column("pid") {
            Some(_) => format!("+t.pid IN ({pids})"),
            None => "1".to_owned(),
        };
        let from = format!("{} t WHERE {steady}", schema.name);
        let pool = Pool::of(&mut machine, &schema, &from);
        pools.push((schema, pool, steady));
    }
    let machine = std::cell::RefCell::new(machine);
    for (schema, pool, only) in pools {
        let (name, columns) = (&schema.name, steady(&schema.name));
        check(CASES_LIVE, &filter(), |filter| {
            let filter = pool.sql(&filter);
            same(
                &machine,
                &format!("SELECT {columns} FROM {name} t WHERE ({filter}) AND {only}"),
                &format!(
                    "WITH t AS MATERIALIZED (SELECT * FROM {name}) SELECT {columns} FROM t WHERE ({filter}) AND {only}"
                ),
            )
        });
    }
}

#[test]
fn a_join_gives_the_same_rows_in_either_order() {
    let (_company, pids) = company();
    let photograph = photograph::machine(&pids);
    for (machine, cases) in both(&photograph::host(&photograph)) {
        joins_in_either_order(machine, cases);
    }
}

fn joins_in_either_order(mut machine: Machine, cases: u32) {
    let schemas = keyed(&machine);
    let pools = schemas.iter().filter(|s| !needy(s)).map(|s| (s.clone(), Pool::of(&mut machine, s, &s.name)));
    let pools: Vec<_> = pools.collect();
    let machine = std::cell::RefCell::new(machine);
    let input = (any::<Index>(), proptest::collection::vec(operand(), 1..6), any::<bool>());
    for (schema, pool) in pools {
        let (name, columns) = (&schema.name, columns(&schema, "t"));
        check(cases / 3, &input, |(column, operands, typed)| {
            let (column, values) = &pool.columns[column.index(pool.columns.len())];
            let operands: Vec<_> = operands.iter().map(|operand| written(operand, values)).collect();
            // Without a type the table's column decides how values are compared; with one, both do.
            let v = if typed { format!("CAST(v AS {})", column.kind.sql()) } else { "v".to_owned() };
            let given =
                format!("(SELECT {v} AS v FROM (SELECT {} AS v))", operands.join(" AS v UNION ALL SELECT "));
            let truth = format!(
                "WITH t AS MATERIALIZED (SELECT {columns} FROM {name} t)
                 SELECT g.v, {columns} FROM t CROSS JOIN {given} g ON t.\"{}\" = g.v",
                column.name
            );
            for (join, from) in [
                ("JOIN", format!("{name} t JOIN {given} g")),
                ("JOIN", format!("{given} g JOIN {name} t")),
                ("CROSS JOIN", format!("{name} t CROSS JOIN {given} g")),
                ("CROSS JOIN", format!("{given} g CROSS JOIN {name} t")),
            ] {
                let pushed = format!("SELECT g.v, {columns} FROM {from} ON t.\"{}\" = g.v", column.name);
                same(&machine, &pushed, &truth).map_err(|why| format!("{join}: {why}"))?;
            }
            // A row without a partner stands alone.
            let left = |with: &str, table: &str| {
                format!(
                    "{with} SELECT g.v, {columns} FROM {given} g LEFT JOIN {table} t ON t.\"{}\" = g.v",
                    column.name
                )
            };
            let with = format!("WITH m AS MATERIALIZED (SELECT {columns} FROM {name} t)");
            same(&machine, &left("", name), &left(&with, "m"))
        });
    }
}

#[test]
fn a_process_joins_with_each_of_its_tables_as_it_does_without_keys() {
    let (_company, pids) = company();
    let photograph = photograph::machine(&pids);
    for (machine, _) in both(&photograph::host(&photograph)) {
        joins_with_its_tables(machine);
    }
}

fn joins_with_its_tables(machine: Machine) {
    let by_pid = keyed(&machine).into_iter().filter(|s| s.column("pid").is_some() && !needy(s));
    let by_pid: Vec<_> = by_pid.collect();
    let machine = std::cell::RefCell::new(machine);
    for schema in by_pid {
        let (name, columns) = (&schema.name, columns(&schema, "t"));
        let truth = format!(
            "WITH t AS MATERIALIZED (SELECT {columns} FROM {name} t), p AS MATERIALIZED (SELECT * FROM processes)
             SELECT p.name, {columns} FROM p JOIN t ON t.pid = p.pid"
        );
        for from in [
            format!("processes p JOIN {name} t ON t.pid = p.pid"),
            format!("{name} t JOIN processes p ON t.pid = p.pid"),
            format!("processes p CROSS JOIN {name} t USING (pid)"),
            format!("{name} t CROSS JOIN processes p USING (pid)"),
        ] {
            same(&machine, &format!("SELECT p.name, {columns} FROM {from}"), &truth).unwrap();
        }
    }
}

/// A directory of files whose names invite mistakes, and what all of them are.
fn tree() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let names: [&[u8]; 17] = [
        b"a",
        b"A",
        b"b",
        b"a b",
        b"a_b",
        b"a%b",
        b"axb",
        b".a",
        b"ab\xff",
        b"\xc3\xa9",
        b"[a]",
        b"a*",
        b"d/a",
        b"d/D/a",
        b"d/D/aa",
        b"D/a",
        b"e/.x/a",
    ];
    for name in names {
        let path = directory.path().join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "one\ntwo\none\n").unwrap();
    }
    std::os::unix::fs::symlink("a", directory.path().join("link")).unwrap();
    directory
}

/// What WHERE says to have everything in a tree.
fn everything(table: &str, root: &str) -> String {
    match table {
        "file" | "hash" | "extended_attributes" => format!("path LIKE '{root}/%%'"),
        "file_lines" => format!("path IN (SELECT path FROM file WHERE path LIKE '{root}/%%')"),
        "process_ancestors" => "pid IN (SELECT pid FROM processes)".to_owned(),
        other => panic!("say what gives everything of {other}, whose columns are required"),
    }
}

#[test]
fn a_table_with_a_required_column_gives_what_everything_filtered_gives() {
    let tree = tree();
    let root = tree.path().to_str().unwrap();
    let (_company, pids) = company();
    let photograph = photograph::machine(&pids);
    let mut live = Machine::live();
    let needy: Vec<_> = keyed(&live).into_iter().filter(|schema| needy(schema)).collect();
    assert!(needy.len() >= 5);
    for schema in needy {
        let all = everything(&schema.name, root);
        let processes = schema.column("pid").is_some_and(|at| schema.columns[at].required);
        let mut machine = match processes {
            true => Machine::of(photograph::host(&photograph)),
            false => std::mem::replace(&mut live, Machine::live()),
        };
        let mut pool = Pool::of(&mut machine, &schema, &format!("{} WHERE {all}", schema.name));
        pool.columns.retain(|(column, _)| column.required);
        let (name, columns) = (&schema.name, columns(&schema, "t"));
        let machine = std::cell::RefCell::new(machine);
        // Each part of an OR names a required column by = or IN; what else it says is free.
        let test = prop_oneof![
            operand().prop_map(Test::Equal),
            proptest::collection::vec(operand(), 0..6).prop_map(Test::In),
            proptest::collection::vec(operand(), 0..6).prop_map(Test::InSelect),
        ];
        let part = (any::<Index>(), test, proptest::option::of(filter()));
        check(CASES, &proptest::collection::vec(part, 1..4), |parts| {
            let part = |(column, test, more): &(Index, Test, Option<Filter>)| {
                let key = pool.sql(&Filter::Test(*column, test.clone()));
                let more = more.as_ref().map_or("1".to_owned(), |more| pool.sql(more));
                format!("({key} AND {more})")
            };
            let filter = parts.iter().map(part).collect::<Vec<_>>().join(" OR ");
            // SQLite looks at no part of an OR alone once one of them has a COLLATE or an empty list.
            let opaque = filter.contains("COLLATE") || filter.contains("IN ()");
            let inside = if processes { "1".to_owned() } else { format!("+t.path GLOB '{root}/*'") };
            let pushed = format!("SELECT {columns} FROM {name} t WHERE ({filter}) AND {inside}");
            if opaque && machine.borrow_mut().needs_a_column(&pushed) {
                return Ok(());
            }
            same(
                &machine,
                &pushed,
                &format!(
                    "WITH t AS MATERIALIZED (SELECT {columns} FROM {name} t WHERE {all})
                     SELECT {columns} FROM t WHERE ({filter}) AND {inside}"
                ),
            )
        });
    }
}

/// The parts of a pattern below the tree; the last one alone may go all the way down.
fn path_pattern() -> impl Strategy<Value = String> + Clone {
    let name = select(vec![
        "%", "a%", "A%", "%a", "_", "a_b", "%b", "d%", ".%", "%.%", "[%", "a*", "_%", "%\u{e9}", "D%", "x%",
    ]);
    let levels = (proptest::collection::vec(name.clone(), 0..3), name);
    // A % before a %% keeps to its level, which LIKE alone cannot say; above a %% names are given whole.
    let below = (select(vec!["", "d/", "D/", "d/D/"]), select(vec!["%%", "a%%", "d%%"]));
    prop_oneof![
        5 => levels.prop_map(|(mut names, last)| {
            names.push(last);
            names.join("/")
        }),
        2 => below.prop_map(|(above, last)| format!("{above}{last}")),
    ]
}

#[test]
fn an_or_of_path_patterns_loses_no_row() {
    let tree = tree();
    let root = tree.path().to_str().unwrap();
    let machine = std::cell::RefCell::new(Machine::live());
    let given = (proptest::collection::vec((path_pattern(), any::<bool>()), 1..4), any::<bool>());
    for name in ["file", "hash", "extended_attributes"] {
        check(CASES, &given, |(patterns, by_directory)| {
            let directories = by_directory.then(|| format!("t.directory = '{root}/d'"));
            // Without %% a pattern stays on its level, names without % are exact, and what IN names is that path.
            let filter = |(pattern, list): &(String, bool), walked: bool| {
                let like = format!("t.path LIKE '{root}/{pattern}'");
                let slashes = format!("{root}/{pattern}").matches('/').count();
                let depth = "length(CAST(t.path AS BLOB)) - length(CAST(replace(t.path, '/', '') AS BLOB))";
                let above = pattern.rfind('/').map_or("", |end| &pattern[..=end]);
                let like = match (walked, pattern.contains("%%")) {
                    (true, true) => format!("({like} AND t.path GLOB '{root}/{above}*')"),
                    (true, false) => format!("({like} AND {depth} = {slashes})"),
                    (false, _) => like,
                };
                match list {
                    true => format!("t.path IN ('{root}/{pattern}', '{root}/a') OR {like}"),
                    false => like,
                }
            };
            let join = |parts: Vec<String>| {
                let parts = parts.into_iter().chain(directories.clone()).map(|part| format!("({part})"));
                parts.collect::<Vec<_>>().join(" OR ")
            };
            let columns = "t.path, t.directory";
            same(
                &machine,
                &format!(
                    "SELECT {columns} FROM {name} t WHERE {}",
                    join(patterns.iter().map(|pattern| filter(pattern, false)).collect())
                ),
                &format!(
                    "WITH t AS MATERIALIZED (SELECT {columns} FROM {name} t WHERE path LIKE '{root}/%%')
                     SELECT {columns} FROM t WHERE {}",
                    join(patterns.iter().map(|pattern| filter(pattern, true)).collect())
                ),
            )
        });
    }
}

/// Rows of these tables are in the photograph, so that no property above holds for want of rows.
#[test]
fn the_photograph_has_rows_of_every_table_with_a_key() {
    let (_company, pids) = company();
    let photograph = photograph::machine(&pids);
    let mut machine = Machine::of(photograph::host(&photograph));
    let mut count: HashMap<String, usize> = HashMap::new();
    for schema in keyed(&machine).into_iter().filter(|schema| !needy(schema)) {
        let rows = machine.answer(&format!("SELECT * FROM {}", schema.name)).rows.len();
        count.insert(schema.name.to_string(), rows);
    }
    // What a directory cannot show, the live machine does.
    count.remove("block_devices");
    let few: Vec<_> = count.iter().filter(|(_, rows)| **rows < 2).collect();
    assert!(few.is_empty(), "{few:?}");
}

#[test]
fn the_truth_is_read_without_a_key() {
    let mut machine = Machine::live();
    let sql =
        "WITH t AS MATERIALIZED (SELECT * FROM users) SELECT * FROM t WHERE uid = 0 AND username = 'root'";
    let report = machine.answer(sql).report;
    assert!(report.tables.iter().all(|table| table.pushed.is_empty()), "{report:?}");
    let report = machine.answer("SELECT * FROM users WHERE uid = 0 AND username = 'root'").report;
    assert!(!report.tables[0].pushed.is_empty());
}
