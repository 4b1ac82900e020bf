//! The route `sample`: literal rows, as a rule's own tests give them.

use std::collections::HashMap;
use std::sync::Arc;

use collector::{Scan, Snapshot};
use model::{Kind, Query, ScanError, TableSchema, Value};

use crate::{Catalog, Route};

/// Why literal rows are not rows of a table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SampleError {
    /// No such table; the nearest name, if any is near.
    #[error("there is no table `{name}`{}", near.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    UnknownTable {
        /// The name given.
        name: String,
        /// A name that exists.
        near: Option<String>,
    },
    /// No such column; the nearest name, if any is near.
    #[error("the table `{table}` has no column `{name}`{}", near.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    UnknownColumn {
        /// The table.
        table: String,
        /// The name given.
        name: String,
        /// A name that exists.
        near: Option<String>,
    },
    /// A value of another type than the column has.
    #[error("`{table}.{column}` is {}, and the value given is not", kind.sql())]
    WrongType {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// The column's type.
        kind: Kind,
    },
}

/// Literal rows for some tables of a catalogue. Tables that were not given are empty; columns that were not
/// given are NULL.
pub struct Sample {
    catalog: Arc<Catalog>,
    tables: HashMap<String, Arc<Vec<Vec<Value<'static>>>>>,
}

impl Sample {
    /// An empty sample: every table of the catalogue without rows.
    pub fn new(catalog: Arc<Catalog>) -> Sample {
        Sample { catalog, tables: HashMap::new() }
    }

    /// Adds a row to a table. A whole number is taken for a DOUBLE column, nothing else is converted.
    pub fn add(&mut self, table: &str, row: Vec<(String, Value<'static>)>) -> Result<(), SampleError> {
        let schema = self.catalog.get(table).ok_or_else(|| SampleError::UnknownTable {
            name: table.to_owned(),
            near: self.catalog.nearest(table).map(str::to_owned),
        })?;
        let mut values = vec![Value::Null; schema.columns.len()];
        for (name, value) in row {
            let column = schema.column(&name).ok_or_else(|| SampleError::UnknownColumn {
                table: schema.name.to_string(),
                near: self.catalog.nearest_column([&*schema.name], &name).map(str::to_owned),
                name,
            })?;
            let kind = schema.columns[column].kind;
            values[column] = match (kind, value) {
                (_, Value::Null) => Value::Null,
                (Kind::Int, Value::Int(n)) => Value::Int(n),
                (Kind::Real, Value::Real(x)) => Value::Real(x),
                (Kind::Real, Value::Int(n)) => Value::Real(n as f64),
                (Kind::Text, Value::Text(text)) => Value::Text(text),
                (Kind::Blob, Value::Blob(bytes) | Value::Text(bytes)) => Value::Blob(bytes),
                _ => {
                    return Err(SampleError::WrongType {
                        table: schema.name.to_string(),
                        column: schema.columns[column].name.to_string(),
                        kind,
                    });
                }
            };
        }
        let rows = self.tables.entry(schema.name.to_string()).or_default();
        Arc::make_mut(rows).push(values);
        Ok(())
    }
}

impl Route for Sample {
    fn name(&self) -> &'static str {
        "sample"
    }

    fn tables(&self) -> Vec<Arc<TableSchema>> {
        self.catalog.iter().cloned().collect()
    }

    fn open(&self, table: &str, _: &Query) -> Result<Box<dyn Scan>, ScanError> {
        let rows = self.tables.get(table).cloned().unwrap_or_default();
        Ok(Box::new(Literal { rows, next: 0 }))
    }

    fn keeps_identity(&self) -> bool {
        false
    }
}

struct Literal {
    rows: Arc<Vec<Vec<Value<'static>>>>,
    next: usize,
}

fn borrowed<'r>(value: Option<&'r Value<'static>>) -> Value<'r> {
    match value {
        None | Some(Value::Null) => Value::Null,
        Some(Value::Int(n)) => Value::Int(*n),
        Some(Value::Real(x)) => Value::Real(*x),
        Some(Value::Text(bytes)) => Value::Text(bytes.as_ref().into()),
        Some(Value::Blob(bytes)) => Value::Blob(bytes.as_ref().into()),
    }
}

impl Scan for Literal {
    fn advance(&mut self) -> Result<bool, ScanError> {
        self.next += 1;
        Ok(self.next <= self.rows.len())
    }

    fn value(&self, column: usize) -> Value<'_> {
        let row = self.next.checked_sub(1).and_then(|row| self.rows.get(row));
        borrowed(row.and_then(|row| row.get(column)))
    }

    fn keep(self: Box<Self>, _: &Query) -> Result<Arc<dyn Snapshot>, ScanError> {
        Ok(Arc::new(LiteralRows(self.rows)))
    }
}

struct LiteralRows(Arc<Vec<Vec<Value<'static>>>>);

impl Snapshot for LiteralRows {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn value(&self, row: usize, column: usize) -> Value<'_> {
        borrowed(self.0.get(row).and_then(|row| row.get(column)))
    }

    fn bytes(&self) -> usize {
        0
    }
}
