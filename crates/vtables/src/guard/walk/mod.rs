//! The walk over the whole tree: only what is named here passes.

mod expr;
mod query;
mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use sqlparser::ast::{Ident, ObjectName, ObjectNamePart, Query};

use super::lex::Lexeme;
use super::scope::Scopes;
use super::{Checked, nearest, place, show};
use crate::Catalog;
use crate::error::{ErrorKind, SqlError, Warning};

/// Warnings of one statement; a person reads no more.
const WARNINGS_MAX: usize = 20;

/// What a statement is checked against.
#[derive(Clone, Copy)]
pub(super) struct Source<'c> {
    pub(super) lexemes: &'c [Lexeme],
    pub(super) catalog: &'c Catalog,
    pub(super) functions: &'c [&'c str],
}

/// Walks a query. `calls` are functions behind operators, with their lexemes.
pub(super) fn walk(query: &Query, calls: &[(&str, usize)], source: Source<'_>) -> Result<Checked, SqlError> {
    let mut walk = Walk {
        source,
        scopes: Scopes::new(),
        tested: BTreeSet::new(),
        testing: false,
        natural: false,
        names: BTreeSet::new(),
        quoted: BTreeMap::new(),
        depth: 0,
        levels: Vec::new(),
        here: None,
    };
    let walked = calls
        .iter()
        .try_for_each(|(function, at)| walk.called(function, Some(place(source.lexemes, *at))))
        .and_then(|()| walk.query(query));
    match walked {
        Ok(()) => Ok(walk.finish()),
        Err(error) => Err(*error),
    }
}

struct Walk<'c> {
    source: Source<'c>,
    scopes: Scopes,
    tested: BTreeSet<String>,
    /// The expression at hand decides which rows are wanted.
    testing: bool,
    /// A NATURAL JOIN was seen.
    natural: bool,
    /// Names that an expression may mean besides the columns of the catalog's tables: aliases, and columns of
    /// common table expressions and table functions. In lower case.
    names: BTreeSet<String>,
    /// Words in double quotes where a column may stand, by place.
    quoted: BTreeMap<usize, (String, Range<usize>)>,
    /// Queries around the one at hand, itself included.
    depth: usize,
    /// Where the first of each depth begins.
    levels: Vec<Range<usize>>,
    /// The last name or value seen, for errors about nodes that tell no place.
    here: Option<Range<usize>>,
}

/// Boxed, since an error in each frame of a deep walk would take most of the stack.
type Walked = Result<(), Box<SqlError>>;

impl Walk<'_> {
    fn finish(mut self) -> Checked {
        let warnings = self.quoted_words();
        let tables = self.scopes.uses();
        if self.natural {
            let schemas = tables.iter().filter_map(|t| self.source.catalog.get(&t.name));
            self.tested.extend(schemas.flat_map(|s| s.columns.iter().map(|c| c.name.to_ascii_lowercase())));
        }
        Checked {
            tables,
            tested: self.tested.into_iter().collect(),
            warnings,
            numbered: false,
            levels: self.levels,
            params: Vec::new(),
        }
    }

    /// Warns of each double-quoted word that names nothing and resembles something: SQLite reads it as a text.
    fn quoted_words(&self) -> Vec<Warning> {
        let tables = self.scopes.read_tables().filter_map(|t| self.source.catalog.get(t));
        let mut names: BTreeSet<String> =
            tables.flat_map(|t| t.columns.iter().map(|c| c.name.to_ascii_lowercase())).collect();
        names.extend(["rowid", "oid", "_rowid_"].map(str::to_owned));
        names.extend(self.names.iter().cloned());
        let warn = |(word, at): &(String, Range<usize>)| {
            if names.contains(&word.to_ascii_lowercase()) {
                return None;
            }
            let meant = nearest(word, names.iter().map(|n| &**n))?;
            Some(Warning {
                message: format!("no column is called {}, so SQLite reads it as a text", show(word)),
                place: Some(at.clone()),
                help: Some(format!("did you mean `{meant}`? A text stands in ': '{word}'")),
            })
        };
        self.quoted.values().filter_map(warn).take(WARNINGS_MAX).collect()
    }

    fn known(&mut self, name: &Ident) {
        self.see(name);
        self.names.insert(name.value.to_ascii_lowercase());
    }

    fn see(&mut self, name: &Ident) -> Option<Range<usize>> {
        let at = self.place(name.span.start.column);
        if at.is_some() {
            self.here = at.clone();
        }
        at
    }

    fn see_last(&mut self, name: &ObjectName) {
        if let Some(part) = name.0.last().and_then(ObjectNamePart::as_ident) {
            self.see(part);
        }
    }

    /// The bytes of a lexeme that sqlparser knows as a column; a few of its names tell none.
    fn place(&self, column: u64) -> Option<Range<usize>> {
        let at = usize::try_from(column).ok()?.checked_sub(1)?;
        Some(self.source.lexemes.get(at)?.at.clone())
    }

    /// Refuses what the walk does not know, unless it is absent.
    fn absent(&self, is_absent: bool, what: &str, instead: &str) -> Walked {
        if is_absent { Ok(()) } else { Err(self.unlisted(what, instead)) }
    }

    fn unlisted(&self, what: &str, instead: &str) -> Box<SqlError> {
        let error = SqlError::new(ErrorKind::Refused, format!("{what} is not supported")).help(instead);
        Box::new(located(error, self.here.clone()))
    }
}

fn located(error: SqlError, at: Option<Range<usize>>) -> SqlError {
    match at {
        Some(at) => error.at(at),
        None => error,
    }
}
