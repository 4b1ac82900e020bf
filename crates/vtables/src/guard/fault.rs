//! What is told about a text that is no query, or no SQL.

use sqlparser::parser::ParserError;

use super::lex::{Fault, Kind, Lexeme};
use super::lower::is_reserved;
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
    if let Some(error) = lexemes.iter().find_map(|l| look_alike(sql, l)) {
        return Err(error);
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

/// A space or a quote of a word processor, which SQLite takes as a part of a name.
fn look_alike(sql: &str, lexeme: &Lexeme) -> Option<SqlError> {
    if lexeme.kind != Kind::Word || lexeme.text(sql).is_ascii() {
        return None;
    }
    let (at, c) = lexeme.text(sql).char_indices().find(|(_, c)| {
        let invisible = matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}');
        invisible || c.is_whitespace() || "‘’‚“”„‹›«»".contains(*c)
    })?;
    let start = lexeme.at.start + at;
    let what = if "‘’‚“”„‹›«»".contains(c) { "no quote" } else { "no space" };
    let message = format!("the character U+{:04X} is {what} in SQL", u32::from(c));
    let error = SqlError::new(ErrorKind::Syntax, message).at(start..start + c.len_utf8());
    Some(error.help("texts stand in ', names in \", with plain spaces between"))
}

/// Tokens of subqueries that are parsed again in search of an error; within each other they add up.
const REPARSED_MAX: usize = 20_000;

/// What sqlparser's error says, in words of our own and at its place in the text.
pub(super) fn explain(error: ParserError, sql: &str, lexemes: &[Lexeme], limits: &GuardLimits) -> SqlError {
    // sqlparser tries a parenthesis as a subquery and falls back to a list, and so loses the error within
    // the subquery. The innermost subquery that fails alone is where the fault is.
    let mut left = REPARSED_MAX;
    let inner = lower::lower(sql, lexemes, limits).ok().and_then(|lowered| {
        lowered.subqueries.iter().find_map(|range| {
            left = left.checked_sub(range.len())?;
            let tokens = lowered.tokens.get(range.clone())?;
            let error = dialect::parse(tokens.to_vec(), limits.nesting_max).err()?;
            Some((error, tokens.last().map_or(0, |t| t.span.start.column as usize)))
        })
    });
    let (error, end) = inner.unwrap_or((error, lexemes.len()));
    let message = match error {
        ParserError::RecursionLimitExceeded => return too_deep(limits.nesting_max),
        ParserError::ParserError(message) | ParserError::TokenizerError(message) => message,
    };
    let (message, column) = match message.rsplit_once(" at Line: 1, Column: ") {
        Some((message, column)) => (message, column.parse::<usize>().ok()),
        None => (&*message, None),
    };
    let at = column.map_or(end, |column| column.saturating_sub(1));
    let wanted = message.strip_prefix("Expected: ").and_then(|m| m.split_once(", found: ")).map(|m| m.0);
    expected(human(wanted.unwrap_or("the end")), sql, lexemes, at)
}

/// Something else stands at a lexeme than what is wanted there; `the end` when nothing is.
pub(super) fn expected(wanted: &str, sql: &str, lexemes: &[Lexeme], at: usize) -> SqlError {
    let text = |at: usize| lexemes.get(at).map_or("", |l| l.text(sql));
    let found = if at < lexemes.len() { show(text(at)) } else { "the end of the statement".to_owned() };
    let before = at.checked_sub(1).map(text).unwrap_or_default();
    let message = match (wanted, before) {
        ("the end", _) => format!("unexpected {found}"),
        (_, "") => format!("expected {wanted}, found {found}"),
        _ => format!("expected {wanted} after {}, found {found}", show(before)),
    };
    let error = SqlError::new(ErrorKind::Syntax, message).at(place(lexemes, at));
    let words = [before, text(at), text(at + 1)].map(str::to_ascii_uppercase);
    match advice([&words[0], &words[1], &words[2]], lexemes.get(at).map(|l| l.kind), wanted) {
        Some(advice) => error.help(advice),
        None => error,
    }
}

/// The statement nests deeper than it may.
pub(super) fn too_deep(nesting_max: usize) -> SqlError {
    SqlError::new(ErrorKind::Refused, format!("the statement nests deeper than {nesting_max} levels"))
        .help("move inner queries into WITH")
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

/// Help for the usual slips, from the words before, at and after the place.
fn advice(words: [&str; 3], kind: Option<Kind>, wanted: &str) -> Option<String> {
    Some(match words {
        ["=", ">", _] => "write >= for greater or equal".into(),
        ["=", "<", _] => "write <= for less or equal".into(),
        ["&", "&", _] => "write AND".into(),
        [_, "ILIKE", _] => "LIKE ignores case already".into(),
        [_, "RLIKE", _] => "write REGEXP".into(),
        [",", "" | ")", _] => "a comma too many before it".into(),
        [",", here, _] if is_reserved(here) => format!("a comma too many before {here}"),
        [_, "WHERE", _] if wanted == "the end" => {
            "WHERE stands after FROM and its joins, before GROUP BY, ORDER BY and LIMIT".into()
        }
        [_, here @ ("GROUP" | "HAVING" | "ORDER"), _] if wanted == "the end" => {
            format!("{here} stands after WHERE, before LIMIT")
        }
        [_, "JOIN", _] if wanted == "the end" => "joins stand after FROM, before WHERE".into(),
        [_, "UNION" | "EXCEPT" | "INTERSECT", _] if wanted == "the end" => {
            "ORDER BY and LIMIT stand once, after the last SELECT".into()
        }
        [_, "SELECT", _] => "a query within a query stands in parentheses of its own".into(),
        [_, here, _] if is_reserved(here) => {
            format!("a column or table of that name stands in quotes: \"{}\"", here.to_ascii_lowercase())
        }
        _ if wanted == "the end"
            && matches!(kind, Some(Kind::Word | Kind::Quoted(_) | Kind::Text | Kind::Number)) =>
        {
            "is a comma or an operator missing before it?".into()
        }
        _ => return None,
    })
}
