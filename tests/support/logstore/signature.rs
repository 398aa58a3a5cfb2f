//! Signatures V1 (`LOG id:base64`) and V4 (`SLS4-HMAC-SHA256 …`), made anew from the request as it came.
//!
//! Pure: what is signed with which secret. Whether the key exists and the date is right is judged in `admission.rs`.
//! The rules are those of the official SDKs' signers where these and the published description disagree.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::request::Request;

/// RFC 3986: everything but the unreserved characters is encoded.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// SHA-256 of nothing, lower hex.
pub(super) const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// An `Authorization` header, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Authorization {
    V1 { key_id: String, signature: String },
    V4 { key_id: String, date: String, region: String, signature: String },
}

impl Authorization {
    /// `None` if it is neither form.
    pub(super) fn parse(header: &str) -> Option<Authorization> {
        if let Some(rest) = header.strip_prefix("LOG ") {
            let (key_id, signature) = rest.split_once(':')?;
            return Some(Authorization::V1 { key_id: key_id.to_owned(), signature: signature.to_owned() });
        }
        let rest = header.strip_prefix("SLS4-HMAC-SHA256 Credential=")?;
        let (credential, signature) = rest.split_once(',')?;
        let signature = signature.trim().strip_prefix("Signature=")?.to_owned();
        let [key_id, date, region, "sls", "aliyun_v4_request"] = credential.split('/').collect::<Vec<_>>()[..] else {
            return None;
        };
        let (key_id, date, region) = (key_id.to_owned(), date.to_owned(), region.to_owned());
        Some(Authorization::V4 { key_id, date, region, signature })
    }

    pub(super) fn key_id(&self) -> &str {
        match self {
            Authorization::V1 { key_id, .. } | Authorization::V4 { key_id, .. } => key_id,
        }
    }
}

/// What V1 signs. `x-log-date`, where sent, takes the place of `Date` and is not among the headers.
pub(super) fn v1_string_to_sign(request: &Request) -> String {
    let header = |name: &str| request.header(name).unwrap_or("");
    let date = request.header("x-log-date").unwrap_or_else(|| header("date"));
    let mut text = format!("{}\n{}\n{}\n{date}\n", request.method, header("content-md5"), header("content-type"));
    for (name, value) in service_headers(request).iter().filter(|(name, _)| name != "x-log-date") {
        text.push_str(&format!("{name}:{value}\n"));
    }
    text.push_str(&request.path);
    let mut pairs = request.query.clone();
    pairs.sort();
    for (at, (key, value)) in pairs.iter().enumerate() {
        text.push_str(&format!("{}{key}={value}", if at == 0 { "?" } else { "&" }));
    }
    text
}

/// `base64(HMAC-SHA1(secret, string to sign))`.
pub(super) fn v1_signature(secret: &str, string_to_sign: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(string_to_sign.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// What V4 signs for this day and region.
pub(super) fn v4_string_to_sign(request: &Request, date: &str, region: &str) -> String {
    let mut pairs = request.query.clone();
    pairs.sort();
    let encoded = pairs.iter().map(|(key, value)| match value.as_str() {
        "" => key.clone(),
        value => format!("{key}={}", utf8_percent_encode(value, RESERVED)),
    });
    let query = encoded.collect::<Vec<_>>().join("&");
    let mut headers = service_headers(request);
    headers.retain(|(name, _)| !name.starts_with("x-log-meta-"));
    headers.push(("host".to_owned(), request.host.clone()));
    headers.extend(request.header("content-type").map(|value| ("content-type".to_owned(), value.to_owned())));
    headers.sort();
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let names = headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";");
    let payload = request.header("x-log-content-sha256").unwrap_or(EMPTY_SHA256);
    let canonical = format!("{}\n{}\n{query}\n{lines}\n{names}\n{payload}", request.method, request.path);
    let moment = request.header("x-log-date").unwrap_or("");
    let hash = hex(&Sha256::digest(canonical.as_bytes()));
    format!("SLS4-HMAC-SHA256\n{moment}\n{date}/{region}/sls/aliyun_v4_request\n{hash}")
}

/// The chain of keys, then the string to sign; lower hex.
pub(super) fn v4_signature(secret: &str, date: &str, region: &str, string_to_sign: &str) -> String {
    let mut key = format!("aliyun_v4{secret}").into_bytes();
    for part in [date, region, "sls", "aliyun_v4_request", string_to_sign] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(part.as_bytes());
        key = mac.finalize().into_bytes().to_vec();
    }
    hex(&key)
}

/// All headers that belong to the service, sorted by name.
fn service_headers(request: &Request) -> Vec<(String, String)> {
    let own = request.headers.iter().filter(|(name, _)| {
        let name = name.as_str();
        name.starts_with("x-log-") || name.starts_with("x-acs-")
    });
    let text = own
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).trim().to_owned()));
    let mut headers: Vec<_> = text.collect();
    headers.sort();
    headers
}

/// Lower hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
