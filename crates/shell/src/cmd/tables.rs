//! `tables`: the catalogue, and one table in full.

use std::fmt::Write as _;
use std::io::{self, Write};

use model::{ColumnSchema, Ops, TableSchema};
use vtables::{Catalog, Engine, Limits};

use crate::exit::Exit;
use crate::machine::Source;
use crate::session::Session;
use crate::{paint, say};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// A table to tell about, or a pattern such as proc or %_files
    name: Option<String>,
}

pub(crate) fn run(args: &Args, source: &Source) -> anyhow::Result<Exit> {
    let session = Session::new(source.engine(Limits::default())?, false, true);
    let (catalog, colours) = (session.engine.catalog(), session.look().colours);
    let name = args.name.as_deref().unwrap_or_default();
    let text = match catalog.get(name) {
        Some(table) => full(table, colours),
        None => list(&session.engine, name, colours),
    };
    if text.is_empty() {
        say::error(&unknown(catalog, name));
        return Ok(Exit::Usage);
    }
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(Exit::Done)
}

/// Tables whose name matches a pattern: with `%` as in LIKE, else a part of the name; all for an empty one.
pub(crate) fn matching<'c>(catalog: &'c Catalog, pattern: &str) -> Vec<&'c TableSchema> {
    let pattern = pattern.trim().trim_end_matches(';').to_ascii_lowercase();
    let parts: Vec<&str> = pattern.split('%').collect();
    let matches = |table: &&TableSchema| {
        let name = table.name.to_ascii_lowercase();
        if parts.len() == 1 { name.contains(&pattern) } else { is_like(&name, &parts) }
    };
    catalog.iter().map(|table| &**table).filter(matches).collect()
}

/// Whether a name is the parts of a pattern with anything between them.
fn is_like(name: &str, parts: &[&str]) -> bool {
    match parts {
        [] => name.is_empty(),
        [last] => name == *last,
        [first, middle @ .., last] => {
            let Some(mut rest) = name.strip_prefix(first) else { return false };
            for part in middle {
                let Some(at) = rest.find(part) else { return false };
                rest = &rest[at + part.len()..];
            }
            rest.ends_with(last)
        }
    }
}

/// A line for each table that matches, with its route where there are several.
pub(crate) fn list(engine: &Engine, pattern: &str, colours: bool) -> String {
    let route = |table: &TableSchema| engine.route(&table.name).unwrap_or_default();
    let tables = matching(engine.catalog(), pattern);
    let widest = tables.iter().map(|table| table.name.len()).max().unwrap_or(0);
    let routes = engine.catalog().iter().map(|table| route(table));
    let (shortest, longest) = routes.fold((usize::MAX, 0), |(s, l), r| (s.min(r.len()), l.max(r.len())));
    let mut text = String::new();
    for table in tables {
        let name = paint::styled_if(colours, paint::HEADING, &table.name);
        let gap = " ".repeat(widest - table.name.len());
        let route = match shortest == longest {
            true => String::new(),
            false => format!("{:<longest$}  ", route(table)),
        };
        // Writing to a String cannot fail.
        let _ =
            writeln!(text, "{name}{gap}  {}{}", paint::styled_if(colours, paint::FAINT, &route), table.about);
    }
    text
}

/// What to say when no table matches.
pub(crate) fn unknown(catalog: &Catalog, pattern: &str) -> String {
    match catalog.nearest(pattern) {
        Some(near) => format!("there is no table `{pattern}`; did you mean `{near}`?"),
        None => format!("there is no table `{pattern}`"),
    }
}

/// All about a table.
fn full(table: &TableSchema, colours: bool) -> String {
    let heading = |text: &str| paint::styled_if(colours, paint::HEADING, text);
    let names = table.columns.iter().map(|c| c.name.len()).max().unwrap_or(0);
    let widest = table.columns.iter().map(|c| marks(c).len()).max().unwrap_or(0);
    let mut text = format!("{}: {}\n\n", heading(&table.name), table.about);
    for column in &table.columns {
        let (name, mark) = (&column.name, marks(column));
        let gap = " ".repeat(names - name.len());
        let mark = paint::styled_if(colours, paint::NUMBER, &format!("{mark:<widest$}"));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {}{gap}  {:<7}  {mark}  {}", heading(name), column.kind.sql(), column.doc);
    }
    if table.columns.iter().any(|c| c.required) {
        text.push_str("\nWHERE must give one of the required columns a value.\n");
    }
    if !table.examples.is_empty() {
        let _ = writeln!(text, "\n{}", heading("Examples"));
    }
    for example in &table.examples {
        let _ = writeln!(text, "  {example};");
    }
    text
}

/// What a column means for a scan.
pub(crate) fn marks(column: &ColumnSchema) -> String {
    let pushes = [(Ops::EQ, "key"), (Ops::LIKE, "pattern"), (Ops::RANGE, "range")];
    let pushed = pushes.iter().filter(|(op, _)| column.push.has(*op)).map(|(_, word)| *word);
    let required = column.required.then_some("required");
    let hidden = column.hidden.then_some("hidden");
    required.into_iter().chain(pushed).chain(hidden).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_like_or_a_part_of_the_name() {
        let like = |name: &str, pattern: &str| is_like(name, &pattern.split('%').collect::<Vec<_>>());
        assert!(like("process_open_files", "%files"));
        assert!(like("process_open_files", "proc%open%"));
        assert!(like("aa", "a%a") && !like("a", "a%a"));
        assert!(!like("process_open_files", "files%"));
    }
}
