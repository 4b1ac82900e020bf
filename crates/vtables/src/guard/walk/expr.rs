//! Expressions and the functions that they call.

use std::ops::Range;

use sqlparser::ast::{
    BinaryOperator, CastKind, DataType, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentClause, FunctionArguments, Ident, ObjectNamePart, UnaryOperator, Value, WindowType,
};

use super::{Walk, Walked, located};
use crate::error::{ErrorKind, SqlError};
use crate::guard::{nearest, show};

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

impl Walk<'_> {
    /// A condition that decides which rows are wanted.
    pub(super) fn test(&mut self, condition: &Expr) -> Walked {
        let testing = std::mem::replace(&mut self.testing, true);
        self.expr(condition)?;
        self.testing = testing;
        Ok(())
    }

    pub(super) fn exprs(&mut self, exprs: &[Expr]) -> Walked {
        exprs.iter().try_for_each(|expr| self.expr(expr))
    }

    pub(super) fn expr(&mut self, expr: &Expr) -> Walked {
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
                    let what = "a name of more than three parts";
                    self.absent(parts.len() <= 3, what, "write table.column")?;
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
            self.tested.insert(name.value.to_ascii_lowercase());
        }
    }

    fn function(&mut self, function: &Function) -> Walked {
        let Function { name, uses_odbc_syntax, parameters, args, within_group, filter, null_treatment, over } =
            function;
        let [ObjectNamePart::Identifier(name)] = &name.0[..] else {
            name.0.iter().filter_map(ObjectNamePart::as_ident).for_each(|part| drop(self.see(part)));
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

    pub(super) fn arg(&mut self, arg: &FunctionArg) -> Walked {
        match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => self.expr(expr),
            FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => Ok(()),
            _ => Err(self.unlisted("an argument with a name", "write the arguments in their order")),
        }
    }

    /// Lets only allowed functions pass.
    pub(super) fn called(&self, name: &str, at: Option<Range<usize>>) -> Walked {
        let lower = name.to_ascii_lowercase();
        if self.source.functions.contains(&&*lower) {
            return Ok(());
        }
        if REFUSED_FUNCTIONS.contains(&&*lower) {
            let message = format!("the function {} is not allowed", show(name));
            let error = located(SqlError::new(ErrorKind::Refused, message), at);
            return Err(error.help("`.functions` tells which ones are").into());
        }
        let message = format!("no such function: {}", show(name));
        let error = located(SqlError::new(ErrorKind::UnknownFunction, message), at);
        let functions = self.source.functions;
        let elsewhere = other_systems(&lower).filter(|here| functions.contains(here));
        let help = match elsewhere.or_else(|| nearest(name, functions.iter().copied())) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "`.functions` tells what there is".to_owned(),
        };
        Err(error.help(help).into())
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
