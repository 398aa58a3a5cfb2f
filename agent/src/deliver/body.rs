//! A bulk body's items, in memory: finding them and cutting some out.
//!
//! Pure. A body is what `encode` made: an action line and a document line for each item, each line with its
//! newline. Documents hold no raw newline, so lines are all there is to know.

use crate::record::Bitmap;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the stored body has {found} items where {expected} were expected")]
    Items { expected: u32, found: u32 },
}

/// One bulk item, without newlines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item<'a> {
    pub(crate) action: &'a [u8],
    pub(crate) document: &'a [u8],
}

impl Item<'_> {
    /// The document's `_id`.
    pub(crate) fn id(&self) -> String {
        #[derive(serde::Deserialize)]
        struct Action {
            create: Create,
        }
        #[derive(serde::Deserialize)]
        struct Create {
            #[serde(rename = "_id")]
            id: String,
        }
        serde_json::from_slice::<Action>(self.action).map(|action| action.create.id).unwrap_or_default()
    }

    /// The routing in the action line.
    pub(crate) fn routing(&self) -> Option<String> {
        let action: serde_json::Value = serde_json::from_slice(self.action).ok()?;
        Some(action.get("create")?.get("routing")?.as_str()?.to_owned())
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
    while let (Some(action), Some(document)) = (lines.next(), lines.next()) {
        items.push(Item { action: &raw[start..action], document: &raw[action + 1..document] });
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
        for line in [item.action, item.document] {
            body.extend_from_slice(line);
            body.push(b'\n');
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
    fn a_body_with_another_number_of_items_is_an_error() {
        assert_eq!(items(BODY, 2), Err(BodyError::Items { expected: 2, found: 3 }));
        assert_eq!(items(&BODY[..BODY.len() - 1], 3), Err(BodyError::Items { expected: 3, found: 3 }));
        assert!(items(b"", 1).is_err() && items(b"", 0).is_ok());
    }
}
