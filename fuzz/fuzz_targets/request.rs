//! Requests from any bytes: a query of a table, or a named error.
#![no_main]

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use model::{ColumnSchema, Extent, Identity, Kind, Ops, TableSchema};

static SCHEMA: LazyLock<Arc<TableSchema>> = LazyLock::new(|| {
    let column = |(name, kind)| ColumnSchema {
        name: Cow::Borrowed(name),
        kind,
        doc: Cow::Borrowed(""),
        hidden: false,
        required: false,
        push: Ops::EQ.and(Ops::LIKE).and(Ops::RANGE),
    };
    let kinds = [("i", Kind::Int), ("r", Kind::Real), ("t", Kind::Text), ("b", Kind::Blob)];
    Arc::new(TableSchema {
        name: Cow::Borrowed("t"),
        about: Cow::Borrowed(""),
        columns: kinds.into_iter().map(column).collect(),
        identity: Identity { columns: vec![Cow::Borrowed("i")], unique: true },
        extent: Extent::Whole { rows: 1 },
        examples: Vec::new(),
    })
});

fuzz_target!(|payload: &[u8]| {
    // An error is an answer; what fails is a panic, and what takes too long or too much.
    let _ = ipc::testing::query(payload, &SCHEMA);
});
