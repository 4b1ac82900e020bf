//! Which words are keywords where they stand, and what becomes of them.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::Token;

use super::{Level, Lowering, keyword_word};
use crate::error::{ErrorKind, SqlError};
use crate::guard::fault::expected;
use crate::guard::lex::Kind;

impl Lowering<'_> {
    pub(super) fn word(&mut self, at: usize) -> Result<usize, SqlError> {
        if self.after_dot() {
            self.name(at);
            return Ok(at + 1);
        }
        let text = self.lexemes[at].text(self.sql);
        // SQLite's longest keyword has 17 letters.
        let upper = if text.len() > 17 { String::new() } else { text.to_ascii_uppercase() };
        match upper.as_str() {
            "SELECT" if self.starts_select() => self.clause(at, Keyword::SELECT),
            "VALUES" if self.starts_select() => self.clause(at, Keyword::VALUES),
            "DISTINCT" if self.after_opening() || self.last() == Keyword::SELECT => {
                self.clause(at, Keyword::DISTINCT)
            }
            "ALL" if self.after_opening() || self.last() == Keyword::SELECT || self.after_compound() => {
                self.clause(at, Keyword::ALL)
            }
            "FROM" => self.clause_of(at, Keyword::FROM),
            "WHERE" if self.after_opening() => self.clause(at, Keyword::WHERE),
            "WHERE" => self.clause_of(at, Keyword::WHERE),
            "GROUP" | "ORDER" if !self.is_word(at + 1, "BY") => {
                Err(expected("BY", self.sql, self.lexemes, at + 1))
            }
            "GROUP" => self.clause_of(at, Keyword::GROUP),
            "ORDER" if self.after_opening() => self.clause(at, Keyword::ORDER),
            "ORDER" => self.clause_of(at, Keyword::ORDER),
            "HAVING" => self.clause_of(at, Keyword::HAVING),
            "ON" => self.clause_of(at, Keyword::ON),
            "USING" => self.clause_of(at, Keyword::USING),
            "WHEN" if self.last() == Keyword::CASE => self.clause(at, Keyword::WHEN),
            "WHEN" => self.clause_of(at, Keyword::WHEN),
            "THEN" => self.clause_of(at, Keyword::THEN),
            "ELSE" => self.clause_of(at, Keyword::ELSE),
            "EXISTS" => self.clause(at, Keyword::EXISTS),
            "LIMIT" => {
                self.level().limit = true;
                self.clause_of(at, Keyword::LIMIT)
            }
            "UNION" => self.compound(at, Keyword::UNION),
            "EXCEPT" => self.compound(at, Keyword::EXCEPT),
            "INTERSECT" => self.compound(at, Keyword::INTERSECT),
            "AND" => self.infix_word(at, Keyword::AND),
            "OR" => self.infix_word(at, Keyword::OR),
            "BETWEEN" if matches!(self.last(), Keyword::ROWS | Keyword::RANGE | Keyword::GROUPS) => {
                self.clause(at, Keyword::BETWEEN)
            }
            "BETWEEN" => self.infix_word(at, Keyword::BETWEEN),
            "ESCAPE" => self.infix_word(at, Keyword::ESCAPE),
            "COLLATE" if self.operand => self.collation(at),
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
            "JOIN" => self.clause_of(at, Keyword::JOIN),
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
            "TOP" if self.last() == Keyword::SELECT && self.is_number(at + 1) => {
                Err(self.unexpected(at).help("write LIMIT at the end of the query"))
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

    /// `COLLATE` and its name, which are left out.
    fn collation(&self, at: usize) -> Result<usize, SqlError> {
        if self.names(at + 1) {
            Ok(at + 2)
        } else {
            Err(expected("the name of a collation", self.sql, self.lexemes, at + 1))
        }
    }

    /// What is there names something and is no reserved word.
    fn names(&self, at: usize) -> bool {
        match self.lexemes.get(at).map(|l| l.kind) {
            Some(Kind::Word) => !is_reserved(&self.lexemes[at].text(self.sql).to_ascii_uppercase()),
            Some(Kind::Quoted(_) | Kind::Text) => true,
            _ => false,
        }
    }

    /// `IN` before a list or a subquery, or before the name of a table.
    fn member(&mut self, at: usize) -> Result<usize, SqlError> {
        let mut next = self.infix_word(at, Keyword::IN)?;
        if !self.names(next) {
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
        self.clause_of(at, Keyword::AS)?;
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
        at + usize::from(self.is_number(at))
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
        self.clause_of(join, Keyword::JOIN)
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

    /// A keyword where none may stand.
    pub(super) fn misplaced(&self, at: usize) -> SqlError {
        let wanted = match self.last() {
            Keyword::FROM | Keyword::JOIN => "a table",
            Keyword::AS => "a name",
            _ if self.operand => "the end",
            _ => "an expression",
        };
        expected(wanted, self.sql, self.lexemes, at)
    }
}

/// The words of SQLite that never are names, in upper case: its keywords without a fallback.
pub(in crate::guard) fn is_reserved(word: &str) -> bool {
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
