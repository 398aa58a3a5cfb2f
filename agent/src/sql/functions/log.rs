//! What log lines hold: key=value pairs and URLs.

use super::signature::{Function, f};
use super::{Args, OnNull, Site, collections, pattern, rows, texts, texts_with};
use crate::record::{Data, Value};
use crate::sql::expr::Kernel;

pub(super) const TABLE: &[Function] = &[
    f("KEYVALUE", "STRING, STRING, STRING, STRING -> STRING", |_| Ok(texts_with(OnNull::Call, Data::Text, key_value))),
    f("STR_TO_MAP", "STRING [, STRING, STRING] -> MAP<STRING, STRING>", str_to_map),
    f("PARSE_URL", "STRING, STRING [, STRING] -> STRING", |_| Ok(texts(parse_url))),
    f("URL_ENCODE", "STRING -> STRING", |_| {
        Ok(texts(|args, out| {
            url_encode(args.bytes(0), out);
            Some(())
        }))
    }),
    f("URL_DECODE", "STRING -> STRING", |_| Ok(texts(|args, out| url_decode(args.text(0), out)))),
];

/// `(text, between pairs, between key and value, key)`; a separator that is NULL is a blank. Each character of a
/// separator separates.
fn key_value(args: &Args<'_>, out: &mut Vec<u8>) -> Option<()> {
    if args.is_null(0) || args.is_null(3) {
        return None;
    }
    let separator = |i: usize| if args.is_null(i) { " " } else { args.text(i) };
    let (pairs, inside, wanted) = (separator(1), separator(2), args.text(3));
    let found = args.text(0).split(|c| pairs.contains(c)).find_map(|pair| {
        let at = pair.find(|c| inside.contains(c))?;
        let value = pair[at..].chars().next().map(|c| &pair[at + c.len_utf8()..])?;
        (pair[..at] == *wanted).then_some(value)
    });
    out.extend_from_slice(found?.as_bytes());
    Some(())
}

/// Both separators are regular expressions; `,` and `=` if they are left out.
fn str_to_map(site: &Site<'_>) -> Result<Kernel, String> {
    let compiled = |i: usize, otherwise: &str| match site.args.get(i) {
        None => pattern::java(otherwise).map(Some),
        Some(_) => site.literal_text(i).map(pattern::java).transpose(),
    };
    let (Some(pairs), Some(inside)) = (compiled(1, ",")?, compiled(2, "=")?) else {
        return Err("the separators must be literals".to_owned());
    };
    Ok(rows(move |args| {
        let text = args.text(0);
        if text.is_empty() {
            return Some(Value::Map(Vec::new()));
        }
        // Java's split leaves out the empty texts at the end.
        let mut parts: Vec<&str> = pairs.split(text).collect();
        while parts.last().is_some_and(|last| last.is_empty()) {
            parts.pop();
        }
        Some(collections::made(parts.into_iter().map(|part| {
            let mut both = inside.splitn(part, 2);
            let key = both.next().unwrap_or_default();
            (Value::Text(key.into()), both.next().map_or(Value::Null, |value| Value::Text(value.into())))
        })))
    }))
}

/// The parts of a URL as `java.net.URL` names them.
struct Url<'a> {
    protocol: &'a str,
    authority: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    reference: Option<&'a str>,
}

/// The protocols that Java knows.
const PROTOCOLS: &[&str] = &["http", "https", "ftp", "file", "jar", "mailto"];

impl<'a> Url<'a> {
    fn new(text: &'a str) -> Option<Url<'a>> {
        let (protocol, rest) = text.trim().split_once(':')?;
        if !PROTOCOLS.iter().any(|known| known.eq_ignore_ascii_case(protocol)) {
            return None;
        }
        let (rest, reference) = rest.split_once('#').map_or((rest, None), |(rest, found)| (rest, Some(found)));
        let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, found)| (rest, Some(found)));
        let (authority, path) = match rest.strip_prefix("//") {
            Some(behind) => behind.split_at(behind.find('/').unwrap_or(behind.len())),
            None => ("", rest),
        };
        Some(Url { protocol, authority, path, query, reference })
    }

    fn host(&self) -> &'a str {
        let behind = self.authority.rsplit_once('@').map_or(self.authority, |(_, host)| host);
        match (behind.starts_with('['), behind.find(']')) {
            (true, Some(end)) => &behind[..=end],
            _ => behind.split(':').next().unwrap_or_default(),
        }
    }
}

fn parse_url(args: &Args<'_>, out: &mut Vec<u8>) -> Option<()> {
    let url = Url::new(args.text(0))?;
    if args.len() > 2 {
        if args.text(1) != "QUERY" {
            return None;
        }
        let wanted = args.text(2);
        let value = url.query?.split('&').find_map(|pair| pair.strip_prefix(wanted)?.strip_prefix('='))?;
        out.extend_from_slice(value.as_bytes());
        return Some(());
    }
    let part = match args.text(1) {
        "HOST" => url.host(),
        "PATH" => url.path,
        "QUERY" => url.query?,
        "REF" => url.reference?,
        "PROTOCOL" => url.protocol,
        "AUTHORITY" if !url.authority.is_empty() => url.authority,
        "USERINFO" => url.authority.rsplit_once('@')?.0,
        "FILE" => {
            out.extend_from_slice(url.path.as_bytes());
            if let Some(query) = url.query {
                out.push(b'?');
                out.extend_from_slice(query.as_bytes());
            }
            return Some(());
        }
        _ => return None,
    };
    out.extend_from_slice(part.as_bytes());
    Some(())
}

/// As `java.net.URLEncoder` in UTF-8.
fn url_encode(text: &[u8], out: &mut Vec<u8>) {
    for byte in text {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'*' | b'_' => out.push(*byte),
            b' ' => out.push(b'+'),
            other => out.extend_from_slice(format!("%{other:02X}").as_bytes()),
        }
    }
}

/// As `java.net.URLDecoder` in UTF-8; `None`: a `%` without two digits.
fn url_decode(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                bytes.push((high << 4 | low) as u8);
            }
            other => bytes.push(other),
        }
    }
    out.extend_from_slice(String::from_utf8_lossy(&bytes).as_bytes());
    Some(())
}
