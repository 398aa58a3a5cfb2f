//! What people do wrong, or what goes wrong around them, and what they are told.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use e2e::agent::{PATIENCE, Room};
use e2e::endpoint::Endpoint;
use e2e::{binaries, process, wait};
use rustix::process::{Pid, Signal, kill_process};

const INDEX: &str = "logs-mistakes";
const NOBODY: u32 = 65534;

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn text(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{out}{err}")
}

/// What `splashdam ARGUMENTS` says, and its exit code.
fn said(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(binaries::splashdam()).args(arguments).stdin(Stdio::null()).output().unwrap();
    (output.status.code(), text(&output))
}

#[test]
fn a_wrong_command_line_is_told_with_the_way_out() {
    let room = Room::new();
    let absent = room.path().join("absent.toml");
    let job = room.file("job.toml", room.raw_job("*.log", "http://127.0.0.1:1", INDEX, ""));
    let file = room.file("file", "");
    for (arguments, code, expected) in [
        (&["check", "--config", path(&absent)][..], 1, "`splashdam check JOB.toml` is about a job"),
        (&["serve", "--config", path(&absent)], 1, "`splashdam run JOB.toml` runs a job without it"),
        (&["run", path(room.path())], 1, "is a folder; name the jobs in it"),
        (&["run", path(&job), path(&job)], 1, "is named more than once"),
        (&["run", path(&job), "--data-dir", path(&file)], 4, "the data directory can't be used: "),
        (&["try", path(&job), "--limit", "0"], 2, "0 is not in 1.."),
        (&["try", path(&job)], 0, "there is nothing to send: no file of this job has a line"),
        (&["try", path(&job)], 0, "no file matches"),
    ] {
        let (got, said) = said(arguments);
        assert!(got == Some(code) && said.contains(expected), "{arguments:?}: {got:?}, not {expected:?}: {said}");
    }
    let mut ctl = Command::new(binaries::splashctl());
    let output = ctl.args(["--socket", path(&file), "status"]).output().unwrap();
    assert!(output.status.code() == Some(3) && text(&output).contains("is no socket"), "{}", text(&output));
}

#[test]
fn a_path_that_is_a_folder_is_told_with_what_to_write() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    room.file("logs/app.log", "one\n");
    let job = room.file("job.toml", room.raw_job("", &endpoint.url(), INDEX, ""));
    let expected = format!("\"{0}\" is a folder; write \"{0}/*\" for the files in it", room.logs().display());
    for arguments in [
        &["check", path(&job)][..],
        &["try", path(&job)],
        &["run", path(&job), "--once", "--data-dir", path(&room.data())],
    ] {
        let (code, said) = said(arguments);
        assert!(code == Some(0) && said.contains(&expected), "{arguments:?}: {said}");
    }
}

#[test]
fn what_check_warns_of_is_said_by_run_and_try_as_well() {
    let room = Room::new();
    let stdin = "[source]\ntype = \"stdin\"\n[sink]\ntype = \"elasticsearch\"\nindex = \"x\"\n";
    let job = room.file("job.toml", format!("{stdin}endpoint = \"http://127.0.0.1\"\n"));
    for arguments in
        [&["check", path(&job)][..], &["try", path(&job)], &["run", path(&job), "--data-dir", path(&room.data())]]
    {
        let (code, said) = said(arguments);
        assert_eq!(code, Some(0), "{said}");
        assert!(
            said.contains("has no port, so 80 is used; Elasticsearch usually listens on 9200"),
            "{arguments:?}: {said}"
        );
    }
}

#[test]
fn once_does_not_end_well_where_it_can_t_read_a_file() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    // Long enough to be known again after it was out of sight.
    room.file("logs/open.log", "one\n".repeat(2000));
    let shut = room.file("logs/shut.log", "two\n");
    let mode = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(&shut, 0);
    mode(room.path(), 0o755);
    let job = room.file("job.toml", room.raw_job("*.log", &endpoint.url(), INDEX, ""));
    std::fs::create_dir(room.data()).unwrap();
    // Nothing is shut to root, so it is somebody else then, with a program that they may run.
    let mut program = binaries::splashdam();
    if rustix::process::geteuid().is_root() {
        program = room.path().join("splashdam");
        binaries::copy(&binaries::splashdam(), &program);
        std::os::unix::fs::chown(room.data(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let once = || {
        let mut run = Command::new(&program);
        run.args(["run", path(&job), "--once", "--data-dir", path(&room.data())]);
        if rustix::process::geteuid().is_root() {
            run.uid(NOBODY).gid(NOBODY);
        }
        run.output().unwrap()
    };
    let output = once();
    assert_eq!(output.status.code(), Some(5), "{}", text(&output));
    let refused = format!("not read: {}: Permission denied", shut.display());
    assert!(text(&output).contains(&refused), "{}", text(&output));
    assert!(
        text(&output).ends_with("2,000 acknowledged, 0 dead letters, nothing owed, 4 B not read yet\n"),
        "{}",
        text(&output)
    );
    mode(&shut, 0o644);
    for shut in [0o700, 0o744] {
        mode(&room.logs(), shut); // it can't be listed, or it can and nothing in it be looked at
        let output = once();
        assert!(output.status.code() == Some(5) && text(&output).contains("not read: "), "{}", text(&output));
    }
    mode(&room.logs(), 0o755);
    let output = once();
    assert!(output.status.success() && endpoint.count(INDEX) == 2001, "{}", text(&output));
}

#[test]
fn standard_input_interrupted_is_told_like_once() {
    let room = Room::new();
    let job = room.raw_job("x", "http://127.0.0.1:1", INDEX, "");
    let (_, rest) = job.split_once("[decode]").unwrap();
    let job = room.file("job.toml", format!("[source]\ntype = \"stdin\"\n[decode]{rest}"));
    let mut run = Command::new(binaries::splashdam());
    run.args(["run", path(&job), "--data-dir", path(&room.data())]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = run.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"one\n").unwrap();
    let ctl = e2e::ctl::Ctl::new(&room.data());
    wait::holds("the line is owed", PATIENCE, || ctl.number("owed_records") == Some(1));
    let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{}", text(&output));
    assert!(text(&output).contains("interrupted: 1 record read, 0 acknowledged"), "{}", text(&output));
}

#[test]
fn a_demo_that_is_ended_leaves_no_agent_and_no_folder() {
    for signal in [Signal::INT, Signal::TERM] {
        let room = Room::new();
        let said = room.path().join("said");
        let log = std::fs::File::create(&said).unwrap();
        let mut demo = Command::new(binaries::splashdam());
        demo.args(["demo", "--seconds", "600"]).env("TMPDIR", room.path()).stdout(Stdio::null()).stderr(log);
        let mut demo = demo.spawn().unwrap();
        let agent: u32 = wait::until("the agent is started", PATIENCE, || {
            let text = std::fs::read_to_string(&said).ok()?;
            text.split("agent ").skip(1).find_map(|rest| rest.strip_suffix(" started\n")?.parse().ok())
        });
        kill_process(Pid::from_raw(demo.id().cast_signed()).unwrap(), signal).unwrap();
        assert!(demo.wait().unwrap().success(), "{signal:?}");
        assert!(process::ended(agent), "{signal:?}: its agent runs on");
        assert_eq!(std::fs::read_dir(room.path()).unwrap().count(), 1, "{signal:?}: its folder stays");
    }
}

#[test]
fn a_service_without_jobs_says_so_and_a_parked_job_makes_it_unwell() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    endpoint.on_authorization(|_| false);
    room.file("logs/app.log", "one\n");
    let mut agent = room.agent(&room.raw_job("*.log", &endpoint.url(), INDEX, ""));
    agent.start_ready();
    wait::holds("it is parked", PATIENCE, || agent.ctl().state() == "parked");
    assert_eq!(agent.ctl().status()["health"], "degraded");
    let shown = agent.ctl().run(&["status"]);
    assert!(shown.contains("is degraded") && shown.contains("nothing is sent for"), "{shown}");
    assert_eq!(shown.matches("401").count() + shown.matches("security_exception").count(), 1, "said twice: {shown}");
    assert!(agent.log().contains("parked: nothing is sent until this is put right") && agent.log().contains("job=job"));
    agent.stop();

    std::fs::create_dir_all(room.path().join("etc/jobs.d")).unwrap();
    let config = format!("data_dir = \"{0}\"\ncontrol_socket = \"{0}/none/c.sock\"\n", room.path().join("d").display());
    let config = room.file("etc/splashdam.toml", config);
    let (code, said) = said(&["serve", "--config", path(&config)]);
    assert!(code == Some(5) && said.contains("there is no job to run"), "{code:?} {said}");
    assert!(said.contains("control_socket in the configuration names another"), "{said}");
}

#[test]
fn a_dead_letter_that_is_not_there_can_t_be_replayed_or_dropped() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let long = "max_line_bytes = \"1 KiB\"\nlong_lines = \"dead-letter\"\n\n[decode]";
    let job = room.raw_job("*.log", &endpoint.url(), INDEX, "").replace("\n[decode]", long);
    let mut agent = room.agent(&job);
    room.file("logs/app.log", format!("{}\n", "x".repeat(2000)));
    agent.start_ready();
    wait::holds("there is a dead letter", PATIENCE, || agent.ctl().dead_letters().len() == 1);
    let number = agent.ctl().dead_letters()[0]["number"].to_string();
    for command in [&["dead-letters", "replay", "99"][..], &["dead-letters", "drop", "--yes", "99", &number]] {
        let (well, out, err) = agent.ctl().try_run(command);
        let told = format!("job has no dead letter 99; it has {number} (");
        assert!(!well && out.is_empty() && err.contains(&told), "{command:?}: {out}{err}");
    }
    assert_eq!(agent.ctl().dead_letters().len(), 1, "it was dropped although something else was asked for, too");
    agent.ctl().run(&["dead-letters", "replay", &number]);
    endpoint.wait_count(INDEX, 1, PATIENCE);
    agent.stop();
    for command in [&["dead-letters", "ls"][..], &["dead-letters", "show", "1"]] {
        let (well, out, err) = agent.ctl().try_run(command);
        let way = format!("`splashdam run JOB --data-dir {}`", room.data().display());
        assert!(!well && out.is_empty() && err.contains("is splashdam running?"), "{command:?}: {out}{err}");
        assert!(err.contains("they are kept in the data directory") && err.contains(&way), "{command:?}: {err}");
    }
}
