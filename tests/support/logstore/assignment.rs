//! Which consumer shall hold which shard: pure, deterministic, even, and moving as little as possible.

use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Shares `shards` out among `consumers` (both sorted). Everybody gets the same number, but for one more where it does not
/// come out even; what a consumer holds already it keeps up to that number, lowest ids first.
pub(super) fn balance(shards: &[u32], consumers: &[String], owners: &BTreeMap<u32, String>) -> BTreeMap<u32, String> {
    let mut target = BTreeMap::new();
    if consumers.is_empty() {
        return target;
    }
    let held = |consumer: &String| shards.iter().filter(|shard| owners.get(shard) == Some(consumer)).count();
    // The odd ones go to those who hold most, so that nothing moves for their sake.
    let mut order: Vec<&String> = consumers.iter().collect();
    order.sort_by_key(|consumer| (Reverse(held(consumer)), (*consumer).clone()));
    let (even, odd) = (shards.len() / consumers.len(), shards.len() % consumers.len());
    let quotas = order.into_iter().enumerate().map(|(at, consumer)| (consumer, even + usize::from(at < odd)));
    let mut room: BTreeMap<&String, usize> = quotas.collect();
    for shard in shards {
        if let Some((consumer, left)) = owners.get(shard).and_then(|owner| room.get_key_value(owner))
            && *left > 0
        {
            let (consumer, left) = (*consumer, left - 1);
            room.insert(consumer, left);
            target.insert(*shard, consumer.clone());
        }
    }
    for shard in shards {
        if target.contains_key(shard) {
            continue;
        }
        let free = room.iter_mut().find(|(_, left)| **left > 0);
        if let Some((consumer, left)) = free {
            *left -= 1;
            target.insert(*shard, (*consumer).clone());
        }
    }
    target
}
