//! `CREATE TABLE`, in both dialects. What is wrong with one element does not hide what is wrong with the next.

use sqlparser::ast::Expr;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use super::super::nearest::did_you_mean;
use super::super::script::{ColumnKind, Name, SqlError, Table, TableColumn, Watermark};
use super::dialect::Flink;
use super::errors::{Parsed, at, expected, of_parser, place};
use super::like::Like;
use super::words::{eat, expect, is, is_word, name, names, skip_item, table_name, text};
use super::{options, types};

/// What the statement is read with.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) dialect: &'a Flink,
    pub(super) legacy: bool,
    /// All of the statement.
    pub(super) tokens: &'a [TokenWithSpan],
}

/// A table, and the one that it is LIKE.
pub(super) struct Created {
    pub(super) table: Table,
    pub(super) like: Option<Like>,
}

/// Behind `CREATE [TEMPORARY] TABLE`.
pub(super) fn create(parser: &mut Parser<'_>, context: Context<'_>, errors: &mut Vec<SqlError>) -> Parsed<Created> {
    eat(parser, &["IF", "NOT", "EXISTS"]);
    let name = table_name(parser, "the name of the table")?;
    let mut table = Table {
        options_at: name.place,
        name,
        columns: Vec::new(),
        watermark: None,
        primary_key: Vec::new(),
        partitioned_by: Vec::new(),
        options: Vec::new(),
    };
    let before = errors.len();
    if parser.consume_token(&Token::LParen) {
        while !parser.consume_token(&Token::RParen) {
            if let Err(e) = element(parser, &mut table, context) {
                errors.push(e);
                skip_item(parser);
            }
            if !options::separator(parser, "a column", errors) {
                break;
            }
        }
    }
    let whole = errors.len() == before;
    let like = clauses(parser, &mut table, errors)?;
    if like.is_none() && whole {
        check_names(&table, errors);
    }
    Ok(Created { table, like })
}

/// Behind the columns.
fn clauses(parser: &mut Parser<'_>, table: &mut Table, errors: &mut Vec<SqlError>) -> Parsed<Option<Like>> {
    let mut like = None;
    loop {
        let span = parser.peek_token_ref().span;
        if eat(parser, &["COMMENT"]) {
            text(parser, "the comment, as a text in quotes")?;
        } else if eat(parser, &["PARTITIONED", "BY"]) {
            table.partitioned_by = names(parser, "the name of a column")?;
        } else if eat(parser, &["WITH"]) {
            table.options_at = place(span.start);
            table.options = options::with(parser, errors);
        } else if eat(parser, &["LIKE"]) {
            like = Some(Like::read(parser)?);
        } else if eat(parser, &["DISTRIBUTED"]) {
            return Err(at(
                span,
                "DISTRIBUTED BY is not in this version; a table is a source or a sink outside, take it out",
            ));
        } else if is(parser, 0, "AS") {
            return Err(at(
                span,
                "CREATE TABLE … AS SELECT is not in this version; write CREATE TABLE with columns, then INSERT INTO",
            ));
        } else if parser.peek_token_ref().token == Token::EOF {
            return Ok(like);
        } else {
            return Err(expected(parser, "WITH (…), PARTITIONED BY, COMMENT, LIKE or the end of the statement"));
        }
    }
}

fn element(parser: &mut Parser<'_>, table: &mut Table, context: Context<'_>) -> Parsed<()> {
    let span = parser.peek_token_ref().span;
    if is(parser, 0, "PERIOD") && is(parser, 1, "FOR") {
        let message = "PERIOD FOR SYSTEM_TIME makes a dimension table, and joins with those are not in this version";
        return Err(at(span, message));
    }
    if is(parser, 0, "CONSTRAINT") && is(parser, 2, "PRIMARY") {
        eat(parser, &["CONSTRAINT"]);
        name(parser, "the name of the constraint")?;
    }
    if is(parser, 0, "PRIMARY") && is(parser, 1, "KEY") {
        eat(parser, &["PRIMARY", "KEY"]);
        if !table.primary_key.is_empty() {
            return Err(at(span, "a table has one PRIMARY KEY; this is the second"));
        }
        table.primary_key = names(parser, "the name of a column")?;
        return not_enforced(parser);
    }
    if is(parser, 0, "UNIQUE") && parser.peek_nth_token_ref(1).token == Token::LParen {
        return Err(at(span, "UNIQUE is not in this version; a table can have a PRIMARY KEY (…) NOT ENFORCED"));
    }
    if is(parser, 0, "WATERMARK") && (is(parser, 1, "FOR") || is(parser, 2, "FOR")) {
        return watermark(parser, table, context);
    }
    column(parser, table, context)
}

fn not_enforced(parser: &mut Parser<'_>) -> Parsed<()> {
    if is(parser, 0, "ENFORCED") {
        return Err(expected(parser, "NOT ENFORCED: nobody checks that the key is unique"));
    }
    if eat(parser, &["NOT"]) {
        expect(parser, "ENFORCED")?;
    }
    Ok(())
}

fn watermark(parser: &mut Parser<'_>, table: &mut Table, context: Context<'_>) -> Parsed<()> {
    let span = parser.next_token().span;
    if !is(parser, 0, "FOR") {
        parser.advance_token();
    }
    expect(parser, "FOR")?;
    let column = name(parser, "the name of the time column")?;
    if parser.peek_token_ref().token == Token::Period {
        return Err(expected(parser, "a column of its own: a watermark for a nested field is not in this version"));
    }
    expect(parser, "AS")?;
    let expression = expression(parser, context)?;
    if table.watermark.is_some() {
        return Err(at(span, "a table has one WATERMARK; this is the second"));
    }
    table.watermark = Some(Watermark { column, expression, place: place(span.start) });
    Ok(())
}

fn expression(parser: &mut Parser<'_>, context: Context<'_>) -> Parsed<Expr> {
    parser.parse_expr().map_err(|e| context.dialect.take_refused().unwrap_or_else(|| of_parser(e, context.tokens)))
}

fn column(parser: &mut Parser<'_>, table: &mut Table, context: Context<'_>) -> Parsed<()> {
    let name = name(parser, "a column, PRIMARY KEY or WATERMARK")?;
    let mut column = if eat(parser, &["AS"]) {
        TableColumn { name, kind: ColumnKind::Computed(expression(parser, context)?), not_null: false }
    } else {
        TableColumn { name, kind: ColumnKind::Physical(types::read(parser, context.legacy)?), not_null: false }
    };
    loop {
        let next = parser.peek_token_ref().clone();
        if eat(parser, &["NOT", "NULL"]) {
            column.not_null = true;
        } else if eat(parser, &["COMMENT"]) {
            text(parser, "the comment, as a text in quotes")?;
        } else if eat(parser, &["PRIMARY", "KEY"]) {
            if !table.primary_key.is_empty() {
                return Err(at(next.span, "a table has one PRIMARY KEY; this is the second"));
            }
            table.primary_key = vec![column.name.clone()];
            not_enforced(parser)?;
        } else if eat(parser, &["METADATA"]) {
            let key =
                if eat(parser, &["FROM"]) { Some(text(parser, "the key of the metadata, in quotes")?) } else { None };
            let is_virtual = eat(parser, &["VIRTUAL"]);
            metadata(&mut column, key, is_virtual, next.span)?;
        } else if eat(parser, &["HEADER"]) {
            metadata(&mut column, None, true, next.span)?;
        } else if !eat(parser, &["NULL"]) {
            refuse_other(&next.token, next.span)?;
            break;
        }
    }
    table.columns.push(column);
    Ok(())
}

fn metadata(column: &mut TableColumn, key: Option<Name>, is_virtual: bool, span: Span) -> Parsed<()> {
    let ColumnKind::Physical(ty) = &column.kind else {
        return Err(at(span, "a column is computed or METADATA, not both"));
    };
    let key = key.map_or_else(|| column.name.text.clone(), |key| key.text);
    column.kind = ColumnKind::Metadata { ty: ty.clone(), key, is_virtual };
    Ok(())
}

/// What other databases can say of a column.
fn refuse_other(token: &Token, span: Span) -> Parsed<()> {
    let other = ["DEFAULT", "AUTO_INCREMENT", "UNIQUE", "CHECK", "REFERENCES", "GENERATED", "COLLATE", "ON"];
    match other.iter().find(|word| is_word(token, word)) {
        Some(word) => Err(at(span, format!("columns have no {word} in Flink SQL; take it out"))),
        None => Ok(()),
    }
}

/// No column twice; the key, the watermark and the partitions name columns that there are.
pub(super) fn check_names(table: &Table, errors: &mut Vec<SqlError>) {
    let said = |name: &Name, message: String| {
        let length = u32::try_from(name.text.chars().count()).unwrap_or(1);
        SqlError { place: name.place, length: length + if name.quoted { 2 } else { 0 }, message }
    };
    for (i, column) in table.columns.iter().enumerate() {
        let before = table.columns.get(..i).unwrap_or_default();
        if before.iter().any(|other| other.name.text == column.name.text) {
            errors.push(said(&column.name, format!("the table has two columns {}", column.name.text)));
        }
    }
    if table.columns.is_empty() {
        errors.push(said(&table.name, format!("the table {} has no columns", table.name.text)));
        return;
    }
    let watermark = table.watermark.iter().map(|watermark| ("WATERMARK", &watermark.column));
    let key = table.primary_key.iter().map(|name| ("PRIMARY KEY", name));
    let partitions = table.partitioned_by.iter().map(|name| ("PARTITIONED BY", name));
    for (what, name) in watermark.chain(key).chain(partitions) {
        let is = |column: &TableColumn| {
            let free = !name.quoted && !column.name.quoted;
            column.name.text == name.text || (free && column.name.text.eq_ignore_ascii_case(&name.text))
        };
        if !table.columns.iter().any(is) {
            let columns = table.columns.iter().map(|column| column.name.text.as_str());
            let meant = did_you_mean(&name.text, columns);
            errors.push(said(name, format!("{what} names {}, which is no column of this table{meant}", name.text)));
        }
    }
}
