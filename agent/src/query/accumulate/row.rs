//! A group's accumulators as bytes of its state row, and back.

use crate::query::codec;

use super::numbers::Fold;
use super::sketch::{Distinct, Quantiles};
use super::texts::{Bag, Object};
use super::{Accumulator, State};

impl Accumulator {
    pub(in crate::query) fn put(&self, group: u32, out: &mut Vec<u8>) {
        let at = group as usize;
        match &self.state {
            State::Count(counts) => codec::put_signed(counts[at], out),
            State::SumInt(f) | State::BestInt(f) => f.put(group, out, |x, out| codec::put_signed(*x, out)),
            State::SumFloat(f) | State::BestFloat(f) => {
                f.put(group, out, |x, out| out.extend_from_slice(&x.to_le_bytes()));
            }
            State::SumDouble(f) | State::BestDouble(f) => f.put(group, out, |x, out| codec::put_f64(*x, out)),
            State::SumDecimal(f) | State::BestDecimal(f) => {
                f.put(group, out, |x, out| out.extend_from_slice(&x.to_le_bytes()));
            }
            State::MeanInt(m) => m.put(group, out, codec::put_signed),
            State::MeanDouble(m) => m.put(group, out, codec::put_f64),
            State::MeanDecimal(m) => m.put(group, out, |x, out| out.extend_from_slice(&x.to_le_bytes())),
            State::BestBool(f) => f.put(group, out, |x, out| out.push(u8::from(*x))),
            State::BestText(f) => f.put(group, out, |x, out| codec::put_bytes(x, out)),
            State::Pick(f) => codec::put_value(&f.values[at], out),
            State::List(f) => f.put(group, out, |x, out| codec::put_bytes(x.as_bytes(), out)),
            State::Moments(m) => m.put(group, out),
            State::IntMoments(m) => m.put(group, out),
            State::Distinct(sketches) => sketches[at].put(out),
            State::Quantiles(sketches) => sketches[at].put(out),
            State::Object(objects) => objects[at].put(out),
            State::Collect(bags) => {
                codec::put_varint(bags[at].pairs().len() as u64, out);
                for (value, count) in bags[at].pairs() {
                    codec::put_value(value, out);
                    codec::put_signed(*count, out);
                }
            }
        }
    }

    /// `None`: these bytes are no state of this call.
    pub(in crate::query) fn load(&mut self, group: u32, input: &mut &[u8]) -> Option<()> {
        self.reset(group);
        let at = group as usize;
        match &mut self.state {
            State::Count(counts) => counts[at] = codec::signed(input)?,
            State::SumInt(f) | State::BestInt(f) => f.load(group, input, codec::signed)?,
            State::SumFloat(f) | State::BestFloat(f) => {
                f.load(group, input, |input| codec::fixed(input).map(f32::from_le_bytes))?;
            }
            State::SumDouble(f) | State::BestDouble(f) => f.load(group, input, codec::f64)?,
            State::SumDecimal(f) | State::BestDecimal(f) => f.load(group, input, decimal)?,
            State::MeanInt(m) => m.load(group, input, codec::signed)?,
            State::MeanDouble(m) => m.load(group, input, codec::f64)?,
            State::MeanDecimal(m) => m.load(group, input, decimal)?,
            State::BestBool(f) => f.load(group, input, |input| codec::fixed(input).map(|[x]| x == 1))?,
            State::BestText(f) => f.load(group, input, |input| codec::bytes(input).map(Into::into))?,
            State::Pick(f) => load_value(f, group, input)?,
            State::List(f) => f.load(group, input, |input| String::from_utf8(codec::bytes(input)?.to_vec()).ok())?,
            State::Moments(m) => m.load(group, input)?,
            State::IntMoments(m) => m.load(group, input)?,
            State::Distinct(sketches) => sketches[at] = Distinct::load(input)?,
            State::Quantiles(sketches) => sketches[at] = Quantiles::load(input)?,
            State::Object(objects) => objects[at] = Object::load(input)?,
            State::Collect(bags) => {
                let mut bag = Bag::default();
                for _ in 0..codec::varint(input)? {
                    let value = codec::value(input)?;
                    bag.add(value, codec::signed(input)?);
                }
                bags[at] = bag;
            }
        }
        self.heap += self.heap_of(group);
        Some(())
    }
}

fn decimal(input: &mut &[u8]) -> Option<i128> {
    codec::fixed(input).map(i128::from_le_bytes)
}

fn load_value(fold: &mut Fold<crate::record::Value>, group: u32, input: &mut &[u8]) -> Option<()> {
    let value = codec::value(input)?;
    fold.has[group as usize] = value != crate::record::Value::Null;
    fold.values[group as usize] = value;
    Some(())
}
