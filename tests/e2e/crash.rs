//! Nothing is lost and nothing doubled whatever ends the agent, and damage on its disk costs at most time.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use e2e::agent::{Agent, PATIENCE, Room};
use e2e::damage::{flip_bit, segments, written_end};
use e2e::endpoint::Endpoint;
use e2e::oracle::Oracle;
use e2e::seed::Rng;
use e2e::service::Service;
use e2e::wait;
use e2e::writer::Writer;

const INDEX: &str = "logs-crash";

#[test]
fn t12_a_kill_loop_under_load_loses_and_doubles_nothing() {
    let mut rng = Rng::for_test("t12");
    let time = std::env::var("SOAK_MINUTES").map_or(20.0, |minutes| 60.0 * minutes.parse::<f64>().unwrap());
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let oracle = Oracle::new(rng.clone());
    let mut agent = room.agent(&room.raw_job("app.log*", &endpoint.url(), INDEX, ""));
    let mut writer = Writer::new(room.logs().join("app.log"), &oracle);
    let (begin, mut next_kill, mut next_rotation) = (Instant::now(), Instant::now(), Instant::now());
    let (mut kills, mut slowest) = (0, Duration::ZERO);
    agent.start_ready();
    writer.paced(1 << 20, Duration::from_secs_f64(time), |writer| {
        if next_rotation.elapsed() > Duration::from_secs(1) {
            writer.rotate(100_000);
            next_rotation = Instant::now();
        }
        if Instant::now() >= next_kill {
            agent.kill();
            slowest = slowest.max(agent.start_ready());
            next_kill = Instant::now() + Duration::from_millis(rng.within(200, 5000).min((time * 200.0) as u64));
            kills += 1;
        }
    });
    endpoint.wait_count(INDEX, oracle.lines(), PATIENCE);
    let report = oracle.compare(&endpoint, INDEX);
    let seconds = begin.elapsed().as_secs();
    eprintln!("t12: {kills} kills in {seconds} s, slowest start {slowest:?}; {}", report.summary());
    report.assert_clean();
    assert!(kills > 3);
}

#[test]
fn a_run_once_that_is_killed_again_and_again_still_ships_each_line_once() {
    let mut rng = Rng::for_test("once-killed");
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let oracle = Oracle::new(rng.clone());
    Writer::new(room.logs().join("a.log"), &oracle).lines(30_000);
    Writer::new(room.logs().join("b.log"), &oracle).lines(10_000);
    let mut agent = room.agent(&room.raw_job("*.log", &endpoint.url(), INDEX, "")).with(&["--once"]);
    for _ in 0..8 {
        agent.start();
        wait::pass(Duration::from_millis(rng.within(10, 400)));
        agent.kill();
    }
    agent.start();
    assert!(agent.wait(PATIENCE).success(), "{}", agent.log());
    oracle.compare(&endpoint, INDEX).assert_clean();
}

/// A room whose agent was killed with everything owed, its oracle, and a way to judge a copy of its data.
struct Owed {
    room: Room,
    oracle: Oracle,
    data: PathBuf,
    rng: Rng,
}

impl Owed {
    /// 20,000 lines in two files, committed in several commits, none delivered.
    fn new(name: &str) -> Owed {
        let rng = Rng::for_test(name);
        let (room, mut endpoint) = (Room::new(), Endpoint::start());
        endpoint.down();
        let oracle = Oracle::new(rng.clone());
        let mut agent = room.agent(&room.raw_job("*.log", &endpoint.url(), INDEX, ""));
        let mut a = Writer::new(room.logs().join("a.log"), &oracle);
        let mut b = Writer::new(room.logs().join("b.log"), &oracle);
        agent.start_ready();
        for part in 1..=5 {
            a.lines(3000);
            b.lines(1000);
            wait::holds("the lines are committed", PATIENCE, || {
                agent.ctl().number("committed_records") == Some(part * 4000)
            });
        }
        // A second, so that sled's rows are there as well as the frames.
        wait::pass(Duration::from_millis(1500));
        agent.kill();
        let data = agent.data().to_owned();
        Owed { room, oracle, data, rng }
    }

    /// A copy of the data for one kind of damage.
    fn copy(&self, name: &str) -> PathBuf {
        let copy = self.room.path().join(name);
        let status = std::process::Command::new("cp").arg("-a").arg(&self.data).arg(&copy).status().unwrap();
        assert!(status.success());
        copy
    }

    /// Starts an agent on damaged data with a healthy cluster: everything must arrive, once.
    fn judge(&self, damage: &str, data: PathBuf) {
        let endpoint = Endpoint::start();
        let job = format!("id = \"job\"\n{}", self.room.raw_job("*.log", &endpoint.url(), INDEX, ""));
        let mut agent = self.room.agent(&job).data_dir(data);
        let output = agent.once();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "after {damage} it ended with {:?}:\n{said}", output.status);
        let mut report = self.oracle.compare(&endpoint, INDEX);
        report.read_again = 0; // what was damaged is read again
        let clean = report.missing.is_empty() && report.double.is_empty();
        assert!(clean, "after {damage}: {}\n{said}", report.summary());
        assert_eq!(report.collisions, 0, "after {damage}: {}\n{said}", report.summary());
        report.assert_clean();
    }
}

#[test]
fn t14_a_torn_tail_is_cut_and_its_lines_are_read_again() {
    let mut owed = Owed::new("t14-tail");
    for round in 0..6 {
        let copy = owed.copy(&format!("tail-{round}"));
        let last = segments(&copy).pop().unwrap();
        let end = written_end(&last);
        let cut = end - if round == 0 { 1 } else { owed.rng.within(1, end.min(400_000)) };
        OpenOptions::new().write(true).open(&last).unwrap().set_len(cut).unwrap();
        owed.judge(&format!("a cut of {} at {cut} of {end}", last.display()), copy);
    }
}

#[test]
fn t14_a_flipped_bit_costs_at_most_reading_again() {
    let mut owed = Owed::new("t14-bit");
    for round in 0..10 {
        let copy = owed.copy(&format!("bit-{round}"));
        let all = segments(&copy);
        let one = &all[owed.rng.within(0, all.len() as u64) as usize];
        let end = written_end(one);
        // The head of the file, the head of the last frames, or anywhere.
        let at = match round {
            0 => 0,
            1 => 9,
            2 => end - 1,
            _ => owed.rng.within(0, end),
        };
        flip_bit(one, at, owed.rng.within(0, 8));
        owed.judge(&format!("a flipped bit of {} at {at} of {end}", one.display()), copy);
    }
}

#[test]
fn what_turns_out_to_be_damaged_while_the_agent_runs_is_read_again() {
    let mut rng = Rng::for_test("damaged-meanwhile");
    let (room, mut endpoint) = (Room::new(), Endpoint::start());
    endpoint.down();
    let oracle = Oracle::new(rng.clone());
    let mut agent = room.agent(&room.raw_job("*.log", &endpoint.url(), INDEX, ""));
    let mut writer = Writer::new(room.logs().join("a.log"), &oracle);
    agent.start_ready();
    for part in 1..=5 {
        writer.lines(4000);
        wait::holds("the lines are committed", PATIENCE, || {
            agent.ctl().number("committed_records") == Some(part * 4000)
        });
    }
    let one = segments(agent.data()).pop().unwrap();
    for _ in 0..3 {
        flip_bit(&one, rng.within(0, written_end(&one)), rng.within(0, 8));
    }
    endpoint.up();
    endpoint.wait_count(INDEX, oracle.lines(), PATIENCE);
    // It goes on from there as if nothing had been.
    writer.lines(1000);
    endpoint.wait_count(INDEX, oracle.lines(), PATIENCE);
    wait::holds("nothing is owed", PATIENCE, || agent.ctl().metric("owed_records") == 0);
    assert_eq!(agent.ctl().metric("quarantined_records_total"), 0);
    agent.stop();
    judge_read_again(&agent, &oracle, &endpoint);
}

#[test]
fn a_run_once_that_meets_damage_ends_when_that_was_read_again() {
    let mut rng = Rng::for_test("damaged-once");
    let (room, mut endpoint) = (Room::new(), Endpoint::start());
    endpoint.down();
    let oracle = Oracle::new(rng.clone());
    Writer::new(room.logs().join("a.log"), &oracle).lines(10_000);
    let mut agent = room.agent(&room.raw_job("*.log", &endpoint.url(), INDEX, "")).with(&["--once"]);
    agent.start();
    wait::holds("the lines are committed", PATIENCE, || agent.ctl().number("committed_records") == Some(10_000));
    let one = segments(agent.data()).pop().unwrap();
    for _ in 0..3 {
        flip_bit(&one, rng.within(0, written_end(&one)), rng.within(0, 8));
    }
    endpoint.up();
    assert!(agent.wait(PATIENCE).success(), "{}", agent.log());
    judge_read_again(&agent, &oracle, &endpoint);
}

fn judge_read_again(agent: &Agent, oracle: &Oracle, endpoint: &Endpoint) {
    assert!(agent.log().contains("what followed is read again"), "nobody was told:\n{}", agent.log());
    let mut report = oracle.compare(endpoint, INDEX);
    assert_eq!(report.collisions, 0, "{}\n{}", report.summary(), agent.log());
    report.read_again = 0; // what was damaged is read again
    report.assert_clean();
}

#[test]
fn t14_without_its_view_the_store_is_rebuilt_from_segments() {
    let mut owed = Owed::new("t14-view");
    let copy = owed.copy("gone");
    let view = sled_folder(&copy);
    std::fs::remove_dir_all(&view).unwrap();
    owed.judge("removing the sled folder", copy);
    for round in 0..3 {
        let copy = owed.copy(&format!("damaged-{round}"));
        let database = sled_folder(&copy).join("db");
        let length = database.metadata().unwrap().len();
        for _ in 0..20 {
            flip_bit(&database, owed.rng.within(0, length), owed.rng.within(0, 8));
        }
        owed.judge("flipping 20 bits in sled's file", copy);
    }
}

/// The folder in which sled has its file `db`.
fn sled_folder(data: &Path) -> PathBuf {
    let mut folders = vec![data.to_owned()];
    while let Some(folder) = folders.pop() {
        if folder.join("db").is_file() {
            return folder;
        }
        let inside = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        folders.extend(inside.filter(|path| path.is_dir()));
    }
    panic!("sled has no file in {}", data.display());
}

#[test]
fn t33_a_second_agent_on_the_same_folder_is_refused_and_does_no_damage() {
    let rng = Rng::for_test("t33");
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let oracle = Oracle::new(rng);
    let job = room.raw_job("*.log", &endpoint.url(), INDEX, "");
    let mut first = room.agent(&job);
    let mut writer = Writer::new(room.logs().join("app.log"), &oracle);
    writer.lines(1000);
    first.start_ready();
    let output = room.agent(&job).once();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains(room.data().to_str().unwrap()), "it should name the folder: {said}");
    writer.lines(1000);
    endpoint.wait_count(INDEX, 2000, PATIENCE);
    assert!(first.ctl().answers(), "the first agent's control socket is gone");
    first.stop();
    oracle.compare(&endpoint, INDEX).assert_clean();
}

/// Every file of a folder with its bytes.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut folders, mut found) = (vec![folder.to_owned()], BTreeMap::new());
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() {
                found.insert(path.clone(), std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn t32_the_data_of_a_newer_version_are_refused_untouched_and_go_on_with_that_version() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let oracle = Oracle::new(Rng::for_test("t32"));
    let mut writer = Writer::new(room.logs().join("app.log"), &oracle);
    let job = room.raw_job("*.log", &endpoint.url(), INDEX, "");
    writer.lines(100);
    let mut agent = room.agent(&job);
    agent.once_well();
    // What a newer version would leave behind.
    let format = agent.data().join("format");
    let ours = std::fs::read_to_string(&format).unwrap();
    let newer = ours.trim().parse::<u32>().unwrap() + 1;
    std::fs::write(&format, format!("{newer}\n")).unwrap();
    writer.lines(100);
    let before = contents(agent.data());
    let output = agent.once();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(9), "{said}");
    for what in [room.data().to_str().unwrap(), "newer version", &format!("format is {newer}"), "install"] {
        assert!(said.contains(what), "it should say {what}: {said}");
    }
    // The service ends with the same code, which the unit does not start again after.
    room.file("etc/jobs.d/job.toml", &job);
    let service = Service::start(&Service::config(&room, ""), &room.path().join("serve.log"));
    wait::holds("the service gives up", PATIENCE, || !service.runs());
    assert!(service.log().contains("newer version"), "{}", service.log());
    assert!(contents(agent.data()) == before, "what a newer version wrote was changed");
    assert_eq!(endpoint.count(INDEX), 100, "something was shipped past the newer version's positions");

    std::fs::write(&format, ours).unwrap();
    agent.once_well();
    oracle.compare(&endpoint, INDEX).assert_clean();
}

#[test]
fn a_lost_data_folder_means_new_ids_and_that_is_not_hidden() {
    let rng = Rng::for_test("lost-data");
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let oracle = Oracle::new(rng);
    Writer::new(room.logs().join("app.log"), &oracle).lines(100);
    let mut agent = room.agent(&room.raw_job("*.log", &endpoint.url(), INDEX, ""));
    agent.once_well();
    agent.once_well();
    assert_eq!(endpoint.count(INDEX), 100, "a second run has nothing to do");
    std::fs::remove_dir_all(agent.data()).unwrap();
    agent.once_well();
    assert_eq!(endpoint.count(INDEX), 200, "the files are read again under new ids");
}

#[test]
fn a_data_folder_that_is_removed_ends_the_agent_with_one_message_that_names_it() {
    let rng = Rng::for_test("removed-data");
    let (room, mut endpoint) = (Room::new(), Endpoint::start());
    endpoint.down();
    let oracle = Oracle::new(rng);
    let mut writer = Writer::new(room.logs().join("app.log"), &oracle);
    let mut agent = room.agent(&room.raw_job("*.log", &endpoint.url(), INDEX, ""));
    agent.start_ready();
    writer.lines(1000);
    wait::holds("the lines are committed", PATIENCE, || agent.ctl().number("committed_records") == Some(1000));
    std::fs::remove_dir_all(agent.data()).unwrap();
    endpoint.up();
    writer.lines(1000);
    let status = agent.wait(PATIENCE);
    let said = agent.log();
    assert_eq!(status.code(), Some(4), "{said}");
    let told = format!("the data directory {} was removed", agent.data().display());
    assert!(said.lines().any(|line| line.contains(&told) && !line.contains("ERROR")), "{said}");
    assert!(!said.contains("damaged") && !said.contains("kept in"), "{said}");
}

#[test]
fn a_job_that_lost_its_positions_waits_until_it_is_told_to_begin_anew() {
    let rng = Rng::for_test("lost-positions");
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let oracle = Oracle::new(rng);
    let mut writer = Writer::new(room.logs().join("app.log"), &oracle);
    let job = format!("id = \"app\"\n{}", room.raw_job("*.log", &endpoint.url(), INDEX, ""));
    writer.lines(100);
    let mut agent = room.agent(&job);
    agent.start_ready();
    endpoint.wait_count(INDEX, 100, PATIENCE);
    agent.stop();
    std::fs::remove_dir_all(sled_folder(agent.data())).unwrap();
    std::fs::write(agent.data().join("bases/app@0000000000000001.base"), "damaged").unwrap();
    agent.start_ready();
    wait::holds("it waits", PATIENCE, || agent.ctl().state() == "parked");
    let status = agent.ctl().status().to_string();
    assert!(status.contains("--begin-anew app"), "{status}");
    agent.stop();
    let output = room.agent(&job).with(&["--once", "--begin-anew", "other"]).once();
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    writer.lines(10);
    room.agent(&job).with(&["--begin-anew", "app"]).once_well();
    assert_eq!(endpoint.count(INDEX), 210, "what it had shipped is shipped again under new ids, once");
    writer.lines(10);
    room.agent(&job).once_well();
    assert_eq!(endpoint.count(INDEX), 220);
}
