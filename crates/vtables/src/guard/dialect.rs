//! The dialect that sqlparser reads lowered tokens with.

use sqlparser::ast::{Expr, Query};
use sqlparser::dialect::{Dialect, Precedence, SQLiteDialect};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

/// Parser frames for one level of nesting: a query, a table and some rungs of operator precedence.
const FRAMES_PER_LEVEL: usize = 8;

/// Parses one query and nothing after it.
pub(super) fn parse(tokens: Vec<TokenWithSpan>, nesting_max: usize) -> Result<Box<Query>, ParserError> {
    let mut parser = Parser::new(&Lowered)
        .with_recursion_limit((nesting_max + 2).saturating_mul(FRAMES_PER_LEVEL))
        .with_tokens_with_locations(tokens);
    let query = parser.parse_query()?;
    match parser.peek_token_ref() {
        end if end.token == Token::EOF => Ok(query),
        more => parser.expected_ref("the end", more),
    }
}

/// SQLite's grammar over lowered tokens, in which a word with a keyword is never a name.
#[derive(Debug)]
struct Lowered;

impl Dialect for Lowered {
    // The tokens come ready; these two are asked by sqlparser's tokenizer alone.
    fn is_identifier_start(&self, _: char) -> bool {
        false
    }

    fn is_identifier_part(&self, _: char) -> bool {
        false
    }

    fn is_reserved_for_identifier(&self, keyword: Keyword) -> bool {
        keyword != Keyword::NoKeyword
    }

    fn is_select_item_alias(&self, _: bool, keyword: &Keyword, _: &mut Parser<'_>) -> bool {
        *keyword == Keyword::NoKeyword
    }

    fn is_table_factor_alias(&self, _: bool, keyword: &Keyword, _: &mut Parser<'_>) -> bool {
        *keyword == Keyword::NoKeyword
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_in_empty_list(&self) -> bool {
        true
    }

    fn supports_limit_comma(&self) -> bool {
        true
    }

    fn supports_bitwise_shift_operators(&self) -> bool {
        true
    }

    fn supports_parens_around_table_factor(&self) -> bool {
        true
    }

    /// The bounds of BETWEEN are whole expressions but for AND and OR.
    fn prec_value(&self, precedence: Precedence) -> u8 {
        match precedence {
            Precedence::Between => SQLiteDialect {}.prec_value(Precedence::And) + 1,
            other => SQLiteDialect {}.prec_value(other),
        }
    }

    /// BETWEEN and IN bind as a comparison does, whatever the bounds of BETWEEN are.
    fn get_next_precedence(&self, parser: &Parser<'_>) -> Option<Result<u8, ParserError>> {
        let not = parser.peek_keyword(Keyword::NOT);
        let Token::Word(word) = &parser.peek_nth_token_ref(usize::from(not)).token else { return None };
        let is_test = matches!(word.keyword, Keyword::BETWEEN | Keyword::IN);
        is_test.then(|| Ok(self.prec_value(Precedence::Eq)))
    }

    /// `(VALUES …)` as a value, which sqlparser knows in FROM and after IN alone; and no keyword as a column.
    fn parse_prefix(&self, parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        let [first, second] = parser.peek_tokens_ref();
        match (&first.token, &second.token) {
            (Token::LParen, Token::Word(Word { keyword: Keyword::VALUES, .. })) => Some(values(parser)),
            (Token::Word(word), _) if !begins_operand(word.keyword) => {
                Some(parser.expected_ref("an expression", first))
            }
            _ => None,
        }
    }
}

fn values(parser: &mut Parser<'_>) -> Result<Expr, ParserError> {
    parser.expect_token(&Token::LParen)?;
    let query = parser.parse_query()?;
    parser.expect_token(&Token::RParen)?;
    Ok(Expr::Subquery(query))
}

fn begins_operand(keyword: Keyword) -> bool {
    use Keyword::{CASE, CAST, CURRENT_DATE, CURRENT_TIME, CURRENT_TIMESTAMP, EXISTS, NOT, NULL, NoKeyword};
    matches!(
        keyword,
        NoKeyword | CASE | CAST | CURRENT_DATE | CURRENT_TIME | CURRENT_TIMESTAMP | EXISTS | NOT | NULL
    )
}
