//! Tries one endpoint of a sink, changing nothing: who is there, whether we are let in, whether the index can be
//! written to.
//!
//! Promises: nothing is made or indexed; what is missing but will be made by the first document is said and is no
//! failure; a cluster that does not say what one may do is taken at its word when it is written to.

use super::client::{Client, Failure, Reply, encoded};
use super::identity::{Flavour, Identity};
use super::refusal;
use crate::plan::ElasticsearchPlan;

/// The oldest versions that are known to work.
const OLDEST: (u32, u32) = (6, 8);

/// Why a cluster can't be written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nobody answered; the text is the network's.
    Unreachable(String),
    /// `step` names what is to be looked at: `settings`, `keys`, `permission`, …
    Refused { step: &'static str, reason: String },
}

/// What there is, a line each. `plan` has one endpoint; `index`: the name (or its literal beginning and `*`) that is
/// to be written to, where one is known.
///
/// # Errors
/// The first thing that is in the way.
pub(crate) async fn probe(plan: ElasticsearchPlan, index: Option<&str>) -> Result<Vec<String>, Trouble> {
    let client = Client::new(plan);
    let root = client.ask("GET", "/", None, 0).await.map_err(unreachable)?;
    let mut found = vec![match who(&root) {
        // Some builds do not answer there.
        Err(trouble) if matches!(root.status, 400 | 404 | 405) => by_nodes(&client).await?.ok_or(trouble)?,
        who => who?,
    }];
    let Some(index) = index else { return Ok(found) };
    if let Some(line) = may_write(&client, index).await? {
        found.push(line);
    }
    let looked = client.ask("GET", &format!("/{}?filter_path=*.aliases", encoded(index)), None, 1000).await;
    match looked.map_err(unreachable)? {
        Reply { status: 404, .. } => found.push(format!("there is no index {index} yet: the first document makes it")),
        reply if reply.is_success() && !index.contains('*') => found.push(format!("the index {index} is there")),
        _ => {}
    }
    Ok(found)
}

fn unreachable(failure: Failure) -> Trouble {
    match failure {
        Failure::Settings(reason) => Trouble::Refused { step: "settings", reason },
        Failure::Broken(text) if text.contains("http://") => {
            Trouble::Unreachable(format!("{text} (does it want https://?)"))
        }
        other => Trouble::Unreachable(other.to_string()),
    }
}

/// Who says so by its nodes.
async fn by_nodes(client: &Client) -> Result<Option<String>, Trouble> {
    let nodes = client.ask("GET", "/_nodes?filter_path=nodes.*.version", None, 1000).await.map_err(unreachable)?;
    let state = client.ask("GET", "/_cluster/state/version?filter_path=cluster_uuid,cluster_name", None, 0).await;
    let identity = Identity::from_nodes(&nodes.body, &state.map_err(unreachable)?.body);
    let known = identity.version.is_some() || identity.cluster_uuid.is_some();
    Ok(known.then(|| in_words(&identity)))
}

fn in_words(identity: &Identity) -> String {
    match &identity.cluster_name {
        Some(cluster) => format!("{}, cluster {cluster}", identity.product()),
        None => identity.product(),
    }
}

/// Product and version, or why it does not matter.
fn who(root: &Reply) -> Result<String, Trouble> {
    let refused = |step, advice: &str| {
        let why = refusal_of(root);
        Err(Trouble::Refused { step, reason: format!("{advice} ({why})") })
    };
    if let Some(identity) = Identity::from_root(&root.body).filter(|_| root.is_success()) {
        let product = identity.product();
        let old = identity.flavour == Flavour::Elasticsearch && identity.number().is_some_and(|found| found < OLDEST);
        if old {
            let reason = format!("{product} is older than 6.8, the oldest that is known to work");
            return Err(Trouble::Refused { step: "version", reason });
        }
        return Ok(in_words(&identity));
    }
    match root.status {
        401 => refused("keys", "it does not know the user or key, or the password is wrong"),
        // Who may only write may not ask for the version.
        403 if refusal_of(root).contains("security_exception") => Ok("its version is not told to this user".to_owned()),
        403 => refused("permission", "something before it refuses us"),
        429 | 503 => refused("service", "it is there but not ready: try again"),
        200..=299 => refused("service", "what answers is neither Elasticsearch nor OpenSearch"),
        300..=399 => refused("service", "it sends us elsewhere: name that address"),
        _ => refused("service", "it does not answer as Elasticsearch or OpenSearch do"),
    }
}

fn refusal_of(reply: &Reply) -> String {
    #[derive(serde::Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        error: &'a serde_json::value::RawValue,
    }
    match serde_json::from_slice::<Body<'_>>(&reply.body) {
        Ok(body) => refusal::read(body.error.get(), reply.status).1.to_string(),
        Err(_) => refusal::bare(reply.status, &reply.body).to_string(),
    }
}

/// Whether the user may write there, where the cluster tells.
async fn may_write(client: &Client, index: &str) -> Result<Option<String>, Trouble> {
    #[derive(serde::Deserialize)]
    struct Answer {
        has_all_requested: bool,
    }
    let wanted = serde_json::json!({ "index": [{ "names": [index], "privileges": ["create_doc"] }] });
    let asked = client.ask("POST", "/_security/user/_has_privileges", Some(wanted.to_string().into_bytes()), 0).await;
    let reply = asked.map_err(unreachable)?;
    match serde_json::from_slice::<Answer>(&reply.body) {
        Ok(Answer { has_all_requested: false }) if reply.is_success() => {
            let reason = format!("the user may not write to {index}: its role needs create_doc or write there");
            Err(Trouble::Refused { step: "permission", reason })
        }
        Ok(_) if reply.is_success() => Ok(Some(format!("the user may write to {index}"))),
        // Without security, with another product's, or in an old version nobody can say.
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_answers_is_told_apart() {
        let reply = |status, body: &str| Reply { status, body: body.as_bytes().to_vec(), ..Reply::default() };
        let root = |number: &str| format!(r#"{{"cluster_name":"c","version":{{"number":"{number}"}}}}"#);
        assert_eq!(who(&reply(200, &root("8.19.21"))).unwrap(), "elasticsearch 8.19.21, cluster c");
        let denied = r#"{"error":{"type":"security_exception","reason":"no"},"status":403}"#;
        assert!(who(&reply(403, denied)).is_ok());
        for (status, body, step, says) in [
            (200, root("6.7.0"), "version", "6.7.0"),
            (200, "<html>hello</html>".to_owned(), "service", "neither"),
            (401, denied.to_owned(), "keys", "security_exception"),
            (403, "<html>waf</html>".to_owned(), "permission", "waf"),
            (301, String::new(), "service", "elsewhere"),
            (503, String::new(), "service", "not ready"),
        ] {
            let Err(Trouble::Refused { step: found, reason }) = who(&reply(status, &body)) else { panic!("{body}") };
            assert_eq!(found, step);
            assert!(reason.contains(says), "{reason}");
        }
    }
}
