//! What is told about a text that is no query, or no SQL.

use sqlparser::parser::ParserError;

use super::lex::{Fault, Kind, Lexeme};
use super::{GuardLimits, dialect, lower, nearest, place, show};
use crate::error::{ErrorKind, SqlError};

/// The lexemes of the one query that the text holds, without semicolons.
pub(super) fn one_query<'l>(sql: &str, lexemes: &'l [Lexeme]) -> Result<&'l [Lexeme], SqlError> {
    let is_semicolon = |l: &Lexeme| l.kind == Kind::Sign(";");
    let start = lexemes.iter().position(|l| !is_semicolon(l)).unwrap_or(lexemes.len());
    let end = lexemes[start..].iter().position(is_semicolon).map_or(lexemes.len(), |n| start + n);
    let Some(first) = lexemes.get(start) else {
        return Err(SqlError::new(ErrorKind::Syntax, "the statement is empty")
            .help("for example: SELECT name, pid FROM processes"));
    };
    if let Some(error) = not_a_query(sql, first, lexemes.get(start + 1)) {
        return Err(error);
    }
    if let Some(bad) = lexemes.iter().find(|l| matches!(l.kind, Kind::Bad(_))) {
        return Err(no_token(sql, bad));
    }
    if let Some(second) = lexemes[end..].iter().find(|l| !is_semicolon(l)) {
        return Err(SqlError::new(ErrorKind::Refused, "only one statement runs at a time")
            .at(second.at.start..place(lexemes, lexemes.len() - 1).end)
            .help("run the statements one by one"));
    }
    Ok(&lexemes[start..end])
}

/// Why a statement that begins so is no query; `None` when it is one, as far as its first word tells.
fn not_a_query(sql: &str, first: &Lexeme, second: Option<&Lexeme>) -> Option<SqlError> {
    let text = first.text(sql);
    let refused = |what: &str| {
        let word = text.to_ascii_uppercase();
        SqlError::new(ErrorKind::Refused, format!("{word} {what}, and only queries run here"))
            .at(first.at.clone())
    };
    let only_select = SqlError::new(ErrorKind::Syntax, format!("unexpected {}", show(text)))
        .at(first.at.clone())
        .help("a query begins with SELECT, WITH or VALUES");
    if first.kind != Kind::Word {
        if first.kind == Kind::Sign(".") && second.is_some_and(|l| l.at.start == first.at.end) {
            return Some(
                only_select.help("commands that begin with a dot belong to the shell: daemoneye-cli"),
            );
        }
        return match first.kind {
            Kind::Bad(_) => None,
            _ => Some(only_select),
        };
    }
    Some(match text.to_ascii_uppercase().as_str() {
        "SELECT" | "WITH" | "VALUES" => return None,
        "EXPLAIN" => refused("asks for a plan")
            .help("use `.explain` in the shell, or `daemoneye-cli explain \"SELECT …\"`"),
        "INSERT" | "REPLACE" | "UPDATE" | "DELETE" | "MERGE" | "TRUNCATE" | "COPY" | "LOAD" | "IMPORT" => {
            refused("changes data")
                .help("the tables show the machine as it is; nothing in them can be written")
        }
        "CREATE" | "DROP" | "ALTER" | "GRANT" | "REVOKE" => {
            refused("changes the schema").help("name an inner query with WITH in place of a view")
        }
        "ATTACH" | "DETACH" => refused("works on database files"),
        "VACUUM" | "REINDEX" | "ANALYZE" | "OPTIMIZE" => refused("maintains a database file"),
        "PRAGMA" => refused("reads or sets options of SQLite").help(
            "`.tables` and `.schema TABLE` tell what there is; so do daemoneye_tables and pragma_table_info",
        ),
        "SHOW" | "DESCRIBE" | "DESC" | "USE" | "HELP" => {
            refused("is another system's command").help("`.tables` and `.schema TABLE` tell what there is")
        }
        "BEGIN" | "COMMIT" | "END" | "ROLLBACK" | "SAVEPOINT" | "RELEASE" | "START" => {
            refused("is about transactions").help("each query stands alone: leave it out")
        }
        "SET" | "CALL" | "EXEC" | "EXECUTE" | "DECLARE" | "DO" | "IF" => {
            refused("is another system's command")
        }
        upper => match nearest(upper, ["SELECT", "WITH", "VALUES", "EXPLAIN"]) {
            Some(meant) => only_select.help(format!("did you mean {meant}?")),
            None => only_select,
        },
    })
}

fn no_token(sql: &str, bad: &Lexeme) -> SqlError {
    let text = bad.text(sql);
    let error = |message: String| SqlError::new(ErrorKind::Syntax, message).at(bad.at.clone());
    let Kind::Bad(fault) = bad.kind else { return error(format!("unexpected {}", show(text))) };
    match fault {
        // The place is the quote alone: what it swallowed reaches to the end.
        Fault::Unclosed(quote) => SqlError::new(ErrorKind::Syntax, format!("a {quote} is never closed"))
            .at(bad.at.start..bad.at.start + 1)
            .help(match quote {
                '\'' => "a ' within a text is written twice: 'it''s'",
                '[' => "a name in [ ends in ]",
                _ => "texts stand in ', names in \"",
            }),
        Fault::UnclosedComment => SqlError::new(ErrorKind::Syntax, "a comment is never closed")
            .at(bad.at.start..bad.at.start + 2)
            .help("close it with */"),
        Fault::Number => error(format!("{} is no number", show(text)))
            .help("a name that begins with a digit stands in quotes: \"1st\""),
        Fault::Blob => error(format!("{} is no blob", show(text)))
            .help("a blob has an even number of hexadecimal digits: x'0aff'"),
        Fault::Parameter if text.starts_with("::") => {
            error("`::` is no operator here".to_owned()).help("convert with CAST: CAST(pid AS TEXT)")
        }
        Fault::Parameter => error(format!("{} is no parameter", show(text)))
            .help("a parameter is ?, ?1, :name, @name or $name"),
        Fault::Character => match text {
            "!" => error("`!` is no operator here".to_owned()).help("write NOT, or != for unequal"),
            "\0" => error("a NUL byte ends no query".to_owned()),
            "^" => error("`^` is no operator here".to_owned()).help("write pow(a, b)"),
            _ => error(format!("{} means nothing in SQL", show(text))),
        },
    }
}

/// What sqlparser's error says, in words of our own and at its place in the text.
pub(super) fn explain(error: ParserError, sql: &str, lexemes: &[Lexeme], limits: &GuardLimits) -> SqlError {
    // sqlparser tries a parenthesis as a subquery and falls back to a list, and so loses the error within
    // the subquery. The innermost subquery that fails alone is where the fault is.
    let inner = lower::lower(sql, lexemes, limits).ok().and_then(|lowered| {
        let queries = lowered.subqueries.iter().filter_map(|range| lowered.tokens.get(range.clone()));
        let mut failed = queries.filter_map(|tokens| {
            let error = dialect::parse(tokens.to_vec(), limits.nesting_max).err()?;
            let after = tokens.last().map_or(0, |t| t.span.start.column as usize);
            Some((error, after))
        });
        failed.next()
    });
    let (error, end) = inner.unwrap_or((error, lexemes.len()));
    let message = match error {
        ParserError::RecursionLimitExceeded => return lower::too_deep(limits.nesting_max),
        ParserError::ParserError(message) | ParserError::TokenizerError(message) => message,
    };
    let (message, column) = match message.rsplit_once(" at Line: 1, Column: ") {
        Some((message, column)) => (message, column.parse::<usize>().ok()),
        None => (&*message, None),
    };
    let at = column.map_or(end, |column| column.saturating_sub(1));
    let found = match lexemes.get(at) {
        Some(lexeme) => show(lexeme.text(sql)),
        None => "the end of the statement".to_owned(),
    };
    let text = |at: usize| lexemes.get(at).map_or("", |l| l.text(sql)).to_ascii_uppercase();
    let (before, here, next) = (at.checked_sub(1).map(text).unwrap_or_default(), text(at), text(at + 1));
    let expected = message.strip_prefix("Expected: ").and_then(|m| m.split_once(", found: ")).map(|m| m.0);
    let message = match expected {
        Some("the end") | None => format!("unexpected {found}"),
        Some(expected) => {
            let after = if before.is_empty() { String::new() } else { format!(" after {}", show(&before)) };
            format!("expected {}{after}, found {found}", human(expected))
        }
    };
    let error = SqlError::new(ErrorKind::Syntax, message).at(place(lexemes, at));
    match advice(&before, &here, &next, lexemes.get(at).map(|l| l.kind)) {
        Some(advice) => error.help(advice),
        None => error,
    }
}

/// sqlparser's name of what it wanted, as a person says it.
fn human(expected: &str) -> &str {
    match expected {
        "identifier" | "an identifier after AS" => "a name",
        "SELECT, VALUES, or a subquery in the query body" => "SELECT",
        "joined table" | ")" => "a closing parenthesis",
        "(" => "an opening parenthesis",
        "an identifier or a '*' after '.'" => "a column or *",
        "IN or BETWEEN after NOT" => "IN, LIKE or BETWEEN",
        other => other,
    }
}

/// Help for the usual slips, from the words around the place.
fn advice(before: &str, here: &str, next: &str, kind: Option<Kind>) -> Option<String> {
    let clause = ["FROM", "WHERE", "GROUP", "HAVING", "ORDER", "LIMIT"];
    Some(match (before, here, next) {
        ("=", ">", _) => "write >= for greater or equal".into(),
        ("=", "<", _) => "write <= for less or equal".into(),
        ("&", "&", _) => "write AND".into(),
        (_, "ILIKE", _) => "LIKE ignores case already".into(),
        (_, "RLIKE", _) => "write REGEXP".into(),
        ("TOP", ..) => "write LIMIT at the end of the query".into(),
        (",", "" | ")", _) => "a comma too many before it".into(),
        (",", here, _) if clause.contains(&here) => format!("a comma too many before {here}"),
        (_, "WHERE", _) => {
            "WHERE stands after FROM and its joins, before GROUP BY, ORDER BY and LIMIT".into()
        }
        (_, "GROUP" | "HAVING" | "ORDER", _) => format!("{here} stands before LIMIT, after WHERE"),
        (_, "JOIN", _) => "joins stand after FROM, before WHERE".into(),
        (_, "UNION" | "EXCEPT" | "INTERSECT", _) => {
            "ORDER BY and LIMIT stand once, after the last SELECT".into()
        }
        _ if matches!(kind, Some(Kind::Word | Kind::Quoted(_) | Kind::Text | Kind::Number)) => {
            "is a comma or an operator missing before it?".into()
        }
        _ => return None,
    })
}
