//! A bulk body's items, in memory: finding them and cutting some out.
//!
//! Pure. A body is what `encode` made: an action line and (but for `delete`) a document line for each item, each
//! line with its newline. Documents hold no raw newline, so lines are all there is to know.

use serde_json::Value;
use splashdam_api::words::plural;

use crate::record::Bitmap;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the stored body has {} where {expected} were expected", plural(u64::from(*found), "item"))]
    Items { expected: u32, found: u32 },
}

/// How an action line begins behind which no document stands.
const DELETE: &[u8] = b"{\"delete\":";

/// One bulk item, without newlines. A `delete` has an empty document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item<'a> {
    pub(crate) action: &'a [u8],
    pub(crate) document: &'a [u8],
}

impl Item<'_> {
    /// The document's `_id`.
    pub(crate) fn id(&self) -> String {
        self.named("_id").unwrap_or_default()
    }

    /// What is to be done: `create`, `index`, `update`, `delete`; empty where the action says nothing.
    pub(crate) fn operation(&self) -> &str {
        let name = self.action.strip_prefix(b"{\"").and_then(|rest| rest.split(|byte| *byte == b'"').next());
        name.and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default()
    }

    /// It is refused if its id is taken, so whatever has the id is it.
    pub(crate) fn is_create(&self) -> bool {
        self.action.starts_with(b"{\"create\":")
    }

    /// The routing in the action line.
    pub(crate) fn routing(&self) -> Option<String> {
        self.named("routing")
    }

    fn named(&self, key: &str) -> Option<String> {
        let action: Value = serde_json::from_slice(self.action).ok()?;
        let (_, metadata) = action.as_object()?.iter().next()?;
        Some(metadata.get(key)?.as_str()?.to_owned())
    }

    /// The action line with a version of at least `least`, if it has one.
    fn raised(&self, least: u64) -> Option<Vec<u8>> {
        let mut action: Value = serde_json::from_slice(self.action).ok()?;
        let (_, metadata) = action.as_object_mut()?.iter_mut().next()?;
        let version = metadata.get_mut("version")?;
        if version.as_u64()? >= least {
            return None;
        }
        *version = least.into();
        Some(action.to_string().into_bytes())
    }

    fn push(&self, action: &[u8], body: &mut Vec<u8>) {
        body.extend_from_slice(action);
        body.push(b'\n');
        if !action.starts_with(DELETE) {
            body.extend_from_slice(self.document);
            body.push(b'\n');
        }
    }
}

/// All items of a body.
///
/// # Errors
/// If there are not exactly `expected`.
pub(crate) fn items(raw: &[u8], expected: u32) -> Result<Vec<Item<'_>>, BodyError> {
    let mut lines = memchr::memchr_iter(b'\n', raw);
    let mut items = Vec::with_capacity(expected as usize);
    let mut start = 0;
    while let Some(end) = lines.next() {
        let action = &raw[start..end];
        if action.starts_with(DELETE) {
            items.push(Item { action, document: &[] });
            start = end + 1;
            continue;
        }
        let Some(document) = lines.next() else { break };
        items.push(Item { action, document: &raw[end + 1..document] });
        start = document + 1;
    }
    let found = items.len() as u32 + u32::from(start < raw.len());
    if found == expected && start == raw.len() { Ok(items) } else { Err(BodyError::Items { expected, found }) }
}

/// The body of the items in `keep` alone.
pub(crate) fn cut(raw: &[u8], keep: &Bitmap) -> Result<Vec<u8>, BodyError> {
    let all = items(raw, keep.len())?;
    let mut body = Vec::with_capacity(raw.len());
    for item in keep.iter().filter_map(|i| all.get(i as usize)) {
        item.push(item.action, &mut body);
    }
    Ok(body)
}

/// The body with versions of at least `least`: somebody else has written later ones than we had issued.
pub(crate) fn raise(raw: &[u8], count: u32, least: u64) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::with_capacity(raw.len());
    for item in items(raw, count)? {
        match item.raised(least) {
            Some(action) => item.push(&action, &mut body),
            None => item.push(item.action, &mut body),
        }
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"{\"create\":{\"_id\":\"a\"}}\n{\"n\":1}\n{\"create\":{\"_id\":\"b\",\"routing\":\"r\"}}\n{\"n\":2}\n{\"create\":{\"_id\":\"c\"}}\n{}\n";

    #[test]
    fn items_are_found_and_cut_out_byte_for_byte() {
        let all = items(BODY, 3).unwrap();
        assert_eq!(all.iter().map(Item::id).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!((all[1].routing().as_deref(), all[0].routing()), (Some("r"), None));
        let mut keep = Bitmap::none(3);
        keep.set(0);
        keep.set(2);
        let two = cut(BODY, &keep).unwrap();
        assert_eq!(items(&two, 2).unwrap(), [all[0], all[2]]);
        assert_eq!(cut(BODY, &Bitmap::all(3)).unwrap(), BODY);
    }

    #[test]
    fn a_delete_has_no_document_and_the_others_keep_theirs() {
        let body = b"{\"delete\":{\"_id\":\"a\",\"version\":4,\"version_type\":\"external_gte\"}}\n{\"index\":{\"_id\":\"b\",\"version\":9,\"version_type\":\"external_gte\"}}\n{\"n\":2}\n";
        let all = items(body, 2).unwrap();
        assert_eq!(all.iter().map(Item::id).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(all.iter().map(Item::operation).collect::<Vec<_>>(), ["delete", "index"]);
        assert_eq!((all[0].document, all[1].document), (&b""[..], &b"{\"n\":2}"[..]));
        assert_eq!(cut(body, &Bitmap::all(2)).unwrap(), body);
        let raised = raise(body, 2, 6).unwrap();
        let text = String::from_utf8(raised).unwrap();
        assert!(
            text.contains("\"version\":6") && text.contains("\"version\":9") && text.lines().count() == 3,
            "{text}"
        );
    }

    #[test]
    fn a_body_with_another_number_of_items_is_an_error() {
        assert_eq!(items(BODY, 2), Err(BodyError::Items { expected: 2, found: 3 }));
        assert_eq!(items(&BODY[..BODY.len() - 1], 3), Err(BodyError::Items { expected: 3, found: 3 }));
        assert!(items(b"", 1).is_err() && items(b"", 0).is_ok());
    }
}
