//! Whether an index can take what a job sends, by the types in its mapping and those that the job is known to send.
//! Pure.
//!
//! Only what is known for certain: the fields that the agent adds, constant fields, the columns of a SQL sink. What the
//! fields of a JSON line are is known to the lines alone; their refusals are dead letters.

use serde_json::Value;

use crate::deliver::{IndexState, Mapping};
use crate::plan::{Format, Plan, RowsPlan, SourcePlan};
use crate::record::Type;

/// What a field of a document holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Text,
    Integer,
    Fraction,
    Truth,
    /// `2026-01-31T12:00:00.000Z`
    Instant,
    /// `2026-01-31T12:00:00` or a date: as the default format of a `date` takes it.
    LocalTime,
    /// `2026-01-31 12:00:00`, which the default format does not take.
    SqlTime,
    Object,
    /// Nothing is known, or anything.
    Anything,
}

/// Fields by their dotted names.
pub(super) type Fields = Vec<(String, Sent)>;

/// What a job that ships records as they are puts into every document.
pub(super) fn of_ship(plan: &Plan) -> Fields {
    let known: &[(&str, Sent)] = match (&plan.source, plan.decode.format) {
        (SourcePlan::Sls(_), _) => &[
            ("@timestamp", Sent::Instant),
            ("__time__", Sent::Integer),
            ("__topic__", Sent::Text),
            ("__source__", Sent::Text),
        ],
        // A line's own fields win, whatever they are.
        (_, Format::Json) => &[],
        (SourcePlan::File(_), Format::Raw) => &[
            ("@timestamp", Sent::Instant),
            ("log.file.path", Sent::Text),
            ("log.offset", Sent::Integer),
            ("host.name", Sent::Text),
            ("message", Sent::Text),
        ],
        (SourcePlan::Stdin(_), Format::Raw) => {
            &[("@timestamp", Sent::Instant), ("host.name", Sent::Text), ("message", Sent::Text)]
        }
    };
    let mut fields: Fields = known.iter().map(|(path, sent)| ((*path).to_owned(), *sent)).collect();
    if plan.decode.format == Format::Raw {
        plan.decode.fields.iter().for_each(|(name, value)| of_value(name.clone(), value, &mut fields));
    }
    fields
}

fn of_value(path: String, value: &Value, into: &mut Fields) {
    let sent = match value {
        Value::Object(inner) => {
            return inner.iter().for_each(|(name, value)| of_value(format!("{path}.{name}"), value, into));
        }
        Value::String(_) => Sent::Text,
        Value::Bool(_) => Sent::Truth,
        Value::Number(number) if number.is_f64() => Sent::Fraction,
        Value::Number(_) => Sent::Integer,
        Value::Null | Value::Array(_) => Sent::Anything,
    };
    into.push((path, sent));
}

/// The columns of a SQL sink.
pub(super) fn of_rows(plan: &RowsPlan) -> Fields {
    plan.columns.iter().map(|(name, ty)| (name.clone(), of_type(ty, plan.iso_timestamps))).collect()
}

fn of_type(ty: &Type, iso: bool) -> Sent {
    match ty {
        Type::Boolean => Sent::Truth,
        Type::TinyInt | Type::SmallInt | Type::Int | Type::BigInt => Sent::Integer,
        Type::Float | Type::Double | Type::Decimal(..) => Sent::Fraction,
        Type::Char(_) | Type::Varchar(_) => Sent::Text,
        Type::Date => Sent::LocalTime,
        Type::Timestamp(_) | Type::TimestampLtz(_) if iso => Sent::LocalTime,
        Type::Timestamp(_) | Type::TimestampLtz(_) => Sent::SqlTime,
        Type::Row(_) | Type::Map(..) | Type::Multiset(_) => Sent::Object,
        // An array is as its elements are.
        Type::Array(of) => of_type(of, iso),
        _ => Sent::Anything,
    }
}

/// What of this the index refuses, a line each, and whether every document is concerned for certain.
pub(super) fn clashes(fields: &Fields, index: &IndexState) -> Vec<(bool, String)> {
    fields.iter().filter_map(|(path, sent)| clash(path, *sent, &index.mapping)).collect()
}

fn clash(path: &str, sent: Sent, mapping: &Mapping) -> Option<(bool, String)> {
    let find = |path: &str| mapping.fields.iter().find(|field| field.path == path);
    // `host` of type keyword can't hold `host.name`.
    let parents: Vec<&str> = path.match_indices('.').map(|(at, _)| &path[..at]).collect();
    let holds = |kind: &str| matches!(kind, "object" | "nested" | "flattened" | "passthrough" | "flat_object");
    for parent in &parents {
        if let Some(field) = find(parent).filter(|field| !holds(&field.kind)) {
            return Some((
                true,
                format!("{parent} is of type {}, and we send it with fields of its own ({path})", field.kind),
            ));
        }
        if find(parent).is_some_and(|field| field.kind != "object" && field.kind != "nested") {
            return None; // what is below is taken as it is
        }
    }
    let Some(field) = find(path) else {
        let nearest = parents.iter().rev().find_map(|parent| find(parent)?.dynamic.as_deref());
        let dynamic = nearest.unwrap_or(&mapping.dynamic);
        return (dynamic == "strict").then(|| (true, format!("{path} is not in the mapping, which is strict")));
    };
    let (certain, why) = refuses(sent, &field.kind, field.format.as_deref())?;
    Some((certain, format!("{path} is of type {}, and we send {why}", field.kind)))
}

/// Whether a field of this type refuses what is sent: for certain, or where the value is none that it can read.
fn refuses(sent: Sent, kind: &str, format: Option<&str>) -> Option<(bool, &'static str)> {
    let number = matches!(
        kind,
        "long" | "integer" | "short" | "byte" | "double" | "float" | "half_float" | "scaled_float" | "unsigned_long"
    );
    let object = matches!(kind, "object" | "nested" | "flattened" | "flat_object");
    let date = matches!(kind, "date" | "date_nanos");
    match sent {
        Sent::Anything => None,
        Sent::Object => {
            (!object && !matches!(kind, "geo_point" | "geo_shape" | "point" | "join")).then_some((true, "objects"))
        }
        _ if object => Some((true, "plain values")),
        Sent::Text if number => Some((false, "text: what is no number in it is refused")),
        Sent::Text if date => Some((false, "text: what is no such time in it is refused")),
        Sent::Text if matches!(kind, "boolean" | "ip" | "geo_point") => {
            Some((false, "text: what is none in it is refused"))
        }
        Sent::Truth if number || date || kind == "ip" => Some((true, "true and false")),
        Sent::Integer | Sent::Fraction if matches!(kind, "boolean" | "ip") => Some((true, "numbers")),
        Sent::Fraction if date => Some((true, "fractions")),
        Sent::Instant | Sent::LocalTime | Sent::SqlTime if number || kind == "boolean" => Some((true, "times as text")),
        Sent::SqlTime if date && format.is_none() => Some((
            true,
            "times with a blank (2026-01-31 12:00:00), which its format does not take: 'json.timestamp-format.standard' = 'ISO-8601' sends a T, or give the field the format \"yyyy-MM-dd HH:mm:ss.SSS||yyyy-MM-dd HH:mm:ss\"",
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::Field;

    fn index(dynamic: &str, fields: &[(&str, &str)]) -> IndexState {
        let field = |(path, kind): &(&str, &str)| Field {
            path: (*path).to_owned(),
            kind: (*kind).to_owned(),
            ..Field::default()
        };
        let mapping = Mapping { fields: fields.iter().map(field).collect(), dynamic: dynamic.to_owned() };
        IndexState { mapping, ..IndexState::default() }
    }

    #[test]
    fn what_an_index_refuses_is_known_before_it_is_sent() {
        let all = |fields: &[(&str, Sent)], index: &IndexState| {
            let fields: Fields = fields.iter().map(|(path, sent)| ((*path).to_owned(), *sent)).collect();
            clashes(&fields, index).into_iter().map(|(certain, text)| format!("{certain} {text}")).collect::<Vec<_>>()
        };
        let sent = [("host.name", Sent::Text), ("n", Sent::Integer), ("t", Sent::SqlTime)];
        assert!(all(&sent, &index("true", &[])).is_empty());
        assert!(
            all(
                &sent,
                &index("true", &[("host", "object"), ("host.name", "keyword"), ("n", "long"), ("t", "keyword")])
            )
            .is_empty()
        );
        let wrong = all(&sent, &index("true", &[("host", "keyword"), ("n", "boolean"), ("t", "date")]));
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        assert!(wrong[0].starts_with("true host is of type keyword") && wrong[2].contains("ISO-8601"), "{wrong:?}");
        assert_eq!(
            all(&sent[1..2], &index("strict", &[("m", "long")])),
            ["true n is not in the mapping, which is strict"]
        );
        assert_eq!(all(&[("a", Sent::Text)], &index("true", &[("a", "long")])).len(), 1);
        assert!(all(&[("a", Sent::Text)], &index("true", &[("a", "long")]))[0].starts_with("false"));
    }
}
