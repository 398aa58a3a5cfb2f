//! Paths into JSON texts, as SQL's JSON functions take them: `$.a.b[0]['c d'][*]`, with `lax` or `strict` before.
//! What is found is a piece of the text itself; nothing is decoded that the path does not touch.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

/// A compiled path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path {
    steps: Vec<Step>,
    pub(super) strict: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Member(String),
    /// Negative: from the end.
    Element(i64),
    /// `[*]` and `.*`
    All,
}

/// What a path leads to.
pub(super) enum Found<'a> {
    One(&'a RawValue),
    /// Of a path with `*`, also if it is only one, or none.
    Many(Vec<&'a RawValue>),
    Nothing,
}

impl Path {
    /// The error says what is wrong or not supported.
    pub(super) fn new(text: &str) -> Result<Path, String> {
        let wrong = |what: &str| Err(format!("the JSON path '{text}' {what}"));
        let trimmed = text.trim();
        let mode = |word: &str| {
            let head = trimmed.get(..word.len())?;
            let rest = &trimmed[word.len()..];
            (head.eq_ignore_ascii_case(word) && rest.starts_with(char::is_whitespace)).then(|| rest.trim())
        };
        let (strict, path) = match (mode("strict"), mode("lax")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            // Strict is what Flink takes a path for that does not say it, and `$.` may be left out.
            (None, None) => (true, trimmed),
        };
        let dotted = format!(".{path}");
        let mut rest = path.strip_prefix('$').unwrap_or(&dotted);
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, behind) = if let Some(behind) = rest.strip_prefix('.') {
                if behind.starts_with('.') {
                    return wrong("has a descent (..), which is not supported");
                }
                let end = behind.find(['.', '[']).unwrap_or(behind.len());
                match &behind[..end] {
                    "" => return wrong("has an empty name"),
                    "*" => (Step::All, &behind[end..]),
                    name if name.contains('(') => return wrong("has a function, which is not supported"),
                    name => (Step::Member(name.to_owned()), &behind[end..]),
                }
            } else if let Some(inside) = rest.strip_prefix('[') {
                match subscript(inside.trim_start()) {
                    Ok(found) => found,
                    Err(what) => return wrong(what),
                }
            } else {
                return wrong("has something other than .name or [subscript] in it");
            };
            steps.push(step);
            rest = behind;
        }
        Ok(Path { steps, strict })
    }

    /// Whether it may lead to several places.
    fn is_definite(&self) -> bool {
        !self.steps.contains(&Step::All)
    }

    pub(super) fn find<'a>(&self, json: &'a RawValue) -> Found<'a> {
        let mut places = vec![json];
        for step in &self.steps {
            places = places.into_iter().flat_map(|place| follow(step, place)).collect();
        }
        match (self.is_definite(), places.first()) {
            (true, Some(one)) => Found::One(one),
            (true, None) => Found::Nothing,
            (false, _) => Found::Many(places),
        }
    }
}

/// What stands behind `[`, and the rest behind `]`.
fn subscript(inside: &str) -> Result<(Step, &str), &'static str> {
    if let Some(quote) = inside.chars().next().filter(|c| matches!(c, '\'' | '"')) {
        let end = inside[1..].find(quote).ok_or("has a quote that does not end")? + 1;
        let rest = inside[end + 1..].trim_start().strip_prefix(']').ok_or("lacks a ] behind a name")?;
        return Ok((Step::Member(inside[1..end].to_owned()), rest));
    }
    let end = inside.find(']').ok_or("lacks a ]")?;
    let rest = &inside[end + 1..];
    match inside[..end].trim() {
        "*" => Ok((Step::All, rest)),
        number => match number.parse() {
            Ok(number) => Ok((Step::Element(number), rest)),
            Err(_) if number.starts_with('?') => Err("has a filter, which is not supported"),
            Err(_) => Err("has a subscript that is neither a number nor a quoted name nor *"),
        },
    }
}

fn follow<'a>(step: &Step, place: &'a RawValue) -> Vec<&'a RawValue> {
    match step {
        Step::Member(name) => members(place)
            .and_then(|all| all.into_iter().rev().find(|(key, _)| key == name).map(|(_, value)| value))
            .into_iter()
            .collect(),
        Step::Element(number) => {
            let Some(all) = elements(place) else { return Vec::new() };
            let at = if *number < 0 { number + all.len() as i64 } else { *number };
            usize::try_from(at).ok().and_then(|at| all.get(at).copied()).into_iter().collect()
        }
        Step::All => elements(place)
            .or_else(|| Some(members(place)?.into_iter().map(|(_, value)| value).collect()))
            .unwrap_or_default(),
    }
}

/// The whole text as JSON, if it is.
pub(super) fn parse(text: &str) -> Option<&RawValue> {
    serde_json::from_str(text).ok()
}

/// The elements of an array.
pub(super) fn elements(json: &RawValue) -> Option<Vec<&RawValue>> {
    if !json.get().starts_with('[') {
        return None;
    }
    serde_json::from_str(json.get()).ok()
}

/// The members of an object, in order of writing.
pub(super) fn members(json: &RawValue) -> Option<Vec<(Cow<'_, str>, &RawValue)>> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(Cow<'de, str>, &'de RawValue)>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut all = Vec::new();
            while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
                all.push((unquoted(key.get()), value));
            }
            Ok(all)
        }
    }
    if !json.get().starts_with('{') {
        return None;
    }
    serde_json::Deserializer::from_str(json.get()).deserialize_map(Members).ok()
}

/// A JSON string's text; what is no string stays as it is.
pub(super) fn unquoted(json: &str) -> Cow<'_, str> {
    match json.strip_prefix('"').and_then(|inside| inside.strip_suffix('"')) {
        Some(inside) if !inside.contains('\\') => Cow::Borrowed(inside),
        Some(_) => serde_json::from_str::<String>(json).map_or(Cow::Borrowed(json), Cow::Owned),
        None => Cow::Borrowed(json),
    }
}

/// Writes JSON without the blanks between its parts.
pub(super) fn compact(json: &str, out: &mut Vec<u8>) {
    let mut inside = false;
    let mut escaped = false;
    for byte in json.bytes() {
        if inside {
            inside = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            continue;
        } else {
            inside = byte == b'"';
        }
        out.push(byte);
    }
}
