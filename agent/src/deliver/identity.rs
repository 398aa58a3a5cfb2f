//! What is behind the endpoints: Elasticsearch or OpenSearch, which version, which cluster.
//!
//! A client may lack the right to ask, and some builds do not answer `/`; then what is unknown stays unknown
//! and the bulk request itself shows what the cluster thinks.

use serde::Deserialize;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Flavour {
    #[default]
    Elasticsearch,
    OpenSearch,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) flavour: Flavour,
    /// As the cluster writes it, "8.19.21".
    pub(crate) version: Option<String>,
    /// `None`: not told, or the cluster has not formed yet.
    pub(crate) cluster_uuid: Option<String>,
    /// What its people call it.
    pub(crate) cluster_name: Option<String>,
}

impl Identity {
    /// Product and version, "elasticsearch 8.19.21". Who does not tell a version may be either, or something else.
    pub(crate) fn product(&self) -> String {
        match (self.flavour, &self.version) {
            (_, None) => "(version not told)".to_owned(),
            (Flavour::Elasticsearch, Some(version)) => format!("elasticsearch {version}"),
            (Flavour::OpenSearch, Some(version)) => format!("opensearch {version}"),
        }
    }

    /// (major, minor) of the version.
    pub(crate) fn number(&self) -> Option<(u32, u32)> {
        let mut parts = self.version.as_deref()?.split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    }

    /// Requests name a `_type` in the path, as before Elasticsearch 7.
    pub(crate) fn wants_type(&self) -> bool {
        self.flavour == Flavour::Elasticsearch && self.number().is_some_and(|(major, _)| major < 7)
    }

    /// Has composable index templates (`_index_template`) and data streams.
    pub(crate) fn composable_templates(&self) -> bool {
        self.flavour == Flavour::OpenSearch || self.number().is_none_or(|number| number >= (7, 9))
    }

    /// Reads the answer of `GET /`.
    pub(crate) fn from_root(body: &[u8]) -> Option<Identity> {
        #[derive(Deserialize)]
        struct Root {
            version: Version,
            cluster_uuid: Option<String>,
            cluster_name: Option<String>,
        }
        #[derive(Deserialize)]
        struct Version {
            number: String,
            distribution: Option<String>,
        }
        let root: Root = serde_json::from_slice(body).ok()?;
        let flavour = match root.version.distribution.as_deref() {
            Some("opensearch") => Flavour::OpenSearch,
            _ => Flavour::Elasticsearch,
        };
        Some(Identity {
            flavour,
            version: Some(root.version.number),
            cluster_uuid: formed(root.cluster_uuid),
            cluster_name: root.cluster_name,
        })
    }

    /// Reads the answers of `GET /_nodes?filter_path=nodes.*.version` and `GET /_cluster/state/version`. In a
    /// cluster of mixed versions the oldest counts.
    pub(crate) fn from_nodes(nodes: &[u8], state: &[u8]) -> Identity {
        #[derive(Deserialize)]
        struct Nodes {
            nodes: std::collections::HashMap<String, Node>,
        }
        #[derive(Deserialize)]
        struct Node {
            version: String,
        }
        #[derive(Default, Deserialize)]
        struct State {
            cluster_uuid: Option<String>,
            cluster_name: Option<String>,
        }
        let nodes = serde_json::from_slice::<Nodes>(nodes).map(|nodes| nodes.nodes).unwrap_or_default();
        let versions = nodes.into_values().map(|node| node.version);
        let state = serde_json::from_slice::<State>(state).unwrap_or_default();
        let by_number = |version: &String| -> Vec<u32> { version.split('.').map_while(|n| n.parse().ok()).collect() };
        Identity {
            flavour: Flavour::Elasticsearch,
            version: versions.min_by_key(by_number),
            cluster_uuid: formed(state.cluster_uuid),
            cluster_name: state.cluster_name,
        }
    }
}

/// A node that has not joined a cluster says `_na_`.
fn formed(uuid: Option<String>) -> Option<String> {
    uuid.filter(|uuid| uuid != "_na_" && !uuid.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flavour_version_and_cluster_are_read_from_what_each_product_says() {
        let root = |number: &str, extra: &str| {
            let body =
                format!(r#"{{"name":"n","cluster_uuid":"U","version":{{"number":"{number}"{extra}}},"tagline":"t"}}"#);
            Identity::from_root(body.as_bytes()).unwrap_or_default()
        };
        assert!(root("6.8.23", r#","build_flavor":"oss""#).wants_type());
        assert!(!root("7.17.29", "").wants_type());
        assert_eq!(root("9.2.4", "").number(), Some((9, 2)));
        let opensearch = root("3.6.0", r#","distribution":"opensearch""#);
        assert_eq!((opensearch.flavour, opensearch.wants_type()), (Flavour::OpenSearch, false));
        assert_eq!(Identity::from_root(b"<html>"), None);
        assert_eq!(
            Identity::from_root(br#"{"cluster_uuid":"_na_","version":{"number":"8.1.0"}}"#).map(|i| i.cluster_uuid),
            Some(None)
        );
    }

    #[test]
    fn the_oldest_node_counts_and_nothing_known_is_no_error() {
        let nodes = br#"{"nodes":{"a":{"version":"8.19.21"},"b":{"version":"8.9.1"}}}"#;
        let identity = Identity::from_nodes(nodes, br#"{"cluster_name":"c","cluster_uuid":"U"}"#);
        assert_eq!(identity.version.as_deref(), Some("8.9.1"));
        assert_eq!(identity.cluster_uuid.as_deref(), Some("U"));
        assert_eq!((identity.product().as_str(), identity.cluster_name.as_deref()), ("elasticsearch 8.9.1", Some("c")));
        assert_eq!(Identity::from_nodes(b"", b"{}"), Identity::default());
        assert!(!Identity::default().wants_type());
    }
}
