//! Casts of nested values: element by element through the kernels of their elements, and to text.

use std::sync::Arc;

use crate::record::{Column, Type, Value};
use crate::sql::expr::{Context, Kernel};

use super::Strictness;

/// Casts a whole column of elements.
type Inner = Option<Kernel>;

/// The kernel of an element's cast; `None` inside if none is needed, outside if there is no such cast.
fn inner(from: &Type, to: &Type, strictness: Strictness) -> Option<Inner> {
    if from == to { Some(None) } else { super::kernel(from, to, strictness).map(Some) }
}

/// Casts one element.
fn convert(kernel: &Inner, from: &Type, value: &Value, context: &mut Context) -> Value {
    let Some(kernel) = kernel else { return value.clone() };
    let mut column = Column::of(from, 1);
    column.push(value);
    kernel(&[&column], 1, context).value(0)
}

/// `None`: there is no such cast.
pub(super) fn kernel(from: &Type, to: &Type, strictness: Strictness) -> Option<Kernel> {
    if matches!(from, Type::Null) {
        let to = to.clone();
        return Some(Arc::new(move |_, rows, _| crate::sql::eval::repeat(&Value::Null, &to, rows)));
    }
    if crate::sql::types::is_text(to) {
        return as_text(from, strictness);
    }
    match (from, to) {
        (Type::Array(x), Type::Array(y)) => {
            let (of, inner) = ((**x).clone(), inner(x, y, strictness)?);
            Some(each(move |value, context| match value {
                Value::Array(items) => {
                    Value::Array(items.iter().map(|item| convert(&inner, &of, item, context)).collect())
                }
                _ => Value::Null,
            }))
        }
        (Type::Map(..), Type::Map(..)) | (Type::Multiset(_), Type::Multiset(_)) => {
            let ((k, v), (l, w)) = (entry(from)?, entry(to)?);
            let (keys, values) = (inner(&k, &l, strictness)?, inner(&v, &w, strictness)?);
            Some(each(move |value, context| match value {
                Value::Map(entries) => {
                    let one = |(key, value): &(Value, Value)| {
                        (convert(&keys, &k, key, context), convert(&values, &v, value, context))
                    };
                    Value::Map(entries.iter().map(one).collect())
                }
                _ => Value::Null,
            }))
        }
        (Type::Row(x), Type::Row(y)) if x.len() == y.len() => {
            let fields = x.iter().zip(y).map(|((_, f), (_, t))| Some((f.clone(), inner(f, t, strictness)?)));
            let fields: Vec<(Type, Inner)> = fields.collect::<Option<_>>()?;
            Some(each(move |value, context| match value {
                Value::Row(values) => {
                    let cast =
                        values.iter().zip(&fields).map(|(value, (of, inner))| convert(inner, of, value, context));
                    Value::Row(cast.collect())
                }
                _ => Value::Null,
            }))
        }
        _ => None,
    }
}

fn entry(ty: &Type) -> Option<(Type, Type)> {
    match ty {
        Type::Map(key, value) => Some(((**key).clone(), (**value).clone())),
        Type::Multiset(of) => Some(((**of).clone(), Type::Int)),
        _ => None,
    }
}

/// One nested value after the other; errors inside get the row's number.
fn each(cast: impl Fn(&Value, &mut Context) -> Value + Send + Sync + 'static) -> Kernel {
    Arc::new(move |columns, rows, context| {
        let mut out = Column { data: crate::record::Data::Values(Vec::with_capacity(rows)), nulls: None };
        let Some(column) = columns.first() else { return out };
        for row in 0..rows {
            let before = context.errors.len();
            let value = column.value(row.min(column.len().saturating_sub(1)));
            let value = if value == Value::Null { value } else { cast(&value, context) };
            out.push(&value);
            context.errors[before..].iter_mut().for_each(|(at, _)| *at = row);
        }
        out
    })
}

/// `[1, 2]`, `{a=1, b=2}`, `(1, x)`; a NULL inside is `NULL`.
fn as_text(from: &Type, strictness: Strictness) -> Option<Kernel> {
    if !crate::sql::types::is_nested(from) {
        return None;
    }
    let from = from.clone();
    let write = writer(&from, strictness)?;
    let kernel: Kernel = Arc::new(move |columns, rows, context| {
        let mut out = Column::of(&Type::STRING, rows);
        for row in 0..rows {
            let value =
                columns.first().map_or(Value::Null, |column| column.value(row.min(column.len().saturating_sub(1))));
            let text = if value == Value::Null { Value::Null } else { Value::Text(write(&value, context).into()) };
            out.push(&text);
        }
        out
    });
    Some(kernel)
}

type Writer = Box<dyn Fn(&Value, &mut Context) -> String + Send + Sync>;

fn writer(ty: &Type, strictness: Strictness) -> Option<Writer> {
    let joined = |parts: Vec<String>, open: char, close: char| format!("{open}{}{close}", parts.join(", "));
    match ty {
        Type::Array(of) => {
            let inner = writer(of, strictness)?;
            Some(Box::new(move |value, context| match value {
                Value::Array(items) => joined(items.iter().map(|item| inner(item, context)).collect(), '[', ']'),
                _ => "NULL".to_owned(),
            }))
        }
        Type::Map(..) | Type::Multiset(_) => {
            let (key, value) = entry(ty)?;
            let (keys, values) = (writer(&key, strictness)?, writer(&value, strictness)?);
            Some(Box::new(move |value, context| match value {
                Value::Map(entries) => {
                    let one = |(k, v): &(Value, Value)| format!("{}={}", keys(k, context), values(v, context));
                    joined(entries.iter().map(one).collect(), '{', '}')
                }
                _ => "NULL".to_owned(),
            }))
        }
        Type::Row(fields) => {
            let fields = fields.iter().map(|(_, of)| writer(of, strictness)).collect::<Option<Vec<_>>>()?;
            Some(Box::new(move |value, context| match value {
                Value::Row(values) => {
                    let parts = values.iter().zip(&fields).map(|(value, write)| write(value, context));
                    joined(parts.collect(), '(', ')')
                }
                _ => "NULL".to_owned(),
            }))
        }
        of => {
            let kernel = inner(of, &Type::STRING, strictness)?;
            let of = of.clone();
            Some(Box::new(move |value, context| match convert(&kernel, &of, value, context) {
                Value::Text(text) => text.into(),
                _ => "NULL".to_owned(),
            }))
        }
    }
}
