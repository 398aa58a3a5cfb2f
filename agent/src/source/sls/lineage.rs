//! Which shards came out of which, as far as the list of shards tells: a split or merge leaves its parents readable,
//! and the service does not say whose children are whose. Pure.

use std::collections::BTreeSet;

use super::client::ShardInfo;

/// An older shard that nothing is written to any more, has some of the same keys and is not read to its end yet.
pub(super) fn waits_for(shard: &ShardInfo, all: &[ShardInfo], finished: &BTreeSet<u32>) -> Option<u32> {
    let older = |other: &&ShardInfo| {
        other.readonly()
            && (other.created, other.number) < (shard.created, shard.number)
            && !finished.contains(&other.number)
            && overlap(other, shard)
    };
    all.iter().find(older).map(|parent| parent.number)
}

fn overlap(one: &ShardInfo, other: &ShardInfo) -> bool {
    one.begin < other.end && other.begin < one.end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(number: u32, status: &str, begin: &str, end: &str, created: u64) -> ShardInfo {
        ShardInfo { number, status: status.to_owned(), begin: begin.to_owned(), end: end.to_owned(), created }
    }

    #[test]
    fn a_child_waits_until_its_parents_are_read() {
        let all = [
            shard(0, "readonly", "00", "80", 10),
            shard(1, "readonly", "80", "ff", 10),
            shard(2, "readonly", "00", "40", 20),
            shard(3, "readwrite", "40", "80", 20),
            shard(4, "readwrite", "00", "40", 20),
        ];
        let waits =
            |number: usize, finished: &[u32]| waits_for(&all[number], &all, &finished.iter().copied().collect());
        assert_eq!((waits(0, &[]), waits(1, &[])), (None, None), "who is first waits for nobody");
        assert_eq!((waits(3, &[]), waits(3, &[0])), (Some(0), None));
        assert_eq!((waits(4, &[0]), waits(4, &[0, 2])), (Some(2), None), "of two of the same second the higher waits");
    }
}
