//! From SQLite's tokens to sqlparser's, so that sqlparser reads a query as SQLite would.
//!
//! The guard wants to know who is named and where, not what a query means: SQLite reads the same text itself
//! afterwards. So each word that is no keyword of SQLite's at its place becomes a plain name (`interval`,
//! `user`, `end`, `key` …), and each form that sqlparser lacks becomes one that names the same things:
//!
//! | in SQLite | here |
//! |---|---|
//! | `a GLOB b`, `REGEXP`, `MATCH` | `a LIKE b`, and a call of the function behind the operator |
//! | `a IS NOT b`, `IS DISTINCT FROM`, `ISNULL`, `NOT NULL` | `a = b`, `a = NULL` |
//! | `a IN t`, `a IN f(x)` | `a IN (SELECT * FROM t)` |
//! | `NATURAL LEFT OUTER JOIN`, `CROSS JOIN` | `NATURAL JOIN`, `JOIN` |
//! | `CAST(a AS UNSIGNED BIG INT)` | `CAST(a AS UNSIGNED)` |
//! | `AS NOT MATERIALIZED (`, `EXCLUDE NO OTHERS` | nothing |
//!
//! **Invariant:** only words without a name or an expression in them are left out.

use std::ops::Range;

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Word};

use super::lex::{Kind, Lexeme};
use super::{GuardLimits, show};
use crate::error::{ErrorKind, SqlError};

/// Operators in one chain, such as `a OR b OR c`: a tree as deep as the chain is long, which SQLite ends at
/// 1,000 levels and which must not exhaust the stack here.
const CHAIN_MAX: usize = 2_000;
/// Terms of one `UNION`; SQLite's own default (`SQLITE_LIMIT_COMPOUND_SELECT`).
const COMPOUND_MAX: usize = 500;

/// A statement as sqlparser reads it. Each token's column is the place of its lexeme in the list, from 1.
#[derive(Debug, Default)]
pub(super) struct Lowered {
    pub(super) tokens: Vec<TokenWithSpan>,
    /// The functions behind operators, and the lexemes of these.
    pub(super) calls: Vec<(&'static str, usize)>,
    /// The subqueries, as ranges of `tokens` without their parentheses; inner ones before outer ones.
    pub(super) subqueries: Vec<Range<usize>>,
}

/// Turns the lexemes of one statement into sqlparser's tokens.
pub(super) fn lower(sql: &str, lexemes: &[Lexeme], limits: &GuardLimits) -> Result<Lowered, SqlError> {
    let mut lowering = Lowering {
        sql,
        lexemes,
        nesting_max: limits.nesting_max,
        out: Lowered::default(),
        levels: vec![Level::default()],
        depth: 0,
        operand: false,
        signs: 0,
    };
    let mut at = 0;
    while at < lexemes.len() {
        at = lowering.step(at)?;
    }
    match lowering.levels.last() {
        Some(Level { opened: Some(at), .. }) => {
            Err(lowering.error(*at, ErrorKind::Syntax, "this parenthesis is never closed"))
        }
        _ => Ok(lowering.out),
    }
}

/// What is open since a parenthesis.
#[derive(Debug, Default)]
struct Level {
    /// The lexeme of the parenthesis; the statement's own level has none.
    opened: Option<usize>,
    /// The token after it.
    first: usize,
    /// `CASE` without its `END`.
    cases: usize,
    /// Operators since the last comma.
    operators: usize,
    /// `UNION` and its like.
    compounds: usize,
    /// `LIMIT` was seen.
    limit: bool,
    /// A window frame began.
    frame: bool,
    /// It belongs to `CAST`, whose type is still to come.
    cast: bool,
    /// One more parenthesis is to be closed with it.
    wrapped: bool,
}

struct Lowering<'s> {
    sql: &'s str,
    lexemes: &'s [Lexeme],
    nesting_max: usize,
    out: Lowered,
    levels: Vec<Level>,
    /// Parentheses and `CASE`s that are open.
    depth: usize,
    /// The last token ended an operand, so that an operator, an alias or the next clause follows.
    operand: bool,
    /// Prefix operators in a row.
    signs: usize,
}

impl Lowering<'_> {
    /// Lowers the lexeme at `at`, perhaps with some that follow; gives the place of the next.
    fn step(&mut self, at: usize) -> Result<usize, SqlError> {
        let Some(lexeme) = self.lexemes.get(at) else { return Ok(at + 1) };
        match lexeme.kind {
            Kind::Word => return self.word(at),
            Kind::Quoted(_) => self.name(at),
            Kind::Text if self.names_something(at) => self.name(at),
            Kind::Text => self.value(at, Token::SingleQuotedString(lexeme.value(self.sql).into_owned())),
            Kind::Blob => self.value(at, Token::HexStringLiteral(String::new())),
            Kind::Number => self.value(at, Token::Number(lexeme.text(self.sql).to_owned(), false)),
            Kind::Parameter => self.value(at, Token::Placeholder(lexeme.text(self.sql).to_owned())),
            Kind::Sign(sign) => self.sign(at, sign)?,
            // The caller has refused these.
            Kind::Bad(_) => {}
        }
        Ok(at + 1)
    }

    /// A text stands for a name after AS, beside a dot, in FROM, and as an alias.
    fn names_something(&self, at: usize) -> bool {
        self.operand
            || matches!(self.last(), Keyword::AS | Keyword::FROM | Keyword::JOIN)
            || self.is_sign(at + 1, ".")
            || self.after_dot()
    }

    fn sign(&mut self, at: usize, sign: &'static str) -> Result<(), SqlError> {
        match sign {
            "(" => {
                let cast = self.last() == Keyword::CAST;
                self.push(at, Token::LParen);
                self.open(at, Level { cast, ..Level::default() })
            }
            ")" => self.close(at),
            "," => {
                self.level().operators = 0;
                self.punctuation(at, Token::Comma)
            }
            "." => self.punctuation(at, Token::Period),
            "*" if !self.operand => {
                self.value(at, Token::Mul);
                Ok(())
            }
            "-" if !self.operand => self.prefix(at, Token::Minus),
            "+" if !self.operand => self.prefix(at, Token::Plus),
            "~" if !self.operand => self.prefix(at, Token::Tilde),
            "*" => self.infix(at, Token::Mul),
            "-" => self.infix(at, Token::Minus),
            "+" => self.infix(at, Token::Plus),
            "/" => self.infix(at, Token::Div),
            "%" => self.infix(at, Token::Mod),
            "&" => self.infix(at, Token::Ampersand),
            "|" => self.infix(at, Token::Pipe),
            "||" => self.infix(at, Token::StringConcat),
            "=" => self.infix(at, Token::Eq),
            "!=" => self.infix(at, Token::Neq),
            "<" => self.infix(at, Token::Lt),
            "<=" => self.infix(at, Token::LtEq),
            "<<" => self.infix(at, Token::ShiftLeft),
            ">" => self.infix(at, Token::Gt),
            ">=" => self.infix(at, Token::GtEq),
            ">>" => self.infix(at, Token::ShiftRight),
            "->" => self.infix(at, Token::Arrow),
            "->>" => self.infix(at, Token::LongArrow),
            _ => Err(self.unexpected(at)),
        }
    }

    fn word(&mut self, at: usize) -> Result<usize, SqlError> {
        if self.after_dot() {
            self.name(at);
            return Ok(at + 1);
        }
        let text = self.lexemes[at].text(self.sql);
        // SQLite's longest keyword has 17 letters.
        let upper = if text.len() > 17 { String::new() } else { text.to_ascii_uppercase() };
        match upper.as_str() {
            "SELECT" => self.clause(at, Keyword::SELECT),
            "DISTINCT" => self.clause(at, Keyword::DISTINCT),
            "ALL" => self.clause(at, Keyword::ALL),
            "FROM" => self.clause(at, Keyword::FROM),
            "WHERE" => self.clause(at, Keyword::WHERE),
            "GROUP" => self.clause(at, Keyword::GROUP),
            "ORDER" => self.clause(at, Keyword::ORDER),
            "HAVING" => self.clause(at, Keyword::HAVING),
            "ON" => self.clause(at, Keyword::ON),
            "USING" => self.clause(at, Keyword::USING),
            "VALUES" => self.clause(at, Keyword::VALUES),
            "WHEN" => self.clause(at, Keyword::WHEN),
            "THEN" => self.clause(at, Keyword::THEN),
            "ELSE" => self.clause(at, Keyword::ELSE),
            "EXISTS" => self.clause(at, Keyword::EXISTS),
            "LIMIT" => {
                self.level().limit = true;
                self.clause(at, Keyword::LIMIT)
            }
            "UNION" => self.compound(at, Keyword::UNION),
            "EXCEPT" => self.compound(at, Keyword::EXCEPT),
            "INTERSECT" => self.compound(at, Keyword::INTERSECT),
            "AND" => self.infix_word(at, Keyword::AND),
            "OR" => self.infix_word(at, Keyword::OR),
            "BETWEEN" => self.infix_word(at, Keyword::BETWEEN),
            "ESCAPE" => self.infix_word(at, Keyword::ESCAPE),
            "COLLATE" => self.infix_word(at, Keyword::COLLATE),
            "IN" => self.member(at),
            "IS" if self.operand => self.comparison(at),
            "ISNULL" | "NOTNULL" if self.operand => self.null_test(at, 1),
            "NOT" if self.operand => self.infix_not(at),
            "NOT" => self.prefix_not(at),
            "NULL" => {
                self.keyword(at, Keyword::NULL);
                self.operand = true;
                Ok(at + 1)
            }
            "AS" => self.as_what(at),
            "CASE" => {
                self.nest(at)?;
                self.level().cases += 1;
                self.clause(at, Keyword::CASE)
            }
            "END" if self.operand && self.levels.last().is_some_and(|l| l.cases > 0) => {
                self.level().cases -= 1;
                self.depth -= 1;
                self.keyword(at, Keyword::END);
                self.operand = true;
                Ok(at + 1)
            }
            "JOIN" => self.clause(at, Keyword::JOIN),
            "CROSS" | "FULL" | "INNER" | "LEFT" | "NATURAL" | "OUTER" | "RIGHT" => self.join(at),
            // From here on: keywords only at their place, names elsewhere (the fallbacks of SQLite's grammar).
            "WITH" if self.starts_query() && self.is_name(at + 1) => self.clause(at, Keyword::WITH),
            "RECURSIVE" if self.last() == Keyword::WITH => self.clause(at, Keyword::RECURSIVE),
            "CAST" if !self.operand && self.is_sign(at + 1, "(") => self.clause(at, Keyword::CAST),
            "BY" if matches!(self.last(), Keyword::GROUP | Keyword::ORDER | Keyword::PARTITION) => {
                self.clause(at, Keyword::BY)
            }
            "LIKE" if self.operand => self.pattern(at, "like"),
            "GLOB" if self.operand => self.pattern(at, "glob"),
            "REGEXP" if self.operand => self.pattern(at, "regexp"),
            "MATCH" if self.operand => self.pattern(at, "match"),
            "ASC" if self.operand => self.clause_after(at, Keyword::ASC),
            "DESC" if self.operand => self.clause_after(at, Keyword::DESC),
            "NULLS" if self.operand && (self.is_word(at + 1, "FIRST") || self.is_word(at + 1, "LAST")) => {
                self.clause_after(at, Keyword::NULLS)
            }
            "FIRST" if self.last() == Keyword::NULLS => self.clause_after(at, Keyword::FIRST),
            "LAST" if self.last() == Keyword::NULLS => self.clause_after(at, Keyword::LAST),
            "OFFSET" if self.operand && self.levels.last().is_some_and(|l| l.limit) => {
                self.clause(at, Keyword::OFFSET)
            }
            "FILTER" if self.after_call() && self.is_sign(at + 1, "(") => self.clause(at, Keyword::FILTER),
            "OVER" if self.after_call() && (self.is_sign(at + 1, "(") || self.is_name(at + 1)) => {
                self.clause(at, Keyword::OVER)
            }
            "WINDOW" if self.operand && self.is_name(at + 1) && self.is_word(at + 2, "AS") => {
                self.clause(at, Keyword::WINDOW)
            }
            "PARTITION" if self.is_word(at + 1, "BY") => self.clause(at, Keyword::PARTITION),
            "ROWS" if self.starts_frame(at) => self.frame(at, Keyword::ROWS),
            "RANGE" if self.starts_frame(at) => self.frame(at, Keyword::RANGE),
            "GROUPS" if self.starts_frame(at) => self.frame(at, Keyword::GROUPS),
            "UNBOUNDED" if self.in_frame() && !self.operand => self.clause_after(at, Keyword::UNBOUNDED),
            "PRECEDING" if self.in_frame() && self.operand => self.clause_after(at, Keyword::PRECEDING),
            "FOLLOWING" if self.in_frame() && self.operand => self.clause_after(at, Keyword::FOLLOWING),
            "CURRENT" if self.in_frame() && self.is_word(at + 1, "ROW") => {
                self.clause_after(at, Keyword::CURRENT)
            }
            "ROW" if self.last() == Keyword::CURRENT => self.clause_after(at, Keyword::ROW),
            "EXCLUDE" if self.in_frame() && self.operand => Ok(self.exclusion(at)),
            "CURRENT_DATE" if !self.operand && self.last() != Keyword::AS => {
                self.clause_after(at, Keyword::CURRENT_DATE)
            }
            "CURRENT_TIME" if !self.operand && self.last() != Keyword::AS => {
                self.clause_after(at, Keyword::CURRENT_TIME)
            }
            "CURRENT_TIMESTAMP" if !self.operand && self.last() != Keyword::AS => {
                self.clause_after(at, Keyword::CURRENT_TIMESTAMP)
            }
            "INDEXED" if self.operand && self.is_word(at + 1, "BY") => Err(self.indexed(at)),
            "INSERT" | "UPDATE" | "DELETE" | "INTO" => Err(self.write(at, &upper)),
            word if is_reserved(word) => Err(self.misplaced(at)),
            _ => {
                self.name(at);
                Ok(at + 1)
            }
        }
    }

    /// `IN` before a list or a subquery, or before the name of a table.
    fn member(&mut self, at: usize) -> Result<usize, SqlError> {
        let mut next = self.infix_word(at, Keyword::IN)?;
        let names_table = match self.lexemes.get(next).map(|l| l.kind) {
            Some(Kind::Word) => !is_reserved(&self.lexemes[next].text(self.sql).to_ascii_uppercase()),
            Some(Kind::Quoted(_) | Kind::Text) => true,
            _ => false,
        };
        if !names_table {
            return Ok(next);
        }
        self.push(next, Token::LParen);
        let first = self.out.tokens.len();
        self.keyword(next, Keyword::SELECT);
        self.push(next, Token::Mul);
        self.keyword(next, Keyword::FROM);
        self.name(next);
        next += 1;
        if self.is_sign(next, ".") && self.is_name_or_text(next + 1) {
            self.push(next, Token::Period);
            self.name(next + 1);
            next += 2;
        }
        if self.is_sign(next, "(") {
            self.push(next, Token::LParen);
            self.open(next, Level { wrapped: true, ..Level::default() })?;
            next += 1;
        } else {
            self.out.subqueries.push(first..self.out.tokens.len());
            self.push(next - 1, Token::RParen);
        }
        Ok(next)
    }

    /// `IS`, `IS NOT`, `IS DISTINCT FROM` and `IS NOT DISTINCT FROM`.
    fn comparison(&mut self, at: usize) -> Result<usize, SqlError> {
        self.infix(at, Token::Eq)?;
        let mut next = at + 1;
        if self.is_word(next, "NOT") {
            next += 1;
        }
        if self.is_word(next, "DISTINCT") && self.is_word(next + 1, "FROM") {
            next += 2;
        }
        Ok(next)
    }

    /// `ISNULL`, `NOTNULL` and `NOT NULL`, of so many words.
    fn null_test(&mut self, at: usize, words: usize) -> Result<usize, SqlError> {
        self.infix(at, Token::Eq)?;
        self.keyword(at, Keyword::NULL);
        self.operand = true;
        Ok(at + words)
    }

    fn infix_not(&mut self, at: usize) -> Result<usize, SqlError> {
        if self.is_word(at + 1, "NULL") {
            return self.null_test(at, 2);
        }
        if self.is_word(at + 1, "INDEXED") {
            return Err(self.indexed(at + 1));
        }
        // The operator after it follows an operand still.
        self.keyword(at, Keyword::NOT);
        self.operand = true;
        Ok(at + 1)
    }

    fn prefix_not(&mut self, at: usize) -> Result<usize, SqlError> {
        self.prefix(at, Token::Word(keyword_word("NOT", Keyword::NOT)))?;
        Ok(at + 1)
    }

    /// `LIKE` and its like, each of which calls a function.
    fn pattern(&mut self, at: usize, function: &'static str) -> Result<usize, SqlError> {
        self.out.calls.push((function, at));
        self.infix_word(at, Keyword::LIKE)
    }

    /// `AS` before an alias, a type or a common table expression.
    fn as_what(&mut self, at: usize) -> Result<usize, SqlError> {
        self.clause(at, Keyword::AS)?;
        if std::mem::take(&mut self.level().cast) {
            return self.type_name(at + 1);
        }
        let hint = at + 1 + usize::from(self.is_word(at + 1, "NOT"));
        if self.is_word(hint, "MATERIALIZED") && self.is_sign(hint + 1, "(") {
            return Ok(hint + 1);
        }
        Ok(at + 1)
    }

    /// Words, then perhaps one or two numbers in parentheses; only the first word is handed on.
    fn type_name(&mut self, at: usize) -> Result<usize, SqlError> {
        let mut next = at;
        while self.is_name_or_text(next) {
            next += 1;
        }
        if next > at && self.is_sign(next, "(") {
            next = self.signed_number(next + 1);
            if self.is_sign(next, ",") {
                next = self.signed_number(next + 1);
            }
            next += usize::from(self.is_sign(next, ")"));
        }
        if next == at || !self.is_sign(next, ")") {
            return Err(self.unexpected(next).help("CAST wants a type: CAST(pid AS TEXT)"));
        }
        self.name(at);
        Ok(next)
    }

    fn signed_number(&self, at: usize) -> usize {
        let at = at + usize::from(self.is_sign(at, "-") || self.is_sign(at, "+"));
        at + usize::from(self.lexemes.get(at).is_some_and(|l| l.kind == Kind::Number))
    }

    /// The words of a join, when they end in `JOIN`; else a name.
    fn join(&mut self, at: usize) -> Result<usize, SqlError> {
        let is_kind = |at| {
            ["CROSS", "FULL", "INNER", "LEFT", "NATURAL", "OUTER", "RIGHT"]
                .iter()
                .any(|w| self.is_word(at, w))
        };
        let mut join = at;
        let mut natural = false;
        while is_kind(join) {
            natural |= self.is_word(join, "NATURAL");
            join += 1;
        }
        if !self.operand || !self.is_word(join, "JOIN") {
            self.name(at);
            return Ok(at + 1);
        }
        if natural {
            self.keyword(at, Keyword::NATURAL);
        }
        self.clause(join, Keyword::JOIN)
    }

    /// `EXCLUDE NO OTHERS`, `CURRENT ROW`, `GROUP` or `TIES`, all of them left out.
    fn exclusion(&mut self, at: usize) -> usize {
        for words in [&["NO", "OTHERS"][..], &["CURRENT", "ROW"], &["GROUP"], &["TIES"]] {
            if words.iter().enumerate().all(|(n, word)| self.is_word(at + 1 + n, word)) {
                return at + 1 + words.len();
            }
        }
        self.name(at);
        at + 1
    }

    /// A unit of a frame is a keyword only before a bound.
    fn starts_frame(&self, at: usize) -> bool {
        let next = at + 1;
        (self.operand || self.after_opening())
            && (["BETWEEN", "UNBOUNDED", "CURRENT"].iter().any(|w| self.is_word(next, w))
                || self.lexemes.get(next).is_some_and(|l| matches!(l.kind, Kind::Number | Kind::Parameter)))
    }

    fn frame(&mut self, at: usize, unit: Keyword) -> Result<usize, SqlError> {
        self.level().frame = true;
        self.clause(at, unit)
    }

    fn in_frame(&self) -> bool {
        self.levels.last().is_some_and(|l| l.frame)
    }

    fn open(&mut self, at: usize, level: Level) -> Result<(), SqlError> {
        self.nest(at)?;
        self.levels.push(Level { opened: Some(at), first: self.out.tokens.len(), ..level });
        self.operand = false;
        self.signs = 0;
        Ok(())
    }

    fn close(&mut self, at: usize) -> Result<(), SqlError> {
        if self.levels.len() < 2 {
            return Err(self.error(at, ErrorKind::Syntax, "this parenthesis closes nothing"));
        }
        let level = self.levels.pop().unwrap_or_default();
        self.depth -= 1 + level.cases;
        let starts = |keyword| match self.out.tokens.get(level.first).map(|t| &t.token) {
            Some(Token::Word(word)) => word.keyword == keyword,
            _ => false,
        };
        if [Keyword::SELECT, Keyword::WITH, Keyword::VALUES].into_iter().any(starts) {
            self.out.subqueries.push(level.first..self.out.tokens.len());
        }
        self.push(at, Token::RParen);
        if level.wrapped {
            self.push(at, Token::RParen);
        }
        self.operand = true;
        Ok(())
    }

    /// Counts one more level of nesting.
    fn nest(&mut self, at: usize) -> Result<(), SqlError> {
        self.depth += 1;
        self.check_depth(at)
    }

    fn check_depth(&self, at: usize) -> Result<(), SqlError> {
        if self.depth + self.signs > self.nesting_max {
            return Err(too_deep(self.nesting_max).at(self.place(at)));
        }
        Ok(())
    }

    fn prefix(&mut self, at: usize, token: Token) -> Result<(), SqlError> {
        self.signs += 1;
        self.check_depth(at)?;
        let signs = self.signs;
        self.operator(at)?;
        self.push(at, token);
        self.operand = false;
        self.signs = signs;
        Ok(())
    }

    fn infix(&mut self, at: usize, token: Token) -> Result<(), SqlError> {
        self.operator(at)?;
        self.push(at, token);
        self.operand = false;
        Ok(())
    }

    fn infix_word(&mut self, at: usize, keyword: Keyword) -> Result<usize, SqlError> {
        self.operator(at)?;
        self.clause(at, keyword)
    }

    fn operator(&mut self, at: usize) -> Result<(), SqlError> {
        self.signs = 0;
        let level = self.level();
        level.operators += 1;
        if level.operators > CHAIN_MAX {
            let message = format!("the expression has more than {CHAIN_MAX} operators in a row");
            return Err(self
                .error(at, ErrorKind::Refused, message)
                .help("write many values as a list: name IN ('a', 'b', …)"));
        }
        Ok(())
    }

    fn compound(&mut self, at: usize, keyword: Keyword) -> Result<usize, SqlError> {
        let level = self.level();
        level.operators = 0;
        level.compounds += 1;
        if level.compounds >= COMPOUND_MAX {
            let message = format!("more than {COMPOUND_MAX} SELECTs are put together");
            return Err(self.error(at, ErrorKind::Refused, message));
        }
        self.clause(at, keyword)
    }

    fn punctuation(&mut self, at: usize, token: Token) -> Result<(), SqlError> {
        self.push(at, token);
        self.operand = false;
        self.signs = 0;
        Ok(())
    }

    /// A keyword that an operand or a clause follows.
    fn clause(&mut self, at: usize, keyword: Keyword) -> Result<usize, SqlError> {
        self.keyword(at, keyword);
        self.operand = false;
        self.signs = 0;
        Ok(at + 1)
    }

    /// A keyword that ends something, as an operand does.
    fn clause_after(&mut self, at: usize, keyword: Keyword) -> Result<usize, SqlError> {
        self.keyword(at, keyword);
        self.operand = true;
        self.signs = 0;
        Ok(at + 1)
    }

    fn value(&mut self, at: usize, token: Token) {
        self.push(at, token);
        self.operand = true;
        self.signs = 0;
    }

    fn name(&mut self, at: usize) {
        let Some(lexeme) = self.lexemes.get(at) else { return };
        let quote_style = match lexeme.kind {
            Kind::Quoted(quote) => Some(quote),
            Kind::Text => Some('\''),
            _ => None,
        };
        let value = lexeme.value(self.sql).into_owned();
        self.value(at, Token::Word(Word { value, quote_style, keyword: Keyword::NoKeyword }));
    }

    fn keyword(&mut self, at: usize, keyword: Keyword) {
        let text = self.lexemes.get(at).map(|l| l.text(self.sql)).unwrap_or_default();
        self.push(at, Token::Word(keyword_word(text, keyword)));
    }

    fn push(&mut self, at: usize, token: Token) {
        let location = Location::new(1, at as u64 + 1);
        self.out.tokens.push(TokenWithSpan::new(token, Span::new(location, location)));
    }

    fn level(&mut self) -> &mut Level {
        if self.levels.is_empty() {
            self.levels.push(Level::default());
        }
        let last = self.levels.len() - 1;
        &mut self.levels[last]
    }

    /// The keyword that the last token is.
    fn last(&self) -> Keyword {
        match self.out.tokens.last().map(|t| &t.token) {
            Some(Token::Word(word)) => word.keyword,
            _ => Keyword::NoKeyword,
        }
    }

    fn after_dot(&self) -> bool {
        self.out.tokens.last().is_some_and(|t| t.token == Token::Period)
    }

    fn after_call(&self) -> bool {
        self.out.tokens.last().is_some_and(|t| t.token == Token::RParen)
    }

    fn after_opening(&self) -> bool {
        self.out.tokens.last().is_some_and(|t| t.token == Token::LParen)
    }

    fn starts_query(&self) -> bool {
        self.out.tokens.is_empty() || self.after_opening()
    }

    fn is_sign(&self, at: usize, sign: &str) -> bool {
        self.lexemes.get(at).is_some_and(|l| matches!(l.kind, Kind::Sign(s) if s == sign))
    }

    fn is_word(&self, at: usize, word: &str) -> bool {
        let is = |l: &Lexeme| l.kind == Kind::Word && l.text(self.sql).eq_ignore_ascii_case(word);
        self.lexemes.get(at).is_some_and(is)
    }

    fn is_name(&self, at: usize) -> bool {
        self.lexemes.get(at).is_some_and(|l| matches!(l.kind, Kind::Word | Kind::Quoted(_)))
    }

    fn is_name_or_text(&self, at: usize) -> bool {
        self.is_name(at) || self.lexemes.get(at).is_some_and(|l| l.kind == Kind::Text)
    }

    fn place(&self, at: usize) -> Range<usize> {
        super::place(self.lexemes, at)
    }

    fn error(&self, at: usize, kind: ErrorKind, message: impl Into<String>) -> SqlError {
        SqlError::new(kind, message).at(self.place(at))
    }

    fn unexpected(&self, at: usize) -> SqlError {
        let found = match self.lexemes.get(at) {
            Some(lexeme) => format!("unexpected {}", show(lexeme.text(self.sql))),
            None => "the statement ends too early".to_owned(),
        };
        self.error(at, ErrorKind::Syntax, found)
    }

    fn indexed(&self, at: usize) -> SqlError {
        self.error(at, ErrorKind::Refused, "the tables have no index that INDEXED could name")
            .help("leave it out: a table narrows its scan by the columns in WHERE")
    }

    fn write(&self, at: usize, word: &str) -> SqlError {
        if word == "UPDATE" && at > 0 && self.is_word(at - 1, "FOR") {
            return self
                .error(at - 1, ErrorKind::Refused, "FOR UPDATE locks rows, and only queries run here")
                .help("leave it out");
        }
        self.error(at, ErrorKind::Refused, format!("{word} writes, and only queries run here"))
    }

    fn misplaced(&self, at: usize) -> SqlError {
        let word = self.lexemes[at].text(self.sql);
        self.error(at, ErrorKind::Syntax, format!("unexpected keyword {}", show(word)))
            .help(format!("a name that is a keyword stands in quotes: \"{word}\""))
    }
}

/// The statement nests deeper than it may.
pub(super) fn too_deep(nesting_max: usize) -> SqlError {
    SqlError::new(ErrorKind::Refused, format!("the statement nests deeper than {nesting_max} levels"))
        .help("move inner queries into WITH")
}

fn keyword_word(text: &str, keyword: Keyword) -> Word {
    Word { value: text.to_owned(), quote_style: None, keyword }
}

/// The words of SQLite that never are names, in upper case: its keywords without a fallback.
fn is_reserved(word: &str) -> bool {
    const RESERVED: [&str; 58] = [
        "ADD",
        "ALL",
        "ALTER",
        "AND",
        "AS",
        "AUTOINCREMENT",
        "BETWEEN",
        "CASE",
        "CHECK",
        "COLLATE",
        "COMMIT",
        "CONSTRAINT",
        "CREATE",
        "DEFAULT",
        "DEFERRABLE",
        "DELETE",
        "DISTINCT",
        "DROP",
        "ELSE",
        "ESCAPE",
        "EXCEPT",
        "EXISTS",
        "FOREIGN",
        "FROM",
        "GROUP",
        "HAVING",
        "IN",
        "INDEX",
        "INSERT",
        "INTERSECT",
        "INTO",
        "IS",
        "ISNULL",
        "JOIN",
        "LIMIT",
        "NOT",
        "NOTHING",
        "NOTNULL",
        "NULL",
        "ON",
        "OR",
        "ORDER",
        "PRIMARY",
        "REFERENCES",
        "RETURNING",
        "SELECT",
        "SET",
        "TABLE",
        "THEN",
        "TO",
        "TRANSACTION",
        "UNION",
        "UNIQUE",
        "UPDATE",
        "USING",
        "VALUES",
        "WHEN",
        "WHERE",
    ];
    RESERVED.contains(&word)
}
