//! SQL scripts with sinks to be filled in, and their rows in a form in which those of two engines can be compared.
//!
//! `tests/flink` holds scripts whose final rows a real Flink has computed; `sql_random.rs` makes more of them.

use std::collections::BTreeMap;
use std::fs::read_to_string;
use std::path::Path;

use serde_json::value::RawValue;

use crate::binaries::workspace;
use crate::endpoint::Endpoint;

/// A script without its source tables and without the options of its sinks.
#[derive(Clone, Debug)]
pub struct Script {
    pub name: String,
    pub sinks: Vec<Sink>,
    /// SET, CREATE VIEW, INSERT INTO, without their semicolons.
    pub statements: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Sink {
    pub name: String,
    /// Names and types.
    pub columns: Vec<(String, String)>,
    /// The columns of its primary key, with commas; empty for none.
    pub key: String,
}

/// Rows of sinks, as sorted lines of text, by `script/sink`.
pub type Results = BTreeMap<String, Vec<String>>;

impl Sink {
    /// A sink from the text of its columns.
    pub fn new(name: &str, columns: &str) -> Sink {
        let mut depth = 0;
        let split = columns.split(|c: char| {
            depth += match c {
                '(' | '<' => 1,
                ')' | '>' => -1,
                _ => 0,
            };
            c == ',' && depth == 0
        });
        let mut sink = Sink { name: name.to_owned(), columns: Vec::new(), key: String::new() };
        for text in split.map(str::trim) {
            match (text.strip_prefix("PRIMARY KEY ("), text.split_once(' ')) {
                (Some(key), _) => sink.key = key.trim_end_matches(')').to_owned(),
                (None, Some((name, ty))) => sink.columns.push((name.to_owned(), ty.to_owned())),
                (None, None) => panic!("a column without a type: {text}"),
            }
        }
        sink
    }

    /// Its statement. Without a key it is one of the legacy dialect, where the query's own keys make the ids.
    fn table(&self, url: &str, index: &str) -> String {
        let mut columns: Vec<String> = self.columns.iter().map(|(name, ty)| format!("{name} {ty}")).collect();
        let mut options = format!("type = 'elasticsearch', endPoint = '{url}', index = '{index}', typeName = '_doc'");
        if !self.key.is_empty() {
            columns.push(format!("PRIMARY KEY ({}) NOT ENFORCED", self.key));
            options = format!("'connector' = 'elasticsearch-7', 'hosts' = '{url}', 'index' = '{index}'");
        }
        format!("CREATE TABLE {} ({}) WITH ({options});\n", self.name, columns.join(", "))
    }

    /// A row in the form that is compared: `column=value` for each.
    ///
    /// # Panics
    /// Where `json` is no object.
    pub fn row(&self, json: &str) -> String {
        let fields: BTreeMap<String, &RawValue> = serde_json::from_str(json).unwrap_or_else(|e| panic!("{json}: {e}"));
        let one = |(name, ty): &(String, String)| {
            let text = fields.get(name).map_or("missing", |value| value.get());
            format!("{name}={}", comparable(text, ty))
        };
        self.columns.iter().map(one).collect::<Vec<_>>().join(" ")
    }
}

impl Script {
    /// From a name and a text with `@sink columns` lines and statements.
    pub fn new(name: &str, text: &str) -> Script {
        let (sinks, rest): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with('@'));
        let sink = |line: &str| {
            let (name, columns) = line[1..].split_once(' ').unwrap();
            Sink::new(name, columns)
        };
        let rest = rest.join("\n");
        let statements = rest.split(';').map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned).collect();
        Script { name: name.to_owned(), sinks: sinks.into_iter().map(sink).collect(), statements }
    }

    /// Each INSERT: its sink, its query.
    pub fn inserts(&self) -> impl Iterator<Item = (&Sink, &str)> {
        self.statements.iter().filter_map(|statement| {
            let (name, query) = statement.strip_prefix("INSERT INTO ")?.split_once([' ', '\n'])?;
            let sink = self.sinks.iter().find(|sink| sink.name == name).unwrap_or_else(|| panic!("{name}?"));
            Some((sink, query))
        })
    }

    /// The whole script for Splashdam, with an index for each sink.
    pub fn job(&self, tables: &str, url: &str) -> String {
        let mut text = tables.to_owned();
        for sink in &self.sinks {
            text += &sink.table(url, &self.index(sink));
        }
        for statement in &self.statements {
            text += statement;
            text += ";\n";
        }
        text
    }

    /// A name that is fit for an index or a file.
    pub fn slug(&self) -> String {
        let sign = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        self.name.chars().map(sign).collect()
    }

    fn index(&self, sink: &Sink) -> String {
        format!("{}-{}", self.slug(), sink.name)
    }

    /// What its sinks hold at an endpoint.
    pub fn found(&self, endpoint: &Endpoint) -> Results {
        let rows = |sink: &Sink| {
            let mut rows: Vec<String> = endpoint.documents(|documents| {
                let text = |document: &crate::endpoint::Document| String::from_utf8(document.source.to_vec()).unwrap();
                documents.of(&self.index(sink)).map(|(_, document)| sink.row(&text(document))).collect()
            });
            rows.sort();
            (format!("{}/{}", self.name, sink.name), rows)
        };
        self.sinks.iter().map(rows).collect()
    }
}

/// The folder of the scripts and their inputs.
pub fn folder() -> std::path::PathBuf {
    workspace().join("tests/flink")
}

/// The folder of the scripts that the agent's own tests run too.
pub fn inner_folder() -> std::path::PathBuf {
    workspace().join("agent/src/query/tests/flink")
}

/// All scripts: those of `tests/flink` and those of the agent's own tests.
pub fn all() -> Vec<Script> {
    let text = read_to_string(folder().join("scripts.txt")).unwrap();
    let mut scripts: Vec<Script> = text
        .split("\n== ")
        .skip(1)
        .map(|case| case.split_once('\n').unwrap())
        .map(|(n, t)| Script::new(n, t))
        .collect();
    let text = read_to_string(inner_folder().join("scripts.txt")).unwrap();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let [name, columns, query] = line.splitn(3, '|').map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        scripts.push(Script::new(name, &format!("@s {columns}\nINSERT INTO s {query};")));
    }
    scripts
}

/// Lays the inputs into `folder` and gives the statements that declare the tables over them.
pub fn tables(into: &Path) -> String {
    for name in ["late.csv", "other.csv", "nobody.csv", "numbers.csv", "texts.jsonl", "nested.jsonl"] {
        std::fs::copy(folder().join(name), into.join(name)).unwrap();
    }
    std::fs::copy(inner_folder().join("input.csv"), into.join("t.csv")).unwrap();
    read_to_string(folder().join("tables.sql")).unwrap().replace("/flink/", &format!("{}/", into.display()))
}

/// A value of a sink's column, as JSON, in a form that is the same for equal values.
fn comparable(json: &str, ty: &str) -> String {
    if json == "null" {
        return json.to_owned();
    }
    let bare = json.trim_matches('"');
    match ty.split(['(', '<']).next().unwrap_or_default() {
        // Sums of doubles depend on the order of their terms.
        "DOUBLE" => bare.parse::<f64>().map_or(bare.to_owned(), |x| format!("{:.9e}", x + 0.0)),
        "FLOAT" => bare.parse::<f64>().map_or(bare.to_owned(), |x| format!("{:.5e}", x + 0.0)),
        "TINYINT" | "SMALLINT" | "INT" | "BIGINT" | "DECIMAL" => exact(bare),
        "TIMESTAMP" | "TIME" => time(bare),
        "MULTISET" | "MAP" | "ARRAY" | "ROW" => {
            serde_json::from_str::<serde_json::Value>(json).map_or(json.to_owned(), |value| value.to_string())
        }
        _ => serde_json::from_str::<serde_json::Value>(json).map_or(json.to_owned(), |value| value.to_string()),
    }
}

/// A number without exponent and without zeros that say nothing.
fn exact(number: &str) -> String {
    let (digits, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let point = whole.len() as i64 + exponent.parse::<i64>().unwrap();
    let all = format!("{whole}{fraction}");
    let zeros = "0".repeat(point.unsigned_abs() as usize);
    let (whole, fraction) = match usize::try_from(point) {
        Ok(point) if point <= all.len() => (all[..point].to_owned(), all[point..].to_owned()),
        Ok(point) => (format!("{all}{}", "0".repeat(point - all.len())), String::new()),
        Err(_) => (String::new(), zeros + &all),
    };
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    match (whole, fraction) {
        ("", "") => "0".to_owned(),
        (whole, "") => format!("{sign}{whole}"),
        ("", fraction) => format!("{sign}0.{fraction}"),
        (whole, fraction) => format!("{sign}{whole}.{fraction}"),
    }
}

/// A time with its seconds, without zeros behind them.
fn time(text: &str) -> String {
    let text = text.replace('T', " ");
    let text = text.trim_end_matches('Z');
    let seconds = if text.matches(':').count() == 1 { ":00" } else { "" };
    let fraction = text.contains('.');
    let text = format!("{text}{seconds}");
    if fraction { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[test]
fn equal_values_look_equal() {
    for (a, b, ty) in [
        ("1.50", "1.5", "DECIMAL(10,2)"),
        ("0E-18", "0", "DECIMAL(38,18)"),
        ("1E+3", "1000", "DECIMAL(20,0)"),
        ("-1.2E-3", "-0.0012", "DECIMAL(20,5)"),
        ("\"2026-01-01T00:00\"", "\"2026-01-01 00:00:00.000\"", "TIMESTAMP(3)"),
        ("\"2026-01-01T00:00:01.5\"", "\"2026-01-01 00:00:01.500\"", "TIMESTAMP(3)"),
        ("0.30000000000000004", "0.3", "DOUBLE"),
        ("-0.0", "0.0", "DOUBLE"),
        ("{\"b\":1,\"a\":2}", "{\"a\":2,\"b\":1}", "MULTISET<STRING>"),
    ] {
        assert_eq!(comparable(a, ty), comparable(b, ty));
    }
    assert_ne!(comparable("0.1", "DOUBLE"), comparable("0.2", "DOUBLE"));
}
