//! SQL scripts over real files into an endpoint: right counts, whatever happens on the way.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use e2e::agent::{Agent, PATIENCE, Room};
use e2e::endpoint::Endpoint;
use e2e::seed::Rng;
use e2e::wait;

/// A script over `logs/*.json`; `to` is the sink's columns, `select` the query.
fn script(room: &Room, url: &str, columns: &str, to: &str, select: &str) -> String {
    format!(
        "CREATE TABLE s ({columns}) WITH ('connector' = 'filesystem', 'path' = '{}/*.json', 'format' = 'json');\n\
         CREATE TABLE t ({to}) WITH ('connector' = 'elasticsearch-7', 'hosts' = '{url}', 'index' = 'counts');\n\
         INSERT INTO t {select};\n",
        room.logs().display()
    )
}

fn agent(room: &Room, script: &str) -> Agent {
    let job = room.file("counts.sql", script);
    Agent::new(room, &[job])
}

/// `_id` → the field `n`.
fn counts(endpoint: &Endpoint, field: &str) -> BTreeMap<String, i64> {
    endpoint.documents(|documents| {
        let of =
            documents.of("counts").map(|(id, document)| (id.to_owned(), document.json()[field].as_i64().unwrap_or(-1)));
        of.collect()
    })
}

#[test]
fn a_count_per_key_is_right_over_kills() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let mut rng = Rng::for_test("a_count_per_key_is_right_over_kills");
    let select = "SELECT a, COUNT(*) FROM s GROUP BY a";
    let text =
        script(&room, &endpoint.url(), "a INT, b STRING", "a INT, n BIGINT, PRIMARY KEY (a) NOT ENFORCED", select);
    let mut agent = agent(&room, &text);
    let mut expected: BTreeMap<String, i64> = BTreeMap::new();
    let file = room.logs().join("app.json");
    let mut content = String::new();
    for _ in 0..4 {
        for _ in 0..5_000 {
            let key = rng.within(0, 200);
            content.push_str(&format!("{{\"a\":{key},\"b\":\"x\"}}\n"));
            *expected.entry(key.to_string()).or_default() += 1;
        }
        std::fs::write(&file, &content).unwrap();
        agent.start();
        std::thread::sleep(std::time::Duration::from_millis(rng.within(50, 700)));
        agent.kill();
    }
    agent.start_ready();
    wait::holds("every count is right", PATIENCE, || counts(&endpoint, "n") == expected);
    agent.stop();
}

#[test]
fn a_window_comes_once_with_exact_values_over_kills() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let mut rng = Rng::for_test("a_window_comes_once_with_exact_values_over_kills");
    let text = script(
        &room,
        &endpoint.url(),
        "ts TIMESTAMP(3), a INT, b BIGINT, WATERMARK FOR ts AS ts - INTERVAL '2' SECOND",
        "w STRING, a INT, n BIGINT, total BIGINT, PRIMARY KEY (w, a) NOT ENFORCED",
        "SELECT CAST(window_start AS STRING), a, COUNT(*), SUM(b) FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end, a",
    );
    let mut agent = agent(&room, &text);
    let mut expected: BTreeMap<(u64, u64), (i64, i64)> = BTreeMap::new();
    let mut content = String::new();
    for n in 0..20_000_u64 {
        let at = n / 100 + rng.within(0, 2); // out of order, never late
        let (a, b) = (rng.within(0, 5), rng.within(0, 100));
        content.push_str(&format!(
            "{{\"ts\":\"2026-01-01 00:{:02}:{:02}.000\",\"a\":{a},\"b\":{b}}}\n",
            at / 60,
            at % 60
        ));
        let of = expected.entry((at / 10, a)).or_default();
        *of = (of.0 + 1, of.1 + b as i64);
    }
    room.file("logs/app.json", content);
    for _ in 0..5 {
        agent.start();
        std::thread::sleep(std::time::Duration::from_millis(rng.within(20, 300)));
        agent.kill();
    }
    agent.once_well();
    let found: BTreeMap<(String, i64), (i64, i64)> = endpoint.documents(|documents| {
        let row = |document: &e2e::endpoint::Document| {
            let row = document.json();
            let number = |name: &str| row[name].as_i64().unwrap();
            ((row["w"].as_str().unwrap().to_owned(), number("a")), (number("n"), number("total")))
        };
        documents.of("counts").map(|(_, document)| row(document)).collect()
    });
    let start = |w: u64| format!("2026-01-01 00:{:02}:{:02}.000", w * 10 / 60, w * 10 % 60);
    let expected: BTreeMap<(String, i64), (i64, i64)> =
        expected.into_iter().map(|((w, a), values)| ((start(w), a as i64), values)).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_later_bounded_run_goes_on_where_the_one_before_closed_its_windows() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let text = script(
        &room,
        &endpoint.url(),
        "ts TIMESTAMP(3), WATERMARK FOR ts AS ts",
        "w STRING, n BIGINT, PRIMARY KEY (w) NOT ENFORCED",
        "SELECT CAST(window_start AS STRING), COUNT(*) FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end",
    );
    let mut agent = agent(&room, &text);
    let line = |minute: u32| format!("{{\"ts\":\"2026-01-01 00:{minute:02}:30.000\"}}\n");
    let mut content = line(0).repeat(3);
    for minute in 1..4 {
        room.file("logs/app.json", &content);
        agent.once_well();
        content.push_str(&line(minute).repeat(2));
    }
    // The last minute's window was closed by the run before: what comes for it now is late, and that is said.
    content.push_str(&line(1));
    room.file("logs/app.json", &content);
    agent.once_well();
    assert!(agent.log().contains("1 came late"), "{}", agent.log());
    let expected: BTreeMap<String, i64> =
        (0..4).map(|minute| (format!("2026-01-01 00:{minute:02}:00.000"), if minute == 0 { 3 } else { 2 })).collect();
    assert_eq!(counts(&endpoint, "n"), expected);
}

#[test]
fn every_row_that_cannot_be_computed_is_a_dead_letter_of_its_own() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let select = "SELECT a, 100 / b FROM s";
    let text = script(&room, &endpoint.url(), "a INT, b INT", "a INT, n INT", select);
    let lines: String = (0..40).map(|a| format!("{{\"a\":{a},\"b\":{}}}\n", a % 2)).collect();
    room.file("logs/app.json", lines);
    let mut agent = agent(&room, &text);
    agent.start_ready();
    wait::holds("half of the rows arrive", PATIENCE, || endpoint.count("counts") == 20);
    wait::holds("the others are dead letters", PATIENCE, || agent.ctl().dead_letters().len() == 20);
    agent.stop();
}

#[test]
fn tables_of_a_script_may_come_go_and_change_their_order() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let url = endpoint.url();
    let script = |tables: &[&str]| {
        let table = |name: &&str| {
            format!(
                "CREATE TABLE {name} (a STRING) WITH ('connector' = 'filesystem', 'path' = '{}/{name}.json', 'format' = 'json');\n",
                room.logs().display()
            )
        };
        let select: Vec<String> = tables.iter().map(|name| format!("SELECT a FROM {name}")).collect();
        let sink = format!(
            "CREATE TABLE t (a STRING) WITH ('connector' = 'elasticsearch-7', 'hosts' = '{url}', 'index' = 'counts');\n"
        );
        format!("{}{sink}INSERT INTO t {};\n", tables.iter().map(table).collect::<String>(), select.join(" UNION ALL "))
    };
    let lines: std::cell::RefCell<BTreeMap<String, String>> = std::cell::RefCell::default();
    let run = |tables: &[&str]| {
        for name in ["one", "two", "three"] {
            let mut lines = lines.borrow_mut();
            let content = lines.entry(name.to_owned()).or_default();
            let number = content.lines().count();
            content.push_str(&format!("{{\"a\":\"{name} {number}\"}}\n"));
            room.file(&format!("logs/{name}.json"), &*content);
        }
        agent(&room, &script(tables)).once_well();
        let mut found: Vec<String> = endpoint.documents(|documents| {
            documents.of("counts").map(|(_, document)| document.json()["a"].as_str().unwrap().to_owned()).collect()
        });
        found.sort();
        found
    };
    assert_eq!(run(&["one", "two"]), ["one 0", "two 0"]);
    assert_eq!(run(&["two", "one"]), ["one 0", "one 1", "two 0", "two 1"]);
    assert_eq!(run(&["two"]), ["one 0", "one 1", "two 0", "two 1", "two 2"]);
    let all = ["one 0", "one 1", "one 2", "one 3", "three 0", "three 1", "three 2", "three 3"];
    let two = ["two 0", "two 1", "two 2"];
    assert_eq!(run(&["three", "one"]), [&all[..], &two].concat());
}

#[test]
fn what_is_owed_to_a_sink_waits_for_a_sink_of_that_name_and_is_told() {
    let (room, mut endpoint) = (Room::new(), Endpoint::start());
    let (url, logs) = (endpoint.url(), room.logs());
    let table = format!(
        "CREATE TABLE s (a STRING) WITH ('connector' = 'filesystem', 'path' = '{}/*.json', 'format' = 'json');\n",
        logs.display()
    );
    let into = |sink: &str| {
        format!(
            "CREATE TABLE {sink} (a STRING) WITH ('connector' = 'elasticsearch-7', 'hosts' = '{url}', 'index' = '{sink}s');\n\
             INSERT INTO {sink} SELECT a FROM s;\n"
        )
    };
    let owed = |agent: &Agent| agent.ctl().number("owed_records");
    room.file("logs/a.json", "{\"a\":\"x\"}\n".repeat(3));
    endpoint.down();
    let mut first = agent(&room, &format!("{table}{}", into("old")));
    first.start_ready();
    wait::holds("rows are owed", PATIENCE, || owed(&first) == Some(3));
    first.stop();
    endpoint.up();
    // Renamed: nobody takes them for the new sink's.
    let mut renamed = agent(&room, &format!("{table}{}", into("new")));
    let output = renamed.once();
    assert_eq!(output.status.code(), Some(5), "{}", renamed.log());
    let said = "3 documents owed to the sink old are kept: the script has no such sink any more";
    assert!(renamed.log().contains(said), "{}", renamed.log());
    renamed.start_ready();
    let status = renamed.ctl().status().to_string();
    assert!(status.contains(said) && renamed.ctl().state() == "parked", "{status}");
    renamed.stop();
    assert_eq!(endpoint.count("olds") + endpoint.count("news"), 0);
    // One sink or several: the name is the same.
    let mut both = agent(&room, &format!("{table}{}{}", into("new"), into("old")));
    both.once_well();
    assert_eq!((endpoint.count("olds"), endpoint.count("news")), (3, 0));
}

#[test]
fn a_row_is_printed_when_its_commit_is_durable_so_never_twice_over_kills() {
    let room = Room::new();
    let text = format!(
        "CREATE TABLE s (a INT) WITH ('connector' = 'filesystem', 'path' = '{}/*.json', 'format' = 'json');\n\
         CREATE TABLE t (a INT) WITH ('connector' = 'print');\nINSERT INTO t SELECT a FROM s;\n",
        room.logs().display()
    );
    let rows = |text: &str| -> Vec<u64> {
        // The last line of a killed run may be half a line.
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let numbers =
            whole.filter_map(|line| line.strip_prefix("+I {\"a\":")?.trim_end().strip_suffix('}')?.parse().ok());
        numbers.collect()
    };
    let job = room.file("print.sql", &text);
    let (mut content, mut written, mut printed) = (String::new(), 0_u64, Vec::new());
    for run in 0..6 {
        (written..written + 1000).for_each(|n| content.push_str(&format!("{{\"a\":{n}}}\n")));
        written += 1000;
        room.file("logs/app.json", &content);
        let mut command = Command::new(e2e::binaries::splashdam());
        command.arg("run").arg(&job).arg("--data-dir").arg(room.data()).stdin(Stdio::null());
        let mut child = command.args((run == 5).then_some("--once")).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        out.read_line(&mut said).unwrap();
        if run < 5 {
            child.kill().unwrap(); // at once: what was printed too early is not durable yet
        }
        out.read_to_string(&mut said).unwrap();
        child.wait().unwrap();
        printed.extend(rows(&said));
    }
    assert!(printed.is_sorted_by(|a, b| a < b), "rows are printed twice, or not in order");
    assert_eq!(printed.last(), Some(&(written - 1)));
}

#[test]
fn t28_a_state_that_grows_beyond_its_limit_stops_its_job_and_no_other() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let job = |name: &str, limit: &str, file: &str| {
        let text = format!(
            "SET 'splashdam.state.max-bytes' = '{limit}';\n\
             CREATE TABLE s (a INT) WITH ('connector' = 'filesystem', 'path' = '{}/{file}', 'format' = 'json');\n\
             CREATE TABLE t (a INT, n BIGINT, PRIMARY KEY (a) NOT ENFORCED)\n\
             WITH ('connector' = 'elasticsearch-7', 'hosts' = '{}', 'index' = '{name}');\n\
             INSERT INTO t SELECT a, COUNT(*) FROM s GROUP BY a;\n",
            room.logs().display(),
            endpoint.url()
        );
        room.file(&format!("{name}.sql"), text)
    };
    let jobs = [job("bomb", "1 mb", "keys.json"), job("small", "1 mb", "few.json")];
    let pad = "x".repeat(300);
    let keys =
        |range: std::ops::Range<u32>| range.map(|a| format!("{{\"a\":{a},\"pad\":\"{pad}\"}}\n")).collect::<String>();
    room.file("logs/keys.json", keys(0..100_000));
    let few = room.file("logs/few.json", keys(0..10));
    let mut agent = Agent::new(&room, &jobs);
    agent.start_ready();
    let pipeline = |agent: &Agent, id: &str| {
        let status = agent.ctl().status();
        let all = status["pipelines"].as_array().unwrap().iter();
        all.clone().find(|pipeline| pipeline["id"] == id).unwrap().clone()
    };
    wait::holds("the job with too many keys is parked", PATIENCE, || pipeline(&agent, "bomb")["state"] == "parked");
    let why = pipeline(&agent, "bomb")["why"].to_string();
    assert!(why.contains("splashdam.state.max-bytes"), "{why}");
    let said = agent.log().matches("splashdam.state.max-bytes").count();
    assert_eq!(said, 1, "{}", agent.log());
    let read = |agent: &Agent| pipeline(agent, "bomb")["read_records"].as_u64().unwrap();
    let before = read(&agent);
    assert!(before < 100_000, "it read all {before} records");
    wait::holds("what was counted before is delivered", PATIENCE, || endpoint.count("bomb") > 1000);
    // The other one reads what comes now.
    room.file("logs/few.json", keys(0..10) + &keys(5..15));
    wait::holds("the other job goes on", PATIENCE, || {
        let counts: BTreeMap<String, i64> = endpoint.documents(|documents| {
            let count = |(id, document): (&str, &e2e::endpoint::Document)| {
                (id.to_owned(), document.json()["n"].as_i64().unwrap())
            };
            documents.of("small").map(count).collect()
        });
        let n = |a: u32| if (5..10).contains(&a) { 2 } else { 1 };
        counts == (0..15).map(|a| (a.to_string(), n(a))).collect()
    });
    assert_eq!(read(&agent), before, "the parked job reads on");
    agent.stop();

    // With room for its keys it goes on where it stopped, and counts each record once.
    assert!(few.exists());
    job("bomb", "1 gb", "keys.json");
    agent.once_well();
    assert_eq!(endpoint.count("bomb"), 100_000);
    endpoint.documents(|documents| documents.of("bomb").for_each(|(id, d)| assert_eq!(d.json()["n"], 1, "{id}")));
}

#[test]
fn a_bounded_run_whose_state_is_full_ends_and_says_so_and_goes_on_with_more_room() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let lines: String = (0..120_000).map(|a| format!("{{\"a\":{a}}}\n")).collect();
    room.file("logs/app.json", lines);
    let job = |max: &str| {
        let query = script(
            &room,
            &endpoint.url(),
            "a INT",
            "a INT, n BIGINT, PRIMARY KEY (a) NOT ENFORCED",
            "SELECT a, COUNT(*) FROM s GROUP BY a",
        );
        format!("SET 'splashdam.state.max-bytes' = '{max}';\n{query}")
    };
    let mut small = agent(&room, &job("1 mb"));
    let output = small.once();
    let log = small.log();
    assert_eq!(output.status.code(), Some(8), "{log}");
    let told = log.lines().filter(|line| line.contains("ERROR") && line.contains("reading waits for an operator"));
    assert_eq!(told.count(), 1, "{log}");
    let before = log.split_once(" bytes and is as large as splashdam.state.max-bytes allows (1").unwrap().0;
    let bytes: u64 = before.rsplit_once(' ').unwrap().1.parse().unwrap();
    assert!((1 << 20..5 << 18).contains(&bytes), "{bytes} bytes where 1 MiB is allowed");
    agent(&room, &job("1 gb")).once_well();
    let expected: BTreeMap<String, i64> = (0..120_000).map(|a| (a.to_string(), 1)).collect();
    assert!(counts(&endpoint, "n") == expected);
}

#[test]
fn many_keys_without_a_cluster_are_counted_on_in_little_memory_and_delivered_over_a_kill() {
    let (room, mut endpoint) = (Room::new(), Endpoint::start());
    // Their documents would take more than 60 MB.
    const KEYS: u64 = 240_000;
    let lines: String = (0..KEYS).map(|a| format!("{{\"a\":{a}}}\n")).collect();
    let file = room.file("logs/app.json", &lines);
    let query = script(
        &room,
        &endpoint.url(),
        "a BIGINT",
        "a BIGINT, n BIGINT, PRIMARY KEY (a) NOT ENFORCED",
        "SELECT a, COUNT(*) FROM s GROUP BY a",
    );
    endpoint.down();
    let mut agent = agent(&room, &query);
    agent.start_ready();
    let read = |agent: &Agent| agent.ctl().try_metric("read_records_total");
    wait::holds("all is read", PATIENCE, || read(&agent) == Some(KEYS));
    wait::holds("all is owed", PATIENCE, || agent.ctl().number("owed_records") == Some(KEYS));
    let bytes = agent.ctl().number("owed_bytes").unwrap();
    assert!((1 << 20..48 << 20).contains(&bytes), "{bytes} bytes of documents wait");
    agent.kill();
    // Half of the keys again while nothing of the first time has arrived; then both are delivered.
    let again: String = (0..KEYS / 2).map(|a| format!("{{\"a\":{a}}}\n")).collect();
    std::fs::write(&file, lines + &again).unwrap();
    agent.start_ready();
    wait::holds("the rest is read", PATIENCE, || read(&agent) == Some(KEYS / 2));
    endpoint.up();
    wait::holds("nothing is owed", PATIENCE, || agent.ctl().number("owed_records") == Some(0));
    agent.stop();
    let expected: BTreeMap<String, i64> =
        (0..KEYS).map(|a| (a.to_string(), if a < KEYS / 2 { 2 } else { 1 })).collect();
    assert!(counts(&endpoint, "n") == expected);
}

#[test]
fn an_id_that_chance_gives_is_given_once_over_kills() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let mut rng = Rng::for_test("an_id_that_chance_gives_is_given_once_over_kills");
    let lines: String = (0..30_000).map(|n| format!("{{\"a\":{n}}}\n")).collect();
    room.file("logs/app.json", lines);
    let text = script(
        &room,
        &endpoint.url(),
        "a INT",
        "u STRING, a INT, r DOUBLE, PRIMARY KEY (u) NOT ENFORCED",
        "SELECT u, a, r FROM (SELECT UUID() AS u, a, RAND() AS r FROM s) WHERE r < 2",
    );
    let mut agent = agent(&room, &text);
    for _ in 0..5 {
        agent.start();
        std::thread::sleep(std::time::Duration::from_millis(rng.within(20, 400)));
        agent.kill();
    }
    agent.once_well();
    endpoint.documents(|documents| {
        let mut seen = std::collections::BTreeSet::new();
        for (id, document) in documents.of("counts") {
            let row = document.json();
            assert_eq!(row["u"], id);
            assert!(seen.insert(row["a"].as_i64().unwrap()), "{row} is there twice");
        }
        assert_eq!(seen.len(), 30_000);
    });
}

#[test]
fn inserts_into_one_table_lose_no_row_and_one_insert_more_changes_no_id() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    room.file("logs/app.json", "{\"a\":1}\n{\"a\":2}\n");
    let one = script(&room, &endpoint.url(), "a INT", "a INT", "SELECT a FROM s");
    let ids = |text: &str| -> Vec<String> {
        let job = room.file("counts.sql", text);
        let output = Command::new(e2e::binaries::splashdam()).arg("try").arg(job).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        // Where there are several sinks, `try` names them before the index.
        text.lines().filter(|line| line.contains("_id")).map(|line| line.replace("t#", "")).collect()
    };
    let alone = ids(&one);
    let more = format!(
        "{one}INSERT INTO t SELECT a + 10 FROM s;\n\
         CREATE TABLE other (a INT) WITH ('connector' = 'elasticsearch-7', 'hosts' = '{}', 'index' = 'others');\n\
         INSERT INTO other SELECT a FROM s;\n",
        endpoint.url()
    );
    let several = ids(&more);
    assert!(alone.len() == 2 && several.len() == 6, "{several:?}");
    assert!(alone.iter().all(|id| several.contains(id)), "{alone:?} {several:?}");
    let mut agent = agent(&room, &more);
    agent.once_well();
    let mut found: Vec<i64> =
        endpoint.documents(|documents| documents.of("counts").map(|(_, d)| d.json()["a"].as_i64().unwrap()).collect());
    found.sort_unstable();
    assert_eq!(found, [1, 2, 11, 12]);
    assert_eq!(endpoint.count("others"), 2);
}

#[test]
fn a_script_takes_its_variables_from_the_command_line_and_an_unknown_one_is_named_with_its_line() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    room.file("logs/app.json", "{\"a\":1}\n{\"a\":2}\n");
    let text = script(&room, &endpoint.url(), "a INT", "a INT", "SELECT a FROM s WHERE a > ${least}");
    let job = room.file("counts.sql", text.replace("'counts'", "'${index}'"));
    let run = |arguments: &[&str]| {
        let mut command = Command::new(e2e::binaries::splashdam());
        command.arg("run").arg(&job).args(["--once", "--data-dir"]).arg(room.data()).args(arguments);
        command.output().unwrap()
    };
    let refused = run(&["--var", "index=counts"]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(
        said.contains("counts.sql:3:") && said.contains("${least} has no value; give it with --var least=…"),
        "{said}"
    );
    let output = run(&["--var", "index=counts", "--var", "least=1"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(counts(&endpoint, "a").into_values().collect::<Vec<_>>(), [2]);
}
