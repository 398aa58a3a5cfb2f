//! The verdict table, row by row, and a reader that believes nothing.

use proptest::prelude::*;

use super::*;

fn reply(status: u16, body: impl Into<Vec<u8>>) -> Reply {
    Reply { status, body: body.into(), ..Reply::default() }
}

/// The verdict for one document, sent for the first time or again.
fn one(status: u16, kind: &str, reason: &str, before: bool) -> Verdict {
    let reason = serde_json::to_string(reason).unwrap();
    let body = format!(
        r#"{{"errors":true,"items":[{{"create":{{"status":{status},"error":{{"type":"{kind}","reason":{reason},"index":"logs"}}}}}}]}}"#
    );
    match judge(&reply(200, body), &[Sent { items: 1, before }], Timestamp(0)) {
        Answer::Items(verdicts) => verdicts.into_iter().next().unwrap(),
        answer => panic!("{answer:?}"),
    }
}

fn whole(status: u16, body: &str) -> Whole {
    match judge(&reply(status, body), &[Sent { items: 3, before: false }], Timestamp(0)) {
        Answer::Whole(whole) => whole,
        answer => panic!("{answer:?}"),
    }
}

#[test]
fn created_documents_are_done_in_either_form_of_the_answer() {
    let sent = [Sent { items: 1, before: false }, Sent { items: 2, before: true }];
    let created = |n: usize| [r#"{"create":{"status":201}}"#].repeat(n).join(",");
    let short = format!(r#"{{"errors":false,"items":[{}]}}"#, created(3));
    let spaced = short.replace(':', " : ");
    let long = format!(r#"{{"took":3,"errors":false,"items":[{}]}}"#, created(3).replace("201", "200"));
    for body in [short.clone(), spaced, long] {
        assert_eq!(judge(&reply(200, body.clone()), &sent, Timestamp(0)), Answer::AllDone);
        assert_eq!(judge(&reply(202, body), &sent, Timestamp(0)), Answer::AllDone, "any 2xx");
    }
    assert_eq!(all_created(short.as_bytes()), Some(3));
    assert_eq!(all_created(format!(r#"{{"errors":false,"items":[{}]}}"#, created(1)).as_bytes()), Some(1));
    assert_eq!(all_created(br#"{"errors":false,"items":[]}"#), None);
    assert_eq!(all_created(short.replacen("201", "429", 1).as_bytes()), None);
    assert_eq!(all_created(short.replace("},{", "}+{").as_bytes()), None);
}

#[test]
fn what_is_about_load_is_retried_and_never_held_against_the_document() {
    for (status, kind) in [
        (429, "es_rejected_execution_exception"),
        (503, "es_rejected_execution_exception"),
        (429, "rejected_execution_exception"),
        (429, "circuit_breaking_exception"),
        (400, "circuit_breaking_exception"),
        (429, "some_new_exception"),
        (400, "es_rejected_execution_exception"),
        (400, "rejected_execution_exception"),
        (503, "unavailable_shards_exception"),
    ] {
        assert_eq!(one(status, kind, "", false), Verdict::Retry { rejected: true }, "{status} {kind}");
    }
    for (status, kind) in [(500, "null_pointer_exception"), (504, "timeout_exception"), (408, "x")] {
        assert_eq!(one(status, kind, "", false), Verdict::Retry { rejected: false }, "{status} {kind}");
    }
}

#[test]
fn a_taken_id_is_done_on_a_resend_and_compared_at_a_first_send() {
    for kind in ["version_conflict_engine_exception", "something_else"] {
        assert_eq!(one(409, kind, "", true), Verdict::Duplicate);
        assert_eq!(one(409, kind, "", false), Verdict::Compare);
    }
    assert_eq!(one(400, "version_conflict_engine_exception", "", true), Verdict::Duplicate, "the type counts first");
    assert_eq!(judge_conflict(br#"{"a":1}"#, Some(br#"{"a":1}"#), false), Verdict::Duplicate);
    assert_eq!(judge_conflict(br#"{"a":1}"#, None, false), Verdict::Compare);
    let Verdict::Refused(refusal) = judge_conflict(br#"{"a":1}"#, Some(br#"{"a":2}"#), false) else { panic!() };
    assert_eq!(refusal.kind, "id_collision");
}

#[test]
fn a_conflict_means_what_the_action_makes_of_it() {
    let said = |action: &str, status: u16, error: &str| {
        let body = format!(r#"{{"errors":true,"items":[{{"{action}":{{"status":{status}{error}}}}}]}}"#);
        match judge(&reply(200, body), &[Sent { items: 1, before: false }], Timestamp(0)) {
            Answer::Items(verdicts) => verdicts.into_iter().next().unwrap(),
            Answer::AllDone => Verdict::Done,
            answer => panic!("{answer:?}"),
        }
    };
    let conflict = r#","error":{"type":"version_conflict_engine_exception","reason":"[7]: version conflict, current version [1763718000000001] is higher than the one provided [1763718000000000]"}"#;
    for action in ["index", "delete"] {
        assert_eq!(said(action, 409, conflict), Verdict::Outdated(1_763_718_000_000_001));
        assert!(matches!(said(action, 409, ""), Verdict::Parked(_)), "an unknown version is nobody's to judge");
    }
    assert_eq!(said("update", 409, conflict), Verdict::Retry { rejected: false });
    assert_eq!(said("create", 409, conflict), Verdict::Compare);
    assert_eq!(said("delete", 404, ""), Verdict::Done, "what is to be gone was not there");
    assert!(matches!(
        said("delete", 404, r#","error":{"type":"index_not_found_exception","reason":"no such index [x]"}"#),
        Verdict::Parked(_)
    ));
    assert!(matches!(
        said("update", 404, r#","error":{"type":"document_missing_exception","reason":"[7]: document missing"}"#),
        Verdict::Parked(_)
    ));
    for action in ["index", "update", "delete"] {
        assert_eq!(said(action, 200, ""), Verdict::Done);
    }
}

#[test]
fn what_is_about_one_document_is_a_dead_letter() {
    for (status, kind, reason) in [
        (400, "mapper_parsing_exception", "failed to parse field [n] of type [long]"),
        (400, "document_parsing_exception", "[1:5] failed to parse"),
        (400, "strict_dynamic_mapping_exception", "mapping set to strict, dynamic introduction of [x]"),
        (400, "illegal_argument_exception", "Limit of total fields [1000] has been exceeded"),
        (400, "illegal_argument_exception", "Limit of total fields [1000] in index [logs] has been exceeded"),
        (400, "illegal_argument_exception", "Limit of mapping depth [20] has been exceeded due to object field [a]"),
        (400, "illegal_argument_exception", "Document contains at least one immense term in field=\"k\""),
        (400, "illegal_argument_exception", "Limit of nested fields [50] has been exceeded"),
        (400, "illegal_argument_exception", "Limit of field name length [50] has been exceeded for field [aaaa]"),
        (
            400,
            "illegal_argument_exception",
            "The number of nested documents has exceeded the allowed limit of [10000].",
        ),
        (400, "illegal_argument_exception", "mapper [a] cannot be changed from type [long] to [text]"),
        (400, "illegal_argument_exception", "Provided Grok expressions do not match field value: [x]"),
        (400, "illegal_argument_exception", "unable to parse date [x]"),
        (400, "illegal_argument_exception", "unable to convert [x] to integer"),
        (400, "illegal_argument_exception", "field [a] not present as part of path [a]"),
        (400, "illegal_argument_exception", "field [a] is null, cannot parse"),
        (400, "illegal_argument_exception", "mapper [a] of different type, current_type [long], merged_type [text]"),
        (400, "illegal_argument_exception", "can't merge a non object mapping [a] with an object mapping"),
        (400, "illegal_argument_exception", "can't merge a non-nested mapping [a] with a nested mapping"),
        (
            400,
            "illegal_argument_exception",
            "object mapping for [a] tried to parse field [a] as object, but found a concrete value",
        ),
        (400, "illegal_argument_exception", "field name cannot be an empty string"),
        (400, "illegal_argument_exception", "field name is null or empty"),
        (
            400,
            "illegal_argument_exception",
            "object field starting or ending with a [.] makes object resolution ambiguous: [.a]",
        ),
        (400, "illegal_argument_exception", "data stream timestamp field [@timestamp] is missing"),
        (
            400,
            "illegal_argument_exception",
            "the document timestamp [2000-01-01T00:00:00.000Z] is outside of ranges of currently writable indices",
        ),
        (500, "fail_processor_exception", "no"),
        (500, "ingest_processor_exception", "java.lang.IllegalArgumentException: field [a] not present"),
        (400, "max_bytes_length_exceeded_exception", "bytes can be at most 32766 in length; got 40000"),
        (400, "not_x_content_exception", "Compressor detection can only be called on some xcontent bytes"),
        (400, "x_content_parse_exception", "[1:3] Unexpected character"),
        (400, "json_parse_exception", "Unexpected character"),
        (400, "stream_constraints_exception", "String value length (20000001) exceeds the maximum allowed"),
    ] {
        let verdict = one(status, kind, reason, false);
        let Verdict::Refused(refusal) = &verdict else { panic!("{kind} {reason}: {verdict:?}") };
        assert_eq!((refusal.kind.as_str(), refusal.reason.as_str(), refusal.status), (kind, reason, status));
    }
}

#[test]
fn what_is_about_the_index_and_all_that_is_unknown_parks_the_lane() {
    for (status, kind, reason) in [
        (
            429,
            "cluster_block_exception",
            "blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark]",
        ),
        (403, "cluster_block_exception", "blocked by: [FORBIDDEN/5/index read-only (api)]"),
        (400, "index_closed_exception", "closed"),
        (404, "index_not_found_exception", "no such index [logs]"),
        (
            400,
            "validation_exception",
            "Validation Failed: 1: this action would add [2] shards, but this cluster currently has [1000]/[1000] maximum open shards;",
        ),
        (400, "illegal_argument_exception", "Validation Failed: 1: this action would add [2] total shards"),
        (400, "illegal_argument_exception", "pipeline with id [x] does not exist"),
        (400, "illegal_argument_exception", "only write ops with an op_type of create are allowed in data streams"),
        (
            400,
            "illegal_argument_exception",
            "no write index is defined for alias [logs]. The write index may be explicitly disabled",
        ),
        (400, "mapper_parsing_exception", "Failed to parse mapping [_doc]: No handler for type [txet]"),
        (400, "illegal_argument_exception", "something never seen"),
        (403, "security_exception", "action [indices:data/write/bulk] is unauthorized for API key"),
        (400, "invalid_index_name_exception", "must be lowercase"),
        (404, "", ""),
        (302, "odd", ""),
        (999, "odd", ""),
    ] {
        let verdict = one(status, kind, reason, false);
        assert!(matches!(verdict, Verdict::Parked(_)), "{status} {kind} {reason}: {verdict:?}");
    }
}

#[test]
fn an_item_without_an_error_is_done_by_its_status_alone() {
    for (status, done) in [(200, true), (299, true), (199, false), (302, false), (404, false)] {
        let body = format!(r#"{{"errors":true,"items":[{{"create":{{"status":{status}}}}}]}}"#);
        let answer = judge(&reply(200, body), &[Sent { items: 1, before: false }], Timestamp(0));
        let parked = matches!(&answer, Answer::Items(verdicts) if matches!(verdicts[..], [Verdict::Parked(_)]));
        assert_eq!((answer == Answer::AllDone, parked), (done, !done), "{status}: {answer:?}");
    }
}

#[test]
fn causes_and_processors_are_seen() {
    let item = |error: &str| {
        let body = format!(r#"{{"errors":true,"items":[{{"create":{{"status":400,"error":{error}}}}}]}}"#);
        let Answer::Items(verdicts) = judge(&reply(200, body), &[Sent { items: 1, before: false }], Timestamp(0))
        else {
            panic!()
        };
        verdicts.into_iter().next().unwrap()
    };
    let immense = r#"{"type":"illegal_argument_exception","reason":"odd words","caused_by":{"type":"max_bytes_length_exceeded_exception","reason":"bytes can be at most 32766"}}"#;
    let Verdict::Refused(refusal) = item(immense) else { panic!() };
    assert_eq!(refusal.reason, "odd words: bytes can be at most 32766");
    let grok = r#"{"type":"illegal_argument_exception","reason":"Provided Grok expressions do not match","processor_type":"grok"}"#;
    assert!(matches!(item(grok), Verdict::Refused(_)));
    assert!(matches!(item(r#""just a text""#), Verdict::Parked(_)));
    assert!(matches!(item("[1,2]"), Verdict::Parked(_)));
    let long = format!(r#"{{"type":"mapper_parsing_exception","reason":"{}"}}"#, "ä".repeat(5000));
    let Verdict::Refused(refusal) = item(&long) else { panic!() };
    assert!(refusal.reason.len() < 2100);
}

#[test]
fn a_whole_request_is_judged_by_type_and_then_by_status() {
    let typed = |kind: &str, reason: &str| {
        format!(r#"{{"error":{{"root_cause":[],"type":"{kind}","reason":"{reason}"}},"status":0}}"#)
    };
    let retried = |whole: &Whole| match whole {
        Whole::Retry { trouble, .. } => *trouble,
        other => panic!("{other:?}"),
    };
    for (status, body) in [(429, ""), (503, ""), (429, "<html>"), (400, &*typed("circuit_breaking_exception", ""))] {
        assert_eq!(retried(&whole(status, body)), Trouble::Rejected, "{status} {body}");
    }
    for status in [500, 502, 504, 408, 301, 302, 307, 304] {
        assert_eq!(retried(&whole(status, "")), Trouble::Failed, "{status}");
    }
    assert!(matches!(whole(413, ""), Whole::Halve { too_large: true, .. }));
    assert!(matches!(
        whole(400, &typed("illegal_argument_exception", "Malformed action")),
        Whole::Halve { too_large: false, .. }
    ));
    let security = typed("security_exception", "no");
    for (status, body) in [(401, ""), (403, ""), (404, ""), (405, ""), (403, &*security), (400, &*security)] {
        assert!(matches!(whole(status, body), Whole::ParkSink(_)), "{status}");
    }
    for (status, kind, reason) in [
        (403, "cluster_block_exception", ""),
        (429, "cluster_block_exception", ""),
        (404, "index_not_found_exception", ""),
        (400, "index_closed_exception", ""),
        (400, "validation_exception", "this action would add [2] shards"),
        (400, "illegal_argument_exception", "pipeline with id [p] does not exist"),
        (400, "illegal_argument_exception", "only write ops with an op_type of create are allowed in data streams"),
        (400, "illegal_argument_exception", "no write index is defined for alias [logs]"),
        (406, "odd", ""),
        (418, "odd", ""),
    ] {
        assert!(matches!(whole(status, &typed(kind, reason)), Whole::ParkLane(_)), "{status} {kind}");
    }
}

#[test]
fn retry_after_is_handed_on() {
    let mut reply = reply(429, "");
    reply.retry_after = Some("7".to_owned());
    let answer = judge(&reply, &[], Timestamp(0));
    assert!(
        matches!(answer, Answer::Whole(Whole::Retry { wait: Some(wait), .. }) if wait.as_secs() == 7),
        "{answer:?}"
    );
}

#[test]
fn no_answer_is_a_retry_and_bad_settings_park() {
    let trouble = |failure| match judge_failure(&failure) {
        Whole::Retry { trouble, .. } => trouble,
        whole => panic!("{whole:?}"),
    };
    assert_eq!(trouble(Failure::Unreachable("refused".to_owned())), Trouble::Unreachable);
    assert_eq!(trouble(Failure::Broken("reset".to_owned())), Trouble::Failed);
    assert_eq!(trouble(Failure::TimedOut(Duration::from_secs(1))), Trouble::Failed);
    assert!(matches!(judge_failure(&Failure::Settings("ca_file".to_owned())), Whole::ParkSink(_)));
    assert!(matches!(judge_failure(&Failure::IndexName("..".to_owned())), Whole::ParkLane(_)));
}

#[test]
fn an_answer_that_is_none_says_nothing_about_any_document() {
    let created = r#"{"create":{"status":201}}"#;
    for body in [
        String::new(),
        "<html>OK</html>".to_owned(),
        "{}".to_owned(),
        r#"{"errors":false}"#.to_owned(),
        r#"{"errors":false,"items":[]}"#.to_owned(),
        r#"{"items":[{"create":{"status":201}},{"create":{"status":201}}]}"#.to_owned(),
        format!(r#"{{"errors":false,"items":[{created}]}}"#),
        format!(r#"{{"errors":false,"items":[{created},{created},{created}]}}"#),
        format!(r#"{{"errors":false,"items":[{created},{created}"#),
        format!(r#"{{"errors":false,"items":[{created},{created}]}}x"#),
        format!(r#"{{"errors":false,"items":[{created},{{"created":{{"status":201}}}}]}}"#),
        format!(r#"{{"errors":false,"items":[{created},{{}}]}}"#),
        format!(r#"{{"errors":false,"items":[{created},{{"create":{{}}}}]}}"#),
        format!(r#"{{"errors":false,"items":[{created},{{"create":{{"status":201}},"index":{{"status":201}}}}]}}"#),
        format!(r#"{{"errors":false,"items":[{created},{{"create":{{"status":"201"}}}}]}}"#),
    ] {
        let answer = judge(&reply(200, body.clone()), &[Sent { items: 2, before: true }], Timestamp(0));
        assert!(matches!(answer, Answer::Whole(Whole::Retry { trouble: Trouble::Failed, .. })), "{body}: {answer:?}");
    }
}

#[test]
fn an_answer_of_something_else_is_quoted() {
    let page = format!("<!DOCTYPE html>\n<title>Kibana</title>{}", "x".repeat(1000));
    let answer = judge(&reply(200, page), &[Sent { items: 2, before: true }], Timestamp(0));
    let Answer::Whole(Whole::Retry { reason, .. }) = answer else { panic!("{answer:?}") };
    assert!(
        reason.starts_with("the answer can't be read: it is no JSON object: <!DOCTYPE html> <title>Kibana"),
        "{reason}"
    );
    assert!(reason.len() < 300, "{reason}");
}

/// `true` if the answer claims that a document arrived.
fn claims_done(answer: &Answer) -> bool {
    match answer {
        Answer::AllDone => true,
        Answer::Items(verdicts) => verdicts.iter().any(|v| matches!(v, Verdict::Done | Verdict::Duplicate)),
        Answer::Whole(_) => false,
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_and_never_mean_done(
        status in 100_u16..1000,
        body in proptest::collection::vec(any::<u8>(), 0..300),
        items in 1_u32..5,
    ) {
        let sent = [Sent { items, before: false }];
        let done = claims_done(&judge(&reply(status, body), &sent, Timestamp(0)));
        prop_assert!(!done);
    }

    #[test]
    fn a_damaged_good_answer_never_means_more_than_it_says(
        count in 1_usize..30,
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let mut body = format!(r#"{{"errors":false,"items":[{}]}}"#, [r#"{"create":{"status":201}}"#].repeat(count).join(",")).into_bytes();
        let at = at.index(body.len());
        let same = !cut && body[at] == byte;
        if cut { body.truncate(at); } else { body[at] = byte; }
        let answer = judge(&reply(200, body.clone()), &[Sent { items: count as u32, before: false }], Timestamp(0));
        // A changed byte may leave a good answer good (white space, 201 → 200); then JSON itself must agree.
        let json: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
        let good = json.is_some_and(|json| {
            let items = json["items"].as_array().cloned().unwrap_or_default();
            json["errors"].is_boolean() && items.len() == count && items.iter().all(|item| item["create"]["status"].as_u64().is_some_and(|s| (200..300).contains(&s)))
        });
        prop_assert!(!same || answer == Answer::AllDone);
        prop_assert_eq!(answer == Answer::AllDone, good);
    }

    #[test]
    fn every_document_gets_its_own_verdict_in_order(statuses in proptest::collection::vec(prop::sample::select(vec![201_u16, 429, 400, 409]), 1..50)) {
        let items: Vec<String> = statuses.iter().map(|status| match status {
            201 => r#"{"create":{"status":201}}"#.to_owned(),
            400 => r#"{"create":{"status":400,"error":{"type":"mapper_parsing_exception","reason":"r"}}}"#.to_owned(),
            status => format!(r#"{{"create":{{"status":{status},"error":{{"type":"t","reason":"r"}}}}}}"#),
        }).collect();
        let body = format!(r#"{{"errors":true,"items":[{}]}}"#, items.join(","));
        match judge(&reply(200, body), &[Sent { items: statuses.len() as u32, before: true }], Timestamp(0)) {
            Answer::AllDone => prop_assert!(statuses.iter().all(|status| *status == 201)),
            Answer::Items(verdicts) => for (status, verdict) in statuses.iter().zip(verdicts) {
                let fits = match status {
                    201 => verdict == Verdict::Done,
                    429 => verdict == Verdict::Retry { rejected: true },
                    409 => verdict == Verdict::Duplicate,
                    _ => matches!(verdict, Verdict::Refused(_)),
                };
                prop_assert!(fits, "{}: {:?}", status, verdict);
            },
            answer => prop_assert!(false, "{:?}", answer),
        }
    }
}
