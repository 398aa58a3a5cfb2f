//! Chooses a document's index: a fixed name, or a template filled from the event's time and fields.
//!
//! Promises: whatever a document says, the name begins with the configured prefix and is one that Elasticsearch
//! allows; where a part can't be had, the fallback is taken, never "today".

use std::sync::{Arc, Mutex};

use super::lookup;
use crate::plan::{IndexPart, IndexPlan};

const LONGEST_NAME: usize = 255;

#[derive(Debug)]
pub(crate) enum Namer {
    Fixed(Arc<str>),
    Template {
        parts: Vec<IndexPart>,
        fallback: Arc<str>,
        /// The last name made, since neighbours mostly share it.
        last: Mutex<Arc<str>>,
    },
}

impl Namer {
    pub(crate) fn new(plan: &IndexPlan) -> Namer {
        match plan {
            IndexPlan::Literal(name) => Namer::Fixed(name.as_str().into()),
            IndexPlan::Template { parts, prefix: _, fallback } => Namer::Template {
                parts: parts.clone(),
                fallback: fallback.as_str().into(),
                last: Mutex::new(fallback.as_str().into()),
            },
        }
    }

    pub(crate) fn name(&self, document: &[u8], time_ms: Option<i64>) -> Arc<str> {
        let (parts, fallback, last) = match self {
            Namer::Fixed(name) => return name.clone(),
            Namer::Template { parts, fallback, last } => (parts, fallback, last),
        };
        let Some(name) = fill(parts, document, time_ms) else { return fallback.clone() };
        let Ok(mut last) = last.lock() else { return name.into() };
        if **last != *name {
            *last = name.into();
        }
        last.clone()
    }
}

fn fill(parts: &[IndexPart], document: &[u8], time_ms: Option<i64>) -> Option<String> {
    let mut name = String::new();
    for part in parts {
        match part {
            IndexPart::Literal(text) => name.push_str(text),
            IndexPart::Date(pattern) => {
                let at = jiff::Timestamp::from_millisecond(time_ms?).ok()?;
                name.push_str(&jiff::fmt::strtime::format(pattern, at).ok()?);
            }
            IndexPart::Field(path) => {
                let value = lookup::text(document, path)?.to_lowercase();
                if value.is_empty() || !value.chars().all(allowed) {
                    return None;
                }
                name.push_str(&value);
            }
        }
    }
    (name.len() <= LONGEST_NAME).then_some(name)
}

/// What may stand inside an index name, and can't mean anything in a path.
fn allowed(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '+')
}
