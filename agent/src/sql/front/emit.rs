//! `EMIT …` at the end of an INSERT: cut off before the query is parsed, since to sqlparser the word is an alias.

use sqlparser::ast::{DateTimeField, Expr, Interval, Value};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::super::script::Emit;
use super::dialect::Flink;
use super::errors::{Parsed, at, expected, of_parser};
use super::words::{eat, expect, expect_end, is_word};

/// Where the tail begins, if there is one.
pub(super) fn position(tokens: &[TokenWithSpan]) -> Option<usize> {
    let mut depth = 0_usize;
    tokens.iter().enumerate().position(|(i, token)| {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        let next = tokens.get(i + 1).map(|next| &next.token);
        let follows = |word: &&str| next.is_some_and(|next| is_word(next, word));
        depth == 0
            && is_word(&token.token, "EMIT")
            && ["WITH", "WITHOUT", "STREAM", "CHANGES", "ON"].iter().any(follows)
    })
}

/// `tokens`: from EMIT to the statement's end.
pub(super) fn read(dialect: &Flink, tokens: &[TokenWithSpan]) -> Parsed<Emit> {
    let mut parser = Parser::new(dialect).with_tokens_with_locations(tokens.to_vec());
    expect(&mut parser, "EMIT")?;
    let mut emit = Emit::default();
    loop {
        let span = parser.peek_token_ref().span;
        let delay = if eat(&mut parser, &["WITHOUT", "DELAY"]) {
            0
        } else if eat(&mut parser, &["WITH", "DELAY"]) {
            delay(&mut parser, tokens)?
        } else {
            return Err(expected(&parser, "WITH DELAY '1' MINUTE or WITHOUT DELAY"));
        };
        let before = eat(&mut parser, &["BEFORE", "WATERMARK"]);
        let after = !before && eat(&mut parser, &["AFTER", "WATERMARK"]);
        let twice = "EMIT can say one thing before and one after the watermark; this is said twice";
        for (at_all, said) in
            [(before || !after, &mut emit.before_watermark), (after || !before, &mut emit.after_watermark)]
        {
            if at_all && said.replace(delay).is_some() {
                return Err(at(span, twice));
            }
        }
        if !parser.consume_token(&Token::Comma) {
            expect_end(&parser)?;
            return Ok(emit);
        }
    }
}

/// `'1' MINUTE`, in microseconds.
fn delay(parser: &mut Parser<'_>, tokens: &[TokenWithSpan]) -> Parsed<i64> {
    let span = parser.peek_token_ref().span;
    let interval = parser.parse_interval().map_err(|e| of_parser(e, tokens))?;
    let wrong = || at(span, "a delay is a whole number of units, as in '1' MINUTE");
    let Expr::Interval(Interval { value, leading_field: Some(unit), last_field: None, .. }) = interval else {
        return Err(wrong());
    };
    let Expr::Value(value) = *value else { return Err(wrong()) };
    let number = match value.value {
        Value::SingleQuotedString(text) => text.trim().parse::<f64>().ok(),
        Value::Number(text, _) => text.parse::<f64>().ok(),
        _ => None,
    };
    let seconds = match unit {
        DateTimeField::Second | DateTimeField::Seconds => 1.0,
        DateTimeField::Minute | DateTimeField::Minutes => 60.0,
        DateTimeField::Hour | DateTimeField::Hours => 3_600.0,
        DateTimeField::Day | DateTimeField::Days => 86_400.0,
        _ => return Err(wrong()),
    };
    let number = number.filter(|number| (0.0..=366.0 * 86_400.0).contains(number)).ok_or_else(wrong)?;
    Ok((number * seconds * 1e6).round() as i64)
}
