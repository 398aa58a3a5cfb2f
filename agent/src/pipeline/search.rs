//! A look at what has arrived, by the connection of a job.
//!
//! Promises: it is told whose connection is used, and where several could be meant, none is. Changes nothing.

use serde_json::Value;
use splashdam_api::{Found, Search};
use tokio::sync::Semaphore;

use super::agent::Agent;
use crate::deliver::Examiner;
use crate::plan::{ElasticsearchPlan, IndexPlan, JobPlan, RowIndex, SinkPlan, SinkTarget};

/// As many as Elasticsearch gives at once.
const MOST: u32 = 10_000;

/// An answer is held in memory, several times over.
static SEARCHES: Semaphore = Semaphore::const_new(1);

/// A way to a cluster: whose, and the beginning of what is written there; whether that is the whole name.
struct Way {
    job: String,
    plan: ElasticsearchPlan,
    prefix: String,
    whole: bool,
}

impl Agent {
    /// Looks for documents.
    ///
    /// # Errors
    /// Which job is meant is not clear, or the cluster's refusal.
    pub(crate) async fn search(&self, search: &Search) -> Result<Found, String> {
        let Ok(_only) = SEARCHES.try_acquire() else {
            return Err("somebody else is searching just now: ask again".to_owned());
        };
        let index = search.index.trim();
        if matches!(index, "" | "." | "..") {
            return Err("name an index, or a pattern like logs-*".to_owned());
        }
        if !(1..=MOST).contains(&search.limit) {
            return Err(format!("the limit must be from 1 to {MOST}"));
        }
        let ways = self.plans().iter().flat_map(ways).collect();
        let Way { job, plan, .. } = choose(ways, search.job.as_deref(), index)?;
        let answer = Examiner::new(plan).search(index, &search.query, search.limit).await?;
        Ok(found(job, answer))
    }
}

fn ways(job: &JobPlan) -> Vec<Way> {
    let way = |plan: &ElasticsearchPlan, prefix: &str, whole| Way {
        job: job.id().to_owned(),
        plan: plan.clone(),
        prefix: prefix.to_owned(),
        whole,
    };
    match job {
        JobPlan::Ship(plan) => vec![match &plan.sink.index {
            IndexPlan::Literal(name) => way(&plan.sink, name, true),
            IndexPlan::Template { prefix, .. } => way(&plan.sink, prefix, false),
        }],
        JobPlan::Query(plan) => {
            let of = |sink: &SinkPlan| -> Vec<Way> {
                let SinkTarget::Elasticsearch(to) = &sink.target else { return Vec::new() };
                let one = |index: &RowIndex| match index {
                    RowIndex::Literal(name) => way(to, name, true),
                    RowIndex::Template { prefix, .. } => way(to, prefix, false),
                };
                std::iter::once(&sink.rows.index).chain(&sink.late).map(one).collect()
            };
            plan.sinks.iter().flat_map(of).collect()
        }
    }
}

/// The way that is meant: of the named job, else the only one, else that of the job which writes to the index.
fn choose(mut ways: Vec<Way>, job: Option<&str>, index: &str) -> Result<Way, String> {
    let ids = |ways: &[Way]| {
        let mut ids: Vec<String> = ways.iter().map(|way| way.job.clone()).collect();
        ids.dedup();
        ids.join(" | ")
    };
    let known = ids(&ways);
    if known.is_empty() {
        return Err("no job here ships to Elasticsearch".to_owned());
    }
    if let Some(job) = job {
        ways.retain(|way| way.job == job);
        if ways.is_empty() {
            return Err(format!("no job \"{job}\" ships to Elasticsearch here; there is {known}"));
        }
    }
    let (fitting, others): (Vec<Way>, Vec<Way>) = ways.into_iter().partition(|way| fits(way, index));
    let mut chosen = if fitting.is_empty() { others } else { fitting };
    let same = |way: &Way, other: &Way| {
        (&way.plan.endpoints, &way.plan.auth, &way.plan.headers)
            == (&other.plan.endpoints, &other.plan.auth, &other.plan.headers)
    };
    let clear = chosen.first().is_some_and(|first| chosen.iter().all(|way| same(first, way)));
    if !clear {
        return Err(format!("whose connection is meant? --job {}", ids(&chosen)));
    }
    Ok(chosen.swap_remove(0))
}

/// Whether what is asked for is (or may be) what is written there.
fn fits(way: &Way, index: &str) -> bool {
    let asked = index.split(',').map(str::trim);
    let mut asked = asked.map(|name| name.split_once('*').map_or((name, true), |(begin, _)| (begin, false)));
    asked.any(|(name, whole)| match (way.whole, whole) {
        (true, true) => way.prefix == name,
        (true, false) => way.prefix.starts_with(name),
        (false, true) => name.starts_with(&way.prefix),
        (false, false) => name.starts_with(&way.prefix) || way.prefix.starts_with(name),
    })
}

/// The number of hits is a number until version 6, and an object since.
fn found(job: String, mut answer: Value) -> Found {
    let mut hits = answer.get_mut("hits").map(Value::take).unwrap_or_default();
    let total = hits.get("total").cloned().unwrap_or_default();
    let number = total.as_u64().or_else(|| total.get("value")?.as_u64()).unwrap_or(0);
    let at_least = total.get("relation").and_then(Value::as_str) == Some("gte");
    let hits = match hits.get_mut("hits").map(Value::take) {
        Some(Value::Array(hits)) => hits,
        _ => Vec::new(),
    };
    Found { job, total: number, at_least, hits }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn way(job: &str, url: &str, prefix: &str, whole: bool) -> Way {
        let (job, prefix) = (job.to_owned(), prefix.to_owned());
        Way { job, plan: ElasticsearchPlan::new(url, ""), prefix, whole }
    }

    #[test]
    fn whose_connection_is_used_is_clear_or_asked() {
        let all = || vec![way("web", "http://a", "logs-web-", false), way("app", "http://b", "app", true)];
        let chosen = |job, index| choose(all(), job, index).map(|way| way.job);
        assert_eq!(chosen(None, "logs-web-2026"), Ok("web".to_owned()));
        assert_eq!(chosen(None, "ap*"), Ok("app".to_owned()));
        assert_eq!(chosen(Some("app"), "elsewhere"), Ok("app".to_owned()));
        assert_eq!(chosen(None, "elsewhere"), Err("whose connection is meant? --job web | app".to_owned()));
        assert!(chosen(Some("wbe"), "app").unwrap_err().contains("there is web | app"));
        let one = vec![way("web", "http://a", "x", true), way("app", "http://a", "y", true)];
        assert_eq!(choose(one, None, "elsewhere").map(|way| way.job), Ok("web".to_owned()));
    }

    #[test]
    fn the_number_of_hits_is_read_of_all_versions() {
        let six = found("j".to_owned(), json!({ "hits": { "total": 7, "hits": [{ "_id": "a" }] } }));
        assert_eq!((six.total, six.at_least, six.hits.len()), (7, false, 1));
        let nine = found("j".to_owned(), json!({ "hits": { "total": { "value": 9, "relation": "gte" }, "hits": [] } }));
        assert_eq!((nine.total, nine.at_least), (9, true));
    }
}
