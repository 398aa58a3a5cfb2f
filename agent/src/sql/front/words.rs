//! Reading tokens one by one: small words over sqlparser's `Parser`, which keeps the position. Case never counts
//! for keywords, and only unquoted words are keywords.

use sqlparser::ast::Ident;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Span, Token};

use super::super::script::Name;
use super::errors::{Parsed, at, expected, place};

/// Is the n-th token from here this word?
pub(super) fn is(parser: &Parser<'_>, n: usize, word: &str) -> bool {
    is_word(&parser.peek_nth_token_ref(n).token, word)
}

pub(super) fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
}

/// Takes these words if just they follow.
pub(super) fn eat(parser: &mut Parser<'_>, words: &[&str]) -> bool {
    let all = words.iter().enumerate().all(|(n, word)| is(parser, n, word));
    if all {
        words.iter().for_each(|_| parser.advance_token());
    }
    all
}

pub(super) fn expect(parser: &mut Parser<'_>, word: &str) -> Parsed<()> {
    if eat(parser, &[word]) { Ok(()) } else { Err(expected(parser, word)) }
}

pub(super) fn expect_token(parser: &mut Parser<'_>, token: &Token, what: &str) -> Parsed<Span> {
    let span = parser.peek_token_ref().span;
    if parser.consume_token(token) { Ok(span) } else { Err(expected(parser, what)) }
}

pub(super) fn expect_end(parser: &Parser<'_>) -> Parsed<()> {
    let end = parser.peek_token_ref().token == Token::EOF;
    if end { Ok(()) } else { Err(expected(parser, "the end of the statement")) }
}

pub(super) fn name_of(ident: &Ident) -> Name {
    Name { text: ident.value.clone(), quoted: ident.quote_style.is_some(), place: place(ident.span.start) }
}

/// A name of one word; any word will do, also one that is a keyword elsewhere.
pub(super) fn name(parser: &mut Parser<'_>, what: &str) -> Parsed<Name> {
    if !matches!(parser.peek_token_ref().token, Token::Word(_)) {
        return Err(expected(parser, what));
    }
    let token = parser.next_token();
    match token.token {
        Token::Word(word) => Ok(name_of(&word.into_ident(token.span))),
        _ => Err(at(token.span, format!("expected {what}"))),
    }
}

/// A table's name. Catalogs and databases there are none but Flink's default ones.
pub(super) fn table_name(parser: &mut Parser<'_>, what: &str) -> Parsed<Name> {
    let start = parser.peek_token_ref().span;
    let mut parts = vec![name(parser, what)?];
    while parser.consume_token(&Token::Period) {
        parts.push(name(parser, what)?);
    }
    let last = parts.pop().ok_or_else(|| at(start, format!("expected {what}")))?;
    let known = |part: &Name| ["default_catalog", "default_database"].contains(&part.text.as_str());
    if parts.iter().all(known) {
        return Ok(Name { place: place(start.start), ..last });
    }
    Err(at(start, format!("there are no catalogs and databases here; write the table's own name, {}", last.text)))
}

pub(super) fn names(parser: &mut Parser<'_>, what: &str) -> Parsed<Vec<Name>> {
    expect_token(parser, &Token::LParen, "\"(\"")?;
    let mut names = vec![name(parser, what)?];
    while parser.consume_token(&Token::Comma) {
        names.push(name(parser, what)?);
    }
    expect_token(parser, &Token::RParen, "\",\" or \")\"")?;
    Ok(names)
}

/// A text in quotes.
pub(super) fn text(parser: &mut Parser<'_>, what: &str) -> Parsed<Name> {
    let next = parser.peek_token_ref();
    let (Token::SingleQuotedString(text), start) = (&next.token, next.span.start) else {
        return Err(expected(parser, what));
    };
    let text = Name { text: text.clone(), quoted: true, place: place(start) };
    parser.advance_token();
    Ok(text)
}

/// Skips to the comma or closing bracket that ends this item of a list, or to the end of the statement.
pub(super) fn skip_item(parser: &mut Parser<'_>) {
    let mut depth = 0_usize;
    loop {
        match parser.peek_token_ref().token {
            Token::EOF => return,
            Token::Comma | Token::RParen if depth == 0 => return,
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        parser.advance_token();
    }
}
