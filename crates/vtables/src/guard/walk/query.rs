//! Queries, their clauses and their windows.

use sqlparser::ast::{
    Cte, Distinct, GroupByExpr, LimitClause, NamedWindowDefinition, NamedWindowExpr, Offset, OffsetRows,
    OrderBy, OrderByExpr, OrderByKind, OrderBySort, Query, Select, SelectFlavor, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, SetOperator, SetQuantifier, Values, WildcardAdditionalOptions,
    WindowFrame, WindowFrameBound, WindowSpec,
};

use super::{Walk, Walked};

impl Walk<'_> {
    pub(super) fn query(&mut self, query: &Query) -> Walked {
        let Query {
            with,
            body,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = query;
        self.absent(fetch.is_none(), "FETCH", "write LIMIT")?;
        self.absent(locks.is_empty(), "a lock", "leave it out")?;
        self.absent(for_clause.is_none(), "FOR", "leave it out")?;
        self.absent(settings.is_none() && format_clause.is_none(), "this clause", "leave it out")?;
        self.absent(pipe_operators.is_empty(), "a pipe", "write a subquery")?;
        self.depth += 1;
        let outer = match with {
            Some(with) => {
                let names = with.cte_tables.iter().map(|cte| cte.alias.name.value.clone());
                let outer = self.scopes.enter(names);
                for (n, cte) in with.cte_tables.iter().enumerate() {
                    self.cte(cte, outer, n)?;
                }
                Some(outer)
            }
            None => None,
        };
        self.set(body)?;
        if let Some(order_by) = order_by {
            self.order_by(order_by)?;
        }
        if let Some(limit) = limit_clause {
            self.limit(limit)?;
        }
        if let Some(outer) = outer {
            self.scopes.leave(outer);
        }
        self.depth -= 1;
        Ok(())
    }

    fn cte(&mut self, cte: &Cte, outer: usize, n: usize) -> Walked {
        let Cte { alias, query, from, materialized: _, closing_paren_token: _ } = cte;
        self.absent(from.is_none(), "FROM after WITH", "leave it out")?;
        self.known(&alias.name);
        for column in &alias.columns {
            self.absent(column.data_type.is_none(), "a type in a list of columns", "leave it out")?;
            self.known(&column.name);
        }
        let walked = self.scopes.walk_body(outer, n);
        let testing = std::mem::take(&mut self.testing);
        self.query(query)?;
        self.testing = testing;
        self.scopes.walk_on(walked);
        Ok(())
    }

    fn set(&mut self, body: &SetExpr) -> Walked {
        // Chains of UNION are deep on the left, so the left is walked by the loop.
        let mut body = body;
        loop {
            match body {
                SetExpr::Select(select) => return self.select(select),
                SetExpr::Query(query) => return self.query(query),
                SetExpr::Values(values) => return self.values(values),
                SetExpr::SetOperation { left, op, set_quantifier, right } => {
                    self.absent(!matches!(op, SetOperator::Minus), "MINUS", "write EXCEPT")?;
                    let plain = matches!(set_quantifier, SetQuantifier::All | SetQuantifier::None);
                    self.absent(plain, "this form of UNION", "write UNION or UNION ALL")?;
                    self.set(right)?;
                    body = left;
                }
                _ => return Err(self.unlisted("a statement that is no query", "write SELECT")),
            }
        }
    }

    fn values(&mut self, values: &Values) -> Walked {
        let Values { explicit_row, value_keyword, rows } = values;
        self.absent(!explicit_row && !value_keyword, "this form of VALUES", "write VALUES (1), (2)")?;
        rows.iter().try_for_each(|row| self.exprs(&row.content))
    }

    fn select(&mut self, select: &Select) -> Walked {
        let Select {
            select_token,
            optimizer_hints: _,
            distinct,
            select_modifiers,
            top,
            top_before_distinct: _,
            projection,
            exclude,
            into,
            from,
            lateral_views,
            prewhere,
            selection,
            connect_by,
            group_by,
            cluster_by,
            distribute_by,
            sort_by,
            having,
            named_window,
            qualify,
            window_before_qualify: _,
            value_table_mode,
            flavor,
        } = select;
        self.here = self.place(select_token.0.span.start.column);
        if self.levels.len() < self.depth {
            self.levels.push(self.here.clone().unwrap_or_default());
        }
        self.absent(!matches!(distinct, Some(Distinct::On(_))), "DISTINCT ON", "write GROUP BY")?;
        self.absent(top.is_none(), "TOP", "write LIMIT at the end")?;
        self.absent(into.is_none(), "SELECT … INTO", "leave INTO out")?;
        self.absent(qualify.is_none(), "QUALIFY", "filter in an outer SELECT")?;
        let rest = select_modifiers.is_none()
            && exclude.is_none()
            && lateral_views.is_empty()
            && prewhere.is_none()
            && connect_by.is_empty()
            && cluster_by.is_empty()
            && distribute_by.is_empty()
            && sort_by.is_empty()
            && value_table_mode.is_none()
            && matches!(flavor, SelectFlavor::Standard);
        self.absent(rest, "this form of SELECT", "write it as SQLite does")?;
        // FROM first: aliases are known before the expressions that use them.
        from.iter().try_for_each(|table| self.joined(table))?;
        projection.iter().try_for_each(|item| self.item(item))?;
        if let Some(condition) = selection {
            self.test(condition)?;
        }
        match group_by {
            GroupByExpr::Expressions(exprs, modifiers) => {
                self.absent(modifiers.is_empty(), "this form of GROUP BY", "write the columns alone")?;
                self.exprs(exprs)?;
            }
            GroupByExpr::All(_) => return Err(self.unlisted("GROUP BY ALL", "name the columns")),
        }
        if let Some(condition) = having {
            self.test(condition)?;
        }
        for NamedWindowDefinition(name, window) in named_window {
            self.known(name);
            match window {
                NamedWindowExpr::WindowSpec(window) => self.window(window)?,
                NamedWindowExpr::NamedWindow(_) => {
                    return Err(self.unlisted("a window named after another", "write WINDOW w AS (v)"));
                }
            }
        }
        Ok(())
    }

    fn item(&mut self, item: &SelectItem) -> Walked {
        match item {
            SelectItem::UnnamedExpr(expr) => self.expr(expr),
            SelectItem::ExprWithAlias { expr, alias } => {
                self.known(alias);
                self.expr(expr)
            }
            SelectItem::Wildcard(options) => self.wildcard(options),
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(_), options) => {
                self.wildcard(options)
            }
            _ => Err(self.unlisted("this form of a result column", "write expression AS name")),
        }
    }

    fn wildcard(&mut self, options: &WildcardAdditionalOptions) -> Walked {
        let WildcardAdditionalOptions {
            wildcard_token: _,
            opt_ilike,
            opt_exclude,
            opt_except,
            opt_replace,
            opt_rename,
            opt_alias,
        } = options;
        let plain = opt_ilike.is_none()
            && opt_exclude.is_none()
            && opt_except.is_none()
            && opt_replace.is_none()
            && opt_rename.is_none()
            && opt_alias.is_none();
        self.absent(plain, "an option of *", "name the columns")
    }

    fn order_by(&mut self, order_by: &OrderBy) -> Walked {
        let OrderBy { kind, interpolate } = order_by;
        self.absent(interpolate.is_none(), "INTERPOLATE", "leave it out")?;
        match kind {
            OrderByKind::Expressions(terms) => self.order(terms),
            OrderByKind::All(_) => Err(self.unlisted("ORDER BY ALL", "name the columns")),
        }
    }

    pub(super) fn order(&mut self, terms: &[OrderByExpr]) -> Walked {
        for OrderByExpr { expr, options, with_fill } in terms {
            self.absent(with_fill.is_none(), "WITH FILL", "leave it out")?;
            let plain = matches!(options.sort, None | Some(OrderBySort::Asc | OrderBySort::Desc));
            self.absent(plain, "ORDER BY … USING", "write ASC or DESC")?;
            self.expr(expr)?;
        }
        Ok(())
    }

    fn limit(&mut self, limit: &LimitClause) -> Walked {
        match limit {
            LimitClause::LimitOffset { limit, offset, limit_by } => {
                self.absent(limit_by.is_empty(), "LIMIT … BY", "write LIMIT")?;
                // SQLite knows OFFSET after LIMIT alone.
                self.absent(limit.is_some(), "this form of LIMIT", "write LIMIT -1 OFFSET 10")?;
                if let Some(limit) = limit {
                    self.expr(limit)?;
                }
                if let Some(Offset { value, rows }) = offset {
                    self.absent(*rows == OffsetRows::None, "OFFSET … ROWS", "leave ROWS out")?;
                    self.expr(value)?;
                }
                Ok(())
            }
            LimitClause::OffsetCommaLimit { offset, limit } => {
                self.expr(offset)?;
                self.expr(limit)
            }
        }
    }

    pub(super) fn window(&mut self, window: &WindowSpec) -> Walked {
        let WindowSpec { window_name: _, partition_by, order_by, window_frame } = window;
        self.exprs(partition_by)?;
        self.order(order_by)?;
        let Some(WindowFrame { units: _, start_bound, end_bound }) = window_frame else { return Ok(()) };
        for bound in std::iter::once(start_bound).chain(end_bound) {
            match bound {
                WindowFrameBound::Preceding(Some(expr)) | WindowFrameBound::Following(Some(expr)) => {
                    self.expr(expr)?;
                }
                WindowFrameBound::CurrentRow
                | WindowFrameBound::Preceding(None)
                | WindowFrameBound::Following(None) => {}
            }
        }
        Ok(())
    }
}
