//! How the cluster of a sink is, and whether the sink's index can take what is sent to it.

use std::collections::BTreeMap;

use splashdam_api::words::{bytes, count, plural};
use splashdam_api::{Check, Verdict};

use super::super::connections::index_of;
use super::fields::{self, Fields};
use super::{advised, check};
use crate::deliver::{Condition, Disk, Examiner, IndexState};
use crate::plan::{ElasticsearchPlan, JobPlan, RowIndex, SinkTarget};
use crate::record::Timestamp;

/// Clocks that differ by more are told, by much more are bad. (The cluster tells whole seconds.)
const SKEW_WARN: i64 = 5;
const SKEW_BAD: i64 = 60;
/// Indices of a pattern that are looked at.
const MOST_INDICES: usize = 12;
/// Refused fields that are told.
const MOST_FIELDS: usize = 5;

/// Where a job sends what.
pub(super) struct Sink {
    plan: ElasticsearchPlan,
    /// As a pattern; `None`: the documents alone know.
    index: Option<String>,
    fields: Fields,
}

pub(super) fn sinks(job: &JobPlan) -> Vec<Sink> {
    match job {
        JobPlan::Ship(plan) => {
            vec![Sink { plan: plan.sink.clone(), index: index_of(&plan.sink.index), fields: fields::of_ship(plan) }]
        }
        JobPlan::Query(plan) => {
            let of = |sink: &crate::plan::SinkPlan| {
                let SinkTarget::Elasticsearch(to) = &sink.target else { return None };
                let index = match &sink.rows.index {
                    RowIndex::Literal(name) => Some(name.clone()),
                    RowIndex::Template { prefix, .. } if prefix.is_empty() => None,
                    RowIndex::Template { prefix, .. } => Some(format!("{prefix}*")),
                };
                Some(Sink { plan: ElasticsearchPlan::clone(to), index, fields: fields::of_rows(&sink.rows) })
            };
            plan.sinks.iter().filter_map(of).collect()
        }
    }
}

pub(super) async fn look(job: &str, sink: &Sink) -> Vec<Check> {
    let examiner = Examiner::new(sink.plan.clone());
    let mut checks = Vec::new();
    let before = Timestamp::now();
    let theirs = examiner.clock().await;
    checks.extend(theirs.map(|theirs| clock(job, before, theirs, Timestamp::now())));
    let condition = examiner.condition().await;
    checks.extend(health(job, &condition));
    checks.extend(shards(job, &condition));
    checks.extend(disks(job, &condition));
    checks.extend(blocked(job, &condition));
    let Some(index) = &sink.index else { return checks };
    match examiner.indices(index).await {
        Some(indices) => {
            let newest = newest(indices);
            if newest.is_empty() {
                let none =
                    format!("{index} is not there yet, and no template says what it will be: the first document does");
                checks.push(check(Some(job), "mapping", Verdict::Ok, none));
            }
            checks.extend(newest.iter().flat_map(|index| of_index(job, index, &sink.fields)));
        }
        None => {
            let silent =
                check(Some(job), "mapping", Verdict::Warn, format!("the mapping of {index} is not told to us"));
            checks.push(advised(silent, "give the agent's role view_index_metadata on it to have it looked at"));
        }
    }
    checks
}

fn clock(job: &str, before: Timestamp, theirs: i64, after: Timestamp) -> Check {
    let (earliest, latest) = (before.0.div_euclid(1000), after.0.div_euclid(1000));
    let skew = if theirs < earliest { earliest - theirs } else { (theirs - latest).max(0) };
    let verdict = match skew {
        skew if skew <= SKEW_WARN => Verdict::Ok,
        skew if skew <= SKEW_BAD => Verdict::Warn,
        _ => Verdict::Bad,
    };
    if verdict == Verdict::Ok {
        return check(Some(job), "clock", verdict, "this machine's clock and the cluster's agree".to_owned());
    }
    let way = if theirs < earliest { "behind" } else { "ahead of" };
    let seconds = count(skew.unsigned_abs());
    let found = check(Some(job), "clock", verdict, format!("the cluster's clock is {seconds} s {way} this machine's"));
    advised(found, "set both by NTP (timedatectl set-ntp true): @timestamp is this machine's")
}

fn health(job: &str, condition: &Condition) -> Option<Check> {
    Some(match condition.status.as_deref()? {
        "red" => {
            let red =
                check(Some(job), "cluster", Verdict::Bad, "the cluster is red: some shards have no copy".to_owned());
            advised(red, "GET _cluster/allocation/explain tells why; documents for those shards wait here")
        }
        status => check(Some(job), "cluster", Verdict::Ok, format!("the cluster is {status}")),
    })
}

/// How near the cluster is to the number of shards that it may have: then no index can be made.
fn shards(job: &str, condition: &Condition) -> Option<Check> {
    let (active, nodes) = (condition.active_shards?, condition.data_nodes?);
    let each: u64 = condition.setting("cluster.max_shards_per_node")?.parse().ok()?;
    let most = each.saturating_mul(nodes);
    let found = format!("{} of {} shards", count(active), count(most));
    let verdict = match active.saturating_mul(100) / most.max(1) {
        98.. => Verdict::Bad,
        85.. => Verdict::Warn,
        _ => Verdict::Ok,
    };
    let found = check(Some(job), "shards", verdict, found);
    if verdict == Verdict::Ok {
        return Some(found);
    }
    Some(advised(
        found,
        "delete old indices, or make fewer (longer dates in the index name); at the limit no index can be made",
    ))
}

fn disks(job: &str, condition: &Condition) -> Option<Check> {
    const DISK: &str = "cluster.routing.allocation.disk";
    if condition.disks.is_empty() || condition.setting(&format!("{DISK}.threshold_enabled")) == Some("false") {
        return None;
    }
    let least = |level: &str, default: &str, disk: &Disk| {
        let name = format!("{DISK}.watermark.{level}");
        let headroom = condition.setting(&format!("{name}.max_headroom"));
        least_free(condition.setting(&name).unwrap_or(default), headroom, disk.total)
    };
    let mut worst: Option<(Verdict, String)> = None;
    for disk in &condition.disks {
        let (verdict, level) = if disk.available <= least("flood_stage", "95%", disk) {
            (Verdict::Bad, "beyond the flood stage: its indices become read-only")
        } else if disk.available <= least("high", "90%", disk) {
            (Verdict::Warn, "beyond the high watermark: shards are moved away")
        } else if disk.available <= least("low", "85%", disk) {
            (Verdict::Warn, "beyond the low watermark: no new shards are put there")
        } else {
            continue;
        };
        if worst.as_ref().is_none_or(|(known, _)| verdict > *known) {
            worst = Some((
                verdict,
                format!("{} has {} of {} free, {level}", disk.node, bytes(disk.available), bytes(disk.total)),
            ));
        }
    }
    Some(match worst {
        Some((verdict, found)) => {
            advised(check(Some(job), "cluster disks", verdict, found), "delete old indices or add disk to the cluster")
        }
        None => {
            let found = format!("{} with room", plural(condition.disks.len() as u64, "node"));
            check(Some(job), "cluster disks", Verdict::Ok, found)
        }
    })
}

/// How many bytes must stay free by a watermark: `90%`, `0.9` and its headroom, or `50gb`.
fn least_free(watermark: &str, headroom: Option<&str>, total: u64) -> u64 {
    let used = match watermark.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().ok().map(|percent| percent / 100.0),
        None => watermark.trim().parse::<f64>().ok(),
    };
    let Some(used) = used else { return size(watermark).unwrap_or(0) };
    let by_share = (total as f64 * (1.0 - used).clamp(0.0, 1.0)).round() as u64;
    headroom.and_then(size).map_or(by_share, |most| by_share.min(most))
}

/// `150gb` as Elasticsearch means it; `-1`: none.
fn size(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(end);
    let factor: u64 = match unit.trim() {
        "b" => 1,
        "kb" | "k" => 1 << 10,
        "mb" | "m" => 1 << 20,
        "gb" | "g" => 1 << 30,
        "tb" | "t" => 1 << 40,
        _ => return None,
    };
    number.parse::<f64>().ok().map(|number| (number * factor as f64) as u64)
}

/// The whole cluster takes nothing.
fn blocked(job: &str, condition: &Condition) -> Option<Check> {
    let names = ["read_only", "read_only_allow_delete"];
    let on = names.iter().find(|name| condition.setting(&format!("cluster.blocks.{name}")) == Some("true"))?;
    let found = check(Some(job), "blocks", Verdict::Bad, format!("the whole cluster is set to cluster.blocks.{on}"));
    Some(advised(found, &format!("set cluster.blocks.{on} to null in _cluster/settings")))
}

/// Of names that differ in numbers only (dates, generations) the last, which is written to.
fn newest(indices: Vec<IndexState>) -> Vec<IndexState> {
    let mut last: BTreeMap<String, IndexState> = BTreeMap::new();
    for index in indices {
        let series: String = index.name.chars().map(|c| if c.is_ascii_digit() { '#' } else { c }).collect();
        let newer = last.get(&series).is_none_or(|known| known.name < index.name);
        if newer {
            last.insert(series, index);
        }
    }
    last.into_values().take(MOST_INDICES).collect()
}

fn of_index(job: &str, index: &IndexState, fields: &Fields) -> Vec<Check> {
    let mut checks = Vec::new();
    let name = &index.name;
    if !index.blocks.is_empty() {
        let shut = format!("{name} takes nothing: index.blocks.{}", index.blocks.join(", "));
        let advice = if index.blocks.iter().any(|block| block == "read_only_allow_delete") {
            format!(
                "a disk of the cluster was full: make room, then set index.blocks.read_only_allow_delete of {name} to null"
            )
        } else {
            format!("set it to null in {name}/_settings, or let the job write elsewhere")
        };
        checks.push(advised(check(Some(job), "blocks", Verdict::Bad, shut), &advice));
    }
    let (number, limit) = (index.mapping.fields.len() as u64, index.fields_limit.unwrap_or(1000));
    if !index.to_come && number.saturating_mul(100) / limit.max(1) >= 90 {
        let full = format!("{name} has {} fields of {} that it may have", count(number), count(limit));
        let full = check(Some(job), "mapping", Verdict::Warn, full);
        checks.push(advised(full, "documents with new fields are refused at the limit: map what varies as flattened, or raise index.mapping.total_fields.limit"));
    }
    let clashes = fields::clashes(fields, index);
    let what = if index.to_come { format!("the template of {name}") } else { name.clone() };
    if clashes.is_empty() {
        let found = format!("{what} can hold what we send ({})", plural(number, "field"));
        checks.push(check(Some(job), "mapping", Verdict::Ok, found));
        return checks;
    }
    let verdict = if clashes.iter().any(|(certain, _)| *certain) { Verdict::Bad } else { Verdict::Warn };
    let told: Vec<&str> = clashes.iter().take(MOST_FIELDS).map(|(_, text)| text.as_str()).collect();
    let more = clashes.len().saturating_sub(MOST_FIELDS);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    let found = check(Some(job), "mapping", verdict, format!("{what}: {}{more}", told.join("; ")));
    checks.push(advised(
        found,
        "mend the index (a type can't be changed: make it anew) or its template, or what the job sends",
    ));
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_judged_by_what_can_be_known_of_it() {
        let at = |theirs| clock("web", Timestamp(1_000_000), theirs, Timestamp(1_002_500)).verdict;
        assert_eq!([at(1000), at(1002), at(1006)], [Verdict::Ok; 3]);
        assert_eq!([at(990), at(1020)], [Verdict::Warn; 2]);
        assert_eq!([at(100), at(9000)], [Verdict::Bad; 2]);
    }

    #[test]
    fn watermarks_are_shares_with_headroom_or_sizes() {
        for (watermark, headroom, least) in [
            ("90%", None, 100),
            ("0.9", None, 100),
            ("90%", Some("50b"), 50),
            ("90%", Some("-1"), 100),
            ("1kb", None, 1024),
            ("what", None, 0),
        ] {
            assert_eq!(least_free(watermark, headroom, 1000), least, "{watermark}");
        }
    }

    #[test]
    fn a_full_disk_and_many_shards_are_told() {
        let disk = |available| Disk { node: "n1".to_owned(), available, total: 1000 };
        let of = |available| Condition { disks: vec![disk(900), disk(available)], ..Condition::default() };
        let verdict = |available| disks("web", &of(available)).unwrap().verdict;
        assert_eq!([verdict(500), verdict(140), verdict(40)], [Verdict::Ok, Verdict::Warn, Verdict::Bad]);
        let many = |active| Condition {
            active_shards: Some(active),
            data_nodes: Some(2),
            settings: vec![("cluster.max_shards_per_node".to_owned(), "100".to_owned())],
            ..Condition::default()
        };
        let verdict = |active| shards("web", &many(active)).unwrap().verdict;
        assert_eq!([verdict(10), verdict(180), verdict(199)], [Verdict::Ok, Verdict::Warn, Verdict::Bad]);
    }

    #[test]
    fn of_a_series_of_indices_the_newest_counts() {
        let index = |name: &str| IndexState { name: name.to_owned(), ..IndexState::default() };
        let all = ["logs-web-2026.01.02", "logs-web-2026.01.01", "logs-app-2026.01.01"].map(index);
        let names: Vec<String> = newest(all.to_vec()).into_iter().map(|index| index.name).collect();
        assert_eq!(names, ["logs-app-2026.01.01", "logs-web-2026.01.02"]);
    }
}
