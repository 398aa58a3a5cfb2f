//! `WITH (…)` and `SET`: keys and values as people write them, with and without quotes. Legacy keys are bare words,
//! also dotted ones; values are texts, or bare words and numbers.

use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use super::super::script::{Name, Setting, SqlError};
use super::errors::{Parsed, at, expected, place, show};
use super::words::skip_item;

/// Behind the word WITH; goes on behind what is wrong.
pub(super) fn with(parser: &mut Parser<'_>, errors: &mut Vec<SqlError>) -> Vec<Setting> {
    let mut options: Vec<Setting> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    if !parser.consume_token(&Token::LParen) {
        errors.push(expected(parser, "\"(\" and the table's options"));
        return options;
    }
    while !parser.consume_token(&Token::RParen) {
        match option(parser) {
            Ok(option) => {
                if !seen.insert(option.key.text.clone()) {
                    errors.push(twice_given(&option.key));
                }
                options.push(option);
            }
            Err(e) => {
                errors.push(e);
                skip_item(parser);
            }
        }
        if !separator(parser, "an option", errors) {
            break;
        }
    }
    options
}

fn twice_given(key: &Name) -> SqlError {
    let length = u32::try_from(key.text.chars().count() + if key.quoted { 2 } else { 0 }).unwrap_or(1);
    SqlError { place: key.place, length, message: format!("the option {} is given twice; keep one", key.text) }
}

/// Behind an item of a list: takes its comma, and says if one is missing. False at the end of the statement.
pub(super) fn separator(parser: &mut Parser<'_>, item: &str, errors: &mut Vec<SqlError>) -> bool {
    let next = parser.peek_token_ref().clone();
    match next.token {
        Token::Comma => {
            parser.advance_token();
            let behind = parser.peek_token_ref();
            if behind.token == Token::RParen {
                errors.push(at(next.span, format!("{item} is expected behind this comma; take the comma out")));
            }
            true
        }
        Token::RParen => true,
        Token::EOF => {
            errors.push(expected(parser, "\",\" or \")\""));
            false
        }
        Token::Word(_) | Token::SingleQuotedString(_) => {
            errors.push(at(
                next.span,
                format!("expected \",\" or \")\", found {}; is a comma missing before it?", show(&next.token)),
            ));
            true
        }
        _ => {
            errors.push(expected(parser, "\",\" or \")\""));
            skip_item(parser);
            parser.consume_token(&Token::Comma) || parser.peek_token_ref().token != Token::EOF
        }
    }
}

fn option(parser: &mut Parser<'_>) -> Parsed<Setting> {
    let key = key(parser)?;
    if !parser.consume_token(&Token::Eq) {
        return Err(expected(parser, &format!("\"=\" and the value of {}", key.text)));
    }
    Ok(Setting { value: value(parser, &key)?, key })
}

/// A text, or words joined by dots and dashes.
fn key(parser: &mut Parser<'_>) -> Parsed<Name> {
    let start = parser.peek_token_ref().clone();
    let (text, quoted) = match &start.token {
        Token::SingleQuotedString(text) => (text.clone(), true),
        Token::Word(word) => (word.value.clone(), word.quote_style.is_some()),
        _ => return Err(expected(parser, "an option, as in 'key' = 'value'")),
    };
    parser.advance_token();
    let mut key = Name { text, quoted, place: place(start.span.start) };
    if matches!(start.token, Token::SingleQuotedString(_)) {
        return Ok(key);
    }
    loop {
        let (mark, next) = (&parser.peek_token_ref().token, &parser.peek_nth_token_ref(1).token);
        let joined = matches!(mark, Token::Period | Token::Minus) && matches!(next, Token::Word(_) | Token::Number(..));
        // The tokenizer takes `.8` for a number.
        let number = matches!(mark, Token::Number(number, _) if number.starts_with('.'));
        if !joined && !number {
            return Ok(key);
        }
        for _ in 0..if joined { 2 } else { 1 } {
            let token = parser.next_token().token;
            match token {
                Token::Word(word) => key.text.push_str(&word.value),
                other => key.text.push_str(&other.to_string()),
            }
        }
    }
}

fn value(parser: &mut Parser<'_>, key: &Name) -> Parsed<Name> {
    let start = parser.peek_token_ref().clone();
    let what = format!("the value of {}, as in '…'", key.text);
    if let Token::SingleQuotedString(text) = start.token {
        parser.advance_token();
        return Ok(Name { text, quoted: true, place: place(start.span.start) });
    }
    let mut text = String::new();
    let mut end = start.span.start;
    while parser.peek_token_ref().span.start == end || text.is_empty() {
        match &parser.peek_token_ref().token {
            Token::Word(word) => text.push_str(&word.value),
            token @ (Token::Number(..) | Token::Minus | Token::Period) => text.push_str(&token.to_string()),
            _ => break,
        }
        end = parser.next_token().span.end;
    }
    if text.is_empty() {
        return Err(expected(parser, &what));
    }
    Ok(Name { text, quoted: false, place: place(start.span.start) })
}

/// `SET 'key' = 'value'` and `SET key = value to the end`; `tokens`: all of the statement behind SET, blanks too.
pub(super) fn set(parser: &mut Parser<'_>, blanks: &[TokenWithSpan]) -> Parsed<Setting> {
    if parser.peek_token_ref().token == Token::EOF {
        return Err(expected(parser, "a setting, as in SET 'key' = 'value'"));
    }
    let key = key(parser)?;
    if !parser.consume_token(&Token::Eq) {
        return Err(expected(parser, &format!("\"=\" and the value of {}", key.text)));
    }
    let first = parser.peek_token_ref().clone();
    if let Token::SingleQuotedString(text) = &first.token {
        let text = text.clone();
        parser.advance_token();
        super::words::expect_end(parser)?;
        return Ok(Setting { key, value: Name { text, quoted: true, place: place(first.span.start) } });
    }
    if first.token == Token::EOF {
        return Err(expected(parser, &format!("the value of {}", key.text)));
    }
    let from = blanks.iter().position(|token| token.span == first.span).unwrap_or(blanks.len());
    let rest = blanks.get(from..).unwrap_or_default();
    let text: String = rest.iter().filter(|token| !is_comment(token)).map(|token| token.token.to_string()).collect();
    let value = Name { text: text.trim().to_owned(), quoted: false, place: place(first.span.start) };
    Ok(Setting { key, value })
}

fn is_comment(token: &TokenWithSpan) -> bool {
    use sqlparser::tokenizer::Whitespace::{MultiLineComment, SingleLineComment};
    matches!(token.token, Token::EOF | Token::Whitespace(MultiLineComment(_) | SingleLineComment { .. }))
}

pub(super) fn span_of(tokens: &[TokenWithSpan]) -> Span {
    tokens.first().map_or(Span::empty(), |token| token.span)
}
