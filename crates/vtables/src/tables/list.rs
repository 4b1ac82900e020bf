//! `daemoneye_tables`: the catalogue.

use std::sync::Arc;

use collector::{Row, Rows, Table, int, key, text, unique};
use model::{Extent, Query, ScanError, TableSchema};

use super::Engine;
use crate::scope::lock;

pub(crate) static TABLE: Table<Listed, Engine> = Table {
    name: "daemoneye_tables",
    about: "The tables that can be asked.",
    identity: unique(&["name"]),
    extent: Extent::Whole { rows: 60 },
    columns: &[
        key(text("name", "Table name.", |t: &Listed| (&*t.schema.name).into())),
        text("about", "What it holds, in one sentence.", |t| (&*t.schema.about).into()),
        text("route", "Where its rows come from: `here`, `collector` …", |t| t.route.into()),
        int("columns", "Number of its columns, hidden ones included.", |t| t.schema.columns.len().into()),
        text("required", "Columns of which WHERE must give one, with commas between them.", |t| {
            let required: Vec<&str> = t.schema.required().collect();
            (!required.is_empty()).then(|| required.join(",")).into()
        }),
        text("example", "A query that shows its use.", |t| t.schema.examples.first().map(|e| &**e).into()),
    ],
    scan,
    examples: &["SELECT name, about FROM daemoneye_tables WHERE about LIKE '%socket%'"],
};

pub(crate) struct Listed {
    schema: Arc<TableSchema>,
    route: &'static str,
}

impl Row for Listed {}

fn scan(engine: &Engine, query: &Query) -> Result<Rows<Listed>, ScanError> {
    let names = query.texts("name").map(|names| names.into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>());
    let tables = lock(engine).tables.clone();
    let wanted = move |schema: &TableSchema| {
        names.as_ref().is_none_or(|n| n.iter().any(|name| name == schema.name.as_bytes()))
    };
    let listed = tables.into_iter().filter(move |(schema, _)| wanted(schema));
    Ok(Box::new(listed.map(|(schema, route)| Ok(Listed { schema, route }))))
}
