//! The keys that say how to reach a cluster, the same in a job's `[sink]` and in a section of
//! `datasources.toml`: endpoints, credentials, TLS, proxy, headers. Pure.

use std::ops::Range;

use super::reader::{Reader, Section};
use super::values::Text;
use crate::plan::{Auth, Secret, TlsPlan};

/// How to reach a cluster.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Connection {
    pub(crate) endpoints: Vec<String>,
    pub(crate) auth: Auth,
    pub(crate) tls: TlsPlan,
    pub(crate) proxy: Option<Secret>,
    pub(crate) headers: Vec<(String, Secret)>,
}

/// All keys of a connection.
pub(crate) const KEYS: &[&str] =
    &["endpoint", "endpoints", "user", "password", "api_key", "bearer_token", "headers", "proxy", "tls"];
pub(crate) const TLS_KEYS: &[&str] = &["ca_file", "certificate_file", "key_file", "fingerprint", "verify"];

/// Headers that the agent itself sets.
const OWN_HEADERS: &[&str] =
    &["content-type", "content-length", "content-encoding", "host", "connection", "transfer-encoding"];

/// `None` when the endpoints are missing or wrong (and reported).
/// `tls_kind` is the dialect's name of the section's TLS part.
pub(crate) fn read<'d>(reader: &mut Reader<'d>, section: &Section<'d>, tls_kind: &'static str) -> Option<Connection> {
    let endpoints = read_endpoints(reader, section);
    let auth = read_auth(reader, section);
    let tls = match reader.section_of_kind(section, "tls", tls_kind) {
        Some(tls) => read_tls(reader, &tls, endpoints.as_deref()),
        None => TlsPlan::default(),
    };
    let proxy = read_proxy(reader, section);
    let headers = read_headers(reader, section, &auth);
    Some(Connection { endpoints: endpoints?, auth, tls, proxy, headers })
}

fn read_endpoints<'d>(reader: &mut Reader<'d>, section: &Section<'d>) -> Option<Vec<String>> {
    let key = match (section.has("endpoint"), section.has("endpoints")) {
        (true, true) => {
            let at = reader.key_at(section, "endpoints");
            let message = format!("[{}] has both \"endpoint\" and \"endpoints\"; keep one", section.name);
            reader.refuse(at, section.path("endpoints"), message);
            "endpoints"
        }
        (true, false) => "endpoint",
        (false, true) => "endpoints",
        (false, false) => {
            let near = ["endpoints", "datasource"];
            if !near.iter().any(|key| reader.is_misspelt(section, key)) {
                let example = "endpoint = \"http://127.0.0.1:9200\"";
                reader.refuse_missing(section, "endpoint", example);
            }
            return None;
        }
    };
    let texts = match key {
        "endpoint" => vec![reader.text(section, key)?],
        _ => reader.texts(section, key)?,
    };
    let endpoints: Vec<_> = texts.iter().map(|t| check_endpoint(reader, section, key, t)).collect();
    endpoints.into_iter().collect()
}

fn check_endpoint<'d>(reader: &mut Reader<'d>, section: &Section<'d>, key: &str, text: &Text) -> Option<String> {
    let called = section.called(key);
    let path = section.path(key);
    match parse_url(&text.value) {
        Ok(url) => {
            if url.scheme == "http" && url.port.is_none() {
                let message = format!(
                    "{called}: {} has no port, so 80 is used; Elasticsearch usually listens on 9200",
                    text.quoted()
                );
                reader.warn(text.at.clone(), path, message);
            }
            Some(text.value.trim_end_matches('/').to_owned())
        }
        Err(UrlError::Credentials) => {
            reader.hide(&text.at);
            let message = format!("{called}: {}", UrlError::Credentials);
            reader.refuse(text.at.clone(), path, message);
            None
        }
        Err(e) => {
            let with_scheme = format!("http://{}", text.value);
            let advice = if e == UrlError::Scheme && text.is_literal() && parse_url(&with_scheme).is_ok() {
                format!("; did you mean \"{with_scheme}\"?")
            } else {
                String::new()
            };
            let message = format!("{called}: {} {e}{advice}", text.quoted());
            reader.refuse(text.at.clone(), path, message);
            None
        }
    }
}

/// Checks an endpoint written elsewhere: true if plain HTTP has no port in it, else what is wrong with it.
pub(crate) fn check_url(text: &str) -> Result<bool, String> {
    let url = parse_url(text).map_err(|e| match e {
        UrlError::Credentials => "credentials don't belong in a URL, where logs would show them".to_owned(),
        e => format!("the URL {e}"),
    })?;
    Ok(url.scheme == "http" && url.port.is_none())
}

struct Url<'t> {
    scheme: &'t str,
    port: Option<u16>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum UrlError {
    #[error("has no scheme; it must begin with http:// or https://")]
    Scheme,
    #[error("names no host; write for example http://127.0.0.1:9200")]
    Host,
    #[error("has a port that is not from 1 to 65535")]
    Port,
    #[error("has a \"?\" or \"#\" part; only scheme, host, port and path belong here")]
    Query,
    #[error(
        "credentials don't belong in a URL, where logs would show them; write user = \"…\" and password = \"${{file:PATH}}\""
    )]
    Credentials,
}

fn parse_url(text: &str) -> Result<Url<'_>, UrlError> {
    if text.contains('@') {
        return Err(UrlError::Credentials);
    }
    parse_url_without_user(text)
}

fn parse_url_without_user(text: &str) -> Result<Url<'_>, UrlError> {
    let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
    if !matches!(scheme, "http" | "https") {
        return Err(UrlError::Scheme);
    }
    if rest.contains(['?', '#']) {
        return Err(UrlError::Query);
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = match authority.strip_prefix('[') {
        Some(v6) => {
            let (host, behind) = v6.split_once(']').ok_or(UrlError::Host)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| UrlError::Host)?;
            (host, if behind.is_empty() { None } else { Some(behind.strip_prefix(':').ok_or(UrlError::Port)?) })
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let of_host = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || !host.chars().all(of_host) {
        return Err(UrlError::Host);
    }
    if path.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(UrlError::Host);
    }
    let port = match port {
        None => None,
        Some(port) => match port.parse::<u16>() {
            Ok(port) if port > 0 => Some(port),
            _ => return Err(UrlError::Port),
        },
    };
    Ok(Url { scheme, port })
}

fn read_auth<'d>(reader: &mut Reader<'d>, section: &Section<'d>) -> Auth {
    let user = reader.text(section, "user");
    let password = reader.secret(section, "password");
    let api_key = reader.secret(section, "api_key");
    let bearer = reader.secret(section, "bearer_token");
    let ways: Vec<&str> = ["user", "api_key", "bearer_token"]
        .into_iter()
        .filter(|way| section.has(way) || (*way == "user" && section.has("password")))
        .collect();
    if let [first, second, ..] = ways.as_slice() {
        let message = format!("[{}] has both \"{first}\" and \"{second}\"; keep one way to log in", section.name);
        reader.refuse(reader.key_at(section, second), section.path(second), message);
    }
    for (one, other) in [("user", "password"), ("password", "user")] {
        if section.has(one) && !section.has(other) && !reader.is_misspelt(section, other) {
            let message = format!("{} needs \"{other}\" beside it", section.called(one));
            reader.refuse(reader.key_at(section, one), section.path(one), message);
        }
    }
    match (user, password, api_key, bearer) {
        (Some(user), Some(password), ..) => Auth::Basic { user: user.value, password },
        (_, _, Some(key), _) => Auth::ApiKey(key),
        (_, _, _, Some(token)) => Auth::Bearer(token),
        _ => Auth::None,
    }
}

fn read_tls<'d>(reader: &mut Reader<'d>, tls: &Section<'d>, endpoints: Option<&[String]>) -> TlsPlan {
    let ca_file = reader.pem_file(tls, "ca_file");
    let certificate_file = reader.pem_file(tls, "certificate_file");
    let key_file = reader.pem_file(tls, "key_file");
    for (one, other) in [("certificate_file", "key_file"), ("key_file", "certificate_file")] {
        if tls.has(one) && !tls.has(other) && !reader.is_misspelt(tls, other) {
            let message = format!("{} needs \"{other}\" beside it", tls.called(one));
            reader.refuse(reader.key_at(tls, one), tls.path(one), message);
        }
    }
    let fingerprint = reader.text(tls, "fingerprint");
    let fingerprint = fingerprint.and_then(|text| {
        let hex: String = text.value.chars().filter(|c| *c != ':').collect();
        if hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Some(hex.to_ascii_lowercase());
        }
        let message = format!(
            "{} must be a SHA-256 fingerprint, 64 hexadecimal digits with or without colons",
            tls.called("fingerprint")
        );
        reader.refuse(text.at, tls.path("fingerprint"), message);
        None
    });
    let verify = reader.boolean(tls, "verify").unwrap_or(true);
    let trusts = ["ca_file", "fingerprint"].into_iter().find(|key| tls.has(key));
    if let (false, Some(trusts)) = (verify, trusts) {
        let message = format!(
            "{} = false accepts any certificate, so \"{trusts}\" has no meaning; keep one",
            tls.called("verify")
        );
        reader.refuse(reader.key_at(tls, "verify"), tls.path("verify"), message);
    }
    if endpoints.is_some_and(|urls| urls.iter().all(|url| !url.starts_with("https"))) {
        let message = format!("[{}] has no effect: no endpoint begins with https://", tls.name);
        reader.warn(tls.at.clone(), tls.name.clone(), message);
    }
    TlsPlan { ca_file, certificate_file, key_file, fingerprint, insecure: !verify }
}

impl<'d> Reader<'d> {
    pub(super) fn pem_file(&mut self, tls: &Section<'d>, key: &str) -> Option<std::path::PathBuf> {
        let (path, content, text) = self.file(tls, key)?;
        if !content.contains("-----BEGIN ") {
            let message =
                format!("{}: the file {} is not PEM (it has no \"-----BEGIN\" line)", tls.called(key), text.quoted());
            self.refuse(text.at, tls.path(key), message);
            return None;
        }
        Some(path)
    }
}

pub(super) fn read_proxy<'d>(reader: &mut Reader<'d>, section: &Section<'d>) -> Option<Secret> {
    let proxy = reader.secret(section, "proxy")?;
    let crate::plan::SecretSource::Literal(url) = &proxy.from else { return Some(proxy) };
    let without_user = match url.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}", rest.rsplit('@').next().unwrap_or(rest)),
        None => url.clone(),
    };
    if let Err(e) = parse_url_without_user(&without_user) {
        let called = section.called("proxy");
        let message = format!("{called} {e}; expected http://[user:password@]host:port");
        let at: Option<Range<usize>> = reader.key_at(section, "proxy");
        reader.refuse(at, section.path("proxy"), message);
        return None;
    }
    Some(proxy)
}

fn read_headers<'d>(reader: &mut Reader<'d>, section: &Section<'d>, auth: &Auth) -> Vec<(String, Secret)> {
    let Some((table, names)) = reader.open_free(section, "headers") else { return Vec::new() };
    let mut headers = Vec::new();
    for name in names {
        let value = reader.secret(&table, name);
        let of_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        let lower = name.to_ascii_lowercase();
        let wrong = if name.is_empty() || !name.bytes().all(of_token) {
            Some("is no name of a header")
        } else if OWN_HEADERS.contains(&lower.as_str()) {
            Some("is set by the agent itself")
        } else if lower == "authorization" && *auth != Auth::None {
            Some("and a user, API key or token exclude each other; keep one way to log in")
        } else {
            None
        };
        if let Some(wrong) = wrong {
            let shown = super::reader::shorten(name);
            let message = format!("\"{shown}\" in [{}] {wrong}", table.name);
            reader.refuse(reader.key_at(&table, name), table.path(&shown), message);
            continue;
        }
        headers.extend(value.map(|value| (name.to_owned(), value)));
    }
    headers
}
