//! The HTTP connections to the service, and the access keys as they are now.
//!
//! Promises: requests are always addressed and signed for the service's own host name, whatever is connected to;
//! nothing is compressed, decompressed, redirected or repeated behind our back; a secret is never printed. Keys are
//! read when the connection is made and again when the service refuses them, so that rotated ones are picked up.
//! Without `proxy` and `connect` the environment's `http_proxy`, `https_proxy` and `no_proxy` are obeyed, as by the
//! service's SDKs: a published script names no proxy.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::error::SlsError;
use super::sign::Keys;
use crate::plan::{Secret, SecretSource, SlsPlan, SlsReach};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Shorter than the minute after which load balancers like to drop an idle connection without a word.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);
/// Idle connections that are kept.
const IDLE_CONNECTIONS: usize = 8;

/// Where requests of one project go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// `http://project.endpoint[:port]`
    pub(super) base: String,
    /// `project.endpoint[:port]`
    pub(super) host: String,
}

impl Address {
    /// # Errors
    /// An endpoint that is no address.
    pub(super) fn new(plan: &SlsPlan) -> Result<Address, SlsError> {
        let endpoint = plan.reach.endpoint.trim_end_matches('/');
        let (scheme, rest) = endpoint.split_once("://").unwrap_or(("http", endpoint));
        let host = if plan.reach.own_name { rest.to_owned() } else { format!("{}.{rest}", plan.project) };
        let base = format!("{scheme}://{host}");
        match reqwest::Url::parse(&base) {
            Ok(url) if url.host_str().is_some() => Ok(Address { base, host }),
            _ => Err(SlsError::Setting(format!("{base} is no address"))),
        }
    }

    /// Without the port.
    fn name(&self) -> &str {
        self.host.split(':').next().unwrap_or_default()
    }
}

/// Reads the access keys. Blocking.
///
/// # Errors
/// A file that can't be read; the error names it, never its content.
pub(super) fn keys(reach: &SlsReach) -> Result<Keys, SlsError> {
    let token = reach.security_token.as_ref().map(resolve).transpose()?;
    let keys = Keys { id: resolve(&reach.access_key_id)?, secret: resolve(&reach.access_key_secret)?, token };
    let texts = [Some(&keys.id), Some(&keys.secret), keys.token.as_ref()];
    if texts.into_iter().flatten().any(|text| text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic())) {
        return Err(SlsError::Setting("an access key is empty or has blanks or foreign characters in it".to_owned()));
    }
    Ok(keys)
}

fn resolve(secret: &Secret) -> Result<String, SlsError> {
    match &secret.from {
        SecretSource::Literal(text) => Ok(text.trim().to_owned()),
        SecretSource::File(path) => Ok(String::from_utf8_lossy(&read(path)?).trim().to_owned()),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, SlsError> {
    std::fs::read(path).map_err(|error| SlsError::Setting(format!("{}: {error}", path.display())))
}

/// Makes the pool. Blocking (certificates and a proxy's password may be in files).
///
/// # Errors
/// What is wrong with which setting, without its value.
pub(super) fn build(plan: &SlsPlan, address: &Address) -> Result<reqwest::Client, SlsError> {
    let setting = |what: &str| SlsError::Setting(what.to_owned());
    let reach = &plan.reach;
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("splashdam/", env!("CARGO_PKG_VERSION")))
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .timeout(reach.timeout)
        .connect_timeout(CONNECT_TIMEOUT.min(reach.timeout))
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_CONNECTIONS);
    let mut secure = address.base.starts_with("https:");
    if let Some(proxy) = &reach.proxy {
        let proxy = resolve(proxy)?;
        secure |= proxy.starts_with("https:");
        let proxy = reqwest::Proxy::all(proxy).map_err(|_| setting("proxy: not a URL like http://host:port"))?;
        builder = builder.no_proxy().proxy(proxy);
    }
    if let Some(connect) = &reach.connect {
        if reach.proxy.is_none() {
            builder = builder.no_proxy();
        }
        let connect = connect.parse().map_err(|_| setting("connect: not an address like 127.0.0.1:8090"))?;
        builder = builder.resolve(address.name(), connect);
    }
    if let Some(config) = tls(reach, secure)? {
        builder = builder.tls_backend_preconfigured(config);
    } else {
        install_provider();
        builder = builder.tls_danger_accept_invalid_certs(reach.tls.insecure);
    }
    builder.build().map_err(|error| SlsError::Setting(format!("TLS: {}", causes(&error))))
}

/// `None`: the system's authorities are trusted, or anybody.
fn tls(reach: &SlsReach, secure: bool) -> Result<Option<ClientConfig>, SlsError> {
    let bad = |error: &dyn std::fmt::Display| SlsError::Setting(format!("TLS: {error}"));
    if secure && (reach.tls.ca_file.is_none() || reach.tls.insecure) {
        return Ok(None);
    }
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| bad(&error))?;
    let mut roots = RootCertStore::empty();
    if let Some(file) = reach.tls.ca_file.as_ref().filter(|_| secure) {
        for certificate in CertificateDer::pem_slice_iter(&read(file)?) {
            let certificate = certificate.map_err(|error| bad(&format!("ca_file: {error}")))?;
            roots.add(certificate).map_err(|error| bad(&format!("ca_file: {error}")))?;
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        let verifier = verifier.map_err(|error| bad(&format!("ca_file: {error}")))?;
        return Ok(Some(builder.with_webpki_verifier(verifier).with_no_client_auth()));
    }
    // Plain HTTP reads no authorities from the system: they cost memory and may lack.
    Ok(Some(builder.with_root_certificates(roots).with_no_client_auth()))
}

/// ring becomes the process's provider of cryptography, once.
fn install_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Lost a race with another thread: then ring is installed as well.
        drop(ring::default_provider().install_default());
    }
}

/// What the HTTP libraries wrap around a cause, and what tells nobody anything.
const WRAPPERS: &[&str] = &["error sending request", "client error (Connect)", "client error (SendRequest)"];

/// An error and what caused it, on one line, without the URL and without mere wrappers around a cause.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = String::new();
    for error in std::iter::successors(Some(error), |error| error.source()) {
        let inner = error.to_string();
        let inner = inner.split(" for url (").next().unwrap_or_default();
        let wrapper = error.source().is_some() && WRAPPERS.contains(&inner);
        if !wrapper && !text.contains(inner) {
            text.push_str(if text.is_empty() { "" } else { ": " });
            text.push_str(inner);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(endpoint: &str) -> SlsPlan {
        let reach = SlsReach::new(endpoint, Secret::literal("ak"), Secret::literal("hush"));
        SlsPlan::new(reach, "proj", "ls")
    }

    #[test]
    fn endpoints_are_taken_in_every_form_that_people_write() {
        for (endpoint, base) in [
            ("http://cn-hangzhou.log.aliyuncs.com", "http://proj.cn-hangzhou.log.aliyuncs.com"),
            ("cn-hangzhou.log.aliyuncs.com", "http://proj.cn-hangzhou.log.aliyuncs.com"),
            ("https://cn-hangzhou.log.aliyuncs.com/", "https://proj.cn-hangzhou.log.aliyuncs.com"),
            ("cn-hangzhou-intranet.log.aliyuncs.com:8080", "http://proj.cn-hangzhou-intranet.log.aliyuncs.com:8080"),
        ] {
            let address = Address::new(&plan(endpoint)).unwrap();
            assert_eq!((address.base.as_str(), address.name().contains(':')), (base, false));
            assert!(base.ends_with(&address.host));
        }
        let mut own = plan("http://logs.example.org");
        own.reach.own_name = true;
        assert_eq!(Address::new(&own).unwrap().host, "logs.example.org");
        assert!(Address::new(&plan("http://[nowhere")).is_err());
    }

    #[test]
    fn what_is_wrong_with_a_secret_is_said_without_it() {
        let mut plan = plan("http://h");
        plan.reach.access_key_secret = Secret::literal("hu sh");
        let error = keys(&plan.reach).unwrap_err().to_string();
        assert!(!error.contains("hu sh"), "{error}");
        plan.reach.access_key_id = Secret { from: SecretSource::File("/nowhere/id".into()) };
        assert!(keys(&plan.reach).unwrap_err().to_string().contains("/nowhere/id"));
        plan.reach.proxy = Some(Secret::literal("http://user:hush@[nowhere"));
        let error = build(&plan, &Address::new(&plan).unwrap()).unwrap_err().to_string();
        assert!(error.contains("proxy") && !error.contains("hush"), "{error}");
    }
}
