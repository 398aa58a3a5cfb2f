//! What is wrong with a script, in words that help: what was expected, what stands there, what was probably meant.
//! Texts in quotes are never repeated in a message: they may be passwords.

use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan};

use super::super::nearest::nearest;
use super::super::script::{Place, SqlError};

pub(super) type Parsed<T> = Result<T, SqlError>;

/// Words that begin a part of a query.
const CLAUSES: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP",
    "BY",
    "HAVING",
    "ORDER",
    "INTO",
    "JOIN",
    "LEFT",
    "INNER",
    "UNION",
    "BETWEEN",
    "DISTINCT",
    "INTERVAL",
    "PARTITION",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "AS",
    "AND",
    "OR",
    "NOT",
    "LIKE",
    "IN",
    "ON",
    "IS",
    "NULL",
    "EMIT",
    "DELAY",
    "WATERMARK",
    "MINUTE",
    "SECOND",
    "HOUR",
    "DAY",
    "OVER",
    "LIMIT",
];

pub(super) fn place(at: Location) -> Place {
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    Place { line: number(at.line), column: number(at.column) }
}

pub(super) fn at(span: Span, message: impl Into<String>) -> SqlError {
    let one_line = span.start.line == span.end.line && span.end.column > span.start.column;
    let length = if one_line { u32::try_from(span.end.column - span.start.column).unwrap_or(1) } else { 1 };
    SqlError { place: place(span.start), length, message: message.into() }
}

/// How a token is called in a message.
pub(super) fn show(token: &Token) -> String {
    match token {
        Token::EOF => "the end of the statement".to_owned(),
        Token::Word(word) if word.value.chars().count() > 60 => "a very long name".to_owned(),
        Token::Word(word) => match word.quote_style {
            Some(quote) => format!("{quote}{}{quote}", word.value),
            None => word.value.clone(),
        },
        Token::Number(number, _) if number.len() < 40 => number.clone(),
        Token::Number(..) => "a number".to_owned(),
        Token::SingleQuotedString(_) => "a text in quotes".to_owned(),
        Token::Char(c) if c.is_control() => "a control character".to_owned(),
        other => {
            let text = other.to_string();
            if text.chars().count() > 3 { "another kind of literal".to_owned() } else { format!("\"{text}\"") }
        }
    }
}

/// The refusal of what stands next.
pub(super) fn expected(parser: &Parser<'_>, what: &str) -> SqlError {
    let next = parser.peek_token_ref();
    at(next.span, format!("expected {what}, found {}", show(&next.token)))
}

/// As a hook inside of an expression must say it.
pub(super) fn to_parser(error: &SqlError) -> ParserError {
    let Place { line, column } = error.place;
    ParserError::ParserError(format!("{} at Line: {line}, Column: {column}", error.message))
}

/// `tokens`: those of the statement, the last one being its end.
pub(super) fn of_parser(error: ParserError, tokens: &[TokenWithSpan]) -> SqlError {
    let end = tokens.last().map_or(Span::empty(), |token| token.span);
    let text = match error {
        ParserError::RecursionLimitExceeded => {
            return at(first(tokens), "this is nested too deeply; put inner parts into views");
        }
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
    };
    let (message, location) = cut_location(&text);
    let index = location.and_then(|location| tokens.iter().position(|token| token.span.start == location));
    let span = match (index.and_then(|index| tokens.get(index)), location) {
        (Some(token), _) => token.span,
        (None, Some(location)) => Span::new(location, location),
        (None, None) => end,
    };
    let index = index.unwrap_or(tokens.len().saturating_sub(1));
    if let Some(clause) = taken_for_a_name(tokens, index) {
        let after_comma = "; is the comma before it one too many?";
        let advice = if tokens.get(clause - 1).is_some_and(|t| t.token == Token::Comma) { after_comma } else { "" };
        let token = tokens.get(clause).map_or(Token::EOF, |token| token.token.clone());
        let span = tokens.get(clause).map_or(span, |token| token.span);
        return at(span, format!("expected an expression, found {}{advice}", show(&token)));
    }
    if let Some((meant, token)) = misspelt(tokens, index) {
        return at(token.span, format!("{} is not understood here; did you mean {meant}?", show(&token.token)));
    }
    let found = tokens.get(index).map_or_else(String::new, |token| show(&token.token));
    let message = match message.split_once(", found:") {
        Some((what, _)) => {
            let what = what.trim_start_matches("Expected").trim_start_matches(':').trim();
            let what = if what == "end of statement" { "the end of the statement" } else { what };
            format!("expected {what}, found {found}{}", advice(tokens, index))
        }
        None => message.to_owned(),
    };
    at(span, message)
}

fn first(tokens: &[TokenWithSpan]) -> Span {
    tokens.first().map_or(Span::empty(), |token| token.span)
}

fn cut_location(text: &str) -> (&str, Option<Location>) {
    let Some((message, behind)) = text.rsplit_once(" at Line: ") else { return (text, None) };
    let numbers = behind.split_once(", Column: ");
    let location = numbers.and_then(|(line, column)| {
        Some(Location { line: line.trim().parse().ok()?, column: column.trim().parse().ok()? })
    });
    (message, location.filter(|location| location.line > 0))
}

/// A word that begins a clause where an operand belongs: sqlparser takes it for a column's name.
fn taken_for_a_name(tokens: &[TokenWithSpan], index: usize) -> Option<usize> {
    let begins = ["FROM", "WHERE", "GROUP", "HAVING", "ORDER", "UNION"];
    let operator = |token: &Token| {
        matches!(
            token,
            Token::Comma
                | Token::Eq
                | Token::Lt
                | Token::Gt
                | Token::LtEq
                | Token::GtEq
                | Token::Neq
                | Token::Plus
                | Token::Minus
                | Token::Div
                | Token::StringConcat
        )
    };
    let from = index.checked_sub(1)?.max(1);
    (from..=index).find(|i| {
        let here = tokens.get(*i).map(|token| &token.token);
        let before = i.checked_sub(1).and_then(|i| tokens.get(i)).map(|token| &token.token);
        let clause = |word: &Token| {
            begins
                .iter()
                .any(|b| matches!(word, Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(b)))
        };
        here.is_some_and(clause) && before.is_some_and(operator)
    })
}

/// A word at or shortly before the place that is nearly one that could stand there.
fn misspelt(tokens: &[TokenWithSpan], index: usize) -> Option<(&'static str, &TokenWithSpan)> {
    let near = tokens.get(index.saturating_sub(2)..=index.min(tokens.len().checked_sub(1)?))?;
    near.iter().rev().find_map(|token| {
        let Token::Word(word) = &token.token else { return None };
        let upper = word.value.to_ascii_uppercase();
        if word.quote_style.is_some() || upper.len() < 3 || CLAUSES.contains(&upper.as_str()) {
            return None;
        }
        let meant = nearest(&upper, CLAUSES.iter().copied().filter(|clause| clause.len() > 2))?;
        Some((meant, token))
    })
}

/// What helps with what is often forgotten.
fn advice(tokens: &[TokenWithSpan], index: usize) -> &'static str {
    let token = |i: Option<usize>| i.and_then(|i| tokens.get(i)).map(|token| &token.token);
    let value = |token: Option<&Token>| {
        matches!(token, Some(Token::Word(_) | Token::SingleQuotedString(_) | Token::Number(..) | Token::RParen))
    };
    let (before, here) = (token(index.checked_sub(1)), token(Some(index)));
    let begins = |words: &[&str]| matches!(here, Some(Token::Word(word)) if words.iter().any(|w| word.value.eq_ignore_ascii_case(w)));
    if begins(&["INSERT", "CREATE", "SET"]) {
        return "; is a ; missing before it?";
    }
    if begins(CLAUSES) || !matches!(here, Some(Token::Word(_) | Token::SingleQuotedString(_) | Token::Number(..))) {
        return match before {
            Some(Token::Comma) => "; is the comma before it one too many?",
            _ => "",
        };
    }
    if value(before) { "; is a comma or an operator missing before it?" } else { "" }
}
