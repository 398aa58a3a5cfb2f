//! ARRAY, MAP, ROW and MULTISET: making them, reaching into them, and the functions of arrays and maps.
//!
//! `a[i]` and `m[k]` are `ITEM(a, i)`, `r.f` is `FIELD(r, 'f')`.

use std::sync::Arc;

use super::signature::{Function, f, special};
use super::{Args, OnNull, call, equal, order, rows, rows_with, texts};
use crate::record::{Column, Type, Value};
use crate::sql::cast;
use crate::sql::expr::{Expr, Kernel};
use crate::sql::plan::Settings;
use crate::sql::types;

pub(super) const TABLE: &[Function] = &[
    special("ARRAY", "ANY...", array),
    special("MAP", "key, value, …", map),
    special("ROW", "ANY...", row),
    special("ITEM", "ARRAY, INT or MAP, key", item),
    special("FIELD", "ROW, name", field),
    f("CARDINALITY", "ARRAY -> INT", |_| Ok(rows(size))),
    f("CARDINALITY", "MAP -> INT", |_| Ok(rows(size))),
    f("CARDINALITY", "MULTISET -> INT", |_| Ok(rows(size))),
    special("ELEMENT", "ARRAY", |name, args, _| {
        let (ty, args) = of_array(args, 1)?;
        // More than one element is an error in Flink.
        let kernel = typed(&ty, |args| match args.nested(0) {
            Some(Value::Array(items)) if items.len() > 1 => args.fail("ELEMENT of an array with several elements"),
            Some(Value::Array(items)) => items.first().cloned(),
            _ => None,
        });
        Ok(call(name, args, ty, kernel))
    }),
    special("ARRAY_CONTAINS", "ARRAY, element", |name, args, _| {
        let (_, args) = with_element(args)?;
        let kernel = rows_with(OnNull::Call, |args| {
            let wanted = args.value(1);
            Some(items(args, 0)?.iter().any(|item| equal(item, &wanted)))
        });
        Ok(call(name, args, Type::Boolean, kernel))
    }),
    special("ARRAY_POSITION", "ARRAY, element", |name, args, _| {
        let (_, args) = with_element(args)?;
        let kernel = rows(|args| {
            let wanted = args.value(1);
            Some(items(args, 0)?.iter().position(|item| equal(item, &wanted)).map_or(0, |at| at as i64 + 1))
        });
        Ok(call(name, args, Type::Int, kernel))
    }),
    special("ARRAY_REMOVE", "ARRAY, element", |name, args, _| {
        let (ty, args) = with_element(args)?;
        let kernel = arrays(|args| {
            let unwanted = args.value(1);
            Some(items(args, 0)?.iter().filter(|item| !equal(item, &unwanted)).cloned().collect())
        });
        Ok(call(name, args, ty, kernel))
    }),
    special("ARRAY_APPEND", "ARRAY, element", |name, args, _| {
        let (ty, args) = with_element(args)?;
        Ok(call(name, args, ty, arrays(|args| Some(items(args, 0)?.iter().cloned().chain([args.value(1)]).collect()))))
    }),
    special("ARRAY_PREPEND", "ARRAY, element", |name, args, _| {
        let (ty, args) = with_element(args)?;
        let kernel =
            arrays(|args| Some(std::iter::once(args.value(1)).chain(items(args, 0)?.iter().cloned()).collect()));
        Ok(call(name, args, ty, kernel))
    }),
    special("ARRAY_CONCAT", "ARRAY...", |name, args, _| {
        several(name, args, |args| {
            let all = (0..args.len()).map(|i| items(args, i)).collect::<Option<Vec<_>>>()?;
            Some(all.concat())
        })
    }),
    special("ARRAY_UNION", "ARRAY, ARRAY", |name, args, _| {
        several(name, args, |args| Some(distinct(items(args, 0)?.iter().chain(items(args, 1)?))))
    }),
    special("ARRAY_INTERSECT", "ARRAY, ARRAY", |name, args, _| {
        several(name, args, |args| {
            let other = items(args, 1)?;
            Some(distinct(items(args, 0)?.iter().filter(|item| other.iter().any(|known| equal(item, known)))))
        })
    }),
    special("ARRAY_EXCEPT", "ARRAY, ARRAY", |name, args, _| {
        several(name, args, |args| {
            let other = items(args, 1)?;
            Some(distinct(items(args, 0)?.iter().filter(|item| !other.iter().any(|known| equal(item, known)))))
        })
    }),
    f("ARRAY_DISTINCT", "ARRAY -> $1", |_| Ok(arrays(|args| Some(distinct(items(args, 0)?.iter()))))),
    f("ARRAY_REVERSE", "ARRAY -> $1", |_| Ok(arrays(|args| Some(items(args, 0)?.iter().rev().cloned().collect())))),
    f("ARRAY_SLICE", "ARRAY, INTEGER [, INTEGER] -> $1", |_| Ok(arrays(slice))),
    f("ARRAY_SORT", "ARRAY [, BOOLEAN, BOOLEAN] -> $1", |_| Ok(arrays(sorted))),
    f("ARRAY_JOIN", "ARRAY, STRING [, STRING] -> STRING", |_| Ok(texts(joined))),
    special("ARRAY_MAX", "ARRAY", |name, args, _| {
        let (ty, args) = of_array(args, 1)?;
        Ok(call(name, args, ty.clone(), typed(&ty, |args| known(args)?.max_by(|a, b| order(a, b)).cloned())))
    }),
    special("ARRAY_MIN", "ARRAY", |name, args, _| {
        let (ty, args) = of_array(args, 1)?;
        Ok(call(name, args, ty.clone(), typed(&ty, |args| known(args)?.min_by(|a, b| order(a, b)).cloned())))
    }),
    special("MAP_KEYS", "MAP", |name, args, _| of_map(name, args, |key, _| Value::clone(key))),
    special("MAP_VALUES", "MAP", |name, args, _| of_map(name, args, |_, value| Value::clone(value))),
    special("MAP_FROM_ARRAYS", "ARRAY, ARRAY", map_from_arrays),
];

/// An array's elements.
fn items<'a>(args: &Args<'a>, i: usize) -> Option<&'a [Value]> {
    match args.nested(i) {
        Some(Value::Array(items)) if !args.is_null(i) => Some(items),
        _ => None,
    }
}

fn known<'a>(args: &Args<'a>) -> Option<impl Iterator<Item = &'a Value> + use<'a>> {
    Some(items(args, 0)?.iter().filter(|item| **item != Value::Null))
}

fn arrays(f: impl Fn(&Args<'_>) -> Option<Vec<Value>> + Send + Sync + 'static) -> Kernel {
    rows_with(OnNull::Call, move |args| f(args).map(Value::Array))
}

/// A kernel whose values are of any type.
fn typed(ty: &Type, f: impl Fn(&Args<'_>) -> Option<Value> + Send + Sync + 'static) -> Kernel {
    let ty = ty.clone();
    let inner = rows_with::<Value>(OnNull::Null, f);
    Arc::new(move |columns, rows, context| {
        let found = inner(columns, rows, context);
        let mut out = Column::of(&ty, rows);
        (0..rows).for_each(|row| out.push(&found.value(row)));
        out
    })
}

fn distinct<'a>(items: impl Iterator<Item = &'a Value>) -> Vec<Value> {
    let mut kept: Vec<Value> = Vec::new();
    for item in items {
        if !kept.iter().any(|known| equal(known, item)) {
            kept.push(item.clone());
        }
    }
    kept
}

/// From 1; negative places count from the end.
fn slice(args: &Args<'_>) -> Option<Vec<Value>> {
    let all = items(args, 0)?;
    if args.is_null(1) || (args.len() > 2 && args.is_null(2)) {
        return None;
    }
    let size = all.len() as i64;
    let place = |at: i64| if at < 0 { size + at + 1 } else { at.max(1) };
    let (from, to) = (place(args.int(1)).max(1), place(args.int_or(2, size)).min(size));
    if from > to {
        return Some(Vec::new());
    }
    Some(all[from as usize - 1..to as usize].to_vec())
}

/// Ascending unless said otherwise; NULLs first when ascending, else last.
fn sorted(args: &Args<'_>) -> Option<Vec<Value>> {
    let mut all = items(args, 0)?.to_vec();
    let ascending = args.len() < 2 || args.bool(1);
    let nulls_first = if args.len() > 2 { args.bool(2) } else { ascending };
    all.sort_by(|a, b| match (a, b) {
        (Value::Null, Value::Null) => std::cmp::Ordering::Equal,
        (Value::Null, _) if nulls_first => std::cmp::Ordering::Less,
        (Value::Null, _) => std::cmp::Ordering::Greater,
        (_, Value::Null) if nulls_first => std::cmp::Ordering::Greater,
        (_, Value::Null) => std::cmp::Ordering::Less,
        _ if ascending => order(a, b),
        _ => order(b, a),
    });
    Some(all)
}

/// NULLs are left out unless there is a text for them.
fn joined(args: &Args<'_>, out: &mut Vec<u8>) -> Option<()> {
    let mut first = true;
    for item in items(args, 0)? {
        let text = match item {
            Value::Text(text) => text.as_bytes(),
            _ if args.len() > 2 => args.bytes(2),
            _ => continue,
        };
        if !std::mem::take(&mut first) {
            out.extend_from_slice(args.bytes(1));
        }
        out.extend_from_slice(text);
    }
    Some(())
}

fn size(args: &Args<'_>) -> Option<i64> {
    match args.nested(0)? {
        Value::Array(items) => Some(items.len() as i64),
        Value::Map(entries) => Some(entries.len() as i64),
        _ => None,
    }
}

/// The element's type of the first argument, an ARRAY.
fn of_array(args: Vec<Expr>, count: usize) -> Result<(Type, Vec<Expr>), String> {
    match args.first().map(|arg| arg.ty.clone()) {
        Some(Type::Array(of)) if args.len() == count => Ok((*of, args)),
        _ => Err(String::new()),
    }
}

/// An ARRAY and an element of it: both cast to what they have in common; the array's type.
fn with_element(args: Vec<Expr>) -> Result<(Type, Vec<Expr>), String> {
    let (of, args) = of_array(args, 2)?;
    let Ok([array, element]) = <[Expr; 2]>::try_from(args) else { return Err(String::new()) };
    let common = types::common(&[of, element.ty.clone()]).ok_or_else(String::new)?;
    let ty = Type::Array(Box::new(common.clone()));
    Ok((ty.clone(), vec![cast::implicit(array, &ty)?, cast::implicit(element, &common)?]))
}

fn several(
    name: &'static str,
    args: Vec<Expr>,
    f: impl Fn(&Args<'_>) -> Option<Vec<Value>> + Send + Sync + 'static,
) -> Result<Expr, String> {
    let given: Vec<Type> = args.iter().map(|arg| arg.ty.clone()).collect();
    let ty = types::common(&given).filter(|ty| matches!(ty, Type::Array(_))).ok_or_else(String::new)?;
    if name != "ARRAY_CONCAT" && args.len() != 2 {
        return Err(String::new());
    }
    let args = args.into_iter().map(|arg| cast::implicit(arg, &ty)).collect::<Result<_, _>>()?;
    Ok(call(name, args, ty, arrays(f)))
}

fn all_as_common(args: Vec<Expr>) -> Result<(Type, Vec<Expr>), String> {
    let given: Vec<Type> = args.iter().map(|arg| arg.ty.clone()).collect();
    let ty = types::common(&given).ok_or_else(|| "the elements have no type in common".to_owned())?;
    let args = args.into_iter().map(|arg| cast::implicit(arg, &ty)).collect::<Result<_, _>>()?;
    Ok((ty, args))
}

fn array(name: &'static str, args: Vec<Expr>, _: &Settings) -> Result<Expr, String> {
    let (ty, args) = all_as_common(args)?;
    let kernel = arrays(|args| Some((0..args.len()).map(|i| args.value(i)).collect()));
    Ok(call(name, args, Type::Array(Box::new(ty)), kernel))
}

/// The last of two equal keys wins.
fn map(name: &'static str, args: Vec<Expr>, _: &Settings) -> Result<Expr, String> {
    if args.is_empty() || args.len() % 2 == 1 {
        return Err(String::new());
    }
    let (keys, values): (Vec<_>, Vec<_>) = args.into_iter().enumerate().partition(|(i, _)| i % 2 == 0);
    let plain = |pairs: Vec<(usize, Expr)>| pairs.into_iter().map(|(_, expr)| expr).collect::<Vec<_>>();
    let (key, keys) = all_as_common(plain(keys))?;
    let (value, values) = all_as_common(plain(values))?;
    let args = keys.into_iter().zip(values).flat_map(|(key, value)| [key, value]).collect();
    let kernel = rows_with(OnNull::Call, |args| {
        let pairs = (0..args.len() / 2).map(|i| (args.value(2 * i), args.value(2 * i + 1)));
        Some(made(pairs))
    });
    Ok(call(name, args, Type::Map(Box::new(key), Box::new(value)), kernel))
}

/// A map of these entries; the last of two equal keys wins.
pub(super) fn made(pairs: impl Iterator<Item = (Value, Value)>) -> Value {
    let mut entries: Vec<(Value, Value)> = Vec::new();
    for (key, value) in pairs {
        match entries.iter_mut().find(|(known, _)| equal(known, &key)) {
            Some(entry) => entry.1 = value,
            None => entries.push((key, value)),
        }
    }
    Value::Map(entries)
}

fn row(name: &'static str, args: Vec<Expr>, _: &Settings) -> Result<Expr, String> {
    let fields = args.iter().enumerate().map(|(i, arg)| (format!("EXPR${i}"), arg.ty.clone())).collect();
    let kernel = rows_with(OnNull::Call, |args| Some(Value::Row((0..args.len()).map(|i| args.value(i)).collect())));
    Ok(call(name, args, Type::Row(fields), kernel))
}

fn item(name: &'static str, args: Vec<Expr>, _: &Settings) -> Result<Expr, String> {
    let Ok([of, at]) = <[Expr; 2]>::try_from(args) else { return Err(String::new()) };
    match of.ty.clone() {
        Type::Array(ty) => {
            if !types::is_integer(&at.ty) && at.ty != Type::Null {
                return Err(format!("an array's subscript is an INT, not {}", at.ty));
            }
            if matches!(at.as_literal(), Some(Value::Int(..=0))) {
                return Err("an array's subscripts begin with 1".to_owned());
            }
            let at = cast::implicit(at, &Type::BigInt)?;
            let kernel = typed(&ty, |args| {
                let place = usize::try_from(args.int(1)).ok()?.checked_sub(1)?;
                items(args, 0)?.get(place).cloned()
            });
            Ok(call(name, vec![of, at], *ty, kernel))
        }
        Type::Map(key, ty) => {
            let at = cast::implicit(at, &key)?;
            let kernel = typed(&ty, |args| {
                let wanted = args.value(1);
                let Some(Value::Map(entries)) = args.nested(0) else { return None };
                entries.iter().find(|(key, _)| equal(key, &wanted)).map(|(_, value)| value.clone())
            });
            Ok(call(name, vec![of, at], *ty, kernel))
        }
        other => Err(format!("{other} has no elements: only an ARRAY or a MAP takes […]")),
    }
}

fn field(name: &'static str, args: Vec<Expr>, _: &Settings) -> Result<Expr, String> {
    let [of, wanted] = args.as_slice() else { return Err(String::new()) };
    let (Type::Row(fields), Some(Value::Text(wanted))) = (&of.ty, wanted.as_literal()) else {
        return Err(String::new());
    };
    let Some(place) = fields.iter().position(|(name, _)| **name == **wanted) else {
        let known: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
        return Err(format!("the ROW has no field {wanted}; it has {}", known.join(", ")));
    };
    let Some((_, ty)) = fields.get(place).cloned() else { return Err(String::new()) };
    let kernel = typed(&ty, move |args| match args.nested(0) {
        Some(Value::Row(values)) => values.get(place).cloned(),
        _ => None,
    });
    Ok(call(name, args, ty, kernel))
}

fn of_map(name: &'static str, args: Vec<Expr>, pick: fn(&Value, &Value) -> Value) -> Result<Expr, String> {
    let [Expr { ty: Type::Map(key, value), .. }] = args.as_slice() else { return Err(String::new()) };
    let ty = Type::Array(if name == "MAP_KEYS" { key.clone() } else { value.clone() });
    let kernel = rows(move |args| match args.nested(0) {
        Some(Value::Map(entries)) => Some(Value::Array(entries.iter().map(|(key, value)| pick(key, value)).collect())),
        _ => None,
    });
    Ok(call(name, args, ty, kernel))
}

fn map_from_arrays(name: &'static str, args: Vec<Expr>, _: &Settings) -> Result<Expr, String> {
    let [Expr { ty: Type::Array(key), .. }, Expr { ty: Type::Array(value), .. }] = args.as_slice() else {
        return Err(String::new());
    };
    let ty = Type::Map(key.clone(), value.clone());
    let kernel = rows(|args| {
        let (keys, values) = (items(args, 0)?, items(args, 1)?);
        if keys.len() != values.len() {
            return args.fail("MAP_FROM_ARRAYS with arrays of different lengths");
        }
        Some(made(keys.iter().cloned().zip(values.iter().cloned())))
    });
    Ok(call(name, args, ty, kernel))
}
