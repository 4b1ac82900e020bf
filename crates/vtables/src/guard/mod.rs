//! The guard's first layer: one statement, a query, of known tables and allowed functions.
//!
//! The text is cut into SQLite's tokens (`lex`), these are turned into what sqlparser reads (`lower`,
//! `dialect`), and its tree is walked whole (`walk`). Columns are left to SQLite, which resolves scopes
//! rightly and prepares the same text afterwards under an authorizer.
//!
//! **Invariant:** the walk names the nodes that it lets pass. A node that it does not know is refused, so a
//! newer sqlparser cannot open a hole.

mod dialect;
mod fault;
mod lex;
mod lower;
mod scope;
mod walk;

#[cfg(test)]
mod tests;

use std::ops::Range;

use lex::{Kind, Lexeme};

pub use model::nearest;

use crate::Catalog;
use crate::error::{ErrorKind, SqlError, Warning};

/// How large a statement may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GuardLimits {
    /// Levels of parentheses, CASE and prefix operators within each other.
    pub(crate) nesting_max: usize,
    /// Bytes of the text.
    pub(crate) sql_bytes_max: usize,
}

impl Default for GuardLimits {
    fn default() -> GuardLimits {
        GuardLimits { nesting_max: 64, sql_bytes_max: 1 << 20 }
    }
}

/// A statement that passed, and what it uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    /// The tables of the catalog, in the order of their first mention.
    pub(crate) tables: Vec<TableUse>,
    /// Columns that are tested somewhere: in lower case, sorted. Those of WHERE, ON, HAVING and USING, the
    /// hidden ones that a table's arguments set, and with a NATURAL JOIN every column of every table.
    pub(crate) tested: Vec<String>,
    /// What is allowed and probably not meant.
    pub(crate) warnings: Vec<Warning>,
    /// SQLite may tell rows apart by their numbers: it does so where it merges scans of an OR or finds rows
    /// without a partner, and where the text says so.
    pub(crate) numbered: bool,
    /// Where the first query of each level of nesting begins, from the outermost in.
    pub(crate) levels: Vec<Range<usize>>,
    /// The parameters as written, each once and in the order of their first mention; each `?` is one more.
    pub(crate) params: Vec<String>,
}

/// A table that a statement reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableUse {
    /// Its name as in the catalog.
    pub(crate) name: String,
    /// How often the text refers to it, a common table expression counted at each of its references, and
    /// twice where it is recursive. A correlated subquery or an inner loop may still scan it more often.
    pub(crate) references: u32,
}

/// Checks a statement before SQLite sees it. `functions` are the names that may be called, in lower case.
pub(crate) fn check(
    sql: &str,
    catalog: &Catalog,
    functions: &[&str],
    limits: &GuardLimits,
) -> Result<Checked, SqlError> {
    if sql.len() > limits.sql_bytes_max {
        let message = format!("the statement has {} bytes, more than {}", sql.len(), limits.sql_bytes_max);
        return Err(SqlError::new(ErrorKind::Refused, message));
    }
    let lexemes = lex::lex(sql);
    let lexemes = fault::one_query(sql, &lexemes)?;
    let lowered = lower::lower(sql, lexemes, limits)?;
    let calls = lowered.calls.clone();
    let query = dialect::parse(lowered.tokens, limits.nesting_max)
        .map_err(|error| fault::explain(error, sql, lexemes, limits))?;
    let source = walk::Source { lexemes, catalog, functions };
    let mut checked = walk::walk(&query, &calls, source)?;
    checked.params = params(sql, lexemes);
    checked.numbered = numbered(sql, lexemes);
    Ok(checked)
}

/// Where a table's name in the statement stands as such, and not before the name of a column.
pub(crate) fn place_of_table(sql: &str, name: &str) -> Option<Range<usize>> {
    let lexemes = lex::lex(sql);
    let follows = |at: usize| lexemes.get(at + 1).is_some_and(|l| l.text(sql) == ".");
    let named = |l: &Lexeme| matches!(l.kind, Kind::Word | Kind::Quoted(_));
    let mut words =
        lexemes.iter().enumerate().filter(|(_, l)| named(l) && l.value(sql).eq_ignore_ascii_case(name));
    words.find(|(at, _)| !follows(*at)).map(|(_, l)| l.at.clone())
}

/// The token at a byte of the text, which is how SQLite gives the place of an error; between tokens the next
/// one, and the empty end behind the last.
pub(crate) fn place_of_word(sql: &str, offset: usize) -> Range<usize> {
    let lexemes = lex::lex(sql);
    let at = lexemes.iter().position(|l| l.at.end > offset).unwrap_or(lexemes.len());
    place(&lexemes, at)
}

/// The first word of the text that is `name`, without regard to case.
pub(crate) fn first_mention(sql: &str, name: &str) -> Option<Range<usize>> {
    let bare = |text: &str| text.trim_matches(['"', '`', '[', ']']).eq_ignore_ascii_case(name);
    lex::lex(sql).into_iter().find(|l| bare(l.text(sql))).map(|l| l.at)
}

/// Words without which no row number is asked for.
const NUMBERING: [&str; 6] = ["or", "right", "full", "rowid", "oid", "_rowid_"];

fn numbered(sql: &str, lexemes: &[Lexeme]) -> bool {
    let names = |l: &&Lexeme| matches!(l.kind, Kind::Word | Kind::Quoted(_));
    let numbers = |l: &Lexeme| NUMBERING.iter().any(|word| l.value(sql).eq_ignore_ascii_case(word));
    lexemes.iter().filter(names).any(numbers)
}

fn params(sql: &str, lexemes: &[Lexeme]) -> Vec<String> {
    let mut params: Vec<String> = Vec::new();
    for lexeme in lexemes.iter().filter(|l| l.kind == Kind::Parameter) {
        let text = lexeme.text(sql);
        if text == "?" || !params.iter().any(|p| p == text) {
            params.push(text.to_owned());
        }
    }
    params
}

/// The bytes of a lexeme; behind the last one, the empty end.
fn place(lexemes: &[Lexeme], at: usize) -> Range<usize> {
    match lexemes.get(at) {
        Some(lexeme) => lexeme.at.clone(),
        None => {
            let end = lexemes.last().map_or(0, |l| l.at.end);
            end..end
        }
    }
}

/// A piece of the text for a message: in backticks, on one line, not too long.
fn show(text: &str) -> String {
    const SHOWN_MAX: usize = 40;
    let mut shown: String =
        text.chars().take(SHOWN_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("`{shown}`")
}
