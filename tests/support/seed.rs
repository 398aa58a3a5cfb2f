//! Random numbers that can be had again: the seed is printed, and `SEED=…` brings the same run back.

use std::time::{SystemTime, UNIX_EPOCH};

/// SplitMix64: small, good enough to shake a test, the same on every machine.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A generator for the test `name`: from the environment variable `SEED`, else from the clock.
    pub fn for_test(name: &str) -> Rng {
        let seed = match std::env::var("SEED") {
            Ok(text) => text.parse().expect("SEED is a number"),
            Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos().into(),
        };
        eprintln!("{name}: SEED={seed}");
        Rng(seed)
    }

    pub fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number in `from..to`.
    pub fn within(&mut self, from: u64, to: u64) -> u64 {
        from + self.number() % (to - from)
    }

    /// True in `percent` of 100 calls.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.within(0, 100) < percent
    }
}

/// A well-mixed function of `x`.
pub fn mix(x: u64) -> u64 {
    let z = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
