//! The reference's test vectors, which the official Python signer confirmed.

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use md5::{Digest, Md5};

use crate::logstore::request::{Request, query_pairs};
use crate::logstore::signature::*;

fn request(method: &str, target: &str, body: &'static str, headers: &[(&str, &str)]) -> Request {
    let (path, query) = target.split_once('?').unwrap();
    let pair =
        |(name, value): &(&str, &str)| (HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
    Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query_pairs(query),
        headers: headers.iter().map(pair).collect::<HeaderMap>(),
        body: Bytes::from_static(body.as_bytes()),
        host: "proj.cn-hangzhou.log.aliyuncs.com".to_owned(),
        peer: "127.0.0.1:1".parse().unwrap(),
    }
}

const PULL: &str = "/logstores/ls/shards/0?type=logs&cursor=MTQ0NzI5OTYwNjg5NjYzMjM1Ng==&count=1000";
const EPOCH: (&str, &str) = ("date", "Thu, 01 Jan 1970 00:00:00 GMT");
const VERSION: (&str, &str) = ("x-log-apiversion", "0.6.0");
const METHOD: (&str, &str) = ("x-log-signaturemethod", "hmac-sha1");

#[test]
fn a_get_is_signed_with_v1_as_the_reference_says() {
    let request = request("GET", PULL, "", &[EPOCH, VERSION, METHOD, ("x-log-bodyrawsize", "0")]);
    assert_eq!(v1_signature("secret", &v1_string_to_sign(&request)), "h6fii7pFbmKI4WiDneq+fkRoWAQ=");
}

#[test]
fn a_post_with_token_and_a_space_is_signed_with_v1_as_the_reference_says() {
    let body = "[0,1]";
    let hash = hex(&Md5::digest(body)).to_uppercase();
    assert_eq!(hash, "CCFCD347D0BF65DC77AFE01A3306A96B");
    // However the space travels.
    for consumer in ["c+1", "c%201"] {
        let target = format!("/logstores/ls/consumergroups/g?type=heartbeat&consumer={consumer}");
        let headers = [
            EPOCH,
            VERSION,
            METHOD,
            ("x-log-bodyrawsize", "5"),
            ("x-acs-security-token", "tok"),
            ("content-type", "application/json"),
            ("content-md5", hash.as_str()),
        ];
        let request = request("POST", &target, body, &headers);
        assert_eq!(v1_signature("secret", &v1_string_to_sign(&request)), "FuI2GtnqjZAVFWmo6FJq+dmDsY4=");
    }
}

#[test]
fn the_services_own_date_takes_the_place_of_date_and_is_not_among_the_headers() {
    let own = ("x-log-date", "Thu, 01 Jan 1970 00:00:00 GMT");
    let other = ("date", "Fri, 02 Jan 1970 00:00:00 GMT");
    let request = request("GET", PULL, "", &[other, own, VERSION, METHOD, ("x-log-bodyrawsize", "0")]);
    assert_eq!(v1_signature("secret", &v1_string_to_sign(&request)), "h6fii7pFbmKI4WiDneq+fkRoWAQ=");
}

#[test]
fn a_get_is_signed_with_v4_as_the_reference_says() {
    let headers = [
        VERSION,
        ("x-log-bodyrawsize", "0"),
        ("x-log-date", "19700101T000000Z"),
        ("x-log-content-sha256", EMPTY_SHA256),
    ];
    let request = request("GET", PULL, "", &headers);
    let string = v4_string_to_sign(&request, "19700101", "cn-hangzhou");
    let made = v4_signature("secret", "19700101", "cn-hangzhou", &string);
    assert_eq!(made, "65cea19ced68155815850dbf29f4563cb46f3655393e5123cb2796a7170833e2");
}

#[test]
fn both_forms_of_authorization_are_told_apart() {
    let v1 = Authorization::parse("LOG ak:c2ln").unwrap();
    assert_eq!(v1, Authorization::V1 { key_id: "ak".to_owned(), signature: "c2ln".to_owned() });
    let v4 = Authorization::parse(
        "SLS4-HMAC-SHA256 Credential=ak/19700101/cn-hangzhou/sls/aliyun_v4_request,Signature=00ff",
    );
    assert_eq!(
        v4.unwrap(),
        Authorization::V4 {
            key_id: "ak".to_owned(),
            date: "19700101".to_owned(),
            region: "cn-hangzhou".to_owned(),
            signature: "00ff".to_owned(),
        }
    );
    for wrong in ["", "LOG ak", "Bearer x", "SLS4-HMAC-SHA256 Credential=ak/1/r/oss/aliyun_v4_request,Signature=0"] {
        assert_eq!(Authorization::parse(wrong), None, "{wrong}");
    }
}
