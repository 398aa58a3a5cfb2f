//! A given cluster, asked what it has: nothing here is sent by the agent, nothing is learned from it.
//!
//! It is reached as a job's sink reaches it, with the same client: `https`, an authority, user and password.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::Args;
use super::ledger::Ledger;
use crate::deliver::{Client, Failure, Reply};
use crate::plan::{Auth, ElasticsearchPlan, Secret, TlsPlan};

/// Where the password of `--user` is looked for, and where the agent gets it from.
pub(super) const PASSWORD: &str = "SPLASHDAM_PASSWORD";

/// A count for the progress line.
const COUNT_DEADLINE: Duration = Duration::from_secs(5);
/// Documents of one page when counting.
const PAGE: u32 = 5_000;

/// A cluster and the index that is this demo's own.
pub(super) struct Cluster {
    access: Access,
    index: String,
    client: Client,
    /// "elasticsearch 8.19.21".
    product: String,
    /// Documents when they were last counted.
    counted: AtomicU64,
}

/// Where it is, and as whom it is asked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Access {
    pub(super) url: String,
    pub(super) user: Option<(String, Secret)>,
    /// PEM file of the authorities to trust; `None`: the system's.
    pub(super) ca: Option<PathBuf>,
}

impl Access {
    /// As the command line says, `url` being its `--elasticsearch`; `password` is what the environment holds.
    ///
    /// # Errors
    /// The URL makes no sense, or says otherwise than `--user`; a user has no password.
    fn read(url: &str, args: &Args, password: Option<String>) -> anyhow::Result<Access> {
        let (url, in_url) = split_auth(url)?;
        let user = match (in_url, args.user.clone()) {
            (Some(_), Some(_)) => bail!("the URL names a user and so does --user; keep one"),
            (Some((user, Some(password))), None) => Some((user, password)),
            (Some((user, None)), None) | (None, Some(user)) => {
                let password =
                    password.with_context(|| format!("the password of {user} is expected in ${PASSWORD}"))?;
                Some((user, password))
            }
            (None, None) => None,
        };
        let user = user.map(|(user, password)| (user, Secret::literal(password)));
        let ca = args.ca.as_ref().map(std::path::absolute).transpose()?;
        Ok(Access { url, user, ca })
    }

    fn plan(&self, index: &str) -> ElasticsearchPlan {
        let auth = match self.user.clone() {
            Some((user, password)) => Auth::Basic { user, password },
            None => Auth::None,
        };
        let tls = TlsPlan { ca_file: self.ca.clone(), ..TlsPlan::default() };
        ElasticsearchPlan { auth, tls, ..ElasticsearchPlan::new(&self.url, index) }
    }

    /// What to do about a cluster that does not let us in.
    fn advice(&self, failure: &Failure) -> &'static str {
        let text = failure.to_string();
        match text.contains("certificate") {
            true if self.ca.is_none() => "; --ca FILE names the authority to trust (the cluster's http_ca.crt)",
            true => "; is that the authority which signed the cluster's certificate?",
            false => "",
        }
    }
}

impl Cluster {
    /// The cluster `url` of the command line.
    ///
    /// # Errors
    /// The command line makes no sense, or nobody answers there, or it wants other credentials.
    pub(super) async fn reach(url: &str, args: &Args, index: &str) -> anyhow::Result<Cluster> {
        let access = Access::read(url, args, std::env::var(PASSWORD).ok())?;
        let client = Client::new(access.plan(index));
        let url = &access.url;
        let failed = |failure: Failure| anyhow!("can't reach the cluster: {failure}{}", access.advice(&failure));
        let (status, product) = match client.identity().await {
            Ok(identity) => {
                let count = client.ask("GET", &format!("/{index}/_count"), None, 0).await.map_err(failed)?;
                (count.status, identity.product())
            }
            Err(Ok(reply)) => (reply.status, String::new()),
            Err(Err(failure)) => return Err(failed(failure)),
        };
        match (status, &access.user) {
            (401, None) => bail!("{url} wants to know who asks: --user NAME, and the password in ${PASSWORD}"),
            (401, Some((user, _))) => bail!("{url} does not know {user} with this password (401)"),
            (403, Some((user, _))) => bail!("{url} does not let {user} read the index {index} (403)"),
            (429 | 500.., _) => bail!("{url} is not ready: it answers {status}"),
            _ => {} // 404 is right: the index is not made yet
        }
        Ok(Cluster { client, product, index: index.to_owned(), counted: AtomicU64::new(0), access })
    }

    pub(super) fn access(&self) -> &Access {
        &self.access
    }

    /// Where it is and what it is, in words.
    pub(super) fn describe(&self) -> String {
        format!("{} ({}, index {})", self.access.url, self.product, self.index)
    }

    pub(super) fn index(&self) -> &str {
        &self.index
    }

    /// Documents that a search finds now, or found when the cluster last answered: one that does not right now is no
    /// reason to stop, and must not hold up the demo either.
    pub(super) async fn count_or_last(&self) -> u64 {
        if let Ok(Ok(count)) = tokio::time::timeout(COUNT_DEADLINE, self.count()).await {
            self.counted.store(count, Ordering::Relaxed);
        }
        self.counted.load(Ordering::Relaxed)
    }

    /// 0 while there is no index.
    async fn count(&self) -> anyhow::Result<u64> {
        #[derive(Deserialize)]
        struct Count {
            count: u64,
        }
        if !self.refresh().await? {
            return Ok(0);
        }
        Ok(success::<Count>(&self.ask("GET", &format!("/{}/_count", self.index), None).await?)?.count)
    }

    /// Writes every document of the index into the ledger.
    pub(super) async fn collect(&self, ledger: &Ledger) -> anyhow::Result<()> {
        if !self.refresh().await? {
            return Ok(());
        }
        let first = json!({ "size": PAGE, "sort": ["_doc"] });
        let page = self.ask("POST", &format!("/{}/_search?scroll=2m", self.index), Some(first)).await?;
        let mut scroll = read_page(&page, ledger)?;
        // The scroll ends by itself in two minutes.
        while let Some(id) = scroll {
            let next = json!({ "scroll": "2m", "scroll_id": id });
            scroll = read_page(&self.ask("POST", "/_search/scroll", Some(next)).await?, ledger)?;
        }
        Ok(())
    }

    /// Makes everything acknowledged visible. `false`: there is no index yet.
    async fn refresh(&self) -> anyhow::Result<bool> {
        let reply = self.ask("POST", &format!("/{}/_refresh", self.index), None).await?;
        if reply.status == 404 {
            return Ok(false);
        }
        success::<serde::de::IgnoredAny>(&reply)?;
        Ok(true)
    }

    async fn ask(&self, method: &str, path: &str, body: Option<serde_json::Value>) -> anyhow::Result<Reply> {
        let body = body.map(|body| body.to_string().into_bytes());
        Ok(self.client.ask(method, path, body, PAGE).await?)
    }
}

#[derive(Deserialize)]
struct Page<'a> {
    _scroll_id: String,
    #[serde(borrow)]
    hits: Hits<'a>,
}

#[derive(Deserialize)]
struct Hits<'a> {
    #[serde(borrow)]
    hits: Vec<Hit<'a>>,
}

#[derive(Deserialize)]
struct Hit<'a> {
    _id: String,
    #[serde(borrow)]
    _source: &'a RawValue,
}

#[derive(Deserialize)]
struct Source {
    #[serde(default)]
    message: String,
}

/// Takes one page down; gives the scroll id unless it was the last.
fn read_page(reply: &Reply, ledger: &Ledger) -> anyhow::Result<Option<String>> {
    let page: Page<'_> = success(reply)?;
    for hit in &page.hits.hits {
        let source: Source = serde_json::from_str(hit._source.get())?;
        ledger.receive(&hit._id, &source.message, hit._source.get());
    }
    Ok((!page.hits.hits.is_empty()).then_some(page._scroll_id))
}

fn success<'a, A: Deserialize<'a>>(reply: &'a Reply) -> anyhow::Result<A> {
    if !reply.is_success() {
        let text: String = String::from_utf8_lossy(&reply.body).chars().take(500).collect();
        bail!("the cluster answers {}: {text}", reply.status);
    }
    serde_json::from_slice(&reply.body).context("the cluster's answer can't be understood")
}

/// A user, and a password where the URL has one.
type InUrl = (String, Option<String>);

/// Takes `user:password@` out of a URL.
fn split_auth(url: &str) -> anyhow::Result<(String, Option<InUrl>)> {
    let trimmed = url.trim_end_matches('/');
    let (scheme, rest) = trimmed.split_once("://").unwrap_or_default();
    if !matches!(scheme, "http" | "https") || rest.is_empty() {
        bail!("{url} is no URL of a cluster; expected http://host:9200 or https://host:9200");
    }
    Ok(match rest.rsplit_once('@') {
        None => (trimmed.to_owned(), None),
        Some((auth, host)) => {
            let (user, password) = match auth.split_once(':') {
                Some((user, password)) => (user, Some(password.to_owned())),
                None => (auth, None),
            };
            (format!("{scheme}://{host}"), Some((user.to_owned(), password)))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_taken_out_of_the_url() {
        for (url, want, auth) in [
            ("http://h:9200/", "http://h:9200", None),
            ("http://u:p@h:9200", "http://h:9200", Some(("u", Some("p")))),
            ("http://u:a@b@h/es", "http://h/es", Some(("u", Some("a@b")))),
            ("http://u:@h", "http://h", Some(("u", Some("")))),
            ("https://u@h", "https://h", Some(("u", None))),
        ] {
            let (bare, found) = split_auth(url).unwrap();
            assert_eq!(bare, want);
            assert_eq!(found.as_ref().map(|(u, p)| (u.as_str(), p.as_deref())), auth);
        }
        for url in ["localhost:9200", "ftp://h", "https://"] {
            assert!(split_auth(url).unwrap_err().to_string().contains("expected http://host:9200"));
        }
    }

    #[test]
    fn a_user_has_a_password_and_one_place_to_stand() {
        let args = |user: Option<&str>| Args {
            elasticsearch: None,
            user: user.map(str::to_owned),
            ca: Some("/ca.pem".into()),
            lines: 1,
            seconds: 1,
        };
        let read = |url: &str, user: Option<&str>, password: Option<&str>| {
            let access = Access::read(url, &args(user), password.map(str::to_owned));
            access.map(|access| access.user).map_err(|error| error.to_string())
        };
        let secret = |user: &str, password: &str| Ok(Some((user.to_owned(), Secret::literal(password))));
        assert_eq!(read("https://h", Some("u"), Some("p")), secret("u", "p"));
        assert_eq!(read("https://u@h", None, Some("p")), secret("u", "p"));
        assert_eq!(read("https://u:own@h", None, Some("p")), secret("u", "own"));
        assert_eq!(read("https://h", None, Some("p")), Ok(None));
        assert!(read("https://h", Some("u"), None).unwrap_err().contains("$SPLASHDAM_PASSWORD"));
        assert!(read("https://a:b@h", Some("u"), None).unwrap_err().contains("keep one"));
        let plan = Access::read("https://h", &args(None), None).unwrap().plan("i");
        assert_eq!(plan.tls.ca_file.as_deref(), Some(std::path::Path::new("/ca.pem")));
    }

    #[test]
    fn pages_are_taken_down_until_an_empty_one() {
        let ledger = Ledger::default();
        ledger.write_down(["seq=0", "seq=1"].into_iter());
        let page = |hits: &str| format!(r#"{{"_scroll_id":"s","took":3,"hits":{{"total":2,"hits":[{hits}]}}}}"#);
        let hit = |id: &str, seq: u32| format!(r#"{{"_index":"i","_id":"{id}","_source":{{"message":"seq={seq}"}}}}"#);
        let full = page(&[hit("a", 0), hit("b", 0)].join(","));
        let reply = |status, body: &str| Reply { status, body: body.as_bytes().to_vec(), ..Reply::default() };
        assert_eq!(read_page(&reply(200, &full), &ledger).unwrap().as_deref(), Some("s"));
        assert_eq!(read_page(&reply(200, &page("")), &ledger).unwrap(), None);
        let tally = ledger.tally();
        assert_eq!((tally.documents, tally.double, tally.missing_lines), (2, 1, vec![1]));
        let error = read_page(&reply(404, "{\"error\":\"gone\"}"), &ledger).unwrap_err();
        assert!(error.to_string().contains("404"), "{error}");
    }
}
