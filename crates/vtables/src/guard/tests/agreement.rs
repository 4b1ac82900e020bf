//! SQLite is the judge: what it would call and read, the guard must have allowed; what it takes, the guard
//! must not refuse.

use std::cell::RefCell;
use std::collections::BTreeSet;

use proptest::prelude::*;
use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

use super::{FUNCTIONS, TABLES, checked, sqlite};

/// Writes a query by a tape of choices, so that proptest can shrink it.
struct Writer<'t> {
    tape: std::slice::Iter<'t, u8>,
    depth: usize,
    /// Names that are allowed, or one that is not, wherever a name of that kind stands.
    forbidden: Option<&'static str>,
}

impl Writer<'_> {
    fn choose(&mut self, n: usize) -> usize {
        self.tape.next().map_or(0, |byte| usize::from(*byte) % n)
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.choose(of.len())]
    }

    fn maybe(&mut self, write: impl FnOnce(&mut Self) -> String) -> String {
        if self.choose(3) == 1 { write(self) } else { String::new() }
    }

    fn name(&mut self) -> &'static str {
        self.one(&[
            "pid", "uid", "name", "p.pid", "\"name\"", "[path]", "`gid`", "end", "key", "desc", "first",
            "'x'",
        ])
    }

    fn literal(&mut self) -> &'static str {
        self.one(&[
            "1",
            "'a'",
            "NULL",
            "0x1F",
            "1.5e2",
            "x'00'",
            "?",
            ":a",
            "CURRENT_TIME",
            "true",
            "\"text\"",
        ])
    }

    fn table(&mut self) -> String {
        let alias = self.one(&["", " p", " AS p", " AS 'p'", " \"p\"", " AS end", " last"]);
        if self.depth > 5 {
            return format!("processes{alias}");
        }
        let table = match self.choose(6) {
            1 => format!("({})", self.query()),
            2 => format!("json_each({})", self.expr()),
            3 => format!("({} JOIN {})", self.table(), self.table()),
            _ => {
                self.one(&["processes", "users", "main.groups", "[file]", "'hash'", "cte", "last"]).to_owned()
            }
        };
        format!("{table}{alias}")
    }

    fn join(&mut self) -> String {
        let kind = self.one(&[
            ",",
            "JOIN",
            "CROSS JOIN",
            "LEFT JOIN",
            "NATURAL LEFT OUTER JOIN",
            "FULL JOIN",
            "INNER JOIN",
            "RIGHT OUTER JOIN",
            "NATURAL JOIN",
        ]);
        let on = match self.choose(3) {
            0 if kind != "," && !kind.contains("NATURAL") => format!(" ON {}", self.expr()),
            1 if kind != "," && !kind.contains("NATURAL") => " USING (gid)".to_owned(),
            _ => String::new(),
        };
        format!(" {kind} {}{on}", self.table())
    }

    fn call(&mut self) -> String {
        let function =
            self.one(&["abs", "ABS", "\"lower\"", "[upper]", "max", "count", "replace", "substr", "last"]);
        let args = match function {
            "replace" | "substr" => format!("{}, {}, 1", self.expr(), self.expr()),
            "count" => self.one(&["*", "DISTINCT pid", "ALL pid", ""]).to_owned(),
            _ => self.expr(),
        };
        let filter = match function {
            "max" | "count" => self.maybe(|w| format!(" FILTER (WHERE {})", w.expr())),
            _ => String::new(),
        };
        let over = match function {
            "max" | "count" if args != "DISTINCT pid" => self.maybe(|w| {
                let partition = w.maybe(|w| format!("PARTITION BY {} ", w.expr()));
                let order = w.maybe(|w| format!("ORDER BY {} DESC ", w.expr()));
                let frame = w.one(&[
                    "",
                    "ROWS 1 PRECEDING",
                    "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW EXCLUDE TIES",
                    "GROUPS UNBOUNDED PRECEDING",
                    "RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING EXCLUDE NO OTHERS",
                ]);
                format!(" OVER ({partition}{order}{frame})")
            }),
            _ => String::new(),
        };
        format!("{function}({args}){filter}{over}")
    }

    fn expr(&mut self) -> String {
        if self.depth > 5 {
            return self.name().to_owned();
        }
        self.depth += 1;
        let expr = match self.choose(24) {
            0 | 1 => self.name().to_owned(),
            2 | 3 => self.literal().to_owned(),
            4 => format!("({})", self.expr()),
            5 => format!("({})", self.query()),
            6 => format!("EXISTS ({})", self.query()),
            7 => format!(
                "CASE {} WHEN {} THEN {} ELSE {} END",
                self.one(&["", "pid"]),
                self.expr(),
                self.expr(),
                self.expr()
            ),
            8 => format!(
                "CAST({} AS {})",
                self.expr(),
                self.one(&["TEXT", "big int", "DECIMAL(1, -2)", "\"x\" y"])
            ),
            9 => format!("{} {} IN ({})", self.expr(), self.one(&["", "NOT"]), self.query()),
            10 => format!("{} IN ({}, {})", self.expr(), self.expr(), self.expr()),
            // SQLite drops what stands before an empty list, unknown names and all.
            11 => format!("({} NOT IN ())", self.name()),
            12 => format!("{} IN {}", self.expr(), self.one(&["cte", "(VALUES (1), (2))"])),
            13 => format!(
                "{} {} BETWEEN {} AND {}",
                self.expr(),
                self.one(&["", "NOT"]),
                self.expr(),
                self.expr()
            ),
            14 => {
                let like = self.one(&["LIKE", "NOT LIKE", "GLOB", "NOT GLOB", "REGEXP", "NOT REGEXP"]);
                format!("{} {like} {}", self.expr(), self.expr())
            }
            15 => format!("{} LIKE {} ESCAPE '!'", self.expr(), self.expr()),
            16 => format!(
                "{} {}",
                self.expr(),
                self.one(&[
                    "ISNULL",
                    "NOTNULL",
                    "NOT NULL",
                    "IS NULL",
                    "IS NOT NULL",
                    "COLLATE NOCASE",
                    "IS TRUE"
                ])
            ),
            17 => format!(
                "{} {} {}",
                self.expr(),
                self.one(&["IS", "IS NOT", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"]),
                self.expr()
            ),
            18 => format!("({}, {}) = ({}, {})", self.expr(), self.expr(), self.expr(), self.expr()),
            19 => format!("{} {}", self.one(&["-", "+", "~", "NOT", "- -", "NOT NOT"]), self.expr()),
            20 | 21 => {
                let op = self.one(&[
                    "+", "-", "*", "/", "%", "||", "=", "==", "<>", "!=", "<", "<=", ">", ">=", "<<", ">>",
                    "&", "|", "AND", "OR", "->", "->>",
                ]);
                format!("{} {op} {}", self.expr(), self.expr())
            }
            _ => self.call(),
        };
        self.depth -= 1;
        if self.forbidden.is_some() && self.choose(8) == 7 {
            let forbidden = self.forbidden.take().unwrap_or_default();
            return format!("{forbidden} + {expr}");
        }
        expr
    }

    fn select(&mut self) -> String {
        if self.choose(8) == 1 {
            return format!("VALUES ({})", self.expr());
        }
        let distinct = self.one(&["", "DISTINCT ", "ALL "]);
        let alias = self.one(&["", " AS end", " x", " 'y'", " AS \"key\"", " interval"]);
        let columns = match self.choose(4) {
            0 => "*".to_owned(),
            1 => format!("{}{alias}, {}", self.expr(), self.expr()),
            _ => format!("{}{alias}", self.expr()),
        };
        let from = format!(" FROM {}", self.table()) + &self.maybe(Self::join);
        let condition = self.maybe(|w| format!(" WHERE {}", w.expr()));
        let group =
            self.maybe(|w| format!(" GROUP BY {}", w.expr()) + &w.maybe(|w| format!(" HAVING {}", w.expr())));
        format!("SELECT {distinct}{columns}{from}{condition}{group}")
    }

    fn query(&mut self) -> String {
        if self.depth > 5 {
            return "SELECT 1".to_owned();
        }
        self.depth += 1;
        let with = self.maybe(|w| {
            let columns = w.one(&["", "(pid)", "(uid, gid)"]);
            let hint = w.one(&["", "MATERIALIZED ", "NOT MATERIALIZED "]);
            format!("WITH {}cte{columns} AS {hint}({}) ", w.one(&["", "RECURSIVE "]), w.query())
        });
        let first = self.select();
        let rest = self.maybe(|w| {
            let op = w.one(&["UNION", "UNION ALL", "EXCEPT", "INTERSECT"]);
            format!(" {op} {}", w.select())
        });
        let order = self.maybe(|w| {
            let how = w.one(&["", " ASC", " DESC", " NULLS FIRST", " COLLATE NOCASE DESC NULLS LAST"]);
            format!(" ORDER BY {}{how}", w.expr())
        });
        let limit = self.one(&["", "", " LIMIT 1", " LIMIT 1 OFFSET 2", " LIMIT 1, 2", " LIMIT -1 + :n"]);
        self.depth -= 1;
        if first.starts_with("VALUES") { with + &first } else { with + &first + &rest + &order + limit }
    }
}

fn written(tape: &[u8], forbidden: Option<&'static str>) -> String {
    Writer { tape: tape.iter(), depth: 0, forbidden }.query()
}

type Seen = (BTreeSet<String>, BTreeSet<String>);

thread_local! {
    /// The functions and the tables that SQLite asked about.
    static SEEN: RefCell<Seen> = RefCell::default();
    static SQLITE: Connection = {
        let mut sqlite = sqlite();
        sqlite.authorizer(Some(see)).unwrap();
        sqlite
    };
}

fn see(context: AuthContext<'_>) -> Authorization {
    SEEN.with_borrow_mut(|(functions, tables)| match context.action {
        AuthAction::Function { function_name } => drop(functions.insert(function_name.to_ascii_lowercase())),
        AuthAction::Read { table_name, .. } => drop(tables.insert(table_name.to_ascii_lowercase())),
        AuthAction::Select | AuthAction::Recursive => {}
        other => drop(functions.insert(format!("{other:?}"))),
    });
    Authorization::Allow
}

/// What SQLite would call and read; `None` when it does not take the statement.
fn uses(sql: &str) -> Option<Seen> {
    SEEN.take();
    let prepared = SQLITE.with(|sqlite| sqlite.prepare(sql).is_ok());
    prepared.then(|| SEEN.take())
}

fn only_known(sql: &str, functions: &BTreeSet<String>, tables: &BTreeSet<String>) {
    let known = |f: &String| FUNCTIONS.contains(&&**f) || ["->", "->>"].contains(&&**f);
    assert!(functions.iter().all(known), "{functions:?} in {sql}");
    let known = |t: &String| {
        // SQLite calls a subquery by its alias, or by an empty name.
        TABLES.iter().any(|(name, _)| name == t)
            || ["", "json_each", "cte", "p", "end", "last"].contains(&&**t)
    };
    assert!(tables.iter().all(known), "{tables:?} in {sql}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_sqlite_takes_passes_and_calls_only_what_is_allowed(tape in prop::collection::vec(any::<u8>(), 0..160)) {
        let sql = written(&tape, None);
        if let Some((functions, tables)) = uses(&sql) {
            only_known(&sql, &functions, &tables);
            let passed = checked(&sql);
            prop_assert!(passed.is_ok(), "{}\n{:?}", sql, passed);
        }
    }

    #[test]
    fn what_is_forbidden_is_found_in_every_statement(
        tape in prop::collection::vec(any::<u8>(), 8..160),
        forbidden in prop::sample::select(vec![
            "load_extension('x')", "\"readfile\"('x')", "randomblob(9)", "(SELECT 1 FROM sqlite_master)",
            "(SELECT count(*) FROM pragma_database_list)", "(1 IN sqlite_schema)", "nothing_such(1)",
        ]),
    ) {
        let sql = written(&tape, Some(forbidden));
        prop_assert!(!sql.contains(forbidden) || checked(&sql).is_err(), "{}", sql);
    }

    #[test]
    fn a_soup_of_tokens_neither_panics_nor_slips_through(soup in prop::collection::vec(prop::sample::select(vec![
        "SELECT", "FROM", "WHERE", "processes", "users", "p", "pid", ",", ".", "(", ")", "*", "=", "'a'", "\"pid\"",
        "1", "AS", "JOIN", "ON", "IN", "NOT", "NULL", "IS", "LIKE", "AND", "OR", "UNION", "ALL", "WITH", "VALUES",
        "CASE", "WHEN", "THEN", "END", "CAST", "EXISTS", "ORDER", "BY", "GROUP", "LIMIT", "OFFSET", "OVER", "FILTER",
        "abs", "abs(", "count(*)", "load_extension('x')", "sqlite_master", "-", "||", "->", ";", "--", "/*", "*/",
        "\n", "INSERT", "INTO", "DISTINCT", "BETWEEN", "ROWS", "CURRENT", "ROW", "NATURAL", "LEFT", "WINDOW", "?",
        "COLLATE", "ESCAPE", "RECURSIVE", "USING", "desc", "[x]", "é", "'", "\"", "\u{0}", "::", "EXCLUDE", "TIES",
    ]), 0..24)) {
        for sql in [soup.join(" "), soup.concat(), format!("SELECT {}", soup.join(" "))] {
            if checked(&sql).is_ok()
                && let Some((functions, tables)) = uses(&sql)
            {
                only_known(&sql, &functions, &tables);
            }
        }
    }

    #[test]
    fn no_text_panics(text in any::<String>(), offset in any::<usize>()) {
        let _ = checked(&text);
        let _ = checked(&format!("SELECT {text}"));
        let place = crate::guard::place_of_word(&text, offset % (text.len() + 2));
        prop_assert!(text.get(place).is_some());
    }
}
