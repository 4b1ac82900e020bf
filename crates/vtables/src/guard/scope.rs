//! Which common table expressions are seen where, and how often each table is referred to through them.

use std::collections::BTreeMap;

use super::TableUse;

/// Where references stand: in the statement itself, or in the body of a common table expression.
#[derive(Clone, Debug, Default)]
struct Body {
    /// References to other bodies.
    ctes: BTreeMap<usize, u32>,
    tables: BTreeMap<usize, u32>,
    /// It refers to itself.
    recursive: bool,
}

/// The names in sight, and the references counted so far.
#[derive(Debug)]
pub(super) struct Scopes {
    /// Names in sight, inner ones last, with their bodies.
    names: Vec<(String, usize)>,
    /// The first is the statement itself.
    bodies: Vec<Body>,
    /// The body that is walked now.
    current: usize,
    tables: Vec<String>,
}

impl Scopes {
    pub(super) fn new() -> Scopes {
        Scopes { names: Vec::new(), bodies: vec![Body::default()], current: 0, tables: Vec::new() }
    }

    /// Brings the names of one WITH into sight; the bodies of that WITH see all of them, with or without
    /// RECURSIVE, and so does SQLite. Gives what [`Scopes::leave`] wants.
    pub(super) fn enter(&mut self, names: impl Iterator<Item = String>) -> usize {
        let outer = self.names.len();
        for name in names {
            self.names.push((name.to_ascii_lowercase(), self.bodies.len()));
            self.bodies.push(Body::default());
        }
        outer
    }

    /// Takes the names of a WITH out of sight.
    pub(super) fn leave(&mut self, outer: usize) {
        self.names.truncate(outer);
    }

    /// The n-th body of the WITH that [`Scopes::enter`] gave `outer` for is walked from now on; gives the
    /// body walked before.
    pub(super) fn walk_body(&mut self, outer: usize, n: usize) -> usize {
        let body = self.names.get(outer + n).map_or(self.current, |(_, body)| *body);
        std::mem::replace(&mut self.current, body)
    }

    /// Walks on in a body that [`Scopes::walk_body`] left.
    pub(super) fn walk_on(&mut self, body: usize) {
        self.current = body;
    }

    /// The names in sight.
    pub(super) fn in_sight(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|(name, _)| &**name)
    }

    /// Counts a reference, when the name is that of a common table expression in sight.
    pub(super) fn refer(&mut self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let Some((_, body)) = self.names.iter().rev().find(|(n, _)| *n == name) else { return false };
        let current = &mut self.bodies[self.current];
        if *body == self.current {
            current.recursive = true;
        } else {
            *current.ctes.entry(*body).or_default() += 1;
        }
        true
    }

    /// Counts a reference to a table of the catalog.
    pub(super) fn read(&mut self, table: &str) {
        let n = self.tables.iter().position(|t| t == table).unwrap_or_else(|| {
            self.tables.push(table.to_owned());
            self.tables.len() - 1
        });
        *self.bodies[self.current].tables.entry(n).or_default() += 1;
    }

    /// The tables of the catalog that were read so far.
    pub(super) fn read_tables(&self) -> impl Iterator<Item = &str> {
        self.tables.iter().map(|t| &**t)
    }

    /// The tables, each with the sum of its references.
    pub(super) fn uses(self) -> Vec<TableUse> {
        let times = self.times();
        let mut uses: Vec<TableUse> =
            self.tables.into_iter().map(|name| TableUse { name, references: 0 }).collect();
        for (body, times) in self.bodies.iter().zip(times) {
            for (table, references) in &body.tables {
                let sum = &mut uses[*table].references;
                *sum = sum.saturating_add(references.saturating_mul(times)).max(1);
            }
        }
        uses
    }

    /// How often each body is run, as far as the text tells: a body counts after all that refer to it.
    fn times(&self) -> Vec<u32> {
        let mut waits = vec![0; self.bodies.len()];
        for cte in self.bodies.iter().flat_map(|b| b.ctes.keys()) {
            waits[*cte] += 1;
        }
        let mut times = vec![0_u32; self.bodies.len()];
        times[0] = 1;
        let mut ready: Vec<usize> = (0..self.bodies.len()).filter(|b| waits[*b] == 0).collect();
        while let Some(body) = ready.pop() {
            if self.bodies[body].recursive {
                times[body] = times[body].saturating_mul(2);
            }
            for (cte, references) in &self.bodies[body].ctes {
                times[*cte] = times[*cte].saturating_add(references.saturating_mul(times[body]));
                waits[*cte] -= 1;
                if waits[*cte] == 0 {
                    ready.push(*cte);
                }
            }
        }
        // What is left refers to itself in a circle, which SQLite refuses.
        for (times, _) in times.iter_mut().zip(&waits).filter(|(_, waits)| **waits > 0) {
            *times = (*times).max(2);
        }
        times
    }
}
