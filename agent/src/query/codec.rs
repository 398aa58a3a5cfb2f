//! Bytes of state rows: numbers of variable length and values that say what they are. Reading never panics: what is
//! cut short or unknown is `None`.

use crate::record::{Column, Data, Value};

pub(super) fn put_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

pub(super) fn varint(input: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = input.split_first()?;
        *input = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Small for small numbers of either sign.
pub(super) fn put_signed(number: i64, out: &mut Vec<u8>) {
    put_varint(((number << 1) ^ (number >> 63)) as u64, out);
}

pub(super) fn signed(input: &mut &[u8]) -> Option<i64> {
    varint(input).map(|n| (n >> 1) as i64 ^ -((n & 1) as i64))
}

pub(super) fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

pub(super) fn bytes<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(varint(input)?).ok()?;
    let (bytes, rest) = input.split_at_checked(len)?;
    *input = rest;
    Some(bytes)
}

pub(super) fn fixed<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, rest) = input.split_first_chunk::<N>()?;
    *input = rest;
    Some(*bytes)
}

pub(super) fn put_f64(number: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(&number.to_le_bytes());
}

pub(super) fn f64(input: &mut &[u8]) -> Option<f64> {
    fixed(input).map(f64::from_le_bytes)
}

/// Bytes that sort as the numbers do.
pub(super) fn put_ordered(number: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(&((number as u64) ^ (1 << 63)).to_be_bytes());
}

pub(super) fn ordered(input: &mut &[u8]) -> Option<i64> {
    fixed(input).map(|bytes| (u64::from_be_bytes(bytes) ^ (1 << 63)) as i64)
}

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const INT: u8 = 3;
const FLOAT: u8 = 4;
const DOUBLE: u8 = 5;
const DECIMAL: u8 = 6;
const TEXT: u8 = 7;
const BYTES: u8 = 8;
const ARRAY: u8 = 9;
const MAP: u8 = 10;
const ROW: u8 = 11;

pub(super) fn put_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(NULL),
        Value::Bool(x) => out.push(if *x { TRUE } else { FALSE }),
        Value::Int(x) => put_int(*x, out),
        Value::Float(x) => put_tagged(FLOAT, &x.to_le_bytes(), out),
        Value::Double(x) => put_tagged(DOUBLE, &x.to_le_bytes(), out),
        Value::Decimal(x) => put_tagged(DECIMAL, &x.to_le_bytes(), out),
        Value::Text(x) => put_text(TEXT, x.as_bytes(), out),
        Value::Bytes(x) => put_text(BYTES, x, out),
        Value::Array(values) => put_values(ARRAY, values, out),
        Value::Row(values) => put_values(ROW, values, out),
        Value::Map(pairs) => {
            out.push(MAP);
            put_varint(pairs.len() as u64, out);
            for (key, value) in pairs {
                put_value(key, out);
                put_value(value, out);
            }
        }
    }
}

/// One value of a column for a key: the same bytes for all values that SQL takes for equal (0.0 and -0.0, all NaNs).
pub(super) fn put_cell(column: &Column, row: usize, out: &mut Vec<u8>) {
    if column.is_null(row) {
        return out.push(NULL);
    }
    match &column.data {
        Data::Bool(v) => out.push(if v.get(row) == Some(&true) { TRUE } else { FALSE }),
        Data::Int(v) => put_int(v.get(row).copied().unwrap_or(0), out),
        Data::Float(v) => {
            let x = v.get(row).copied().unwrap_or(0.0);
            let x = if x.is_nan() { f32::NAN } else { x + 0.0 };
            put_tagged(FLOAT, &x.to_le_bytes(), out);
        }
        Data::Double(v) => {
            let x = v.get(row).copied().unwrap_or(0.0);
            let x = if x.is_nan() { f64::NAN } else { x + 0.0 };
            put_tagged(DOUBLE, &x.to_le_bytes(), out);
        }
        Data::Decimal(v) => put_tagged(DECIMAL, &v.get(row).copied().unwrap_or(0).to_le_bytes(), out),
        Data::Text(v) => put_text(TEXT, v.get(row), out),
        Data::Bytes(v) => put_text(BYTES, v.get(row), out),
        Data::Values(v) => put_value(v.get(row).unwrap_or(&Value::Null), out),
    }
}

pub(super) fn value(input: &mut &[u8]) -> Option<Value> {
    nested(input, 0)
}

/// Values are never nested deeper than types can be written.
const DEPTH_MAX: usize = 64;

fn nested(input: &mut &[u8], depth: usize) -> Option<Value> {
    if depth > DEPTH_MAX {
        return None;
    }
    let [tag] = fixed(input)?;
    let value = match tag {
        NULL => Value::Null,
        FALSE => Value::Bool(false),
        TRUE => Value::Bool(true),
        INT => Value::Int(signed(input)?),
        FLOAT => Value::Float(f32::from_le_bytes(fixed(input)?)),
        DOUBLE => Value::Double(f64(input)?),
        DECIMAL => Value::Decimal(i128::from_le_bytes(fixed(input)?)),
        TEXT => Value::Text(std::str::from_utf8(bytes(input)?).ok()?.into()),
        BYTES => Value::Bytes(bytes(input)?.into()),
        ARRAY | ROW => {
            let count = varint(input)?;
            let values = (0..count).map(|_| nested(input, depth + 1)).collect::<Option<Vec<_>>>()?;
            if tag == ARRAY { Value::Array(values) } else { Value::Row(values) }
        }
        MAP => {
            let count = varint(input)?;
            let pair = |_| Some((nested(input, depth + 1)?, nested(input, depth + 1)?));
            Value::Map((0..count).map(pair).collect::<Option<Vec<_>>>()?)
        }
        _ => return None,
    };
    Some(value)
}

fn put_int(number: i64, out: &mut Vec<u8>) {
    out.push(INT);
    put_signed(number, out);
}

fn put_tagged(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    out.extend_from_slice(bytes);
}

fn put_text(tag: u8, text: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    put_bytes(text, out);
}

fn put_values(tag: u8, values: &[Value], out: &mut Vec<u8>) {
    out.push(tag);
    put_varint(values.len() as u64, out);
    values.iter().for_each(|value| put_value(value, out));
}

/// Writes one entry of a state blob: the row with this key becomes `value`, or goes.
pub(super) fn put_entry(key: &[u8], value: Option<&[u8]>, out: &mut Vec<u8>) {
    put_bytes(key, out);
    match value {
        None => put_varint(0, out),
        Some(value) => {
            put_varint(value.len() as u64 + 1, out);
            out.extend_from_slice(value);
        }
    }
}

/// Reads one entry of a state blob: key, and the value unless it is a tombstone.
pub(super) fn entry<'a>(input: &mut &'a [u8]) -> Option<(&'a [u8], Option<&'a [u8]>)> {
    let key = bytes(input)?;
    match varint(input)? {
        0 => Some((key, None)),
        len => {
            let (value, rest) = input.split_at_checked(usize::try_from(len - 1).ok()?)?;
            *input = rest;
            Some((key, Some(value)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_as_they_were() {
        let values = [
            Value::Null,
            Value::Bool(true),
            Value::Int(i64::MIN),
            Value::Int(-1),
            Value::Double(-0.5),
            Value::Decimal(-12_345),
            Value::Text("grün".into()),
            Value::Map(vec![(Value::Int(1), Value::Array(vec![Value::Null, Value::Row(vec![])]))]),
        ];
        for value in values {
            let mut out = Vec::new();
            put_value(&value, &mut out);
            assert_eq!(super::value(&mut out.as_slice()), Some(value.clone()), "{value:?}");
            for cut in 0..out.len() {
                assert_eq!(super::value(&mut &out[..cut]), None, "{value:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn zeroes_and_nans_are_one_key_each() {
        let column = Column { data: Data::Double(vec![0.0, -0.0, f64::NAN, -f64::NAN]), nulls: None };
        let key = |row| {
            let mut out = Vec::new();
            put_cell(&column, row, &mut out);
            out
        };
        assert_eq!((key(0), key(2)), (key(1), key(3)));
    }

    #[test]
    fn ordered_numbers_sort_as_numbers() {
        let numbers = [i64::MIN, -5, -1, 0, 1, 256, i64::MAX];
        let keys = numbers.map(|n| {
            let mut out = Vec::new();
            put_ordered(n, &mut out);
            assert_eq!(ordered(&mut out.as_slice()), Some(n));
            out
        });
        assert!(keys.is_sorted());
    }
}
