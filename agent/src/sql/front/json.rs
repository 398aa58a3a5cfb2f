//! The JSON functions of the SQL standard, whose arguments have clauses. Without clauses they are ordinary calls;
//! with any clause they become calls with all of these arguments, texts being literals:
//!
//! | function | arguments |
//! |---|---|
//! | `JSON_VALUE` | input, path, type to return (`'STRING'`), on empty, its default, on error, its default; each on … is `'NULL'`, `'ERROR'` or `'DEFAULT'`; a default that is not given is NULL |
//! | `JSON_QUERY` | input, path, type to return (`'STRING'`), wrapper (`'WITHOUT'`, `'CONDITIONAL'`, `'UNCONDITIONAL'`), on empty, on error: `'NULL'`, `'ERROR'`, `'EMPTY ARRAY'`, `'EMPTY OBJECT'` |
//! | `JSON_EXISTS` | input, path, on error: `'TRUE'`, `'FALSE'`, `'UNKNOWN'`, `'ERROR'` |
//! | `JSON_OBJECT`, `JSON_OBJECTAGG` | always: on null (`'NULL'`, `'ABSENT'`), key, value, key, value … |
//! | `JSON_ARRAY`, `JSON_ARRAYAGG` | always: on null (`'ABSENT'` unless written), value, value … |

use sqlparser::ast::{Expr, Value};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Span, Token};

use super::dialect::{Wrong, any, call, close, comma, literal};
use super::errors::expected;
use super::types;
use super::words::{eat, expect, expect_token};

/// `None`: it is none of them.
pub(super) fn read(parser: &mut Parser<'_>, name: &str, legacy: bool) -> Option<Result<Expr, Wrong>> {
    let read = match name {
        "JSON_VALUE" => value,
        "JSON_QUERY" => query,
        "JSON_EXISTS" => exists,
        "JSON_OBJECT" | "JSON_OBJECTAGG" => object,
        "JSON_ARRAY" | "JSON_ARRAYAGG" => array,
        _ => return None,
    };
    let span = parser.peek_token_ref().span;
    parser.advance_token();
    parser.advance_token();
    let args = read(parser, span, legacy);
    Some(args.and_then(|args| {
        close(parser)?;
        let mut call = call(name, span, args);
        if let (true, Expr::Function(function)) = (name.ends_with("AGG"), &mut call) {
            function.filter = filter(parser)?;
        }
        Ok(call)
    }))
}

/// `FILTER (WHERE …)` behind an aggregate.
fn filter(parser: &mut Parser<'_>) -> Result<Option<Box<Expr>>, Wrong> {
    if !eat(parser, &["FILTER"]) {
        return Ok(None);
    }
    expect_token(parser, &Token::LParen, "(WHERE …)")?;
    expect(parser, "WHERE")?;
    let condition = parser.parse_expr()?;
    close(parser)?;
    Ok(Some(Box::new(condition)))
}

fn text(text: &str, span: Span) -> Expr {
    literal(Value::SingleQuotedString(text.to_owned()), span)
}

/// What a document is taken from, and the path; more plain arguments pass as they are.
fn subject(parser: &mut Parser<'_>) -> Result<Vec<Expr>, Wrong> {
    let mut args = vec![parser.parse_expr()?];
    comma(parser, "\",\" and a path, as in '$.a'")?;
    args.push(parser.parse_expr()?);
    while parser.consume_token(&Token::Comma) {
        args.push(parser.parse_expr()?);
    }
    Ok(args)
}

fn returning(parser: &mut Parser<'_>, legacy: bool) -> Result<Option<String>, Wrong> {
    if !eat(parser, &["RETURNING"]) {
        return Ok(None);
    }
    Ok(Some(types::read(parser, legacy)?.to_string()))
}

fn value(parser: &mut Parser<'_>, span: Span, legacy: bool) -> Result<Vec<Expr>, Wrong> {
    let mut args = subject(parser)?;
    if parser.peek_token_ref().token == Token::RParen || args.len() > 2 {
        return Ok(args);
    }
    let ty = returning(parser, legacy)?.unwrap_or_else(|| "STRING".to_owned());
    let null = || ("NULL", literal(Value::Null, span));
    let (mut on_empty, mut on_error) = (null(), null());
    while any(parser, &["NULL", "ERROR", "DEFAULT"]) {
        let what = if eat(parser, &["NULL"]) {
            null()
        } else if eat(parser, &["ERROR"]) {
            ("ERROR", literal(Value::Null, span))
        } else {
            parser.advance_token();
            ("DEFAULT", parser.parse_expr()?)
        };
        expect(parser, "ON")?;
        if eat(parser, &["EMPTY"]) {
            on_empty = what;
        } else {
            expect(parser, "ERROR")?;
            on_error = what;
        }
    }
    args.extend([text(&ty, span), text(on_empty.0, span), on_empty.1, text(on_error.0, span), on_error.1]);
    Ok(args)
}

fn query(parser: &mut Parser<'_>, span: Span, legacy: bool) -> Result<Vec<Expr>, Wrong> {
    let mut args = subject(parser)?;
    if parser.peek_token_ref().token == Token::RParen || args.len() > 2 {
        return Ok(args);
    }
    let ty = returning(parser, legacy)?.unwrap_or_else(|| "STRING".to_owned());
    let mut wrapper = "WITHOUT";
    if eat(parser, &["WITH"]) {
        wrapper = if eat(parser, &["CONDITIONAL"]) { "CONDITIONAL" } else { "UNCONDITIONAL" };
        eat(parser, &["UNCONDITIONAL"]);
        eat(parser, &["ARRAY"]);
        expect(parser, "WRAPPER")?;
    } else if eat(parser, &["WITHOUT"]) {
        eat(parser, &["ARRAY"]);
        expect(parser, "WRAPPER")?;
    }
    let (mut on_empty, mut on_error) = ("NULL", "NULL");
    while any(parser, &["NULL", "ERROR", "EMPTY"]) {
        let what = if eat(parser, &["EMPTY", "ARRAY"]) {
            "EMPTY ARRAY"
        } else if eat(parser, &["EMPTY", "OBJECT"]) {
            "EMPTY OBJECT"
        } else if eat(parser, &["NULL"]) {
            "NULL"
        } else {
            expect(parser, "ERROR")?;
            "ERROR"
        };
        expect(parser, "ON")?;
        if eat(parser, &["EMPTY"]) {
            on_empty = what;
        } else {
            expect(parser, "ERROR")?;
            on_error = what;
        }
    }
    args.extend([&*ty, wrapper, on_empty, on_error].map(|word| text(word, span)));
    Ok(args)
}

fn exists(parser: &mut Parser<'_>, span: Span, _legacy: bool) -> Result<Vec<Expr>, Wrong> {
    let mut args = subject(parser)?;
    let words = ["TRUE", "FALSE", "UNKNOWN", "ERROR"];
    if let Some(word) = words.into_iter().find(|word| eat(parser, &[word])) {
        expect(parser, "ON")?;
        expect(parser, "ERROR")?;
        args.push(text(word, span));
    }
    Ok(args)
}

/// `NULL ON NULL` or `ABSENT ON NULL` at the end of the arguments.
fn on_null(parser: &mut Parser<'_>) -> Option<&'static str> {
    ["NULL", "ABSENT"].into_iter().find(|word| eat(parser, &[word, "ON", "NULL"]))
}

fn object(parser: &mut Parser<'_>, span: Span, _legacy: bool) -> Result<Vec<Expr>, Wrong> {
    let mut args = vec![text("NULL", span)];
    loop {
        if let Some(word) = on_null(parser) {
            args.splice(..1, [text(word, span)]);
        }
        if parser.peek_token_ref().token == Token::RParen {
            return Ok(args);
        }
        if args.len() > 1 {
            comma(parser, "\",\" or \")\"")?;
        }
        // `KEY` may be the name of a column as well.
        if !matches!(parser.peek_nth_token_ref(1).token, Token::Colon | Token::RParen | Token::Period) {
            eat(parser, &["KEY"]);
        }
        args.push(parser.parse_expr()?);
        if !parser.consume_token(&Token::Colon) && !eat(parser, &["VALUE"]) {
            return Err(expected(parser, "VALUE and the value of this key").into());
        }
        args.push(parser.parse_expr()?);
    }
}

fn array(parser: &mut Parser<'_>, span: Span, _legacy: bool) -> Result<Vec<Expr>, Wrong> {
    let mut args = vec![text("ABSENT", span)];
    loop {
        if let Some(word) = on_null(parser) {
            args.splice(..1, [text(word, span)]);
        }
        if parser.peek_token_ref().token == Token::RParen {
            return Ok(args);
        }
        if args.len() > 1 {
            comma(parser, "\",\" or \")\"")?;
        }
        args.push(parser.parse_expr()?);
    }
}
