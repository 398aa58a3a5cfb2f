//! What is owed to a sink that a script has no more is kept, until there is one of that name or an operator drops it.

use e2e::agent::{Agent, PATIENCE, Room};
use e2e::endpoint::Endpoint;
use e2e::wait;

/// A script that writes what it reads into these sinks.
fn script(room: &Room, url: &str, sinks: &[&str]) -> String {
    let mut text = format!(
        "CREATE TABLE s (a STRING) WITH ('connector' = 'filesystem', 'path' = '{}/*.json', 'format' = 'json');\n",
        room.logs().display()
    );
    for sink in sinks {
        text += &format!(
            "CREATE TABLE {sink} (a STRING) WITH ('connector' = 'elasticsearch-7', 'hosts' = '{url}', 'index' = '{sink}s');\n\
             INSERT INTO {sink} SELECT a FROM s;\n"
        );
    }
    text
}

fn agent(room: &Room, url: &str, sinks: &[&str]) -> Agent {
    Agent::new(room, &[room.file("count.sql", script(room, url, sinks))])
}

#[test]
fn what_is_owed_to_a_sink_that_is_gone_is_dropped_on_an_operators_word_and_nothing_else() {
    let (room, mut endpoint) = (Room::new(), Endpoint::start());
    let url = endpoint.url();
    room.file("logs/a.json", "{\"a\":\"x\"}\n".repeat(3));
    endpoint.down();
    let mut before = agent(&room, &url, &["old", "older", "stays"]);
    before.start_ready();
    wait::holds("rows are owed to all", PATIENCE, || before.ctl().number("owed_records") == Some(9));
    before.stop();

    let mut after = agent(&room, &url, &["stays"]);
    after.start_ready();
    let ctl = after.ctl();
    let refused = |arguments: &[&str]| {
        let (well, out, said) = ctl.try_run(arguments);
        assert!(!well, "{out}{said}");
        said
    };
    // A look drops nothing, nor does a name that is not, nor that of a sink that there is.
    let said = refused(&["drop-owed", "count"]);
    assert!(said.contains("olds") && said.contains("olders") && said.contains("--yes"), "{said}");
    let said = refused(&["drop-owed", "count", "--sink", "stays", "--yes"]);
    assert!(said.contains("count has the sink stays"), "{said}");
    let said = refused(&["drop-owed", "count", "--sink", "odl", "--yes"]);
    assert!(said.contains("it does to old, older"), "{said}");
    assert!(refused(&["drop-owed", "counts", "--yes"]).contains("counts"));
    assert_eq!(ctl.number("owed_records"), Some(9));

    let told = ctl.run(&["drop-owed", "count", "--sink", "old", "--yes"]);
    assert_eq!(told, "3 documents of count dropped\n");
    assert_eq!(ctl.number("owed_records"), Some(6));
    let told = ctl.json(&["drop-owed", "count", "--yes", "--json"]);
    assert_eq!((&told["lanes"][0]["sink"], &told["lanes"][0]["documents"]), (&"older".into(), &3.into()), "{told}");
    assert!(refused(&["drop-owed", "count", "--yes"]).contains("owes nothing to a sink that its script has no more"));
    assert!(after.log().contains("dropped on an operator's word"), "{}", after.log());

    // It stays dropped over a kill, and what is owed to the sink that there is arrives.
    after.kill();
    endpoint.up();
    after.once_well();
    let mut all = agent(&room, &url, &["old", "older", "stays"]);
    all.once_well();
    assert_eq!((endpoint.count("olds"), endpoint.count("olders"), endpoint.count("stayss")), (0, 0, 3));
}
