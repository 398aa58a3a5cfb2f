//! The columns way: JSON lines into the few columns that a query reads.
//! `cargo bench -p splashdam --bench columns`.
#![allow(clippy::unwrap_used)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use splashdam::bench::Columns;

const LINES: usize = 2700;

/// About 1 MiB of lines of some 390 bytes with twelve fields.
fn lines() -> Vec<u8> {
    let line = |i: usize| {
        format!(
            "{{\"ts\":\"2026-11-21 08:{:02}:{:02}.{:03}\",\"level\":\"{}\",\"n_status\":{},\"n_bytes\":{},\
             \"host\":\"web-{:02}.example.org\",\"method\":\"GET\",\"path\":\"/api/v1/items/{}/reviews?page={}\",\
             \"agent\":\"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)\",\
             \"took\":{}.{},\"user\":{{\"id\":{},\"name\":\"user {}\"}},\"ok\":true,\
             \"msg\":\"request finished, the answer went out over a connection that stays open\"}}\n",
            i / 60 % 60,
            i % 60,
            i % 1000,
            ["info", "warn", "error"][i % 3],
            [200, 404, 500][i % 3],
            i * 37 % 50_000,
            i % 20,
            i * 31 % 10_007,
            i % 17,
            i % 90,
            i % 10,
            i % 1000,
            i % 1000
        )
    };
    (0..LINES).map(line).collect::<String>().into_bytes()
}

fn columns(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode json");
    group.throughput(Throughput::Elements(LINES as u64));
    for (name, fields) in [
        ("4 of 12 fields", ["ts", "level", "n_status", "host"].as_slice()),
        ("none of 12 fields", &[]),
        (
            "12 of 12 fields",
            &["ts", "level", "n_status", "n_bytes", "host", "method", "path", "agent", "took", "user", "ok", "msg"],
        ),
    ] {
        let columns = Columns::new(lines(), fields);
        group.bench_function(name, |b| b.iter(|| assert_eq!(columns.decode(), LINES)));
    }
    group.finish();
}

criterion_group!(benches, columns);
criterion_main!(benches);
