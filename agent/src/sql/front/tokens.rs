//! A script's tokens, cut at `;` into statements with their hints, and the bounds that keep parsing from running away:
//! brackets that don't match are found here, and nesting and chains of operators are capped.

use sqlparser::dialect::Dialect;
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer, Whitespace};

use super::super::script::{Hint, Name, Setting, SqlError};
use super::errors::{at, place, show};
use super::words::is_word;

/// Nested brackets of one statement.
const DEEPEST: usize = 40;
/// Operators between the same brackets, summed over the brackets around: as deep is the tree.
const LONGEST_CHAIN: usize = 400;

/// One statement: its tokens without blanks and comments, ended by `EOF`.
#[derive(Debug)]
pub(super) struct Raw {
    pub(super) tokens: Vec<TokenWithSpan>,
    pub(super) hints: Vec<Hint>,
    pub(super) errors: Vec<SqlError>,
}

/// Flink has no `>>`, but types end with it.
pub(super) fn split_shifts(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let halves = |token: TokenWithSpan| {
        if token.token != Token::ShiftRight {
            return [Some(token), None];
        }
        let Span { start, end } = token.span;
        let middle = Location { column: start.column + 1, ..start };
        [(start, middle), (middle, end)].map(|(from, to)| Some(TokenWithSpan::new(Token::Gt, Span::new(from, to))))
    };
    tokens.into_iter().flat_map(halves).flatten().collect()
}

/// One statement, cut off at its `;`.
pub(super) fn statement(part: &[TokenWithSpan], dialect: &dyn Dialect) -> Raw {
    let mut raw = Raw { tokens: Vec::new(), hints: Vec::new(), errors: Vec::new() };
    for token in part {
        match &token.token {
            Token::Whitespace(Whitespace::MultiLineComment(text)) if text.starts_with('+') => {
                let table = hinted(&raw.tokens);
                match hints(text, token.span, &table, dialect) {
                    Ok(hints) => raw.hints.extend(hints),
                    Err(e) => raw.errors.push(e),
                }
            }
            Token::Whitespace(_) | Token::EOF => {}
            _ => raw.tokens.push(token.clone()),
        }
    }
    let end = raw.tokens.last().map_or(Span::empty(), |token| token.span);
    let end = Span::new(end.end, end.end);
    if let Err(e) = check(&raw.tokens) {
        raw.errors.push(e);
    }
    raw.tokens.push(TokenWithSpan::new(Token::EOF, end));
    raw
}

/// The table that a hint at this place speaks of.
fn hinted(before: &[TokenWithSpan]) -> String {
    match before.last().map(|token| &token.token) {
        Some(Token::Word(word)) if word.quote_style.is_some() || !word.value.eq_ignore_ascii_case("select") => {
            word.value.clone()
        }
        _ => String::new(),
    }
}

/// Words that only a statement begins with, further behind.
fn second_statement(tokens: &[TokenWithSpan]) -> Option<&TokenWithSpan> {
    const PAIRS: &[(&str, &str)] =
        &[("INSERT", "INTO"), ("CREATE", "TABLE"), ("CREATE", "TEMPORARY"), ("CREATE", "VIEW")];
    let found = tokens.windows(3).find(|three| {
        let [before, first, second] = three else { return false };
        let is = |(one, other): &(&str, &str)| is_word(&first.token, one) && is_word(&second.token, other);
        !is_word(&before.token, "BEGIN") && PAIRS.iter().any(is)
    });
    found.and_then(|three| three.get(1))
}

/// Brackets match, and nothing is nested or chained beyond the caps.
fn check(tokens: &[TokenWithSpan]) -> Result<(), SqlError> {
    if let Some(second) = second_statement(tokens) {
        return Err(at(
            second.span,
            format!("another statement begins here; is a ; missing before {}?", show(&second.token)),
        ));
    }
    // The bracket and the operators since it or since the last comma at its level.
    let mut open: Vec<(&TokenWithSpan, usize)> = Vec::new();
    let (mut top, mut chain) = (0_usize, 0_usize);
    for token in tokens {
        match &token.token {
            Token::LParen | Token::LBracket => {
                open.push((token, 0));
                if open.len() > DEEPEST {
                    let message = format!("brackets are nested more than {DEEPEST} deep; put inner parts into views");
                    return Err(at(token.span, message));
                }
            }
            Token::RParen | Token::RBracket => {
                let wanted = if token.token == Token::RParen { Token::LParen } else { Token::LBracket };
                match open.pop() {
                    Some((bracket, count)) if bracket.token == wanted => chain -= count,
                    Some((bracket, _)) => {
                        return Err(at(bracket.span, format!("this {} is never closed", show(&bracket.token))));
                    }
                    None => {
                        let message = format!("this {} closes a bracket that was never opened", show(&token.token));
                        return Err(at(token.span, message));
                    }
                }
            }
            Token::Comma => {
                let count = open.last_mut().map_or(&mut top, |(_, count)| count);
                chain -= std::mem::take(count);
            }
            Token::SingleQuotedString(_) | Token::Number(..) => {}
            // Case branches lie side by side; every other word or sign may be an operator that makes the tree deeper.
            word if ["WHEN", "THEN", "ELSE"].iter().any(|w| is_word(word, w)) => {}
            Token::Word(word) if word.keyword == sqlparser::keywords::Keyword::NoKeyword => {}
            _ => {
                *open.last_mut().map_or(&mut top, |(_, count)| count) += 1;
                chain += 1;
                if chain > LONGEST_CHAIN {
                    let message = format!(
                        "more than {LONGEST_CHAIN} operators in one expression; write IN (…), or put parts into views"
                    );
                    return Err(at(token.span, message));
                }
            }
        }
    }
    match open.last() {
        Some((bracket, _)) => Err(at(bracket.span, format!("this {} is never closed", show(&bracket.token)))),
        None => Ok(()),
    }
}

/// `+ OPTIONS('k'='v', …), STATE_TTL('t'='1d')`.
fn hints(text: &str, span: Span, table: &str, dialect: &dyn Dialect) -> Result<Vec<Hint>, SqlError> {
    let tokens = Tokenizer::new(dialect, text).tokenize_with_location();
    let tokens = tokens.map_err(|_| at(span, "this hint is not closed properly"))?;
    // The text begins behind the two letters that open the comment.
    let moved = |at: Location| {
        let column = if at.line == 1 { span.start.column + 1 + at.column } else { at.column };
        Location { line: span.start.line + at.line - 1, column }
    };
    let mut rest = tokens
        .iter()
        .filter(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF | Token::Plus))
        .map(|token| (&token.token, Span::new(moved(token.span.start), moved(token.span.end))))
        .peekable();
    let wrong = |span| at(span, "a hint looks like this: /*+ OPTIONS('key'='value') */");
    let mut hints = Vec::new();
    while let Some((token, here)) = rest.next() {
        if matches!(token, Token::Comma) {
            continue;
        }
        let Token::Word(word) = token else { return Err(wrong(here)) };
        let mut hint = Hint {
            table: table.to_owned(),
            name: word.value.to_ascii_uppercase(),
            values: Vec::new(),
            place: place(here.start),
        };
        if !matches!(rest.next(), Some((Token::LParen, _))) {
            return Err(wrong(here));
        }
        loop {
            let key = match rest.next() {
                Some((Token::RParen, _)) => break,
                Some((Token::Comma, _)) => continue,
                Some((token, span)) => value(token, span).ok_or_else(|| wrong(span))?,
                None => return Err(wrong(here)),
            };
            let mut key = key;
            while rest.next_if(|(token, _)| **token == Token::Period).is_some() {
                let (token, span) = rest.next().ok_or_else(|| wrong(here))?;
                let part = value(token, span).ok_or_else(|| wrong(span))?;
                key.text = format!("{}.{}", key.text, part.text);
            }
            let mut setting = Setting { value: Name { text: String::new(), ..key.clone() }, key };
            if rest.next_if(|(token, _)| **token == Token::Eq).is_some() {
                let (token, span) = rest.next().ok_or_else(|| wrong(here))?;
                setting.value = value(token, span).ok_or_else(|| wrong(span))?;
            }
            hint.values.push(setting);
        }
        hints.push(hint);
    }
    Ok(hints)
}

fn value(token: &Token, span: Span) -> Option<Name> {
    let (text, quoted) = match token {
        Token::SingleQuotedString(text) => (text.clone(), true),
        Token::Word(word) => (word.value.clone(), word.quote_style.is_some()),
        Token::Number(number, _) => (number.clone(), false),
        _ => return None,
    };
    Some(Name { text, quoted, place: place(span.start) })
}
