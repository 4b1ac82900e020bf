//! The walk over the whole tree: only what is named here passes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use sqlparser::ast::{
    BinaryOperator, CastKind, Cte, DataType, Distinct, DuplicateTreatment, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArgumentClause, FunctionArguments, GroupByExpr, Ident, Join, JoinConstraint,
    JoinOperator, LimitClause, NamedWindowDefinition, NamedWindowExpr, ObjectName, ObjectNamePart, Offset,
    OffsetRows, OrderBy, OrderByExpr, OrderByKind, OrderBySort, Query, Select, SelectFlavor, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, SetOperator, SetQuantifier, TableAlias, TableFactor,
    TableWithJoins, UnaryOperator, Value, Values, WildcardAdditionalOptions, WindowFrame, WindowFrameBound,
    WindowSpec, WindowType,
};

use super::lex::Lexeme;
use super::scope::Scopes;
use super::{Checked, nearest, place, show};
use crate::Catalog;
use crate::error::{ErrorKind, SqlError, Warning};

/// What a statement is checked against.
#[derive(Clone, Copy)]
pub(super) struct Source<'c> {
    pub(super) sql: &'c str,
    pub(super) lexemes: &'c [Lexeme],
    pub(super) catalog: &'c Catalog,
    pub(super) functions: &'c [&'c str],
}

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

/// Functions that exist in SQLite or its shell and reach beyond the query, for a clear answer. What is not
/// allowed is refused whether it stands here or not.
const REFUSED_FUNCTIONS: [&str; 18] = [
    "edit",
    "eval",
    "exec",
    "fsdir",
    "fts3_tokenizer",
    "load_extension",
    "lsmode",
    "randomblob",
    "readfile",
    "shell",
    "sqlite_compileoption_get",
    "sqlite_compileoption_used",
    "sqlite_log",
    "sqlite_offset",
    "system",
    "writefile",
    "zeroblob",
    "zipfile",
];

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
        here: None,
    };
    for (function, at) in calls {
        walk.called(function, Some(place(source.lexemes, *at)))?;
    }
    walk.query(query)?;
    Ok(walk.finish())
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
    /// The last name or value seen, for errors about nodes that tell no place.
    here: Option<Range<usize>>,
}

type Walked = Result<(), SqlError>;

impl Walk<'_> {
    fn finish(mut self) -> Checked {
        let warnings = self.quoted_words();
        let tables = self.scopes.uses();
        if self.natural {
            let schemas = tables.iter().filter_map(|t| self.source.catalog.get(&t.name));
            self.tested.extend(schemas.flat_map(|s| s.columns.iter().map(|c| c.name.to_ascii_lowercase())));
        }
        Checked { tables, tested: self.tested.into_iter().collect(), warnings, params: Vec::new() }
    }

    // Queries.

    fn query(&mut self, query: &Query) -> Walked {
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
            select_token: _,
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

    fn order(&mut self, terms: &[OrderByExpr]) -> Walked {
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

    // Tables.

    fn joined(&mut self, tables: &TableWithJoins) -> Walked {
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
                self.tested.extend(columns.map(|c| c.value.to_lowercase()));
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
            _ => return Err(self.unlisted("such a name", "write a table's name alone")),
        };
        let at = self.see(table);
        if let Some(schema) = schema
            && !schema.value.eq_ignore_ascii_case("main")
        {
            let place = self.see(schema);
            let message = format!("no such schema: {}", show(&schema.value));
            return Err(located(SqlError::new(ErrorKind::UnknownTable, message), place)
                .help("every table is in `main`, which need not be written"));
        }
        if schema.is_none() && self.scopes.refer(&table.value) {
            return match args {
                Some(_) => {
                    let message = format!("{} is no function: WITH defines it", show(&table.value));
                    Err(located(SqlError::new(ErrorKind::UnknownTable, message), at))
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
            None => Err(located(self.no_table(&table.value), at)),
        }
    }

    fn no_table(&self, name: &str) -> SqlError {
        let lower = name.to_ascii_lowercase();
        let own = ["sqlite_", "pragma_", "fts3", "fts5", "dbstat", "bytecode", "tables_used"];
        if own.iter().any(|own| lower.starts_with(own)) {
            return SqlError::new(ErrorKind::Refused, format!("{} is a table of SQLite's own", show(name)))
                .help("`.tables` tells what there is; in SQL: SELECT name, about FROM daemoneye_tables");
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

    // Expressions.

    /// A condition that decides which rows are wanted.
    fn test(&mut self, condition: &Expr) -> Walked {
        let testing = std::mem::replace(&mut self.testing, true);
        self.expr(condition)?;
        self.testing = testing;
        Ok(())
    }

    fn exprs(&mut self, exprs: &[Expr]) -> Walked {
        exprs.iter().try_for_each(|expr| self.expr(expr))
    }

    fn expr(&mut self, expr: &Expr) -> Walked {
        // Chains of operators are deep on the left, so the left is walked by the loop.
        let mut expr = expr;
        loop {
            expr = match expr {
                Expr::Identifier(name) => {
                    self.column(name);
                    if name.quote_style == Some('"')
                        && let Some(at) = self.see(name)
                    {
                        self.quoted.insert(at.start, (name.value.clone(), at));
                    }
                    return Ok(());
                }
                Expr::CompoundIdentifier(parts) => {
                    if let Some(name) = parts.last() {
                        self.column(name);
                    }
                    return Ok(());
                }
                Expr::Value(value) => {
                    self.here = self.place(value.span.start.column);
                    return match value.value {
                        Value::Number(..)
                        | Value::SingleQuotedString(_)
                        | Value::HexStringLiteral(_)
                        | Value::Null
                        | Value::Placeholder(_) => Ok(()),
                        _ => Err(self.unlisted("this form of a value", "write a number or a text in '")),
                    };
                }
                Expr::BinaryOp { left, op, right } => {
                    self.operator(op)?;
                    if is_comparison(op) && is_column(left) && is_quoted(right) {
                        left
                    } else if is_comparison(op) && is_quoted(left) && is_column(right) {
                        right
                    } else {
                        self.expr(right)?;
                        left
                    }
                }
                Expr::UnaryOp { op, expr } => {
                    let known = matches!(
                        op,
                        UnaryOperator::Plus
                            | UnaryOperator::Minus
                            | UnaryOperator::Not
                            | UnaryOperator::BitwiseNot
                    );
                    self.absent(known, "this operator", "write it as SQLite does")?;
                    expr
                }
                Expr::Nested(expr) => expr,
                Expr::Collate { expr, collation: _ } => expr,
                Expr::Cast { kind, expr, data_type, format } => {
                    let plain = matches!((kind, data_type), (CastKind::Cast, DataType::Custom(..)));
                    self.absent(plain && format.is_none(), "this form of CAST", "CAST(pid AS TEXT)")?;
                    expr
                }
                Expr::Like { negated: _, any, expr, pattern, escape_char } => {
                    self.absent(!any, "LIKE ANY", "write one LIKE for each pattern, with OR")?;
                    if !(is_column(expr) && is_quoted(pattern)) {
                        self.expr(pattern)?;
                    }
                    if let Some(escape) = escape_char {
                        self.expr(escape)?;
                    }
                    expr
                }
                Expr::Between { expr, negated: _, low, high } => {
                    self.expr(low)?;
                    self.expr(high)?;
                    expr
                }
                Expr::InList { expr, list, negated: _ } => {
                    let texts = is_column(expr);
                    list.iter().filter(|e| !(texts && is_quoted(e))).try_for_each(|e| self.expr(e))?;
                    expr
                }
                Expr::InSubquery { expr, subquery, negated: _ } => {
                    self.query(subquery)?;
                    expr
                }
                Expr::Exists { subquery, negated: _ } | Expr::Subquery(subquery) => {
                    return self.query(subquery);
                }
                Expr::Tuple(exprs) => return self.exprs(exprs),
                Expr::Case { case_token: _, end_token: _, operand, conditions, else_result } => {
                    for expr in operand.iter().chain(else_result) {
                        self.expr(expr)?;
                    }
                    for case in conditions {
                        self.expr(&case.condition)?;
                        self.expr(&case.result)?;
                    }
                    return Ok(());
                }
                Expr::Function(function) => return self.function(function),
                _ => return Err(self.unlisted("this form of an expression", "write it as SQLite does")),
            };
        }
    }

    fn operator(&mut self, op: &BinaryOperator) -> Walked {
        use BinaryOperator::*;
        let known = is_comparison(op)
            || matches!(
                op,
                Plus | Minus
                    | Multiply
                    | Divide
                    | Modulo
                    | StringConcat
                    | And
                    | Or
                    | BitwiseAnd
                    | BitwiseOr
                    | PGBitwiseShiftLeft
                    | PGBitwiseShiftRight
                    | Arrow
                    | LongArrow
            );
        self.absent(known, "this operator", "write it as SQLite does")
    }

    fn column(&mut self, name: &Ident) {
        self.see(name);
        if self.testing {
            self.tested.insert(name.value.to_lowercase());
        }
    }

    // Functions.

    fn function(&mut self, function: &Function) -> Walked {
        let Function { name, uses_odbc_syntax, parameters, args, within_group, filter, null_treatment, over } =
            function;
        let [ObjectNamePart::Identifier(name)] = &name.0[..] else {
            return Err(self.unlisted("a function with a schema", "write its name alone"));
        };
        let at = self.see(name);
        self.called(&name.value, at)?;
        let plain = !uses_odbc_syntax && matches!(parameters, FunctionArguments::None);
        self.absent(plain, "this form of a call", "write name(arguments)")?;
        self.absent(within_group.is_empty(), "WITHIN GROUP", "leave it out")?;
        self.absent(null_treatment.is_none(), "IGNORE NULLS", "leave it out")?;
        match args {
            FunctionArguments::None => {}
            FunctionArguments::Subquery(_) => {
                return Err(self.unlisted("a query as an argument", "put it in parentheses of its own"));
            }
            FunctionArguments::List(list) => {
                match list.duplicate_treatment {
                    None | Some(DuplicateTreatment::Distinct | DuplicateTreatment::All) => {}
                }
                list.args.iter().try_for_each(|arg| self.arg(arg))?;
                for clause in &list.clauses {
                    match clause {
                        FunctionArgumentClause::OrderBy(terms) => self.order(terms)?,
                        _ => return Err(self.unlisted("this clause in a call", "leave it out")),
                    }
                }
            }
        }
        if let Some(filter) = filter {
            self.expr(filter)?;
        }
        match over {
            None | Some(WindowType::NamedWindow(_)) => Ok(()),
            Some(WindowType::WindowSpec(window)) => self.window(window),
        }
    }

    fn arg(&mut self, arg: &FunctionArg) -> Walked {
        match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => self.expr(expr),
            FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => Ok(()),
            _ => Err(self.unlisted("an argument with a name", "write the arguments in their order")),
        }
    }

    fn window(&mut self, window: &WindowSpec) -> Walked {
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

    /// Lets only allowed functions pass.
    fn called(&self, name: &str, at: Option<Range<usize>>) -> Walked {
        let lower = name.to_ascii_lowercase();
        if self.source.functions.contains(&&*lower) {
            return Ok(());
        }
        if REFUSED_FUNCTIONS.contains(&&*lower) {
            let message = format!("the function {} is not allowed", show(name));
            return Err(located(SqlError::new(ErrorKind::Refused, message), at)
                .help("`.functions` tells which ones are"));
        }
        let message = format!("no such function: {}", show(name));
        let error = located(SqlError::new(ErrorKind::UnknownFunction, message), at);
        let functions = self.source.functions;
        let elsewhere = other_systems(&lower).filter(|here| functions.contains(here));
        Err(match elsewhere.or_else(|| nearest(name, functions.iter().copied())) {
            Some(meant) => error.help(format!("did you mean `{meant}`?")),
            None => error.help("`.functions` tells what there is"),
        })
    }

    // Words in double quotes.

    /// Warns of each double-quoted word that names nothing and resembles something: SQLite reads it as a text.
    fn quoted_words(&self) -> Vec<Warning> {
        let tables = self.scopes.read_tables().filter_map(|t| self.source.catalog.get(t));
        let mut names: BTreeSet<String> =
            tables.flat_map(|t| t.columns.iter().map(|c| c.name.to_lowercase())).collect();
        names.extend(["rowid", "oid", "_rowid_"].map(str::to_owned));
        names.extend(self.names.iter().cloned());
        let warn = |(word, at): &(String, Range<usize>)| {
            if names.contains(&word.to_lowercase()) {
                return None;
            }
            let meant = nearest(word, names.iter().map(|n| &**n))?;
            Some(Warning {
                message: format!("no column is called {}, so SQLite reads it as a text", show(word)),
                place: Some(at.clone()),
                help: Some(format!("did you mean `{meant}`? A text stands in ': '{word}'")),
            })
        };
        self.quoted.values().filter_map(warn).collect()
    }

    // Places.

    fn known(&mut self, name: &Ident) {
        self.see(name);
        self.names.insert(name.value.to_lowercase());
    }

    fn see(&mut self, name: &Ident) -> Option<Range<usize>> {
        let at = self.place(name.span.start.column);
        if at.is_some() {
            self.here = at.clone();
        }
        at
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

    fn unlisted(&self, what: &str, instead: &str) -> SqlError {
        let near =
            self.here.clone().map(|at| format!(" (near {})", show(self.source.sql.get(at).unwrap_or(""))));
        let message = format!("{what} is not supported{}", near.unwrap_or_default());
        located(SqlError::new(ErrorKind::Refused, message), self.here.clone()).help(instead)
    }
}

fn located(error: SqlError, at: Option<Range<usize>>) -> SqlError {
    match at {
        Some(at) => error.at(at),
        None => error,
    }
}

fn is_comparison(op: &BinaryOperator) -> bool {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq)
}

/// A plain column. What it is compared with is a value, so that a word in double quotes there means a text.
fn is_column(expr: &Expr) -> bool {
    match expr {
        Expr::Identifier(name) => name.quote_style != Some('"'),
        Expr::CompoundIdentifier(_) => true,
        _ => false,
    }
}

fn is_quoted(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(name) if name.quote_style == Some('"'))
}

/// What SQLite calls a function of other systems.
fn other_systems(name: &str) -> Option<&'static str> {
    Some(match name {
        "now" | "getdate" | "sysdate" => "datetime",
        "to_timestamp" | "from_unixtime" => "datetime",
        "unix_timestamp" => "unixepoch",
        "len" | "char_length" | "strlen" => "length",
        "nvl" | "isnull" => "ifnull",
        "ucase" => "upper",
        "lcase" => "lower",
        "left" | "right" | "mid" => "substr",
        "position" | "locate" | "strpos" | "charindex" => "instr",
        "string_agg" | "listagg" => "group_concat",
        "regexp_like" => "regex_match",
        _ => return None,
    })
}
