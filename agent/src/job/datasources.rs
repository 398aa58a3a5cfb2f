//! `datasources.toml`: connections with names, for `datasource = "name"` in a job's `[sink]`. Pure.
//!
//! | key of `[NAME]` | what |
//! |---|---|
//! | `type` | `"elasticsearch"` |
//! | `endpoint`, `endpoints`, `user`, `password`, `api_key`, `bearer_token`, `headers`, `proxy`, `tls` | as in a job's `[sink]` |

use std::collections::BTreeMap;

use toml_edit::Document;

use super::connection::{self, Connection};
use super::problem::Problems;
use super::reader::{Dialect, Reader, syntax_problem};
use super::variables::Outside;

const DIALECT: &Dialect = &[
    ("", &["*"]),
    (
        "NAME",
        &["type", "endpoint", "endpoints", "user", "password", "api_key", "bearer_token", "headers", "proxy", "tls"],
    ),
    ("NAME.tls", connection::TLS_KEYS),
];

/// Connections by name. One whose section is wrong keeps its name, so that jobs are not blamed for it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Datasources {
    file: Option<String>,
    /// The file can't be read, so nobody knows what it would have named.
    unreadable: bool,
    named: BTreeMap<String, Option<Connection>>,
}

impl Datasources {
    /// `None`: unknown name. `Some(None)`: known, but refused.
    pub(crate) fn get(&self, name: &str) -> Option<Option<&Connection>> {
        let known = self.named.get(name).map(Option::as_ref);
        if self.unreadable { Some(None) } else { known }
    }

    /// What is left of a file that can't be read.
    pub(crate) fn unreadable(file: &str) -> Datasources {
        Datasources { file: Some(file.to_owned()), unreadable: true, named: BTreeMap::new() }
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.named.keys().map(String::as_str)
    }

    /// The file they come from; `None`: there is none.
    pub(crate) fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    pub(crate) fn parse(text: &str, file: &str, outside: &Outside<'_>) -> (Datasources, Problems) {
        let document = match Document::parse(text) {
            Ok(document) => document,
            Err(e) => {
                let problem = syntax_problem(file, text, DIALECT, &e);
                return (Datasources::unreadable(file), problem.into());
            }
        };
        let mut named = BTreeMap::new();
        let (mut reader, root) = Reader::new(file, &document, outside, DIALECT);
        for name in root.names() {
            let errors_before = reader.errors();
            let Some(section) = reader.section_of_kind(&root, &name, "NAME") else { continue };
            if section.has("type") {
                reader.choice(&section, "type", &[("elasticsearch", ())]);
            } else {
                reader.refuse_missing(&section, "type", "type = \"elasticsearch\"");
            }
            let connection = connection::read(&mut reader, &section, "NAME.tls");
            let good = reader.errors() == errors_before;
            named.insert(name, connection.filter(|_| good));
        }
        (Datasources { file: Some(file.to_owned()), unreadable: false, named }, reader.finish())
    }
}
