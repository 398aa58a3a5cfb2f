//! `CREATE TABLE b (…) LIKE a (INCLUDING …)`: what `b` takes from `a`, by Flink's rules and defaults.

use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::super::nearest::did_you_mean;
use super::super::script::{ColumnKind, Name, Setting, SqlError, Table, TableColumn};
use super::errors::{Parsed, expected};
use super::words::{eat, table_name};

#[derive(Clone, Copy, PartialEq)]
enum Strategy {
    Including,
    Excluding,
    Overwriting,
}

const PARTS: &[&str] =
    &["ALL", "CONSTRAINTS", "DISTRIBUTION", "GENERATED", "METADATA", "OPTIONS", "PARTITIONS", "WATERMARKS"];

/// Whom a table is like, and in what.
pub(super) struct Like {
    base: Name,
    rules: Vec<(Strategy, &'static str)>,
}

impl Like {
    /// Behind the word LIKE.
    pub(super) fn read(parser: &mut Parser<'_>) -> Parsed<Like> {
        let base = table_name(parser, "the name of a table")?;
        let mut rules = Vec::new();
        if parser.consume_token(&Token::LParen) {
            while !parser.consume_token(&Token::RParen) {
                let strategy = if eat(parser, &["INCLUDING"]) {
                    Strategy::Including
                } else if eat(parser, &["EXCLUDING"]) {
                    Strategy::Excluding
                } else if eat(parser, &["OVERWRITING"]) {
                    Strategy::Overwriting
                } else {
                    return Err(expected(parser, "INCLUDING, EXCLUDING or OVERWRITING"));
                };
                let part = PARTS.iter().find(|part| eat(parser, &[part]));
                let part = part.ok_or_else(|| expected(parser, &format!("one of {}", PARTS.join(", "))))?;
                rules.push((strategy, *part));
            }
        }
        Ok(Like { base, rules })
    }

    fn strategy(&self, part: &str) -> Strategy {
        let rule = |part: &str| self.rules.iter().rev().find(|(_, of)| *of == part).map(|(strategy, _)| *strategy);
        let default = if part == "OPTIONS" { Strategy::Overwriting } else { Strategy::Including };
        rule(part).or_else(|| rule("ALL")).unwrap_or(default)
    }

    /// Puts what `table` takes before what it has. `tables`: those above it.
    pub(super) fn apply(&self, table: &mut Table, tables: &[Table]) -> Parsed<()> {
        let said = |message: String| {
            let length = u32::try_from(self.base.text.chars().count()).unwrap_or(1);
            SqlError { place: self.base.place, length, message }
        };
        let Some(base) = tables.iter().find(|other| other.name.text == self.base.text) else {
            let names = tables.iter().map(|other| other.name.text.as_str());
            let meant = did_you_mean(&self.base.text, names);
            return Err(said(format!("there is no table {} above{meant}", self.base.text)));
        };
        table.columns = self.columns(base, table).map_err(said)?;
        let keys = self.strategy("CONSTRAINTS");
        if keys != Strategy::Excluding && !base.primary_key.is_empty() {
            if !table.primary_key.is_empty() {
                return Err(said("both tables have a PRIMARY KEY; write LIKE … (EXCLUDING CONSTRAINTS)".to_owned()));
            }
            table.primary_key.clone_from(&base.primary_key);
        }
        let watermarks = self.strategy("WATERMARKS");
        if watermarks != Strategy::Excluding && base.watermark.is_some() {
            match (&table.watermark, watermarks) {
                (None, _) => table.watermark.clone_from(&base.watermark),
                (Some(_), Strategy::Overwriting) => {}
                (Some(_), _) => {
                    let message = "both tables have a WATERMARK; write LIKE … (OVERWRITING WATERMARKS)";
                    return Err(said(message.to_owned()));
                }
            }
        }
        if self.strategy("PARTITIONS") != Strategy::Excluding && table.partitioned_by.is_empty() {
            table.partitioned_by.clone_from(&base.partitioned_by);
        }
        table.options = self.options(base, table).map_err(said)?;
        Ok(())
    }

    fn columns(&self, base: &Table, table: &Table) -> Result<Vec<TableColumn>, String> {
        let mut columns = Vec::new();
        for column in &base.columns {
            let strategy = match column.kind {
                ColumnKind::Physical(_) => Strategy::Including,
                ColumnKind::Computed(_) => self.strategy("GENERATED"),
                ColumnKind::Metadata { .. } => self.strategy("METADATA"),
            };
            let again = table.columns.iter().any(|own| own.name.text == column.name.text);
            match strategy {
                Strategy::Including if again => {
                    return Err(format!("both tables have a column {}; take it out of this one", column.name.text));
                }
                Strategy::Excluding => {}
                Strategy::Overwriting if again => {}
                Strategy::Including | Strategy::Overwriting => columns.push(column.clone()),
            }
        }
        columns.extend(table.columns.iter().cloned());
        Ok(columns)
    }

    fn options(&self, base: &Table, table: &Table) -> Result<Vec<Setting>, String> {
        let strategy = self.strategy("OPTIONS");
        let mut options = Vec::new();
        for option in base.options.iter().filter(|_| strategy != Strategy::Excluding) {
            let again = table.options.iter().any(|own| own.key.text == option.key.text);
            if again && strategy == Strategy::Including {
                let key = &option.key.text;
                return Err(format!("both tables have the option {key}; write LIKE … (OVERWRITING OPTIONS)"));
            }
            if !again {
                options.push(option.clone());
            }
        }
        options.extend(table.options.iter().cloned());
        Ok(options)
    }
}
