//! What sqlparser must know of Flink's SQL. Forms that it can't parse become calls that it could have parsed:
//!
//! | written | becomes |
//! |---|---|
//! | `TABLE t [PARTITION BY a, b]`, `… (a, b)`, as an argument | `` `TABLE`(t[, a, b]) `` |
//! | `MAP[k, v, …]` | `MAP(k, v, …)` |
//! | `CAST(x AS type)`, `TRY_CAST(…)` | a cast to a `DataType::Custom`, see `types.rs` |
//! | `JSON_VALUE` and its kin | see `json.rs` |
//!
//! Names between double quotes, backslash escapes and nested comments there are none.

use std::cell::RefCell;

use sqlparser::ast::{
    CastKind, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName,
    Value, ValueWithSpan,
};
use sqlparser::dialect::Dialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Span, Token};

use super::super::script::SqlError;
use super::errors::{self, Parsed, expected, to_parser};
use super::words::{eat, expect, expect_token, is};
use super::{json, types};

#[derive(Debug)]
pub(super) struct Flink {
    legacy: bool,
    /// What a hook refused; sqlparser may try another way and then report something less to the point.
    refused: RefCell<Option<SqlError>>,
}

impl Flink {
    pub(super) fn new(legacy: bool) -> Flink {
        Flink { legacy, refused: RefCell::new(None) }
    }

    pub(super) fn take_refused(&self) -> Option<SqlError> {
        self.refused.borrow_mut().take()
    }

    fn keep(&self, result: Result<Expr, Wrong>) -> Result<Expr, ParserError> {
        result.map_err(|wrong| match wrong {
            Wrong::Own(error) => {
                let as_parser = to_parser(&error);
                self.refused.borrow_mut().get_or_insert(error);
                as_parser
            }
            Wrong::Parser(error) => error,
        })
    }
}

/// Who found what is wrong.
pub(super) enum Wrong {
    Own(SqlError),
    Parser(ParserError),
}

impl From<SqlError> for Wrong {
    fn from(error: SqlError) -> Wrong {
        Wrong::Own(error)
    }
}

impl From<ParserError> for Wrong {
    fn from(error: ParserError) -> Wrong {
        Wrong::Parser(error)
    }
}

impl Dialect for Flink {
    fn is_delimited_identifier_start(&self, c: char) -> bool {
        c == '`'
    }

    fn is_identifier_start(&self, c: char) -> bool {
        c.is_alphabetic() || c == '_'
    }

    fn is_identifier_part(&self, c: char) -> bool {
        c.is_alphanumeric() || matches!(c, '_' | '$')
    }

    fn supports_group_by_expr(&self) -> bool {
        true
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_table_versioning(&self) -> bool {
        true
    }

    fn supports_match_recognize(&self) -> bool {
        true
    }

    fn supports_unicode_string_literal(&self) -> bool {
        true
    }

    fn supports_window_function_null_treatment_arg(&self) -> bool {
        true
    }

    fn is_select_item_alias(&self, explicit: bool, keyword: &Keyword, _parser: &mut Parser<'_>) -> bool {
        let reserved = sqlparser::keywords::RESERVED_FOR_COLUMN_ALIAS;
        explicit || !reserved.contains(keyword)
    }

    fn parse_prefix(&self, parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        let Token::Word(word) = &parser.peek_token_ref().token else { return None };
        if word.quote_style.is_some() {
            return None;
        }
        let bracket = match parser.peek_nth_token_ref(1).token {
            Token::LParen => '(',
            Token::LBracket => '[',
            Token::Word(_) => 'w',
            _ => return None,
        };
        let upper = word.value.to_ascii_uppercase();
        let result = match (upper.as_str(), bracket) {
            ("TABLE", 'w') => table_argument(parser),
            ("MAP", '[') => map(parser),
            ("CAST", '(') => cast(parser, CastKind::Cast, self.legacy),
            ("TRY_CAST", '(') => cast(parser, CastKind::TryCast, self.legacy),
            (name, '(') => json::read(parser, name, self.legacy)?,
            _ => return None,
        };
        Some(self.keep(result))
    }
}

pub(super) fn call(name: &str, span: Span, args: Vec<Expr>) -> Expr {
    let args = args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect();
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::with_span(span, name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

pub(super) fn literal(value: Value, span: Span) -> Expr {
    Expr::Value(ValueWithSpan { value, span })
}

fn table_argument(parser: &mut Parser<'_>) -> Result<Expr, Wrong> {
    let span = parser.next_token().span;
    let parts = parser.parse_object_name(false)?.0;
    let mut parts: Vec<Ident> = parts.iter().filter_map(|part| part.as_ident().cloned()).collect();
    let table = match (parts.len(), parts.pop()) {
        (1, Some(name)) => Expr::Identifier(name),
        (_, Some(name)) => {
            parts.push(name);
            Expr::CompoundIdentifier(parts)
        }
        (_, None) => return Err(expected(parser, "the name of a table").into()),
    };
    let mut args = vec![table];
    let partitioned = eat(parser, &["PARTITION", "BY"]);
    if partitioned && parser.consume_token(&Token::LParen) {
        // Flink's only form for several columns.
        args.extend(parser.parse_comma_separated(Parser::parse_identifier)?.into_iter().map(Expr::Identifier));
        parser.expect_token(&Token::RParen)?;
    } else if partitioned {
        loop {
            args.push(Expr::Identifier(parser.parse_identifier()?));
            // The comma belongs to the argument list unless another plain column follows it.
            let word = matches!(parser.peek_nth_token_ref(1).token, Token::Word(_));
            let plain = matches!(parser.peek_nth_token_ref(2).token, Token::Comma | Token::RParen);
            if parser.peek_token_ref().token != Token::Comma || !word || !plain {
                break;
            }
            parser.advance_token();
        }
    }
    Ok(call("TABLE", span, args))
}

fn map(parser: &mut Parser<'_>) -> Result<Expr, Wrong> {
    let span = parser.next_token().span;
    parser.advance_token();
    let mut args = Vec::new();
    while !parser.consume_token(&Token::RBracket) {
        if !args.is_empty() {
            expect_token(parser, &Token::Comma, "\",\" or \"]\"")?;
        }
        args.push(parser.parse_expr()?);
    }
    if args.len() % 2 == 1 {
        return Err(errors::at(span, "MAP[…] has a key without a value; write MAP['key', value, …]").into());
    }
    Ok(call("MAP", span, args))
}

fn cast(parser: &mut Parser<'_>, kind: CastKind, legacy: bool) -> Result<Expr, Wrong> {
    parser.advance_token();
    parser.advance_token();
    let expr = Box::new(parser.parse_expr()?);
    expect(parser, "AS")?;
    let span = parser.peek_token_ref().span;
    let data_type = types::as_data_type(&types::read(parser, legacy)?, span);
    close(parser)?;
    Ok(Expr::Cast { kind, expr, data_type, format: None })
}

pub(super) fn close(parser: &mut Parser<'_>) -> Parsed<()> {
    expect_token(parser, &Token::RParen, "\")\"").map(|_| ())
}

pub(super) fn comma(parser: &mut Parser<'_>, what: &str) -> Parsed<()> {
    expect_token(parser, &Token::Comma, what).map(|_| ())
}

/// Is it a word that begins one of these clauses?
pub(super) fn any(parser: &Parser<'_>, words: &[&str]) -> bool {
    words.iter().any(|word| is(parser, 0, word))
}
