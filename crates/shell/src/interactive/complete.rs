//! What can stand at the cursor: tables after FROM, columns of the statement's tables, functions, keywords,
//! dot commands and their arguments.

use std::ops::Range;

use clap::ValueEnum;
use model::TableSchema;
use vtables::Catalog;

use super::words;
use crate::dot::{self, Argument};
use crate::lex::{self, Kind, Token};
use crate::render::Format;

/// A word that can stand at the cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// What it is, as the list shows it.
    pub(super) shown: String,
    /// What is put in.
    pub(super) text: String,
}

impl Word {
    fn plain(text: impl Into<String>) -> Word {
        let text = text.into();
        Word { shown: text.clone(), text }
    }
}

/// What is wanted at the cursor.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A file name.
    File,
    /// One of these in place of what stands from `start` to the cursor.
    Words { start: usize, words: Vec<Word> },
}

/// What is wanted at the cursor of a text that may hold earlier lines of the statement.
pub(super) fn wanted(text: &str, cursor: usize, catalog: &Catalog) -> Wanted {
    let before = &text[..cursor];
    let start = before.rfind(|c| !lex::is_name(c)).map_or(0, |at| at + next_char(before, at));
    if !text.starts_with('.') {
        return Wanted::Words { start, words: sql(text, start, cursor, catalog) };
    }
    let Some(space) = before.find(char::is_whitespace) else {
        let matching = dot::COMMANDS.iter().filter(|c| c.name.starts_with(before));
        return Wanted::Words { start: 0, words: matching.map(|c| Word::plain(c.name)).collect() };
    };
    let command = dot::COMMANDS.iter().find(|c| c.name == &before[..space]);
    let prefix = &before[start..];
    let some = |words: Vec<&str>| {
        let words = words.into_iter().filter(|word| starts(word, prefix)).map(Word::plain);
        Wanted::Words { start, words: words.collect() }
    };
    match command.map(|c| c.argument) {
        Some(Argument::File) => Wanted::File,
        Some(Argument::Command) => {
            some(dot::COMMANDS.iter().map(|c| c.name.trim_start_matches('.')).collect())
        }
        Some(Argument::Table) => some(catalog.iter().map(|table| &*table.name).collect()),
        Some(Argument::Mode) => some(Format::value_variants().iter().map(|format| format.name()).collect()),
        Some(Argument::OnOff) => some(vec!["on", "off"]),
        Some(Argument::Sql) => inner_sql(text, space, start, cursor, catalog),
        Some(Argument::SecondsSql) => {
            let rest = &before[space..];
            let seconds = rest.len() - rest.trim_start().len();
            match rest[seconds..].find(char::is_whitespace) {
                Some(end) => inner_sql(text, space + seconds + end, start, cursor, catalog),
                None => some(vec![]),
            }
        }
        Some(Argument::None | Argument::Other) | None => some(vec![]),
    }
}

/// SQL that stands in a text from `from` on.
fn inner_sql(text: &str, from: usize, start: usize, cursor: usize, catalog: &Catalog) -> Wanted {
    let from = from.min(start);
    Wanted::Words { start, words: sql(&text[from..], start - from, cursor - from, catalog) }
}

fn next_char(text: &str, at: usize) -> usize {
    text[at..].chars().next().map_or(0, char::len_utf8)
}

fn starts(word: &str, prefix: &str) -> bool {
    word.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Words for the place from `start` to `cursor` of SQL text.
fn sql(text: &str, start: usize, cursor: usize, catalog: &Catalog) -> Vec<Word> {
    let all: Vec<Token> = lex::tokens(text).collect();
    let inside = |t: &&Token| {
        let quoted = matches!(t.kind, Kind::Text | Kind::Comment | Kind::QuotedName);
        quoted && t.place.start < cursor && (cursor < t.place.end || t.open)
    };
    if all.iter().any(|t| inside(&t)) {
        return Vec::new();
    }
    let statement = statement_at(text, &all, cursor);
    let before: Vec<&Token> = statement.iter().filter(|t| t.place.end <= start).collect();
    let prefix = &text[start..cursor];
    let tables = tables(text, &statement, catalog);
    let word = |token: Option<&&Token>| token.map(|t| &text[t.place.clone()]);
    if word(before.last()) == Some(".") {
        let owner = word(before.iter().rev().nth(1)).unwrap_or_default();
        let owned = tables.iter().filter(|t| t.alias.eq_ignore_ascii_case(owner));
        return columns(owned.map(|t| t.schema), prefix);
    }
    match place(text, &before) {
        Place::Table => {
            let names = catalog.iter().map(|table| &*table.name).filter(|name| starts(name, prefix));
            names.map(Word::plain).collect()
        }
        Place::AfterOperand => keywords(prefix),
        Place::Operand => {
            let mut words = columns(tables.iter().map(|t| t.schema), prefix);
            if tables.is_empty() && !prefix.is_empty() {
                words = every_column(catalog, prefix);
            }
            if !prefix.is_empty() || words.is_empty() {
                words.extend(functions(prefix));
                words.extend(keywords(prefix));
            }
            let mut seen = std::collections::HashSet::new();
            words.retain(|word| seen.insert(word.text.to_ascii_lowercase()));
            words
        }
    }
}

/// The tokens of the statement around the cursor, without space and comments.
fn statement_at(text: &str, all: &[Token], cursor: usize) -> Vec<Token> {
    let ends = |t: &&Token| t.kind == Kind::Symbol && &text[t.place.clone()] == ";";
    let from =
        all.iter().filter(ends).map(|t| t.place.end).take_while(|end| *end <= cursor).last().unwrap_or(0);
    let to =
        all.iter().filter(ends).map(|t| t.place.start).find(|start| *start >= cursor).unwrap_or(text.len());
    let within = |place: &Range<usize>| place.start >= from && place.end <= to;
    let counts = |kind| !matches!(kind, Kind::Space | Kind::Comment);
    all.iter().filter(|t| within(&t.place) && counts(t.kind)).cloned().collect()
}

/// What the grammar wants at a place, roughly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A table: after FROM, JOIN, and commas between tables.
    Table,
    /// A value is complete, so an operator or a clause follows.
    AfterOperand,
    /// A value, or anything.
    Operand,
}

fn place(text: &str, before: &[&Token]) -> Place {
    let word = |token: &Token| text[token.place.clone()].to_ascii_uppercase();
    let Some(last) = before.last() else { return Place::Operand };
    let in_from = || {
        let mut depth = 0;
        for token in before.iter().rev() {
            match word(token).as_str() {
                ")" => depth += 1,
                "(" if depth == 0 => return false,
                "(" => depth -= 1,
                _ if depth > 0 => {}
                "FROM" | "JOIN" => return true,
                "SELECT" | "WHERE" | "ON" | "BY" | "HAVING" | "USING" | "VALUES" => return false,
                _ => {}
            }
        }
        false
    };
    match (last.kind, word(last).as_str()) {
        (Kind::Word, "FROM" | "JOIN") => Place::Table,
        (Kind::Symbol, ",") if in_from() => Place::Table,
        (Kind::Word, "NULL" | "END") | (Kind::Symbol, ")") => Place::AfterOperand,
        (Kind::Word, upper) if words::keyword(upper).is_some() => Place::Operand,
        (Kind::Symbol, "*") if before.len() > 1 && word(before[before.len() - 2]) == "SELECT" => {
            Place::AfterOperand
        }
        (Kind::Symbol, _) => Place::Operand,
        _ => Place::AfterOperand,
    }
}

/// A table of the statement, by the name that it goes by there.
struct Used<'c> {
    alias: String,
    schema: &'c TableSchema,
}

/// The tables that a statement names where a table can stand, with their aliases.
fn tables<'c>(text: &str, statement: &[Token], catalog: &'c Catalog) -> Vec<Used<'c>> {
    let word = |place: usize| statement.get(place).map(|t| (t.kind, &text[t.place.clone()]));
    let mut tables: Vec<Used<'c>> = Vec::new();
    let mut seen: Vec<&Token> = Vec::new();
    for (at, token) in statement.iter().enumerate() {
        let schema = catalog.get(text[token.place.clone()].trim_matches(['"', '`', '[', ']']));
        if let Some(schema) = schema.filter(|_| place(text, &seen) == Place::Table) {
            let after = match word(at + 1) {
                Some((_, next)) if next.eq_ignore_ascii_case("AS") => word(at + 2),
                next => next,
            };
            let alias = match after {
                Some((Kind::Word, alias)) if words::keyword(alias).is_none() => alias.to_owned(),
                _ => schema.name.to_string(),
            };
            tables.push(Used { alias, schema });
        }
        seen.push(token);
    }
    tables
}

/// Columns that start so; those that WHERE must give a value come first and say it.
fn columns<'c>(tables: impl Iterator<Item = &'c TableSchema>, prefix: &str) -> Vec<Word> {
    let mut columns: Vec<_> = tables.flat_map(|t| &t.columns).filter(|c| starts(&c.name, prefix)).collect();
    columns.retain(|c| !c.hidden || !prefix.is_empty());
    columns.sort_by_key(|c| !c.required);
    let word = |c: &model::ColumnSchema| Word {
        shown: if c.required { format!("{} (required)", c.name) } else { c.name.to_string() },
        text: c.name.to_string(),
    };
    let mut words: Vec<Word> = columns.into_iter().map(word).collect();
    let mut seen = std::collections::HashSet::new();
    words.retain(|word| seen.insert(word.text.clone()));
    words
}

/// Columns of any table: the statement does not name its tables yet.
fn every_column(catalog: &Catalog, prefix: &str) -> Vec<Word> {
    let columns = catalog.iter().flat_map(|table| &table.columns);
    let shown = columns.filter(|c| !c.hidden && starts(&c.name, prefix));
    let mut names: Vec<&str> = shown.map(|c| &*c.name).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(Word::plain).collect()
}

fn functions(prefix: &str) -> impl Iterator<Item = Word> {
    let matching = vtables::functions().filter(move |f| starts(f.name, prefix));
    matching.map(|f| Word { shown: format!("{}({})", f.name, f.arguments), text: format!("{}(", f.name) })
}

/// Keywords in the case in which the word was started.
fn keywords(prefix: &str) -> Vec<Word> {
    let lower = prefix.starts_with(|c: char| c.is_ascii_lowercase());
    let case = |word: &&str| if lower { word.to_ascii_lowercase() } else { (*word).to_owned() };
    words::KEYWORDS.iter().filter(|word| starts(word, prefix)).map(|word| Word::plain(case(word))).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{ColumnSchema, Extent, Identity, Kind, Ops};

    use super::*;

    fn catalog() -> Catalog {
        let column = |name: &'static str, required| ColumnSchema {
            name: name.into(),
            kind: Kind::Text,
            doc: "".into(),
            hidden: false,
            required,
            push: Ops::EQ,
        };
        let table = |name: &'static str, columns: Vec<ColumnSchema>| {
            Arc::new(TableSchema {
                name: name.into(),
                about: "".into(),
                columns,
                identity: Identity { columns: vec![], unique: false },
                extent: Extent::Whole { rows: 1 },
                examples: vec![],
            })
        };
        Catalog::from_iter([
            table("hash", vec![column("directory", true), column("md5", false), column("path", true)]),
            table("processes", vec![column("name", false), column("path", false), column("pid", false)]),
            table("process_envs", vec![column("pid", true), column("key", false)]),
        ])
    }

    /// The list for a text with the cursor at `|`.
    fn offered(marked: &str) -> Vec<String> {
        let cursor = marked.find('|').unwrap();
        match wanted(&marked.replace('|', ""), cursor, &catalog()) {
            Wanted::Words { words, .. } => words.into_iter().map(|word| word.shown).collect(),
            Wanted::File => vec!["(file)".to_owned()],
        }
    }

    #[test]
    fn tables_stand_after_from_join_and_comma() {
        assert_eq!(offered("SELECT * FROM proc|"), ["process_envs", "processes"]);
        assert_eq!(offered("select * from processes p JOIN ha|"), ["hash"]);
        assert_eq!(offered("SELECT * FROM processes, ha|"), ["hash"]);
        assert_eq!(offered("SELECT (SELECT 1 FROM ha|"), ["hash"]);
    }

    #[test]
    fn columns_are_those_of_the_statements_tables() {
        assert_eq!(offered("SELECT pi| FROM processes"), ["pid", "pi()"]);
        assert_eq!(offered("SELECT 1 FROM hash WHERE |"), ["directory (required)", "path (required)", "md5"]);
        assert_eq!(
            offered("SELECT h.| FROM processes AS p JOIN hash h"),
            ["directory (required)", "path (required)", "md5"]
        );
        assert_eq!(offered("SELECT p.pa| FROM processes p JOIN hash h"), ["path"]);
        assert_eq!(offered("SELECT md| FROM processes; SELECT 1 FROM hash"), ["md5(value)"]);
        assert_eq!(offered("SELECT md|"), ["md5", "md5(value)"]);
    }

    #[test]
    fn keywords_follow_a_complete_value_in_the_case_they_were_started() {
        assert_eq!(offered("SELECT * FROM processes WH|"), ["WHEN", "WHERE"]);
        assert_eq!(offered("sel|"), ["select"]);
        assert_eq!(offered("SELECT * FR|"), ["FROM"]);
        assert_eq!(offered("SELECT pid FROM processes ORDER B|"), ["BETWEEN", "BY"]);
    }

    #[test]
    fn nothing_is_offered_within_quotes_and_comments() {
        assert_eq!(offered("SELECT 'pi|"), Vec::<String>::new());
        assert_eq!(offered("SELECT 'pi|' FROM processes"), Vec::<String>::new());
        assert_eq!(offered("SELECT 1 -- pi|"), Vec::<String>::new());
    }

    #[test]
    fn dot_commands_and_their_arguments_are_completed() {
        assert_eq!(offered(".ti|"), [".timeout", ".timer"]);
        assert_eq!(offered(".mode nd|"), ["ndjson"]);
        assert_eq!(offered(".timer |"), ["on", "off"]);
        assert_eq!(offered(".schema has|"), ["hash"]);
        assert_eq!(offered(".read /et|"), ["(file)"]);
        assert_eq!(offered(".explain SELECT * FROM ha|"), ["hash"]);
        assert_eq!(offered(".watch 2 SELECT pi| FROM processes"), ["pid", "pi()"]);
        assert_eq!(offered(".watch |"), Vec::<String>::new());
    }

    #[test]
    fn no_cursor_in_any_text_is_an_error() {
        for text in
            ["SELECT é FROM processes p WHERE p.pä", ".watch 2 é", ".é x", "'", ".", ";;", "日本 . , ("]
        {
            for (cursor, _) in text.char_indices().chain([(text.len(), ' ')]) {
                wanted(text, cursor, &catalog());
            }
        }
    }
}
