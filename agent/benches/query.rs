//! Filter and GROUP BY of decoded rows, one core: rows a second at 100 and 100,000 keys.
//! `cargo bench -p splashdam --bench query`.
#![allow(clippy::unwrap_used)]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use splashdam::bench::Grouping;

const ROWS: u64 = 2 << 20;

fn group_by(c: &mut Criterion) {
    let mut group = c.benchmark_group("group by");
    group.throughput(Throughput::Elements(ROWS));
    group.sample_size(10);
    for (name, keys, text) in [
        ("100 integers", 100, false),
        ("100,000 integers", 100_000, false),
        ("100 texts", 100, true),
        ("100,000 texts", 100_000, true),
    ] {
        group.bench_function(name, |b| {
            b.iter_batched(
                || Grouping::new(ROWS, keys, text).unwrap(),
                |grouping| grouping.run().unwrap(),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, group_by);
criterion_main!(benches);
