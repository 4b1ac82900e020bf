//! Tables about the engine itself: what can be asked, and by what.

mod columns;
mod info;
mod list;

use std::sync::{Arc, Mutex};

use collector::AnyTable;
use model::TableSchema;

use crate::{Here, Route};

/// What the engine knows of itself.
#[derive(Default)]
pub(crate) struct Info {
    /// Each table with the name of the route that serves it.
    pub tables: Vec<(Arc<TableSchema>, &'static str)>,
}

pub(crate) type Engine = Arc<Mutex<Info>>;

static TABLES: &[&(dyn AnyTable<Engine> + Sync)] = &[&columns::TABLE, &info::TABLE, &list::TABLE];

/// Whether a table is one of them.
pub(crate) fn is_own(table: &str) -> bool {
    TABLES.iter().any(|own| own.name() == table)
}

/// The route that serves them.
pub(crate) fn route(engine: Engine) -> Arc<dyn Route> {
    Arc::new(Here::new(TABLES.iter().map(|t| *t as &dyn AnyTable<Engine>), engine))
}
