//! The works: W1, access lines of a web server, 203 bytes on average; W2, JSON lines, 389 bytes on average with
//! 11 top-level fields, of which two are objects and one is an array. Every line carries `seq=NNNNNNNN`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use e2e::seed::mix;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    W1,
    W2,
}

impl Work {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Work::W1 => "w1",
            Work::W2 => "w2",
        }
    }

    /// The `[decode]` format.
    pub(crate) fn format(self) -> &'static str {
        match self {
            Work::W1 => "raw",
            Work::W2 => "json",
        }
    }

    /// Appends line `seq` with its newline.
    pub(crate) fn line(self, seq: u64, out: &mut Vec<u8>) {
        let written = match self {
            Work::W1 => w1(seq, out),
            Work::W2 => w2(seq, out),
        };
        written.expect("memory takes everything");
    }

    /// Writes `lines` lines into a file; gives its size.
    pub(crate) fn write(self, path: &Path, lines: u64) -> u64 {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
        let (mut line, mut bytes) = (Vec::new(), 0);
        for seq in 0..lines {
            line.clear();
            self.line(seq, &mut line);
            bytes += line.len() as u64;
            file.write_all(&line).unwrap();
        }
        file.flush().unwrap();
        bytes
    }
}

const PAGES: &[&str] =
    &["api/v1/items", "api/v1/orders", "catalog/shoes", "static/js/app", "search", "cart/checkout", "img/p", "login"];
const AGENTS: &[&str] = &[
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:127.0) Gecko/20100101",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X)",
    "curl/8.8.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) Version/17.5 Safari/605.1",
];
const STATUS: &[u32] = &[200, 200, 200, 200, 200, 301, 304, 404, 500];

fn pick<T: Copy>(from: &[T], random: u64) -> T {
    from[random as usize % from.len()]
}

fn w1(seq: u64, out: &mut Vec<u8>) -> std::io::Result<()> {
    let r = mix(seq.wrapping_mul(31) + 7);
    let second = seq / 5000;
    writeln!(
        out,
        "10.{}.{}.{} - - [21/Nov/2026:{:02}:{:02}:{:02} +0000] \"GET /{}/{}?page={}&seq={seq:08} HTTP/1.1\" {} {} \
         \"https://shop.io/{}/\" \"{}\" rt=0.{:03}",
        r & 15,
        (r >> 4) & 255,
        (r >> 12) & 255,
        second / 3600 % 24,
        second / 60 % 60,
        second % 60,
        pick(PAGES, r >> 20),
        (r >> 24) % 100_000,
        (r >> 41) % 40,
        pick(STATUS, r >> 47),
        (r >> 30) % 60_000,
        pick(PAGES, r >> 50),
        pick(AGENTS, r >> 53),
        (r >> 33) % 1000,
    )
}

fn w2(seq: u64, out: &mut Vec<u8>) -> std::io::Result<()> {
    let r = mix(seq.wrapping_mul(37) + 11);
    let second = seq / 5000;
    writeln!(
        out,
        "{{\"time\":\"2026-11-21T{:02}:{:02}:{:02}.{:03}Z\",\"level\":\"{}\",\"service\":\"{}\",\"thread\":\"worker-{}\",\
         \"trace_id\":\"{:016x}{:016x}\",\"msg\":\"request handled by upstream pool frontend-w7 seq={seq:08} in {} ms\",\
         \"http\":{{\"method\":\"GET\",\"path\":\"/{}/{}\",\"status\":{},\"bytes\":{}}},\
         \"user\":{{\"id\":{},\"plan\":\"{}\"}},\"tags\":[\"blue\",\"zone-{}\",\"canary\"],\"duration\":{}.{},\"ok\":{}}}",
        second / 3600 % 24,
        second / 60 % 60,
        second % 60,
        (r >> 3) % 1000,
        pick(&["INFO", "INFO", "INFO", "WARN", "DEBUG"], r >> 7),
        pick(&["checkout", "catalog", "payments", "search", "profile"], r >> 13),
        r % 32,
        mix(r),
        r,
        (r >> 33) % 900,
        pick(PAGES, r >> 20),
        (r >> 24) % 100_000,
        pick(STATUS, r >> 47),
        (r >> 30) % 60_000,
        (r >> 11) % 1_000_000,
        pick(&["free", "basic", "enterprise"], r >> 50),
        (r >> 5) % 9,
        (r >> 17) % 900,
        (r >> 27) % 10,
        !r.is_multiple_of(9),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_works_have_the_sizes_that_peers_were_measured_with() {
        for (work, bytes) in [(Work::W1, 203), (Work::W2, 389)] {
            let mut out = Vec::new();
            (0..10_000).for_each(|seq| work.line(seq, &mut out));
            let average = out.len() / 10_000;
            assert!(average.abs_diff(bytes) <= 4, "{}: {average}", work.name());
        }
    }
}
