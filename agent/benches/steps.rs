//! The three steps that cost the most: encode a chunk, append a frame, read a bulk answer.
//! `cargo bench -p splashdam`. What a whole run costs is measured by `tests/bench`.
#![allow(clippy::unwrap_used)]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use splashdam::bench::{Log, encode, judge};

const LINES: usize = 4000;

fn access_lines() -> Vec<u8> {
    let line = |i: usize| {
        format!(
            "10.{}.{}.7 - - [21/Nov/2026:12:00:00 +0000] \"GET /items/{}?page={} HTTP/1.1\" 200 {} \"-\" \"Mozilla/5.0\"\n",
            i % 255,
            i * 7 % 255,
            i * 31 % 10_007,
            i % 17,
            i * 37 % 50_000
        )
    };
    (0..LINES).map(line).collect::<String>().into_bytes()
}

fn json_lines() -> Vec<u8> {
    let line =
        |i: usize| format!("{{\"level\":\"info\",\"n\":{i},\"http\":{{\"status\":200}},\"text\":\"a \\\"b\\\"\"}}\n");
    (0..LINES).map(line).collect::<String>().into_bytes()
}

fn steps(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode");
    for (name, lines, json) in [("raw", access_lines(), false), ("json", json_lines(), true)] {
        group.throughput(Throughput::Elements(LINES as u64));
        group.bench_function(name, |b| {
            b.iter_batched(|| lines.clone(), |l| encode(l, json).unwrap(), BatchSize::LargeInput)
        });
    }
    group.finish();

    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path()).unwrap();
    let member: Vec<u8> = (0..256_u32 << 10).map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    let mut group = c.benchmark_group("store");
    group.throughput(Throughput::Bytes(member.len() as u64));
    group.sample_size(20);
    group.bench_function("append and sync a frame", |b| {
        b.iter_batched(|| member.clone(), |m| log.append(m).unwrap(), BatchSize::LargeInput);
    });
    group.finish();
    log.close().unwrap();

    let created = vec!["{\"create\":{\"status\":201}}"; LINES].join(",");
    let answer = format!("{{\"errors\":false,\"items\":[{created}]}}");
    let mixed = answer.replace("false", "true").replacen(
        "201}",
        "400,\"error\":{\"type\":\"document_parsing_exception\",\"reason\":\"x\"}}",
        1,
    );
    let mut group = c.benchmark_group("answer");
    group.throughput(Throughput::Elements(LINES as u64));
    group.bench_function("all created", |b| b.iter(|| assert_eq!(judge(answer.as_bytes(), LINES as u32), LINES)));
    group.bench_function("one refused", |b| b.iter(|| assert_eq!(judge(mixed.as_bytes(), LINES as u32), LINES - 1)));
    group.finish();
}

criterion_group!(benches, steps);
criterion_main!(benches);
