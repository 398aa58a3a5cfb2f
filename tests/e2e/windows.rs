//! Windows over input out of order: each comes once with exact values, and late rows are counted and put into a side index
//! once, wherever the agent is killed. The values are those of the naive engine over the same rows.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use e2e::agent::{Agent, PATIENCE, Room};
use e2e::endpoint::{Endpoint, Reply};
use e2e::naive::{self, Aggregate, Function, Grouping, Row, Value, Window};
use e2e::scripts::{Results, Script, Sink};
use e2e::seed::Rng;
use e2e::{binaries, services, wait};

const MINUTE: i64 = 60_000;
const DELAY: i64 = 20_000;

/// One-minute windows of each kind, each into a sink of its own, from one table.
const SCRIPT: &str = "
@tumble k STRING, ws TIMESTAMP(3), we TIMESTAMP(3), c BIGINT, s INT, u BIGINT
@hop k STRING, ws TIMESTAMP(3), we TIMESTAMP(3), c BIGINT, s INT, u BIGINT
@cumulate k STRING, ws TIMESTAMP(3), we TIMESTAMP(3), c BIGINT, s INT, u BIGINT
@session k STRING, ws TIMESTAMP(3), we TIMESTAMP(3), c BIGINT, s INT, u BIGINT
INSERT INTO tumble SELECT k, window_start, window_end, COUNT(*), SUM(i), COUNT(DISTINCT n)
  FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY k, window_start, window_end;
INSERT INTO hop SELECT k, HOP_START(ts, INTERVAL '20' SECOND, INTERVAL '1' MINUTE), HOP_END(ts, INTERVAL '20' SECOND, INTERVAL '1' MINUTE),
  COUNT(*), SUM(i), COUNT(DISTINCT n) FROM t GROUP BY k, HOP(ts, INTERVAL '20' SECOND, INTERVAL '1' MINUTE);
INSERT INTO cumulate SELECT k, window_start, window_end, COUNT(*), SUM(i), COUNT(DISTINCT n)
  FROM TABLE(CUMULATE(TABLE t, DESCRIPTOR(ts), INTERVAL '20' SECOND, INTERVAL '1' MINUTE)) GROUP BY k, window_start, window_end;
INSERT INTO session SELECT k, SESSION_START(ts, INTERVAL '1' SECOND), SESSION_END(ts, INTERVAL '1' SECOND), COUNT(*), SUM(i), COUNT(DISTINCT n)
  FROM t GROUP BY k, SESSION(ts, INTERVAL '1' SECOND);
";

/// Lines out of order, and what must come of them.
struct Work {
    script: Script,
    lines: Vec<String>,
    results: Results,
    /// By sink, what the side index has: late rows as they were read, with the window that they missed.
    side: BTreeMap<String, Vec<String>>,
    late: u64,
}

impl Work {
    /// `count` rows over some ten minutes, a third of them up to twice the watermark's delay behind; `pad` more bytes each.
    fn new(rng: &mut Rng, count: u64, pad: usize) -> Work {
        let begin = 20_454 * 24 * 60 * MINUTE;
        let row = |n: u64| -> Row {
            let back = if rng.percent(33) { rng.within(0, 2 * DELAY as u64) as i64 } else { 0 };
            let at = begin + (n as i64 * 10 * MINUTE / count as i64 + MINUTE - back).max(0);
            let k = Value::Text((*["a", "b", "c"].get(rng.within(0, 3) as usize).unwrap()).to_owned());
            let (n, i) = (Value::Int(rng.within(0, 50) as i64), Value::Int(rng.within(0, 1000) as i64));
            [k, n, Value::Time(at), i, Value::Null, Value::Null, Value::Null]
        };
        let rows: Vec<Row> = (0..count).map(row).collect();
        let line = |row: &Row| {
            let mut line = String::new();
            row[..4].iter().for_each(|value| write!(line, "{},", value.csv()).unwrap());
            line + &"x".repeat(pad) + "\n"
        };
        let script = Script::new("windows", SCRIPT);
        let windows = [
            Window::Tumble(MINUTE),
            Window::Hop(MINUTE / 3, MINUTE),
            Window::Cumulate(MINUTE / 3, MINUTE),
            Window::Session(1000),
        ];
        let (mut results, mut side) = (Results::new(), BTreeMap::new());
        for (sink, window) in script.sinks.iter().zip(windows) {
            let (found, late) = expected(sink, window, &rows);
            results.insert(format!("windows/{}", sink.name), found);
            side.insert(sink.name.clone(), late);
        }
        let late = side.values().map(|rows| rows.len() as u64).sum();
        Work { lines: rows.iter().map(line).collect(), script, results, side, late }
    }

    fn agent(&self, room: &Room, endpoint: &Endpoint) -> Agent {
        let table = format!(
            "CREATE TABLE t (k STRING, n INT, ts TIMESTAMP(3), i INT, pad STRING, WATERMARK FOR ts AS ts - INTERVAL '20' SECOND) \
             WITH ('connector'='filesystem', 'path'='{}/*.csv', 'format'='csv');\n",
            room.logs().display()
        );
        let mut text = self.script.job(&table, &endpoint.url());
        for sink in &self.script.sinks {
            let table = text.find(&format!("CREATE TABLE {} (", sink.name)).unwrap();
            let end = table + text[table..].find(");\n").unwrap();
            text.insert_str(end, &format!(", 'sink.late-rows.index' = 'late-{}'", sink.name));
        }
        Agent::new(room, &[room.file("windows.sql", text)])
    }

    /// Everything is there, and nothing came twice in two forms.
    fn judge(&self, endpoint: &Endpoint, when: &str) {
        let wrong = crate::scripts::differing(&self.script.found(endpoint), &self.results);
        assert!(wrong.is_empty(), "{when}: {wrong:?}");
        let collisions = endpoint.documents(|documents| documents.collisions.clone());
        assert!(collisions.is_empty(), "{when}: a window came again with other values: {collisions:?}");
        for (sink, wanted) in &self.side {
            let found = endpoint.documents(|documents| documents.in_order(&format!("late-{sink}")));
            let side = side();
            let mut found: Vec<String> = found.iter().map(|document| side.row(&document.to_string())).collect();
            found.sort();
            assert_eq!(&found, wanted, "{when}: late rows of {sink}");
        }
    }
}

/// What a side index has: the columns that the script reads, behind what was missed.
fn side() -> Sink {
    let missed = "window_start TIMESTAMP(3), window_end TIMESTAMP(3), watermark TIMESTAMP(3)";
    Sink::new("side", &format!("{missed}, k STRING, n INT, ts TIMESTAMP(3), i INT"))
}

/// How many rows have come late is told by an agent that starts again: it has that from its data directory.
fn judge_late(work: &Work, agent: &mut Agent, when: &str) {
    agent.start_ready();
    assert_eq!(agent.ctl().metric("late_rows_total"), work.late, "{when}");
    assert_eq!(agent.ctl().number("late_rows"), Some(work.late), "{when}");
    agent.kill();
}

fn expected(sink: &Sink, window: Window, rows: &[Row]) -> (Vec<String>, Vec<String>) {
    let aggregate = |function, column, distinct| Aggregate { function, column, distinct, filter: None };
    let aggregates = vec![
        aggregate(Function::CountRows, 0, false),
        aggregate(Function::Sum, 3, false),
        aggregate(Function::Count, 1, true),
    ];
    let grouping = Grouping { keys: vec![|row| row[0].clone()], window: Some(window), aggregates, delay: DELAY };
    let (groups, late) = naive::groups(&grouping, rows, |_| true);
    let row = |group: &naive::Group<'_>| {
        let (start, end) = group.span.unwrap();
        let mut values = vec![group.keys[0].clone(), Value::Time(start), Value::Time(end)];
        values.extend(grouping.aggregates.iter().map(|aggregate| aggregate.of(&group.rows)));
        let fields: Vec<String> =
            sink.columns.iter().zip(values).map(|((name, _), value)| format!("\"{name}\":{}", value.json())).collect();
        sink.row(&format!("{{{}}}", fields.join(",")))
    };
    let mut rows: Vec<String> = groups.iter().map(row).collect();
    rows.sort();
    let document = |late: &naive::Late<'_>| {
        let times = [("window_start", late.span.0), ("window_end", late.span.1), ("watermark", late.watermark)];
        let times = times.map(|(name, at)| (name, Value::Time(at).json()));
        let columns = naive::NAMES.into_iter().zip(late.row).take(4).map(|(name, value)| (name, value.json()));
        let fields: Vec<String> =
            times.into_iter().chain(columns).map(|(name, value)| format!("\"{name}\":{value}")).collect();
        side().row(&format!("{{{}}}", fields.join(",")))
    };
    let mut late: Vec<String> = late.iter().map(document).collect();
    late.sort();
    (rows, late)
}

#[test]
fn t26_windows_over_input_out_of_order_are_exact_and_late_rows_counted_and_in_the_side_index() {
    let mut rng = Rng::for_test("t26");
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let work = Work::new(&mut rng, 6000, 0);
    room.file("logs/app.csv", work.lines.concat());
    let mut agent = work.agent(&room, &endpoint);
    agent.once_well();
    work.judge(&endpoint, "without a kill");
    assert!(work.late > 100);
    assert_eq!(crate::scripts::late(&agent.log()), work.late, "{}", agent.log());
    judge_late(&work, &mut agent, "without a kill");
}

/// Needs strace, which kills the agent as it enters the n-th sync of its store: the frame of a commit is written, nobody
/// was told yet.
#[test]
fn t27_windows_and_late_rows_come_and_count_once_whichever_commit_is_the_last() {
    if Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
        return services::skip("strace", "it is not installed");
    }
    let mut rng = Rng::for_test("t27-commits");
    let work = Work::new(&mut rng, 6000, 1500);
    for commit in 1.. {
        let (room, endpoint) = (Room::new(), Endpoint::start());
        room.file("logs/app.csv", work.lines.concat());
        let mut agent = work.agent(&room, &endpoint);
        let mut killed = Command::new("strace");
        killed.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e"]);
        killed.arg(format!("inject=fdatasync:signal=KILL:when={commit}"));
        killed.arg(binaries::splashdam()).arg("run").arg(room.path().join("windows.sql"));
        killed.args(["--once", "--data-dir"]).arg(room.data());
        let status = killed.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        if status.success() {
            work.judge(&endpoint, "when no sync was left to be killed at");
            eprintln!("killed at each of {} syncs", commit - 1);
            assert!(commit > 5, "there are only {commit} commits");
            return;
        }
        agent.once_well();
        work.judge(&endpoint, &format!("killed at sync {commit}"));
        judge_late(&work, &mut agent, &format!("killed at sync {commit}"));
    }
}

#[test]
fn t27_windows_and_late_rows_come_and_count_once_whenever_the_kill_comes() {
    let mut rng = Rng::for_test("t27-random");
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let work = Work::new(&mut rng, 8000, 0);
    let mut agent = work.agent(&room, &endpoint);
    let mut written = 0;
    for part in 1..=12 {
        let end = work.lines.len() * part / 12;
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(room.logs().join("app.csv")).unwrap();
        std::io::Write::write_all(&mut file, work.lines[written..end].concat().as_bytes()).unwrap();
        written = end;
        match part % 3 {
            // At any time.
            0 => {
                agent.start();
                wait::pass(Duration::from_millis(rng.within(5, 300)));
            }
            // When windows are committed, and nothing of them is known to be delivered.
            1 => {
                endpoint.on_bulk(|_| Reply::Hang);
                agent.start_ready();
                wait::holds("it asks for a bulk", PATIENCE, || agent.ctl().number("in_flight") > Some(0));
            }
            // When the documents are there, and the agent does not know.
            _ => {
                endpoint.on_bulk(|_| Reply::CutAfterBody { judged: true });
                let before = endpoint.requests();
                agent.start_ready();
                wait::holds("documents came", PATIENCE, || endpoint.requests() > before);
            }
        }
        agent.kill();
        endpoint.heal();
    }
    agent.once_well();
    work.judge(&endpoint, "after twelve kills");
    judge_late(&work, &mut agent, "after twelve kills");
}

#[test]
fn t26_a_file_without_new_lines_holds_windows_back_no_longer_than_it_is_told() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let text = format!(
        "SET 'table.exec.source.idle-timeout' = '2 s';
         CREATE TABLE t (ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector'='filesystem', 'path'='{}/*.csv', 'format'='csv');
         CREATE TABLE s (ws TIMESTAMP(3), c BIGINT) WITH (type='elasticsearch', endPoint='{}', index='idle', typeName='_doc');
         INSERT INTO s SELECT TUMBLE_START(ts, INTERVAL '1' MINUTE), COUNT(*) FROM t GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE);",
        room.logs().display(),
        endpoint.url()
    );
    let line = |minute: u32| format!("2026-01-01 00:{minute:02}:30.000\n");
    let idle = room.file("logs/idle.csv", line(0));
    let busy = room.file("logs/busy.csv", line(0));
    let append = |file: &std::path::Path, text: &str| {
        let mut file = std::fs::OpenOptions::new().append(true).open(file).unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    };
    let mut agent = Agent::new(&room, &[room.file("idle.sql", text)]);
    agent.start_ready();
    append(&busy, &(line(1) + &line(2)));
    wait::holds("the windows that only the idle file held back are closed", PATIENCE, || endpoint.count("idle") == 2);
    // It speaks again, in time for the window that is open, too late for one that is not.
    append(&idle, &(line(1) + &line(2)));
    wait::holds("the late row is counted", PATIENCE, || agent.ctl().metric("late_rows_total") == 1);
    append(&busy, &line(4));
    append(&idle, &line(4));
    wait::holds("the window of both closes", PATIENCE, || endpoint.count("idle") == 3);
    agent.stop();
    let documents = endpoint.documents(|documents| documents.in_order("idle"));
    let counts: Vec<i64> = documents.iter().map(|document| document["c"].as_i64().unwrap()).collect();
    assert_eq!(counts, [2, 1, 2]);
}
