//! What encoding promises, seen in the bodies that Elasticsearch would read.

use super::*;
use crate::plan::{IndexPart, IndexPlan};
use crate::record::gzip;

fn template(parts: Vec<IndexPart>) -> ElasticsearchPlan {
    let index = IndexPlan::Template { parts, prefix: "logs-".into(), fallback: "logs-fallback".into() };
    ElasticsearchPlan { index, ..ElasticsearchPlan::new("http://x", "") }
}

fn encode(plan: &ElasticsearchPlan, documents: &[(&str, Option<i64>)]) -> Vec<(String, u32, String)> {
    let encoder = Encoder::new("job", "agent", plan);
    let mut scratch = Scratch::default();
    let mut encoding = encoder.begin(&mut scratch);
    encoding.source(SourceId(3));
    for (i, (document, time_ms)) in documents.iter().enumerate() {
        let render = |out: &mut Vec<u8>| {
            out.extend_from_slice(document.as_bytes());
            *time_ms
        };
        encoding.document(i as u64 * 10, render).unwrap();
    }
    let members = encoding.finish().unwrap();
    let body = |m: &Member| String::from_utf8(gzip::decompress(&m.gzip, u64::from(m.raw_len)).unwrap()).unwrap();
    members.iter().map(|m| (m.index.to_string(), m.items, body(m))).collect()
}

#[test]
fn an_id_is_job_agent_source_and_offset() {
    let got = encode(&ElasticsearchPlan::new("http://x", "i"), &[("{}", None), ("{\"a\":1}", None)]);
    let body = "{\"create\":{\"_id\":\"job.agent.3.0\"}}\n{}\n{\"create\":{\"_id\":\"job.agent.3.10\"}}\n{\"a\":1}\n";
    assert_eq!(got, [("i".to_owned(), 2, body.to_owned())]);
}

#[test]
fn a_member_is_cut_when_it_is_large_and_nothing_is_between_the_cuts() {
    let document = format!("{{\"m\":\"{}\"}}", "x".repeat(1 << 20));
    let documents = vec![(document.as_str(), None); 5];
    let got = encode(&ElasticsearchPlan::new("http://x", "i"), &documents);
    assert_eq!(got.iter().map(|m| m.1).collect::<Vec<_>>(), [2, 2, 1]);
    let all: String = got.into_iter().map(|m| m.2).collect();
    assert_eq!(all.lines().filter(|l| l.starts_with("{\"create\"")).count(), 5);
}

#[test]
fn the_index_follows_the_events_time_and_fields() {
    let plan = template(vec![
        IndexPart::Literal("logs-".into()),
        IndexPart::Field("a.service".into()),
        IndexPart::Literal("-".into()),
        IndexPart::Date("%Y.%m.%d".into()),
    ]);
    let day = Some(1_767_225_600_000);
    let got = encode(
        &plan,
        &[
            ("{\"a\":{\"service\":\"Web\"}}", day),
            ("{\"a.service\":\"db\"}", day),
            ("{\"a\":{\"service\":\"web\"}}", None),
            ("{\"a\":{\"service\":\"../x\"}}", day),
            ("{\"a\":{\"service\":{}}}", day),
            ("{\"a\":{\"service\":7}}", day),
        ],
    );
    let mut counts: Vec<_> = got.iter().map(|m| (m.0.as_str(), m.1)).collect();
    counts.sort_unstable();
    assert_eq!(
        counts,
        [("logs-7-2026.01.01", 1), ("logs-db-2026.01.01", 1), ("logs-fallback", 3), ("logs-web-2026.01.01", 1)]
    );
}

#[test]
fn routing_from_a_field_stands_in_the_action() {
    let mut plan = ElasticsearchPlan::new("http://x", "i");
    plan.routing = Some(Routing::Field("user".into()));
    let got = encode(&plan, &[("{\"user\":\"a\\\"b\"}", None), ("{}", None)]);
    let actions: Vec<_> = got[0].2.lines().step_by(2).collect();
    let routed = "{\"create\":{\"_id\":\"job.agent.3.0\",\"routing\":\"a\\\"b\"}}";
    assert_eq!(actions, [routed, "{\"create\":{\"_id\":\"job.agent.3.10\"}}"]);
}

#[test]
fn a_log_has_the_same_id_whoever_reads_it() {
    let plan = ElasticsearchPlan::new("http://localhost:9200", "logs");
    let ids = |agent: &str| {
        let encoder = Encoder::new("job", agent, &plan);
        let mut scratch = Scratch::default();
        let mut encoding = encoder.begin(&mut scratch);
        encoding.log_group(SourceId(7), 1_447_299_606_896_632_356);
        encoding
            .document(12, |out| {
                out.extend_from_slice(b"{}");
                None
            })
            .unwrap();
        let member = encoding.finish().unwrap().remove(0);
        String::from_utf8(gzip::decompress(&member.gzip, u64::from(member.raw_len)).unwrap()).unwrap()
    };
    assert_eq!(ids("agent1"), "{\"create\":{\"_id\":\"job.sls.7.1447299606896632356.12\"}}\n{}\n");
    assert_eq!(ids("agent1"), ids("agent2"));
}

#[test]
fn only_what_is_to_be_replaced_is_indexed_over_what_is_there() {
    let encoder = Encoder::new("job", "agent", &ElasticsearchPlan::new("http://x", "i"));
    let mut scratch = Scratch::default();
    let mut encoding = encoder.begin(&mut scratch);
    for (replace, offset) in [(true, 0), (false, 7)] {
        encoding.replace(replace);
        encoding.source(SourceId(3));
        let render = |out: &mut Vec<u8>| {
            out.extend_from_slice(b"{}");
            None
        };
        encoding.document(offset, render).unwrap();
    }
    let member = encoding.finish().unwrap().remove(0);
    let body = gzip::decompress(&member.gzip, u64::from(member.raw_len)).unwrap();
    let want = "{\"index\":{\"_id\":\"job.agent.3.0\"}}\n{}\n{\"create\":{\"_id\":\"job.agent.3.7\"}}\n{}\n";
    assert_eq!(String::from_utf8(body).unwrap(), want);
}
