//! Scripts that are cut, mixed and blown up at random: each is read in bounded time and memory, and nothing panics.
//!
//! A few hundred of them always; `SPLASHDAM_SOAK_MINUTES=30` goes on for so long, `SPLASHDAM_SQL_SEEDS=a-b` takes
//! those very seeds. Alone in its process (`soak -- --nocapture`) it also tells what the memory did.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::*;

/// No script of a few hundred KiB may take longer, on a busy machine and without optimisation.
const HANG: Duration = Duration::from_secs(60);
/// Resident memory may not grow by more, over any number of scripts.
const GROWTH_KIB: u64 = 512 << 10;

/// What is put in at random besides pieces of other scripts.
const PIECES: &[&str] = &[
    "(",
    ")",
    ",",
    ";",
    "'",
    "`",
    "\"",
    "--",
    "/*",
    "*/",
    "/*+ OPTIONS('a'='b') */",
    "${x}",
    "${env:X}",
    "\0",
    "\u{feff}",
    "ü",
    "𝄞",
    "\\",
    "=",
    "<>",
    "||",
    ".",
    "*",
    "[",
    "]",
    "<",
    ">",
    "NULL",
    "9223372036854775808",
    "1e400",
    "-0",
    "0x",
    "INTERVAL '1' DAY",
    "INTERVAL '99999999999' YEAR",
    "CAST(",
    " AS DECIMAL(38,38))",
    "CASE WHEN ",
    " THEN ",
    " END",
    "SELECT ",
    " FROM ",
    " WHERE ",
    " GROUP BY ",
    " HAVING ",
    " UNION ALL ",
    "TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE))",
    "COUNT(DISTINCT ",
    " OVER (PARTITION BY a ORDER BY ts)",
    "ROW_NUMBER()",
    "CREATE VIEW v AS ",
    "CREATE TABLE ",
    "INSERT INTO ",
    "WATERMARK FOR ts AS ",
    "SET 'table.local-time-zone' = 'Mars/Base';",
    "BEGIN STATEMENT SET;",
    "END;",
    "JSON_VALUE(a, '$.b'",
    "MAP['a', 1]",
    "ARRAY[",
    "ROW<a INT, b ROW<c INT>>",
    "LIKE 'x' ESCAPE ''",
    "REGEXP_EXTRACT(a, '((((', 1)",
    "DATE_FORMAT(ts, 'qqqq')",
    "EMIT WITH DELAY '1' S",
];

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n.max(1) as u64) as usize
    }

    fn piece<'a>(&mut self, all: &'a [String]) -> &'a str {
        match self.below(3) {
            0 => PIECES[self.below(PIECES.len())],
            _ => {
                let other = &all[self.below(all.len())];
                let (a, b) = (boundary(other, self.below(other.len())), boundary(other, self.below(other.len())));
                other[a.min(b)..a.max(b).min(a.min(b) + 300)].trim_end_matches(|c: char| !c.is_ascii())
            }
        }
    }
}

fn boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The tables of the binder's tests, and the sink of those that have but a query.
const PLAIN: &str = "CREATE TABLE t (a INT, b INT, c STRING, ts TIMESTAMP(3), ms BIGINT, tags ARRAY<STRING>, \
    items ARRAY<ROW<x INT, y STRING>>, r ROW<x INT>, m MAP<STRING, INT>, p AS PROCTIME(), WATERMARK FOR ts AS ts) \
    WITH ('connector' = 'filesystem', 'path' = '/t.json', 'format' = 'json');\n";

/// A case of the tests as a whole script: `@name columns` is a sink.
fn filled(case: &str) -> String {
    let case = case.split("\n--\n").next().unwrap();
    let line = |line: &str| match line.strip_prefix('@').map(|rest| rest.split_once(' ').unwrap_or((rest, ""))) {
        Some((name, "")) => format!("{}\n", if name == "t" { PLAIN } else { "" }),
        Some((name, columns)) => {
            let columns = columns.replace(')', ") NOT ENFORCED").replace("NOT ENFORCED NOT ENFORCED", "NOT ENFORCED");
            let columns = if columns.contains("PRIMARY KEY") { columns } else { columns.replace(" NOT ENFORCED", "") };
            format!("CREATE TABLE {name} ({columns}) WITH ('connector' = 'print');\n")
        }
        None => format!("{line}\n"),
    };
    case.lines().map(line).collect()
}

/// All scripts there are: broken ones, those of the binder's tests, those that a real Flink runs too.
fn scripts() -> Vec<String> {
    let agent = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = |path: PathBuf| std::fs::read_to_string(path).unwrap();
    let files = |folder: &str| std::fs::read_dir(agent.join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let tables = text(agent.join("../tests/flink/tables.sql"));
    let mut found: Vec<String> = files("../tests/jobs").map(text).collect();
    for case in files("src/sql/bind/tests/plans")
        .map(text)
        .flat_map(|t| t.split("\n== ").map(str::to_owned).collect::<Vec<_>>())
    {
        found.push(filled(case.split_once('\n').unwrap().1));
    }
    for case in text(agent.join("../tests/flink/scripts.txt")).split("\n== ").skip(1) {
        found.push(tables.clone() + &filled(case.split_once('\n').unwrap().1));
    }
    for line in text(agent.join("src/query/tests/flink/scripts.txt")).lines().filter(|line| !line.starts_with('#')) {
        let parts: Vec<&str> = line.splitn(3, '|').collect();
        found.push(tables.clone() + &filled(&format!("@s{}\nINSERT INTO s {};", parts[1].trim_end(), parts[2])));
    }
    found.sort();
    assert!(found.len() > 200, "{}", found.len());
    found
}

/// The script of a seed.
fn script(seed: u64, all: &[String]) -> String {
    let random = &mut Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let mut text = all[random.below(all.len())].clone();
    for _ in 0..random.below(6) {
        let (a, b) = (boundary(&text, random.below(text.len())), boundary(&text, random.below(text.len())));
        let (from, to) = (a.min(b), a.max(b));
        match random.below(8) {
            0 => text.replace_range(from..to.min(boundary(&text, text.len().min(from + 40))).max(from), ""),
            1 | 2 => text.insert_str(from, random.piece(all)),
            3 => text.truncate(to),
            4 => {
                // one piece, again and again
                let piece = random.piece(all).to_owned();
                text.insert_str(from, &piece.repeat(1 + random.below(2000 / (1 + piece.len() / 8))));
            }
            5 => {
                let depth = 1 + random.below(3000);
                let (open, close) =
                    [("(", ")"), ("CASE WHEN a THEN ", " END"), ("UPPER(", ")"), ("NOT ", ""), ("a + ", "")]
                        [random.below(5)];
                text.insert_str(from, &format!("{}a{}", open.repeat(depth), close.repeat(depth)));
            }
            6 => {
                let words: Vec<&str> = text.split_inclusive(' ').collect();
                let mut words = words.clone();
                let (x, y) = (random.below(words.len()), random.below(words.len()));
                words.swap(x, y);
                text = words.concat();
            }
            _ => {
                let piece = random.piece(all).to_owned();
                text.replace_range(
                    from..boundary(&text, text.len().min(from + 1 + random.below(12))).max(from),
                    &piece,
                );
            }
        }
        text.truncate(boundary(&text, text.len().min(200_000)));
        if text.is_empty() {
            text.push(' ');
        }
    }
    text
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// Ends the process, naming the seed, when one script takes too long.
fn watch(current: &'static AtomicU64) {
    std::thread::spawn(move || {
        let mut last = (u64::MAX, Instant::now());
        loop {
            std::thread::park_timeout(Duration::from_secs(1));
            let now = current.load(Ordering::Relaxed);
            if now == u64::MAX {
                return;
            }
            if now != last.0 {
                last = (now, Instant::now());
            }
            if last.1.elapsed() > HANG {
                eprintln!("the script of seed {now} takes longer than {HANG:?}: SPLASHDAM_SQL_SEEDS={now}-{now}");
                std::process::abort();
            }
        }
    });
}

#[test]
fn no_script_whatever_it_is_panics_hangs_or_takes_memory() {
    static CURRENT: AtomicU64 = AtomicU64::new(0);
    let number = |name: &str| std::env::var(name).ok();
    let seeds = number("SPLASHDAM_SQL_SEEDS").map(|text| {
        let (a, b) = text.split_once('-').expect("SPLASHDAM_SQL_SEEDS=a-b");
        a.parse().unwrap()..=b.parse::<u64>().unwrap()
    });
    let minutes = number("SPLASHDAM_SOAK_MINUTES").map_or(0.0, |text| text.parse::<f64>().unwrap());
    let end = Instant::now() + Duration::from_secs_f64(minutes * 60.0);
    let all = scripts();
    watch(&CURRENT);
    let (mut good, mut slowest, mut bytes, mut sayings) =
        (0_u64, (Duration::ZERO, 0), 0_u64, std::collections::HashSet::new());
    let begin = seeds.as_ref().map_or(0, |seeds| *seeds.start());
    let mut seed = begin;
    let mut memory = None;
    while seeds.as_ref().map_or(seed < 300 || Instant::now() < end, |seeds| seed <= *seeds.end()) {
        CURRENT.store(seed, Ordering::Relaxed);
        let text = script(seed, &all);
        let from = Instant::now();
        let read = || {
            let (plan, problems) = flink::parse(&text, "a.sql", "a", &outside(), &Datasources::default());
            (plan.map(|plan| crate::sql::explain::explain(&plan.query).len()), problems.to_string())
        };
        let answer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(read));
        let Ok((plan, said)) = answer else { panic!("seed {seed} panics; its script:\n{text}") };
        assert!(plan.is_some() || !said.is_empty(), "seed {seed}: neither a plan nor a word:\n{text}");
        assert!(said.len() < 4 << 20, "seed {seed}: {} bytes are said", said.len());
        slowest = slowest.max((from.elapsed(), seed));
        good += u64::from(plan.is_some());
        bytes += text.len() as u64;
        let mut hasher = DefaultHasher::new();
        said.chars().filter(|c| !c.is_ascii_digit()).take(200).collect::<String>().hash(&mut hasher);
        sayings.insert(hasher.finish());
        seed += 1;
        if seed - begin == 2000 {
            memory = Some(resident_kib());
        }
        if (seed - begin).is_multiple_of(100_000) {
            eprintln!("{seed} scripts, {good} of them good, resident {} KiB, slowest {slowest:?}", resident_kib());
            sayings.shrink_to(100_000);
        }
    }
    CURRENT.store(u64::MAX, Ordering::Relaxed);
    let grown = memory.map_or(0, |memory| resident_kib().saturating_sub(memory));
    eprintln!(
        "{} scripts of {bytes} bytes, {good} of them good, {} different answers, slowest {slowest:?}, grown by {grown} KiB",
        seed - begin,
        sayings.len()
    );
    assert!(grown < GROWTH_KIB, "memory grew by {grown} KiB");
}
