//! A table's schema.

use std::borrow::Cow;

use model::{ColumnSchema, Extent, Identity, Kind, Ops, TableSchema};

use crate::proto::{self, table};

fn kind(kind: Kind) -> proto::Kind {
    match kind {
        Kind::Int => proto::Kind::Int,
        Kind::Real => proto::Kind::Real,
        Kind::Text => proto::Kind::Text,
        Kind::Blob => proto::Kind::Blob,
    }
}

/// A schema as a message.
pub(crate) fn table(schema: &TableSchema) -> proto::Table {
    let column = |c: &ColumnSchema| proto::ColumnFacts {
        name: c.name.to_string(),
        kind: kind(c.kind).into(),
        doc: c.doc.to_string(),
        hidden: c.hidden,
        required: c.required,
        push_eq: c.push.has(Ops::EQ),
        push_like: c.push.has(Ops::LIKE),
        push_range: c.push.has(Ops::RANGE),
    };
    let texts = |list: &[Cow<'_, str>]| list.iter().map(ToString::to_string).collect();
    proto::Table {
        name: schema.name.to_string(),
        about: schema.about.to_string(),
        columns: schema.columns.iter().map(column).collect(),
        identity: texts(&schema.identity.columns),
        identity_unique: schema.identity.unique,
        extent: Some(match schema.extent {
            Extent::Whole { rows } => table::Extent::Whole(proto::Whole { rows }),
            Extent::PerKey { keys, rows } => table::Extent::PerKey(proto::PerKey { keys, rows }),
        }),
        examples: texts(&schema.examples),
    }
}

/// The schema of a message. The error says why it is none.
pub(crate) fn schema(table: proto::Table) -> Result<TableSchema, String> {
    let name = table.name;
    let is_word = |word: &str| {
        !word.is_empty() && word.len() <= 128 && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    if !is_word(&name) {
        return Err(format!("a table is named {name:?}"));
    }
    let mut columns: Vec<ColumnSchema> = Vec::with_capacity(table.columns.len());
    for c in table.columns {
        let twice = columns.iter().any(|known| known.name.eq_ignore_ascii_case(&c.name));
        if !is_word(&c.name) || twice {
            return Err(format!("a column of {name} is named {:?}", c.name));
        }
        let push = [(c.push_eq, Ops::EQ), (c.push_like, Ops::LIKE), (c.push_range, Ops::RANGE)];
        columns.push(ColumnSchema {
            kind: match c.kind() {
                proto::Kind::Int => Kind::Int,
                proto::Kind::Real => Kind::Real,
                proto::Kind::Text => Kind::Text,
                proto::Kind::Blob => Kind::Blob,
                proto::Kind::Unspecified => return Err(format!("{name}.{} has no type", c.name)),
            },
            name: c.name.into(),
            doc: c.doc.into(),
            hidden: c.hidden,
            required: c.required,
            push: push.iter().filter(|(has, _)| *has).fold(Ops::NONE, |all, (_, op)| all.and(*op)),
        });
    }
    if columns.is_empty() {
        return Err(format!("{name} has no columns"));
    }
    if let Some(other) = table.identity.iter().find(|i| !columns.iter().any(|c| c.name == **i)) {
        return Err(format!("the identity of {name} names {other:?}, which is no column"));
    }
    Ok(TableSchema {
        name: name.into(),
        about: table.about.into(),
        columns,
        identity: Identity {
            columns: table.identity.into_iter().map(Cow::Owned).collect(),
            unique: table.identity_unique,
        },
        extent: match table.extent {
            Some(table::Extent::PerKey(of)) => Extent::PerKey { keys: of.keys, rows: of.rows },
            Some(table::Extent::Whole(of)) => Extent::Whole { rows: of.rows },
            // Nothing is known of it: then it is not read at once.
            None => Extent::PerKey { keys: 1000, rows: 10 },
        },
        examples: table.examples.into_iter().map(Cow::Owned).collect(),
    })
}
