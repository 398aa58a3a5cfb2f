//! The grammar of types, in columns and in CAST. Lengths and precisions have Flink's defaults; the legacy dialect's
//! TIMESTAMP has milliseconds. `NOT NULL` inside of nested types is read and means nothing here.
//!
//! In an expression a type is kept as `DataType::Custom` whose one name is the type as [`Type`] prints it;
//! [`type_of`] reads it back.

use sqlparser::ast::{DataType, Ident, ObjectName, ObjectNamePart};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Span, Token, Tokenizer};

use super::super::nearest::nearest;
use super::dialect::Flink;
use super::errors::{Parsed, at, expected};
use super::words::{eat, expect, expect_token, is, name};
use crate::record::Type;

const NAMES: &[&str] = &[
    "BOOLEAN",
    "TINYINT",
    "SMALLINT",
    "INT",
    "INTEGER",
    "BIGINT",
    "LONG",
    "FLOAT",
    "DOUBLE",
    "DECIMAL",
    "NUMERIC",
    "CHAR",
    "VARCHAR",
    "STRING",
    "BINARY",
    "VARBINARY",
    "BYTES",
    "DATE",
    "TIME",
    "TIMESTAMP",
    "TIMESTAMP_LTZ",
    "INTERVAL",
    "ARRAY",
    "MAP",
    "MULTISET",
    "ROW",
];
/// What other systems call it.
const ELSEWHERE: &[(&str, &str)] = &[
    ("TEXT", "STRING"),
    ("DATETIME", "TIMESTAMP(3)"),
    ("BOOL", "BOOLEAN"),
    ("INT64", "BIGINT"),
    ("INT32", "INT"),
    ("INT8", "BIGINT"),
    ("INT4", "INT"),
    ("STRUCT", "ROW"),
    ("JSON", "STRING"),
    ("BLOB", "BYTES"),
    ("UUID", "STRING"),
    ("NUMBER", "DECIMAL"),
    ("REAL", "FLOAT"),
    ("FLOAT64", "DOUBLE"),
    ("TIMESTAMPTZ", "TIMESTAMP_LTZ"),
    ("OBJECT", "ROW or MAP"),
    ("LIST", "ARRAY"),
    ("KEYWORD", "STRING"),
    ("SHORT", "SMALLINT"),
    ("BYTE", "TINYINT"),
];
const DEEPEST: usize = 32;

/// The type of a CAST.
pub(crate) fn type_of(data_type: &DataType) -> Result<Type, String> {
    let text = match data_type {
        DataType::Custom(name, _) => match name.0.as_slice() {
            [ObjectNamePart::Identifier(ident)] => ident.value.clone(),
            _ => data_type.to_string(),
        },
        other => other.to_string(),
    };
    let dialect = Flink::new(false);
    let tokens = Tokenizer::new(&dialect, &text).tokenize_with_location().map_err(|e| e.message)?;
    let mut parser = Parser::new(&dialect).with_tokens_with_locations(super::tokens::split_shifts(tokens));
    read(&mut parser, false).map_err(|e| e.message)
}

pub(super) fn as_data_type(ty: &Type, span: Span) -> DataType {
    DataType::Custom(ObjectName::from(vec![Ident::with_span(span, ty.to_string())]), Vec::new())
}

pub(super) fn read(parser: &mut Parser<'_>, legacy: bool) -> Parsed<Type> {
    nested(parser, legacy, 0)
}

fn nested(parser: &mut Parser<'_>, legacy: bool, depth: usize) -> Parsed<Type> {
    if depth > DEEPEST {
        return Err(at(parser.peek_token_ref().span, "this type is nested too deeply"));
    }
    let mut ty = simple(parser, legacy, depth)?;
    // `INT ARRAY` and `INT MULTISET`, the standard's way to write them.
    for _ in 0..DEEPEST {
        let opened = parser.peek_nth_token_ref(1).token == Token::Lt;
        if !opened && eat(parser, &["ARRAY"]) {
            ty = Type::Array(Box::new(ty));
        } else if !opened && eat(parser, &["MULTISET"]) {
            ty = Type::Multiset(Box::new(ty));
        } else {
            break;
        }
    }
    Ok(ty)
}

fn simple(parser: &mut Parser<'_>, legacy: bool, depth: usize) -> Parsed<Type> {
    let start = parser.peek_token_ref().clone();
    let Token::Word(word) = &start.token else { return Err(expected(parser, "a type")) };
    if word.quote_style.is_some() {
        return Err(expected(parser, "a type"));
    }
    parser.advance_token();
    let ty = match word.value.to_ascii_uppercase().as_str() {
        "BOOLEAN" => Type::Boolean,
        "TINYINT" => Type::TinyInt,
        "SMALLINT" => Type::SmallInt,
        "INT" | "INTEGER" => Type::Int,
        "BIGINT" | "LONG" => Type::BigInt,
        "FLOAT" => Type::Float,
        "DOUBLE" => {
            eat(parser, &["PRECISION"]);
            Type::Double
        }
        "STRING" => Type::STRING,
        "BYTES" => Type::BYTES,
        "CHAR" | "CHARACTER" if eat(parser, &["VARYING"]) => Type::Varchar(length(parser)?.unwrap_or(MAX)),
        "CHAR" | "CHARACTER" => Type::Char(length(parser)?.unwrap_or(1)),
        "VARCHAR" => Type::Varchar(length(parser)?.unwrap_or(MAX)),
        "BINARY" if eat(parser, &["VARYING"]) => Type::Varbinary(length(parser)?.unwrap_or(MAX)),
        "BINARY" => Type::Binary(length(parser)?.unwrap_or(1)),
        "VARBINARY" => Type::Varbinary(length(parser)?.unwrap_or(MAX)),
        "DECIMAL" | "DEC" | "NUMERIC" => decimal(parser)?,
        "DATE" => Type::Date,
        "TIME" => {
            let precision = precision(parser, "TIME", 0)?;
            eat(parser, &["WITHOUT", "TIME", "ZONE"]);
            Type::Time(precision)
        }
        "TIMESTAMP" => timestamp(parser, start.span, if legacy { 3 } else { 6 })?,
        "TIMESTAMP_LTZ" => Type::TimestampLtz(precision(parser, "TIMESTAMP_LTZ", 6)?),
        "INTERVAL" => interval(parser)?,
        "ARRAY" => Type::Array(Box::new(enclosed(parser, legacy, depth)?)),
        "MULTISET" => Type::Multiset(Box::new(enclosed(parser, legacy, depth)?)),
        "MAP" => {
            expect_token(parser, &Token::Lt, "\"<\" and the types of key and value, as in MAP<STRING, INT>")?;
            let key = element(parser, legacy, depth)?;
            expect_token(parser, &Token::Comma, "\",\" and the type of the value")?;
            let value = element(parser, legacy, depth)?;
            expect_token(parser, &Token::Gt, "\">\"")?;
            Type::Map(Box::new(key), Box::new(value))
        }
        "ROW" => row(parser, legacy, depth)?,
        other => return Err(at(start.span, unknown(other, &word.value))),
    };
    Ok(ty)
}

const MAX: u32 = i32::MAX as u32;

fn unknown(upper: &str, written: &str) -> String {
    if matches!(upper, "RAW" | "VARIANT" | "SYMBOL" | "NULL") {
        return format!("columns of type {upper} are not in this version");
    }
    let elsewhere = ELSEWHERE.iter().find(|(there, _)| *there == upper).map(|(_, here)| *here);
    match elsewhere.or_else(|| nearest(upper, NAMES.iter().copied())) {
        Some(meant) => format!("unknown type {written}; did you mean {meant}?"),
        None => format!("unknown type {written}; the types are {}", NAMES.join(", ")),
    }
}

fn number(parser: &mut Parser<'_>, what: &str) -> Parsed<u32> {
    let next = parser.peek_token_ref();
    let value = match &next.token {
        Token::Number(text, _) => text.parse().ok(),
        _ => None,
    };
    let Some(value) = value else { return Err(expected(parser, what)) };
    parser.advance_token();
    Ok(value)
}

fn length(parser: &mut Parser<'_>) -> Parsed<Option<u32>> {
    if !parser.consume_token(&Token::LParen) {
        return Ok(None);
    }
    let span = parser.peek_token_ref().span;
    let length = number(parser, "a length")?;
    if !(1..=MAX).contains(&length) {
        return Err(at(span, format!("a length is 1 to {MAX}")));
    }
    expect_token(parser, &Token::RParen, "\")\"")?;
    Ok(Some(length))
}

fn precision(parser: &mut Parser<'_>, name: &str, default: u8) -> Parsed<u8> {
    if !parser.consume_token(&Token::LParen) {
        return Ok(default);
    }
    let span = parser.peek_token_ref().span;
    let precision = number(parser, "a precision")?;
    let message = match precision {
        0..=6 => None,
        7..=9 => Some(format!(
            "{name}({precision}) has nanoseconds, which are not in this version; write {name}(6), microseconds"
        )),
        _ => Some("a precision is 0 to 6".to_owned()),
    };
    expect_token(parser, &Token::RParen, "\")\"")?;
    match (message, u8::try_from(precision)) {
        (None, Ok(precision)) => Ok(precision),
        (message, _) => Err(at(span, message.unwrap_or_default())),
    }
}

fn decimal(parser: &mut Parser<'_>) -> Parsed<Type> {
    if !parser.consume_token(&Token::LParen) {
        return Ok(Type::Decimal(10, 0));
    }
    let span = parser.peek_token_ref().span;
    let precision = number(parser, "a precision, 1 to 38")?;
    let scale = if parser.consume_token(&Token::Comma) { number(parser, "a scale")? } else { 0 };
    expect_token(parser, &Token::RParen, "\")\"")?;
    match (u8::try_from(precision), u8::try_from(scale)) {
        (Ok(precision @ 1..=38), Ok(scale)) if scale <= precision => Ok(Type::Decimal(precision, scale)),
        _ => Err(at(span, "a DECIMAL has a precision of 1 to 38 and a scale of 0 to that precision")),
    }
}

fn timestamp(parser: &mut Parser<'_>, span: Span, default: u8) -> Parsed<Type> {
    let precision = precision(parser, "TIMESTAMP", default)?;
    if eat(parser, &["WITH", "LOCAL", "TIME", "ZONE"]) {
        return Ok(Type::TimestampLtz(precision));
    }
    if eat(parser, &["WITH", "TIME", "ZONE"]) {
        let message = "TIMESTAMP WITH TIME ZONE is not in this version, nor in Flink; write TIMESTAMP_LTZ(3)";
        return Err(at(span, message));
    }
    eat(parser, &["WITHOUT", "TIME", "ZONE"]);
    Ok(Type::Timestamp(precision))
}

fn interval(parser: &mut Parser<'_>) -> Parsed<Type> {
    const MONTHS: &[&str] = &["YEAR", "MONTH"];
    const TIME: &[&str] = &["DAY", "HOUR", "MINUTE", "SECOND"];
    let unit = |parser: &mut Parser<'_>| -> Parsed<Type> {
        let found = |units: &[&str]| units.iter().any(|unit| is(parser, 0, unit));
        let ty = if found(MONTHS) {
            Type::IntervalMonths
        } else if found(TIME) {
            Type::IntervalTime
        } else {
            return Err(expected(parser, "YEAR, MONTH, DAY, HOUR, MINUTE or SECOND"));
        };
        parser.advance_token();
        length(parser)?;
        Ok(ty)
    };
    let first = unit(parser)?;
    if eat(parser, &["TO"]) && unit(parser)? != first {
        return Err(expected(parser, "an interval of months or one of time, not both"));
    }
    Ok(first)
}

fn enclosed(parser: &mut Parser<'_>, legacy: bool, depth: usize) -> Parsed<Type> {
    expect_token(parser, &Token::Lt, "\"<\" and the type of the elements, as in ARRAY<STRING>")?;
    let ty = element(parser, legacy, depth)?;
    expect_token(parser, &Token::Gt, "\">\"")?;
    Ok(ty)
}

fn element(parser: &mut Parser<'_>, legacy: bool, depth: usize) -> Parsed<Type> {
    let ty = nested(parser, legacy, depth + 1)?;
    if eat(parser, &["NOT"]) {
        expect(parser, "NULL")?;
    } else {
        eat(parser, &["NULL"]);
    }
    Ok(ty)
}

fn row(parser: &mut Parser<'_>, legacy: bool, depth: usize) -> Parsed<Type> {
    let close = match parser.peek_token_ref().token {
        Token::Lt => Token::Gt,
        Token::LParen => Token::RParen,
        _ => return Err(expected(parser, "\"<\" and the fields, as in ROW<a INT, b STRING>")),
    };
    parser.advance_token();
    let mut fields: Vec<(String, Type)> = Vec::new();
    loop {
        let field = name(parser, "the name of a field")?;
        fields.push((field.text, element(parser, legacy, depth)?));
        if matches!(parser.peek_token_ref().token, Token::SingleQuotedString(_)) {
            parser.advance_token();
        }
        if parser.consume_token(&close) {
            return Ok(Type::Row(fields));
        }
        expect_token(parser, &Token::Comma, if close == Token::Gt { "\",\" or \">\"" } else { "\",\" or \")\"" })?;
    }
}
