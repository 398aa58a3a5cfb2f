//! What chance gives: UUID, RAND, RAND_INTEGER. The numbers are those of Java's `Random`, as in Flink: with a seed that is
//! written in the script a call's first numbers are the same in every run; rows are computed in several batches at once,
//! so which row gets which of them is not.
//!
//! Promises: a value is drawn once for each row, before the commit that the row is in; nothing that was committed is
//! drawn again.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::signature::{Function, f};
use super::{Args, Lane, Site, rows, texts};
use crate::record::Value;
use crate::sql::expr::Kernel;

pub(super) const TABLE: &[Function] = &[
    f("UUID", "-> STRING", |_| Ok(uuid())),
    f("RAND", "-> DOUBLE", |site| Ok(drawn(site, None, |random, _| Some(random.double())))),
    f("RAND", "INT -> DOUBLE", |site| Ok(drawn(site, Some(0), |random, _| Some(random.double())))),
    f("RAND_INTEGER", "INT -> INT", |site| Ok(drawn(site, None, |random, args| random.below(args, 0)))),
    f("RAND_INTEGER", "INT, INT -> INT", |site| Ok(drawn(site, Some(0), |random, args| random.below(args, 1)))),
];

/// Names of functions that give something else at each call, whatever their arguments are.
pub(super) const NAMES: [&str; 3] = ["UUID", "RAND", "RAND_INTEGER"];

/// Version 4: random bits from the standard library's keyed hash, whose keys are the system's randomness.
fn uuid() -> Kernel {
    let (keys, drawn) = (RandomState::new(), AtomicU64::new(0));
    texts(move |_, out| {
        let n = drawn.fetch_add(2, Ordering::Relaxed);
        let (high, low) = (keys.hash_one(n), keys.hash_one(n + 1));
        let (high, low) = ((high & !0xf000) | 0x4000, (low & !(3 << 62)) | (1 << 63));
        let text = format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xffff,
            low >> 48,
            low & 0xffff_ffff_ffff
        );
        out.extend_from_slice(text.as_bytes());
        Some(())
    })
}

/// A number for each row. `seed`: the argument that is one; a literal begins one sequence for all rows, any other one a
/// sequence for each row.
fn drawn<R: Lane>(
    site: &Site<'_>,
    seed: Option<usize>,
    draw: impl Fn(&mut Random, &Args<'_>) -> Option<R> + Send + Sync + 'static,
) -> Kernel {
    let literal = seed.and_then(|at| match site.args.get(at)?.as_literal() {
        Some(Value::Int(seed)) => Some(*seed),
        _ => None,
    });
    let first = literal.unwrap_or_else(|| RandomState::new().hash_one(0_u8) as i64);
    let shared = Mutex::new(Random::new(first));
    let of_row = seed.filter(|_| literal.is_none());
    rows(move |args| match of_row {
        Some(at) => draw(&mut Random::new(args.int(at)), args),
        None => draw(&mut shared.lock().unwrap_or_else(PoisonError::into_inner), args),
    })
}

/// `java.util.Random`.
struct Random(u64);

impl Random {
    const MASK: u64 = (1 << 48) - 1;
    const FACTOR: u64 = 0x5_deec_e66d;

    fn new(seed: i64) -> Random {
        Random((seed as u64 ^ Random::FACTOR) & Random::MASK)
    }

    fn next(&mut self, bits: u32) -> i32 {
        self.0 = (self.0.wrapping_mul(Random::FACTOR) + 11) & Random::MASK;
        (self.0 >> (48 - bits)) as i32
    }

    fn double(&mut self) -> f64 {
        let high = i64::from(self.next(26)) << 27;
        (high + i64::from(self.next(27))) as f64 / (1_i64 << 53) as f64
    }

    /// From 0 to below the bound that an argument says.
    fn below(&mut self, args: &Args<'_>, bound: usize) -> Option<i64> {
        let Some(bound) = i32::try_from(args.int(bound)).ok().filter(|bound| *bound > 0) else {
            return args.fail("RAND_INTEGER: the bound must be greater than 0");
        };
        if bound & (bound - 1) == 0 {
            return Some((i64::from(bound) * i64::from(self.next(31))) >> 31);
        }
        loop {
            let bits = self.next(31);
            let value = bits % bound;
            // The last numbers, which are too few for all remainders, don't count.
            if bits - value <= i32::MAX - (bound - 1) {
                return Some(i64::from(value));
            }
        }
    }
}
