//! The statements that move data, `INSERT INTO` and `CREATE VIEW`, and those that are refused, each by its name and
//! with what to do instead.

use sqlparser::ast::Query;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use super::super::nearest::did_you_mean;
use super::super::script::{Insert, SqlError, View};
use super::dialect::Flink;
use super::errors::{Parsed, at, expected, of_parser, place, show};
use super::tokens::Raw;
use super::words::{eat, expect, expect_end, expect_token, is, name, names, table_name, text};
use super::{DEPTH, emit};

/// First words of statements, and why they are refused.
const REFUSED: &[(&str, &str)] = &[
    ("SELECT", "a SELECT of its own gives its rows to nobody; write INSERT INTO a table before it"),
    ("WITH", "a query of its own gives its rows to nobody; write INSERT INTO a table before it"),
    ("VALUES", "a query of its own gives its rows to nobody; write INSERT INTO a table before it"),
    ("USE", "there are no catalogs and databases here; take it out"),
    ("SHOW", "SHOW is for a console; take it out"),
    ("DESCRIBE", "DESCRIBE is for a console; take it out"),
    ("DESC", "DESC is for a console; take it out"),
    ("EXPLAIN", "EXPLAIN is for a console; `splashdam explain FILE` shows the plan"),
    ("DROP", "nothing outlives a script here, so nothing is dropped; take it out"),
    ("ALTER", "ALTER is not in this version; change the CREATE statement"),
    ("DELETE", "DELETE is not in this version; a script reads sources and INSERTs INTO sinks"),
    ("UPDATE", "UPDATE is not in this version; a sink table with a PRIMARY KEY is updated by INSERT INTO"),
    ("TRUNCATE", "TRUNCATE is not in this version"),
    ("MERGE", "MERGE is not in this version; a sink table with a PRIMARY KEY is updated by INSERT INTO"),
    ("UPSERT", "UPSERT is not in this version; INSERT INTO a table with a PRIMARY KEY does it"),
    ("REPLACE", "REPLACE is not in this version; INSERT INTO a table with a PRIMARY KEY does it"),
    ("ANALYZE", "ANALYZE is for a console; take it out"),
    ("LOAD", "modules can't be loaded; Flink's functions are built in"),
    ("UNLOAD", "modules can't be unloaded; take it out"),
    ("RESET", "RESET is for a console; take it out together with the SET"),
    ("ADD", "jars are not run here, nor the functions in them; write the query with built-in functions"),
    ("REMOVE", "jars are not run here; take it out"),
    ("COMPILE", "compiled plans are Flink's own; take it out"),
    ("CALL", "procedures are not in this version; take it out"),
    ("STOP", "jobs are stopped by splashctl; take it out"),
    ("QUIT", "this is for a console; take it out"),
    ("EXIT", "this is for a console; take it out"),
];

/// What CREATE can be followed by, and why it is refused.
const REFUSED_OBJECTS: &[(&str, &str)] = &[
    ("FUNCTION", "functions of one's own are not in this version; write the query with built-in functions"),
    ("CATALOG", "there are no catalogs here; write CREATE TABLE with the connector's options"),
    ("DATABASE", "there are no databases here; take it out"),
    ("MODEL", "models are not in this version"),
    ("MATERIALIZED", "materialized tables are not in this version; write CREATE VIEW and INSERT INTO"),
    ("OR", "CREATE OR REPLACE is not in this version; write CREATE"),
    ("EXTERNAL", "CREATE EXTERNAL is Hive's; write CREATE TABLE with the connector's options"),
    ("SYSTEM", "functions of one's own are not in this version; write the query with built-in functions"),
];

/// The refusal of a statement that begins with none of the words this version knows.
pub(super) fn unknown(tokens: &[TokenWithSpan]) -> SqlError {
    let (token, span) = tokens.first().map_or((&Token::EOF, Span::empty()), |first| (&first.token, first.span));
    let Token::Word(word) = token else {
        return at(span, format!("expected a statement, found {}", show(token)));
    };
    let upper = word.value.to_ascii_uppercase();
    if let Some((_, why)) = REFUSED.iter().find(|(name, _)| *name == upper) {
        return at(span, *why);
    }
    let known = ["CREATE", "INSERT", "SET", "BEGIN", "EXECUTE", "END"];
    let meant = did_you_mean(&upper, known.into_iter().chain(["SELECT", "DROP", "ALTER"]));
    at(span, format!("no statement begins with {}{meant}", show(token)))
}

pub(super) fn unknown_object(parser: &Parser<'_>) -> SqlError {
    let next = parser.peek_token_ref();
    if let Some((_, why)) = REFUSED_OBJECTS.iter().find(|(word, _)| is(parser, 0, word)) {
        return at(next.span, *why);
    }
    let shown = show(&next.token);
    let meant = did_you_mean(&shown, ["TABLE", "VIEW", "TEMPORARY", "FUNCTION"]);
    at(next.span, format!("expected TABLE or VIEW, found {shown}{meant}"))
}

/// An INSERT, from its first word.
pub(super) fn insert(dialect: &Flink, raw: &Raw) -> Parsed<Insert> {
    let tail = emit::position(&raw.tokens);
    let (head, tail) = raw.tokens.split_at(tail.unwrap_or(raw.tokens.len().saturating_sub(1)));
    let mut tokens = head.to_vec();
    tokens.push(end_before(tail, &raw.tokens));
    let mut parser = Parser::new(dialect).with_tokens_with_locations(tokens.clone()).with_recursion_limit(DEPTH);
    let start = parser.next_token().span;
    if is(&parser, 0, "OVERWRITE") {
        return Err(expected(&parser, "INTO: INSERT OVERWRITE is not in this version"));
    }
    if !eat(&mut parser, &["INTO"]) {
        let meant = did_you_mean(&show(&parser.peek_token_ref().token), ["INTO"]);
        let mut error = expected(&parser, "INTO");
        error.message.push_str(&meant);
        return Err(error);
    }
    let target = table_name(&mut parser, "the name of a sink table")?;
    if is(&parser, 0, "PARTITION") {
        return Err(expected(&parser, "a query: PARTITION (…) is not in this version"));
    }
    let listed = parser.peek_token_ref().token == Token::LParen
        && !["SELECT", "WITH", "VALUES"].iter().any(|word| is(&parser, 1, word))
        && parser.peek_nth_token_ref(1).token != Token::LParen;
    let columns = if listed { names(&mut parser, "the name of a column")? } else { Vec::new() };
    let query = query(dialect, parser, &tokens)?;
    let emit = if tail.len() > 1 { Some(emit::read(dialect, tail)?) } else { None };
    Ok(Insert { target, columns, query, emit, hints: raw.hints.clone(), place: place(start.start) })
}

/// The end of a query that something else follows.
fn end_before(tail: &[TokenWithSpan], all: &[TokenWithSpan]) -> TokenWithSpan {
    let span = tail.first().or(all.last()).map_or(Span::empty(), |token| Span::new(token.span.start, token.span.start));
    TokenWithSpan::new(Token::EOF, span)
}

/// A view, behind `CREATE [TEMPORARY] VIEW`.
pub(super) fn view(dialect: &Flink, mut parser: Parser<'_>, raw: &Raw) -> Parsed<View> {
    eat(&mut parser, &["IF", "NOT", "EXISTS"]);
    let view = table_name(&mut parser, "the name of the view")?;
    let mut columns = Vec::new();
    if parser.consume_token(&Token::LParen) {
        loop {
            columns.push(name(&mut parser, "the name of a column")?);
            if eat(&mut parser, &["COMMENT"]) {
                text(&mut parser, "the comment, as a text in quotes")?;
            }
            if !parser.consume_token(&Token::Comma) {
                expect_token(&mut parser, &Token::RParen, "\",\" or \")\"")?;
                break;
            }
        }
    }
    if eat(&mut parser, &["COMMENT"]) {
        text(&mut parser, "the comment, as a text in quotes")?;
    }
    expect(&mut parser, "AS")?;
    if let Some(tail) = emit::position(&raw.tokens) {
        let span = raw.tokens.get(tail).map_or_else(Span::empty, |token| token.span);
        return Err(at(span, "EMIT stands at the end of INSERT INTO … SELECT, not in a view"));
    }
    Ok(View { name: view, columns, query: query(dialect, parser, &raw.tokens)?, hints: raw.hints.clone() })
}

fn query(dialect: &Flink, mut parser: Parser<'_>, tokens: &[TokenWithSpan]) -> Parsed<Box<Query>> {
    let begins = parser.peek_token_ref().token == Token::LParen
        || ["SELECT", "WITH", "VALUES", "TABLE"].iter().any(|word| is(&parser, 0, word));
    if !begins {
        let found = show(&parser.peek_token_ref().token);
        let mut error = expected(&parser, "a query");
        error.message.push_str(&did_you_mean(&found, ["SELECT", "VALUES", "WITH"]));
        return Err(error);
    }
    let wrong = match parser.parse_query() {
        Ok(query) if parser.peek_token_ref().token == Token::EOF => return Ok(query),
        Ok(_) => match expect_end(&parser) {
            Err(_) => {
                let here = parser.peek_token_ref();
                let text = format!(
                    "Expected: end of statement, found: {} at Line: {}, Column: {}",
                    here.token, here.span.start.line, here.span.start.column
                );
                of_parser(sqlparser::parser::ParserError::ParserError(text), tokens)
            }
            Ok(()) => return Err(expected(&parser, "a query")),
        },
        Err(e) => of_parser(e, tokens),
    };
    if let Some(refused) = dialect.take_refused() {
        return Err(refused);
    }
    Err(in_subquery(dialect, tokens).unwrap_or(wrong))
}

/// sqlparser tries several ways at a bracket and reports where the last one failed; what is wrong inside of a subquery
/// is said best by that subquery alone.
fn in_subquery(dialect: &Flink, tokens: &[TokenWithSpan]) -> Option<SqlError> {
    let mut open = Vec::new();
    let mut tried = 0;
    for (i, token) in tokens.iter().enumerate() {
        match token.token {
            Token::LParen => open.push(i + 1),
            Token::RParen => {
                let part = open.pop().and_then(|start| tokens.get(start..i)).unwrap_or_default();
                let query = part.first().is_some_and(|first| {
                    ["SELECT", "WITH"].iter().any(|word| super::words::is_word(&first.token, word))
                });
                tried += usize::from(query);
                if query && tried < 50 {
                    let mut part = part.to_vec();
                    part.push(TokenWithSpan::new(Token::EOF, token.span));
                    let mut parser =
                        Parser::new(dialect).with_tokens_with_locations(part.clone()).with_recursion_limit(DEPTH);
                    let result = parser.parse_query();
                    if let Err(e) = result {
                        return Some(dialect.take_refused().unwrap_or_else(|| of_parser(e, &part)));
                    }
                    if expect_end(&parser).is_err() {
                        let here = parser.peek_token_ref();
                        let text = format!(
                            "Expected: \")\", found: {} at Line: {}, Column: {}",
                            here.token, here.span.start.line, here.span.start.column
                        );
                        return Some(of_parser(sqlparser::parser::ParserError::ParserError(text), &part));
                    }
                }
            }
            _ => {}
        }
    }
    None
}
