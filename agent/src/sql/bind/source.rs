//! A source table as it is read: its fields, then its computed columns, then its watermark.

use sqlparser::ast::{self};

use crate::plan::{ColumnFrom, TableColumn};
use crate::record::{Type, Value};
use crate::sql::cast::{self, Strictness};
use crate::sql::expr::{Expr, ExprKind};
use crate::sql::functions;
use crate::sql::plan::{Changelog, Field, Node, NodeKind, Scan};
use crate::sql::script::{ColumnKind, Name, Table, Watermark};

use super::catalog::{ident, is_legacy};
use super::scope::{Relation, Visible};
use super::{Binder, Bound, Reported, did_you_mean, place};

/// What a source knows of a record: the key, other spellings of it, and its type.
const METADATA: [(&str, &[&str], Type); 4] = [
    ("path", &["file.path"], Type::STRING),
    ("offset", &[], Type::BigInt),
    ("host", &[], Type::STRING),
    ("timestamp", &[], Type::TimestampLtz(3)),
];

/// What a Logstore knows of a log, apart from its single tags (`__tag__:KEY`).
fn of_logstore() -> [(&'static str, &'static [&'static str], Type); 4] {
    [
        ("__source__", &[], Type::STRING),
        ("__topic__", &[], Type::STRING),
        ("__timestamp__", &[], Type::BigInt),
        ("__tag__", &[], Type::Map(Box::new(Type::STRING), Box::new(Type::STRING))),
    ]
}

fn is_logstore(table: &Table) -> bool {
    let says = |setting: &crate::sql::script::Setting| {
        let key = &setting.key.text;
        (key.eq_ignore_ascii_case("type") || key == "connector") && setting.value.text.eq_ignore_ascii_case("sls")
    };
    table.options.iter().any(says)
}

impl Binder<'_> {
    /// Reads a table: all its columns under its name. What nothing uses is taken out again later.
    pub(super) fn source(&mut self, number: usize) -> Bound<Relation> {
        let script = self.script;
        let Some(table) = script.tables.get(number) else { return Err(Reported) };
        let place = std::mem::replace(&mut self.place, table.name.place);
        let bound = self.table_columns(number, table);
        self.place = place;
        bound
    }

    fn table_columns(&mut self, number: usize, table: &Table) -> Bound<Relation> {
        let (scan, plain) = self.scan(number, table)?;
        let computed: Vec<(&Name, Bound<Expr>)> = table
            .columns
            .iter()
            .map(|column| match &column.kind {
                ColumnKind::Computed(ast) => (&column.name, self.computed(&plain, &column.name, ast)),
                ColumnKind::Physical(_) => (&column.name, self.plain(&plain, &column.name)),
                ColumnKind::Metadata { ty, .. } => {
                    let read = self.plain(&plain, &column.name);
                    (&column.name, read.and_then(|read| self.metadata_type(&column.name, read, ty)))
                }
            })
            .collect();
        let mut named = Vec::new();
        for (name, expr) in computed {
            named.push((name.text.clone(), expr?));
        }
        if let Some(watermark) = &table.watermark {
            self.millisecond_time(table, watermark, &mut named)?;
        }
        let node = self.graph.project(scan, named);
        let columns = table.columns.iter().enumerate().map(|(i, column)| Visible {
            table: Some(table.name.text.clone()),
            name: column.name.text.clone(),
            column: i,
        });
        let relation = Relation { node, columns: columns.collect(), rank: None };
        match &table.watermark {
            None => Ok(relation),
            Some(watermark) => self.watermark(relation, watermark),
        }
    }

    /// The scan of a table's physical and metadata columns, and their names.
    fn scan(&mut self, number: usize, table: &Table) -> Bound<(usize, Relation)> {
        let mut columns = Vec::new();
        let mut wrong = false;
        let mut physical = 0;
        for column in &table.columns {
            let (ty, from) = match &column.kind {
                ColumnKind::Physical(ty) => {
                    physical += 1;
                    (ty.clone(), ColumnFrom::Field(physical - 1))
                }
                ColumnKind::Metadata { key, .. } => match self.metadata(table, &column.name, key) {
                    Ok((key, ty)) => (ty, ColumnFrom::Metadata(key)),
                    Err(Reported) => {
                        wrong = true;
                        continue;
                    }
                },
                ColumnKind::Computed(_) => continue,
            };
            columns.push(TableColumn { name: column.name.text.clone(), ty, from });
        }
        if wrong {
            return Err(Reported);
        }
        let name = table.name.text.clone();
        let visible =
            |(i, c): (usize, &TableColumn)| Visible { table: Some(name.clone()), name: c.name.clone(), column: i };
        let visible = columns.iter().enumerate().map(visible).collect();
        let field = |c: &TableColumn| Field { name: c.name.clone(), ty: c.ty.clone(), rowtime: false };
        let fields = columns.iter().map(field).collect();
        let scan = Scan { name: name.clone(), table: number, columns };
        let at = self.graph.scans.iter().position(|known| *known == scan).unwrap_or_else(|| {
            self.graph.scans.push(scan);
            self.graph.scans.len() - 1
        });
        let node = self.graph.push(Node { kind: NodeKind::Scan(at), fields, changes: Changelog::Append });
        Ok((node, Relation { node, columns: visible, rank: None }))
    }

    fn metadata(&mut self, table: &Table, name: &Name, key: &str) -> Bound<(String, Type)> {
        let logstore = is_logstore(table);
        if logstore && key.starts_with("__tag__:") {
            return Ok((key.to_owned(), Type::STRING));
        }
        let there = if logstore { of_logstore() } else { METADATA };
        let is = |(known, other, _): &&(&str, &[&str], Type)| *known == key || other.contains(&key);
        if let Some((known, _, ty)) = there.iter().find(is) {
            return Ok(((*known).to_owned(), ty.clone()));
        }
        let known: Vec<&str> = there.iter().map(|(known, _, _)| *known).collect();
        let message = format!(
            "invalid metadata key '{key}' in column '{}'{}; there are {}",
            name.text,
            did_you_mean(key, known.iter().copied()),
            known.join(", ")
        );
        self.refuse_name(name, message)
    }

    fn metadata_type(&mut self, name: &Name, read: Expr, ty: &Type) -> Bound<Expr> {
        if read.ty == *ty {
            return Ok(read);
        }
        let from = read.ty.clone();
        cast::cast(read, ty, Strictness::Strict).or_else(|_| {
            let message =
                format!("invalid type for metadata column '{}': it is {from} and no {ty} can be made of it", name.text);
            self.refuse_name(name, message)
        })
    }

    fn plain(&mut self, plain: &Relation, name: &Name) -> Bound<Expr> {
        let column = plain.columns.iter().find(|visible| visible.name == name.text).map(|visible| visible.column);
        column.map(|column| self.graph.column(plain.node, column)).ok_or(Reported)
    }

    fn computed(&mut self, plain: &Relation, name: &Name, expression: &ast::Expr) -> Bound<Expr> {
        let place = std::mem::replace(&mut self.place, name.place);
        let bound = self.expr(expression, plain);
        self.place = place;
        bound
    }

    /// The legacy dialect's TIMESTAMP counts milliseconds; a time attribute of another precision is refused.
    fn millisecond_time(&mut self, table: &Table, watermark: &Watermark, named: &mut [(String, Expr)]) -> Bound<()> {
        let written = ident(&watermark.column);
        let found = self.find(&written, named.iter().enumerate().map(|(i, (name, _))| (name.as_str(), i)));
        let Ok(i) = found else {
            let names = named.iter().map(|(name, _)| name.as_str());
            let hint = did_you_mean(&watermark.column.text, names);
            let message = format!(
                "WATERMARK FOR '{}': table '{}' has no such column{hint}",
                watermark.column.text, table.name.text
            );
            return self.refuse_name(&watermark.column, message);
        };
        let Some((_, expr)) = named.get_mut(i) else { return Err(Reported) };
        let wanted = match expr.ty {
            Type::Timestamp(3) | Type::TimestampLtz(3) => return Ok(()),
            Type::Timestamp(p) if p < 3 || is_legacy(table) => Type::Timestamp(3),
            Type::TimestampLtz(p) if p < 3 || is_legacy(table) => Type::TimestampLtz(3),
            _ => {
                let message = format!(
                    "invalid data type of time field for watermark definition: '{}' is {}, it must be TIMESTAMP(p) or \
                     TIMESTAMP_LTZ(p) with p from 0 to 3. Declare it so, or make a computed column of it, such as \
                     `ts AS TO_TIMESTAMP_LTZ(ms, 3)`",
                    watermark.column.text, expr.ty
                );
                return self.refuse_name(&watermark.column, message);
            }
        };
        let Ok(cast) = cast::cast(expr.clone(), &wanted, Strictness::Lenient) else { return Err(Reported) };
        *expr = cast;
        Ok(())
    }

    fn watermark(&mut self, relation: Relation, watermark: &Watermark) -> Bound<Relation> {
        let column = self.column(&relation, &ident(&watermark.column))?;
        let place = std::mem::replace(&mut self.place, watermark.place);
        let bound = self.watermark_expression(&relation, watermark);
        self.place = place;
        let mut fields = self.graph.fields(relation.node).to_vec();
        if let Some(field) = fields.get_mut(column) {
            field.rowtime = true;
        }
        let kind = NodeKind::Watermark { input: relation.node, column, watermark: bound? };
        let node = self.graph.push(Node { kind, fields, changes: Changelog::Append });
        Ok(Relation { node, ..relation })
    }

    fn watermark_expression(&mut self, relation: &Relation, watermark: &Watermark) -> Bound<Expr> {
        let bound = match with_offset(&watermark.expression) {
            Some((of, offset)) => {
                let of = self.expr(of, relation)?;
                let offset = self.expr(offset, relation)?;
                let Some(Value::Int(ms)) = super::rewrite::literal(&offset) else {
                    let message = "withOffset takes a column and a whole number of milliseconds";
                    return self.refuse(place::of(&watermark.expression), message);
                };
                let value = Value::Int(ms.saturating_mul(1000));
                let interval = Expr { kind: ExprKind::Literal(value), ty: Type::IntervalTime };
                functions::resolve("-", vec![of, interval], &self.settings)
            }
            None => Ok(self.expr(&watermark.expression, relation)?),
        };
        let bound = bound.or_else(|message| self.refuse(place::of(&watermark.expression), message))?;
        match bound.ty {
            Type::Timestamp(3) | Type::TimestampLtz(3) => Ok(bound),
            Type::Timestamp(_) => self.millis(bound, &Type::Timestamp(3)),
            Type::TimestampLtz(_) => self.millis(bound, &Type::TimestampLtz(3)),
            other => {
                let message = format!("a watermark must be a TIMESTAMP(3) or TIMESTAMP_LTZ(3), this is {other}");
                self.refuse(place::of(&watermark.expression), message)
            }
        }
    }

    fn millis(&mut self, expr: Expr, ty: &Type) -> Bound<Expr> {
        cast::cast(expr, ty, Strictness::Lenient).map_err(|_| Reported)
    }
}

/// The arguments of `withOffset(column, milliseconds)`.
fn with_offset(expression: &ast::Expr) -> Option<(&ast::Expr, &ast::Expr)> {
    let ast::Expr::Function(function) = expression else { return None };
    if !function.name.to_string().eq_ignore_ascii_case("withOffset") {
        return None;
    }
    match super::call::arguments(function).as_deref() {
        Some([column, offset]) => Some((*column, *offset)),
        _ => None,
    }
}
