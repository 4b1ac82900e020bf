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
//! | `a IN ((SELECT 1), 2)` | `a IN (+(SELECT 1), 2)` |
//! | `NATURAL LEFT OUTER JOIN`, `CROSS JOIN` | `NATURAL JOIN`, `JOIN` |
//! | `CAST(a AS UNSIGNED BIG INT)` | `CAST(a AS UNSIGNED)` |
//! | `COLLATE NOCASE`, `NOT MATERIALIZED`, `EXCLUDE NO OTHERS` | nothing |
//!
//! **Invariant:** only words without a name or an expression in them are left out.

mod words;

use std::ops::Range;

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Word};

use super::fault::too_deep;
use super::lex::{Kind, Lexeme};
use super::{GuardLimits, place, show};
use crate::error::{ErrorKind, SqlError};

pub(super) use words::is_reserved;

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
                if self.after_opening() && self.list_begins() {
                    self.push(at, Token::Plus);
                }
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
        self.clause_of(at, keyword)
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
        self.clause_of(at, keyword)
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

    /// A keyword that stands behind an operand.
    fn clause_of(&mut self, at: usize, keyword: Keyword) -> Result<usize, SqlError> {
        if self.operand { self.clause(at, keyword) } else { Err(self.misplaced(at)) }
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
            // A name in single quotes is a name as in any other quotes; sqlparser cannot print single ones.
            Kind::Text => Some('`'),
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

    /// The parenthesis before is that of IN.
    fn list_begins(&self) -> bool {
        let before = self.out.tokens.iter().rev().nth(1).map(|t| &t.token);
        matches!(before, Some(Token::Word(Word { keyword: Keyword::IN, .. })))
    }

    fn starts_query(&self) -> bool {
        self.out.tokens.is_empty() || self.after_opening()
    }

    /// Behind the parenthesis of the last query of a WITH, too.
    fn starts_select(&self) -> bool {
        self.starts_query() || self.after_compound() || self.last() == Keyword::ALL || self.after_call()
    }

    fn after_compound(&self) -> bool {
        matches!(self.last(), Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT)
    }

    fn is_sign(&self, at: usize, sign: &str) -> bool {
        self.lexemes.get(at).is_some_and(|l| matches!(l.kind, Kind::Sign(s) if s == sign))
    }

    fn is_word(&self, at: usize, word: &str) -> bool {
        let is = |l: &Lexeme| l.kind == Kind::Word && l.text(self.sql).eq_ignore_ascii_case(word);
        self.lexemes.get(at).is_some_and(is)
    }

    fn is_number(&self, at: usize) -> bool {
        self.lexemes.get(at).is_some_and(|l| l.kind == Kind::Number)
    }

    fn is_name(&self, at: usize) -> bool {
        self.lexemes.get(at).is_some_and(|l| matches!(l.kind, Kind::Word | Kind::Quoted(_)))
    }

    fn is_name_or_text(&self, at: usize) -> bool {
        self.is_name(at) || self.lexemes.get(at).is_some_and(|l| l.kind == Kind::Text)
    }

    fn place(&self, at: usize) -> Range<usize> {
        place(self.lexemes, at)
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
}

fn keyword_word(text: &str, keyword: Keyword) -> Word {
    Word { value: text.to_owned(), quote_style: None, keyword }
}
