//! Who may come in: headers that must be there, the date, the key, the signature, the body's hash, permissions.
//!
//! The order is the service's as far as its answers tell: form first, then time, then the key, then the signature.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::DateTime;
use jiff::fmt::strtime;
use md5::{Digest, Md5};
use sha2::Sha256;

use super::action::Action;
use super::clock::Clock;
use super::refusal::Refusal;
use super::request::Request;
use super::signature::{self, Authorization, hex};

/// How far a request's date may be off, in seconds.
const MAX_SKEW: i64 = 15 * 60;

/// An access key; with a token it is a temporary one.
#[derive(Clone, Debug)]
struct Key {
    secret: String,
    token: Option<String>,
    /// Milliseconds of the clock by which things grow old.
    expires: Option<i64>,
}

/// All keys, and what is forbidden.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    keys: BTreeMap<String, Key>,
    /// (key id, action) that are denied.
    denied: BTreeSet<(String, Action)>,
    /// The only region whose V4 signatures are taken, if that is said.
    region: Option<String>,
}

impl Keys {
    pub(super) fn new(region: Option<String>) -> Keys {
        Keys { region, ..Keys::default() }
    }

    pub(super) fn add(&mut self, id: &str, secret: &str) {
        self.keys.insert(id.to_owned(), Key { secret: secret.to_owned(), token: None, expires: None });
    }

    pub(super) fn add_temporary(&mut self, id: &str, secret: &str, token: &str, expires: i64) {
        let key = Key { secret: secret.to_owned(), token: Some(token.to_owned()), expires: Some(expires) };
        self.keys.insert(id.to_owned(), key);
    }

    pub(super) fn remove(&mut self, id: &str) {
        self.keys.remove(id);
    }

    pub(super) fn deny(&mut self, id: &str, action: Action) {
        self.denied.insert((id.to_owned(), action));
    }

    pub(super) fn allow(&mut self, id: &str, action: Action) {
        self.denied.remove(&(id.to_owned(), action));
    }

    /// Says which key a request came with, or why it is not let in.
    pub(super) fn admit(&self, request: &Request, action: Option<Action>, clock: Clock) -> Result<String, Refusal> {
        form(request)?;
        let authorization = request.header("authorization").unwrap_or("");
        let parsed = Authorization::parse(authorization).ok_or_else(|| {
            Refusal::bad("MissAccessKeyId", "the Authorization header is missing or has no known form")
        })?;
        date(request, &parsed, clock)?;
        let id = parsed.key_id();
        let key = self
            .keys
            .get(id)
            .ok_or_else(|| Refusal::new(401, "Unauthorized", format!("AccessKeyId not found: {id}")))?;
        key.token_is_right(request, clock)?;
        self.signature_is_right(request, &parsed, key)?;
        body_hash(request, &parsed)?;
        if let Some(action) = action.filter(|action| self.denied.contains(&(id.to_owned(), *action))) {
            let what = format!("denied by sts or ram, action: {}, resource: {}", action.permission(), request.path);
            return Err(Refusal::new(401, "Unauthorized", what));
        }
        Ok(id.to_owned())
    }

    fn signature_is_right(&self, request: &Request, sent: &Authorization, key: &Key) -> Result<(), Refusal> {
        let (string, made, signature) = match sent {
            Authorization::V1 { signature, .. } => {
                let string = signature::v1_string_to_sign(request);
                let made = signature::v1_signature(&key.secret, &string);
                (string, made, signature)
            }
            Authorization::V4 { date, region, signature, .. } => {
                if self.region.as_ref().is_some_and(|own| own != region) {
                    let what = format!("signature region {region} is not the region of this endpoint");
                    return Err(Refusal::new(401, "SignatureNotMatch", what));
                }
                let string = signature::v4_string_to_sign(request, date, region);
                let made = signature::v4_signature(&key.secret, date, region, &string);
                (string, made, signature)
            }
        };
        if made == *signature {
            return Ok(());
        }
        eprintln!("logstore: signature {signature} does not match; the server signed this:\n{string}\n--");
        Err(Refusal::new(401, "SignatureNotMatch", format!("signature {signature} not match")))
    }
}

impl Key {
    fn token_is_right(&self, request: &Request, clock: Clock) -> Result<(), Refusal> {
        let Some(token) = &self.token else { return Ok(()) };
        if request.header("x-acs-security-token") != Some(token) {
            return Err(Refusal::new(401, "Unauthorized", "The security token you provided is invalid."));
        }
        if self.expires.is_some_and(|end| end <= clock.millis()) {
            return Err(Refusal::new(401, "SecurityTokenExpired", "The security token you provided has expired."));
        }
        Ok(())
    }
}

/// Headers that every request must have.
fn form(request: &Request) -> Result<(), Refusal> {
    match request.header("x-log-apiversion") {
        Some("0.6.0") => {}
        Some(other) => return Err(Refusal::bad("InvalidAPIVersion", format!("invalid API version: {other}"))),
        None => return Err(Refusal::bad("MissingAPIVersion", "x-log-apiversion header is required")),
    }
    let compressed = request.header("x-log-compresstype").is_some_and(|kind| !kind.is_empty());
    match request.header("x-log-bodyrawsize").map(str::parse::<u64>) {
        Some(Ok(_)) => {}
        Some(Err(_)) => return Err(Refusal::bad("InvalidBodyRawSize", "x-log-bodyrawsize is no number")),
        None if compressed => return Err(Refusal::bad("MissingBodyRawSize", "x-log-bodyrawsize header is required")),
        None => {}
    }
    if !request.body.is_empty() && request.header("content-type").is_none() {
        return Err(Refusal::bad("MissingContentType", "Content-Type header is required"));
    }
    let v1 = request.header("authorization").is_some_and(|header| header.starts_with("LOG "));
    match request.header("x-log-signaturemethod") {
        None if v1 => Err(Refusal::bad("MissingSignatureMethod", "x-log-signaturemethod header is required")),
        Some(method) if v1 && method != "hmac-sha1" => {
            Err(Refusal::bad("InvalidSignatureMethod", format!("unsupported signature method: {method}")))
        }
        _ => Ok(()),
    }
}

fn date(request: &Request, authorization: &Authorization, clock: Clock) -> Result<(), Refusal> {
    let (text, moment) = match authorization {
        Authorization::V1 { .. } => {
            let text = request.header("x-log-date").or_else(|| request.header("date"));
            (text, text.and_then(rfc1123_seconds))
        }
        Authorization::V4 { date, .. } => {
            let text = request.header("x-log-date");
            let same_day = text.is_some_and(|text| text.starts_with(date.as_str()));
            (text, text.filter(|_| same_day).and_then(basic_iso_seconds))
        }
    };
    let text = text.ok_or_else(|| Refusal::bad("MissingDate", "Date header is required"))?;
    let moment = moment.ok_or_else(|| Refusal::bad("InvalidDateFormat", format!("invalid date: {text}")))?;
    if (clock.told_seconds() - moment).abs() > MAX_SKEW {
        let what = format!("request time {text} differs from the server's by more than 15 minutes");
        return Err(Refusal::bad("RequestTimeTooSkewed", what));
    }
    Ok(())
}

/// A hash that was sent must be the body's. V4 takes the hash of nothing for a body that was not hashed.
fn body_hash(request: &Request, authorization: &Authorization) -> Result<(), Refusal> {
    let wrong = || Refusal::bad("PostBodyInvalid", "the body's hash is not the one that was sent");
    if let Authorization::V4 { .. } = authorization {
        let sent = request.header("x-log-content-sha256");
        let right =
            sent.is_some_and(|sent| sent == signature::EMPTY_SHA256 || sent == hex(&Sha256::digest(&request.body)));
        return right.then_some(()).ok_or_else(wrong);
    }
    match request.header("content-md5") {
        Some(sent) if sent != hex(&Md5::digest(&request.body)).to_uppercase() => Err(wrong()),
        _ => Ok(()),
    }
}

/// `Thu, 12 Nov 2015 03:56:57 GMT` in seconds.
fn rfc1123_seconds(text: &str) -> Option<i64> {
    let rest = text.strip_suffix(" GMT")?.split_once(", ")?.1;
    utc_seconds(strtime::parse("%d %b %Y %H:%M:%S", rest).ok()?.to_datetime().ok()?)
}

/// `20151112T035657Z` in seconds.
fn basic_iso_seconds(text: &str) -> Option<i64> {
    utc_seconds(strtime::parse("%Y%m%dT%H%M%SZ", text).ok()?.to_datetime().ok()?)
}

fn utc_seconds(moment: DateTime) -> Option<i64> {
    Some(moment.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

/// The form in which the service writes its own `Date`.
pub(super) fn rfc1123(seconds: i64) -> String {
    let moment = jiff::Timestamp::from_second(seconds).unwrap();
    strtime::format("%a, %d %b %Y %H:%M:%S GMT", moment).unwrap()
}
