//! Dead letters by what they are about: the field that a mapping refuses, or the kind of refusal. Blocking.
//!
//! Tells no document; what Elasticsearch quotes of one in its reason stays untold as well.

use std::collections::BTreeMap;

use splashdam_api::words::{count, plural};
use splashdam_api::{Check, Verdict};

use super::{advised, check};
use crate::store;

/// The newest ones would be further back; so many are read, some at a time.
const MOST: usize = 2000;
const SLICE: usize = 20;
/// Groups that are told.
const GROUPS: usize = 5;

pub(super) fn look(job: &str, door: &store::Pipeline) -> Vec<Check> {
    let (kept, _) = door.dead_letter_count();
    if kept == 0 {
        return vec![check(Some(job), "dead letters", Verdict::Ok, "none".to_owned())];
    }
    let mut groups: BTreeMap<String, u64> = BTreeMap::new();
    let (mut from, mut read) = (0, 0);
    while read < MOST {
        let Ok(page) = door.dead_letters(from, SLICE) else { break };
        let Some((last, _)) = page.last() else { break };
        from = last + 1;
        read += page.len();
        for (_, letter) in page {
            *groups.entry(about(&letter.kind, &letter.reason)).or_default() += 1;
        }
    }
    let mut groups: Vec<(String, u64)> = groups.into_iter().collect();
    groups.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let told: Vec<String> =
        groups.iter().take(GROUPS).map(|(about, number)| format!("{about} ({})", count(*number))).collect();
    let of = if (read as u64) < kept { format!(", the first {} by", count(read as u64)) } else { ", by".to_owned() };
    let found = format!("{}{of} what was refused: {}", plural(kept, "dead letter"), told.join(", "));
    let advice = format!(
        "splashctl dead-letters show N --pipeline {job} has one whole; mend the mapping or the job, then splashctl dead-letters replay --all --pipeline {job}"
    );
    vec![advised(check(Some(job), "dead letters", Verdict::Warn, found), &advice)]
}

/// `field status of type long`, or the kind.
fn about(kind: &str, reason: &str) -> String {
    if reason.contains("Limit of total fields") {
        return "more fields than the index may have".to_owned();
    }
    let field = [
        "failed to parse field [",
        "dynamic introduction of [",
        "object mapping for [",
        "mapper [",
        "failed to parse [",
    ]
    .iter()
    .find_map(|mark| between(reason, mark));
    match (field, between(reason, "of type [")) {
        (Some(field), Some(kind)) => format!("field {field} of type {kind}"),
        (Some(field), None) if reason.contains("strict") => format!("field {field}, which the strict mapping lacks"),
        (Some(field), None) => format!("field {field}: {kind}"),
        (None, _) => kind.to_owned(),
    }
}

/// What stands behind `mark` and before the next bracket, if it looks like a field's name.
fn between<'t>(text: &'t str, mark: &str) -> Option<&'t str> {
    let behind = text.get(text.find(mark)? + mark.len()..)?;
    let name = behind.get(..behind.find(']')?)?;
    (!name.is_empty() && name.len() <= 200 && !name.contains(char::is_control)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_by_their_field_and_without_its_value() {
        for (kind, reason, want) in [
            (
                "mapper_parsing_exception",
                "failed to parse field [status] of type [long] in document with id 'x'. Preview of field's value: 'hush'",
                "field status of type long",
            ),
            (
                "strict_dynamic_mapping_exception",
                "mapping set to strict, dynamic introduction of [user] within [_doc] is not allowed",
                "field user, which the strict mapping lacks",
            ),
            (
                "mapper_parsing_exception",
                "object mapping for [host] tried to parse field [host] as object, but found a concrete value",
                "field host: mapper_parsing_exception",
            ),
            (
                "illegal_argument_exception",
                "mapper [a.b] cannot be changed from type [long] to [text]",
                "field a.b: illegal_argument_exception",
            ),
            (
                "illegal_argument_exception",
                "Limit of total fields [1000] has been exceeded",
                "more fields than the index may have",
            ),
            ("line_too_long", "", "line_too_long"),
        ] {
            assert_eq!(about(kind, reason), want, "{reason}");
        }
    }
}
