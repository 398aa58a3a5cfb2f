//! What an aggregate call knows of each group: columns of plain values by group number. Updated from whole columns,
//! written and read group by group. Rows of NULL, of another FILTER and of a DISTINCT value that was there before do
//! not get here.

mod build;
mod numbers;
mod output;
mod row;
mod sketch;
mod texts;

use crate::record::{Column, Data, Type, Value};
use crate::sql::plan::AggregateCall;

use numbers::{Fold, IntMoments, Means, Moments, as_double, wrap};
use sketch::{Distinct, Quantiles};
use texts::{Bag, Object};

/// One call's state of all groups.
#[derive(Debug)]
pub(super) struct Accumulator {
    call: AggregateCall,
    state: State,
    /// Bytes on the heap beside the columns, for states of no fixed size.
    heap: usize,
}

#[derive(Debug)]
enum State {
    Count(Vec<i64>),
    SumInt(Fold<i64>),
    SumFloat(Fold<f32>),
    SumDouble(Fold<f64>),
    SumDecimal(Fold<i128>),
    /// AVG of integers, of FLOAT and DOUBLE, of DECIMAL.
    MeanInt(Means<i64>),
    MeanDouble(Means<f64>),
    MeanDecimal(Means<i128>),
    /// MIN or MAX.
    BestBool(Fold<bool>),
    BestInt(Fold<i64>),
    BestFloat(Fold<f32>),
    BestDouble(Fold<f64>),
    BestDecimal(Fold<i128>),
    BestText(Fold<Box<[u8]>>),
    /// FIRST_VALUE or LAST_VALUE.
    Pick(Fold<Value>),
    List(Fold<String>),
    Moments(Moments),
    IntMoments(IntMoments),
    Distinct(Vec<Distinct>),
    Quantiles(Vec<Quantiles>),
    Collect(Vec<Bag>),
    Object(Vec<Object>),
}

/// The smaller or the larger one; neither is replaced by a NaN.
fn better<T: PartialOrd>(max: bool) -> impl Fn(T, T) -> T + Copy {
    move |old, new| if (max && new > old) || (!max && new < old) { new } else { old }
}

impl Accumulator {
    pub(super) fn call(&self) -> &AggregateCall {
        &self.call
    }

    /// Adds the value of `args` in each of `rows` to the group beside it. No argument there is NULL.
    pub(super) fn update(&mut self, args: &[&Column], rows: &[u32], groups: &[u32]) {
        let ty = self.call.ty.clone();
        let max = self.is_max();
        let Some(first) = args.first() else {
            if let State::Count(counts) = &mut self.state {
                groups.iter().for_each(|group| counts[*group as usize] += 1);
            }
            return;
        };
        match (&mut self.state, &first.data) {
            (State::Count(counts), _) => groups.iter().for_each(|group| counts[*group as usize] += 1),
            (State::SumInt(f), Data::Int(v)) => match ty {
                Type::TinyInt | Type::SmallInt | Type::Int => f.update(v, rows, groups, |a, b| wrap(a + b, &ty)),
                _ => f.update(v, rows, groups, i64::wrapping_add),
            },
            (State::SumFloat(f), Data::Float(v)) => f.update(v, rows, groups, |a, b| a + b),
            (State::SumDouble(f), Data::Double(v)) => f.update(v, rows, groups, |a, b| a + b),
            (State::SumDecimal(f), Data::Decimal(v)) => {
                for (row, group) in rows.iter().zip(groups) {
                    texts::add_decimal(f, *group, v[*row as usize]);
                }
            }
            (State::MeanInt(m), Data::Int(v)) => m.update(|row| v[row], rows, groups, i64::wrapping_add),
            (State::MeanDouble(m), _) => m.update(as_double(first, &Type::Double), rows, groups, |a, b| a + b),
            (State::MeanDecimal(m), Data::Decimal(v)) => m.update(|row| v[row], rows, groups, i128::wrapping_add),
            (State::BestBool(f), Data::Bool(v)) => f.update(v, rows, groups, better(max)),
            (State::BestInt(f), Data::Int(v)) => f.update(v, rows, groups, better(max)),
            (State::BestFloat(f), Data::Float(v)) => f.update(v, rows, groups, better(max)),
            (State::BestDouble(f), Data::Double(v)) => f.update(v, rows, groups, better(max)),
            (State::BestDecimal(f), Data::Decimal(v)) => f.update(v, rows, groups, better(max)),
            (State::BestText(f), Data::Text(v)) => self.heap += texts::best(f, v, rows, groups, max),
            (State::IntMoments(m), Data::Int(v)) => m.update(v, rows, groups, &ty),
            (State::Moments(m), _) => {
                let value = as_double(first, self.call.arg_types.first().unwrap_or(&Type::Double));
                m.update(value, rows, groups);
            }
            _ => self.update_sized(args, rows, groups),
        }
    }

    /// The states whose size follows their input.
    fn update_sized(&mut self, args: &[&Column], rows: &[u32], groups: &[u32]) {
        let Some(first) = args.first() else { return };
        let last = self.is_max();
        let separator = self.separator();
        for (row, group) in rows.iter().zip(groups) {
            let (at, row) = (*group as usize, *row as usize);
            let before = self.heap_of(*group);
            match &mut self.state {
                State::Pick(f) if last || !f.has[at] => f.set(*group, Some(first.value(row))),
                State::List(f) => texts::append(f, *group, first, row, &separator),
                State::Distinct(sketches) => sketches[at].add(texts::hash(first, row)),
                State::Quantiles(sketches) => {
                    let ty = self.call.arg_types.first().unwrap_or(&Type::Double);
                    sketches[at].add(as_double(first, ty)(row));
                }
                State::Collect(bags) => bags[at].add(first.value(row), 1),
                State::Object(objects) => {
                    let value = args.get(1).map_or(Value::Null, |column| column.value(row));
                    objects[at].set(first.value(row), value);
                }
                _ => {}
            }
            self.heap = (self.heap + self.heap_of(*group)).saturating_sub(before);
        }
    }

    /// Adds what group `from` has seen to group `into`. Of the two, `from` counts as the later one.
    pub(super) fn merge(&mut self, into: u32, from: u32) {
        let before = self.heap_of(into);
        let max = self.is_max();
        let ty = self.call.ty.clone();
        let separator = self.separator();
        match &mut self.state {
            State::Count(counts) => counts[into as usize] += counts[from as usize],
            State::SumInt(f) => f.merge(into, from, |a, b| wrap(a.wrapping_add(b), &ty)),
            State::SumFloat(f) => f.merge(into, from, |a, b| a + b),
            State::SumDouble(f) => f.merge(into, from, |a, b| a + b),
            State::SumDecimal(f) => {
                if let Some(value) = f.get(from).copied() {
                    texts::add_decimal(f, into, value);
                }
            }
            State::MeanInt(m) => m.merge(into, from, i64::wrapping_add),
            State::MeanDouble(m) => m.merge(into, from, |a, b| a + b),
            State::MeanDecimal(m) => m.merge(into, from, i128::wrapping_add),
            State::BestBool(f) => f.merge(into, from, better(max)),
            State::BestInt(f) => f.merge(into, from, better(max)),
            State::BestFloat(f) => f.merge(into, from, better(max)),
            State::BestDouble(f) => f.merge(into, from, better(max)),
            State::BestDecimal(f) => f.merge(into, from, better(max)),
            State::BestText(f) => f.merge(into, from, better(max)),
            State::Pick(f) => f.merge(into, from, |old, new| if max { new } else { old }),
            State::List(f) => f.merge(into, from, |old, new| old + &separator + &new),
            State::Moments(m) => m.merge(into, from),
            State::IntMoments(m) => m.merge(into, from, &ty),
            State::Distinct(sketches) => {
                let other = sketches[from as usize].clone();
                sketches[into as usize].merge(&other);
            }
            State::Quantiles(sketches) => {
                let other = sketches[from as usize].clone();
                sketches[into as usize].merge(&other);
            }
            State::Object(objects) => {
                let other = objects[from as usize].clone();
                objects[into as usize].join(other);
            }
            State::Collect(bags) => {
                let other = bags[from as usize].clone();
                other.into_pairs().into_iter().for_each(|(value, count)| bags[into as usize].add(value, count));
            }
        }
        self.heap = (self.heap + self.heap_of(into)).saturating_sub(before);
    }
}
