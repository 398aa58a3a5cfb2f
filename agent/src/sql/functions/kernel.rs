//! How kernels are made: loops over typed slices for what is hot (`map`, `zip`), and a row at a time over prepared
//! arguments for the rest (`rows`, `texts`). All know NULLs and literal arguments; none panics on a column of another
//! kind than asked for.

use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::record::{Column, Data, Strings, Value};
use crate::sql::expr::{Context, Kernel};

/// Values that lie in a vector of their own.
pub(crate) trait Lane: Clone + Default + Send + Sync {
    fn wrap(values: Vec<Self>) -> Data;
    /// Empty if the data are of another kind.
    fn slice(data: &Data) -> &[Self];
}

macro_rules! lane {
    ($($rust:ty, $kind:ident;)*) => {$(
        impl Lane for $rust {
            fn wrap(values: Vec<Self>) -> Data {
                Data::$kind(values)
            }
            fn slice(data: &Data) -> &[Self] {
                match data {
                    Data::$kind(values) => values,
                    _ => &[],
                }
            }
        }
    )*};
}

lane! {
    bool, Bool;
    i64, Int;
    f32, Float;
    f64, Double;
    i128, Decimal;
}

impl Lane for Value {
    fn wrap(values: Vec<Self>) -> Data {
        Data::Values(values)
    }
    fn slice(data: &Data) -> &[Self] {
        match data {
            Data::Values(values) => values,
            _ => &[],
        }
    }
}

/// True where any argument is NULL; `None`: nowhere.
pub(crate) fn merged_nulls(columns: &[&Column], rows: usize) -> Option<Vec<bool>> {
    let mut merged: Option<Vec<bool>> = None;
    for nulls in columns.iter().filter_map(|column| column.nulls.as_ref()) {
        let constant = nulls.len() == 1 && rows != 1;
        if constant && !nulls[0] {
            continue;
        }
        let merged = merged.get_or_insert_with(|| vec![false; rows]);
        if constant {
            merged.fill(true);
        } else {
            merged.iter_mut().zip(nulls).for_each(|(m, n)| *m |= n);
        }
    }
    merged
}

/// A column of nothing but NULL.
pub(crate) fn all_null<R: Lane>(rows: usize) -> Column {
    Column { data: R::wrap(vec![R::default(); rows]), nulls: Some(vec![true; rows]) }
}

/// `f` of each value, also of what lies under NULLs: it must be cheap and total.
pub(crate) fn map<A: Lane + Copy, R: Lane>(f: impl Fn(A) -> R + Send + Sync + 'static) -> Kernel {
    Arc::new(move |columns, rows, _| match columns.first().map(|column| (column, A::slice(&column.data))) {
        Some((column, a)) if a.len() == rows => {
            Column { data: R::wrap(a.iter().map(|x| f(*x)).collect()), nulls: column.nulls.clone() }
        }
        Some((column, [a])) if !column.is_null(0) => Column { data: R::wrap(vec![f(*a); rows]), nulls: None },
        _ => all_null::<R>(rows),
    })
}

/// `f` of each pair of values, also of what lies under NULLs: it must be cheap and total.
pub(crate) fn zip<A: Lane + Copy, B: Lane + Copy, R: Lane>(f: impl Fn(A, B) -> R + Send + Sync + 'static) -> Kernel {
    Arc::new(move |columns, rows, _| {
        let [left, right] = columns else { return all_null::<R>(rows) };
        let (a, b) = (A::slice(&left.data), B::slice(&right.data));
        let values: Vec<R> = match (a, b) {
            _ if a.len() == rows && b.len() == rows => a.iter().zip(b).map(|(x, y)| f(*x, *y)).collect(),
            (_, [y]) if a.len() == rows => a.iter().map(|x| f(*x, *y)).collect(),
            ([x], _) if b.len() == rows => b.iter().map(|y| f(*x, *y)).collect(),
            ([x], [y]) => vec![f(*x, *y); rows],
            _ => return all_null::<R>(rows),
        };
        Column { data: R::wrap(values), nulls: merged_nulls(columns, rows) }
    })
}

/// One row's arguments.
pub(crate) struct Args<'a> {
    columns: &'a [&'a Column],
    pub(crate) row: usize,
    /// The record's processing time, microseconds.
    pub(crate) now: i64,
    pub(crate) zone: &'a TimeZone,
    failures: RefCell<Vec<(usize, String)>>,
    memo: RefCell<Option<(String, Rc<dyn Any>)>>,
}

impl<'a> Args<'a> {
    pub(crate) fn len(&self) -> usize {
        self.columns.len()
    }

    fn at(&self, i: usize) -> Option<(&'a Column, usize)> {
        let column = *self.columns.get(i)?;
        Some((column, self.row.min(column.len().saturating_sub(1))))
    }

    /// Also true behind the last argument.
    pub(crate) fn is_null(&self, i: usize) -> bool {
        self.at(i).is_none_or(|(column, row)| column.is_null(row))
    }

    pub(crate) fn value(&self, i: usize) -> Value {
        self.at(i).map_or(Value::Null, |(column, row)| column.value(row))
    }

    fn lane<T: Lane>(&self, i: usize) -> T {
        let found = self.at(i).and_then(|(column, row)| T::slice(&column.data).get(row));
        found.cloned().unwrap_or_default()
    }

    pub(crate) fn bool(&self, i: usize) -> bool {
        self.lane(i)
    }

    pub(crate) fn int(&self, i: usize) -> i64 {
        self.lane(i)
    }

    /// The argument if it was given, else this.
    pub(crate) fn int_or(&self, i: usize, otherwise: i64) -> i64 {
        if i < self.len() { self.int(i) } else { otherwise }
    }

    pub(crate) fn single(&self, i: usize) -> f32 {
        self.lane(i)
    }

    pub(crate) fn double(&self, i: usize) -> f64 {
        self.lane(i)
    }

    pub(crate) fn decimal(&self, i: usize) -> i128 {
        self.lane(i)
    }

    /// A nested value; `None` if the argument is of another kind.
    pub(crate) fn nested(&self, i: usize) -> Option<&'a Value> {
        let (column, row) = self.at(i)?;
        Value::slice(&column.data).get(row)
    }

    /// Of texts and of binary values.
    pub(crate) fn bytes(&self, i: usize) -> &'a [u8] {
        match self.at(i).map(|(column, row)| (&column.data, row)) {
            Some((Data::Text(texts) | Data::Bytes(texts), row)) => texts.get(row),
            _ => &[],
        }
    }

    pub(crate) fn text(&self, i: usize) -> &'a str {
        std::str::from_utf8(self.bytes(i)).unwrap_or_default()
    }

    /// This row is one that Flink would have failed the job for.
    pub(crate) fn fail<T>(&self, reason: impl Into<String>) -> Option<T> {
        self.failures.borrow_mut().push((self.row, reason.into()));
        None
    }

    /// What `make` makes of a text, kept as long as the text stays the same from row to row.
    pub(crate) fn memo<T: 'static>(&self, text: &str, make: impl FnOnce(&str) -> T) -> Rc<T> {
        if let Some((known, made)) = &*self.memo.borrow()
            && known == text
            && let Ok(made) = made.clone().downcast::<T>()
        {
            return made;
        }
        let made = Rc::new(make(text));
        *self.memo.borrow_mut() = Some((text.to_owned(), made.clone()));
        made
    }
}

/// What a kernel does with a row that has a NULL argument.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnNull {
    /// Gives NULL without a call.
    Null,
    /// Calls with it.
    Call,
}

/// Calls `one` for each row that is to be computed; it says whether there is a value (having kept it or a zero).
fn each_row(
    columns: &[&Column],
    rows: usize,
    context: &mut Context,
    on_null: OnNull,
    mut one: impl FnMut(Option<&Args<'_>>) -> bool,
) -> Option<Vec<bool>> {
    let mut nulls = if on_null == OnNull::Null { merged_nulls(columns, rows) } else { None };
    let failures = {
        let (now, zone) = (context.now, &context.zone);
        let mut args = Args { columns, row: 0, now, zone, failures: RefCell::default(), memo: RefCell::default() };
        for row in 0..rows {
            args.row = row;
            let known = nulls.as_ref().is_some_and(|nulls| nulls[row]);
            if !one(if known { None } else { Some(&args) }) && !known {
                nulls.get_or_insert_with(|| vec![false; rows])[row] = true;
            }
        }
        args.failures.into_inner()
    };
    context.errors.extend(failures);
    nulls
}

/// A row at a time; `None` is NULL.
pub(crate) fn rows_with<R: Lane>(
    on_null: OnNull,
    f: impl Fn(&Args<'_>) -> Option<R> + Send + Sync + 'static,
) -> Kernel {
    Arc::new(move |columns, rows, context| {
        let mut values = Vec::with_capacity(rows);
        let nulls = each_row(columns, rows, context, on_null, |args| {
            let value = args.and_then(&f);
            let some = value.is_some();
            values.push(value.unwrap_or_default());
            some
        });
        Column { data: R::wrap(values), nulls }
    })
}

/// A row at a time, NULL if an argument is.
pub(crate) fn rows<R: Lane>(f: impl Fn(&Args<'_>) -> Option<R> + Send + Sync + 'static) -> Kernel {
    rows_with(OnNull::Null, f)
}

/// A text (or binary value) for each row: appended to the buffer, `None` takes back what was.
pub(crate) fn texts_with(
    on_null: OnNull,
    wrap: fn(Strings) -> Data,
    f: impl Fn(&Args<'_>, &mut Vec<u8>) -> Option<()> + Send + Sync + 'static,
) -> Kernel {
    Arc::new(move |columns, rows, context| {
        let mut texts = Strings::with_capacity(rows, 16 * rows);
        let nulls = each_row(columns, rows, context, on_null, |args| {
            texts.push_with(|out| {
                let from = out.len();
                let some = args.and_then(|args| f(args, out)).is_some();
                if !some {
                    out.truncate(from);
                }
                some
            })
        });
        Column { data: wrap(texts), nulls }
    })
}

/// A text for each row, NULL if an argument is.
pub(crate) fn texts(f: impl Fn(&Args<'_>, &mut Vec<u8>) -> Option<()> + Send + Sync + 'static) -> Kernel {
    texts_with(OnNull::Null, Data::Text, f)
}

/// A binary value for each row, NULL if an argument is.
pub(crate) fn binaries(f: impl Fn(&Args<'_>, &mut Vec<u8>) -> Option<()> + Send + Sync + 'static) -> Kernel {
    texts_with(OnNull::Null, Data::Bytes, f)
}
