//! `daemoneye_columns`: the columns of every table.

use std::sync::Arc;

use collector::{Row, Rows, Table, int, key, text, unique};
use model::{ColumnSchema, Extent, Ops, Query, ScanError, TableSchema};

use super::Engine;
use crate::scope::lock;

pub(crate) static TABLE: Table<Described, Engine> = Table {
    name: "daemoneye_columns",
    about: "The columns of every table, with their types and meanings.",
    identity: unique(&["table_name", "position"]),
    extent: Extent::Whole { rows: 800 },
    columns: &[
        key(text("table_name", "Table that the column belongs to.", |c: &Described| {
            (&*c.schema.name).into()
        })),
        int("position", "Place in the table, from 0.", |c| c.position.into()),
        text("name", "Column name.", |c| (&*c.column().name).into()),
        text("type", "`INTEGER`, `DOUBLE`, `TEXT` or `BLOB`.", |c| c.column().kind.sql().into()),
        text("about", "What it means, with units.", |c| (&*c.column().doc).into()),
        int("hidden", "1 when `SELECT *` leaves it out.", |c| c.column().hidden.into()),
        int("required", "1 when WHERE must give it, or another required column of the table.", |c| {
            c.column().required.into()
        }),
        int("key", "1 when `=` and `IN` make the scan shorter.", |c| c.column().push.has(Ops::EQ).into()),
    ],
    scan,
    examples: &["SELECT name, about FROM daemoneye_columns WHERE table_name = 'processes'"],
};

pub(crate) struct Described {
    schema: Arc<TableSchema>,
    position: usize,
}

impl Row for Described {}

impl Described {
    fn column(&self) -> &ColumnSchema {
        &self.schema.columns[self.position]
    }
}

fn scan(engine: &Engine, query: &Query) -> Result<Rows<Described>, ScanError> {
    let names = query.texts("table_name").map(|n| n.into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>());
    let tables = lock(engine).tables.clone();
    let wanted = tables
        .into_iter()
        .map(|(schema, _)| schema)
        .filter(move |s| names.as_ref().is_none_or(|n| n.iter().any(|name| name == s.name.as_bytes())));
    let columns = wanted.flat_map(|schema| {
        (0..schema.columns.len()).map(move |position| Ok(Described { schema: schema.clone(), position }))
    });
    Ok(Box::new(columns))
}
