//! The functions of SQL here: which may be called, and those that are not SQLite's own.
//!
//! [`FUNCTIONS`] is the allow-list. Whatever is not in it (`load_extension`, the full-text functions, what
//! tells of the build or of writes) is refused by the guard.
//!
//! Where osquery has a function, ours has its name, the order of its arguments and its results. Texts are
//! bytes: none of these functions fails on a text that is not UTF-8, and all of them see every byte, also
//! behind a NUL. A NULL argument gives NULL, unless the function's doc says otherwise.

mod call;
mod dates;
mod digests;
mod list;
mod math;
mod network;
mod patterns;
mod text;
mod versions;

use std::sync::Arc;

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

use call::{Call, Owned, Shared};
pub(crate) use dates::Clock;
pub(crate) use list::FUNCTIONS;

/// Where in a statement a function can stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One value from the values of one row.
    Scalar,
    /// One value from many rows, also with OVER.
    Aggregate,
    /// Only with OVER.
    Window,
    /// In FROM.
    Table,
}

/// Whose code runs.
#[derive(Clone, Copy)]
enum Body {
    /// SQLite's.
    Sqlite,
    /// Ours, never called with a NULL. The number of arguments is SQLite's `nArg`: -1 for any.
    Strict(i32, fn(&Call<'_>) -> call::Result),
    /// Ours, which also takes NULLs.
    Raw(i32, fn(&Call<'_>) -> call::Result),
}

/// A function that a statement may call.
pub struct Function {
    /// Its name, in lower case.
    pub name: &'static str,
    /// Its arguments, as help shows them between the parentheses.
    pub arguments: &'static str,
    /// What it gives, in one sentence.
    pub doc: &'static str,
    /// Where it can stand.
    pub kind: Kind,
    body: Body,
}

/// The function of that name, whose case does not matter. `min` and `max`, which are both scalar functions
/// and aggregates, are found as scalar ones.
pub(crate) fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name.eq_ignore_ascii_case(name))
}

/// Puts our functions and collations on a connection. `clock` is what the date functions call now.
///
/// The connection's limit on the length of a value has to be set before: it holds for what is computed here
/// too.
pub(crate) fn register(conn: &Connection, clock: &Clock) -> rusqlite::Result<()> {
    // The same arguments give the same result within a statement, since the clock stands still in it: so
    // SQLite may compute a constant call once.
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    let shared = Arc::new(Shared::new(conn, clock.clone())?);
    for function in FUNCTIONS {
        let (strict, arity, run) = match function.body {
            Body::Sqlite => continue,
            Body::Strict(arity, run) => (true, arity, run),
            Body::Raw(arity, run) => (false, arity, run),
        };
        let shared = Arc::clone(&shared);
        conn.create_scalar_function(function.name, arity, flags, move |context| {
            let call = Call::new(function.name, context, &shared);
            if strict && call.has_null() {
                return Ok(Owned::NULL);
            }
            run(&call).map(Owned).map_err(Into::into)
        })?;
    }
    for (name, flavor) in versions::COLLATIONS {
        conn.create_collation(*name, |a: &str, b: &str| flavor.compare(a.as_bytes(), b.as_bytes()))?;
    }
    Ok(())
}

#[cfg(test)]
mod testing {
    use std::time::{Duration, UNIX_EPOCH};

    use rusqlite::types::ValueRef;

    use super::*;

    /// 2024-02-29 12:34:56.789.
    pub(super) const NOW_MS: u64 = 1_709_210_096_789;

    pub(super) fn connection() -> (Connection, Clock) {
        let conn = Connection::open_in_memory().unwrap();
        let clock = Clock::new(UNIX_EPOCH + Duration::from_millis(NOW_MS));
        register(&conn, &clock).unwrap();
        (conn, clock)
    }

    /// A value of any storage class as it can be compared: `NULL`, `1`, `1.5`, `'text'`, `x'626c6f62'`.
    pub(super) fn shown(conn: &Connection, sql: &str) -> String {
        let show = |value: ValueRef<'_>| match value {
            ValueRef::Null => "NULL".to_owned(),
            ValueRef::Integer(n) => n.to_string(),
            ValueRef::Real(x) => format!("{x:?}"),
            ValueRef::Text(text) => format!("'{}'", text.escape_ascii()),
            ValueRef::Blob(blob) => format!("x'{}'", blob.escape_ascii()),
        };
        conn.query_row(sql, [], |row| row.get_ref(0).map(show)).unwrap_or_else(|e| format!("error: {e}"))
    }

    /// Evaluates each expression and compares.
    pub(super) fn check(cases: &[(&str, &str)]) {
        let (conn, _) = connection();
        for (expression, expected) in cases {
            let value = shown(&conn, &format!("SELECT {expression}"));
            let end = expected.strip_suffix('…');
            match end {
                Some(start) => assert!(value.starts_with(start), "{expression}: {value}"),
                None => assert_eq!(&value, expected, "{expression}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{check, connection, shown};
    use super::*;

    #[test]
    fn every_function_listed_exists_and_is_of_its_kind() {
        let (conn, _) = connection();
        for Function { name, arguments, kind, .. } in FUNCTIONS {
            let types = match kind {
                Kind::Scalar => "('s')",
                Kind::Aggregate => "('a', 'w')",
                Kind::Window => "('w')",
                Kind::Table => {
                    assert_eq!(shown(&conn, &format!("SELECT count(*) FROM {name}('1')")), "1", "{name}");
                    continue;
                }
            };
            let sql = format!(
                "SELECT count(*) > 0 FROM pragma_function_list WHERE name = '{name}' AND type IN {types}"
            );
            assert_eq!(shown(&conn, &sql), "1", "{name}({arguments}) is not a {kind:?}");
        }
    }

    #[test]
    fn ours_replace_sqlites_for_every_number_of_arguments() {
        let (conn, _) = connection();
        for function in FUNCTIONS {
            if let Body::Strict(arity, _) | Body::Raw(arity, _) = function.body {
                let name = function.name;
                let sql = format!(
                    "SELECT group_concat(DISTINCT builtin) FROM pragma_function_list \
                     WHERE name = '{name}' AND narg = {arity} AND NOT builtin"
                );
                assert_eq!(shown(&conn, &sql), "'0'", "{name}");
            }
        }
    }

    #[test]
    fn what_reaches_out_of_the_statement_is_not_listed() {
        let outside = [
            "load_extension",
            "fts3_tokenizer",
            "fts5",
            "match",
            "sqlite_compileoption_get",
            "sqlite_compileoption_used",
            "sqlite_log",
            "sqlite_source_id",
            "readfile",
            "writefile",
            "edit",
            "fsdir",
            "changes",
            "total_changes",
            "last_insert_rowid",
            "subtype",
            "rtreecheck",
            "dbstat",
            "pragma_function_list",
            "carve",
        ];
        for name in outside {
            assert!(find(name).is_none(), "{name}");
        }
    }

    #[test]
    fn functions_are_found_without_regard_to_case_and_listed_once() {
        assert_eq!(find("Regex_MATCH").map(|f| f.name), Some("regex_match"));
        assert_eq!(find("CURRENT_TIMESTAMP").map(|f| f.arguments), Some(""));
        assert_eq!(find("max").map(|f| f.kind), Some(Kind::Scalar));
        for (place, one) in FUNCTIONS.iter().enumerate() {
            assert_eq!(one.name, one.name.to_ascii_lowercase());
            assert!(one.doc.ends_with('.') && !one.doc.contains(". "), "{}: one sentence", one.name);
            let same = |other: &Function| other.name == one.name && other.kind == one.kind;
            assert!(!FUNCTIONS[place + 1..].iter().any(same), "{} twice", one.name);
        }
    }

    #[test]
    fn a_null_argument_gives_null() {
        let (conn, _) = connection();
        for function in FUNCTIONS {
            let Body::Strict(arity, _) = function.body else { continue };
            let counted = usize::try_from(arity).unwrap_or(function.arguments.split(", ").count());
            for null in 0..counted {
                let argument = |place| if place == null { "NULL" } else { "'1'" };
                let arguments: Vec<&str> = (0..counted).map(argument).collect();
                let sql = format!("SELECT {}({})", function.name, arguments.join(", "));
                assert_eq!(shown(&conn, &sql), "NULL", "{sql}");
            }
        }
    }

    #[test]
    fn no_function_fails_on_bytes_that_are_not_utf8() {
        let hostile = "CAST(x'ff2e00c3282f3132ff' AS TEXT)";
        check(&[
            (&format!("regex_match({hostile}, '/(.*)', 1)"), r"'12\xff'"),
            (&format!("regex_match({hostile}, '^.*$', 0) = {hostile}"), "1"),
            (&format!("regex_split({hostile}, '/', 0)"), r"'\xff.\x00\xc3('"),
            (&format!("{hostile} REGEXP '12'"), "1"),
            (&format!("split({hostile}, '/', 1)"), r"'12\xff'"),
            (&format!("split('a/b', {hostile}, 1)"), "'b'"),
            (&format!("concat({hostile}, 1)"), r"'\xff.\x00\xc3(/12\xff1'"),
            (&format!("to_base64({hostile})"), "'/y4AwygvMTL/'"),
            (&format!("from_base64({hostile})"), "''"),
            (&format!("conditional_to_base64({hostile})"), "'/y4AwygvMTL/'"),
            (&format!("md5({hostile}) = md5(x'ff2e00c3282f3132ff')"), "1"),
            (&format!("inet_aton({hostile})"), "NULL"),
            (&format!("in_cidr_block('::/0', {hostile})"), "NULL"),
            (&format!("community_id_v1({hostile}, '::', 1, 2, 6)"), "NULL"),
            (&format!("version_compare({hostile}, '1')"), "1"),
            (&format!("sqrt({hostile})"), "NULL"),
            (&format!("datetime({hostile})"), "NULL"),
            (&format!("strftime({hostile}, 0, 'unixepoch')"), r"'\xff.'"),
        ]);
    }

    #[test]
    fn results_keep_to_the_length_limit_of_the_connection() {
        use rusqlite::limits::Limit;
        let conn = Connection::open_in_memory().unwrap();
        conn.set_limit(Limit::SQLITE_LIMIT_LENGTH, 1000).unwrap();
        register(&conn, &Clock::new(std::time::SystemTime::now())).unwrap();
        let long = "printf('%.900c', 'x')";
        for sql in [
            format!("SELECT concat({long}, {long})"),
            format!("SELECT to_base64({long})"),
            "SELECT strftime(replace(printf('%.400c', 'x'), 'x', '%Y'))".to_owned(),
        ] {
            assert_eq!(shown(&conn, &sql), "error: string or blob too big", "{sql}");
        }
    }

    #[test]
    fn huge_texts_are_worked_through() {
        let huge = "replace(printf('%.1000000c', 'x'), 'x', 'abc/')";
        check(&[
            (&format!("length(regex_match({huge}, '.*', 0))"), "4000000"),
            (&format!("regex_split({huge}, '/', 999999)"), "'abc'"),
            (&format!("regex_split({huge}, '/', 1000000)"), "NULL"),
            (&format!("split({huge}, '/', 999999)"), "'abc'"),
            (&format!("{huge} REGEXP '^(?:[a-c]+/)+$'"), "1"),
            (&format!("from_base64(to_base64({huge})) = {huge}"), "1"),
            (&format!("version_compare({huge}, {huge} || '1', 'DPKG')"), "-1"),
        ]);
    }
}
