//! How much may be read so that what becomes of it fits `buffer.max_bytes`.
//!
//! How well lines compress is known only behind the encoder, so it is estimated by the batches before. Promises: as
//! long as lines compress no worse than in the batches before them, the limit is exceeded by no more than what 4 KiB
//! of lines, or one line that is longer, becomes; and by no more than one batch as long as they compress at all.

/// A batch is handed to the workers when it has about so many bytes of lines.
pub(super) const BATCH_BYTES: usize = 1 << 20;
/// A batch with so many bytes of lines tells how well they compress.
const TELLING_BYTES: usize = 64 << 10;
/// While there is any room, so much is read: single lines would make a commit each.
const LEAST_BYTES: usize = 4 << 10;
/// The estimate before the first batch: lines of a few bytes in documents of hundreds.
const UNKNOWN: f64 = 16.0;
/// What the estimate keeps of itself when a batch compresses better.
const KEPT: f64 = 0.75;

#[derive(Debug)]
pub(super) struct Allowance {
    /// What may be owed, in compressed bytes.
    max: u64,
    /// Compressed bytes for each byte of lines: rises at once, falls slowly.
    ratio: Option<f64>,
}

/// Bytes of lines that were read and are not owed yet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct UnderWay {
    /// With the workers.
    pub(super) encoding: usize,
    /// To be handed to them.
    pub(super) gathered: usize,
}

impl Allowance {
    pub(super) fn new(max: u64) -> Allowance {
        Allowance { max, ratio: None }
    }

    /// `lines` bytes of lines became `compressed` bytes.
    pub(super) fn learn(&mut self, lines: usize, compressed: u64) {
        if lines >= TELLING_BYTES {
            let ratio = compressed as f64 / lines as f64;
            self.ratio = Some(self.ratio.map_or(ratio, |known| ratio.max(known * KEPT)));
        }
    }

    /// Bytes of lines that may be read now, while `owed` bytes are owed.
    pub(super) fn lines(&self, owed: u64, under_way: UnderWay) -> usize {
        let UnderWay { encoding, gathered } = under_way;
        let ratio = self.ratio.unwrap_or(UNKNOWN);
        let (left, batch) = (self.max.saturating_sub(owed) as f64, BATCH_BYTES.saturating_sub(gathered));
        // Near the limit one batch after the other: the next one knows what became of this one.
        let near = (encoding + BATCH_BYTES) as f64 * ratio.max(1.0) >= left;
        if left == 0.0 || (near && encoding > 0) {
            return 0;
        }
        let left = left - (encoding + gathered) as f64 * ratio;
        let lines = left / ratio;
        // A small batch compresses less well than the ones that the estimate is made of.
        let lines = if lines < TELLING_BYTES as f64 { left / ratio.max(1.0) } else { lines };
        let lines = lines.max(0.0) as usize;
        if gathered > 0 && gathered + lines < gathered.max(LEAST_BYTES) + LEAST_BYTES {
            return 0;
        }
        lines.max(LEAST_BYTES).min(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills a buffer of `max` bytes with lines that compress as `ratio` says, with four workers. Gives what is owed
    /// when nothing more may be read.
    fn filled(max: u64, ratio: impl Fn(u64) -> f64) -> u64 {
        let (mut allowance, mut owed, mut waiting) = (Allowance::new(max), 0, std::collections::VecDeque::new());
        let mut gathered = 0;
        loop {
            let under_way = UnderWay { encoding: waiting.iter().sum(), gathered };
            let lines = if waiting.len() < 4 { allowance.lines(owed, under_way) } else { 0 };
            gathered += lines;
            if lines > 0 && gathered < BATCH_BYTES * 3 / 4 {
                continue;
            }
            if gathered > 0 {
                waiting.push_back(std::mem::take(&mut gathered));
            }
            if lines == 0 {
                let Some(lines) = waiting.pop_front() else { return owed };
                let small = if lines < TELLING_BYTES { 3.0 } else { 1.0 };
                let compressed = (lines as f64 * (small * ratio(owed)).min(ratio(owed).max(1.0))) as u64;
                allowance.learn(lines, compressed);
                owed += compressed;
            }
        }
    }

    #[test]
    fn a_buffer_is_filled_to_its_limit_and_hardly_beyond() {
        for max in [1 << 20, 3 << 20, 64 << 20] {
            for ratio in [0.03, 0.1, 0.35, 1.0, 1.5, 12.0] {
                let owed = filled(max, |_| ratio);
                assert!(
                    owed >= max && owed as f64 <= max as f64 + LEAST_BYTES as f64 * ratio.max(1.0),
                    "{owed} of {max} at {ratio}"
                );
            }
            // Lines that begin to compress worse near the end.
            let owed = filled(max, |owed| if owed < max * 9 / 10 { 0.1 } else { 1.0 });
            assert!(owed <= max + BATCH_BYTES as u64, "{owed} of {max}");
        }
    }

    #[test]
    fn far_from_the_limit_all_workers_are_kept_busy_and_at_it_nothing_is_read() {
        let allowance = Allowance::new(1 << 30);
        let under_way = UnderWay { encoding: 8 << 20, gathered: 1000 };
        assert_eq!(allowance.lines(0, under_way), BATCH_BYTES - 1000);
        assert_eq!(allowance.lines(1 << 30, UnderWay::default()), 0);
        assert_eq!(allowance.lines((1 << 30) - 1, UnderWay::default()), LEAST_BYTES);
    }
}
