//! LIKE, SIMILAR TO and the regular expressions. Literal patterns are compiled when the plan is made, and what is wrong
//! with them is said then; patterns that come with the rows and are wrong match nothing.

use std::sync::Arc;

use regex::Regex;

use super::pattern;
use super::signature::{Function, f};
use super::{Args, Site, rows, texts};
use crate::record::Value;
use crate::sql::expr::Kernel;

pub(super) const TABLE: &[Function] = &[
    f("LIKE", "STRING, STRING [, STRING] -> BOOLEAN", |site| like(site, true)),
    f("NOT LIKE", "STRING, STRING [, STRING] -> BOOLEAN", |site| like(site, false)),
    f("SIMILAR TO", "STRING, STRING [, STRING] -> BOOLEAN", |site| similar(site, true)),
    f("NOT SIMILAR TO", "STRING, STRING [, STRING] -> BOOLEAN", |site| similar(site, false)),
    f("REGEXP", "STRING, STRING -> BOOLEAN", found),
    f("RLIKE", "STRING, STRING -> BOOLEAN", found),
    f("REGEXP_LIKE", "STRING, STRING -> BOOLEAN", found),
    f("REGEXP_EXTRACT", "STRING, STRING [, INTEGER] -> STRING", extract),
    f("REGEXP_REPLACE", "STRING, STRING, STRING -> STRING", replace),
    f("REGEXP_COUNT", "STRING, STRING -> INT", |site| {
        let compiled = compiled(site, 1, pattern::java)?;
        Ok(rows(move |args| with(&compiled, args, 1, |regex| regex.find_iter(args.text(0)).count() as i64)))
    }),
    f("REGEXP_SUBSTR", "STRING, STRING -> STRING", |site| {
        let compiled = compiled(site, 1, pattern::java)?;
        Ok(texts(move |args, out| {
            with(&compiled, args, 1, |regex| {
                out.extend_from_slice(regex.find(args.text(0))?.as_str().as_bytes());
                Some(())
            })?
        }))
    }),
    f("REGEXP_INSTR", "STRING, STRING -> INT", |site| {
        let compiled = compiled(site, 1, pattern::java)?;
        Ok(rows(move |args| {
            let text = args.text(0);
            let place =
                |regex: &Regex| regex.find(text).map_or(0, |hit| text[..hit.start()].chars().count() as i64 + 1);
            with(&compiled, args, 1, place)
        }))
    }),
    f("REGEXP_EXTRACT_ALL", "STRING, STRING [, INTEGER] -> ARRAY<STRING>", extract_all),
];

/// A literal's regular expression; `None`: it comes with the rows.
type Compiled = Option<Arc<Regex>>;

fn compiled(site: &Site<'_>, i: usize, make: fn(&str) -> Result<Regex, String>) -> Result<Compiled, String> {
    site.literal_text(i).map(|text| make(text).map(Arc::new)).transpose()
}

/// `f` of the pattern; `None` if it is wrong.
fn with<T>(compiled: &Compiled, args: &Args<'_>, i: usize, f: impl FnOnce(&Regex) -> T) -> Option<T> {
    match compiled {
        Some(regex) => Some(f(regex)),
        None => args.memo(args.text(i), |text| pattern::java(text).ok()).as_ref().as_ref().map(f),
    }
}

fn found(site: &Site<'_>) -> Result<Kernel, String> {
    let compiled = compiled(site, 1, pattern::java)?;
    // An empty pattern finds nothing in Flink.
    Ok(rows(move |args| {
        Some(
            !args.bytes(1).is_empty()
                && with(&compiled, args, 1, |regex| regex.is_match(args.text(0))).unwrap_or(false),
        )
    }))
}

fn extract(site: &Site<'_>) -> Result<Kernel, String> {
    let compiled = compiled(site, 1, pattern::java)?;
    Ok(texts(move |args, out| {
        let group = usize::try_from(args.int_or(2, 0)).ok()?;
        with(&compiled, args, 1, |regex| {
            let text = args.text(0);
            // Without groups asked for, the whole match needs no captures.
            let hit = if group == 0 { regex.find(text)? } else { regex.captures(text)?.get(group)? };
            out.extend_from_slice(hit.as_str().as_bytes());
            Some(())
        })?
    }))
}

/// Group 1 unless said otherwise.
fn extract_all(site: &Site<'_>) -> Result<Kernel, String> {
    let compiled = compiled(site, 1, pattern::java)?;
    Ok(rows(move |args| {
        let group = usize::try_from(args.int_or(2, 1)).ok()?;
        let all = with(&compiled, args, 1, |regex| {
            if group >= regex.captures_len() {
                return None;
            }
            let one = |hit: regex::Captures<'_>| hit.get(group).map_or(Value::Null, |m| Value::Text(m.as_str().into()));
            Some(Value::Array(regex.captures_iter(args.text(0)).map(one).collect()))
        });
        all.flatten()
    }))
}

/// The replacement is taken literally, `$1` too, as Flink takes it.
fn replace(site: &Site<'_>) -> Result<Kernel, String> {
    let compiled = compiled(site, 1, pattern::java)?;
    Ok(texts(move |args, out| {
        with(&compiled, args, 1, |regex| {
            let replaced = regex.replace_all(args.text(0), regex::NoExpand(args.text(2)));
            out.extend_from_slice(replaced.as_bytes());
        })
    }))
}

fn similar(site: &Site<'_>, wanted: bool) -> Result<Kernel, String> {
    let escape = escape_of(site)?;
    let literal = site.literal_text(1).map(|text| pattern::similar(text, escape)).transpose()?;
    Ok(rows(move |args| match &literal {
        Some(regex) => Some(regex.is_match(args.text(0)) == wanted),
        None => {
            let regex = args.memo(args.text(1), |text| pattern::similar(text, escape).ok());
            regex.as_ref().as_ref().map(|regex| regex.is_match(args.text(0)) == wanted)
        }
    }))
}

/// The escape character of LIKE and SIMILAR TO: a literal of one character, or none.
fn escape_of(site: &Site<'_>) -> Result<Option<char>, String> {
    if site.args.len() < 3 {
        return Ok(None);
    }
    let mut characters = site.literal_text(2).unwrap_or_default().chars();
    match (characters.next(), characters.next()) {
        (Some(escape), None) => Ok(Some(escape)),
        _ => Err("the escape character must be a literal of one character".to_owned()),
    }
}

fn like(site: &Site<'_>, wanted: bool) -> Result<Kernel, String> {
    let escape = escape_of(site)?;
    let Some(text) = site.literal_text(1) else {
        return Ok(rows(move |args| {
            let pattern = args.memo(args.text(1), |text| Like::new(text, escape).ok());
            pattern.as_ref().as_ref().map(|pattern| pattern.matches(args.bytes(0)) == wanted)
        }));
    };
    let pattern = Like::new(text, escape)?;
    Ok(rows(move |args| Some(pattern.matches(args.bytes(0)) == wanted)))
}

/// A LIKE pattern: what stands between the `%`.
struct Like {
    pieces: Vec<Piece>,
}

/// Bytes, or `None` for `_`: any one character.
struct Piece {
    signs: Vec<Option<u8>>,
    /// The same without `_`: can be searched for at once.
    plain: Option<Vec<u8>>,
}

impl Piece {
    fn new(signs: Vec<Option<u8>>) -> Piece {
        let plain = signs.iter().copied().collect();
        Piece { signs, plain }
    }

    /// How many bytes it takes at the beginning of a text.
    fn at(&self, text: &[u8]) -> Option<usize> {
        if let Some(plain) = &self.plain {
            return text.starts_with(plain).then_some(plain.len());
        }
        let mut at = 0;
        for sign in &self.signs {
            let byte = *text.get(at)?;
            match sign {
                Some(wanted) if *wanted != byte => return None,
                Some(_) => at += 1,
                None => at += 1 + text[at + 1..].iter().take_while(|byte| **byte & 0xC0 == 0x80).count(),
            }
        }
        Some(at)
    }

    /// Where it ends at its first place in a text.
    fn find(&self, text: &[u8]) -> Option<usize> {
        match &self.plain {
            Some(plain) => memchr::memmem::find(text, plain).map(|at| at + plain.len()),
            None => (0..=text.len())
                .filter(|from| text.get(*from).is_none_or(|byte| byte & 0xC0 != 0x80))
                .find_map(|from| self.at(&text[from..]).map(|length| from + length)),
        }
    }

    /// Whether a text ends with it.
    fn ends(&self, text: &[u8]) -> bool {
        match &self.plain {
            Some(plain) => text.ends_with(plain),
            None => (0..=text.len()).any(|from| {
                text.get(from).is_none_or(|byte| byte & 0xC0 != 0x80)
                    && self.at(&text[from..]) == Some(text.len() - from)
            }),
        }
    }
}

impl Like {
    fn new(text: &str, escape: Option<char>) -> Result<Like, String> {
        let mut pieces = Vec::new();
        let mut signs = Vec::new();
        let mut characters = text.chars();
        while let Some(c) = characters.next() {
            let literal = |c: char, signs: &mut Vec<Option<u8>>| {
                signs.extend(c.encode_utf8(&mut [0; 4]).bytes().map(Some));
            };
            match c {
                _ if Some(c) == escape => match characters.next() {
                    Some(next) if matches!(next, '%' | '_') || Some(next) == escape => literal(next, &mut signs),
                    _ => {
                        return Err(format!(
                            "in the pattern '{text}' the escape character stands before neither % nor _"
                        ));
                    }
                },
                '%' => pieces.push(Piece::new(std::mem::take(&mut signs))),
                '_' => signs.push(None),
                c => literal(c, &mut signs),
            }
        }
        pieces.push(Piece::new(signs));
        Ok(Like { pieces })
    }

    fn matches(&self, text: &[u8]) -> bool {
        let Some((first, rest)) = self.pieces.split_first() else { return false };
        let Some(taken) = first.at(text) else { return false };
        let Some((last, middle)) = rest.split_last() else { return taken == text.len() };
        let mut text = &text[taken..];
        for piece in middle {
            let Some(end) = piece.find(text) else { return false };
            text = &text[end..];
        }
        last.ends(text)
    }
}
