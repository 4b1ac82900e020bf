//! The tables that a statement may name.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::TableSchema;

use crate::guard::nearest;

/// The tables that a statement may name, found without regard to case, as in SQL.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    tables: BTreeMap<String, Arc<TableSchema>>,
}

impl Catalog {
    /// The schema of a table.
    pub fn get(&self, name: &str) -> Option<&Arc<TableSchema>> {
        self.tables.get(&name.to_ascii_lowercase())
    }

    /// Every table, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<TableSchema>> {
        self.tables.values()
    }

    /// The table whose name resembles `name` most, if one does.
    pub fn nearest(&self, name: &str) -> Option<&str> {
        nearest(name, self.iter().map(|t| &*t.name))
    }

    /// The column of the given tables whose name resembles `column` most, if one does.
    pub fn nearest_column<'t>(
        &self,
        tables: impl IntoIterator<Item = &'t str>,
        column: &str,
    ) -> Option<&str> {
        let schemas = tables.into_iter().filter_map(|t| self.get(t));
        nearest(column, schemas.flat_map(|t| t.columns.iter().map(|c| &*c.name)))
    }
}

/// A later table of the same name takes the place of an earlier one.
impl FromIterator<Arc<TableSchema>> for Catalog {
    fn from_iter<I: IntoIterator<Item = Arc<TableSchema>>>(tables: I) -> Catalog {
        Catalog { tables: tables.into_iter().map(|t| (t.name.to_ascii_lowercase(), t)).collect() }
    }
}
