//! What a call gives for its groups, as a column of its type.

use crate::record::{Column, Data, Strings, Type, Value};
use crate::sql::plan::AggregateFunction as Function;

use super::numbers::{Fold, divide_decimal, split, wrap};
use super::{Accumulator, State};

impl Accumulator {
    /// The results of these groups, in this order.
    pub(in crate::query) fn output(&self, groups: &[u32]) -> Column {
        let at = |group: &u32| *group as usize;
        match &self.state {
            State::Count(counts) => plain(Data::Int(groups.iter().map(|group| counts[at(group)]).collect())),
            State::SumInt(f) | State::BestInt(f) => folded(f, groups, Data::Int),
            State::SumFloat(f) | State::BestFloat(f) => folded(f, groups, Data::Float),
            State::SumDouble(f) | State::BestDouble(f) => folded(f, groups, Data::Double),
            State::SumDecimal(f) | State::BestDecimal(f) => folded(f, groups, Data::Decimal),
            State::BestBool(f) => folded(f, groups, Data::Bool),
            State::MeanInt(m) => {
                let (values, nulls) = m.each(groups, |sum, count| Some(wrap(sum / count, &self.call.ty)));
                Column { data: Data::Int(values), nulls }
            }
            State::MeanDouble(m) => {
                let (values, nulls) = m.each(groups, |sum, count| Some(sum / count as f64));
                self.doubles(values, nulls)
            }
            State::MeanDecimal(m) => {
                let (from, to) = (scale(self.call.arg_types.first()), scale(Some(&self.call.ty)));
                let (values, nulls) = m.each(groups, |sum, count| divide_decimal(sum, count, from, to));
                Column { data: Data::Decimal(values), nulls }
            }
            State::BestText(f) => texts(groups.iter().map(|group| f.get(*group).map(AsRef::as_ref))),
            State::List(f) if matches!(self.call.function, Function::JsonArray) => {
                let array = |group: &u32| format!("[{}]", f.get(*group).map_or("", String::as_str));
                let arrays: Vec<String> = groups.iter().map(array).collect();
                texts(arrays.iter().map(|array| Some(array.as_bytes())))
            }
            State::Object(objects) => {
                let written: Vec<Vec<u8>> = groups.iter().map(|group| objects[at(group)].written()).collect();
                texts(written.iter().map(|object| Some(object.as_slice())))
            }
            State::List(f) => texts(groups.iter().map(|group| f.get(*group).map(String::as_bytes))),
            State::Pick(f) => self.values(groups.iter().map(|group| f.values[at(group)].clone())),
            State::Moments(m) => {
                let (sample, root) = self.spread();
                let spread = |group: &u32| m.variance(*group, sample).map(|v| if root { v.sqrt() } else { v });
                let (values, nulls) = split(groups.iter().map(spread));
                self.doubles(values, nulls)
            }
            State::IntMoments(m) => {
                let (sample, root) = self.spread();
                let rooted = |v: i64| if root { (v as f64).sqrt() as i64 } else { v };
                let spread = |group: &u32| m.variance(*group, sample, &self.call.ty).map(rooted);
                let (values, nulls) = split(groups.iter().map(spread));
                Column { data: Data::Int(values), nulls }
            }
            State::Distinct(sketches) => {
                plain(Data::Int(groups.iter().map(|group| sketches[at(group)].estimate()).collect()))
            }
            State::Quantiles(_) => self.quantiles(groups),
            State::Collect(bags) => {
                let count = |(value, count): &(Value, i64)| (value.clone(), Value::Int(*count));
                let bag = |group: &u32| Value::Map(bags[at(group)].pairs().iter().map(count).collect());
                plain(Data::Values(groups.iter().map(bag).collect()))
            }
        }
    }

    /// Whether the variance is a sample's, and whether its root is asked for.
    fn spread(&self) -> (bool, bool) {
        match self.call.function {
            Function::StddevPop => (false, true),
            Function::StddevSamp => (true, true),
            Function::VarPop => (false, false),
            _ => (true, false),
        }
    }

    fn quantiles(&self, groups: &[u32]) -> Column {
        let (State::Quantiles(sketches), Function::Percentile { fractions }) = (&self.state, &self.call.function)
        else {
            return self.values(std::iter::empty());
        };
        let quantile = |group: &u32, fraction: &f64| sketches[*group as usize].quantile(*fraction);
        if !matches!(self.call.ty, Type::Array(_)) {
            let fraction = fractions.first().copied().unwrap_or(0.5);
            let (values, nulls) = split(groups.iter().map(|group| quantile(group, &fraction)));
            return self.doubles(values, nulls);
        }
        let all = |group: &u32| -> Option<Vec<Value>> {
            fractions.iter().map(|fraction| quantile(group, fraction).map(Value::Double)).collect()
        };
        self.values(groups.iter().map(|group| all(group).map_or(Value::Null, Value::Array)))
    }

    /// Doubles as numbers of the call's type: integers are cut, DECIMALs rounded.
    fn doubles(&self, values: Vec<f64>, nulls: Option<Vec<bool>>) -> Column {
        let data = match &self.call.ty {
            Type::Float => Data::Float(values.iter().map(|v| *v as f32).collect()),
            Type::TinyInt | Type::SmallInt | Type::Int | Type::BigInt => {
                Data::Int(values.iter().map(|v| wrap(*v as i64, &self.call.ty)).collect())
            }
            Type::Decimal(_, scale) => {
                let factor = 10_f64.powi(i32::from(*scale));
                Data::Decimal(values.iter().map(|v| (v * factor).round() as i128).collect())
            }
            _ => Data::Double(values),
        };
        Column { data, nulls }
    }

    fn values(&self, values: impl Iterator<Item = Value>) -> Column {
        let mut column = Column::of(&self.call.ty, values.size_hint().0);
        values.for_each(|value| column.push(&value));
        column
    }
}

fn scale(ty: Option<&Type>) -> u8 {
    if let Some(Type::Decimal(_, scale)) = ty { *scale } else { 0 }
}

fn plain(data: Data) -> Column {
    Column { data, nulls: None }
}

fn folded<T: Copy + Default>(fold: &Fold<T>, groups: &[u32], data: impl Fn(Vec<T>) -> Data) -> Column {
    Column { data: data(fold.pick(groups)), nulls: fold.nulls(groups) }
}

fn texts<'a>(values: impl Iterator<Item = Option<&'a [u8]>>) -> Column {
    let mut texts = Strings::default();
    let mut nulls = Vec::new();
    for value in values {
        nulls.push(value.is_none());
        texts.push(value.unwrap_or_default());
    }
    Column { data: Data::Text(texts), nulls: nulls.contains(&true).then_some(nulls) }
}
