//! The HTTP connection pool as the plan and today's secrets make it.
//!
//! Secrets and certificates are read when the pool is made and again when the cluster refuses them, so that a
//! rotated file is picked up without a restart. Nothing here prints one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::tls::{self, TlsFiles, Trust};
use crate::plan::{Auth, ElasticsearchPlan, Secret, SecretSource};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Shorter than the minute after which load balancers like to drop an idle connection without a word.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// Secrets of fewer bytes are not looked for in answers.
const SHORTEST_HIDDEN: usize = 4;

/// Everything read from outside the plan. Compared to see whether something was rotated.
#[derive(Clone, PartialEq)]
pub(crate) struct Material {
    headers: Vec<(String, String)>,
    proxy: Option<String>,
    tls: TlsFiles,
    /// Secrets in the forms in which somebody could say them back to us.
    hidden: Vec<String>,
}

impl Material {
    /// Reads secrets and certificates. Blocking. The error names the file, never its content.
    pub(crate) fn read(plan: &ElasticsearchPlan) -> Result<Material, String> {
        let mut headers = Vec::with_capacity(plan.headers.len() + 1);
        for (name, value) in &plan.headers {
            headers.push((name.clone(), resolve(value)?));
        }
        if let Some(value) = authorization(&plan.auth)? {
            headers.push((AUTHORIZATION.as_str().to_owned(), value));
        }
        let mut hidden: Vec<String> = headers.iter().map(|(_, value)| value.clone()).collect();
        hidden.extend(headers.iter().filter_map(|(_, value)| Some(value.split_once(' ')?.1.to_owned())));
        match &plan.auth {
            Auth::Basic { password: secret, .. } | Auth::ApiKey(secret) | Auth::Bearer(secret) => {
                let secret = resolve(secret)?;
                hidden.extend(secret.split_once(':').map(|(_, key)| key.to_owned()));
                hidden.push(secret);
            }
            Auth::None => {}
        }
        // What is shorter is found in any text.
        hidden.retain(|secret| secret.len() >= SHORTEST_HIDDEN);
        hidden.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Ok(Material {
            hidden,
            headers,
            proxy: plan.proxy.as_ref().map(resolve).transpose()?,
            tls: TlsFiles {
                ca: tls::read(plan.tls.ca_file.as_deref())?,
                certificate: tls::read(plan.tls.certificate_file.as_deref())?,
                key: tls::read(plan.tls.key_file.as_deref())?,
            },
        })
    }
}

impl Material {
    /// What a server or somebody before it says, without the secrets that it says back to us.
    pub(crate) fn masked(&self, body: Vec<u8>) -> Vec<u8> {
        if self.hidden.is_empty() {
            return body;
        }
        if let Ok(mut answer) = serde_json::from_slice(&body) {
            self.mask(&mut answer);
            return answer.to_string().into_bytes();
        }
        self.starred(&String::from_utf8_lossy(&body)).into_bytes()
    }

    /// Texts as they are meant, not as JSON writes them; what an error is called stays, since it decides what is done.
    fn mask(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.starred(text),
            Value::Array(list) => list.iter_mut().for_each(|value| self.mask(value)),
            Value::Object(map) => {
                map.iter_mut().filter(|(key, _)| *key != "type").for_each(|(_, value)| self.mask(value));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn starred(&self, text: &str) -> String {
        self.hidden.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "***"))
    }
}

fn resolve(secret: &Secret) -> Result<String, String> {
    match &secret.from {
        SecretSource::Literal(text) => Ok(text.clone()),
        SecretSource::File(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
            Ok(text.trim().to_owned())
        }
    }
}

fn authorization(auth: &Auth) -> Result<Option<String>, String> {
    Ok(match auth {
        Auth::None => None,
        Auth::Basic { user, password } => {
            Some(format!("Basic {}", STANDARD.encode(format!("{user}:{}", resolve(password)?))))
        }
        Auth::ApiKey(key) => {
            let key = resolve(key)?;
            // base64 has no colon, so one tells `id:key` from what Elasticsearch calls `encoded`.
            Some(format!("ApiKey {}", if key.contains(':') { STANDARD.encode(key) } else { key }))
        }
        Auth::Bearer(token) => Some(format!("Bearer {}", resolve(token)?)),
    })
}

/// Makes the pool. The error says what is wrong with which setting, without its value.
pub(crate) fn build(plan: &ElasticsearchPlan, material: &Material) -> Result<reqwest::Client, String> {
    tls::install_provider();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("splashdam/", env!("CARGO_PKG_VERSION")))
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .timeout(plan.bulk.timeout)
        .connect_timeout(CONNECT_TIMEOUT.min(plan.bulk.timeout))
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(plan.bulk.max_in_flight.max(1))
        .default_headers(headers(material)?)
        // A minimal container has no /etc/hosts.
        .resolve_to_addrs("localhost", &loopback());
    if let Some(proxy) = &material.proxy {
        let proxy = reqwest::Proxy::all(proxy).map_err(|_| "proxy: not a URL like http://host:port".to_owned())?;
        builder = builder.proxy(proxy);
    }
    builder = with_tls(builder, plan, material)?;
    builder.build().map_err(|error| format!("TLS: {}", causes(&error)))
}

fn headers(material: &Material) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in &material.headers {
        let key = HeaderName::try_from(name).map_err(|_| format!("header `{name}`: not a header name"))?;
        let mut value = HeaderValue::try_from(value)
            .map_err(|_| format!("header `{name}`: its value holds a line break or another forbidden byte"))?;
        value.set_sensitive(true);
        headers.append(key, value);
    }
    Ok(headers)
}

fn loopback() -> [SocketAddr; 2] {
    // Port 0 stands for the URL's own port.
    [SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0), SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0)]
}

fn with_tls(
    builder: reqwest::ClientBuilder,
    plan: &ElasticsearchPlan,
    material: &Material,
) -> Result<reqwest::ClientBuilder, String> {
    let mut urls = plan.endpoints.iter().chain(&material.proxy);
    if !urls.any(|url| url.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"))) {
        return Ok(builder.tls_backend_preconfigured(tls::plain().map_err(|error| error.to_string())?));
    }
    let pinned = plan.tls.fingerprint.clone().map(Trust::Fingerprint);
    let trust = pinned.or_else(|| material.tls.ca.clone().map(Trust::Certificates));
    if let Some(trust) = trust.filter(|_| !plan.tls.insecure) {
        let config = tls::trusting(trust, &material.tls).map_err(|error| error.to_string())?;
        return Ok(builder.tls_backend_preconfigured(config));
    }
    let mut builder = builder.tls_danger_accept_invalid_certs(plan.tls.insecure);
    if let (Some(certificate), Some(key)) = (&material.tls.certificate, &material.tls.key) {
        let both = [key.as_slice(), b"\n", certificate.as_slice()].concat();
        let identity = reqwest::Identity::from_pem(&both).map_err(|error| causes(&error))?;
        builder = builder.identity(identity);
    }
    Ok(builder)
}

/// What the HTTP libraries wrap around a cause, and what tells nobody anything.
const WRAPPERS: &[&str] = &["error sending request", "client error (Connect)", "client error (SendRequest)"];

/// An error and what caused it, on one line, without the URL and without mere wrappers around a cause.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    let mut text = String::new();
    for error in chain {
        let inner = error.to_string();
        let wrapper = error.source().is_some() && WRAPPERS.contains(&inner.as_str());
        if !wrapper && !text.contains(&inner) {
            text.push_str(if text.is_empty() { "" } else { ": " });
            text.push_str(&inner);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_prove_oneself_gives_its_header() {
        let value = |auth| authorization(&auth).unwrap().unwrap_or_default();
        let secret = |text: &str| Secret::literal(text);
        assert_eq!(value(Auth::Basic { user: "u".to_owned(), password: secret("p:q") }), "Basic dTpwOnE=");
        assert_eq!(value(Auth::ApiKey(secret("id:key"))), "ApiKey aWQ6a2V5");
        assert_eq!(value(Auth::ApiKey(secret("aWQ6a2V5"))), "ApiKey aWQ6a2V5");
        assert_eq!(value(Auth::Bearer(secret("t"))), "Bearer t");
        assert_eq!(value(Auth::None), "");
    }

    #[test]
    fn a_secret_that_is_said_back_to_us_is_masked() {
        let mut plan = ElasticsearchPlan::new("http://localhost", "i");
        plan.headers = vec![("x-token".to_owned(), Secret::literal("hush-header"))];
        plan.auth = Auth::ApiKey(Secret::literal("id:hush-key"));
        let material = Material::read(&plan).unwrap();
        let header = STANDARD.encode("id:hush-key");
        let echo = format!("no: hush-header, ApiKey {header}, {header}, id:hush-key, hush-key");
        assert_eq!(material.masked(echo.into_bytes()), b"no: ***, ***, ***, ***, ***");
        assert_eq!(material.masked(b"plain".to_vec()), b"plain");
    }

    #[test]
    fn a_masked_refusal_is_still_the_same_refusal() {
        let mut plan = ElasticsearchPlan::new("http://localhost", "i");
        plan.headers = vec![
            ("x-team".to_owned(), Secret::literal("cluster")),
            ("kbn-xsrf".to_owned(), Secret::literal("true")),
            ("x-key".to_owned(), Secret::literal("hu\"sh\\")),
        ];
        let material = Material::read(&plan).unwrap();
        let masked = |body: &str| String::from_utf8(material.masked(body.as_bytes().to_vec())).unwrap();
        let refused = r#"{"error":{"reason":"not for hu\"sh\\","type":"cluster_block_exception"},"errors":true}"#;
        assert_eq!(masked(refused), refused.replace(r#"hu\"sh\\"#, "***"));
        let garbled = material.masked([b"\xff ", &b"cluster"[..]].concat());
        assert_eq!(String::from_utf8(garbled).unwrap(), "\u{fffd} ***");
    }

    #[test]
    fn what_is_wrong_with_a_secret_is_said_without_it() {
        let mut plan = ElasticsearchPlan::new("http://localhost", "i");
        plan.headers = vec![("x-token".to_owned(), Secret::literal("hush\nhush"))];
        let error = build(&plan, &Material::read(&plan).unwrap()).unwrap_err();
        assert!(error.contains("x-token") && !error.contains("hush"), "{error}");
        plan.headers.clear();
        plan.proxy = Some(Secret::literal("http://user:hush@[nowhere"));
        let error = build(&plan, &Material::read(&plan).unwrap()).unwrap_err();
        assert!(error.contains("proxy") && !error.contains("hush"), "{error}");
        plan.auth = Auth::Bearer(Secret { from: SecretSource::File("/nowhere/token".into()) });
        assert!(Material::read(&plan).err().unwrap().contains("/nowhere/token"));
    }
}
