//! Every command as somebody new to it would try it: no agent there, not allowed, another job, a crooked line. Each
//! says what to do next.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use e2e::agent::{PATIENCE, Room};
use e2e::binaries;
use e2e::endpoint::Endpoint;
use e2e::wait;

const NOBODY: u32 = 65534;

/// Every command, as it is right for a job `job`.
const COMMANDS: &[&str] = &[
    "status",
    "flush",
    "flush --pipeline job",
    "pause job",
    "pause --all",
    "resume job",
    "reload",
    "metrics",
    "positions ls",
    "positions ls --pipeline job",
    "positions reset job --to beginning --fill --yes",
    "dead-letters ls",
    "dead-letters ls --pipeline job",
    "dead-letters show 1 --pipeline job",
    "dead-letters replay --all --pipeline job",
    "dead-letters drop --all --yes --pipeline job",
    "test-connection job",
    "config show",
    "config show job",
    "doctor",
    "search logs *",
    "search logs * --job job",
    "support-bundle",
];

/// What is wrong with each line, and what the answer must hold beside the way to the help.
const CROOKED: &[(&str, &str)] = &[
    ("statsu", "a similar subcommand exists: 'status'"),
    ("status job", "unexpected argument 'job'"),
    ("top job", "unexpected argument 'job'"),
    ("flush job", "unexpected argument 'job'"),
    ("pause", "<JOB|--all>"),
    ("resume job --all", "cannot be used with"),
    ("reload now", "unexpected argument 'now'"),
    ("metrics x", "unexpected argument 'x'"),
    ("positions reset job", "--to <TIME>"),
    ("positions reset job --to beginning", "<--fill|--overwrite|--again>"),
    ("dead-letters ls --limit 0", "0 is not in 1.."),
    ("dead-letters show", "<N>"),
    ("dead-letters show x", "invalid value 'x'"),
    ("dead-letters drop", "<N|--all>"),
    ("test-connection", "<NAME>"),
    ("config show a b", "unexpected argument 'b'"),
    ("doctor job", "unexpected argument 'job'"),
    ("search", "<INDEX>"),
    ("search logs", "<QUERY>"),
    ("search logs x --limit 0", "0 is not in 1..=10000"),
    ("support-bundle file", "unexpected argument 'file'"),
    ("status --socket a --data-dir b", "cannot be used with"),
];

struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

fn ctl(place: &[&str], line: &str) -> Said {
    said(Command::new(binaries::splashctl()).args(place), line)
}

fn said(command: &mut Command, line: &str) -> Said {
    command.args(line.split(' ')).stdin(Stdio::null()).current_dir("/");
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

#[test]
fn without_an_agent_each_command_says_how_to_start_or_find_one() {
    let room = Room::new();
    let data = room.data();
    let [folder, socket] = [data.clone(), data.join("other.sock")].map(|path| path.to_str().unwrap().to_owned());
    for line in COMMANDS {
        for (place, next) in [
            (&["--data-dir", &folder][..], "Start it with `splashdam run JOB --data-dir "),
            (&["--socket", &socket], "`control_socket` in its splashdam.toml"),
        ] {
            let said = ctl(place, line);
            assert_eq!((said.code, said.out.as_str()), (Some(3), ""), "{line}: {}", said.err);
            assert!(
                said.err.contains("is splashdam running? looked for ") && said.err.contains(next),
                "{line}: {}",
                said.err
            );
        }
    }
}

#[test]
fn who_may_not_ask_is_told_who_may() {
    if !rustix::process::geteuid().is_root() {
        return; // only root can become somebody else
    }
    let (room, endpoint) = (Room::new(), Endpoint::start());
    std::fs::set_permissions(room.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut agent = room.agent(&room.raw_job("*.log", &endpoint.url(), "logs", ""));
    agent.start_ready();
    std::fs::set_permissions(room.data(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let (data, program) = (room.data(), room.path().join("splashctl"));
    binaries::copy(&binaries::splashctl(), &program);
    for line in COMMANDS {
        let said = said(Command::new(&program).arg("--data-dir").arg(&data).uid(NOBODY).gid(NOBODY), line);
        assert_eq!((said.code, said.out.as_str()), (Some(3), ""), "{line}: {}", said.err);
        assert!(
            said.err.contains("permission denied on ") && said.err.contains("members of group root"),
            "{line}: {}",
            said.err
        );
        assert!(said.err.contains("sudo") && !said.err.contains("Start it"), "{line}: {}", said.err);
    }
    agent.stop();
}

#[test]
fn a_job_that_is_not_there_is_told_with_those_that_are() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let mut agent = room.agent(&room.raw_job("*.log", &endpoint.url(), "logs", ""));
    agent.start_ready();
    let data = room.data();
    let of_a_job = COMMANDS.iter().filter(|line| line.split(' ').any(|word| word == "job"));
    for line in of_a_job {
        let said = ctl(&["--data-dir", data.to_str().unwrap()], &line.replace(" job", " jbo"));
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{line}: {}", said.err);
        let told = said.err.contains("\"jbo\"")
            && (said.err.contains("there is job") || said.err.contains("did you mean \"job\"?"));
        assert!(told, "{line}: {}", said.err);
    }
    agent.stop();
}

#[test]
fn a_crooked_line_is_told_what_is_crooked_and_where_the_help_is() {
    let room = Room::new();
    let data = room.data();
    for (line, told) in CROOKED {
        let said = ctl(&[], line);
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{line}: {}", said.err);
        assert!(said.err.contains(told) && said.err.contains("try '--help'"), "{line}: {}", said.err);
    }
    assert!(!data.exists(), "something was made");
}

#[test]
fn a_socket_that_a_killed_agent_left_behind_is_told_apart() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let mut agent = room.agent(&room.raw_job("*.log", &endpoint.url(), "logs", ""));
    agent.start_ready();
    agent.kill();
    let data = room.data();
    wait::holds("nobody listens", PATIENCE, || ctl(&["--data-dir", data.to_str().unwrap()], "status").code == Some(3));
    for line in COMMANDS {
        let said = ctl(&["--data-dir", data.to_str().unwrap()], line);
        assert!(
            said.err.contains("left behind by an agent that was killed") && said.err.contains("Start it"),
            "{line}: {}",
            said.err
        );
    }
}
