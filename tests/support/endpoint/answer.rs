//! A bulk body judged item by item, and the answer in the form the real one gives it.

use bytes::Bytes;
use serde_json::{Value, json};

use super::State;
use super::script::{Item, Judgement};

/// Action line and document of one item.
#[derive(Debug)]
pub(super) struct Parsed {
    operation: String,
    index: String,
    id: String,
    /// Of `external_gte`.
    version: Option<u64>,
    /// Empty for a `delete`.
    source: Bytes,
}

/// Cuts a bulk body into items, as strictly as the real one does.
///
/// # Errors
/// The reason of a 400 for the whole request.
pub(super) fn parse(body: &Bytes, index: &str) -> Result<Vec<Parsed>, String> {
    if body.last() != Some(&b'\n') {
        return Err("The bulk request must be terminated by a newline [\\n]".to_owned());
    }
    let mut items = Vec::new();
    let mut lines = lines(body);
    while let Some(action) = lines.next() {
        let action: Value =
            serde_json::from_slice(&action).map_err(|error| format!("Malformed action/metadata line: {error}"))?;
        let mut entries = action.as_object().into_iter().flatten();
        let (operation, about) = entries.next().ok_or("Malformed action/metadata line, expected START_OBJECT")?;
        let text = |key: &str| about.get(key).and_then(Value::as_str);
        let id = text("_id").ok_or("an item without _id")?.to_owned();
        let index = text("_index").unwrap_or(index).to_owned();
        let version = about.get("version").and_then(Value::as_u64);
        if version.is_some() && text("version_type") != Some("external_gte") {
            return Err("a version of another type than external_gte".to_owned());
        }
        let source = match operation.as_str() {
            "delete" => Bytes::new(),
            _ => lines.next().ok_or("The bulk request ends with an action line")?,
        };
        items.push(Parsed { operation: operation.clone(), index, id, version, source });
    }
    Ok(items)
}

fn lines(body: &Bytes) -> impl Iterator<Item = Bytes> {
    let mut rest = body.clone();
    std::iter::from_fn(move || {
        let end = memchr::memchr(b'\n', &rest)?;
        let line = rest.split_to(end);
        let _newline = rest.split_to(1);
        Some(line)
    })
}

impl State {
    /// Judges all items; gives the whole answer, filtered as `filter_path` in `query` says.
    pub(super) fn judge(&mut self, items: &[Parsed], query: &str) -> Value {
        let filter = filter_path(query);
        let mut errors = false;
        let answers: Vec<Value> = items
            .iter()
            .map(|item| {
                let mut answer = self.judge_item(item);
                errors |= answer.get("error").is_some();
                if let Some(filter) = &filter {
                    answer.as_object_mut().expect("an object").retain(|key, _| filter.iter().any(|f| f == key));
                }
                json!({ item.operation.as_str(): answer })
            })
            .collect();
        match filter {
            Some(_) => json!({ "errors": errors, "items": answers }),
            None => json!({ "took": 3, "errors": errors, "items": answers }),
        }
    }

    fn judge_item(&mut self, parsed: &Parsed) -> Value {
        let Parsed { operation, index, id, source, .. } = parsed;
        let attempt = self.documents.attempt(id);
        let item = Item { index, id, operation, source, attempt };
        let mut judgement = (self.on_item)(&item);
        if matches!(judgement, Judgement::Accept) {
            judgement = self.accept(parsed);
        }
        match judgement {
            Judgement::Accept => json!({
                "_index": index, "_id": id, "_version": 1, "result": "created", "status": 201, "_seq_no": 0,
                "_shards": { "total": 2, "successful": 1, "failed": 0 },
            }),
            Judgement::Refuse { status, kind, reason } => {
                self.documents.refused(id);
                json!({
                    "_index": index, "_id": id, "status": status,
                    "error": { "type": kind, "reason": reason, "index": index, "shard": "0" },
                })
            }
        }
    }

    fn accept(&mut self, item: &Parsed) -> Judgement {
        if item.operation == "delete" {
            return match self.documents.delete(&item.index, &item.id, item.version) {
                Ok(_) => Judgement::Accept,
                Err(current) => outdated(item, current),
            };
        }
        let object = serde_json::from_slice::<Value>(&item.source).is_ok_and(|source| source.is_object());
        if !object {
            let reason = "failed to parse: not an object".to_owned();
            return Judgement::Refuse { status: 400, kind: "document_parsing_exception", reason };
        }
        if item.operation == "create" && !self.documents.create(&item.index, &item.id, item.source.clone()) {
            let reason = format!("[{}]: version conflict, document already exists (current version [1])", item.id);
            return Judgement::Refuse { status: 409, kind: "version_conflict_engine_exception", reason };
        }
        if item.operation == "index"
            && let Err(current) = self.documents.index(&item.index, &item.id, item.source.clone(), item.version)
        {
            return outdated(item, current);
        }
        if item.operation == "update" {
            let body: Value = serde_json::from_slice(&item.source).unwrap_or_default();
            self.documents.update(&item.index, &item.id, &body["doc"]);
        }
        Judgement::Accept
    }
}

fn outdated(item: &Parsed, current: u64) -> Judgement {
    let provided = item.version.unwrap_or(0);
    let reason = format!(
        "[{}]: version conflict, current version [{current}] is higher than the one provided [{provided}]",
        item.id
    );
    Judgement::Refuse { status: 409, kind: "version_conflict_engine_exception", reason }
}

/// The keys of an item that `filter_path` lets through; `None`: all.
fn filter_path(query: &str) -> Option<Vec<String>> {
    let filter = query.split('&').find_map(|pair| pair.strip_prefix("filter_path="))?;
    let filter = filter.replace("%2C", ",").replace("%2A", "*");
    Some(filter.split(',').filter_map(|path| path.strip_prefix("items.*.")).map(str::to_owned).collect())
}
