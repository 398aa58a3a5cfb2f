//! Finds one field of a rendered document, for index names and routing.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::value::RawValue;

type Object<'a> = HashMap<Cow<'a, str>, &'a RawValue>;

/// The text of a string, number or boolean at `path` (a top-level name with dots, or a path); else `None`.
pub(crate) fn text(document: &[u8], path: &str) -> Option<String> {
    let object: Object<'_> = serde_json::from_slice(document).ok()?;
    let value = find(&object, path)?;
    if value.starts_with('"') {
        return serde_json::from_str(value).ok();
    }
    let scalar = !matches!(value.as_bytes().first(), Some(b'{' | b'[' | b'n') | None);
    scalar.then(|| value.to_owned())
}

fn find<'a>(object: &Object<'a>, path: &str) -> Option<&'a str> {
    if let Some(value) = object.get(path) {
        return Some(value.get());
    }
    let (head, rest) = path.split_once('.')?;
    let inner: Object<'a> = serde_json::from_str(object.get(head)?.get()).ok()?;
    find(&inner, rest)
}
