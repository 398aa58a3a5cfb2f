//! Signatures of requests: version 1 (HMAC-SHA1) and version 4 (HMAC-SHA256, for regions that ask for it).
//!
//! Promises: pure; a request is signed as it is sent. Secrets are arguments and are not kept.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::record::Timestamp;

/// Access keys as they are now.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Keys {
    pub(super) id: String,
    pub(super) secret: String,
    /// Of temporary credentials (STS).
    pub(super) token: Option<String>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// A request before it is signed.
#[derive(Clone, Debug)]
pub(super) struct Unsigned<'a> {
    pub(super) method: &'static str,
    /// With the port if the URL has one.
    pub(super) host: &'a str,
    /// From the root, as it is sent.
    pub(super) path: &'a str,
    /// Keys and values before they are encoded.
    pub(super) query: &'a [(&'a str, String)],
    /// What the body is, and its bytes as they are sent.
    pub(super) body: Option<(&'static str, &'a [u8])>,
}

/// Headers to send, lower-case names.
pub(super) type Headers = Vec<(&'static str, String)>;

/// Signs by version 1. `now` is the service's time.
pub(super) fn v1(request: &Unsigned<'_>, keys: &Keys, now: Timestamp) -> Headers {
    let date = rfc1123(now);
    let mut headers = own(request, keys);
    headers.push(("x-log-signaturemethod", "hmac-sha1".to_owned()));
    headers.sort();
    let (mut md5, mut content_type) = (String::new(), "");
    if let Some((kind, body)) = request.body {
        md5 = upper_hex(&Md5::digest(body));
        content_type = kind;
    }
    let canonical = headers.iter().map(|(name, value)| format!("{name}:{value}\n"));
    let canonical: String = canonical.collect();
    let resource = resource(request);
    let text = format!("{}\n{md5}\n{content_type}\n{date}\n{canonical}{resource}", request.method);
    let signature = STANDARD.encode(hmac_sha1(keys.secret.as_bytes(), text.as_bytes()));
    headers.push(("date", date));
    if !content_type.is_empty() {
        headers.push(("content-md5", md5));
        headers.push(("content-type", content_type.to_owned()));
    }
    headers.push(("authorization", format!("LOG {}:{signature}", keys.id)));
    headers
}

/// Signs by version 4.
pub(super) fn v4(request: &Unsigned<'_>, keys: &Keys, region: &str, now: Timestamp) -> Headers {
    let at = iso_basic(now);
    let day = at.get(..8).unwrap_or_default();
    let hash = lower_hex(&Sha256::digest(request.body.map_or(&[][..], |(_, body)| body)));
    let mut headers = own(request, keys);
    headers.push(("x-log-date", at.clone()));
    headers.push(("x-log-content-sha256", hash.clone()));
    headers.push(("host", request.host.to_owned()));
    headers.extend(request.body.map(|(kind, _)| ("content-type", kind.to_owned())));
    headers.sort();
    let canonical: String = headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let query = encoded_query(request.query, true);
    let text = format!("{}\n{}\n{query}\n{canonical}\n{names}\n{hash}", request.method, request.path);
    let scope = format!("{day}/{region}/sls/aliyun_v4_request");
    let to_sign = format!("SLS4-HMAC-SHA256\n{at}\n{scope}\n{}", lower_hex(&Sha256::digest(text.as_bytes())));
    let mut key = format!("aliyun_v4{}", keys.secret).into_bytes();
    for part in [day, region, "sls", "aliyun_v4_request"] {
        key = hmac_sha256(&key, part.as_bytes());
    }
    let signature = lower_hex(&hmac_sha256(&key, to_sign.as_bytes()));
    headers.retain(|(name, _)| *name != "host"); // sent by whoever makes the connection
    headers.push(("authorization", format!("SLS4-HMAC-SHA256 Credential={}/{scope},Signature={signature}", keys.id)));
    headers
}

/// Headers of every request that take part in its signature.
fn own(request: &Unsigned<'_>, keys: &Keys) -> Headers {
    let size = request.body.map_or(0, |(_, body)| body.len());
    let mut headers = vec![("x-log-apiversion", "0.6.0".to_owned()), ("x-log-bodyrawsize", size.to_string())];
    headers.extend(keys.token.as_ref().map(|token| ("x-acs-security-token", token.clone())));
    headers
}

/// The path and what follows, values as they are before encoding.
fn resource(request: &Unsigned<'_>) -> String {
    let mut pairs: Vec<_> = request.query.iter().collect();
    pairs.sort();
    let pairs: Vec<_> = pairs.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    if pairs.is_empty() { request.path.to_owned() } else { format!("{}?{}", request.path, pairs.join("&")) }
}

/// `k=v&…` with RFC 3986 escapes. `canonical`: sorted, and a key alone where the value is empty.
pub(super) fn encoded_query(query: &[(&str, String)], canonical: bool) -> String {
    let mut pairs: Vec<_> = query.iter().map(|(key, value)| (escaped(key), escaped(value))).collect();
    if canonical {
        pairs.sort();
    }
    let pair = |(key, value): (String, String)| {
        if value.is_empty() && canonical { key } else { format!("{key}={value}") }
    };
    pairs.into_iter().map(pair).collect::<Vec<_>>().join("&")
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// `Thu, 01 Jan 1970 00:00:00 GMT`
fn rfc1123(at: Timestamp) -> String {
    utc(at, "%a, %d %b %Y %H:%M:%S GMT")
}

/// `19700101T000000Z`
fn iso_basic(at: Timestamp) -> String {
    utc(at, "%Y%m%dT%H%M%SZ")
}

fn utc(at: Timestamp, pattern: &str) -> String {
    let at = jiff::Timestamp::from_millisecond(at.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime(pattern).to_string()
}

/// A `Date` header as milliseconds since 1970.
pub(super) fn parse_date(text: &str) -> Option<Timestamp> {
    let at = jiff::fmt::strtime::parse("%a, %d %b %Y %H:%M:%S GMT", text.trim()).ok()?.to_datetime().ok()?;
    Some(Timestamp(at.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond()))
}

fn hmac_sha1(key: &[u8], text: &[u8]) -> Vec<u8> {
    // A key of any length is taken, so there is no error to tell of.
    Hmac::<Sha1>::new_from_slice(key)
        .map(|mac| mac.chain_update(text).finalize().into_bytes().to_vec())
        .unwrap_or_default()
}

fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    Hmac::<Sha256>::new_from_slice(key)
        .map(|mac| mac.chain_update(text).finalize().into_bytes().to_vec())
        .unwrap_or_default()
}

pub(super) fn lower_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn upper_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(token: Option<&str>) -> Keys {
        Keys { id: "ak".to_owned(), secret: "secret".to_owned(), token: token.map(str::to_owned) }
    }

    fn pull() -> Vec<(&'static str, String)> {
        let cursor = "MTQ0NzI5OTYwNjg5NjYzMjM1Ng==".to_owned();
        vec![("type", "logs".to_owned()), ("cursor", cursor), ("count", "1000".to_owned())]
    }

    fn get<'a>(query: &'a [(&'a str, String)]) -> Unsigned<'a> {
        let host = "proj.cn-hangzhou.log.aliyuncs.com";
        Unsigned { method: "GET", host, path: "/logstores/ls/shards/0", query, body: None }
    }

    fn of<'h>(headers: &'h Headers, name: &str) -> &'h str {
        headers.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
    }

    #[test]
    fn version_1_signs_as_the_official_clients_do() {
        let headers = v1(&get(&pull()), &keys(None), Timestamp(0));
        assert_eq!(of(&headers, "authorization"), "LOG ak:h6fii7pFbmKI4WiDneq+fkRoWAQ=");
        assert_eq!(of(&headers, "date"), "Thu, 01 Jan 1970 00:00:00 GMT");
        let query = vec![("type", "heartbeat".to_owned()), ("consumer", "c 1".to_owned())];
        let path = "/logstores/ls/consumergroups/g";
        let body: Option<(&'static str, &[u8])> = Some(("application/json", b"[0,1]"));
        let post = Unsigned { method: "POST", host: "h", path, query: &query, body };
        let headers = v1(&post, &keys(Some("tok")), Timestamp(0));
        assert_eq!(of(&headers, "content-md5"), "CCFCD347D0BF65DC77AFE01A3306A96B");
        assert_eq!(of(&headers, "authorization"), "LOG ak:FuI2GtnqjZAVFWmo6FJq+dmDsY4=");
    }

    #[test]
    fn version_4_signs_as_the_official_clients_do() {
        let headers = v4(&get(&pull()), &keys(None), "cn-hangzhou", Timestamp(0));
        assert_eq!(
            of(&headers, "authorization"),
            "SLS4-HMAC-SHA256 Credential=ak/19700101/cn-hangzhou/sls/aliyun_v4_request,\
             Signature=65cea19ced68155815850dbf29f4563cb46f3655393e5123cb2796a7170833e2"
        );
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(of(&headers, "x-log-content-sha256"), empty);
        assert_eq!((of(&headers, "date"), of(&headers, "host")), ("", ""));
    }

    #[test]
    fn dates_and_queries_are_written_as_the_service_reads_them() {
        let at = Timestamp(1_447_299_417_000);
        assert_eq!(rfc1123(at), "Thu, 12 Nov 2015 03:36:57 GMT");
        assert_eq!(parse_date(&rfc1123(at)), Some(at));
        assert_eq!(parse_date("yesterday"), None);
        let query = vec![("consumer", "c 1/ä=".to_owned()), ("a", String::new())];
        assert_eq!(encoded_query(&query, false), "consumer=c%201%2F%C3%A4%3D&a=");
        assert_eq!(encoded_query(&query, true), "a&consumer=c%201%2F%C3%A4%3D");
    }
}
