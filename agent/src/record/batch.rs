//! Rows by column: what walks on the columns way. Vectors of plain values with their NULLs beside them; a
//! column's type is not in it but in the plan that made it.

use super::{SourceId, Type};

/// Some rows of one table, or of one operator's output.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Batch {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: usize,
    /// Where the rows came from. `None` once rows are no longer those of a source (behind an aggregate).
    pub(crate) origin: Option<Origin>,
}

/// Where each row of a batch came from: what makes ids that a second reading repeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) source: SourceId,
    /// Each row's record's offset in the source.
    pub(crate) offsets: Vec<u64>,
    /// Which of the records at its offset each is, where there can be several (a log group's). Empty: the only one.
    pub(crate) places: Vec<u32>,
    /// Which of its record's rows each is, where one record can give several (UNNEST, HOP). Empty: all 0.
    pub(crate) ordinals: Vec<u32>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Column {
    pub(crate) data: Data,
    /// True where the value is NULL (what `data` has there means nothing). `None`: no NULLs.
    pub(crate) nulls: Option<Vec<bool>>,
}

/// A column's values; see [`Type`] for which type lies in which.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Data {
    Bool(Vec<bool>),
    Int(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Decimal(Vec<i128>),
    /// Valid UTF-8.
    Text(Strings),
    Bytes(Strings),
    /// Nested values; also the type NULL.
    Values(Vec<Value>),
}

/// Texts end to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Strings {
    /// One more than there are texts, the first is 0.
    offsets: Vec<u32>,
    bytes: Vec<u8>,
}

/// One value of any type.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Value {
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    Float(f32),
    Double(f64),
    /// Unscaled.
    Decimal(i128),
    Text(Box<str>),
    Bytes(Box<[u8]>),
    Array(Vec<Value>),
    /// MAP and MULTISET, in order of arrival.
    Map(Vec<(Value, Value)>),
    Row(Vec<Value>),
}

impl Default for Strings {
    fn default() -> Strings {
        Strings { offsets: vec![0], bytes: Vec::new() }
    }
}

impl Strings {
    pub(crate) fn with_capacity(texts: usize, bytes: usize) -> Strings {
        let mut offsets = Vec::with_capacity(texts + 1);
        offsets.push(0);
        Strings { offsets, bytes: Vec::with_capacity(bytes) }
    }

    pub(crate) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    pub(crate) fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.offsets.push(self.bytes.len() as u32);
    }

    /// Adds a text that `write` appends.
    pub(crate) fn push_with<T>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let said = write(&mut self.bytes);
        self.offsets.push(self.bytes.len() as u32);
        said
    }

    /// Forgets the texts from this one on.
    pub(crate) fn truncate(&mut self, texts: usize) {
        self.offsets.truncate(texts + 1);
        self.bytes.truncate(self.offsets.last().map_or(0, |end| *end as usize));
    }

    /// Empty behind the end.
    pub(crate) fn get(&self, i: usize) -> &[u8] {
        match (self.offsets.get(i), self.offsets.get(i + 1)) {
            (Some(from), Some(to)) => self.bytes.get(*from as usize..*to as usize).unwrap_or_default(),
            _ => &[],
        }
    }

    /// As text; empty if it is none.
    pub(crate) fn text(&self, i: usize) -> &str {
        std::str::from_utf8(self.get(i)).unwrap_or_default()
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.len()).map(|i| self.get(i))
    }
}

impl Data {
    /// Empty, of the kind in which values of `ty` lie.
    pub(crate) fn of(ty: &Type, capacity: usize) -> Data {
        match ty {
            Type::Boolean => Data::Bool(Vec::with_capacity(capacity)),
            Type::TinyInt
            | Type::SmallInt
            | Type::Int
            | Type::BigInt
            | Type::Date
            | Type::Time(_)
            | Type::Timestamp(_)
            | Type::TimestampLtz(_)
            | Type::IntervalMonths
            | Type::IntervalTime => Data::Int(Vec::with_capacity(capacity)),
            Type::Float => Data::Float(Vec::with_capacity(capacity)),
            Type::Double => Data::Double(Vec::with_capacity(capacity)),
            Type::Decimal(..) => Data::Decimal(Vec::with_capacity(capacity)),
            Type::Char(_) | Type::Varchar(_) => Data::Text(Strings::with_capacity(capacity, 16 * capacity)),
            Type::Binary(_) | Type::Varbinary(_) => Data::Bytes(Strings::with_capacity(capacity, 16 * capacity)),
            Type::Null | Type::Array(_) | Type::Map(..) | Type::Multiset(_) | Type::Row(_) => {
                Data::Values(Vec::with_capacity(capacity))
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Data::Bool(v) => v.len(),
            Data::Int(v) => v.len(),
            Data::Float(v) => v.len(),
            Data::Double(v) => v.len(),
            Data::Decimal(v) => v.len(),
            Data::Text(v) | Data::Bytes(v) => v.len(),
            Data::Values(v) => v.len(),
        }
    }

    /// Adds a value; one of another kind (and NULL) becomes this kind's zero.
    pub(crate) fn push(&mut self, value: &Value) {
        match (self, value) {
            (Data::Bool(v), Value::Bool(x)) => v.push(*x),
            (Data::Int(v), Value::Int(x)) => v.push(*x),
            (Data::Float(v), Value::Float(x)) => v.push(*x),
            (Data::Double(v), Value::Double(x)) => v.push(*x),
            (Data::Decimal(v), Value::Decimal(x)) => v.push(*x),
            (Data::Text(v), Value::Text(x)) => v.push(x.as_bytes()),
            (Data::Bytes(v), Value::Bytes(x)) => v.push(x),
            (Data::Values(v), x) => v.push(x.clone()),
            (Data::Bool(v), _) => v.push(false),
            (Data::Int(v), _) => v.push(0),
            (Data::Float(v), _) => v.push(0.0),
            (Data::Double(v), _) => v.push(0.0),
            (Data::Decimal(v), _) => v.push(0),
            (Data::Text(v) | Data::Bytes(v), _) => v.push(b""),
        }
    }

    /// Adds the values of another one of the same kind (of another kind: nothing).
    fn append(&mut self, other: &Data) {
        match (self, other) {
            (Data::Bool(v), Data::Bool(x)) => v.extend_from_slice(x),
            (Data::Int(v), Data::Int(x)) => v.extend_from_slice(x),
            (Data::Float(v), Data::Float(x)) => v.extend_from_slice(x),
            (Data::Double(v), Data::Double(x)) => v.extend_from_slice(x),
            (Data::Decimal(v), Data::Decimal(x)) => v.extend_from_slice(x),
            (Data::Text(v), Data::Text(x)) | (Data::Bytes(v), Data::Bytes(x)) => x.iter().for_each(|text| v.push(text)),
            (Data::Values(v), Data::Values(x)) => v.extend_from_slice(x),
            _ => {}
        }
    }

    /// Forgets the values from this row on.
    pub(crate) fn truncate(&mut self, rows: usize) {
        match self {
            Data::Bool(v) => v.truncate(rows),
            Data::Int(v) => v.truncate(rows),
            Data::Float(v) => v.truncate(rows),
            Data::Double(v) => v.truncate(rows),
            Data::Decimal(v) => v.truncate(rows),
            Data::Text(v) | Data::Bytes(v) => v.truncate(rows),
            Data::Values(v) => v.truncate(rows),
        }
    }

    fn take(&self, rows: &[u32]) -> Data {
        fn pick<T: Clone>(from: &[T], rows: &[u32]) -> Vec<T> {
            rows.iter().filter_map(|row| from.get(*row as usize)).cloned().collect()
        }
        let strings = |from: &Strings| {
            let mut picked = Strings::with_capacity(rows.len(), from.bytes.len().min(32 * rows.len()));
            rows.iter().for_each(|row| picked.push(from.get(*row as usize)));
            picked
        };
        match self {
            Data::Bool(v) => Data::Bool(pick(v, rows)),
            Data::Int(v) => Data::Int(pick(v, rows)),
            Data::Float(v) => Data::Float(pick(v, rows)),
            Data::Double(v) => Data::Double(pick(v, rows)),
            Data::Decimal(v) => Data::Decimal(pick(v, rows)),
            Data::Text(v) => Data::Text(strings(v)),
            Data::Bytes(v) => Data::Bytes(strings(v)),
            Data::Values(v) => Data::Values(pick(v, rows)),
        }
    }
}

impl Column {
    /// Empty, for values of `ty`.
    pub(crate) fn of(ty: &Type, capacity: usize) -> Column {
        Column { data: Data::of(ty, capacity), nulls: None }
    }

    pub(crate) fn len(&self) -> usize {
        self.data.len()
    }

    pub(crate) fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.get(row).copied().unwrap_or(true))
    }

    pub(crate) fn push(&mut self, value: &Value) {
        let null = *value == Value::Null;
        if null && self.nulls.is_none() {
            self.nulls = Some(vec![false; self.len()]);
        }
        if let Some(nulls) = &mut self.nulls {
            nulls.push(null);
        }
        self.data.push(value);
    }

    /// One row's value.
    pub(crate) fn value(&self, row: usize) -> Value {
        if self.is_null(row) {
            return Value::Null;
        }
        let value = match &self.data {
            Data::Bool(v) => v.get(row).map(|x| Value::Bool(*x)),
            Data::Int(v) => v.get(row).map(|x| Value::Int(*x)),
            Data::Float(v) => v.get(row).map(|x| Value::Float(*x)),
            Data::Double(v) => v.get(row).map(|x| Value::Double(*x)),
            Data::Decimal(v) => v.get(row).map(|x| Value::Decimal(*x)),
            Data::Text(v) => (row < v.len()).then(|| Value::Text(v.text(row).into())),
            Data::Bytes(v) => (row < v.len()).then(|| Value::Bytes(v.get(row).into())),
            Data::Values(v) => v.get(row).cloned(),
        };
        value.unwrap_or(Value::Null)
    }

    /// Adds the values of another column of the same type.
    pub(crate) fn append(&mut self, other: &Column) {
        if self.nulls.is_some() || other.nulls.is_some() {
            let before = self.len();
            let nulls = self.nulls.get_or_insert_with(|| vec![false; before]);
            match &other.nulls {
                Some(more) => nulls.extend_from_slice(more),
                None => nulls.resize(before + other.len(), false),
            }
        }
        self.data.append(&other.data);
    }

    /// The rows with these numbers, in this order.
    pub(crate) fn take(&self, rows: &[u32]) -> Column {
        let nulls = self.nulls.as_ref().map(|_| rows.iter().map(|row| self.is_null(*row as usize)).collect());
        Column { data: self.data.take(rows), nulls }
    }
}

impl Batch {
    /// The rows with these numbers, in this order.
    pub(crate) fn take(&self, rows: &[u32]) -> Batch {
        let columns = self.columns.iter().map(|column| column.take(rows)).collect();
        Batch { columns, rows: rows.len(), origin: self.origin.as_ref().map(|origin| origin.take(rows)) }
    }
}

impl Origin {
    pub(crate) fn take(&self, rows: &[u32]) -> Origin {
        let offsets = rows.iter().filter_map(|row| self.offsets.get(*row as usize)).copied().collect();
        let places = rows.iter().filter_map(|row| self.places.get(*row as usize)).copied().collect();
        let ordinals = rows.iter().filter_map(|row| self.ordinals.get(*row as usize)).copied().collect();
        Origin { source: self.source, offsets, places, ordinals }
    }
}
