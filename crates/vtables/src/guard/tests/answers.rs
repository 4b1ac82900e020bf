use super::{catalog, checked};
use crate::guard::place_of_word;

fn references(sql: &str) -> Vec<(String, u32)> {
    checked(sql).unwrap().tables.into_iter().map(|t| (t.name, t.references)).collect()
}

#[test]
fn references_are_counted_through_with() {
    let cases: &[(&str, &[(&str, u32)])] = &[
        ("SELECT 1", &[]),
        ("SELECT * FROM PROCESSES", &[("processes", 1)]),
        ("SELECT * FROM processes a, processes b, users", &[("processes", 2), ("users", 1)]),
        ("SELECT * FROM processes WHERE uid IN (SELECT uid FROM users)", &[("processes", 1), ("users", 1)]),
        ("SELECT 1 IN users", &[("users", 1)]),
        ("SELECT pid FROM processes UNION SELECT pid FROM processes", &[("processes", 2)]),
        ("WITH p AS (SELECT * FROM processes) SELECT * FROM p", &[("processes", 1)]),
        ("WITH p AS (SELECT * FROM processes) SELECT * FROM p a, p b", &[("processes", 2)]),
        (
            "WITH p AS (SELECT * FROM processes), q AS (SELECT * FROM p a, p b) SELECT * FROM q, q r",
            &[("processes", 4)],
        ),
        ("WITH q AS (SELECT * FROM p), p AS (SELECT * FROM users) SELECT * FROM q, p", &[("users", 2)]),
        ("WITH p AS (SELECT * FROM processes) SELECT 1", &[("processes", 1)]),
        (
            "WITH RECURSIVE t(n) AS (SELECT 1 UNION SELECT pid FROM processes JOIN t ON parent = n) SELECT * FROM t",
            &[("processes", 2)],
        ),
        (
            "WITH t(n) AS (SELECT 1 UNION SELECT pid FROM processes, t) SELECT * FROM t a, t b",
            &[("processes", 4)],
        ),
        // A table of the same name is hidden by WITH, inside its own body too; `main.` finds it.
        ("WITH users AS (SELECT * FROM processes) SELECT * FROM users", &[("processes", 1)]),
        ("WITH users AS (SELECT * FROM main.users) SELECT * FROM users, users u", &[("users", 2)]),
        ("SELECT * FROM (WITH users AS (SELECT 1) SELECT * FROM users), users", &[("users", 1)]),
        ("SELECT * FROM json_each('[]'), file_lines('/etc/passwd')", &[("file_lines", 1)]),
    ];
    for (sql, expected) in cases {
        let expected: Vec<_> = expected.iter().map(|(t, n)| ((*t).to_owned(), *n)).collect();
        assert_eq!(references(sql), expected, "{sql}");
    }
}

#[test]
fn doubling_references_end_at_the_largest_count() {
    let mut sql = "WITH c0 AS (SELECT * FROM users)".to_owned();
    for n in 1..60 {
        sql += &format!(", c{n} AS (SELECT 1 FROM c{0} a, c{0} b)", n - 1);
    }
    assert_eq!(references(&format!("{sql} SELECT * FROM c59")), [("users".to_owned(), u32::MAX)]);
}

#[test]
fn columns_of_conditions_are_tested() {
    for (sql, expected) in [
        ("SELECT md5 FROM hash", &[][..]),
        ("SELECT path, md5 FROM hash ORDER BY sha1", &[]),
        ("SELECT md5 FROM hash WHERE PATH = '/x'", &["path"]),
        (
            "SELECT md5 FROM hash WHERE hash.\"Path\" LIKE '/%' AND (1 OR directory IN ('/'))",
            &["directory", "path"],
        ),
        ("SELECT * FROM processes p JOIN hash h ON h.path = p.path", &["path"]),
        ("SELECT * FROM processes JOIN hash USING (path)", &["path"]),
        ("SELECT count(*) FROM hash GROUP BY md5 HAVING max(path) > ''", &["path"]),
        ("SELECT * FROM file WHERE path IN (SELECT directory FROM file)", &["directory", "path"]),
        ("SELECT * FROM (SELECT * FROM hash WHERE path = 'x')", &["path"]),
        ("WITH h AS (SELECT md5 FROM hash) SELECT * FROM users WHERE uid IN (SELECT 1 FROM h)", &["uid"]),
        ("SELECT * FROM file_lines('/etc/passwd')", &["path"]),
        (
            "SELECT * FROM user_groups NATURAL JOIN groups",
            &["comment", "gid", "gid_signed", "groupname", "uid"],
        ),
    ] {
        assert_eq!(checked(sql).unwrap().tested, expected, "{sql}");
    }
}

#[test]
fn a_quoted_word_that_resembles_a_column_is_warned_of() {
    let warned = |sql: &str| {
        let warnings = checked(sql).unwrap().warnings;
        let tell = |w: crate::Warning| (sql[w.place.unwrap()].to_owned(), w.help.unwrap());
        warnings.into_iter().map(tell).collect::<Vec<_>>()
    };
    for (sql, word, meant) in [
        ("SELECT * FROM processes WHERE \"nmae\" = 'x'", "\"nmae\"", "name"),
        ("SELECT \"usrname\" FROM users", "\"usrname\"", "username"),
        ("SELECT lower(\"cmdlin\") FROM processes", "\"cmdlin\"", "cmdline"),
        ("SELECT count(*) AS total FROM users ORDER BY \"totl\"", "\"totl\"", "total"),
        ("SELECT * FROM file WHERE \"filname\" LIKE '%x'", "\"filname\"", "filename"),
    ] {
        let warnings = warned(sql);
        assert_eq!(warnings.len(), 1, "{sql}");
        assert_eq!(warnings[0].0, word, "{sql}");
        assert!(warnings[0].1.contains(&format!("`{meant}`")), "{sql}: {}", warnings[0].1);
    }
    for sql in [
        "SELECT * FROM processes WHERE \"name\" = 'x' OR \"PID\" = 1 OR \"rowid\" = 2",
        "SELECT * FROM processes WHERE name = \"nam\" OR path LIKE \"pth\" OR name IN (\"nmae\", \"x\")",
        "SELECT pid AS \"the pid\" FROM processes ORDER BY \"the pid\"",
        "SELECT \"key\" FROM json_each('[]')",
        "WITH t(nmae) AS (SELECT 1) SELECT \"nmae\" FROM t, processes",
        "SELECT \"something else\" FROM processes",
        "SELECT 'nmae', [nmae] FROM processes",
    ] {
        assert_eq!(warned(sql), [], "{sql}");
    }
}

#[test]
fn parameters_are_listed_as_written() {
    let params = checked("SELECT ?, ?, ?2, :a, @b, $c, :a, ':d' FROM users WHERE uid = :e").unwrap().params;
    assert_eq!(params, ["?", "?", "?2", ":a", "@b", "$c", ":e"]);
}

#[test]
fn errors_say_what_to_write_instead() {
    for (sql, message, help) in [
        ("SELECT * FROM proceses", "no such table: `proceses`", "did you mean `processes`?"),
        ("SELECT * FROM jason_each('')", "no such table: `jason_each`", "did you mean `json_each`?"),
        (
            "WITH parents AS (SELECT 1) SELECT * FROM parent",
            "no such table: `parent`",
            "did you mean `parents`?",
        ),
        ("SELECT lenght(name) FROM users", "no such function: `lenght`", "did you mean `length`?"),
        ("SELECT now()", "no such function: `now`", "did you mean `datetime`?"),
        (
            "EXPLAIN SELECT 1",
            "EXPLAIN asks for a plan, and only queries run here",
            "use `.explain` in the shell, or `daemoneye-cli explain \"SELECT …\"`",
        ),
        ("SELEC 1", "unexpected `SELEC`", "did you mean SELECT?"),
        (".tables", "unexpected `.`", "commands that begin with a dot belong to the shell: daemoneye-cli"),
        (
            "SELECT * FROM processes WHERE",
            "expected an expression after `WHERE`, found the end of the statement",
            "",
        ),
        (
            "SELECT name, FROM processes",
            "expected an expression after `,`, found `FROM`",
            "a comma too many before FROM",
        ),
        (
            "SELECT name pid uid FROM processes",
            "unexpected `uid`",
            "is a comma or an operator missing before it?",
        ),
        (
            "SELECT * FROM processes WHERE pid => 1",
            "expected an expression after `=`, found `>`",
            "write >= for greater or equal",
        ),
        (
            "SELECT * FROM processes p WHERE pid = 1 && uid = 2",
            "expected an expression after `&`, found `&`",
            "write AND",
        ),
        (
            "SELECT index FROM processes",
            "expected an expression after `SELECT`, found `index`",
            "a column or table of that name stands in quotes: \"index\"",
        ),
        (
            "SELECT * FROM processes LIMIT 1 WHERE pid = 1",
            "unexpected `WHERE`",
            "WHERE stands after FROM and its joins, before GROUP BY, ORDER BY and LIMIT",
        ),
        (
            "SELECT * FROM WHERE pid = 1",
            "expected a table after `FROM`, found `WHERE`",
            "a column or table of that name stands in quotes: \"where\"",
        ),
        (
            "SELECT pid AS FROM processes",
            "expected a name after `AS`, found `FROM`",
            "a column or table of that name stands in quotes: \"from\"",
        ),
        (
            "SELECT count(SELECT 1)",
            "expected an expression after `(`, found `SELECT`",
            "a query within a query stands in parentheses of its own",
        ),
        ("SELECT (1", "this parenthesis is never closed", ""),
        ("SELECT name ORDER name", "expected BY after `ORDER`, found `name`", ""),
        ("SELECT pid::text", "`::` is no operator here", "convert with CAST: CAST(pid AS TEXT)"),
    ] {
        let error = checked(sql).unwrap_err();
        assert_eq!((&*error.message, error.help.as_deref().unwrap_or("")), (message, help), "{sql}");
    }
}

#[test]
fn a_place_grows_to_the_token_around_it() {
    let sql = "SELECT \"a b\", é.name /* x */ FROM t";
    let word = |offset| &sql[place_of_word(sql, offset)];
    assert_eq!(word(0), "SELECT");
    assert_eq!(word(3), "SELECT");
    assert_eq!(word(7), "\"a b\"");
    assert_eq!(word(10), "\"a b\"");
    assert_eq!(word(15), "é");
    assert_eq!(word(17), "name");
    assert_eq!(word(25), "FROM");
    assert_eq!(word(sql.len()), "");
    assert_eq!(place_of_word("", 7), 0..0);
}

#[test]
fn a_catalog_finds_names_without_regard_to_case() {
    let catalog = catalog();
    assert_eq!(catalog.get("PROCESSES").map(|t| &*t.name), Some("processes"));
    assert!(catalog.get("secrets").is_none());
    assert_eq!(catalog.nearest("proceses"), Some("processes"));
    assert_eq!(catalog.nearest_column(["Processes", "users"], "usrname"), Some("username"));
    assert_eq!(catalog.nearest_column(["processes"], "usrname"), None);
    assert!(catalog.iter().map(|t| &*t.name).is_sorted());
}
