//! Functions of texts: cutting, padding, changing case, finding, splitting. Positions count characters from 1.
//!
//! `TRIM(LEADING x FROM s)` is `LTRIM(s, x)` here, `TRIM(x FROM s)` is `TRIM(s, x)`, `POSITION(a IN b)` is `POSITION(a, b)`, `OVERLAY(s PLACING r FROM i FOR n)` is `OVERLAY(s, r, i, n)`.

use super::signature::{Function, f};
use super::{Args, OnNull, Site, rows, rows_with, texts, texts_with};
use crate::record::{Data, Value};
use crate::sql::expr::Kernel;

pub(super) const TABLE: &[Function] = &[
    f("||", "STRING, STRING -> STRING", concat),
    f("CONCAT", "STRING... -> STRING", concat),
    f("CONCAT_WS", "STRING, STRING... -> STRING", |_| Ok(texts_with(OnNull::Call, Data::Text, joined))),
    f("UPPER", "STRING -> STRING", |_| Ok(cased(u8::make_ascii_uppercase, str::to_uppercase))),
    f("LOWER", "STRING -> STRING", |_| Ok(cased(u8::make_ascii_lowercase, str::to_lowercase))),
    f("INITCAP", "STRING -> STRING", |_| Ok(texts(capitals))),
    f("CHAR_LENGTH", "STRING -> INT", length),
    f("CHARACTER_LENGTH", "STRING -> INT", length),
    f("LENGTH", "STRING -> INT", length),
    f("OCTET_LENGTH", "STRING -> INT", |_| Ok(rows(|args| Some(args.bytes(0).len() as i64)))),
    f("ASCII", "STRING -> INT", |_| {
        Ok(rows(|args| Some(args.bytes(0).first().map_or(0, |byte| i64::from(*byte as i8)))))
    }),
    f("CHR", "BIGINT -> STRING", |_| Ok(texts(character))),
    f("LPAD", "STRING, INT, STRING -> STRING", |_| Ok(texts(|args, out| padded(args, out, true)))),
    f("RPAD", "STRING, INT, STRING -> STRING", |_| Ok(texts(|args, out| padded(args, out, false)))),
    f("REPEAT", "STRING, INT -> STRING", |_| Ok(texts(repeated))),
    f("REVERSE", "STRING -> STRING", |_| {
        Ok(texts(|args, out| {
            args.text(0).chars().rev().for_each(|c| push_char(c, out));
            Some(())
        }))
    }),
    f("REPLACE", "STRING, STRING, STRING -> STRING", |_| {
        Ok(texts(|args, out| {
            let (text, from, to) = (args.text(0), args.text(1), args.text(2));
            out.extend_from_slice(text.replace(from, to).as_bytes());
            Some(())
        }))
    }),
    f("TRIM", "STRING [, STRING] -> STRING", |_| Ok(trimmed(true, true))),
    f("BTRIM", "STRING [, STRING] -> STRING", |_| Ok(trimmed(true, true))),
    f("LTRIM", "STRING [, STRING] -> STRING", |_| Ok(trimmed(true, false))),
    f("RTRIM", "STRING [, STRING] -> STRING", |_| Ok(trimmed(false, true))),
    f("SUBSTRING", "STRING, INTEGER [, INTEGER] -> STRING", |_| Ok(texts(substring))),
    f("SUBSTR", "STRING, INTEGER [, INTEGER] -> STRING", |_| Ok(texts(substring))),
    f("LEFT", "STRING, INTEGER -> STRING", |_| {
        Ok(texts(|args, out| {
            out.extend_from_slice(cut(args.text(0), 0, args.int(1)).as_bytes());
            Some(())
        }))
    }),
    f("RIGHT", "STRING, INTEGER -> STRING", |_| {
        Ok(texts(|args, out| {
            let (text, wanted) = (args.text(0), args.int(1).max(0));
            let from = (text.chars().count() as i64).saturating_sub(wanted).max(0);
            out.extend_from_slice(cut(text, from, i64::MAX).as_bytes());
            Some(())
        }))
    }),
    f("POSITION", "STRING, STRING [, INTEGER] -> INT", |_| Ok(rows(locate))),
    f("LOCATE", "STRING, STRING [, INTEGER] -> INT", |_| Ok(rows(locate))),
    f("INSTR", "STRING, STRING [, INTEGER, INTEGER] -> INT", |_| Ok(rows(instr))),
    f("OVERLAY", "STRING, STRING, INTEGER [, INTEGER] -> STRING", |_| Ok(texts(overlay))),
    f("SPLIT_INDEX", "STRING, STRING, INTEGER -> STRING", |_| {
        Ok(texts(|args, out| split_index(args.text(0), args.text(1), args.int(2), out)))
    }),
    f("SPLIT_INDEX", "STRING, INTEGER, INTEGER -> STRING", |_| {
        Ok(texts(|args, out| {
            let separator = u32::try_from(args.int(1)).ok().and_then(char::from_u32)?;
            split_index(args.text(0), separator.encode_utf8(&mut [0; 4]), args.int(2), out)
        }))
    }),
    f("SPLIT", "STRING, STRING -> ARRAY<STRING>", |_| Ok(rows(|args| Some(split(args.text(0), args.text(1)))))),
    f("STRING_SPLIT", "STRING, STRING -> ARRAY<STRING>", |_| Ok(rows(|args| Some(split(args.text(0), args.text(1)))))),
    f("TRANSLATE", "STRING, STRING, STRING -> STRING", |_| Ok(texts(translate))),
    f("TRANSLATE3", "STRING, STRING, STRING -> STRING", |_| Ok(texts(translate))),
    f("STARTSWITH", "STRING, STRING -> BOOLEAN", |_| Ok(rows(|a| Some(a.bytes(0).starts_with(a.bytes(1)))))),
    f("ENDSWITH", "STRING, STRING -> BOOLEAN", |_| Ok(rows(|a| Some(a.bytes(0).ends_with(a.bytes(1)))))),
    f("ELT", "INTEGER, STRING... -> STRING", |_| Ok(texts_with(OnNull::Call, Data::Text, elt))),
    f("IS_ALPHA", "STRING -> BOOLEAN", |_| Ok(all_characters(char::is_alphabetic))),
    f("IS_DIGIT", "STRING -> BOOLEAN", |_| Ok(all_characters(char::is_numeric))),
    f("IS_DECIMAL", "STRING -> BOOLEAN", |_| Ok(rows_with(OnNull::Call, |args| Some(is_decimal(args))))),
];

fn push_char(c: char, out: &mut Vec<u8>) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn concat(_: &Site<'_>) -> Result<Kernel, String> {
    Ok(texts(|args, out| {
        (0..args.len()).for_each(|i| out.extend_from_slice(args.bytes(i)));
        Some(())
    }))
}

/// NULLs but the separator are passed over.
fn joined(args: &Args<'_>, out: &mut Vec<u8>) -> Option<()> {
    if args.is_null(0) {
        return None;
    }
    let known = (1..args.len()).filter(|i| !args.is_null(*i));
    for (number, i) in known.enumerate() {
        if number > 0 {
            out.extend_from_slice(args.bytes(0));
        }
        out.extend_from_slice(args.bytes(i));
    }
    Some(())
}

fn cased(ascii: fn(&mut u8), any: fn(&str) -> String) -> Kernel {
    texts(move |args, out| {
        let text = args.bytes(0);
        if text.is_ascii() {
            let from = out.len();
            out.extend_from_slice(text);
            out[from..].iter_mut().for_each(ascii);
        } else {
            out.extend_from_slice(any(args.text(0)).as_bytes());
        }
        Some(())
    })
}

/// Words are runs of letters and digits.
fn capitals(args: &Args<'_>, out: &mut Vec<u8>) -> Option<()> {
    let mut inside = false;
    for c in args.text(0).chars() {
        match (c.is_alphanumeric(), inside) {
            (true, true) => c.to_lowercase().for_each(|c| push_char(c, out)),
            (true, false) => c.to_uppercase().for_each(|c| push_char(c, out)),
            (false, _) => push_char(c, out),
        }
        inside = c.is_alphanumeric();
    }
    Some(())
}

fn length(_: &Site<'_>) -> Result<Kernel, String> {
    Ok(rows(|args| {
        let text = args.bytes(0);
        // Every byte but those that go on begins a character.
        Some(text.iter().filter(|byte| **byte & 0xC0 != 0x80).count() as i64)
    }))
}

/// The character with this code modulo 256; none for negative ones.
fn character(args: &Args<'_>, out: &mut Vec<u8>) -> Option<()> {
    let code = args.int(0);
    if code >= 0 {
        push_char(char::from((code & 0xFF) as u8), out);
    }
    Some(())
}

/// The most that padding and repeating make of one text.
const MAX_TEXT: usize = 16 << 20;

fn padded(args: &Args<'_>, out: &mut Vec<u8>, left: bool) -> Option<()> {
    let (text, pad) = (args.text(0), args.text(2));
    let wanted = usize::try_from(args.int(1)).ok().filter(|wanted| *wanted <= MAX_TEXT)?;
    let given = text.chars().count();
    if given >= wanted {
        out.extend_from_slice(cut(text, 0, wanted as i64).as_bytes());
        return Some(());
    }
    if pad.is_empty() {
        return None;
    }
    let fill = |out: &mut Vec<u8>| pad.chars().cycle().take(wanted - given).for_each(|c| push_char(c, out));
    if left {
        fill(out);
        out.extend_from_slice(text.as_bytes());
    } else {
        out.extend_from_slice(text.as_bytes());
        fill(out);
    }
    Some(())
}

fn repeated(args: &Args<'_>, out: &mut Vec<u8>) -> Option<()> {
    let (text, times) = (args.bytes(0), usize::try_from(args.int(1)).unwrap_or(0));
    if text.len().saturating_mul(times) > MAX_TEXT {
        return args.fail("REPEAT makes a text of more than 16 MiB");
    }
    (0..times).for_each(|_| out.extend_from_slice(text));
    Some(())
}

fn trimmed(left: bool, right: bool) -> Kernel {
    texts(move |args, out| {
        let text = args.text(0);
        let what = if args.len() > 1 { args.text(1) } else { " " };
        let is = |c: char| what.contains(c);
        let text = if left { text.trim_start_matches(is) } else { text };
        let text = if right { text.trim_end_matches(is) } else { text };
        out.extend_from_slice(text.as_bytes());
        Some(())
    })
}

/// Some characters from a 0-based place on.
fn cut(text: &str, from: i64, count: i64) -> &str {
    let (from, count) = (from.max(0) as usize, count.max(0) as usize);
    if text.is_ascii() {
        let from = from.min(text.len());
        return &text[from..from.saturating_add(count).min(text.len())];
    }
    let mut starts = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    let Some(start) = starts.nth(from) else { return "" };
    let end = if count == 0 { Some(start) } else { starts.nth(count - 1) };
    &text[start..end.unwrap_or(text.len())]
}

/// From 1; 0 is taken for 1, negative places count from the end.
fn substring(args: &Args<'_>, out: &mut Vec<u8>) -> Option<()> {
    let (text, place) = (args.text(0), args.int(1));
    let count = args.int_or(2, i64::MAX);
    if count < 0 {
        return None;
    }
    let from = match place {
        1.. => place - 1,
        0 => 0,
        _ => {
            let from = text.chars().count() as i64 + place;
            if from < 0 {
                return Some(());
            }
            from
        }
    };
    out.extend_from_slice(cut(text, from, count).as_bytes());
    Some(())
}

/// The place of the first at or behind a place, 0 if there is none; all from 1.
fn find(text: &str, wanted: &str, from: i64) -> i64 {
    let skipped = cut(text, 0, from - 1);
    let rest = &text[skipped.len()..];
    match rest.find(wanted) {
        Some(at) => (skipped.chars().count() + rest[..at].chars().count()) as i64 + 1,
        None => 0,
    }
}

fn locate(args: &Args<'_>) -> Option<i64> {
    let from = args.int_or(2, 1);
    Some(find(args.text(1), args.text(0), from))
}

/// The n-th from a place on; a negative place searches backwards from the end.
fn instr(args: &Args<'_>) -> Option<i64> {
    let (text, wanted, from, number) = (args.text(0), args.text(1), args.int_or(2, 1), args.int_or(3, 1));
    if number <= 0 || from == 0 {
        return Some(0);
    }
    if from > 0 {
        let mut at = find(text, wanted, from);
        for _ in 1..number {
            if at == 0 {
                break;
            }
            at = find(text, wanted, at + 1);
        }
        return Some(at);
    }
    let last = text.chars().count() as i64 + from + 1;
    let mut starts: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    starts.truncate(last.max(0) as usize);
    let hits = starts.iter().enumerate().rev().filter(|(_, at)| text[**at..].starts_with(wanted));
    let hit = hits.map(|(place, _)| place as i64 + 1).nth(number as usize - 1);
    Some(hit.unwrap_or(0))
}

fn overlay(args: &Args<'_>, out: &mut Vec<u8>) -> Option<()> {
    let (text, by, from) = (args.text(0), args.text(1), args.int(2));
    let count = args.int_or(3, by.chars().count() as i64);
    if from <= 0 || from > text.chars().count() as i64 {
        out.extend_from_slice(text.as_bytes());
        return Some(());
    }
    out.extend_from_slice(cut(text, 0, from - 1).as_bytes());
    out.extend_from_slice(by.as_bytes());
    if count >= 0 {
        out.extend_from_slice(cut(text, (from - 1).saturating_add(count), i64::MAX).as_bytes());
    }
    Some(())
}

/// From 0; NULL behind the end.
fn split_index(text: &str, separator: &str, index: i64, out: &mut Vec<u8>) -> Option<()> {
    let index = usize::try_from(index).ok()?;
    if text.is_empty() {
        return None;
    }
    let part = if separator.is_empty() { text.split_whitespace().nth(index) } else { text.split(separator).nth(index) };
    out.extend_from_slice(part?.as_bytes());
    Some(())
}

fn split(text: &str, separator: &str) -> Value {
    let parts: Vec<Value> = if text.is_empty() {
        Vec::new()
    } else if separator.is_empty() {
        text.chars().map(|c| Value::Text(c.to_string().into())).collect()
    } else {
        text.split(separator).map(|part| Value::Text(part.into())).collect()
    };
    Value::Array(parts)
}

/// Characters that have no counterpart are left out.
fn translate(args: &Args<'_>, out: &mut Vec<u8>) -> Option<()> {
    let (from, to) = (args.text(1), args.text(2));
    for c in args.text(0).chars() {
        match from.chars().position(|known| known == c) {
            None => push_char(c, out),
            Some(at) => to.chars().nth(at).into_iter().for_each(|c| push_char(c, out)),
        }
    }
    Some(())
}

fn elt(args: &Args<'_>, out: &mut Vec<u8>) -> Option<()> {
    let at = usize::try_from(args.int(0)).ok().filter(|at| *at > 0)?;
    if args.is_null(0) || args.is_null(at) {
        return None;
    }
    out.extend_from_slice(args.bytes(at));
    Some(())
}

/// False for NULL and for an empty text.
fn all_characters(is: fn(char) -> bool) -> Kernel {
    rows_with(OnNull::Call, move |args| {
        Some(!args.is_null(0) && !args.bytes(0).is_empty() && args.text(0).chars().all(is))
    })
}

fn is_decimal(args: &Args<'_>) -> bool {
    let text = args.text(0);
    !args.is_null(0)
        && text.bytes().any(|b| b.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b))
        && text.parse::<f64>().is_ok()
}
