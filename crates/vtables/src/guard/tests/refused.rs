use super::{FUNCTIONS, catalog, checked};
use crate::error::ErrorKind::{self, Refused, Syntax, UnknownFunction, UnknownTable};
use crate::guard::{GuardLimits, check};

/// Every place of the grammar where an expression can hide.
const HIDING_PLACES: &[&str] = &[
    "SELECT {}",
    "SELECT ({})",
    "SELECT ((({}))) FROM processes",
    "SELECT DISTINCT name, {} AS x FROM processes",
    "SELECT -{}, NOT {}",
    "SELECT 1 + {} * 2",
    "SELECT {} || 'x'",
    "SELECT 'x' -> {}",
    "SELECT lower({})",
    "SELECT lower(upper(trim({})))",
    "SELECT count(DISTINCT {}) FROM processes",
    "SELECT group_concat(name, {}) FROM users, processes",
    "SELECT group_concat(name, ',' ORDER BY {}) FROM processes",
    "SELECT count(*) FILTER (WHERE {}) FROM processes",
    "SELECT row_number() OVER (PARTITION BY {}) FROM processes",
    "SELECT row_number() OVER (ORDER BY pid, {} DESC) FROM processes",
    "SELECT sum(pid) OVER (ROWS BETWEEN {} PRECEDING AND CURRENT ROW) FROM processes",
    "SELECT sum(pid) OVER (ORDER BY pid RANGE BETWEEN CURRENT ROW AND {} FOLLOWING) FROM processes",
    "SELECT sum(pid) OVER w FROM processes WINDOW v AS (ORDER BY pid), w AS (PARTITION BY uid ORDER BY {})",
    "SELECT CASE {} WHEN 1 THEN 2 END",
    "SELECT CASE WHEN {} THEN 2 END",
    "SELECT CASE WHEN 1 THEN {} END",
    "SELECT CASE WHEN 1 THEN 2 ELSE {} END",
    "SELECT CAST({} AS TEXT)",
    "SELECT CAST(CAST({} AS INT) AS VARYING CHARACTER(20))",
    "SELECT {} COLLATE NOCASE",
    "SELECT (1, {}) = (2, 3)",
    "SELECT (SELECT {})",
    "SELECT (VALUES ({}))",
    "SELECT (WITH x AS (SELECT {}) SELECT 1)",
    "SELECT EXISTS (SELECT {})",
    "SELECT * FROM processes WHERE {}",
    "SELECT * FROM processes WHERE pid = 1 AND (uid = 2 OR {} = 3)",
    "SELECT * FROM processes WHERE NOT ({} IS NULL)",
    "SELECT * FROM processes WHERE {} IS NOT DISTINCT FROM 1",
    "SELECT * FROM processes WHERE 1 IS NOT {}",
    "SELECT * FROM processes WHERE {} ISNULL",
    "SELECT * FROM processes WHERE {} NOT NULL",
    "SELECT * FROM processes WHERE pid IN (1, {})",
    "SELECT * FROM processes WHERE {} IN (1, 2)",
    "SELECT * FROM processes WHERE {} IN users",
    "SELECT * FROM processes WHERE pid IN json_each({})",
    "SELECT * FROM processes WHERE pid NOT IN (SELECT {})",
    "SELECT * FROM processes WHERE pid IN (VALUES (1), ({}))",
    "SELECT * FROM processes WHERE pid BETWEEN {} AND 2",
    "SELECT * FROM processes WHERE pid NOT BETWEEN 1 AND {}",
    "SELECT * FROM processes WHERE {} BETWEEN 1 AND 2",
    "SELECT * FROM processes WHERE name LIKE {}",
    "SELECT * FROM processes WHERE {} NOT LIKE 'x'",
    "SELECT * FROM processes WHERE name LIKE 'x' ESCAPE {}",
    "SELECT * FROM processes WHERE name NOT GLOB {}",
    "SELECT * FROM processes WHERE name REGEXP {}",
    "SELECT * FROM processes WHERE EXISTS (SELECT 1 FROM users WHERE NOT EXISTS (SELECT {}))",
    "SELECT count(*) FROM processes GROUP BY {}",
    "SELECT count(*) FROM processes GROUP BY uid HAVING {}",
    "SELECT * FROM processes ORDER BY {}",
    "SELECT * FROM processes ORDER BY pid, CASE WHEN 1 THEN {} END COLLATE NOCASE DESC NULLS LAST",
    "SELECT * FROM processes LIMIT {}",
    "SELECT * FROM processes LIMIT 1 OFFSET {}",
    "SELECT * FROM processes LIMIT {}, 1",
    "SELECT * FROM processes JOIN users ON {}",
    "SELECT * FROM processes LEFT JOIN (users JOIN groups ON {}) USING (uid)",
    "SELECT * FROM (SELECT {})",
    "SELECT * FROM ((SELECT {}) JOIN users)",
    "SELECT * FROM json_each({})",
    "SELECT * FROM processes, process_ancestors({})",
    "SELECT * FROM pragma_table_info({})",
    "WITH x AS (SELECT {}) SELECT * FROM x",
    "WITH x AS (SELECT {}) SELECT 1",
    "WITH RECURSIVE x(n) AS (SELECT 1 UNION ALL SELECT n + {} FROM x LIMIT 3) SELECT * FROM x",
    "WITH x AS (WITH y AS (VALUES ({})) SELECT * FROM y) SELECT * FROM x",
    "VALUES ({})",
    "VALUES (1, 2), (3, {})",
    "SELECT 1 UNION ALL SELECT {}",
    "SELECT 1 INTERSECT SELECT 1 EXCEPT SELECT {} ORDER BY 1",
    "SELECT 1 AS x, * FROM processes WHERE \"name\" = {}",
];

/// Ways to write a call that a list of bad words would miss.
const CALLS: &[(&str, ErrorKind)] = &[
    ("load_extension('x')", Refused),
    ("LOAD_Extension ('x')", Refused),
    ("\"load_extension\"('x')", Refused),
    ("`readfile`('/etc/shadow')", Refused),
    ("[writefile]\n/**/('a', 'b')", Refused),
    ("secrets()", UnknownFunction),
    ("ｌｏad_extension('x')", UnknownFunction),
    ("count_everything(*)", UnknownFunction),
];

#[test]
fn a_function_outside_the_list_is_found_wherever_it_hides() {
    let refused = |template: &str, call: &str| checked(&template.replace("{}", call)).map_err(|e| e.kind);
    for template in HIDING_PLACES {
        checked(&template.replace("{}", "abs(1)")).unwrap_or_else(|e| panic!("{template}: {e}"));
        for (call, kind) in CALLS {
            assert_eq!(refused(template, call).err(), Some(*kind), "{template} {call}");
        }
    }
}

#[test]
fn a_table_outside_the_catalog_is_found_wherever_it_hides() {
    for template in HIDING_PLACES {
        for (table, kind) in
            [("secrets", UnknownTable), ("sqlite_master", Refused), ("temp.users", UnknownTable)]
        {
            let sql = template.replace("{}", &format!("(SELECT 1 FROM {table})"));
            assert_eq!(checked(&sql).map_err(|e| e.kind).err(), Some(kind), "{sql}");
        }
    }
}

/// A statement, the kind of its refusal, and the text at the place that is given.
const REFUSED: &[(&str, ErrorKind, &str)] = &[
    // No query.
    ("INSERT INTO processes VALUES (1)", Refused, "INSERT"),
    ("REPLACE INTO processes VALUES (1)", Refused, "REPLACE"),
    ("UPDATE processes SET pid = 1", Refused, "UPDATE"),
    ("DELETE FROM processes", Refused, "DELETE"),
    ("WITH x AS (SELECT 1) INSERT INTO processes SELECT * FROM x", Refused, "INSERT"),
    ("WITH x AS (SELECT 1) UPDATE processes SET pid = 1", Refused, "UPDATE"),
    ("WITH x AS (SELECT 1) DELETE FROM processes", Refused, "DELETE"),
    ("WITH x AS (SELECT 1) REPLACE INTO processes VALUES (1)", Refused, "INTO"),
    ("CREATE TABLE x (a)", Refused, "CREATE"),
    ("CREATE VIEW v AS SELECT 1", Refused, "CREATE"),
    ("CREATE TEMP TRIGGER t AFTER INSERT ON x BEGIN SELECT 1; END", Refused, "CREATE"),
    ("DROP TABLE processes", Refused, "DROP"),
    ("ALTER TABLE processes RENAME TO x", Refused, "ALTER"),
    ("ATTACH '/etc/passwd' AS x", Refused, "ATTACH"),
    ("DETACH x", Refused, "DETACH"),
    ("VACUUM INTO '/tmp/x'", Refused, "VACUUM"),
    ("PRAGMA query_only = 0", Refused, "PRAGMA"),
    ("pragma table_info(processes)", Refused, "pragma"),
    ("BEGIN", Refused, "BEGIN"),
    ("COMMIT", Refused, "COMMIT"),
    ("SAVEPOINT x", Refused, "SAVEPOINT"),
    ("REINDEX", Refused, "REINDEX"),
    ("ANALYZE", Refused, "ANALYZE"),
    ("EXPLAIN SELECT 1", Refused, "EXPLAIN"),
    ("EXPLAIN QUERY PLAN SELECT 1", Refused, "EXPLAIN"),
    ("SHOW TABLES", Refused, "SHOW"),
    ("describe processes", Refused, "describe"),
    ("/* SELECT 1 */ -- SELECT\n DROP TABLE x", Refused, "DROP"),
    (";; DELETE FROM x", Refused, "DELETE"),
    (".tables", Syntax, "."),
    ("processes", Syntax, "processes"),
    ("SELCT 1", Syntax, "SELCT"),
    ("(SELECT 1)", Syntax, "("),
    ("42", Syntax, "42"),
    // Parts of a query that write, lock, or are another system's.
    ("SELECT * INTO x FROM processes", Refused, "INTO"),
    ("SELECT 1 INTO OUTFILE '/tmp/x'", Refused, "INTO"),
    ("SELECT * FROM processes FOR UPDATE", Refused, "FOR"),
    ("SELECT * FROM processes INDEXED BY x", Refused, "INDEXED"),
    ("SELECT * FROM processes NOT INDEXED", Refused, "INDEXED"),
    ("SELECT DISTINCT ON (uid) name FROM processes", Syntax, "ON"),
    ("SELECT * FROM processes GROUP BY ALL", Syntax, "ALL"),
    ("SELECT 1 = ALL (SELECT 1)", Syntax, "ALL"),
    ("SELECT TOP 5 * FROM processes", Syntax, "TOP"),
    ("SELECT pid::text FROM processes", Syntax, "::"),
    ("SELECT name FROM processes WHERE name ILIKE 'x'", Syntax, "ILIKE"),
    ("SELECT extract(year FROM time) FROM last", Syntax, "FROM"),
    ("SELECT DATE '2020-01-01' + INTERVAL '1' day", Syntax, "+"),
    ("SELECT main.load_extension('x')", Refused, "load_extension"),
    ("SELECT * FROM processes AS p(a, b)", Refused, "p"),
    ("SELECT * FROM LATERAL (SELECT 1)", Syntax, "SELECT"),
    ("SELECT * FROM processes TABLESAMPLE (10)", Syntax, "10"),
    ("SELECT raise(ABORT, 'x')", UnknownFunction, "raise"),
    ("SELECT now()", UnknownFunction, "now"),
    // Two statements, or hidden ones.
    ("SELECT 1; SELECT 2", Refused, "SELECT 2"),
    ("SELECT 1; DROP TABLE x; --", Refused, "DROP TABLE x;"),
    ("SELECT 1;\n/* ; */ ATTACH 'x' AS y", Refused, "ATTACH 'x' AS y"),
    ("SELECT 'a' /* '; */ ; DELETE FROM x -- '", Refused, "DELETE FROM x"),
    ("SELECT \"a;\"; VACUUM", Refused, "VACUUM"),
    ("SELECT 1 /* /* */ ; DROP TABLE x /* */", Refused, "DROP TABLE x"),
    ("SELECT 1 -- \r; DROP TABLE x\n; DROP TABLE y", Refused, "DROP TABLE y"),
    ("SELECT 1\u{0}; DROP TABLE x", Syntax, "\u{0}"),
    ("SELECT 'a\\'; DROP TABLE x; --'", Refused, "DROP TABLE x;"),
    // Tables of SQLite's own, schemas, and names that nobody has.
    ("SELECT * FROM sqlite_master", Refused, "sqlite_master"),
    ("SELECT * FROM main.SQLITE_Schema", Refused, "SQLITE_Schema"),
    ("SELECT * FROM \"sqlite_temp_master\"", Refused, "\"sqlite_temp_master\""),
    ("SELECT * FROM 'sqlite_master'", Refused, "'sqlite_master'"),
    ("SELECT 1 IN sqlite_master", Refused, "sqlite_master"),
    ("SELECT 1 IN 'sqlite_master'", Refused, "'sqlite_master'"),
    ("SELECT * FROM dbstat", Refused, "dbstat"),
    ("SELECT * FROM pragma_database_list", Refused, "pragma_database_list"),
    ("SELECT * FROM pragma_function_list()", Refused, "pragma_function_list"),
    ("SELECT * FROM temp.processes", UnknownTable, "temp"),
    ("SELECT * FROM other.processes", UnknownTable, "other"),
    ("SELECT * FROM a.b.processes", Refused, "processes"),
    ("SELECT * FROM proceses", UnknownTable, "proceses"),
    ("SELECT * FROM generate_series(1, 10)", UnknownTable, "generate_series"),
    ("WITH x AS (SELECT 1) SELECT * FROM main.x", UnknownTable, "x"),
    ("WITH x AS (SELECT 1) SELECT * FROM x(1)", UnknownTable, "x"),
    ("SELECT * FROM (WITH x AS (SELECT 1) SELECT * FROM x), x", UnknownTable, "x"),
    ("SELECT (WITH x AS (SELECT 1) SELECT * FROM x) FROM x", UnknownTable, "x"),
    // Not SQL.
    ("", Syntax, ""),
    (" -- nothing\n;", Syntax, ""),
    ("SELECT", Syntax, ""),
    ("SELECT 'abc", Syntax, "'"),
    ("SELECT name, FROM processes", Syntax, "FROM"),
    ("SELECT name FROM processes WHERE", Syntax, ""),
    ("SELECT name FROM processes WHERE pid =", Syntax, ""),
    ("SELECT name FROM processes WHERE pid => 3", Syntax, ">"),
    ("SELECT name pid uid FROM processes", Syntax, "uid"),
    ("SELECT (1", Syntax, "("),
    ("SELECT 1)", Syntax, ")"),
    ("SELECT count( FROM processes", Syntax, "FROM"),
    ("SELECT CASE WHEN 1 THEN 2", Syntax, ""),
    ("SELECT index FROM processes", Syntax, "index"),
    ("SELECT CAST(1 AS)", Syntax, ")"),
    ("SELECT CAST(1 AS int FORMAT 'x' || y)", Syntax, "||"),
    ("SELECT 1 FROM processes LIMIT 1 WHERE pid = 1", Syntax, "WHERE"),
    ("SELECT * FROM processes WHERE pid IN (SELECT pid FROM WHERE 1)", Syntax, "WHERE"),
    ("SELECT * FROM (SELECT pid FROM processes ORDER 1)", Syntax, "1"),
    ("SELECT name\u{a0}FROM processes", Syntax, "\u{a0}"),
    ("SELECT ‘x’", Syntax, "‘"),
    ("SELECT {fn now()}", Syntax, "{"),
    ("SELECT 1 2", Syntax, "2"),
    ("SELECT a.b.c.d()", Refused, "d"),
    ("SELECT * FROM processes |> WHERE 1", Syntax, "WHERE"),
];

#[test]
fn what_is_no_query_is_refused_at_its_place() {
    let told = |sql: &str| match checked(sql) {
        Ok(_) => (None, None),
        Err(error) => (Some(error.kind), error.place.map(|at| sql[at].to_owned())),
    };
    let wrong: Vec<_> = REFUSED
        .iter()
        .filter(|(sql, kind, at)| {
            let (told_kind, told_at) = told(sql);
            told_kind != Some(*kind) || told_at.as_deref().unwrap_or("") != *at
        })
        .map(|(sql, ..)| (sql, told(sql), checked(sql).err().map(|e| e.message)))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn deep_and_long_statements_end_in_an_error() {
    let deep = |open: &str, core: &str, close: &str| {
        let n = 100_000;
        format!("SELECT {}{core}{}", open.repeat(n), close.repeat(n))
    };
    for sql in [
        deep("(", "1", ")"),
        deep("(", "", ""),
        deep("(SELECT ", "1", ")"),
        deep("(VALUES(", "1", "))"),
        deep("abs(", "1", ")"),
        deep("CASE WHEN ", "1", " THEN 1 END"),
        deep("CAST(", "1", " AS int)"),
        deep("1 IN (", "1", ")"),
        deep("EXISTS (SELECT ", "1", ")"),
        deep("- ", "1", ""),
        deep("NOT ", "1", ""),
        deep("1 = NOT ", "1", ""),
        deep("~", "1", ""),
        deep("1+", "1", ""),
        deep("1 OR ", "1", ""),
        deep("a.", "a", ""),
        deep("1", "", " COLLATE x"),
        deep("1", "", " ISNULL"),
        deep("1", "", " IN ()"),
        deep("1", "", " LIKE 1"),
        deep("1", "", " UNION SELECT 1, 1"),
        deep("1 BETWEEN 1 AND ", "1", ""),
        deep("* FROM (", "processes", ")"),
        deep("1 FROM ((SELECT 1), ", "processes", ")"),
        deep("1", "", " -> 1"),
    ] {
        let Err(error) = checked(&sql) else { panic!("passed: {}", &sql[..40]) };
        assert!(matches!(error.kind, Refused | Syntax), "{error}: {}", &sql[..40]);
        assert!(error.message.len() < 200, "{error}");
    }
}

#[test]
fn a_statement_just_within_its_limits_passes() {
    let stack = 512 * 1024;
    let check_all = || {
        for sql in [
            format!("SELECT {}1{}", "(".repeat(64), ")".repeat(64)),
            format!("SELECT {}1{}", "(SELECT ".repeat(64), ")".repeat(64)),
            format!("SELECT {}1{}", "CASE WHEN 1 THEN ".repeat(64), " END".repeat(64)),
            format!("SELECT {}1{}", "abs(1 + 2 * ".repeat(64), ")".repeat(64)),
            format!("SELECT * FROM {}processes{}", "(SELECT * FROM ".repeat(64), ")".repeat(64)),
            format!("SELECT 1 WHERE 1 = 1{}", " OR 1 = 1".repeat(999)),
            format!("SELECT 1{}", " UNION SELECT 1, 2, 3".repeat(499)),
            format!("SELECT 1 IN (1{})", ", 2".repeat(20_000)),
        ] {
            checked(&sql).unwrap_or_else(|e| panic!("{e}: {}", &sql[..40]));
        }
        // Operators that nest on the right, up to where sqlparser gives up.
        for operator in [" = NOT 1", " BETWEEN 1 AND 1", " LIKE NOT 1", " BETWEEN NOT 1 AND NOT 1"] {
            let passes = |n: &usize| checked(&format!("SELECT 1{}", operator.repeat(*n))).is_ok();
            assert!((1..1000).step_by(3).take_while(passes).count() > 20);
        }
    };
    std::thread::Builder::new().stack_size(stack).spawn(check_all).unwrap().join().unwrap();
}

#[test]
fn a_text_that_is_too_long_is_not_looked_at() {
    let limits = GuardLimits { sql_bytes_max: 8, ..GuardLimits::default() };
    assert!(check("SELECT 1", &catalog(), FUNCTIONS, &limits).is_ok());
    assert_eq!(check("SELECT 12", &catalog(), FUNCTIONS, &limits).unwrap_err().kind, Refused);
}

#[test]
fn nested_statements_that_fail_are_not_tried_over_and_over() {
    for (open, close) in [
        ("(", ")"),
        ("abs(", ")"),
        ("CASE WHEN ", " THEN 1 END"),
        ("CASE CURRENT_TIME WHEN ", " THEN 1 END"),
        ("CAST(", " AS int)"),
        ("1 IN (", ")"),
        ("1 IN ((", "), 1)"),
        ("1 BETWEEN (", ") AND 1"),
        ("EXISTS (SELECT ", ")"),
        ("(VALUES (", "))"),
        ("(WITH a AS (SELECT ", ") SELECT 1)"),
        ("count(*) OVER (ORDER BY ", ")"),
        ("1 FROM (SELECT ", ")"),
        ("* FROM (", " JOIN users)"),
    ] {
        for core in ["", "1 1", "*", "SELECT", "abs(", "users"] {
            // With work that doubles at each level this would not end.
            let sql = format!("SELECT {}{core}{}", open.repeat(30), close.repeat(30));
            let _ = checked(&sql);
        }
    }
}
