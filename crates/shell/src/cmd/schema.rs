//! `schema`: tables as CREATE TABLE.

use std::fmt::Write as _;
use std::io::{self, Write};

use model::TableSchema;
use vtables::{Catalog, Limits};

use super::tables;
use crate::exit::Exit;
use crate::machine::Source;
use crate::say;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// A table, or a pattern such as proc or %_files; all tables without one
    name: Option<String>,
}

pub(crate) fn run(args: &Args, source: &Source) -> anyhow::Result<Exit> {
    let engine = source.engine(Limits::default())?;
    let name = args.name.as_deref().unwrap_or_default();
    let Some(text) = text(engine.catalog(), name) else {
        say::error(&tables::unknown(engine.catalog(), name));
        return Ok(Exit::Usage);
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(Exit::Done)
}

/// The table of this name, or else all whose name matches, as CREATE TABLE.
pub(crate) fn text(catalog: &Catalog, name: &str) -> Option<String> {
    let name = name.trim().trim_end_matches(';');
    let tables = match catalog.get(name) {
        Some(table) => vec![&**table],
        None => tables::matching(catalog, name),
    };
    (!tables.is_empty()).then(|| tables.iter().map(|table| create(table)).collect::<Vec<_>>().join("\n"))
}

fn create(table: &TableSchema) -> String {
    let mut text = format!("-- {}\nCREATE TABLE {} (\n", table.about, table.name);
    let last = table.columns.len().saturating_sub(1);
    for (place, column) in table.columns.iter().enumerate() {
        let comma = if place == last { "" } else { "," };
        let marks = tables::marks(column);
        let marks = if marks.is_empty() { marks } else { format!("({marks}) ") };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "    {} {}{comma} -- {marks}{}", column.name, column.kind.sql(), column.doc);
    }
    text.push_str(");\n");
    text
}
