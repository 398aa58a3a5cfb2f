//! Numbers by group: sums, counts, averages, extremes, moments. Arithmetic is Flink's: integers wrap in their type.

use crate::query::codec;
use crate::record::{Column, Data, Type};

/// One value for each group, if it has one.
#[derive(Debug)]
pub(super) struct Fold<T> {
    pub(super) values: Vec<T>,
    pub(super) has: Vec<bool>,
}

impl<T> Default for Fold<T> {
    fn default() -> Fold<T> {
        Fold { values: Vec::new(), has: Vec::new() }
    }
}

impl<T: Clone + Default> Fold<T> {
    pub(super) fn resize(&mut self, slots: usize) {
        self.values.resize(slots, T::default());
        self.has.resize(slots, false);
    }

    pub(super) fn reset(&mut self, group: u32) {
        self.values[group as usize] = T::default();
        self.has[group as usize] = false;
    }

    pub(super) fn set(&mut self, group: u32, value: Option<T>) {
        self.has[group as usize] = value.is_some();
        self.values[group as usize] = value.unwrap_or_default();
    }

    pub(super) fn get(&self, group: u32) -> Option<&T> {
        self.has[group as usize].then(|| &self.values[group as usize])
    }

    /// Joins one more value to a group's.
    pub(super) fn join(&mut self, group: u32, value: T, both: impl Fn(T, T) -> T) {
        let at = group as usize;
        self.values[at] = if self.has[at] { both(self.values[at].clone(), value) } else { value };
        self.has[at] = true;
    }

    pub(super) fn merge(&mut self, into: u32, from: u32, both: impl Fn(T, T) -> T) {
        if let Some(value) = self.get(from).cloned() {
            self.join(into, value, both);
        }
    }

    pub(super) fn put(&self, group: u32, out: &mut Vec<u8>, put: impl Fn(&T, &mut Vec<u8>)) {
        let value = self.get(group);
        out.push(u8::from(value.is_some()));
        value.inspect(|value| put(value, out));
    }

    pub(super) fn load(&mut self, group: u32, input: &mut &[u8], read: impl Fn(&mut &[u8]) -> Option<T>) -> Option<()> {
        let [has] = codec::fixed(input)?;
        let value = if has == 1 { Some(read(input)?) } else { None };
        self.set(group, value);
        Some(())
    }

    /// NULL marks of these groups' values.
    pub(super) fn nulls(&self, groups: &[u32]) -> Option<Vec<bool>> {
        let nulls: Vec<bool> = groups.iter().map(|group| !self.has[*group as usize]).collect();
        nulls.contains(&true).then_some(nulls)
    }
}

impl<T: Copy + Default> Fold<T> {
    /// Joins each row's value to its group's.
    pub(super) fn update(&mut self, values: &[T], rows: &[u32], groups: &[u32], both: impl Fn(T, T) -> T) {
        for (row, group) in rows.iter().zip(groups) {
            let (value, at) = (values[*row as usize], *group as usize);
            self.values[at] = if self.has[at] { both(self.values[at], value) } else { value };
            self.has[at] = true;
        }
    }

    pub(super) fn pick(&self, groups: &[u32]) -> Vec<T> {
        groups.iter().map(|group| self.values[*group as usize]).collect()
    }
}

/// Cuts a sum to its type's width, as Java's casts do.
pub(super) fn wrap(sum: i64, ty: &Type) -> i64 {
    match ty {
        Type::TinyInt => i64::from(sum as i8),
        Type::SmallInt => i64::from(sum as i16),
        Type::Int => i64::from(sum as i32),
        _ => sum,
    }
}

/// The greatest unscaled DECIMAL.
const DECIMAL_MAX: i128 = 10_i128.pow(38) - 1;

/// The sum of two DECIMALs, if it is one.
pub(super) fn add_decimals(a: i128, b: i128) -> Option<i128> {
    a.checked_add(b).filter(|sum| sum.abs() <= DECIMAL_MAX)
}

/// `sum / count`, moved from scale `from` to scale `to`, rounded half away from zero.
pub(super) fn divide_decimal(sum: i128, count: i64, from: u8, to: u8) -> Option<i128> {
    let factor = 10_i128.checked_pow(u32::from(to.saturating_sub(from)))?;
    let count = i128::from(count);
    let (whole, rest) = (sum.checked_div(count)?, sum.checked_rem(count)?);
    let scaled = rest.checked_mul(factor)?;
    let mut fraction = scaled / count;
    if (scaled % count).abs() * 2 >= count {
        fraction += scaled.signum();
    }
    whole.checked_mul(factor)?.checked_add(fraction).filter(|value| value.abs() <= DECIMAL_MAX)
}

/// Sum and count of each group: AVG.
#[derive(Debug, Default)]
pub(super) struct Means<T> {
    pub(super) sums: Vec<T>,
    pub(super) counts: Vec<i64>,
}

impl<T: Copy + Default> Means<T> {
    pub(super) fn resize(&mut self, slots: usize) {
        self.sums.resize(slots, T::default());
        self.counts.resize(slots, 0);
    }

    pub(super) fn reset(&mut self, group: u32) {
        self.sums[group as usize] = T::default();
        self.counts[group as usize] = 0;
    }

    pub(super) fn update(
        &mut self,
        values: impl Fn(usize) -> T,
        rows: &[u32],
        groups: &[u32],
        both: impl Fn(T, T) -> T,
    ) {
        for (row, group) in rows.iter().zip(groups) {
            let at = *group as usize;
            self.sums[at] = both(self.sums[at], values(*row as usize));
            self.counts[at] += 1;
        }
    }

    pub(super) fn merge(&mut self, into: u32, from: u32, both: impl Fn(T, T) -> T) {
        self.sums[into as usize] = both(self.sums[into as usize], self.sums[from as usize]);
        self.counts[into as usize] += self.counts[from as usize];
    }

    pub(super) fn put(&self, group: u32, out: &mut Vec<u8>, put: impl Fn(T, &mut Vec<u8>)) {
        codec::put_signed(self.counts[group as usize], out);
        put(self.sums[group as usize], out);
    }

    pub(super) fn load(&mut self, group: u32, input: &mut &[u8], read: impl Fn(&mut &[u8]) -> Option<T>) -> Option<()> {
        self.counts[group as usize] = codec::signed(input)?;
        self.sums[group as usize] = read(input)?;
        Some(())
    }

    pub(super) fn each<V: Default>(
        &self,
        groups: &[u32],
        mean: impl Fn(T, i64) -> Option<V>,
    ) -> (Vec<V>, Option<Vec<bool>>) {
        let at = |group: &u32| (self.sums[*group as usize], self.counts[*group as usize]);
        let means = groups.iter().map(at).map(|(sum, count)| if count == 0 { None } else { mean(sum, count) });
        split(means)
    }
}

/// Values and NULL marks.
pub(super) fn split<V: Default>(values: impl Iterator<Item = Option<V>>) -> (Vec<V>, Option<Vec<bool>>) {
    let mut nulls = Vec::new();
    let values = values
        .map(|value| {
            nulls.push(value.is_none());
            value.unwrap_or_default()
        })
        .collect();
    (values, nulls.contains(&true).then_some(nulls))
}

/// A column's numbers as f64; text and the like give nothing useful (plans have none there).
pub(super) fn as_double<'a>(column: &'a Column, ty: &Type) -> Box<dyn Fn(usize) -> f64 + 'a> {
    let scale = if let Type::Decimal(_, scale) = ty { 10_f64.powi(i32::from(*scale)) } else { 1.0 };
    match &column.data {
        Data::Int(v) => Box::new(|row| v[row] as f64),
        Data::Float(v) => Box::new(|row| f64::from(v[row])),
        Data::Double(v) => Box::new(|row| v[row]),
        Data::Decimal(v) => Box::new(move |row| v[row] as f64 / scale),
        _ => Box::new(|_| 0.0),
    }
}

/// Sum, sum of squares and count of each group: STDDEV and VAR.
#[derive(Debug, Default)]
pub(super) struct Moments {
    pub(super) means: Means<f64>,
    pub(super) squares: Vec<f64>,
}

impl Moments {
    pub(super) fn resize(&mut self, slots: usize) {
        self.means.resize(slots);
        self.squares.resize(slots, 0.0);
    }

    pub(super) fn reset(&mut self, group: u32) {
        self.means.reset(group);
        self.squares[group as usize] = 0.0;
    }

    pub(super) fn update(&mut self, values: impl Fn(usize) -> f64, rows: &[u32], groups: &[u32]) {
        for (row, group) in rows.iter().zip(groups) {
            let (value, at) = (values(*row as usize), *group as usize);
            self.means.sums[at] += value;
            self.means.counts[at] += 1;
            self.squares[at] += value * value;
        }
    }

    pub(super) fn merge(&mut self, into: u32, from: u32) {
        self.means.merge(into, from, |a, b| a + b);
        self.squares[into as usize] += self.squares[from as usize];
    }

    pub(super) fn put(&self, group: u32, out: &mut Vec<u8>) {
        self.means.put(group, out, codec::put_f64);
        codec::put_f64(self.squares[group as usize], out);
    }

    pub(super) fn load(&mut self, group: u32, input: &mut &[u8]) -> Option<()> {
        self.means.load(group, input, codec::f64)?;
        self.squares[group as usize] = codec::f64(input)?;
        Some(())
    }

    /// The variance: `sample` divides by n - 1 and is NULL for one value.
    pub(super) fn variance(&self, group: u32, sample: bool) -> Option<f64> {
        let at = group as usize;
        let (sum, squares, count) = (self.means.sums[at], self.squares[at], self.means.counts[at]);
        let divisor = if sample { count - 1 } else { count };
        (count > 0 && divisor > 0).then(|| (squares - sum * sum / count as f64) / divisor as f64)
    }
}

/// The same for integers, as Flink computes it: in the integers' own type, which wraps, with divisions that cut.
#[derive(Debug, Default)]
pub(super) struct IntMoments {
    means: Means<i64>,
    squares: Vec<i64>,
}

impl IntMoments {
    pub(super) fn resize(&mut self, slots: usize) {
        self.means.resize(slots);
        self.squares.resize(slots, 0);
    }

    pub(super) fn reset(&mut self, group: u32) {
        self.means.reset(group);
        self.squares[group as usize] = 0;
    }

    pub(super) fn update(&mut self, values: &[i64], rows: &[u32], groups: &[u32], ty: &Type) {
        for (row, group) in rows.iter().zip(groups) {
            let (value, at) = (values[*row as usize], *group as usize);
            self.means.sums[at] = wrap(self.means.sums[at].wrapping_add(value), ty);
            self.means.counts[at] += 1;
            self.squares[at] = wrap(self.squares[at].wrapping_add(value.wrapping_mul(value)), ty);
        }
    }

    pub(super) fn merge(&mut self, into: u32, from: u32, ty: &Type) {
        self.means.merge(into, from, |a, b| wrap(a.wrapping_add(b), ty));
        let sum = self.squares[into as usize].wrapping_add(self.squares[from as usize]);
        self.squares[into as usize] = wrap(sum, ty);
    }

    pub(super) fn put(&self, group: u32, out: &mut Vec<u8>) {
        self.means.put(group, out, codec::put_signed);
        codec::put_signed(self.squares[group as usize], out);
    }

    pub(super) fn load(&mut self, group: u32, input: &mut &[u8]) -> Option<()> {
        self.means.load(group, input, codec::signed)?;
        self.squares[group as usize] = codec::signed(input)?;
        Some(())
    }

    pub(super) fn variance(&self, group: u32, sample: bool, ty: &Type) -> Option<i64> {
        let at = group as usize;
        let (sum, count) = (self.means.sums[at], self.means.counts[at]);
        let divisor = if sample { count - 1 } else { count };
        if count == 0 || divisor == 0 {
            return None;
        }
        let mean_square = wrap(sum.wrapping_mul(sum), ty).wrapping_div(count);
        Some(wrap(self.squares[at].wrapping_sub(mean_square), ty).wrapping_div(divisor))
    }
}
