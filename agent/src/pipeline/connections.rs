//! Tries the connections of a job, or one of `datasources.toml`, without changing anything at the other end.
//!
//! Promises: a connection is tried as the job would use it; every failure says which step it is about, and no secret.
//! What a refusal means is known by the rooms that talk; which step a failure of the network is, here.

use std::path::PathBuf;

use splashdam_api::{Connection, Connections};

use crate::deliver;
use crate::job::{Datasources, OWN_VIEW};
use crate::plan::{ElasticsearchPlan, IndexPlan, JobPlan, SinkTarget, SlsPlan, SourcePlan};
use crate::source::sls;

/// What can be tried by its name.
#[derive(Clone, Debug, Default)]
pub(super) struct Named {
    pub(super) jobs: Vec<JobPlan>,
    /// Files with named connections, read when one is asked for.
    pub(super) datasources: Vec<PathBuf>,
}

impl Named {
    /// # Errors
    /// There is no job and no datasource of that name, or the datasource is wrong.
    pub(super) async fn test(&self, name: &str) -> Result<Connections, String> {
        if let Some(job) = self.jobs.iter().find(|job| job.id() == name) {
            return Ok(test_job(job).await);
        }
        let files = self.datasources.clone();
        let load = move || -> Vec<_> { files.iter().map(|file| Datasources::load(file, OWN_VIEW)).collect() };
        let loaded = tokio::task::spawn_blocking(load).await.map_err(|error| error.to_string())?;
        let mut known: Vec<String> = self.jobs.iter().map(|job| job.id().to_owned()).collect();
        for (datasources, problems) in loaded {
            match datasources.get(name) {
                Some(Some(found)) => {
                    let plan = ElasticsearchPlan {
                        auth: found.auth.clone(),
                        tls: found.tls.clone(),
                        proxy: found.proxy.clone(),
                        headers: found.headers.clone(),
                        endpoints: found.endpoints.clone(),
                        ..ElasticsearchPlan::new("", "")
                    };
                    let connections = test_sink("datasource", &plan, None).await;
                    return Ok(Connections { name: name.to_owned(), connections });
                }
                Some(None) => return Err(format!("the datasource {name} can't be used:\n{problems}")),
                None => known.extend(datasources.names().map(str::to_owned)),
            }
        }
        Err(format!("there is no job and no datasource \"{name}\" here; there is {}", known.join(", ")))
    }
}

/// Tries all that a job connects to.
pub(crate) async fn test_job(job: &JobPlan) -> Connections {
    let mut connections = Vec::new();
    match job {
        JobPlan::Ship(plan) => {
            connections.extend(test_source("source", &plan.source).await);
            connections.extend(test_sink("sink", &plan.sink, index_of(&plan.sink.index)).await);
        }
        JobPlan::Query(plan) => {
            for table in &plan.tables {
                connections.extend(test_source(&format!("source {}", table.name), &table.source).await);
            }
            for sink in &plan.sinks {
                let SinkTarget::Elasticsearch(to) = &sink.target else { continue };
                connections.extend(test_sink(&format!("sink {}", sink.name), to, index_of(&to.index)).await);
            }
        }
    }
    Connections { name: job.id().to_owned(), connections }
}

/// What the documents' indices are called, as a privilege names them.
pub(super) fn index_of(index: &IndexPlan) -> Option<String> {
    match index {
        IndexPlan::Literal(name) => Some(name.clone()).filter(|name| !name.is_empty()),
        IndexPlan::Template { prefix, .. } => Some(format!("{prefix}*")),
    }
}

async fn test_source(what: &str, source: &SourcePlan) -> Option<Connection> {
    let SourcePlan::Sls(plan) = source else { return None };
    let SlsPlan { project, logstore, reach, .. } = &**plan;
    let what = format!("{what}: Logstore {project}/{logstore} at {}", reach.endpoint);
    Some(connection(
        what,
        sls::probe(plan).await.map_err(|trouble| match trouble {
            sls::Trouble::Unreachable(text) => of_network(&text),
            sls::Trouble::Refused { step, reason } => (step, reason),
        }),
    ))
}

async fn test_sink(what: &str, plan: &ElasticsearchPlan, index: Option<String>) -> Vec<Connection> {
    let mut tried = Vec::new();
    for endpoint in &plan.endpoints {
        let one = ElasticsearchPlan { endpoints: vec![endpoint.clone()], ..plan.clone() };
        let found = deliver::probe(one, index.as_deref()).await.map_err(|trouble| match trouble {
            deliver::Unreached::Unreachable(text) => of_network(&text),
            deliver::Unreached::Refused { step, reason } => (step, reason),
        });
        tried.push(connection(format!("{what}: Elasticsearch at {endpoint}"), found));
    }
    tried
}

fn connection(what: String, found: Result<Vec<String>, (&'static str, String)>) -> Connection {
    match found {
        Ok(found) => Connection { what, connectable: true, found, ..Connection::default() },
        Err((step, reason)) => Connection {
            what,
            connectable: false,
            step: Some(step.to_owned()),
            reason: Some(reason),
            found: Vec::new(),
        },
    }
}

/// Which step of a connection did not succeed, by what the network's libraries say of it.
fn of_network(text: &str) -> (&'static str, String) {
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&["dns error", "failed to lookup address"]) {
        return ("name", format!("its name can't be resolved: {text}"));
    }
    if says(&["certificate", "CertificateUnknown", "InvalidCertificate"]) {
        return ("TLS", format!("its certificate is not trusted ([…tls] ca_file names an authority): {text}"));
    }
    if says(&["corrupt message", "InvalidContentType", "tls", "TLS", "handshake"]) {
        return ("TLS", format!("it does not speak TLS as we do (is it http://?): {text}"));
    }
    if says(&["tunnel", "proxy"]) {
        return ("proxy", text.to_owned());
    }
    if says(&["tcp connect", "refused", "unreachable", "No route"]) {
        return ("TCP", format!("nobody listens there, or something is in between: {text}"));
    }
    if says(&["timed out", "no answer within"]) {
        return ("TCP", format!("no answer came in time: {text}"));
    }
    ("answer", text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_of_the_network_is_told_by_its_step() {
        for (text, step) in [
            ("dns error: failed to lookup address information: Name or service not known", "name"),
            ("tcp connect error: Connection refused (os error 111)", "TCP"),
            ("operation timed out", "TCP"),
            ("invalid peer certificate: UnknownIssuer", "TLS"),
            ("received corrupt message of type InvalidContentType", "TLS"),
            ("connection closed before message completed", "answer"),
        ] {
            assert_eq!(of_network(text).0, step, "{text}");
        }
    }
}
