//! What stands in FROM.

use sqlparser::ast::{
    Ident, Join, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, TableAlias, TableFactor,
    TableWithJoins,
};

use super::{Walk, Walked, located};
use crate::error::{ErrorKind, SqlError};
use crate::guard::{nearest, show};

/// SQLite's own tables that may be read, with their columns.
const TABLE_FUNCTIONS: [(&str, &[&str]); 4] = [
    ("json_each", &["key", "value", "type", "atom", "id", "parent", "fullkey", "path", "json", "root"]),
    ("json_tree", &["key", "value", "type", "atom", "id", "parent", "fullkey", "path", "json", "root"]),
    ("pragma_table_info", &["cid", "name", "type", "notnull", "dflt_value", "pk", "arg", "schema"]),
    (
        "pragma_table_xinfo",
        &["cid", "name", "type", "notnull", "dflt_value", "pk", "hidden", "arg", "schema"],
    ),
];

impl Walk<'_> {
    pub(super) fn joined(&mut self, tables: &TableWithJoins) -> Walked {
        let TableWithJoins { relation, joins } = tables;
        self.table(relation)?;
        for Join { relation, global, join_operator } in joins {
            self.absent(!global, "GLOBAL JOIN", "leave GLOBAL out")?;
            self.table(relation)?;
            match join_operator {
                JoinOperator::Join(constraint) => self.constraint(constraint)?,
                _ => return Err(self.unlisted("this form of JOIN", "write JOIN, LEFT JOIN or CROSS JOIN")),
            }
        }
        Ok(())
    }

    fn constraint(&mut self, constraint: &JoinConstraint) -> Walked {
        match constraint {
            JoinConstraint::On(condition) => self.test(condition)?,
            JoinConstraint::Using(columns) => {
                let columns = columns.iter().filter_map(|c| c.0.last().and_then(ObjectNamePart::as_ident));
                self.tested.extend(columns.map(|c| c.value.to_ascii_lowercase()));
            }
            JoinConstraint::Natural => self.natural = true,
            JoinConstraint::None => {}
        }
        Ok(())
    }

    fn table(&mut self, table: &TableFactor) -> Walked {
        match table {
            TableFactor::Table {
                name,
                alias,
                args,
                with_hints,
                version,
                with_ordinality,
                partitions,
                json_path,
                sample,
                index_hints,
            } => {
                let rest = with_hints.is_empty()
                    && version.is_none()
                    && !with_ordinality
                    && partitions.is_empty()
                    && json_path.is_none()
                    && sample.is_none()
                    && index_hints.is_empty();
                self.absent(rest, "an option of a table", "write the table's name alone")?;
                let args = match args {
                    Some(args) => {
                        self.absent(args.settings.is_none(), "SETTINGS", "leave it out")?;
                        args.args.iter().try_for_each(|arg| self.arg(arg))?;
                        Some(args.args.len())
                    }
                    None => None,
                };
                self.table_name(name, args)?;
                self.table_alias(alias)
            }
            TableFactor::Derived { lateral, subquery, alias, sample } => {
                self.absent(!lateral && sample.is_none(), "LATERAL", "leave it out")?;
                self.query(subquery)?;
                self.table_alias(alias)
            }
            TableFactor::NestedJoin { table_with_joins, alias } => {
                self.joined(table_with_joins)?;
                self.table_alias(alias)
            }
            _ => Err(self.unlisted("this form of a table", "write a table's name or a subquery")),
        }
    }

    fn table_alias(&mut self, alias: &Option<TableAlias>) -> Walked {
        let Some(TableAlias { explicit: _, name, columns, at }) = alias else { return Ok(()) };
        self.known(name);
        let plain = columns.is_empty() && at.is_none();
        self.absent(plain, "a list of columns after an alias", "name the columns in WITH t(a, b) AS (…)")
    }

    /// A name in FROM, with the number of its arguments.
    fn table_name(&mut self, name: &ObjectName, args: Option<usize>) -> Walked {
        let parts: Vec<&Ident> = name.0.iter().filter_map(ObjectNamePart::as_ident).collect();
        let (schema, table) = match &parts[..] {
            [table] if name.0.len() == 1 => (None, *table),
            [schema, table] if name.0.len() == 2 => (Some(*schema), *table),
            _ => {
                parts.iter().for_each(|part| drop(self.see(part)));
                return Err(self.unlisted("such a name", "write a table's name alone"));
            }
        };
        let at = self.see(table);
        if let Some(schema) = schema
            && !schema.value.eq_ignore_ascii_case("main")
        {
            let place = self.see(schema);
            let message = format!("no such schema: {}", show(&schema.value));
            let error = located(SqlError::new(ErrorKind::UnknownTable, message), place);
            return Err(error.help("every table is in `main`, which need not be written").into());
        }
        if schema.is_none() && self.scopes.refer(&table.value) {
            return match args {
                Some(_) => {
                    let message = format!("{} is no function: WITH defines it", show(&table.value));
                    Err(located(SqlError::new(ErrorKind::UnknownTable, message), at).into())
                }
                None => Ok(()),
            };
        }
        if let Some(schema) = self.source.catalog.get(&table.value) {
            self.scopes.read(&schema.name);
            let hidden = schema.columns.iter().filter(|c| c.hidden);
            self.tested.extend(hidden.take(args.unwrap_or(0)).map(|c| c.name.to_ascii_lowercase()));
            return Ok(());
        }
        let lower = table.value.to_ascii_lowercase();
        match TABLE_FUNCTIONS.iter().find(|(name, _)| *name == lower) {
            Some((_, columns)) => {
                self.names.extend(columns.iter().map(|c| (*c).to_owned()));
                Ok(())
            }
            None => Err(located(self.no_table(&table.value), at).into()),
        }
    }

    fn no_table(&self, name: &str) -> SqlError {
        let lower = name.to_ascii_lowercase();
        let own = ["sqlite_", "pragma_", "fts3", "fts5", "dbstat", "bytecode", "tables_used"];
        if own.iter().any(|own| lower.starts_with(own)) {
            return SqlError::new(ErrorKind::Refused, format!("{} is a table of SQLite's own", show(name)))
                .help("`.tables` tells what there is; in SQL: SELECT name FROM daemoneye_tables");
        }
        let error = SqlError::new(ErrorKind::UnknownTable, format!("no such table: {}", show(name)));
        let functions = TABLE_FUNCTIONS.iter().map(|(name, _)| *name);
        let ctes = self.scopes.in_sight();
        let tables = self.source.catalog.iter().map(|t| &*t.name);
        match nearest(name, tables.chain(ctes).chain(functions)) {
            Some(meant) => error.help(format!("did you mean `{meant}`?")),
            None => error.help("`.tables` tells what there is; in SQL: SELECT name FROM daemoneye_tables"),
        }
    }
}
