//! Sketches: how many different values, and quantiles, in bounded state. Both merge and are the same however the
//! input was cut. Small inputs are kept as they are, so their answers are exact.

use std::collections::BTreeMap;

use crate::query::codec;

/// HyperLogLog of 2^12 registers (standard error 1.6 %), or the hashes themselves while there are few.
#[derive(Clone, Debug)]
pub(super) enum Distinct {
    Few(Vec<u64>),
    Registers(Box<[u8; REGISTERS]>),
}

const BITS: u32 = 12;
const REGISTERS: usize = 1 << BITS;
const FEW: usize = 128;

impl Default for Distinct {
    fn default() -> Distinct {
        Distinct::Few(Vec::new())
    }
}

impl Distinct {
    /// Adds a value by its hash; the hash is part of the stored format.
    pub(super) fn add(&mut self, hash: u64) {
        match self {
            Distinct::Few(hashes) => {
                let Err(at) = hashes.binary_search(&hash) else { return };
                hashes.insert(at, hash);
                if hashes.len() > FEW {
                    let mut registers = Box::new([0; REGISTERS]);
                    hashes.iter().for_each(|hash| register(&mut registers, *hash));
                    *self = Distinct::Registers(registers);
                }
            }
            Distinct::Registers(registers) => register(registers, hash),
        }
    }

    pub(super) fn merge(&mut self, other: &Distinct) {
        match (&mut *self, other) {
            (_, Distinct::Few(hashes)) => hashes.iter().for_each(|hash| self.add(*hash)),
            (Distinct::Few(hashes), Distinct::Registers(_)) => {
                let few = std::mem::take(hashes);
                *self = other.clone();
                few.iter().for_each(|hash| self.add(*hash));
            }
            (Distinct::Registers(mine), Distinct::Registers(theirs)) => {
                mine.iter_mut().zip(theirs.iter()).for_each(|(a, b)| *a = (*a).max(*b));
            }
        }
    }

    pub(super) fn estimate(&self) -> i64 {
        let registers = match self {
            Distinct::Few(hashes) => return hashes.len() as i64,
            Distinct::Registers(registers) => registers,
        };
        let m = REGISTERS as f64;
        let sum: f64 = registers.iter().map(|rank| 0.5_f64.powi(i32::from(*rank))).sum();
        let raw = 0.7213 / (1.0 + 1.079 / m) * m * m / sum;
        let empty = registers.iter().filter(|rank| **rank == 0).count();
        let estimate = if raw <= 2.5 * m && empty > 0 { m * (m / empty as f64).ln() } else { raw };
        estimate.round() as i64
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Distinct::Few(hashes) => {
                out.push(0);
                codec::put_varint(hashes.len() as u64, out);
                hashes.iter().for_each(|hash| out.extend_from_slice(&hash.to_le_bytes()));
            }
            Distinct::Registers(registers) => {
                out.push(1);
                out.extend_from_slice(registers.as_slice());
            }
        }
    }

    pub(super) fn load(input: &mut &[u8]) -> Option<Distinct> {
        match codec::fixed(input)? {
            [0] => {
                let count = codec::varint(input)?;
                let hashes = (0..count).map(|_| codec::fixed(input).map(u64::from_le_bytes)).collect::<Option<_>>()?;
                Some(Distinct::Few(hashes))
            }
            _ => Some(Distinct::Registers(Box::new(codec::fixed(input)?))),
        }
    }

    pub(super) fn heap(&self) -> usize {
        match self {
            Distinct::Few(hashes) => 8 * hashes.capacity(),
            Distinct::Registers(_) => REGISTERS,
        }
    }
}

fn register(registers: &mut [u8; REGISTERS], hash: u64) {
    let at = (hash >> (64 - BITS)) as usize;
    let rank = ((hash << BITS) | (1 << (BITS - 1))).leading_zeros() as u8 + 1;
    registers[at] = registers[at].max(rank);
}

/// Quantiles: the values themselves while there are few, then DDSketch (a count for each range of values whose ends
/// are 2 % apart, so an answer is off by at most 1 % of itself).
#[derive(Clone, Debug)]
pub(super) enum Quantiles {
    Few(Vec<f64>),
    Ranges(Box<Ranges>),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Ranges {
    count: u64,
    zeros: u64,
    negative: BTreeMap<i32, u64>,
    positive: BTreeMap<i32, u64>,
}

const GAMMA: f64 = 1.01 / 0.99;

impl Default for Quantiles {
    fn default() -> Quantiles {
        Quantiles::Few(Vec::new())
    }
}

impl Quantiles {
    pub(super) fn add(&mut self, value: f64) {
        match self {
            Quantiles::Few(values) => {
                let at = values.partition_point(|other| other.total_cmp(&value).is_lt());
                values.insert(at, value);
                if values.len() > FEW {
                    let mut ranges = Ranges::default();
                    values.iter().for_each(|value| ranges.add(*value));
                    *self = Quantiles::Ranges(Box::new(ranges));
                }
            }
            Quantiles::Ranges(ranges) => ranges.add(value),
        }
    }

    pub(super) fn merge(&mut self, other: &Quantiles) {
        match (&mut *self, other) {
            (_, Quantiles::Few(values)) => values.iter().for_each(|value| self.add(*value)),
            (Quantiles::Few(values), Quantiles::Ranges(_)) => {
                let few = std::mem::take(values);
                *self = other.clone();
                few.iter().for_each(|value| self.add(*value));
            }
            (Quantiles::Ranges(mine), Quantiles::Ranges(theirs)) => mine.merge(theirs),
        }
    }

    /// The value at a fraction of the way through all values in order, between two by their distance.
    pub(super) fn quantile(&self, fraction: f64) -> Option<f64> {
        let between = |last: usize, at: &dyn Fn(usize) -> f64| {
            let place = fraction.clamp(0.0, 1.0) * last as f64;
            let (low, high) = (at(place.floor() as usize), at(place.ceil() as usize));
            low + (high - low) * place.fract()
        };
        match self {
            Quantiles::Few(values) => Some(between(values.len().checked_sub(1)?, &|i| values[i])),
            Quantiles::Ranges(ranges) => Some(between(ranges.count as usize - 1, &|i| ranges.at(i as u64))),
        }
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Quantiles::Few(values) => {
                out.push(0);
                codec::put_varint(values.len() as u64, out);
                values.iter().for_each(|value| codec::put_f64(*value, out));
            }
            Quantiles::Ranges(ranges) => {
                out.push(1);
                codec::put_varint(ranges.zeros, out);
                for side in [&ranges.negative, &ranges.positive] {
                    codec::put_varint(side.len() as u64, out);
                    for (range, count) in side {
                        codec::put_signed(i64::from(*range), out);
                        codec::put_varint(*count, out);
                    }
                }
            }
        }
    }

    pub(super) fn load(input: &mut &[u8]) -> Option<Quantiles> {
        if codec::fixed(input)? == [0] {
            let count = codec::varint(input)?;
            return (0..count).map(|_| codec::f64(input)).collect::<Option<_>>().map(Quantiles::Few);
        }
        let zeros = codec::varint(input)?;
        let mut ranges = Ranges { zeros, count: zeros, ..Ranges::default() };
        for side in [&mut ranges.negative, &mut ranges.positive] {
            for _ in 0..codec::varint(input)? {
                let range = codec::signed(input)? as i32;
                let count = codec::varint(input)?;
                ranges.count += count;
                side.insert(range, count);
            }
        }
        (ranges.count > 0).then(|| Quantiles::Ranges(Box::new(ranges)))
    }

    pub(super) fn heap(&self) -> usize {
        match self {
            Quantiles::Few(values) => 8 * values.capacity(),
            Quantiles::Ranges(ranges) => 64 + 24 * (ranges.negative.len() + ranges.positive.len()),
        }
    }
}

impl Ranges {
    fn add(&mut self, value: f64) {
        self.count += 1;
        // Smaller than this is as good as zero; NaN sorts above everything.
        let range = |size: f64| (size.min(f64::MAX).ln() / GAMMA.ln()).ceil() as i32;
        let side = match value {
            v if v.abs() < 1e-300 => return self.zeros += 1,
            v if v < 0.0 => &mut self.negative,
            _ => &mut self.positive,
        };
        *side.entry(range(value.abs())).or_default() += 1;
    }

    fn merge(&mut self, other: &Ranges) {
        self.count += other.count;
        self.zeros += other.zeros;
        other.negative.iter().for_each(|(range, count)| *self.negative.entry(*range).or_default() += count);
        other.positive.iter().for_each(|(range, count)| *self.positive.entry(*range).or_default() += count);
    }

    /// About the value with this number, all in order.
    fn at(&self, number: u64) -> f64 {
        let middle = |range: &i32| 2.0 * GAMMA.powi(*range) / (GAMMA + 1.0);
        let negative = self.negative.iter().rev().map(|(range, count)| (-middle(range), count));
        let positive = self.positive.iter().map(|(range, count)| (middle(range), count));
        let mut before = 0;
        for (value, count) in negative.chain([(0.0, &self.zeros)]).chain(positive) {
            before += count;
            if number < before {
                return value;
            }
        }
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xxhash_rust::xxh3::xxh3_64;

    #[test]
    fn different_values_are_counted_within_their_error_and_exactly_while_few() {
        let mut all = Distinct::default();
        let mut halves = [Distinct::default(), Distinct::default()];
        for i in 0..100_000_u64 {
            let hash = xxh3_64(&i.to_le_bytes());
            all.add(hash);
            all.add(hash);
            halves[(i % 2) as usize].add(hash);
            if i == 99 {
                assert_eq!(all.estimate(), 100);
            }
        }
        assert!((all.estimate() - 100_000).abs() < 5_000, "{}", all.estimate());
        let [mut one, two] = halves;
        one.merge(&two);
        assert_eq!(one.estimate(), all.estimate());
        let mut out = Vec::new();
        one.put(&mut out);
        assert_eq!(Distinct::load(&mut out.as_slice()).unwrap().estimate(), all.estimate());
    }

    #[test]
    fn quantiles_are_within_one_percent_and_exact_while_few() {
        let mut few = Quantiles::default();
        [4.0, 1.0, 3.0, 2.0].into_iter().for_each(|value| few.add(value));
        assert_eq!(few.quantile(0.5), Some(2.5));
        let mut many = Quantiles::default();
        (-50_000..=50_000).for_each(|i| many.add(f64::from(i) / 10.0));
        for (fraction, expected) in [(0.0, -5000.0), (0.25, -2500.0), (0.5, 0.0), (0.9, 4000.0), (1.0, 5000.0)] {
            let got = many.quantile(fraction).unwrap();
            assert!((got - expected).abs() <= 0.0101 * expected.abs(), "{fraction}: {got}");
        }
        let mut out = Vec::new();
        many.put(&mut out);
        assert_eq!(Quantiles::load(&mut out.as_slice()).unwrap().quantile(0.9), many.quantile(0.9));
    }
}
