//! `splashctl status`: the agent at one glance.

use std::time::SystemTime;

use splashdam_api::words::{bytes, count, plural};
use splashdam_api::{Client, Health, PipelineStatus, ShardStatus, State, Status};

use crate::exit::Exit;
use crate::output::{Output, Tone, harmless, paint};
use crate::table::{Column, Table};
use crate::words::ago;

pub(crate) async fn run(client: &Client, output: &mut Output) -> anyhow::Result<Exit> {
    let status = client.status().await?;
    output.show(&status, |colour| render(&status, SystemTime::now(), colour))?;
    Ok(Exit::Done)
}

fn render(status: &Status, now: SystemTime, colour: bool) -> String {
    let health = match status.health {
        Health::Ok => paint("is well", Tone::Good, colour),
        Health::Degraded => paint("is degraded", Tone::Bad, colour),
    };
    let mut text = format!(
        "splashdam {} {health}, up {} (pid {}, agent {}, {})\n",
        status.version,
        ago(&status.started_at, now),
        status.pid,
        status.agent_id,
        status.data_dir,
    );
    for note in &status.notes {
        text.push_str(&format!("  ! {}\n", paint(&harmless(note), Tone::Warning, colour)));
    }
    if status.pipelines.is_empty() {
        text.push_str("no job is running\n");
        return text;
    }
    text.push('\n');
    text.push_str(&jobs(status, now).render(colour));
    text
}

fn jobs(status: &Status, now: SystemTime) -> Table {
    use Column::{Left, Right};
    let mut table = Table::new(&[
        Left("JOB"),
        Left("STATE"),
        Right("READ"),
        Right("BEHIND"),
        Right("OWED"),
        Right("SIZE"),
        Right("ACKNOWLEDGED"),
        Right("DEAD"),
    ]);
    for pipeline in &status.pipelines {
        let dead = if pipeline.dead_letters > 0 { Tone::Warning } else { Tone::Plain };
        let cells = [
            (pipeline.id.clone(), Tone::Plain),
            (pipeline.state.to_string(), tone(pipeline.state)),
            (bytes(pipeline.read_bytes), Tone::Plain),
            (bytes(pipeline.lag_bytes), Tone::Plain),
            (count(pipeline.owed_records), Tone::Plain),
            (bytes(pipeline.owed_bytes), Tone::Plain),
            (count(pipeline.acknowledged_records), Tone::Plain),
            (count(pipeline.dead_letters), dead),
        ];
        table.row(cells.to_vec());
        remark(&mut table, pipeline, now);
    }
    table
}

/// What a person has to know about a job beyond its numbers.
fn remark(table: &mut Table, pipeline: &PipelineStatus, now: SystemTime) {
    let state = tone(pipeline.state);
    let of_lanes = || pipeline.parked.iter().map(|lane| lane.why.as_str());
    if let Some(why) = pipeline.why.as_deref().filter(|why| !of_lanes().any(|lane| lane == *why)) {
        table.remark(why, if state == Tone::Good { Tone::Faint } else { state });
    }
    for lane in &pipeline.parked {
        let since = ago(&lane.since, now);
        table.remark(
            &match lane.index.as_str() {
                "*" => format!("nothing is sent for {since}: {}", lane.why),
                index => format!("index {index} is parked for {since}: {}", lane.why),
            },
            Tone::Bad,
        );
    }
    // It has a time before it, and a status within: what has been said is told by how it ends.
    let said = |error: &str| {
        let reason = |why: &str| why.split_once(": ").map_or(why, |(_, reason)| reason).to_owned();
        of_lanes().map(reason).chain(pipeline.why.clone()).any(|text| !text.is_empty() && error.ends_with(&text))
    };
    if let Some(error) = pipeline.last_error.as_ref().filter(|error| !said(error)) {
        table.remark(&format!("last error: {error}"), Tone::Faint);
    }
    if pipeline.gap_bytes > 0 {
        let gap = format!("{} were gone before they could be read", bytes(pipeline.gap_bytes));
        table.remark(&gap, Tone::Bad);
    }
    if pipeline.vanished_files > 0 {
        let files = plural(pipeline.vanished_files, "file");
        let gone = format!("{files} deleted before it was known what was last written: the log names them");
        table.remark(&gone, Tone::Warning);
    }
    if pipeline.dropped_records > 0 {
        let last = pipeline.last_dropped.as_ref().map(|at| format!(", the last {} ago", ago(at, now)));
        let records = plural(pipeline.dropped_records, "record");
        let dropped = format!("{records} dropped because the buffer was full (when_full){}", last.unwrap_or_default());
        table.remark(&dropped, Tone::Bad);
    }
    shards(table, pipeline);
    if pipeline.duplicate_records > 0 {
        let there = plural(pipeline.duplicate_records, "record");
        table.remark(&format!("{there} of those acknowledged were there already"), Tone::Faint);
    }
    if pipeline.untimed_records > 0 {
        let untimed =
            format!("no time can be read in {}: the log has an example", plural(pipeline.untimed_records, "record"));
        table.remark(&untimed, Tone::Warning);
    }
    if pipeline.late_rows > 0 {
        let late = plural(pipeline.late_rows, "row");
        table.remark(&format!("{late} came after all their windows were closed"), Tone::Faint);
    }
    if pipeline.dead_letters > 0 {
        let dead = format!(
            "{}: splashctl dead-letters ls --pipeline {}",
            plural(pipeline.dead_letters, "dead letter"),
            pipeline.id
        );
        table.remark(&dead, Tone::Faint);
    }
}

/// What a person has to know of a job's Logstores.
fn shards(table: &mut Table, pipeline: &PipelineStatus) {
    if !pipeline.shards.is_empty() {
        let late = pipeline.shards.iter().filter_map(|shard| Some((shard.lag_seconds?, &shard.shard))).max();
        let behind = match late {
            Some((seconds, shard)) if seconds > 0 => format!(", up to {seconds} s behind ({shard})"),
            _ => String::new(),
        };
        let held = plural(pipeline.shards.len() as u64, "shard");
        table.remark(&format!("{held} read here{behind}"), Tone::Faint);
        let late = |shard: &&ShardStatus| shard.lag_seconds != Some(0) || shard.quota_waits > 0;
        let mut late: Vec<&ShardStatus> = pipeline.shards.iter().filter(late).collect();
        late.sort_by_key(|shard| std::cmp::Reverse(shard.lag_seconds));
        for shard in late.iter().take(SHARDS_SHOWN) {
            table.remark(&format!("  {}", of_shard(shard)), Tone::Faint);
        }
        if late.len() > SHARDS_SHOWN {
            let more = format!("  and {} more: splashctl positions ls", late.len() - SHARDS_SHOWN);
            table.remark(&more, Tone::Faint);
        }
    }
    for shard in pipeline.shards.iter().filter(|shard| shard.problem.is_some()).take(SHARDS_TOLD) {
        table.remark(&format!("{}: {}", shard.shard, shard.problem.as_deref().unwrap_or_default()), Tone::Warning);
    }
    if pipeline.quota_waits > 0 {
        let waits = plural(pipeline.quota_waits, "wait");
        table.remark(&format!("{waits} because a read quota of the service was used up"), Tone::Warning);
    }
    if pipeline.expired_groups > 0 {
        let groups = plural(pipeline.expired_groups, "log group");
        table.remark(&format!("{groups} were deleted by the service before they could be read"), Tone::Bad);
    }
    if pipeline.deleted_shards > 0 {
        let shards = plural(pipeline.deleted_shards, "shard");
        table.remark(
            &format!("{shards} deleted by the service before all of it was read: the log names them"),
            Tone::Bad,
        );
    }
}

/// `p/l/1: reading, 75 s behind, 2 waits for its quota`
fn of_shard(shard: &ShardStatus) -> String {
    let mut text = format!("{}: {}", shard.shard, shard.state);
    match shard.lag_seconds {
        Some(0) => text.push_str(", at its end"),
        Some(seconds) => text.push_str(&format!(", {} s behind", count(seconds))),
        None => {}
    }
    if shard.quota_waits > 0 {
        text.push_str(&format!(", {} for its quota", plural(shard.quota_waits, "wait")));
    }
    text
}

/// Shards that are shown singly because they are late.
const SHARDS_SHOWN: usize = 8;
/// Shards that are told of singly if something is wrong with them.
const SHARDS_TOLD: usize = 3;

pub(super) fn tone(state: State) -> Tone {
    match state {
        State::Running => Tone::Good,
        State::Waiting | State::Stopping | State::Unknown => Tone::Plain,
        State::Full | State::Paused => Tone::Warning,
        State::Parked | State::DiskFull | State::Failed => Tone::Bad,
    }
}

#[cfg(test)]
mod tests {
    use splashdam_api::ParkedLane;

    use super::*;

    fn at(time: &str) -> SystemTime {
        humantime::parse_rfc3339(time).unwrap()
    }

    fn agent(health: Health, pipelines: Vec<PipelineStatus>) -> Status {
        Status {
            version: "0.1.0".to_owned(),
            pid: 4711,
            agent_id: "k3j9x2m1qa".to_owned(),
            started_at: "2026-01-31T08:00:00Z".to_owned(),
            health,
            notes: Vec::new(),
            data_dir: "/var/lib/splashdam".to_owned(),
            pipelines,
        }
    }

    fn job(id: &str, state: State) -> PipelineStatus {
        PipelineStatus { id: id.to_owned(), state, ..PipelineStatus::default() }
    }

    fn shown(status: &Status) -> String {
        render(status, at("2026-01-31T12:10:00Z"), false)
    }

    #[test]
    fn a_healthy_agent_is_one_line_for_each_job() {
        let web = PipelineStatus {
            read_bytes: 1_288_490_189,
            lag_bytes: 512,
            owed_records: 12,
            owed_bytes: 3174,
            acknowledged_records: 1_234_567,
            ..job("web", State::Running)
        };
        let idle = PipelineStatus { why: Some("nothing to read".to_owned()), ..job("syslog", State::Waiting) };
        let want = "\
splashdam 0.1.0 is well, up 4 h 10 min (pid 4711, agent k3j9x2m1qa, /var/lib/splashdam)

JOB     STATE       READ  BEHIND  OWED     SIZE  ACKNOWLEDGED  DEAD
web     running  1.2 GiB   512 B    12  3.1 KiB     1,234,567     0
syslog  waiting      0 B     0 B     0      0 B             0     0
    nothing to read
";
        assert_eq!(shown(&agent(Health::Ok, vec![web, idle])), want);
    }

    #[test]
    fn what_stands_still_says_why_and_since_when() {
        let lane = ParkedLane {
            index: "audit".to_owned(),
            why: "index_closed_exception: closed".to_owned(),
            since: "2026-01-31T12:05:00.123Z".to_owned(),
        };
        let audit = PipelineStatus {
            owed_records: 1200,
            owed_bytes: 90_000,
            gap_bytes: 77,
            vanished_files: 2,
            untimed_records: 3,
            late_rows: 1201,
            dropped_records: 1500,
            last_dropped: Some("2026-01-31T12:08:00.5Z".to_owned()),
            dead_letters: 1,
            last_error: Some("2026-01-31T12:09:00Z: index_closed_exception (400): closed".to_owned()),
            why: Some(lane.why.clone()),
            parked: vec![lane],
            ..job("audit", State::Parked)
        };
        let full = PipelineStatus {
            why: Some("the buffer of 1.0 GiB is used up".to_owned()),
            last_error: Some("connection refused".to_owned()),
            dropped_records: 1,
            ..job("web", State::Full)
        };
        let mut status = agent(Health::Degraded, vec![audit, full]);
        status.notes.push("segment 00000007.seg is damaged and was put aside".to_owned());
        let want = "\
splashdam 0.1.0 is degraded, up 4 h 10 min (pid 4711, agent k3j9x2m1qa, /var/lib/splashdam)
  ! segment 00000007.seg is damaged and was put aside

JOB    STATE   READ  BEHIND   OWED      SIZE  ACKNOWLEDGED  DEAD
audit  parked   0 B     0 B  1,200  87.9 KiB             0     1
    index audit is parked for 4 min: index_closed_exception: closed
    77 B were gone before they could be read
    2 files deleted before it was known what was last written: the log names them
    1,500 records dropped because the buffer was full (when_full), the last 1 min ago
    no time can be read in 3 records: the log has an example
    1,201 rows came after all their windows were closed
    1 dead letter: splashctl dead-letters ls --pipeline audit
web    full     0 B     0 B      0       0 B             0     0
    the buffer of 1.0 GiB is used up
    last error: connection refused
    1 record dropped because the buffer was full (when_full)
";
        assert_eq!(shown(&status), want);
    }

    #[test]
    fn of_a_logstore_it_is_said_what_is_read_how_late_and_what_is_wrong() {
        let shard = |number: u32, lag: u64, problem: Option<&str>| ShardStatus {
            shard: format!("p/l/{number}"),
            state: "reading".to_owned(),
            lag_seconds: Some(lag),
            quota_waits: lag / 30,
            problem: problem.map(str::to_owned),
        };
        let web = PipelineStatus {
            shards: vec![shard(0, 0, None), shard(1, 75, Some("503 ServerBusy: busy (request r)"))],
            quota_waits: 2,
            expired_groups: 9,
            ..job("web", State::Running)
        };
        let text = shown(&agent(Health::Ok, vec![web]));
        let want = "\
    2 shards read here, up to 75 s behind (p/l/1)
      p/l/1: reading, 75 s behind, 2 waits for its quota
    p/l/1: 503 ServerBusy: busy (request r)
    2 waits because a read quota of the service was used up
    9 log groups were deleted by the service before they could be read
";
        assert!(text.ends_with(want), "{text}");
    }

    #[test]
    fn what_is_refused_as_a_whole_is_said_once() {
        let all = ParkedLane {
            index: "*".to_owned(),
            why: "security_exception: no such user".to_owned(),
            since: "2026-01-31T12:09:55Z".to_owned(),
        };
        let web = PipelineStatus {
            why: Some(all.why.clone()),
            last_error: Some("2026-01-31T12:09:59.001Z: security_exception (401): no such user".to_owned()),
            parked: vec![all],
            ..job("web", State::Parked)
        };
        let waiting = PipelineStatus {
            why: Some("can't connect: http://es:9200: refused".to_owned()),
            last_error: Some("2026-01-31T12:09:59.001Z: can't connect: http://es:9200: refused".to_owned()),
            ..job("app", State::Waiting)
        };
        let text = shown(&agent(Health::Degraded, vec![web, waiting]));
        let remarks: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("    ")).collect();
        assert_eq!(
            remarks,
            ["nothing is sent for 5 s: security_exception: no such user", "can't connect: http://es:9200: refused"]
        );
    }

    #[test]
    fn an_agent_without_jobs_says_so() {
        assert!(shown(&agent(Health::Ok, Vec::new())).ends_with("\nno job is running\n"));
    }

    #[test]
    fn colour_is_only_for_those_who_want_it() {
        let status = agent(Health::Ok, vec![job("web", State::Failed)]);
        assert!(!shown(&status).contains('\x1b'));
        let painted = render(&status, at("2026-01-31T12:10:00Z"), true);
        assert!(painted.contains("\x1b[31mfailed\x1b[0m"), "{painted}");
    }
}
