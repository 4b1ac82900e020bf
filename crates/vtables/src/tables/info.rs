//! `daemoneye_info`: one row about the program that answers.

use collector::{Row, Rows, Table, int, text, unique};
use model::{Extent, Query, ScanError};

use super::Engine;
use crate::scope::lock;

pub(crate) static TABLE: Table<About, Engine> = Table {
    name: "daemoneye_info",
    about: "The program that answers: one row.",
    identity: unique(&["pid"]),
    extent: Extent::Whole { rows: 1 },
    columns: &[
        int("pid", "Process that runs the query.", |_: &About| std::process::id().into()),
        text("version", "Version of DaemonEye.", |_| env!("CARGO_PKG_VERSION").into()),
        text("sqlite_version", "Version of SQLite.", |_| rusqlite::version().into()),
        text("platform", "Operating system: `linux`, `macos`, `windows`.", |_| std::env::consts::OS.into()),
        text("arch", "Processor architecture: `x86_64`, `aarch64` …", |_| std::env::consts::ARCH.into()),
        int("tables", "Number of tables that can be asked.", |a| a.tables.into()),
    ],
    scan,
    examples: &["SELECT version, sqlite_version FROM daemoneye_info"],
};

pub(crate) struct About {
    tables: usize,
}

impl Row for About {}

fn scan(engine: &Engine, _: &Query) -> Result<Rows<About>, ScanError> {
    let tables = lock(engine).tables.len();
    Ok(Box::new(std::iter::once(Ok(About { tables }))))
}
