//! What a table is made of, as data: the same for the bridge, the help text, the docs and the wire.

use std::borrow::Cow;

/// The declared type of a column, which in SQLite is its affinity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `INTEGER`.
    Int,
    /// `DOUBLE`.
    Real,
    /// `TEXT`.
    Text,
    /// `BLOB`.
    Blob,
}

impl Kind {
    /// The type's name in SQL.
    pub const fn sql(self) -> &'static str {
        match self {
            Kind::Int => "INTEGER",
            Kind::Real => "DOUBLE",
            Kind::Text => "TEXT",
            Kind::Blob => "BLOB",
        }
    }
}

/// The comparisons on a column that a table can use to scan less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ops(u8);

impl Ops {
    /// No comparison helps.
    pub const NONE: Ops = Ops(0);
    /// `=` and `IN`.
    pub const EQ: Ops = Ops(1);
    /// `LIKE` and `GLOB`.
    pub const LIKE: Ops = Ops(2);
    /// `<`, `<=`, `>`, `>=` and `BETWEEN`.
    pub const RANGE: Ops = Ops(4);

    /// Both sets together.
    pub const fn and(self, other: Ops) -> Ops {
        Ops(self.0 | other.0)
    }

    /// Whether every operation of `other` is in this set.
    pub const fn has(self, other: Ops) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the set is empty.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// One column of a table.
#[derive(Clone, Debug)]
pub struct ColumnSchema {
    /// Its name; osquery's, wherever osquery has the column.
    pub name: Cow<'static, str>,
    /// Its declared type.
    pub kind: Kind,
    /// What it means, in one sentence, with units.
    pub doc: Cow<'static, str>,
    /// Left out of `SELECT *`.
    pub hidden: bool,
    /// WHERE must give it a value, unless it gives one to another required column of the table.
    pub required: bool,
    /// The comparisons that narrow a scan.
    pub push: Ops,
}

/// How much a table holds, which decides what it costs and how a statement keeps its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The whole table is cheap to read at once; a statement that needs it twice reads it once.
    Whole {
        /// Rows on a usual machine.
        rows: u32,
    },
    /// Rows belong to a key and are read key by key; the whole is large, or endless.
    PerKey {
        /// Keys on a usual machine.
        keys: u32,
        /// Rows of one key.
        rows: u32,
    },
}

/// The columns that tell one row from another.
///
/// SQLite merges the scans of an OR by row number, so equal rows must get equal numbers in every scan.
/// Every column that narrows a scan must be among them (a test holds this).
#[derive(Clone, Debug)]
pub struct Identity {
    /// Names of columns.
    pub columns: Vec<Cow<'static, str>>,
    /// No two rows of one scan are equal in these columns. Otherwise their order among equals counts too.
    pub unique: bool,
}

/// A table: its name, its columns, and what a planner should know.
#[derive(Clone, Debug)]
pub struct TableSchema {
    /// Its name; osquery's, wherever osquery has the table.
    pub name: Cow<'static, str>,
    /// What it holds, in one sentence.
    pub about: Cow<'static, str>,
    /// In the order of `SELECT *`, which is a contract.
    pub columns: Vec<ColumnSchema>,
    /// What tells rows apart.
    pub identity: Identity,
    /// How much it holds.
    pub extent: Extent,
    /// Queries that show its use; tests run them.
    pub examples: Vec<Cow<'static, str>>,
}

impl TableSchema {
    /// The place of a column, by its name without regard to case (as in SQL).
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name.eq_ignore_ascii_case(name))
    }

    /// Names of the columns of which WHERE must give one.
    pub fn required(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().filter(|c| c.required).map(|c| &*c.name)
    }
}
